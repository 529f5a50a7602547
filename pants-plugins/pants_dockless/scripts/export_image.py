"""Writes an image as an archive: `export_image.py PLAN`.

Exit status: 0 if the archive was written, 1 if the image cannot be written in this format. In the latter case, stderr
is one line that begins with `error: `.
"""

import json
import os
import sys

# Pants runs this program with `-I -S`. Only the standard library and the modules next to this file can be imported.
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
    """Write the archive, print its size as JSON and return the exit status."""
    with open(plan_path, "rb") as file:
        plan = json.load(file)
    try:
        layout = OciLayout(plan["layout"])
        root = layout.root()
        if plan["format"] == "docker-archive":
            manifest = layout.manifest(root)
            assert isinstance(manifest, Manifest), "an index cannot be a docker-archive"
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


def blobs_of(layout: OciLayout, root: Descriptor) -> list[Descriptor]:
    """Return the descriptors of all blobs in the archive: the root and its descendants."""
    descriptors = [root]
    document = layout.manifest(root)
    if isinstance(document, Index):
        for child in document.manifests:
            descriptors += blobs_of(layout, child)
    elif isinstance(document, Manifest):
        descriptors += [document.config, *document.layers]
    return descriptors


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
