"""Bytecode of modules, made by a declared interpreter.

Bytecode depends on the exact version of the interpreter, and in CPython 3.10 and earlier on the hash seed and on the
modules that the interpreter has compiled before. Therefore each distribution is compiled by a process of its own, with
a fixed seed. The files are never compared with their sources at run time (PEP 552, "unchecked").
"""

from __future__ import annotations

import os
import posixpath
import subprocess
from collections.abc import Iterable
from typing import NamedTuple

from dockless.errors import LayerError

# Sorted paths are read from stdin. Files for other versions of Python, such as templates, are skipped, as pip does.
_PROGRAM = """
import py_compile, sys
root, prefix = sys.argv[1:]
for line in sys.stdin.buffer.read().decode("utf-8", "surrogateescape").split("\\0"):
    try:
        py_compile.compile(
            root + "/" + line,
            dfile=prefix + "/" + line,
            doraise=True,
            invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH,
        )
    except (py_compile.PyCompileError, ValueError, RecursionError):
        pass
"""


class Compiler(NamedTuple):
    """The interpreter that compiles: its path, and its version as `3.N`.

    `sha256` identifies the interpreter, so that another interpreter at the same path is another cache key.
    """

    path: str
    version: str
    sha256: str

    @property
    def suffix(self) -> str:
        """The suffix of the files that the interpreter writes."""
        return f".cpython-{self.version.replace('.', '')}.pyc"


def compile_files(root: str, image_root: str, paths: Iterable[str], compiler: Compiler) -> tuple[str, ...]:
    """Compile modules below `root`, and return the paths of the new files. `paths` are relative to `root`.

    `image_root` is the path of `root` in the image, which is stored in the bytecode.

    Raises LayerError if the interpreter cannot be run.
    """
    modules = sorted(path for path in paths if path.endswith(".py") and not path.startswith("bin/"))
    if not modules:
        return ()
    try:
        done = subprocess.run(
            # Not -I or -E, which ignore PYTHONHASHSEED.
            (compiler.path, "-s", "-S", "-c", _PROGRAM, os.path.abspath(root), image_root),
            input="\0".join(modules).encode("utf-8", "surrogateescape"),
            env={"PYTHONHASHSEED": "0", "PYTHONUTF8": "1"},
            cwd=root,
            capture_output=True,
            check=False,
        )
    except OSError as error:
        raise LayerError(f"cannot run the compiler {compiler.path}", cause=error.strerror or str(error)) from error
    if done.returncode:
        lines = done.stderr.decode(errors="replace").strip().splitlines() or [f"exit status {done.returncode}"]
        raise LayerError(f"the compiler {compiler.path} failed", cause=lines[-1])
    outputs = (_output(path, compiler) for path in modules)
    return tuple(path for path in outputs if os.path.exists(os.path.join(os.fsencode(root), os.fsencode(path))))


def _output(path: str, compiler: Compiler) -> str:
    directory, name = posixpath.split(path)
    return posixpath.join(directory, "__pycache__", f"{name[: -len('.py')]}{compiler.suffix}")
