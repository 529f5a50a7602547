"""Writes an image's archive in a sandbox: `export_image.py PLAN`.

Exit status: 0 done, 1 the layout cannot be written as that (one line on stderr begins with `error: `).
"""

import json
import os
import sys

# Pants runs this with `-I -S`: nothing is importable but the standard library and what lies beside this file.
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from dockless.errors import DocklessError
from dockless.layout.docker_archive_writer import write_docker_archive
from dockless.layout.oci_archive import write_oci_archive
from dockless.layout.oci_layout import OciLayout
from dockless.oci.descriptor import Descriptor
from dockless.oci.image_documents import ImageDocuments
from dockless.oci.manifest import Index, Manifest
from dockless.oci.reference import Reference


def main(plan_path: str) -> int:
    with open(plan_path, "rb") as file:
        plan = json.load(file)
    try:
        layout = OciLayout(plan["layout"])
        root = layout.root()
        if plan["kind"] == "docker-archive":
            manifest = layout.manifest(root)
            with layout.open(manifest.config) as file:
                image = ImageDocuments.read(manifest, file.read(), str(root.digest))
            references = [Reference.parse(text) for text in plan["references"]]
            write_docker_archive(plan["archive"], image, references, layout)
        else:
            write_oci_archive(plan["archive"], [root], blobs_of(layout, root), layout)
    except DocklessError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    json.dump({"size": os.path.getsize(plan["archive"])}, sys.stdout)
    return 0


def blobs_of(layout: OciLayout, root: Descriptor) -> list:
    """All that the archive holds: the root and everything below it."""
    found = [root]
    document = layout.manifest(root)
    if isinstance(document, Index):
        for child in document.manifests:
            found += blobs_of(layout, child)
    elif isinstance(document, Manifest):
        found += [document.config, *document.layers]
    return found


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
