"""Writes an image's archive in a sandbox: `export_image.py PLAN`.

Exit status: 0 done, 1 the layout cannot be written as that (one line on stderr begins with `error: `).
"""

import json
import os
import sys

# Pants runs this with `-I -S`: nothing is importable but the standard library and what lies beside this file.
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from dockless.errors import DocklessError
from dockless.image_tree import ImageTree, read_image
from dockless.layout.docker_archive_writer import write_docker_archive
from dockless.layout.oci_archive import write_oci_archive
from dockless.layout.oci_layout import OciLayout
from dockless.oci.reference import Reference


def main(plan_path: str) -> int:
    with open(plan_path, "rb") as file:
        plan = json.load(file)
    try:
        layout = OciLayout(plan["layout"])
        root = layout.root()
        if plan["kind"] == "docker-archive":
            image = read_image(layout, layout.manifest(root), root.digest)
            references = [Reference.parse(text) for text in plan["references"]]
            write_docker_archive(plan["archive"], image, references, layout)
        else:
            tree = ImageTree.read(layout.manifest(root), layout, root.digest)
            write_oci_archive(plan["archive"], [root], tree.all_blobs, layout)
    except DocklessError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    json.dump({"size": os.path.getsize(plan["archive"])}, sys.stdout)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
