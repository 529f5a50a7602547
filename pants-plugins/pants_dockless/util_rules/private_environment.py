"""Environment variables for programs that speak to registries, in files that only the user can read.

Pants writes the environment of a process into its store and, with `--keep-sandboxes`, into the sandbox. The variables
may be secrets (`AWS_SECRET_ACCESS_KEY`, the password of a proxy), so no process gets them as its environment.
"""

import atexit
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from pants.engine.internals.session import RunId

_NAME = "environment.json"
# By run: the directories of files that interactive processes read.
_DIRECTORIES: dict[RunId, list[str]] = {}


@contextmanager
def private_environment(environment: Mapping[str, str]) -> Iterator[str]:
    """The path of a file with `environment` as JSON, deleted at the end. The program deletes it when it has read it."""
    directory = tempfile.mkdtemp(prefix="dockless-")
    try:
        yield _write(directory, environment)
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def private_environment_of_run(run: RunId, environment: Mapping[str, str]) -> str:
    """Write a file as `private_environment` does, for a program that is started when the rules have ended.

    A program that is never started leaves its file: it is deleted by the next run of the same process (pantsd runs one
    at a time), or when the process ends.
    """
    for old in [old for old in _DIRECTORIES if old != run]:
        _delete(_DIRECTORIES.pop(old))
    directory = tempfile.mkdtemp(prefix="dockless-")
    _DIRECTORIES.setdefault(run, []).append(directory)
    return _write(directory, environment)


def _write(directory: str, environment: Mapping[str, str]) -> str:
    path = os.path.join(directory, _NAME)
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "w") as file:
        json.dump(dict(environment), file)
    return path


def _delete(directories: list) -> None:
    for directory in directories:
        shutil.rmtree(directory, ignore_errors=True)


@atexit.register
def _delete_all() -> None:
    for directories in _DIRECTORIES.values():
        _delete(directories)
