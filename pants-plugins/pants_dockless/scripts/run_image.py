"""Loads an image into a container runtime and runs it: `run_image.py PLAN [ARGUMENT]...`.

The runtime replaces this process, so that the exit status is that of the container.
"""

import os
import sys
from typing import TYPE_CHECKING, Any

# Pants runs this program with `-I -S`. Only the standard library and the modules next to this file can be imported.
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from registry_program import raise_on_signals, read_plan, run  # type: ignore[import-not-found]

if TYPE_CHECKING:
    from dockless.oci.image_documents import ImageDocuments
    from dockless.transfer.registry_access import RegistryAccess


def main(plan_path: str, *arguments: str) -> int:
    """Load the image, and replace this process with the runtime. Return the exit status if that fails."""
    plan = read_plan(plan_path)

    from container_runtime import ContainerRuntimeError, find_runtime, replace_process  # type: ignore[import-not-found]

    from dockless.errors import DocklessError, printable
    from dockless.transfer.registry_access import RegistryAccess

    raise_on_signals()
    blobs = os.path.join(os.path.dirname(plan_path), "blobs/sha256")
    try:
        runtime = find_runtime(plan["runtime"])
        with RegistryAccess(insecure=plan["insecure"], jobs=plan["jobs"]) as access:
            image, source = _open(plan, blobs, access)
            found = runtime.find(image)
            if found is None:
                found, sent = runtime.load(image, source, plan["name"])
                print(f"{printable(plan['name'])}: loaded into {runtime.name}, {sent}", file=sys.stderr)
    except (DocklessError, ContainerRuntimeError) as error:
        print(f"error: {printable(plan['address'])}: {printable(str(error), 2000)}", file=sys.stderr)
        return 1
    is_terminal = os.isatty(0) and os.isatty(1)
    replace_process(runtime.run_command(image, found, plan["run_args"], list(arguments), is_terminal=is_terminal))
    return 1


def _open(plan: dict[str, Any], blobs: str, access: "RegistryAccess") -> "tuple[ImageDocuments, Any]":
    """Return the documents and the source of the blobs. Layers of bases are read from their registries."""
    from dockless.blobs import BlobSource, DirectoryBlobs, RoutedBlobs
    from dockless.image_tree import read_image, read_manifest
    from dockless.oci.descriptor import Descriptor
    from dockless.oci.digest import Digest
    from dockless.oci.manifest import Manifest
    from dockless.oci.reference import Reference
    from dockless.registry import RegistryBlobSource

    directory = DirectoryBlobs(blobs)
    root = Descriptor(plan["media_type"], Digest(plan["digest"]), plan["document_size"])
    manifest = read_manifest(directory, root, plan["address"])
    assert isinstance(manifest, Manifest), "an index was not resolved"
    routes: dict[Digest, BlobSource] = {}
    for layer in plan["remote"]:
        client = access.client(Reference(layer["registry"], layer["repository"], "latest"))
        routes[Digest(layer["digest"])] = RegistryBlobSource(client, layer["repository"])
    return read_image(directory, manifest, plan["address"]), RoutedBlobs(directory, routes)


if __name__ == "__main__":
    run(main)
