"""Assembles an index of images, one for each platform."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from dockless.errors import InvalidValueError
from dockless.mutate.assemble import check_annotations
from dockless.oci.image_documents import ImageDocuments
from dockless.oci.manifest import Index, make_index
from dockless.oci.platform import Platform


def assemble_index(
    images: Iterable[ImageDocuments], *, image_format: str | None = None, annotations: Mapping[str, str] | None = None
) -> Index:
    """Return an index of `images` in their order.

    `image_format` None is `docker` if all images are Docker's, else `oci`. Raises InvalidValueError for no image, for
    two images of one platform, and for an OCI image in a Docker manifest list, which Docker's own tools do not read.
    """
    check_annotations(annotations)
    entries = tuple(images)
    if not entries:
        raise InvalidValueError("an index needs an image")
    target = image_format or ("docker" if all(image.image_format == "docker" for image in entries) else "oci")
    seen: dict[Platform, ImageDocuments] = {}
    for image in entries:
        platform = image.platform.normalized()
        if platform in seen:
            raise InvalidValueError(
                f"two images are for {str(image.platform) or 'no platform'}",
                cause=f"{seen[platform].manifest.digest} and {image.manifest.digest}",
                hint="give one image a platform",
            )
        seen[platform] = image
        if target == "docker" and image.image_format != "docker":
            raise InvalidValueError(
                f"the image for {image.platform} has the format oci",
                hint="build the image as docker, or the index as oci",
            )
    return make_index([image.descriptor for image in entries], image_format=target, annotations=annotations)
