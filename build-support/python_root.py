"""Copy the CPython that runs this program, and the shared libraries of this machine that it needs, to `rootfs/`.

The result is the content of an image in which a Python program runs: the interpreter as `/usr/bin/pythonX.Y`, its
standard library as `/usr/lib/pythonX.Y`, and each shared library in the directory in which the dynamic loader looks for
it. Linux only.
"""

import os
import re
import shutil
import subprocess
import sys
import sysconfig

ROOT = "rootfs"
# Of the standard library: what needs a display, installs packages or tests CPython itself, and what is no part of it.
EXCLUDED_DIRECTORIES = {
    *("__pycache__", "dist-packages", "ensurepip", "idlelib", "lib2to3", "site-packages", "test", "tests"),
    *("tkinter", "turtledemo"),
}
EXCLUDED_FILES = re.compile(r"(?:_tkinter|_test|_ctypes_test|_xxtestfuzz|xx)\w*\..*so|.*\.(?:a|exe|pyc)|libpython.*")
# Extension modules of wheels may need these (PEP 599), and some are loaded by name while a program runs: `ldd` does not
# list them for CPython. Which of them a C library has depends on its version.
MORE_LIBRARIES = (
    *("libdl.so.2", "libgcc_s.so.1", "libpthread.so.0", "librt.so.1", "libstdc++.so.6", "libutil.so.1"),
    *("libnss_dns.so.2", "libnss_files.so.2", "libresolv.so.2"),
)


def main() -> None:
    """Write `rootfs/` in the current directory."""
    if not sys.platform.startswith("linux"):
        sys.exit(f"error: the base image is made from a Linux system, and this is {sys.platform}")
    interpreter = os.path.realpath(sys.executable)
    copy(interpreter, f"usr/bin/python{sysconfig.get_python_version()}")
    libraries = shared_libraries([interpreter, *copy_standard_library()])
    c_library = libraries.get("libc.so.6")
    if c_library is None:
        sys.exit("error: the base image is made from a Linux system with glibc")
    for name in MORE_LIBRARIES:
        path = os.path.join(os.path.dirname(c_library), name)
        if os.path.exists(path):
            libraries[name] = path
    # The dynamic loader looks into the directory of the C library without any configuration.
    directory = path_in_image(os.path.realpath(os.path.dirname(c_library)))
    for name, path in libraries.items():
        # The dynamic loader itself is named by its path, in each program.
        copy(path, path_in_image(name) if name.startswith("/") else f"{directory}/{name}")


def copy_standard_library() -> list:
    """Copy the standard library, and return the paths of its extension modules."""
    version = f"python{sysconfig.get_python_version()}"
    extensions = []
    # In a virtual environment, `platstdlib` is a path in it unless told otherwise.
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
    """Return what `ldd` lists for the programs: name -> path. The name of the dynamic loader is a path."""
    environment = {"PATH": "/usr/bin:/bin", "LC_ALL": "C"}
    listed = subprocess.run(["ldd", *programs], env=environment, check=True, stdout=subprocess.PIPE, text=True).stdout
    libraries = {}
    for line in map(str.strip, listed.splitlines()):
        name, arrow, path = line.partition(" => ")
        if path == "not found":
            sys.exit(f"error: the shared library {name} is not installed, and CPython needs it")
        if arrow:
            libraries[name] = path.rpartition(" (")[0]
        elif line.startswith("/") and line.endswith(")"):
            loader = line.rpartition(" (")[0]
            libraries[loader] = loader
    return libraries


def path_in_image(path: str) -> str:
    """Return the relative path of an absolute one in an image whose `/lib` and `/lib64` are symlinks into `/usr`."""
    return path[1:] if path.startswith("/usr/") else f"usr{path}"


def copy(source: str, path: str) -> None:
    """Copy the content and the executable bit of a file, also where `source` is a symlink."""
    target = os.path.join(ROOT, path)
    os.makedirs(os.path.dirname(target), exist_ok=True)
    shutil.copyfile(source, target)
    os.chmod(target, 0o755 if os.access(source, os.X_OK) else 0o644)


if __name__ == "__main__":
    main()
