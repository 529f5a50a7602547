"""Pushes images, or determines what a push has to do: `push_images.py PLAN`. Pants never caches the result.

The field `action` of the plan is `check`, `dry-run` or `push`. The results are a JSON list with an object for each
image. A push writes them to the file `results` of the plan, if that is not empty, other actions to the standard output.
"""

import os
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, BinaryIO

# Pants runs this program with `-I -S`. Only the standard library and the modules next to this file can be imported.
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from registry_program import raise_on_signals, read_plan, run  # type: ignore[import-not-found]

if TYPE_CHECKING:
    from dockless.errors import DocklessError
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

    from dockless._atomic import atomic_file
    from dockless.transfer.batch import Transfer, run_transfers
    from dockless.transfer.registry_access import RegistryAccess

    raise_on_signals()
    images = plan["images"]
    blobs = os.path.join(os.path.dirname(plan_path), "blobs/sha256")
    is_push = plan["action"] == "push"
    progress = PushProgress(len(images) if is_push else 0, plan["send"])
    _add_known_mounts(images)

    def report(index: int, outcome: "Outcome[Result]") -> None:
        progress.ended()
        if is_push:
            print(_line(images[index], outcome), file=sys.stderr)

    with RegistryAccess(insecure=plan["insecure"], jobs=plan["jobs"]) as access, progress:
        transfers = [
            Transfer(partial(_run, plan["action"], image, blobs, access, progress), _registries(image))
            for image in images
        ]
        failures = _ConnectionFailures(plan["connection_failures"])
        unreachable = failures.load({name for transfer in transfers for name in transfer.registries})
        outcomes = run_transfers(transfers, access, unreachable=unreachable, on_outcome=report)
        failures.save(unreachable)
    results = [outcome.result or {"error": str(outcome.error)} for outcome in outcomes]
    if not is_push:
        json.dump(results, sys.stdout)
    elif plan["results"]:
        with atomic_file(plan["results"]) as file:
            file.write(json.dumps(results).encode())
    return int(is_push and any(outcome.error is not None for outcome in outcomes))


def _add_known_mounts(images: list[dict[str, Any]]) -> None:
    """Let a blob that one image's repository is known to have be mounted into the repositories of the others.

    An interrupted push may have stored a blob without recording where.
    """
    repositories: dict[tuple[str, str], list[str]] = {}
    for image in images:
        for digest, is_present in image["known"].items():
            if is_present:
                repositories.setdefault((image["registry"], digest), []).append(image["repository"])
    for image in images:
        for digest, is_present in image["known"].items():
            if not is_present:
                names = repositories.get((image["registry"], digest), [])
                image["mounts"][digest] = [*names, *image["mounts"].get(digest, ())]


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
            hosts = {*access.insecure_hosts, *(layer["registry"] for layer in image["remote"])}
            content = stack.enter_context(closing(ForeignLayerSource(content, hosts=hosts)))
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
    # The blobs that the action `check` mounted are present now.
    mounted = image.get("mounted", 0)
    return {
        "sent": pushed.blobs_sent,
        "bytes": pushed.bytes_sent,
        "mounted": pushed.blobs_mounted + mounted,
        "present": max(0, pushed.blobs_present - mounted),
    }


def _line(image: dict[str, Any], outcome: "Outcome[Result]") -> str:
    if outcome.result is None:
        from dockless.errors import printable

        return f"error: {printable(image['address'])}: {outcome.error}"
    from dockless._units import format_count, format_size

    result = outcome.result
    return (
        f"{image['registry']}/{image['repository']}@{image['digest']}: {format_count(result['sent'], 'blob')} sent "
        f"({format_size(result['bytes'])}), {result['mounted']} mounted, {result['present']} already present"
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
    """The errors of registries that a process of the same run could not connect to, as files in a directory."""

    def __init__(self, directory: str) -> None:
        self._directory = directory

    def load(self, registries: Iterable[str]) -> "dict[str, DocklessError]":
        from dockless.errors import DocklessError

        errors = {}
        for registry in registries:
            try:
                with open(self._path(registry), encoding="utf-8") as file:
                    errors[registry] = DocklessError(file.read())
            except FileNotFoundError:
                continue
        return errors

    def save(self, errors: "dict[str, DocklessError]") -> None:
        from dockless._atomic import atomic_file

        for registry, error in errors.items():
            with atomic_file(self._path(registry)) as file:
                file.write(str(error).encode())

    def _path(self, registry: str) -> str:
        import hashlib

        return os.path.join(self._directory, hashlib.sha256(registry.encode()).hexdigest())


if __name__ == "__main__":
    run(main)
