"""Many transfers at the same time, with one client for each registry."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Generic, TypeVar

from dockless._concurrency import WorkerPool
from dockless.errors import DocklessError
from dockless.registry.errors import RegistryConnectionError
from dockless.transfer.registry_access import RegistryAccess

T = TypeVar("T")


@dataclass(frozen=True)
class Transfer(Generic[T]):
    """A transfer of one image.

    run         performs the transfer
    registries  the names of the registries that the transfer needs
    """

    run: Callable[[], T]
    registries: tuple[str, ...] = ()


@dataclass(frozen=True)
class Outcome(Generic[T]):
    """The result of a transfer, or the error that ended it."""

    result: T | None = None
    error: DocklessError | None = None


def run_transfers(
    transfers: Sequence[Transfer[T]],
    access: RegistryAccess,
    *,
    unreachable: dict[str, DocklessError] | None = None,
    on_outcome: Callable[[int, Outcome[T]], None] = lambda index, outcome: None,
) -> list[Outcome[T]]:
    """Run all transfers, at most `access.jobs` at the same time, and return their outcomes in the same order.

    The failure of one transfer does not stop the others. If a registry cannot be reached by one transfer after its
    retries, the other transfers that need the registry fail immediately with the same error. `unreachable` has the
    errors of registries that are known to be unreachable, and those that are found are added. `on_outcome` is called
    with the index and the outcome of each transfer that ends, one call at a time.
    """
    outcomes: dict[int, Outcome[T]] = {}
    failures = {} if unreachable is None else unreachable
    lock = threading.Lock()

    def run(index: int, transfer: Transfer[T]) -> None:
        known = [failures[name] for name in transfer.registries if name in failures]
        try:
            outcome = Outcome[T](error=known[0]) if known else Outcome(transfer.run())
        except DocklessError as error:
            outcome = Outcome(error=error)
        with lock:
            if isinstance(outcome.error, RegistryConnectionError):
                for name in transfer.registries:
                    failure = access.connection_failure(name)
                    if failure is not None:
                        failures.setdefault(name, failure)
            outcomes[index] = outcome
            on_outcome(index, outcome)

    WorkerPool(access.jobs).run([partial(run, index, transfer) for index, transfer in enumerate(transfers)])
    return [outcomes[index] for index in range(len(transfers))]
