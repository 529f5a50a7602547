"""Fetches layers: `fetch_layers.py PLAN` puts each into the plan's directory of blobs. Never cached itself.

Exit status: 0 done, 1 a layer cannot be had (one line on stderr).
"""

import hashlib
import json
import os
import shutil
import sys
import tempfile


def main(plan_path: str) -> int:
    with open(plan_path, "rb") as file:
        plan = json.load(file)
    sys.path[:0] = plan["import_from"]

    from dockless.errors import DocklessError
    from dockless.registry import RegistryClient

    os.makedirs(plan["blobs"])
    clients = {}
    try:
        for layer in plan["layers"]:
            path = os.path.join(plan["cache"], layer["digest"].partition(":")[2])
            if not is_whole(path, layer["digest"]):
                key = layer["registry"]
                clients[key] = clients.get(key) or RegistryClient(key, insecure=layer["insecure"])
                download(clients[key], layer, path)
            place(path, os.path.join(plan["blobs"], os.path.basename(path)))
    except DocklessError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    finally:
        for client in clients.values():
            client.close()
    return 0


def is_whole(path: str, digest: str) -> bool:
    """Whether the cache has it, undamaged: another program may have written there."""
    found = hashlib.sha256()
    try:
        with open(path, "rb") as file:
            while data := file.read(1 << 20):
                found.update(data)
    except OSError:
        return False
    return f"sha256:{found.hexdigest()}" == digest


def download(client: object, layer: dict, path: str) -> None:
    """From its registry, a foreign layer else from its urls. Its final name comes when it was verified to the end."""
    from dockless.errors import LayoutError
    from dockless.oci.descriptor import Descriptor
    from dockless.oci.digest import Digest
    from dockless.oci.media_types import FOREIGN_LAYER
    from dockless.registry import RegistryContent
    from dockless.registry.http.url_policy import is_loopback, split_host
    from dockless.transfer.foreign_layers import ForeignContent

    # Only foreign layers come with urls, and only theirs are followed.
    kind = FOREIGN_LAYER if layer["urls"] else "application/octet-stream"
    descriptor = Descriptor(kind, Digest(layer["digest"]), layer["size"], tuple(layer["urls"]))
    content = ForeignContent(
        RegistryContent(client, layer["repository"]), local=is_loopback(split_host(layer["registry"]))
    )
    handle, staged = tempfile.mkstemp(dir=os.path.dirname(path))
    try:
        with os.fdopen(handle, "wb") as sink, content.open(descriptor) as source:
            shutil.copyfileobj(source, sink, 1 << 20)
        if not is_whole(staged, layer["digest"]):
            raise LayoutError(f"the layer {layer['digest']} came damaged", cause="its bytes have another digest")
        os.replace(staged, path)
    finally:
        content.close()
        if os.path.exists(staged):
            os.unlink(staged)


def place(path: str, destination: str) -> None:
    try:
        os.link(path, destination)
    except OSError:
        shutil.copyfile(path, destination)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
