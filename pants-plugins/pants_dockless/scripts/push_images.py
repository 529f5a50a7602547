"""Pushes images, or determines what a push has to do: `push_images.py PLAN`. Pants never caches the result.

The field `action` of the plan is `check`, `dry-run` or `push`. The results are a JSON list with an object for each
image, in the file `results` of the plan, or else on the standard output.
"""

import os
import sys
from typing import TYPE_CHECKING, Any, BinaryIO, Callable, Optional

# Pants runs this program with `-I -S`. Only the standard library and the modules next to this file can be imported.
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from registry_program import raise_on_signals, read_plan, run  # type: ignore[import-not-found]

if TYPE_CHECKING:
    from dockless.oci.descriptor import Descriptor
    from dockless.registry.progress import Progress
    from dockless.transfer.batch import Outcome
    from dockless.transfer.registry_access import RegistryAccess

Result = dict[str, Any]


def main(plan_path: str) -> int:
    """Push or check the images, and return the exit status."""
    plan = read_plan(plan_path)

    import json
    from functools import partial

    from push_progress import PushProgress  # type: ignore[import-not-found]

    from dockless.transfer.batch import Transfer, run_transfers
    from dockless.transfer.registry_access import RegistryAccess

    raise_on_signals()
    images = plan["images"]
    blobs = os.path.join(os.path.dirname(plan_path), "blobs/sha256")
    is_push = plan["action"] == "push"
    known_failures = _ConnectionFailures(plan["connection_failures"])
    with (
        RegistryAccess(insecure=plan["insecure"], jobs=plan["jobs"]) as access,
        PushProgress(len(images) if is_push else 0, sum(image["send"] for image in images)) as progress,
    ):

        def report(index: int, outcome: "Outcome[Result]") -> None:
            if outcome.error is not None:
                for name in _registries(images[index]):
                    known_failures.add(name, access.connection_failure(name))
            progress.ended()
            if is_push:
                print(_line(images[index], outcome), file=sys.stderr)

        outcomes = run_transfers(
            [
                Transfer(
                    partial(known_failures.guard, partial(_run, plan["action"], image, blobs, access, progress), image),
                    _registries(image),
                )
                for image in images
            ],
            access,
            on_outcome=report,
        )
    results = [outcome.result or {"error": str(outcome.error)} for outcome in outcomes]
    if plan["results"]:
        with open(plan["results"], "w") as file:
            json.dump(results, file)
    else:
        json.dump(results, sys.stdout)
    return int(is_push and any(outcome.error is not None for outcome in outcomes))


def _registries(image: dict[str, Any]) -> tuple[str, ...]:
    return (image["registry"], *(layer["registry"] for layer in image["remote"]))


def _run(action: str, image: dict[str, Any], blobs: str, access: "RegistryAccess", progress: "Progress") -> Result:
    """Push or check one image."""
    from contextlib import ExitStack, closing

    from dockless.blobs import BlobSource, DirectoryBlobs, RoutedBlobs
    from dockless.image_tree import read_manifest
    from dockless.oci.descriptor import Descriptor
    from dockless.oci.digest import Digest
    from dockless.oci.reference import Reference
    from dockless.registry import RegistryBlobSource, plan_push, push
    from dockless.registry.http.addresses import is_loopback
    from dockless.registry.http.url_policy import split_host
    from dockless.transfer.foreign_layers import ForeignLayerSource

    client = access.client(Reference(image["registry"], image["repository"], "latest"))
    directory = DirectoryBlobs(blobs, _MissingLayers())
    root = read_manifest(
        directory, Descriptor(image["media_type"], Digest(image["digest"]), image["document_size"]), image["address"]
    )
    routes: dict[Digest, BlobSource] = {}
    mounts: dict[Digest, tuple[str, ...]] = {Digest(digest): tuple(names) for digest, names in image["mounts"].items()}
    for layer in image["remote"]:
        digest = Digest(layer["digest"])
        source = access.client(Reference(layer["registry"], layer["repository"], "latest"))
        routes[digest] = RegistryBlobSource(source, layer["repository"])
        if layer["registry"] == image["registry"]:
            mounts[digest] = (layer["repository"], *mounts.get(digest, ()))
    keep_foreign_layers = not image["copy_foreign_layers"]
    if action != "push":
        found = plan_push(
            root,
            directory,
            client,
            image["repository"],
            image["tags"],
            mount_from=mounts,
            keep_foreign_layers=keep_foreign_layers,
            dry_run=action == "dry-run",
        )
        return {
            "complete": found.is_complete and not (found.missing or found.mounts),
            "tags": found.tags,
            "missing": {blob.digest: blob.size for blob in found.missing},
            "mounts": {blob.digest: blob.size for blob in found.mounts},
            "known": found.known,
        }
    with ExitStack() as stack:
        content: BlobSource = RoutedBlobs(directory, routes)
        if not keep_foreign_layers:
            bases = {layer["registry"] for layer in image["remote"]}
            local = bool(bases) and all(is_loopback(split_host(registry)) for registry in bases)
            content = stack.enter_context(closing(ForeignLayerSource(content, local=local)))
        pushed = push(
            root,
            content,
            client,
            image["repository"],
            image["tags"],
            mount_from=mounts,
            known={Digest(digest): has for digest, has in image["known"].items()} or None,
            keep_foreign_layers=keep_foreign_layers,
            progress=progress,
        )
    return {
        "sent": pushed.blobs_sent,
        "bytes": pushed.bytes_sent,
        "mounted": pushed.blobs_mounted,
        "present": pushed.blobs_present,
    }


def _line(image: dict[str, Any], outcome: "Outcome[Result]") -> str:
    if outcome.result is None:
        from dockless.errors import printable

        return f"error: {printable(image['address'])}: {outcome.error}"
    return (
        f"{image['registry']}/{image['repository']}@{image['digest']}: {outcome.result['sent']} blobs sent "
        f"({outcome.result['bytes']} bytes), {outcome.result['mounted']} mounted, "
        f"{outcome.result['present']} already present"
    )


class _MissingLayers:
    """The source of layers that are not in the sandbox, because the registry had them when it was asked."""

    def open(self, descriptor: "Descriptor") -> "BinaryIO":
        """Raise LayoutError."""
        from dockless.errors import LayoutError

        raise LayoutError(
            f"the registry no longer has the blob {descriptor.digest}",
            cause="the registry had the blob when it was asked a moment ago",
            hint="run the command again",
        )


class _ConnectionFailures:
    """Registries that another process of the same run could not connect to, as files in a directory."""

    def __init__(self, directory: str) -> None:
        self._directory = directory

    def add(self, registry: str, error: Optional[Exception]) -> None:
        if error is not None and self._directory:
            from dockless._atomic import atomic_file

            with atomic_file(self._path(registry)) as file:
                file.write(str(error).encode())

    def guard(self, task: Callable[[], Result], image: dict[str, Any]) -> Result:
        """Run `task` unless one of the registries that it needs is known to be unreachable."""
        from dockless.errors import DocklessError

        for registry in _registries(image) if self._directory else ():
            try:
                with open(self._path(registry), encoding="utf-8") as file:
                    raise DocklessError(file.read())
            except FileNotFoundError:
                continue
        return task()

    def _path(self, registry: str) -> str:
        import hashlib

        return os.path.join(self._directory, hashlib.sha256(registry.encode()).hexdigest())


if __name__ == "__main__":
    run(main)
