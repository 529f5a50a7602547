"""Pushes an image to a repository: `push_image.py PLAN`. Pants never caches the result of this program."""

import os
import sys

# Pants runs this program with `-I -S`. Only the standard library and the modules next to this file can be imported.
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from registry_program import raise_on_signals, read_plan, run  # type: ignore[import-not-found]


def main(plan_path: str) -> int:
    """Push the image and return the exit status."""
    plan = read_plan(plan_path)

    from contextlib import ExitStack, closing

    from dockless.blobs import BlobSource, RoutedBlobs
    from dockless.errors import DocklessError
    from dockless.layout.oci_layout import OciLayout
    from dockless.oci.digest import Digest
    from dockless.registry import RegistryBlobSource, RegistryClient, push
    from dockless.registry.http.addresses import is_loopback
    from dockless.registry.http.url_policy import split_host
    from dockless.transfer.foreign_layers import ForeignLayerSource

    raise_on_signals()
    try:
        layout = OciLayout(os.path.join(os.path.dirname(plan_path), plan["layout"]))
        root = layout.manifest(layout.root())
        with ExitStack() as stack:
            clients: dict[str, RegistryClient] = {}
            routes: dict[Digest, RegistryBlobSource] = {}
            mounts: dict[Digest, tuple[str, ...]] = {}
            for registry, insecure in [
                (plan["registry"], plan["insecure"]),
                *((layer["registry"], layer["insecure"]) for layer in plan["remote"]),
            ]:
                if registry not in clients:
                    client = RegistryClient(registry, insecure=insecure, jobs=plan["jobs"])
                    clients[registry] = stack.enter_context(client)
            for layer in plan["remote"]:
                digest = Digest(layer["digest"])
                routes[digest] = RegistryBlobSource(clients[layer["registry"]], layer["repository"])
                if layer["registry"] == plan["registry"]:
                    mounts[digest] = (layer["repository"],)
            content: BlobSource = RoutedBlobs(layout, routes)
            if plan["copy_foreign_layers"]:
                bases = {layer["registry"] for layer in plan["remote"]}
                local = bool(bases) and all(is_loopback(split_host(registry)) for registry in bases)
                content = stack.enter_context(closing(ForeignLayerSource(content, local=local)))
            pushed = push(
                root,
                content,
                clients[plan["registry"]],
                plan["repository"],
                plan["tags"],
                mount_from=mounts,
                keep_foreign_layers=not plan["copy_foreign_layers"],
            )
    except DocklessError as error:
        print(f"error: {plan['address']}: {error}", file=sys.stderr)
        return 1
    print(
        f"{plan['registry']}/{plan['repository']}@{pushed.digest}: {pushed.blobs_sent} blobs sent "
        f"({pushed.bytes_sent} bytes), {pushed.blobs_mounted} mounted, {pushed.blobs_present} already present",
        file=sys.stderr,
    )
    return 0


if __name__ == "__main__":
    run(main)
