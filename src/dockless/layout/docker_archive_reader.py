"""Reads docker-archives, which `docker save`, `podman save`, skopeo, kaniko, jib and bazel write.

A docker-archive has no manifest. The reader makes one with Docker's media types, whose layers are the files of the
archive as they are; its digest is not that of the image in any registry.
"""

from __future__ import annotations

import io
from typing import Any, BinaryIO, NamedTuple

from dockless._hashing import HashingFile
from dockless._units import format_count
from dockless.errors import InvalidDocumentError, InvalidValueError, LayoutError
from dockless.image_tree import check_total
from dockless.layout.files import read_small
from dockless.oci import media_types
from dockless.oci.canonical_json import DEFAULT_LIMIT, parse_document
from dockless.oci.descriptor import Descriptor, without_nulls
from dockless.oci.digest import Digest
from dockless.oci.image_config import ImageConfig
from dockless.oci.image_documents import ImageDocuments
from dockless.oci.manifest import make_manifest
from dockless.oci.reference import Reference
from dockless.tar.decompress import decompress, decompressed_file, detect_format, is_bomb
from dockless.tar.index import TarFiles

_LIST = "manifest.json"
# Each image has a config, which is read into memory.
_MAX_IMAGES = 1000


class _Listed(NamedTuple):
    """An entry of manifest.json."""

    config: str
    names: tuple[str, ...]
    layers: tuple[str, ...]


