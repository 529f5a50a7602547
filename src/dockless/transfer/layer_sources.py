"""Where the layers of an image are to be had from: places that hold them, and layers that were built here."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import NamedTuple, Union

from dockless.blobs import BlobSource, DirectoryBlobs, MissingBlobs, RoutedBlobs
from dockless.oci.digest import Digest
from dockless.transfer.locations import Location
from dockless.transfer.open import open_content
from dockless.transfer.registry_access import Access


class Place(NamedTuple):
    """A location that holds blobs, and how it is reached."""

    location: Location
    access: Access


class Scratch:
    """A folder for a layer that was built, gone when no image needs it any more, or at the program's end."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="dockless-")
        self.path = self._folder.name


Origins = Mapping[Digest, Union[Place, Scratch]]


@contextmanager
def opened(origins: Origins, digests: Iterable[Digest]) -> Iterator[BlobSource]:
    """A source for the blobs `digests`, until the body ends. What has no origin is not there."""
    with ExitStack() as stack:
        places: dict[Place, BlobSource] = {}
        routes: dict[Digest, BlobSource] = {}
        for digest in digests:
            origin = origins.get(digest)
            if isinstance(origin, Scratch):
                routes[digest] = DirectoryBlobs(origin.path)
            elif origin is not None:
                if origin not in places:
                    places[origin] = stack.enter_context(open_content(*origin))
                routes[digest] = places[origin]
        yield RoutedBlobs(MissingBlobs(), routes)


def mounts(origins: Origins, destination: Location) -> dict[Digest, tuple[str, ...]]:
    """Which repository of the destination's registry has a blob already."""
    found: dict[Digest, tuple[str, ...]] = {}
    if destination.reference is not None:
        for digest, origin in origins.items():
            reference = origin.location.reference if isinstance(origin, Place) else None
            if reference is not None and reference.registry == destination.reference.registry:
                found[digest] = (reference.repository,)
    return found
