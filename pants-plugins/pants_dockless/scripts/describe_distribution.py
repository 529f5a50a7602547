"""Describes a distribution: `describe_distribution.py FILE` writes its normalized files as JSON to stdout.

Exit status: 0 if the distribution is valid, 1 otherwise. In the latter case, stderr is one line that begins with
`error: `.
"""

import json
import os
import sys

# Pants runs this program with `-I -S`. Only the standard library and the modules next to this file can be imported.
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from dockless.errors import DocklessError
from dockless.python_layers.normalize import normalize


def main(path: str) -> int:
    """Describe the distribution and return the exit status."""
    try:
        distribution = normalize(path)
    except DocklessError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    json.dump(distribution.to_json(), sys.stdout)
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
