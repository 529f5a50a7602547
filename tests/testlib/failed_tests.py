"""Prints the tests that failed in the last run of pytest: `failed_tests.py CACHE_DIRECTORY LIMIT`.

The exit status is 1 if no test failed, or more tests than the limit.
"""

import json
import sys
from pathlib import Path


def main(cache: str, limit: str) -> int:
    """Print the names of the failed tests, and return the exit status."""
    try:
        names = sorted(json.loads((Path(cache) / "v/cache/lastfailed").read_text()))
    except FileNotFoundError:
        names = []
    if not 0 < len(names) <= int(limit):
        return 1
    print("\n".join(names))
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
