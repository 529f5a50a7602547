"""Passes environment variables to programs that connect to registries, in files that only the user can read.

Pants writes the environment of a process to its store and, with `--keep-sandboxes`, to the sandbox. The variables may
contain secrets, such as `AWS_SECRET_ACCESS_KEY` or the password of a proxy. Therefore they are never the environment of
a process that Pants starts.
"""

import atexit
import json
import os
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager

from dockless._atomic import temporary_directory
from pants_dockless._compat import RunId

_NAME = "environment.json"
# By run: the directory of the files that the programs of the run share, and the stack that removes the directory.
_DIRECTORIES: dict[RunId, tuple[str, ExitStack]] = {}
_LOCK = threading.Lock()


@contextmanager
def private_environment(environment: Mapping[str, str]) -> Iterator[str]:
    """Write `environment` to a JSON file and yield its path.

    The program deletes the file after reading it. At exit, the file is deleted in any case. The file of a process that
    was killed is deleted by the next call.
    """
    with temporary_directory(tempfile.gettempdir()) as (directory, _):
        yield _write(directory, environment)


def private_environment_of_run(run: RunId, environment: Mapping[str, str]) -> str:
    """Write `environment` to a JSON file and return its path, for a program that starts after the rules have ended.

    The program deletes the file after reading it. If the program never starts, the file is deleted with
    `directory_of_run`.
    """
    return _write(tempfile.mkdtemp(dir=directory_of_run(run)), environment)


def directory_of_run(run: RunId) -> str:
    """Return the path of a directory that only the user can read, for files that the programs of a run share.

    The directory is deleted in the next run of the same process (pantsd performs one run at a time) or when the process
    ends.
    """
    with _LOCK:
        for old_run in [key for key in _DIRECTORIES if key != run]:
            _DIRECTORIES.pop(old_run)[1].close()
        if run not in _DIRECTORIES:
            stack = ExitStack()
            _DIRECTORIES[run] = stack.enter_context(temporary_directory(tempfile.gettempdir()))[0], stack
        return _DIRECTORIES[run][0]


def _write(directory: str, environment: Mapping[str, str]) -> str:
    path = os.path.join(directory, _NAME)
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "w") as file:
        json.dump(dict(environment), file)
    return path


@atexit.register
def _delete_all() -> None:
    for _, stack in _DIRECTORIES.values():
        stack.close()