class DockerArchive:
    """A docker-archive, compressed or not. A BlobSource of the images that were read. `close` closes the archive."""

    def __init__(self, path: str) -> None:
        """Read manifest.json. Raises LayoutError if `path` is not a docker-archive."""
        self.where = path
        self._files = TarFiles(path)
        # The member with a layer, and whether the layer is decompressed when it is read.
        self._blobs: dict[Digest, tuple[str, bool]] = {}
        # manifest.json may name a file many times: each is read once.
        self._configs: dict[str, tuple[ImageConfig, bytes]] = {}
        self._layers: dict[str, tuple[str, Digest | None, int]] = {}
        self._documents: dict[Digest, bytes] = {}
        self._decompressed_size = 0
        try:
            self._listed = self._read_list()
        except LayoutError:
            self._files.close()
            raise

    def close(self) -> None:
        """Close the archive."""
        self._files.close()

    def names(self) -> list[str]:
        """Return the references of the images."""
        return sorted({name for listed in self._listed for name in listed.names})

    def image(self, reference: str = "") -> ImageDocuments:
        """Return the image with this reference, or the only image. Raises LayoutError."""
        return self._read(self._choose(reference))

    def images(self) -> list[ImageDocuments]:
        """Return all images, in the order of manifest.json. Raises LayoutError."""
        return [self._read(listed) for listed in self._listed]

    def _read(self, listed: _Listed) -> ImageDocuments:
        try:
            config, config_bytes = self._config(listed.config)
            if len(config.diff_ids) != len(listed.layers):
                raise LayoutError(
                    f"{self.where} is inconsistent",
                    cause=f"{_LIST} has {format_count(len(listed.layers), 'layer')}, "
                    f"{listed.config} {format_count(len(config.diff_ids), 'diff ID')}",
                )
            layers = [self._layer(name, diff_id) for name, diff_id in zip(listed.layers, config.diff_ids)]
        except (InvalidDocumentError, InvalidValueError) as error:
            raise LayoutError(error.problem, cause=error.cause, hint=error.hint) from error
        described = Descriptor(media_types.DOCKER_CONFIG, Digest.of(config_bytes), len(config_bytes))
        made = ImageDocuments(make_manifest(described, layers, image_format="docker"), config, config_bytes)
        self._documents.update(made.documents)
        check_total(sum(map(len, self._documents.values())), self.where)
        return made

    def open(self, descriptor: Descriptor) -> BinaryIO:
        """Return a layer, config or manifest of an image that was read. Raises LayoutError for any other blob."""
        if descriptor.digest in self._documents:
            return io.BytesIO(self._documents[descriptor.digest])
        if descriptor.digest not in self._blobs:
            raise LayoutError(f"{self.where} lacks the blob {descriptor.digest}")
        path, is_decompressed = self._blobs[descriptor.digest]
        file = self._files.open(path)
        return decompressed_file(file, f"{self.where}: {path}") if is_decompressed else file

    def _config(self, name: str) -> tuple[ImageConfig, bytes]:
        name = self._files.resolved(name)
        if name not in self._configs:
            raw = read_small(self._files, name, DEFAULT_LIMIT)
            self._configs[name] = ImageConfig.from_bytes(raw, f"{self.where}: {name}"), raw
        return self._configs[name]

    def _layer(self, name: str, diff_id: Digest) -> Descriptor:
        """Return the descriptor of a layer as the archive has it: mostly a plain tar, whose digest is the diff ID.

        No manifest can name a layer that is compressed with bzip2 or xz: such a layer is decompressed when it is read.
        """
        path = self._files.resolved(name)
        if path not in self._layers:
            self._layers[path] = self._read_layer(path, name)
        kind, digest, size = self._layers[path]
        digest = digest or diff_id
        self._blobs[digest] = path, kind not in media_types.LAYER_FORMATS
        kind = kind if kind in media_types.LAYER_FORMATS else "none"
        return Descriptor(media_types.layer_media_type(kind, "docker"), digest, size)

    def _read_layer(self, path: str, name: str) -> tuple[str, Digest | None, int]:
        """Return the compression of a layer, the digest of a compressed one, and the size in bytes.

        The layer is called `name` in manifest.json.
        """
        size = self._files.size(path)
        if size is None:
            raise LayoutError(f"{self.where} lacks the layer {name}", cause=f"{_LIST} names it")
        with self._files.open(path) as file:
            blob = HashingFile(file)
            kind = detect_format(blob.peek(512))
            if kind == "none":
                return kind, None, size
            if kind not in media_types.LAYER_FORMATS:
                content = sum(map(len, decompress(blob, f"{self.where}: {name}", size, archive=True)))
                self._decompressed_size += content
                if is_bomb(self._decompressed_size, self._files.total_size):
                    raise LayoutError(f"{self.where} is a decompression bomb", cause=f"{name} is one of its layers")
                return kind, None, content
            blob.drain()
        return kind, blob.digest, size

    def _choose(self, reference: str) -> _Listed:
        available = f"it has {', '.join(self.names())}" if self.names() else f"no image in {self.where} has a name"
        if not reference:
            if len(self._listed) != 1:
                raise LayoutError(
                    f"{self.where} has {len(self._listed)} images", cause=available, hint="name one image"
                )
            return self._listed[0]
        full_reference = _full(reference)
        for listed in self._listed:
            if full_reference in map(_full, listed.names):
                return listed
        raise LayoutError(f"{self.where} has no image with the name {reference!r}", cause=available)

    def _read_list(self) -> list[_Listed]:
        if _LIST not in self._files:
            oci = self._files.size("oci-layout") is not None
            raise LayoutError(
                f"{self.where} is not a docker-archive",
                cause=f"the archive has no {_LIST}",
                hint="the archive is an oci-archive: write oci-archive:FILE" if oci else "",
            )
        raw = read_small(self._files, _LIST, DEFAULT_LIMIT)
        try:
            # The document is a list, and the strict parser reads objects.
            items = parse_document(b'{"images":' + raw + b"}", f"{self.where}: {_LIST}", limit=len(raw) + 20)["images"]
        except InvalidDocumentError as error:
            raise LayoutError(error.problem, cause=error.cause) from error
        if not isinstance(items, list) or not items:
            raise LayoutError(f"{self.where}: {_LIST} has no image")
        if len(items) > _MAX_IMAGES:
            raise LayoutError(f"{self.where}: {_LIST} has {len(items)} images", cause=f"the limit is {_MAX_IMAGES}")
        listed = [self._item(item) for item in items if item is not None]
        if not listed:
            raise LayoutError(f"{self.where}: {_LIST} has no image")
        return listed

    def _item(self, item: Any) -> _Listed:
        found = item if isinstance(item, dict) else {}
        config, names, layers = found.get("Config"), found.get("RepoTags") or [], found.get("Layers") or []
        if isinstance(names, list):
            names = without_nulls(names)
        for value in (config, *names, *layers) if isinstance(names, list) and isinstance(layers, list) else (None,):
            if not isinstance(value, str) or not value:
                raise LayoutError(f"{self.where}: {_LIST} has an image without valid Config, RepoTags and Layers")
        return _Listed(str(config), tuple(names), tuple(layers))


def _full(name: str) -> str:
    """Return `name` by Docker's rules: `app`, `app:latest` and `docker.io/library/app:latest` are the same."""
    try:
        found = Reference.parse(name)
    except InvalidValueError:
        return name
    return f"{found.name}:{found.version}"
