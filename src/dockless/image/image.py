"""`Image`: an immutable image that is read, edited and saved."""

from __future__ import annotations

import copy
import logging
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Future
from typing import Any

from dockless._units import format_count
from dockless.errors import InvalidValueError
from dockless.image.arguments import check_created_by, check_name, layer_urls, strings
from dockless.image.layer_building import Buildable as Buildable
from dockless.image.layer_building import build_layer
from dockless.image_tree import read_image
from dockless.mutate.assemble import assemble_image, replace_layer
from dockless.mutate.config_edit import ConfigEdit
from dockless.mutate.rebase import rebase
from dockless.oci import media_types
from dockless.oci.descriptor import Descriptor
from dockless.oci.digest import Digest
from dockless.oci.image_config import CREATED_BY
from dockless.oci.image_documents import ImageDocuments, ImageLayer
from dockless.oci.platform import Platform
from dockless.oci.reference import Reference
from dockless.registry.progress import Progress, silent
from dockless.registry.push_result import PushResult
from dockless.transfer.layer_sources import LayerSources, SourceLocation
from dockless.transfer.locations import OCI, REGISTRY, Location, check_path, to_destination, to_location
from dockless.transfer.open import archive_kind, open_image, select_manifest
from dockless.transfer.prefetch import PrefetchResult, start_prefetch
from dockless.transfer.registry_access import RegistryAccess, to_access
from dockless.transfer.save import save_images

logger = logging.getLogger("dockless.image")


