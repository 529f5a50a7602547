"""Fetches layers: `fetch_layers.py PLAN` writes each to a directory of blobs, through a cache. Never cached."""

import os
import sys

# Pants runs this with `-I -S`: nothing is importable but the standard library.
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from registry_program import raise_on_signals, read_plan, run


def main(plan_path: str) -> int:
    plan = read_plan(plan_path)

    from dockless.errors import DocklessError
    from dockless.registry import RegistryClient

    raise_on_signals()
    os.makedirs(plan["blobs"])
    clients = {}
    try:
        for layer in plan["layers"]:
            path = os.path.join(plan["cache"], layer["digest"].partition(":")[2])
            if not is_cached(path, layer):
                registry = layer["registry"]
                if registry not in clients:
                    clients[registry] = RegistryClient(registry, insecure=layer["insecure"])
                download(clients[registry], layer, path)
            link(path, os.path.join(plan["blobs"], os.path.basename(path)))
    except DocklessError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    finally:
        for client in clients.values():
            client.close()
    return 0


def is_cached(path: str, layer: dict) -> bool:
    """Return whether the cache has the layer, undamaged: another program may have written there."""
    from dockless.oci.digest import Digest

    try:
        with open(path, "rb") as file:
            return os.fstat(file.fileno()).st_size == layer["size"] and Digest.of_file(file) == layer["digest"]
    except OSError:
        return False


def download(client: object, layer: dict, path: str) -> None:
    """Download a layer from its registry, a foreign layer else from its URLs. `path` appears when it is verified."""
    from dockless._atomic import atomic_file
    from dockless.layout.blob_copy import copy_blob
    from dockless.oci.descriptor import Descriptor
    from dockless.oci.digest import Digest
    from dockless.oci.media_types import FOREIGN_LAYER
    from dockless.registry import RegistryBlobSource
    from dockless.registry.http.url_policy import is_loopback, split_host
    from dockless.transfer.foreign_layers import ForeignLayerSource

    # Only foreign layers come with URLs, and only theirs are followed.
    media_type = FOREIGN_LAYER if layer["urls"] else "application/octet-stream"
    descriptor = Descriptor(media_type, Digest(layer["digest"]), layer["size"], tuple(layer["urls"]))
    content = ForeignLayerSource(
        RegistryBlobSource(client, layer["repository"]), local=is_loopback(split_host(layer["registry"]))
    )
    try:
        with atomic_file(path) as sink:
            copy_blob(content, descriptor, sink)
    finally:
        content.close()


def link(path: str, destination: str) -> None:
    """Make `destination` the file at `path`, as a hard link where the file system can."""
    import shutil

    try:
        os.link(path, destination)
    except OSError:
        shutil.copyfile(path, destination)


if __name__ == "__main__":
    run(main)
