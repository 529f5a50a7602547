"""Builds a layer of Python code: `build_python_layer.py SPEC BLOBS` writes a blob, as build_layer.py does.

The spec is a PythonLayerSpec. The output and the exit status are those of build_layer.py.
"""

import json
import os
import sys

# Pants runs this program with `-I -S`. Only the standard library and the modules next to this file can be imported.
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from dockless.errors import DocklessError
from dockless.python_layers.builder import PythonLayerSpec, build_python_layer


def main(spec_path: str, blobs: str) -> int:
    """Build the layer and return the exit status."""
    try:
        with open(spec_path, "rb") as file:
            spec = PythonLayerSpec.from_json(json.load(file))
        os.makedirs(blobs)
        built = build_python_layer(spec, blobs, ".")
    except DocklessError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    json.dump(built.to_json(), sys.stdout, sort_keys=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
