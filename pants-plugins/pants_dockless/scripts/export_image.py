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
from dockless.image_tree import ImageTree, read_image
from dockless.layout.docker_archive_writer import write_docker_archive
from dockless.layout.oci_archive import write_oci_archive
from dockless.layout.oci_layout import LOADED_NAME, REF_NAME, OciLayout
from dockless.oci.manifest import Manifest
from dockless.oci.reference import Reference


def main(plan_path: str) -> int:
    """Write the archive, print its size as JSON and return the exit status."""
    with open(plan_path, "rb") as file:
        plan = json.load(file)
    try:
        layout = OciLayout(plan["layout"])
        root = layout.root()
        references = [Reference.parse(text) for text in plan["references"]]
        if plan["format"] == "docker-archive":
            manifest = layout.manifest(root)
            assert isinstance(manifest, Manifest), "an index cannot be a docker-archive"
            image = read_image(layout, manifest, root.digest)
            write_docker_archive(plan["archive"], image, references, layout)
        else:
            if references:
                # Podman loads only archives with one entry.
                name = {REF_NAME: references[0].tag, LOADED_NAME: str(references[0])}
                root = root._replace(annotations=name)
            tree = ImageTree.read(layout.manifest(root), layout, root.digest)
            write_oci_archive(plan["archive"], [root], tree.all_blobs, layout)
    except DocklessError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    json.dump({"size": os.path.getsize(plan["archive"])}, sys.stdout)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
