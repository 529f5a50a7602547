"""Pins base images: `lock_bases.py PLAN` writes a lockfile and prints notices as a JSON list.

Pants never caches the result of this program.
"""

import os
import sys
from typing import TYPE_CHECKING, Any, Optional

# Pants runs this program with `-I -S`. Only the standard library and the modules next to this file can be imported.
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from registry_program import raise_on_signals, read_plan, run  # type: ignore[import-not-found]

if TYPE_CHECKING:
    from dockless.lockfile import LockedBase, Lockfile
    from dockless.oci.descriptor import Descriptor


def main(plan_path: str) -> int:
    """Write the lockfile and return the exit status."""
    plan = read_plan(plan_path)

    from dockless.errors import DocklessError
    from dockless.lockfile import Lockfile

    raise_on_signals()
    prefix = ""
    bases, notices = [], []
    try:
        check_updates(plan)
        old, notice = read_old_lockfile(plan["old"])
        notices += [notice] if notice else []
        for entry in plan["bases"]:
            prefix = f"{entry['used_by']}: "
            base, notice = lock(entry, old, plan["update"])
            bases.append(base)
            notices += [notice] if notice else []
    except DocklessError as error:
        print(f"error: {prefix}{error}", file=sys.stderr)
        return 1
    with open(plan["new"], "wb") as file:
        file.write(Lockfile.of(bases).to_bytes())
    import json

    json.dump(notices, sys.stdout)
    return 0


def check_updates(plan: dict[str, Any]) -> None:
    """Raise InvalidValueError if `[dockless].update_bases` names a reference that no target uses."""
    from dockless.errors import InvalidValueError

    known = {entry["reference"] for entry in plan["bases"]}
    for reference in plan["update"]:
        if reference not in known:
            raise InvalidValueError(
                f"[dockless].update_bases names {reference}, which is not the reference of a base image",
                hint=f"the references are {', '.join(sorted(known))}" if known else "",
            )


def read_old_lockfile(path: Optional[str]) -> "tuple[Lockfile, str]":
    """Return the existing lockfile, empty if there is none, and a notice if the file is invalid.

    An invalid lockfile, such as one with merge conflicts, is replaced: this program is the way to repair the file.
    """
    from dockless._files import open_regular
    from dockless.errors import DocklessError
    from dockless.lockfile import MAX_BYTES, Lockfile

    if path is None:
        return Lockfile({}), ""
    try:
        with open_regular(path) as file:
            return Lockfile.from_bytes(file.read(MAX_BYTES + 1), "the existing lockfile"), ""
    except DocklessError as error:
        return Lockfile({}), f"{error}; the lockfile is replaced"


def lock(entry: dict[str, Any], old: "Lockfile", update: list[str]) -> "tuple[LockedBase, str]":
    """Return the locked base for an entry of the plan, and a notice if the digest has changed.

    With `update`, a base that is not in the list keeps the pins in the old lockfile, provided that all platforms of the
    entry are locked.
    """
    from dockless.image_tree import read_document
    from dockless.lockfile import lock_base
    from dockless.oci.platform import Platform
    from dockless.oci.reference import Reference
    from dockless.registry import RegistryBlobSource, RegistryClient

    reference = Reference.parse(entry["reference"])
    platforms = [Platform.parse(text) for text in entry["platforms"]]
    previous = old.bases.get(str(reference))
    if (
        previous is not None
        and update
        and str(reference) not in update
        and all(any(image.platform.matches(platform) for image in previous.images) for platform in platforms)
    ):
        return previous, ""
    with RegistryClient(reference.registry, insecure=entry["insecure"]) as client:
        root = client.get_manifest(reference.repository, reference.version).parse(str(reference))
        content = RegistryBlobSource(client, reference.repository)

        def fetch(descriptor: "Descriptor") -> bytes:
            return read_document(content, descriptor, f"{reference}: {descriptor.digest}")

        base = lock_base(reference, platforms, root, fetch)
    if previous is None or previous.digest == base.digest:
        return base, ""
    return base, f"the digest of {reference} has changed from {previous.digest} to {base.digest}"


if __name__ == "__main__":
    run(main)
