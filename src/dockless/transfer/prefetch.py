"""Copies an image's layers to a registry before the image is saved, while other layers are built."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import Future
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from dockless._concurrency import WorkerPool
from dockless.oci.descriptor import Descriptor
from dockless.transfer.layer_sources import LayerSources, mount_repositories, open_layer_sources
from dockless.transfer.locations import Location
from dockless.transfer.registry_access import RegistryAccess

if TYPE_CHECKING:
    from dockless.registry.push_result import BlobResult


@dataclass(frozen=True)
class PrefetchResult:
    """The numbers of layers that were sent, mounted and already present, and the bytes sent."""

    blobs_sent: int
    bytes_sent: int
    blobs_mounted: int
    blobs_present: int


def start_prefetch(
    layers: Sequence[Descriptor], layer_sources: LayerSources, destination: Location, access: RegistryAccess
) -> Future[PrefetchResult]:
    """Start to copy `layers`, other than foreign ones, in a thread. The future raises DocklessError."""
    future: Future[PrefetchResult] = Future()

    def run() -> None:
        try:
            future.set_result(_prefetch(layers, layer_sources, destination, access))
        except BaseException as error:
            future.set_exception(error)

    future.set_running_or_notify_cancel()
    threading.Thread(target=run, name="dockless-prefetch", daemon=True).start()
    return future


def _prefetch(
    layers: Sequence[Descriptor], layer_sources: LayerSources, destination: Location, access: RegistryAccess
) -> PrefetchResult:
    reference = destination.registry_reference
    needed = {layer.digest: layer for layer in layers if not layer.is_foreign}
    mount_from = mount_repositories(layer_sources, destination)
    with ExitStack() as stack:
        stack.enter_context(access)
        source = stack.enter_context(open_layer_sources(layer_sources, needed))
        client = access.client(reference)
        workers = WorkerPool(access.jobs)
        results: list[BlobResult] = []

        def ensure(layer: Descriptor) -> None:
            repositories = mount_from.get(layer.digest, ())
            results.append(
                client.ensure_blob(reference.repository, layer, source, mount_from=repositories, stop=workers.stop)
            )

        workers.run([partial(ensure, layer) for layer in needed.values()])
    outcomes = [result.how for result in results]
    return PrefetchResult(
        blobs_sent=outcomes.count("sent"),
        bytes_sent=sum(result.bytes_sent for result in results),
        blobs_mounted=outcomes.count("mounted"),
        blobs_present=outcomes.count("present"),
    )
