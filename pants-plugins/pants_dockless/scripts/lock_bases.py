"""Pins base images: `lock_bases.py PLAN` writes a lockfile and prints notices as a JSON list. Never cached."""

import os
import sys

# Pants runs this with `-I -S`: nothing is importable but the standard library.
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from registry_program import raise_on_signals, read_plan, run


def main(plan_path: str) -> int:
    plan = read_plan(plan_path)

    from dockless.errors import DocklessError, InvalidValueError
    from dockless.lockfile import Lockfile
    from dockless.oci.reference import Reference

    raise_on_signals()
    who = ""
    try:
        old = Lockfile({})
        bases, notices = [], []
        if plan["old"]:
            try:
                with open(plan["old"], "rb") as file:
                    old = Lockfile.from_bytes(file.read(), "the lockfile that is there")
            except DocklessError as error:
                # A merge's conflict, say: this is the command that mends it.
                notices.append(f"{error}; it is written anew")
        known = {str(Reference.parse(wanted["reference"])) for wanted in plan["bases"]}
        for name in plan["update"]:
            if name not in known:
                raise InvalidValueError(
                    f"[dockless].update_bases names {name}, which is no base here",
                    hint=", ".join(known) and f"there is {', '.join(known)}",
                )
        for wanted in plan["bases"]:
            who = f"{wanted['named']}: "
            base, notice = lock(wanted, old, plan["update"])
            bases.append(base)
            notices += notice
    except DocklessError as error:
        print(f"error: {who}{error}", file=sys.stderr)
        return 1
    with open(plan["new"], "wb") as file:
        file.write(Lockfile.of(bases).to_bytes())
    import json

    json.dump(notices, sys.stdout)
    return 0


def lock(wanted: dict, old: object, update: list) -> tuple:
    """The base as it is to be locked, and what is to be said of it."""
    from dockless.lockfile import lock_base
    from dockless.oci.platform import Platform
    from dockless.oci.reference import Reference
    from dockless.registry import RegistryBlobSource, RegistryClient

    reference = Reference.parse(wanted["reference"])
    platforms = [Platform.parse(text) for text in wanted["platforms"]]
    before = old.bases.get(str(reference))
    kept = before is not None and update and str(reference) not in update
    if kept and all(any(image.platform.matches(p) for image in before.images) for p in platforms):
        return before, []
    with RegistryClient(reference.registry, insecure=wanted["insecure"]) as client:
        root = client.get_manifest(reference.repository, reference.version).parse(str(reference))
        content = RegistryBlobSource(client, reference.repository)

        def fetch(descriptor: object) -> bytes:
            with content.open(descriptor) as file:
                return file.read()

        base = lock_base(reference, platforms, root, fetch)
    moved = before is not None and before.digest != base.digest
    return base, [f"{reference} moved from {before.digest} to {base.digest}"] if moved else []


if __name__ == "__main__":
    run(main)
