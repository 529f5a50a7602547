"""`Image`: an image as a value, from anywhere, edited, and saved to anywhere."""

from __future__ import annotations

import copy
import logging
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Future
from typing import Any, Protocol

from dockless.errors import InvalidValueError
from dockless.layer.builder import BuiltLayer
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
from dockless.oci.validation import is_plain_url
from dockless.registry.http.url_policy import redact
from dockless.registry.progress import Progress, silent
from dockless.registry.push_result import PushResult
from dockless.transfer.layer_sources import Origins, Place, Scratch
from dockless.transfer.locations import (
    DOCKER_ARCHIVE,
    OCI,
    OCI_ARCHIVE,
    REGISTRY,
    Location,
    to_destination,
    to_location,
)
from dockless.transfer.open import choose, open_source, read_documents
from dockless.transfer.prefetch import Synced, start_sync
from dockless.transfer.registry_access import Access
from dockless.transfer.save_all import save_everywhere

logger = logging.getLogger("dockless.image")


class Buildable(Protocol):
    """What `add_layer` takes: a `Layer`, or anything else that builds one."""

    def build(self, directory: str) -> BuiltLayer:
        """Writes the layer's blob to `directory`, as a file named by its digest's digits."""
        ...


class Image:
    """One image for one platform: manifest, config (image spec, manifest.md and config.md), and where its layers are.

    Immutable: edits return a new one.

    Only manifest and config are read at first; layers are when the image is saved, and only those that the destination
    lacks. `digest` is known before anything is sent. Made by `scratch`, `from_registry`, `from_layout`, `from_archive`
    and `load`. How registries are reached (credentials, TLS, jobs) is an `Access`; the one an image was read with is
    used for its layers later.
    """

    __slots__ = ("_documents", "_origins")

    def __init__(self, documents: ImageDocuments, origins: Origins) -> None:
        """For the library's own use."""
        self._documents = documents
        self._origins = dict(origins)

    @property
    def origins(self) -> Origins:
        """Where its layers are to be had from; for the library's own use."""
        return self._origins

    @classmethod
    def scratch(cls, platform: str = "linux/amd64", *, image_format: str = "oci") -> Image:
        """An image with no layers; `image_format` is `oci` or `docker`. Raises InvalidValueError."""
        return cls(assemble_image(Platform.parse(platform), (), ConfigEdit(), image_format=image_format), {})

    @classmethod
    def from_registry(cls, reference: str, *, platform: str | None = None, access: Access | None = None) -> Image:
        """The image of a reference such as `ghcr.io/acme/app:1` or `alpine@sha256:...`, which is then verified.

        Of an index, the one for `platform` (None: the only one, else linux/amd64). Raises RegistryError,
        InvalidDocumentError for what is no image or has none for that platform, InvalidValueError for a bad reference.
        """
        return cls.load(Location(REGISTRY, reference=Reference.parse(reference)), platform=platform, access=access)

    @classmethod
    def from_layout(cls, directory: str, name: str = "", *, platform: str | None = None) -> Image:
        """The image called `name` (or the only one) of an OCI layout, a folder (image spec, image-layout.md).

        Of an index, the one for `platform`, as for `from_registry`. Raises LayoutError, InvalidDocumentError.
        """
        return cls.load(Location(OCI, directory, name), platform=platform)

    @classmethod
    def from_archive(cls, path: str, name: str = "", *, platform: str | None = None) -> Image:
        """The image called `name` (or the only one) of an archive, compressed or not.

        It may be a tar of an OCI layout (image spec, image-layout.md) or what `docker save` writes (Docker's image
        spec 1.2, "Combined Image JSON + Filesystem Changeset Format"). Raises LayoutError, InvalidDocumentError.
        """
        from dockless.tar.index import TarFiles

        with TarFiles(path) as files:
            # Docker's own archives are both from its version 25 on.
            kind = OCI_ARCHIVE if files.size("oci-layout") is not None else DOCKER_ARCHIVE
        return cls.load(Location(kind, path, name), platform=platform)

    @classmethod
    def load(cls, source: str | Location, *, platform: str | None = None, access: Access | None = None) -> Image:
        """The image at any source, written as for the command: `oci:DIR:TAG`, `docker-archive:FILE`, a reference...

        Of an index, the one for `platform`, as for `from_registry`. Raises DocklessError.
        """
        where = to_location(source)
        used = access or Access()
        with used, open_source(where, used) as found:
            manifest = choose(found, Platform.parse(platform) if platform else None)
            documents = read_documents(manifest, found.content, str(where))
        place = Place(where, used)
        return cls(documents, {layer.digest: place for layer in manifest.layers})

    # What it is

    @property
    def digest(self) -> Digest:
        """The manifest's digest: what `name@sha256:...` names."""
        return self._documents.manifest.digest

    @property
    def platform(self) -> Platform:
        """Where it runs, as its config says."""
        return self._documents.platform

    @property
    def layers(self) -> tuple[ImageLayer, ...]:
        """The layers, lowest first, each with its descriptor and diff id."""
        return self._documents.layers

    @property
    def config(self) -> dict[str, Any]:
        """The whole config document, a copy (image spec, config.md)."""
        return copy.deepcopy(dict(self._documents.config.document))

    @property
    def env(self) -> dict[str, str]:
        """The environment, in its order."""
        return self._documents.config.env

    @property
    def size(self) -> int:
        """Bytes in all: each layer's blob once, config and manifest."""
        return self._documents.size

    @property
    def documents(self) -> ImageDocuments:
        """Manifest and config, with the bytes that their digests are of."""
        return self._documents

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Image) and other.digest == self.digest

    def __hash__(self) -> int:
        return hash(self.digest)

    def __repr__(self) -> str:
        return f"<Image {self.digest} for {self.platform}, {len(self.layers)} layers>"

    # Edits

    def add_layer(self, layer: Buildable, *, created_by: str = CREATED_BY) -> Image:
        """The image with one more layer on top; it is built now. `created_by` is its line of history.

        Raises LayerError.
        """
        built, scratch = _build(layer)
        added = ImageLayer(built.descriptor, built.diff_id, created_by)
        return self._with(self._assembled([added]), {built.descriptor.digest: scratch})

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
        access: Access | None = None,
    ) -> Image:
        """The image with a layer on top that exists already, known by digest, diff id and size in bytes.

        It is had from `repository` (`host/path`), if given, or from the first of `urls` that works, unless the
        destination has it. `media_type` is that of a gzip layer unless given. That the layer is what is said of it is
        checked when its bytes pass. Raises InvalidValueError.
        """
        kind = media_type or media_types.layer_media_type("gzip", self._documents.image_format)
        if isinstance(size, bool) or not isinstance(size, int) or size < 0:
            raise InvalidValueError(f"the size of the layer {digest} is {size!r}", hint="write its bytes")
        found_urls = _strings("urls", urls) or ()
        for url in found_urls:
            if not is_plain_url(url):
                raise InvalidValueError(
                    f"{redact(url)} is no plain url", hint="write http:// or https://, with no password"
                )
        added = ImageLayer(Descriptor(kind, Digest(digest), size, found_urls), Digest(diff_id), created_by)
        origins: dict[Digest, Place] = {}
        if repository:
            where = Location(REGISTRY, reference=Reference.parse(repository))
            origins[added.descriptor.digest] = Place(where, access or Access())
        return self._with(self._assembled([added]), origins)

    def remove_layer(self, digest: str) -> Image:
        """The image without the layer of that digest (of its blob, or of what is inside), wherever it stands.

        Diff id and history go with it. Raises InvalidValueError, listing the layers, when there is none.
        """
        return self._with(self._assembled((), remove_layers=[digest]))

    def replace_layer(self, digest: str, layer: Buildable, *, created_by: str = CREATED_BY) -> Image:
        """The image with `layer` in the place of the one of that digest. Raises InvalidValueError, LayerError."""
        built, scratch = _build(layer)
        new = ImageLayer(built.descriptor, built.diff_id, created_by)
        return self._with(replace_layer(self._documents, digest, new), {built.descriptor.digest: scratch})

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
        """The image with another config; None leaves what there is.

        `env` and `labels` are merged by name, the others replace. In a value of `env`, `$NAME` and `${NAME}` stand for
        what the image sets, `\\\\$` for a dollar sign. A new `entrypoint` without a `cmd` clears the base's.
        `healthcheck` has Docker's keys, times in nanoseconds. `created` is a time as RFC 3339 writes it; each edit of
        an image sets it anew, to 1970 unless it is said, so the last one's counts. `raw` is a JSON merge patch
        (RFC 7396) to the whole config, for what has no name here: `{"config": {"OnBuild": None}, "author": "me"}`.
        Raises InvalidValueError.
        """
        edit = ConfigEdit(
            entrypoint=_strings("entrypoint", entrypoint),
            cmd=_strings("cmd", cmd),
            env=env,
            working_dir=working_dir,
            user=user,
            labels=labels,
            exposed_ports=_strings("exposed_ports", exposed_ports),
            volumes=_strings("volumes", volumes),
            stop_signal=stop_signal,
            healthcheck=healthcheck,
            created=created,
            raw=raw,
        )
        return self._with(assemble_image(None, (), edit, base=self._documents))

    def with_annotations(self, annotations: Mapping[str, str]) -> Image:
        """The image with annotations merged by name into its manifest's (image spec, annotations.md).

        Raises InvalidValueError for what is not text, or has no name.
        """
        return self._with(self._assembled((), annotations=annotations))

    def with_format(self, image_format: str) -> Image:
        """The image with the media types of `oci` or `docker`.

        Raises InvalidValueError for a layer that has none there.
        """
        return self._with(self._assembled((), image_format=image_format))

    def rebase(self, old: Image, new: Image) -> Image:
        """The image on the base `new`, in place of the base `old` that it stands on; nothing is built again.

        Of the config, what this image has as `old` has it follows `new`. Raises InvalidValueError when its lowest
        layers are
        not those of `old`, or `new` is for another platform.
        """
        return self._with(rebase(self._documents, old._documents, new._documents), new._origins)

    # Sending it

    def save(
        self,
        *destinations: str | Location,
        tags: Sequence[str] = (),
        access: Access | None = None,
        force_upload: bool = False,
        keep_foreign_layers: bool = True,
        progress: Progress = silent,
    ) -> PushResult:
        """Saves the image to each destination, under its own name and `tags` (neither: `latest` in a registry).

        A destination is written as for the command: a reference, `oci:DIR[:TAG]`, `oci-archive:FILE[:TAG]`,
        `docker-archive:FILE[:REF]`. What is there is not sent again; layers of the same registry are mounted. The
        result has the digest, all references, and counts of blobs and bytes, summed. Raises DocklessError.
        """
        for warning in self._documents.warnings:
            logger.warning(warning)
        return save_everywhere(
            self._documents.manifest,
            [self._documents],
            self._origins,
            destinations,
            tags=tags,
            access=access,
            force_upload=force_upload,
            keep_foreign_layers=keep_foreign_layers,
            progress=progress,
        )

    def sync(self, destination: str | Location, *, access: Access | None = None) -> Future[Synced]:
        """Starts to copy the layers that it has by now to a registry, and returns at once.

        While they are copied, more layers can be built; `save` then finds these there. `result()` of what is returned
        waits, and raises what went wrong. Raises InvalidValueError for a destination that is no registry.
        """
        where = to_destination(destination)
        if where.kind != REGISTRY:
            raise InvalidValueError(f"cannot sync to {where}", cause="it is no registry", hint="save to it")
        return start_sync(self._documents.manifest.layers, self._origins, where, access or Access())

    def _assembled(self, layers: Sequence[ImageLayer], **changes: Any) -> ImageDocuments:
        return assemble_image(None, layers, ConfigEdit(), base=self._documents, **changes)

    def _with(self, documents: ImageDocuments, origins: Origins | None = None) -> Image:
        return Image(documents, {**self._origins, **(origins or {})})


def _build(layer: Buildable) -> tuple[BuiltLayer, Scratch]:
    if not hasattr(layer, "build"):
        raise InvalidValueError(
            f"{layer!r:.100} is no layer", hint="write Layer.from_files({path in the image: path here})"
        )
    scratch = Scratch()
    built = layer.build(scratch.path)
    for warning in built.warnings:
        logger.warning(warning)
    return built, scratch


def _strings(field: str, values: Iterable[str] | None) -> tuple[str, ...] | None:
    if values is None:
        return None
    if isinstance(values, str):
        shown = f'["sh", "-c", {values!r}] or the like' if field in ("cmd", "entrypoint") else f"[{values!r}]"
        raise InvalidValueError(f"{field} is text, not a list", hint=f"write {shown}")
    return tuple(values)
