"""Docker and remote environments of Pants: the interpreter that Pants installs in them, and an image for containers."""

import hashlib
import io
import os
import re
import shutil
import tarfile
from pathlib import Path

from real_tools import ROOT, run

from dockless import Image, Layer

PYTHON = (ROOT / ".venv/bin/python").resolve()
# The programs that Pants runs in an environment.
_PROGRAMS = ("bash", "cp", "env", "ln", "mkdir", "sh", "tar", "touch")
# The directories of the standard library that take the most space, and that no layer needs.
_UNUSED = (
    *("__pycache__", "asyncio", "config-*", "distutils", "email", "ensurepip", "idlelib", "lib2to3", "multiprocessing"),
    *("pydoc_data", "site-packages", "sqlite3", "test", "tests", "tkinter", "turtledemo", "unittest", "xml"),
)


def _interpreter_option(directory: Path) -> str:
    """Returns the option of Pants that names the interpreter for Docker and remote environments.

    Without the option, Pants downloads a CPython. The archive that this function writes to `directory` contains a
    program that runs the CPython of `./pants`. The environments must have that CPython at the same path.
    """
    archive = directory / "python.tar"
    program = f'#!/bin/sh\nexec {PYTHON} "$@"\n'.encode()
    with tarfile.open(archive, "w") as file:
        member = tarfile.TarInfo("python/bin/python3")
        member.size, member.mode = len(program), 0o755
        file.addfile(member, io.BytesIO(program))
    data = archive.read_bytes()
    downloads = {"linux_x86_64": (f"file://{archive}", hashlib.sha256(data).hexdigest(), len(data))}
    return f"--python-bootstrap-internal-python-build-standalone-info={downloads!r}"


def environment_options(directory: Path, **names: str) -> tuple[str, ...]:
    """Returns the options of Pants that define environments: for each name, the address of its target."""
    return f"--environments-preview-names={names!r}", _interpreter_option(directory)


def worker_image() -> Image:
    """Returns an image with the programs that Pants runs, and the CPython of `./pants`."""
    version = PYTHON.name
    prefix = PYTHON.parent.parent
    files = {f"/usr/bin/{name}": os.path.realpath(shutil.which(name)) for name in _PROGRAMS}
    files[str(PYTHON)] = str(PYTHON)
    own = prefix / "lib" / version
    extensions = [str(path) for name in ("_ctypes", "binascii", "zlib") for path in own.glob(f"lib-dynload/{name}.*")]
    # The compressor is an input of the processes that build layers.
    extensions += map(str, (ROOT / ".venv").glob("lib/*/site-packages/deflate/*.so"))
    for library in re.findall(r"(/\S+) \(0x", run("ldd", *files.values(), *extensions).out):
        files[library if library.startswith(str(prefix)) else f"/usr/lib/{os.path.basename(library)}"] = library
    files = {path: os.path.realpath(source) for path, source in files.items()}
    layer = Layer.from_files(
        {**files, str(own): str(own)},
        ignores=_UNUSED,
        symlinks={"/bin": "usr/bin", "/lib": "usr/lib", "/lib64": "usr/lib"},
        directories={"/tmp": "1777"},
        compression="none",
    )
    return Image.scratch("linux/amd64").add_layer(layer).with_config(env={"PATH": "/usr/bin"})
