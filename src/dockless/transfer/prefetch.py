"""Copies an image's layers to a registry ahead of the image, while others are still built."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import Future
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from dockless._concurrency import WorkerPool
from dockless.oci.descriptor import Descriptor
from dockless.transfer.layer_sources import Origins, mounts, opened
from dockless.transfer.locations import Location
from dockless.transfer.registry_access import Access

if TYPE_CHECKING:
    from dockless.registry.uploader import BlobResult


class Synced(NamedTuple):
    """What became of the layers, and the bytes that were sent."""

    blobs_sent: int
    bytes_sent: int
    blobs_mounted: int
    blobs_present: int


def start_sync(layers: Sequence[Descriptor], origins: Origins, destination: Location, access: Access) -> Future[Synced]:
    """Begins in a thread of its own; foreign layers stay where they are. The future raises DocklessError."""
    done: Future[Synced] = Future()

    def run() -> None:
        try:
            done.set_result(_sync(layers, origins, destination, access))
        except BaseException as error:
            done.set_exception(error)

    done.set_running_or_notify_cancel()
    threading.Thread(target=run, name="dockless-sync", daemon=True).start()
    return done


def _sync(layers: Sequence[Descriptor], origins: Origins, destination: Location, access: Access) -> Synced:
    reference = destination.registry_reference
    wanted = {layer.digest: layer for layer in layers if not layer.is_foreign}
    mount_from = mounts(origins, destination)
    with ExitStack() as stack:
        stack.enter_context(access)
        content = stack.enter_context(opened(origins, wanted))
        client = access.client(reference)

        crew = WorkerPool(access.jobs)
        results: list[BlobResult] = []

        def ensure(layer: Descriptor) -> None:
            sources = mount_from.get(layer.digest, ())
            results.append(client.ensure_blob(reference.repository, layer, content, mount_from=sources, stop=crew.stop))

        crew.run([partial(ensure, layer) for layer in wanted.values()])
    hows = [result.how for result in results]
    return Synced(
        hows.count("sent"),
        sum(result.bytes_sent for result in results),
        hows.count("mounted"),
        hows.count("present"),
    )
