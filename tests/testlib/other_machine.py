"""A second machine for Pants: other paths, another user, locale, interpreter and file system."""

import os
import shutil
import tempfile
from pathlib import Path

from pants_command import is_another_pants
from real_tools import ROOT, Checkout

NOBODY = 65534


class OtherMachine(Checkout):
    """A checkout with Pants on a copy of the interpreter. If the tests run as root, Pants runs as the user `nobody`.

    A Pants that DOCKLESS_TEST_PANTS names runs with its own interpreter.

    The machine has a directory under /tmp, because pytest's directories are closed to other users, and sandboxes on
    another file system, `/dev/shm`, where no file can be a hard link to one of Pants' store.
    """

    def __init__(self) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="dockless-other-machine-", dir="/tmp"))
        self.sandboxes = Path(tempfile.mkdtemp(prefix="dockless-sandboxes-", dir="/dev/shm"))
        try:
            caches = self.directory / "caches"
            caches.mkdir()
            super().__init__(self.directory / "another place", caches)
            self.env.update(
                PANTS_LOCAL_EXECUTION_ROOT_DIR=str(self.sandboxes),
                LANG="tr_TR.UTF-8",
                LC_ALL="C",
                TZ="Asia/Kathmandu",
                PYTHONHASHSEED="7",
                USER="nobody",
                LOGNAME="nobody",
                TMPDIR=str(caches),
            )
            if not is_another_pants():
                self._copy_pants()
                self.give_to_user()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        if hasattr(self, "root"):
            super().close()
        for directory in (self.directory, self.sandboxes):
            shutil.rmtree(directory, ignore_errors=True)

    def _copy_pants(self) -> None:
        venv = self.directory / "venv"
        _copy_interpreter(ROOT / ".venv", self.directory / "python", venv)
        self.command = (str(venv / "bin/pants"),)
        # The directory of the config file or of the pex command may be closed to the user.
        for name in [name for name in self.env if name == "PANTS_CONFIG_FILES" or name.startswith("PANTS_PEX_CLI_")]:
            del self.env[name]
        if os.geteuid() == 0:
            self.process_options = {"user": NOBODY, "group": NOBODY, "extra_groups": []}

    def give_to_user(self) -> None:
        """Makes the user the owner of all files of Pants except the interpreter and its packages."""
        if not self.process_options:
            return
        self.directory.chmod(0o755)
        for top in (self.root, self.directory / "caches", self.sandboxes):
            for path in (top, *top.rglob("*")):
                os.chown(path, NOBODY, NOBODY, follow_symlinks=False)


def _copy_interpreter(venv: Path, prefix: Path, copy: Path) -> None:
    """Makes `copy`, a virtual environment with the packages of `venv`, on a copy of its interpreter in `prefix`."""
    python = (venv / "bin/python").resolve()
    version, old_lib, lib = python.name, python.parent.parent / "lib", prefix / "lib"
    shutil.copytree(
        old_lib / version,
        lib / version,
        symlinks=True,
        ignore=shutil.ignore_patterns("site-packages", "test", "config-*", "idlelib", "tkinter", "ensurepip"),
    )
    for library in old_lib.glob(f"lib{version}*.so*"):
        shutil.copy(library, lib)
    (prefix / "bin").mkdir()
    (prefix / "bin" / version).write_bytes(_relocate(python.read_bytes(), old_lib))
    (prefix / "bin" / version).chmod(0o755)

    packages = f"lib/{version}/site-packages"
    shutil.copytree(venv / packages, copy / packages, symlinks=True, copy_function=_link_or_copy)
    (copy / "bin").mkdir()
    (copy / "bin/python").symlink_to(prefix / "bin" / version)
    (copy / "pyvenv.cfg").write_text(f"home = {prefix / 'bin'}\ninclude-system-site-packages = false\n")
    _, _, script = (venv / "bin/pants").read_text().partition("\n")
    (copy / "bin/pants").write_text(f"#!{copy / 'bin/python'}\n{script}")
    (copy / "bin/pants").chmod(0o755)


def _relocate(binary: bytes, old_lib: Path) -> bytes:
    """Replaces the directory `old_lib` in the dynamic section of a program by a path relative to the program."""
    old, new = os.fsencode(old_lib) + b"\0", b"$ORIGIN/../lib\0"
    return binary.replace(old, new.ljust(len(old), b"\0")) if len(new) <= len(old) else binary


def _link_or_copy(source: str, destination: str) -> None:
    try:
        os.link(source, destination)
    except OSError:
        shutil.copy2(source, destination)
