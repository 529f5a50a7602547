"""Compares testprojects/digests.lock with what this interpreter builds, or writes it. From the checkout's root:

    .cache/test-3.13/bin/python tests/testlib/digest_lock.py            # exit status 1 and a line for each difference
    .cache/test-3.13/bin/python tests/testlib/digest_lock.py --write    # builds every case, then replaces the file

A case that cannot be built (a compressor that is not installed, a file system that changes names) is an error, and
nothing is written. A change of a digest in the file changes the images of every user: CHANGELOG.md needs
a line that begins with **Digests**.
"""

import argparse
import json
import os
import platform
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Optional

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "src"))

from digest_cases import IMAGES, LAYERS, TESTPROJECTS, UnsuitableFileSystemError, Workspace

from dockless import DocklessError

LOCK = TESTPROJECTS / "digests.lock"
_ABOUT = "Written by tests/testlib/digest_lock.py, which says how. Digests of the layers and images of digest_cases.py."
# kind of case -> name of the case -> digests by name
Digests = Mapping[str, Mapping[str, Mapping[str, str]]]
CASES = tuple((kind, name) for kind, cases in (("layers", LAYERS), ("images", IMAGES)) for name in sorted(cases))


class BuildFailedError(Exception):
    """A case could not be built."""


def build(kind: str, name: str, directory: Optional[str] = None, **options: Any) -> dict[str, str]:
    """Builds a case in a new directory below `directory` and returns its digests.

    `options` are those of Workspace. Raises DocklessError, UnsuitableFileSystemError.
    """
    with tempfile.TemporaryDirectory(dir=directory) as made:
        work = Workspace(made, **options)
        if kind == "images":
            return {"digest": str(IMAGES[name](work).digest)}
        blobs = os.path.join(made, "blobs")
        os.mkdir(blobs)
        layer = work.layer(LAYERS[name](work)).build(blobs)
        return {"digest": str(layer.descriptor.digest), "diff_id": str(layer.diff_id)}


def build_all(cases: Iterable[tuple[str, str]], directory: Optional[str] = None, **options: Any) -> Digests:
    """Builds `cases`, which are pairs of kind and name. Raises BuildFailedError for the first that fails."""
    built: dict[str, dict[str, dict[str, str]]] = {"layers": {}, "images": {}}
    for kind, name in cases:
        try:
            built[kind][name] = build(kind, name, directory, **options)
        except (DocklessError, UnsuitableFileSystemError) as error:
            raise BuildFailedError(f"{kind} {name}: {error}") from error
    return built


def read_lock() -> Digests:
    """The digests of the lock; none at all where there is no such file."""
    if not LOCK.exists():
        return {"layers": {}, "images": {}}
    document: dict[str, Any] = json.loads(LOCK.read_text(encoding="utf-8"))
    return {kind: document[kind] for kind in ("layers", "images")}


def write_lock(built: Digests) -> None:
    """Replaces the lock as a whole."""
    text = json.dumps({"about": _ABOUT, **built}, indent=2, sort_keys=True) + "\n"
    staged = LOCK.with_suffix(".new")
    staged.write_text(text, encoding="utf-8")
    staged.replace(LOCK)


def differences(locked: Digests, built: Digests, cases: Iterable[tuple[str, str]]) -> Iterator[str]:
    """One line for each of `cases` that differs between the lock and what was built."""
    for kind, name in cases:
        expected, found = locked[kind].get(name), built[kind].get(name)
        if expected == found:
            continue
        if expected is None or found is None:
            yield f"{kind} {name}: {'not in the lock' if expected is None else 'no longer a case'}"
            continue
        for key in sorted({*expected, *found}):
            if expected.get(key) != found.get(key):
                yield f"{kind} {name}: the {key} is {found.get(key)}, in the lock {expected.get(key)}"


def environment() -> str:
    """The interpreter, the processor and the compressors that made the digests."""
    from importlib.metadata import PackageNotFoundError, version

    found = [f"{platform.python_implementation()} {platform.python_version()} on {platform.machine()}"]
    for package in ("deflate", "zlib-ng", "zstandard"):
        try:
            found.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            found.append(f"no {package}")
    return ", ".join(found)


def main(arguments: Optional[list[str]] = None) -> int:
    """Runs the command and returns its exit status."""
    parser = argparse.ArgumentParser(description="Build the cases of testprojects/digests.lock and compare them.")
    parser.add_argument("--write", action="store_true", help="replace the lock instead of comparing with it")
    parser.add_argument("--directory", help="where to write sources and layers (default: as tempfile)")
    parser.add_argument("--threads", type=int, help="threads of each layer (default: one per CPU)")
    parser.add_argument("--reverse", action="store_true", help="create the files of the sources in reverse order")
    parser.add_argument("--disturb", action="store_true", help="give the files other modes, times and inodes")
    parser.add_argument("--listed", action="store_true", help="describe the sources by listings, as for a sandbox")
    parser.add_argument("patterns", nargs="*", metavar="KIND/NAME", help="build only these, as in 'layers/names/*'")
    options = parser.parse_args(arguments)
    cases = [
        (kind, name)
        for kind, name in CASES
        if not options.patterns or any(fnmatchcase(f"{kind}/{name}", pattern) for pattern in options.patterns)
    ]
    if not cases:
        parser.error(f"no case matches {' '.join(options.patterns)}")
    if options.write and options.patterns:
        parser.error("--write builds every case: give no pattern")
    locked = read_lock()
    try:
        built = build_all(
            cases,
            options.directory,
            threads=options.threads,
            reverse=options.reverse,
            disturb=options.disturb,
            listed=options.listed,
        )
    except BuildFailedError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    if options.write or not options.patterns:
        # A case that is only in the lock is also a difference.
        cases = sorted({*cases, *((kind, name) for kind in locked for name in locked[kind])})
    found = list(differences(locked, built, cases))
    for line in found:
        print(line)
    if options.write:
        write_lock(built)
        print(f"{LOCK.name}: {len(CASES)} cases, {len(found)} changes ({environment()})")
        return 0
    print(f"{len(cases)} cases, {len(found)} differences ({environment()})")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
