"""The interpreter of a base image, and whether wheels work with it. The config of the base is read, not its layers."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from dockless.errors import InvalidValueError, LayerError
from dockless.oci.platform import Platform
from dockless.python_layers.distribution import WheelName

# The label with the path of the interpreter, for bases whose config has no other information about it.
LABEL = "dockless.python"
_PATH = re.compile(r"(/(?:[^/\0]+/)*python(3\.[0-9]+))")
_VERSION = re.compile(r"(3\.[0-9]+)(?:\.[0-9]+.*)?")
_LOCAL_BIN = "/usr/local/bin"
# The names of architectures in the platform tags of wheels (packaging.tags).
_MACHINES = {
    "amd64": "x86_64",
    "arm64": "aarch64",
    "386": "i686",
    "arm": "armv7l",
    "ppc64le": "ppc64le",
    "riscv64": "riscv64",
    "s390x": "s390x",
}
_LINUX_TAG = re.compile(r"(?:manylinux[0-9]*(?:_[0-9]+_[0-9]+)?|musllinux_[0-9]+_[0-9]+|linux)_(?P<machine>\w+)")


class Interpreter(NamedTuple):
    """A CPython in an image: its absolute path, and its version as `3.N`."""

    path: str
    version: str

    @classmethod
    def parse(cls, path: str) -> Interpreter:
        """Return the interpreter at a path such as `/usr/local/bin/python3.12`. Raises InvalidValueError."""
        match = _PATH.fullmatch(path)
        if not match or "/../" in path:
            raise InvalidValueError(
                f"{path!r:.200} is not the path of an interpreter",
                hint="write the absolute path with the minor version, such as /usr/local/bin/python3.12",
            )
        return cls(path, match[2])

    @property
    def minor(self) -> int:
        """The minor version."""
        return int(self.version.partition(".")[2])


def find_interpreter(
    labels: Mapping[str, str], env: Mapping[str, str], entrypoint: Iterable[str]
) -> Interpreter | None:
    """Return the interpreter that the config of an image names, or None if the config names none.

    The sources are the label `dockless.python`; `PYTHON_VERSION` together with a `PATH` that begins with
    /usr/local/bin, as in the official Python images; and an entrypoint such as /usr/bin/python3.11. Raises
    InvalidValueError for an invalid label.
    """
    if LABEL in labels:
        return Interpreter.parse(labels[LABEL])
    version = _VERSION.fullmatch(env.get("PYTHON_VERSION", ""))
    if version and env.get("PATH", "").partition(":")[0] == _LOCAL_BIN:
        return Interpreter(f"{_LOCAL_BIN}/python{version[1]}", version[1])
    program = next(iter(entrypoint), "")
    return Interpreter.parse(program) if _PATH.fullmatch(program) else None


def check_wheel(file_name: str, interpreter: Interpreter, platform: Platform) -> None:
    """Raise LayerError unless a wheel works with an interpreter on a platform (PEP 425)."""
    wheel = WheelName.parse(file_name)
    if not _supports_version(wheel, interpreter.minor):
        raise LayerError(
            f"{file_name} does not work with CPython {interpreter.version}",
            cause=f"the tags are {'.'.join(wheel.pythons)}-{'.'.join(wheel.abis)}, and the interpreter of the image is "
            f"{interpreter.path}",
            hint="use a base with another version of CPython, or change `interpreter_constraints` or "
            "`complete_platforms` of the pex_binary",
        )
    machine = _MACHINES.get(platform.architecture, platform.architecture)
    if not any(_supports_machine(tag, machine) for tag in wheel.platforms):
        raise LayerError(
            f"{file_name} does not work on {platform}",
            cause=f"the tags of the platform are {'.'.join(wheel.platforms)}",
            hint=f"add a file for {platform} to `complete_platforms` of the pex_binary, and check that the "
            "distribution has a wheel for this platform",
        )


def _supports_version(wheel: WheelName, minor: int) -> bool:
    for python in wheel.pythons:
        match = re.fullmatch(r"(py|cp)3([0-9]*)", python)
        if not match:
            continue
        tag_minor = int(match[2] or 0)
        if "none" in wheel.abis and (match[1] == "py" or not match[2] or tag_minor == minor) and tag_minor <= minor:
            return True
        if match[1] == "cp" and "abi3" in wheel.abis and tag_minor <= minor:
            return True
        if match[1] == "cp" and tag_minor == minor and {f"cp3{minor}", f"cp3{minor}m"} & set(wheel.abis):
            return True
    return False


def _supports_machine(tag: str, machine: str) -> bool:
    match = _LINUX_TAG.fullmatch(tag)
    return tag == "any" or (match is not None and match["machine"] == machine)
