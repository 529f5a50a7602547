"""`Index`: images for several platforms under one name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from dockless.image.image import Image
from dockless.mutate.index import assemble_index
from dockless.oci.digest import Digest
from dockless.oci.manifest import Index as IndexDocument
from dockless.oci.platform import Platform
from dockless.registry.progress import Progress, silent
from dockless.registry.push_result import PushResult
from dockless.transfer.locations import Location
from dockless.transfer.registry_access import Access
from dockless.transfer.save_all import save_everywhere


class Index:
    """Images in their order, one a platform (image spec, image-index.md). Immutable."""

    __slots__ = ("_document", "_images")

    def __init__(
        self,
        images: Iterable[Image],
        *,
        image_format: str | None = None,
        annotations: Mapping[str, str] | None = None,
    ) -> None:
        """`image_format` None: `docker` if all images are, else `oci`.

        Raises InvalidValueError: none, a platform twice.
        """
        self._images = tuple(images)
        self._document = assemble_index(
            [image.documents for image in self._images], image_format=image_format, annotations=annotations
        )

    @property
    def images(self) -> tuple[Image, ...]:
        """In their order."""
        return self._images

    @property
    def digest(self) -> Digest:
        """The digest of the index itself: what `name@sha256:...` names."""
        return self._document.digest

    @property
    def document(self) -> IndexDocument:
        """The index, with the bytes that its digest is of."""
        return self._document

    def platform(self, platform: str) -> Image:
        """The image for `platform`. Raises InvalidDocumentError, listing those there are."""
        found = self._document.select(Platform.parse(platform), f"the index {self.digest}")
        return next(image for image in self._images if image.digest == found.digest)

    def save(
        self,
        *destinations: str | Location,
        tags: Sequence[str] = (),
        access: Access | None = None,
        force_upload: bool = False,
        keep_foreign_layers: bool = True,
        progress: Progress = silent,
    ) -> PushResult:
        """Saves the index and all its images; as `Image.save`. Raises DocklessError."""
        return save_everywhere(
            self._document,
            [image.documents for image in self._images],
            {digest: origin for image in self._images for digest, origin in image.origins.items()},
            destinations,
            tags=tags,
            access=access,
            force_upload=force_upload,
            keep_foreign_layers=keep_foreign_layers,
            progress=progress,
        )
