"""`ImageIndex`: images for several platforms under one name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from dockless.errors import InvalidDocumentError, InvalidValueError
from dockless.image.image import Image
from dockless.mutate.index import assemble_index
from dockless.oci.digest import Digest
from dockless.oci.platform import Platform, choose
from dockless.registry.progress import Progress, silent
from dockless.registry.push_result import PushResult
from dockless.transfer.locations import Location
from dockless.transfer.registry_access import RegistryAccess
from dockless.transfer.save import save_images


class ImageIndex:
    """Images in order, one for each platform (image spec, image-index.md). Immutable."""

    __slots__ = ("_document", "_images")

    def __init__(
        self,
        images: Iterable[Image],
        *,
        image_format: str | None = None,
        annotations: Mapping[str, str] | None = None,
    ) -> None:
        """Create an index of `images`.

        `image_format` is `oci` or `docker`; None selects `docker` if all images have that format, else `oci`. Raises
        InvalidValueError without images, or for two images with the same platform.
        """
        self._images = tuple(images) if isinstance(images, Iterable) else ()
        for image in self._images if isinstance(images, Iterable) else (images,):
            if not isinstance(image, Image):
                raise InvalidValueError(f"{image!r:.100} is not an Image", hint="write a list of images")
        self._document = assemble_index(
            [image._documents for image in self._images], image_format=image_format, annotations=annotations
        )

    @property
    def images(self) -> tuple[Image, ...]:
        """The images, in order."""
        return self._images

    @property
    def digest(self) -> Digest:
        """The digest of the index, which `name@sha256:...` names."""
        return self._document.digest

    @property
    def index_bytes(self) -> bytes:
        """The index as it is stored; `digest` is the digest of these bytes."""
        return self._document.raw

    def platform(self, platform: str) -> Image:
        """Return the image for `platform`. Raises InvalidDocumentError, with the platforms of the index."""
        requested = Platform.parse(platform)
        selected = choose(self._images, lambda image: image.platform, requested)
        if selected is None:
            available = ", ".join(sorted(str(image.platform) for image in self._images))
            raise InvalidDocumentError(
                f"the index {self.digest} has no image for {requested}", cause=f"it has {available}"
            )
        return selected

    def save(
        self,
        *destinations: str | Location,
        tags: Sequence[str] = (),
        access: RegistryAccess | None = None,
        force_upload: bool = False,
        keep_foreign_layers: bool = True,
        progress: Progress = silent,
    ) -> PushResult:
        """Save the index and all its images, as `Image.save` does. Raises DocklessError."""
        return save_images(
            self._document,
            [image._documents for image in self._images],
            {digest: source for image in self._images for digest, source in image._layer_sources.items()},
            destinations,
            tags=tags,
            access=access,
            force_upload=force_upload,
            keep_foreign_layers=keep_foreign_layers,
            progress=progress,
        )