class Image:
    """An image for one platform: its manifest, its config, and the sources of its layers.

    An image is immutable: each edit returns a new one. Images are made by `scratch`, `from_registry`, `from_layout`,
    `from_archive` and `load`. These read the manifest and the config. Layers are read only when the image is saved to a
    destination that does not have them, with the same `access`. A pickle of an image contains the blobs of the layers
    that were built, and the `access` of the others, with credentials that were given to it.

    Specification: OCI image spec, manifest.md and config.md.
    """

    __slots__ = ("_documents", "_layer_sources", "_requested")

    def __init__(
        self, documents: ImageDocuments, layer_sources: LayerSources, requested: Platform | None = None
    ) -> None:
        """Create an image from its documents. Internal: use the class methods.

        `requested` is the platform that the image was selected for. The first edit sets it in a config that names no OS
        or architecture.
        """
        self._documents = documents
        self._layer_sources = dict(layer_sources)
        self._requested = requested

    @classmethod
    def scratch(cls, platform: str = "linux/amd64", *, image_format: str = "oci") -> Image:
        """Return an image without layers; `image_format` is `oci` or `docker`.

        Raises InvalidValueError, also for Windows: an image for Windows needs a base.
        """
        return cls(assemble_image(Platform.parse(platform), (), ConfigEdit(), image_format=image_format), {})

    @classmethod
    def from_registry(
        cls, reference: str, *, platform: str | None = None, access: RegistryAccess | None = None
    ) -> Image:
        """Return the image of a reference such as `ghcr.io/acme/app:1` or `alpine@sha256:...`, verified.

        From an index, the image for `platform` is selected (None: the only one, else linux/amd64). Raises
        RegistryError; InvalidDocumentError if this is not an image, or has none for that platform; InvalidValueError
        for an invalid reference.
        """
        return cls.load(Location(REGISTRY, reference=Reference.parse(reference)), platform=platform, access=access)

    @classmethod
    def from_layout(cls, directory: str, name: str = "", *, platform: str | None = None) -> Image:
        """Return the image called `name`, or the only image, of an OCI layout (image spec, image-layout.md).

        The image for `platform` is selected as in `from_registry`. Raises LayoutError, InvalidDocumentError.
        """
        return cls.load(Location(OCI, check_path(directory), check_name(name)), platform=platform)

    @classmethod
    def from_archive(cls, path: str, name: str = "", *, platform: str | None = None) -> Image:
        """Return the image called `name`, or the only image, of an archive, which may be compressed.

        The archive is a tar of an OCI layout (image spec, image-layout.md) or the output of `docker save` (Docker's
        image spec 1.2, "Combined Image JSON + Filesystem Changeset Format"). Raises LayoutError,
        InvalidDocumentError.
        """
        path = check_path(path)
        return cls.load(Location(archive_kind(path), path, check_name(name)), platform=platform)

    @classmethod
    def load(
        cls, source: str | Location, *, platform: str | None = None, access: RegistryAccess | None = None
    ) -> Image:
        """Return the image at a source as the command accepts it: `oci:DIR:TAG`, `docker-archive:FILE`, a reference...

        The image for `platform` is selected as in `from_registry`. Raises DocklessError.
        """
        location = to_location(source)
        access = to_access(access)
        with access, open_image(location, access) as opened:
            requested = Platform.parse(platform) if platform else None
            manifest = select_manifest(opened, requested)
            documents = read_image(opened.source, manifest, str(location))
        layer_source = SourceLocation(location, access)
        return cls(documents, {layer.digest: layer_source for layer in manifest.layers}, requested)

    # Properties

    @property
    def digest(self) -> Digest:
        """The manifest's digest, which `name@sha256:...` names. It is known before the image is saved."""
        return self._documents.manifest.digest

    @property
    def platform(self) -> Platform:
        """The platform in the config."""
        return self._documents.platform

    @property
    def layers(self) -> tuple[ImageLayer, ...]:
        """The layers, lowest first, each with its descriptor and diff ID."""
        return self._documents.layers

    @property
    def config(self) -> dict[str, Any]:
        """A copy of the config document (image spec, config.md)."""
        return copy.deepcopy(dict(self._documents.config.document))

    @property
    def config_bytes(self) -> bytes:
        """The config as it is stored."""
        return self._documents.config_bytes

    @property
    def manifest_bytes(self) -> bytes:
        """The manifest as it is stored; `digest` is the digest of these bytes."""
        return self._documents.manifest.raw

    @property
    def env(self) -> dict[str, str]:
        """The environment variables, in order."""
        return self._documents.config.env

    @property
    def size(self) -> int:
        """The size in bytes of manifest, config and layers, each distinct layer once."""
        return self._documents.size

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Image) and other.digest == self.digest

    def __hash__(self) -> int:
        return hash(self.digest)

    def __copy__(self) -> Image:
        return self

    def __deepcopy__(self, memo: object) -> Image:
        return self

    def __repr__(self) -> str:
        return f"<Image {self.digest} for {self.platform}, {format_count(len(self.layers), 'layer')}>"

    # Edits

    def add_layer(self, layer: Buildable, *, created_by: str = CREATED_BY) -> Image:
        """Return the image with one more layer on top, which is built now. Raises LayerError.

        `created_by` is the layer's text in the history. Layers for Windows cannot be built: an image for Windows takes
        only archives of such layers (`Layer.from_tarball`). Raises InvalidValueError for other layers.
        """
        check_created_by(created_by)
        built, directory = build_layer(layer, self.platform)
        added = ImageLayer(built.descriptor, built.diff_id, created_by)
        return self._with(self._assemble([added]), {built.descriptor.digest: directory})

    def add_remote_layer(
        self,
        digest: str,
        diff_id: str,
        size: int,
        *,
        urls: Sequence[str] = (),
        media_type: str = "",
        repository: str = "",
        created_by: str = CREATED_BY,
        access: RegistryAccess | None = None,
    ) -> Image:
        """Return the image with an existing layer on top, given by its digest, diff ID and size in bytes.

        If the destination does not have the layer, the layer is read from `repository` (`host/path`), or without
        `repository` from the first of `urls` that works, and is verified. The default `media_type` is that of a gzip
        layer. Raises InvalidValueError.
        """
        check_created_by(created_by)
        if not isinstance(media_type, str):
            raise InvalidValueError(f"the media type of the layer {digest} is {media_type!r:.100}, not a string")
        kind = media_type or media_types.layer_media_type("gzip", self._documents.image_format)
        if isinstance(size, bool) or not isinstance(size, int) or size < 0:
            raise InvalidValueError(
                f"the size of the layer {digest} must be a number of bytes, not {size!r}", hint="pass an integer"
            )
        added = ImageLayer(Descriptor(kind, Digest(digest), size, layer_urls(urls)), Digest(diff_id), created_by)
        layer_sources: dict[Digest, SourceLocation] = {}
        if repository:
            location = Location(REGISTRY, reference=Reference.parse(repository))
            layer_sources[added.descriptor.digest] = SourceLocation(location, to_access(access))
        return self._with(self._assemble([added]), layer_sources)

    def remove_layer(self, digest: str) -> Image:
        """Return the image without the layer of that digest or diff ID, and without the layer's history.

        Raises InvalidValueError, with the layers of the image, if there is no such layer.
        """
        return self._with(self._assemble((), remove_layers=[digest]))

    def replace_layer(self, digest: str, layer: Buildable, *, created_by: str = CREATED_BY) -> Image:
        """Return the image with `layer` instead of the layer of that digest. Raises InvalidValueError, LayerError."""
        check_created_by(created_by)
        built, directory = build_layer(layer, self.platform)
        new = ImageLayer(built.descriptor, built.diff_id, created_by)
        return self._with(replace_layer(self._documents, digest, new), {built.descriptor.digest: directory})

    def with_config(
        self,
        *,
        entrypoint: Iterable[str] | None = None,
        cmd: Iterable[str] | None = None,
        env: Mapping[str, str] | None = None,
        working_dir: str | None = None,
        user: str | None = None,
        labels: Mapping[str, str] | None = None,
        exposed_ports: Iterable[str] | None = None,
        volumes: Iterable[str] | None = None,
        stop_signal: str | None = None,
        healthcheck: Mapping[str, Any] | None = None,
        created: str | None = None,
        raw: Mapping[str, Any] | None = None,
    ) -> Image:
        r"""Return the image with changes to its config; None keeps a value. Raises InvalidValueError.

        `env` and `labels` are merged by name, `exposed_ports` and `volumes` are added to those of the image, and an
        empty one removes them; the other values replace those of the image. In a value of `env`, `$NAME` and `${NAME}`
        are replaced by variables of the image; `\$` is a dollar sign. A new `entrypoint` without a `cmd`
        removes the image's `cmd`. `healthcheck` has the keys of Docker, with times in nanoseconds. `created` is a time
        in RFC 3339 format; every edit sets it, by default to 1970, so the last edit decides. `raw` is a JSON merge
        patch (RFC 7396) to the whole config, for other keys: `{"config": {"OnBuild": None}, "author": "me"}`.
        """
        edit = ConfigEdit(
            entrypoint=strings("entrypoint", entrypoint),
            cmd=strings("cmd", cmd),
            env=env,
            working_dir=working_dir,
            user=user,
            labels=labels,
            exposed_ports=strings("exposed_ports", exposed_ports),
            volumes=strings("volumes", volumes),
            stop_signal=stop_signal,
            healthcheck=healthcheck,
            created=created,
            raw=raw,
        )
        return self._with(self._assemble((), edit=edit))

    def with_annotations(self, annotations: Mapping[str, str]) -> Image:
        """Return the image with annotations merged by name into those of its manifest (image spec, annotations.md).

        Raises InvalidValueError for an empty name, and for values that are not strings.
        """
        return self._with(self._assemble((), annotations=annotations))

    def with_format(self, image_format: str) -> Image:
        """Return the image with the media types of `oci` or `docker`.

        Raises InvalidValueError for a layer whose compression that format does not have.
        """
        return self._with(self._assemble((), image_format=image_format))

    def with_compressed_layers(self) -> Image:
        """Return the image with its uncompressed layers compressed, as `copy_image` does for docker-archives.

        The layers are read and compressed now. Raises LayoutError for a layer that does not match its diff ID.
        """
        from dockless.transfer.recompress import compress_image

        return self._with(*compress_image(self._documents, self._layer_sources))

    def rebase(self, old: Image, new: Image) -> Image:
        """Return the image on the base `new` instead of its base `old`. No layer is built.

        Config values that this image has from `old` are replaced by those of `new`. Raises InvalidValueError if the
        lowest layers are not those of `old`, or if `new` is for another platform.
        """
        for image in (old, new):
            if not isinstance(image, Image):
                raise InvalidValueError(f"{image!r:.100} is not an Image", hint="write Image.load(...)")
        return self._with(rebase(self._documents, old._documents, new._documents), new._layer_sources)

    # Saving

    def save(
        self,
        *destinations: str | Location,
        tags: Sequence[str] = (),
        access: RegistryAccess | None = None,
        force_upload: bool = False,
        keep_foreign_layers: bool = True,
        progress: Progress = silent,
    ) -> PushResult:
        """Save the image to each destination, under the destination's own name and `tags`.

        A destination is a reference, `oci:DIR[:TAG]`, `oci-archive:FILE[:TAG]` or `docker-archive:FILE[:REF]`. In a
        registry, an image without a name gets the tag `latest`. Blobs that the destination has are not sent, and
        layers from the same registry are mounted. The result has the digest, all references, and the sums of blobs and
        bytes. Raises DocklessError.
        """
        for warning in self._documents.warnings:
            logger.warning(warning)
        return save_images(
            self._documents.manifest,
            [self._documents],
            self._layer_sources,
            destinations,
            tags=tags,
            access=access,
            force_upload=force_upload,
            keep_foreign_layers=keep_foreign_layers,
            progress=progress,
        )

    def prefetch(self, destination: str | Location, *, access: RegistryAccess | None = None) -> Future[PrefetchResult]:
        """Start to copy the current layers to a registry in the background, for a later `save` to that registry.

        More layers can be built meanwhile. `result()` of the future waits for the copy and raises its DocklessError.
        Raises InvalidValueError for a destination that is not a registry.
        """
        location = to_destination(destination)
        if location.kind != REGISTRY:
            raise InvalidValueError(
                f"cannot prefetch to {location}", cause="it is not a registry", hint="use save instead"
            )
        return start_prefetch(self._documents.manifest.layers, self._layer_sources, location, to_access(access))

    def _assemble(
        self, layers: Sequence[ImageLayer], *, edit: ConfigEdit | None = None, **changes: Any
    ) -> ImageDocuments:
        # A platform that the image has may have been changed by an edit.
        platform = None if self.platform.is_complete else self._requested
        return assemble_image(platform, layers, edit or ConfigEdit(), base=self._documents, **changes)

    def _with(self, documents: ImageDocuments, layer_sources: LayerSources | None = None) -> Image:
        return Image(documents, {**self._layer_sources, **(layer_sources or {})}, self._requested)
