"""Builds a layer: `build_layer.py SPEC BLOBS` writes the file BLOBS/<hex> and describes the layer as JSON on stdout.

Exit status: 0 if the layer was built, 1 if the sources or the spec are invalid. In the latter case, stderr is one line
that begins with `error: `.
"""

import json
import os
import sys

# Pants runs this program with `-I -S`. Only the standard library and the modules next to this file can be imported.
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from dockless.errors import DocklessError
from dockless.layer.builder import build_layer
from dockless.layer.spec import LayerSpec


def main(spec_path: str, blobs: str) -> int:
    """Build the layer and return the exit status."""
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
