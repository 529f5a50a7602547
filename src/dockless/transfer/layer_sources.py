"""The sources of an image's layers: other locations, and directories of layers that were built."""

from __future__ import annotations

import os
import shutil
import tempfile
import weakref
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Union

from dockless._files import open_regular
from dockless.blobs import BlobSource, DirectoryBlobs, MissingBlobs, RoutedBlobs
from dockless.oci.digest import Digest
from dockless.transfer.locations import Location
from dockless.transfer.open import open_blobs
from dockless.transfer.registry_access import RegistryAccess


@dataclass(frozen=True)
class SourceLocation:
    """A location that has the blobs of layers, and the access to it."""

    location: Location
    access: RegistryAccess


class BuildDirectory:
    """A temporary directory for a built layer, removed when no image needs the layer, or when the program ends."""

    def __init__(self) -> None:
        self.path = tempfile.mkdtemp(prefix="dockless-")
        # `tempfile.TemporaryDirectory` would warn: nothing closes the directory, because images share it.
        weakref.finalize(self, shutil.rmtree, self.path, ignore_errors=True)

    def __getstate__(self) -> dict[str, bytes]:
        """Return the content of the files. The directory may be gone when the pickle is loaded, by another process."""
        content = {}
        for name in os.listdir(self.path):
            with open_regular(os.path.join(self.path, name), follow_symlinks=False) as file:
                content[name] = file.read()
        return content

    def __setstate__(self, content: dict[str, bytes]) -> None:
        """Write the files to a new directory."""
        BuildDirectory.__init__(self)
        for name, data in content.items():
            # A pickle runs code of its author: it is loaded only if it can be trusted, and so can the names.
            with open(os.path.join(self.path, name), "xb") as file:
                file.write(data)


# Layers by the digest of their blobs.
LayerSources = Mapping[Digest, Union[SourceLocation, BuildDirectory]]


@contextmanager
def open_layer_sources(layer_sources: LayerSources, digests: Iterable[Digest]) -> Iterator[BlobSource]:
    """Open a source for the blobs `digests` until the body ends. It has no blob whose source is not known."""
    with ExitStack() as stack:
        opened: dict[SourceLocation, BlobSource] = {}
        routes: dict[Digest, BlobSource] = {}
        for digest in digests:
            layer_source = layer_sources.get(digest)
            if isinstance(layer_source, BuildDirectory):
                routes[digest] = DirectoryBlobs(layer_source.path)
            elif layer_source is not None:
                if layer_source not in opened:
                    opened[layer_source] = stack.enter_context(open_blobs(layer_source.location, layer_source.access))
                routes[digest] = opened[layer_source]
        yield RoutedBlobs(MissingBlobs(), routes)


def mount_repositories(layer_sources: LayerSources, destination: Location) -> dict[Digest, tuple[str, ...]]:
    """Return, for each blob, the repositories of the destination's registry that already have it."""
    repositories: dict[Digest, tuple[str, ...]] = {}
    if destination.reference is not None:
        for digest, layer_source in layer_sources.items():
            reference = layer_source.location.reference if isinstance(layer_source, SourceLocation) else None
            if reference is not None and reference.registry == destination.reference.registry:
                repositories[digest] = (reference.repository,)
    return repositories
