"""Copy the CPython that runs this program and the shared libraries that CPython requires to `rootfs/`.

The result is the content of an image that can run Python programs: the interpreter `/usr/bin/pythonX.Y`, the standard
library in `/usr/lib/pythonX.Y`, and each shared library in the directory that the dynamic loader searches. Linux only.
"""

import os
import re
import shutil
import subprocess
import sys
import sysconfig

ROOT = "rootfs"
# Directories of the standard library that need a display, install packages or test CPython, or contain other packages.
EXCLUDED_DIRECTORIES = {
    *("__pycache__", "dist-packages", "ensurepip", "idlelib", "lib2to3", "site-packages", "test", "tests"),
    *("tkinter", "turtledemo"),
}
EXCLUDED_FILES = re.compile(r"(?:_tkinter|_test|_ctypes_test|_xxtestfuzz|xx)\w*\..*so|.*\.(?:a|exe|pyc)|libpython.*")
# Libraries that extension modules of wheels may require (PEP 599) and that programs load by name. `ldd` does not list
# them for CPython. The version of the C library determines which of them exist.
MORE_LIBRARIES = (
    *("libdl.so.2", "libgcc_s.so.1", "libpthread.so.0", "librt.so.1", "libstdc++.so.6", "libutil.so.1"),
    *("libnss_dns.so.2", "libnss_files.so.2", "libresolv.so.2"),
)


def main() -> None:
    """Write `rootfs/` in the current directory."""
    if not sys.platform.startswith("linux"):
        sys.exit(f"error: the base image requires a Linux system, not {sys.platform}")
    interpreter = os.path.realpath(sys.executable)
    copy(interpreter, f"usr/bin/python{sysconfig.get_python_version()}")
    libraries = shared_libraries([interpreter, *copy_standard_library()])
    c_library = libraries.get("libc.so.6")
    if c_library is None:
        sys.exit("error: the base image requires a Linux system with glibc")
    for name in MORE_LIBRARIES:
        path = os.path.join(os.path.dirname(c_library), name)
        if os.path.exists(path):
            libraries[name] = path
    # The dynamic loader searches the directory of the C library by default.
    directory = path_in_image(os.path.realpath(os.path.dirname(c_library)))
    for name, path in libraries.items():
        # Programs refer to the dynamic loader by its absolute path.
        copy(path, path_in_image(name) if name.startswith("/") else f"{directory}/{name}")


def copy_standard_library() -> list:
    """Copy the standard library, and return the paths of its extension modules."""
    version = f"python{sysconfig.get_python_version()}"
    extensions = []
    # In a virtual environment, the default `platstdlib` is a path in the environment.
    for source in {
        sysconfig.get_path("stdlib"),
        sysconfig.get_path("platstdlib", vars={"platbase": sys.base_exec_prefix}),
    }:
        for directory, directories, names in os.walk(source):
            directories[:] = [
                name for name in directories if name not in EXCLUDED_DIRECTORIES and not name.startswith("config-")
            ]
            for name in names:
                path = os.path.join(directory, name)
                if EXCLUDED_FILES.fullmatch(name) or not os.path.isfile(path):
                    continue
                copy(path, os.path.join("usr", sys.platlibdir, version, os.path.relpath(path, source)))
                if ".so" in name:
                    extensions.append(path)
    return extensions


def shared_libraries(programs: list) -> dict:
    """Return the libraries that `ldd` lists for programs: name -> path. The name of the dynamic loader is a path."""
    environment = {"PATH": "/usr/bin:/bin", "LC_ALL": "C"}
    listed = subprocess.run(["ldd", *programs], env=environment, check=True, stdout=subprocess.PIPE, text=True).stdout
    libraries = {}
    for line in map(str.strip, listed.splitlines()):
        name, arrow, path = line.partition(" => ")
        if path == "not found":
            sys.exit(f"error: the shared library {name} of CPython is not installed")
        if arrow:
            libraries[name] = path.rpartition(" (")[0]
        elif line.startswith("/") and line.endswith(")"):
            loader = line.rpartition(" (")[0]
            libraries[loader] = loader
    return libraries


def path_in_image(path: str) -> str:
    """Return an absolute path as a relative path in an image whose `/lib` and `/lib64` are symlinks into `/usr`."""
    return path[1:] if path.startswith("/usr/") else f"usr{path}"


def copy(source: str, path: str) -> None:
    """Copy the content and the executable bit of a file. If `source` is a symlink, its target is copied."""
    target = os.path.join(ROOT, path)
    os.makedirs(os.path.dirname(target), exist_ok=True)
    shutil.copyfile(source, target)
    os.chmod(target, 0o755 if os.access(source, os.X_OK) else 0o644)


if __name__ == "__main__":
    main()
