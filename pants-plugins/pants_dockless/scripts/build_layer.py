"""Builds one layer in a sandbox: `build_layer.py SPEC BLOBS` writes BLOBS/<hex> and prints the layer as JSON.

Exit status: 0 done, 1 the sources or the spec are wrong (one line on stderr begins with `error: `).
"""

import json
import os
import sys

# Pants runs this with `-I -S`: nothing is importable but the standard library and what lies beside this file.
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from dockless.errors import DocklessError
from dockless.layer.builder import build_layer
from dockless.layer.spec import LayerSpec


def main(spec_path: str, blobs: str) -> int:
    try:
        with open(spec_path, "rb") as file:
            spec = LayerSpec.from_json(json.load(file))
        os.makedirs(blobs)
        built = build_layer(spec, blobs)
    except DocklessError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    json.dump(built.to_json(), sys.stdout, sort_keys=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
