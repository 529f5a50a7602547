"""Tests an image: `test_image.py PLAN`. Prints a line for each failure, then a summary.

Exit status: 0 if all checks passed, 1 otherwise. If a check cannot be done, stderr is one line that begins with
`error: `.
"""

import json
import os
import sys

# Pants runs this program with `-I -S`. Only the standard library and the modules next to this file can be imported.
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from typing import Any

from dockless._units import format_count
from dockless.errors import DocklessError
from dockless.image_tree import ImageTree, read_image
from dockless.layout.oci_layout import OciLayout
from dockless.oci.manifest import Manifest
from dockless.structure_test.checks import (
    Check,
    CommandExists,
    ForbiddenPaths,
    MaxSize,
    OsRelease,
    TestedImage,
    compile_pattern,
    run_checks,
)
from dockless.structure_test.yaml_file import parse_tests


def main(plan_path: str) -> int:
    """Run the checks and return the exit status."""
    with open(plan_path, "rb") as file:
        plan = json.load(file)
    try:
        checks = [*_checks_of_files(plan["files"]), *_checks_of_fields(plan["address"], plan["fields"])]
        layout = OciLayout(plan["layout"])
        root = layout.root()
        tree = ImageTree.read(layout.manifest(root), layout, root.digest)
        manifests = [document for document in tree.documents.values() if isinstance(document, Manifest)]
        count = 0
        for manifest in manifests:
            image = read_image(layout, manifest, root.digest)
            for failure in run_checks(checks, TestedImage(image, layout)):
                platform = f"{image.platform}: " if len(manifests) > 1 else ""
                print(f"{platform}{failure}")
                count += 1
    except DocklessError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    where = f" on {len(manifests)} platforms" if len(manifests) > 1 else ""
    if count:
        print(f"{format_count(count, 'failure')} of {format_count(len(checks), 'check')}{where}")
    else:
        print(f"{format_count(len(checks), 'check')} passed{where}")
    return int(count > 0)


def _checks_of_files(files: list[dict[str, str]]) -> list[Check]:
    checks = []
    for each in files:
        with open(each["name"], "rb") as file:
            checks.extend(parse_tests(file.read(), each["path"]))
    return checks


def _checks_of_fields(address: str, fields: dict[str, Any]) -> list[Check]:
    checks: list[Check] = [CommandExists(address, "commands", name) for name in fields["commands"]]
    if fields["forbidden_paths"]:
        checks.append(ForbiddenPaths(address, "forbidden_paths", tuple(fields["forbidden_paths"])))
    if fields["max_size"] is not None:
        checks.append(MaxSize(address, "max_size", fields["max_size"]))
    for key, pattern in fields["os_release"].items():
        checks.append(OsRelease(address, "os_release", key, compile_pattern(pattern)))
    return checks


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
