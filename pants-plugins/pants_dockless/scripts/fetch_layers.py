"""Downloads layers: `fetch_layers.py PLAN` writes them to a cache directory and links them to a directory of blobs.

Pants never caches the result of this program.
"""

import os
import sys
from typing import TYPE_CHECKING, Any

# Pants runs this program with `-I -S`. Only the standard library and the modules next to this file can be imported.
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from registry_program import raise_on_signals, read_plan, run  # type: ignore[import-not-found]

if TYPE_CHECKING:
    from dockless.registry import RegistryClient


def main(plan_path: str) -> int:
    """Download the layers that the cache does not contain and return the exit status."""
    plan = read_plan(plan_path)

    from dockless.errors import DocklessError
    from dockless.registry import RegistryClient

    raise_on_signals()
    os.makedirs(plan["blobs"])
    clients: dict[str, RegistryClient] = {}
    try:
        for layer in plan["layers"]:
            path = os.path.join(plan["cache"], layer["digest"].partition(":")[2])
            if not is_cached(path, layer):
                registry = layer["registry"]
                if registry not in clients:
                    clients[registry] = RegistryClient(registry, insecure=registry in plan["insecure"])
                download(clients[registry], layer, path, [registry, *plan["insecure"]])
            link(path, os.path.join(plan["blobs"], os.path.basename(path)))
    except DocklessError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    finally:
        for client in clients.values():
            client.close()
    return 0


def is_cached(path: str, layer: dict[str, Any]) -> bool:
    """Return whether the cache contains the layer. The digest is verified, because other programs can write there."""
    from dockless.oci.digest import Digest

    try:
        with open(path, "rb") as file:
            return os.fstat(file.fileno()).st_size == layer["size"] and Digest.of_file(file) == str(layer["digest"])
    except OSError:
        return False


def download(client: "RegistryClient", layer: dict[str, Any], path: str, hosts: list[str]) -> None:
    """Download a layer from its registry or, if it is a foreign layer, from one of its URLs.

    The file is created when the layer has been verified. For `hosts`, see `ForeignLayerSource`.
    """
    from dockless._atomic import atomic_file
    from dockless.layout.blob_copy import copy_blob
    from dockless.oci.descriptor import Descriptor
    from dockless.oci.digest import Digest
    from dockless.oci.media_types import FOREIGN_LAYER
    from dockless.registry import RegistryBlobSource
    from dockless.transfer.foreign_layers import ForeignLayerSource

    # Only foreign layers have URLs in the plan, and only the URLs of foreign layers are used.
    media_type = FOREIGN_LAYER if layer["urls"] else "application/octet-stream"
    descriptor = Descriptor(media_type, Digest(layer["digest"]), layer["size"], tuple(layer["urls"]))
    content = ForeignLayerSource(RegistryBlobSource(client, layer["repository"]), hosts=hosts)
    try:
        with atomic_file(path) as sink:
            copy_blob(content, descriptor, sink)
    finally:
        content.close()


def link(path: str, destination: str) -> None:
    """Create `destination` as a hard link to `path`, or as a copy if the file system does not support the link.

    If several layers have the same digest, `destination` exists already.
    """
    import shutil

    if os.path.exists(destination):
        return
    try:
        os.link(path, destination)
    except OSError:
        shutil.copyfile(path, destination)


if __name__ == "__main__":
    run(main)
