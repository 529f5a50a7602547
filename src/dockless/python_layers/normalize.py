"""Normalizes distributions: a wheel and what any release of pex makes of a wheel have the same files in an image.

The input is a wheel, or an entry of the directory `.deps` of a PEX: a wheel that was installed to a directory or a zip.
"""

from __future__ import annotations

import binascii
import hashlib
import os
import re
import stat
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import IO, Any, NamedTuple

from dockless.errors import LayerError
from dockless.python_layers.distribution import Distribution, DistributionFile, normalized_name
from dockless.python_layers.entry_points import SHEBANG, is_versioned_script, read_scripts, script_text
from dockless.python_layers.paths import SITE_PACKAGES

# Where the schemes of a wheel (binary distribution format, "The .data directory") are in the virtual environment.
_DIRECTORIES = {"purelib": SITE_PACKAGES, "platlib": SITE_PACKAGES, "headers": "include", "scripts": "bin", "data": ""}
# Files that installers add, or that contain how the distribution was requested.
_OF_INSTALLERS = frozenset(
    {
        "RECORD",
        "RECORD.jws",
        "RECORD.p7s",
        "INSTALLER",
        "REQUESTED",
        "direct_url.json",
        "uv_cache.json",
        "uv_build.json",
    }
)
# The paths of the layer that makes the directory a virtual environment, and of the application.
_RESERVED = re.compile(r"(?:pyvenv\.cfg|bin/python(?:3(?:\.[0-9]+)?)?|app|lib/python[0-9.]+/site-packages)(?:/|\Z)")
_SITE_OF_VERSION = re.compile(r"lib/python[0-9.]+/site-packages/")
_CHUNK = 1 << 20
_MAX_TEXT = 16 << 20
_Opener = Callable[[], IO[Any]]


class _Member(NamedTuple):
    """A file of the input: `scheme` and `path` as in a wheel."""

    scheme: str
    path: str
    executable: bool
    open: _Opener


def normalize(source: str, destination: str = "") -> Distribution:
    """Return the normalized distribution of `source`, a zip file or a directory.

    If `destination` is given, the files are written to this directory, which must not exist. Files are never
    completely in memory. Raises LayerError.
    """
    try:
        if os.path.isdir(source):
            return _normalized(list(_members_of_directory(source)), destination)
        with zipfile.ZipFile(source) as archive:
            return _normalized(list(_members_of_zip(archive)), destination)
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, EOFError, RuntimeError) as error:
        raise LayerError("the file is not a valid zip file", cause=str(error)) from error
    except OSError as error:
        raise LayerError("cannot read the distribution", cause=error.strerror or str(error)) from error


def _normalized(members: list[_Member], destination: str) -> Distribution:
    info = _find_info(members)
    name, version = info[: -len(".dist-info")].rsplit("-", 1) if "-" in info else (info, "")
    name = normalized_name(name)
    writer = _Writer(destination)
    scripts: dict[str, str] = {}
    for member in members:
        if member.scheme == "purelib" and member.path == f"{info}/entry_points.txt":
            scripts = read_scripts(_read_text(member))
    for member in sorted(members, key=lambda member: (member.scheme, member.path)):
        if _is_left_out(member, info, scripts):
            continue
        with member.open() as file:
            writer.add(_path(member, name), member.executable, file, script=member.scheme == "scripts")
    for script, reference in scripts.items():
        writer.add_bytes(f"bin/{script}", script_text(reference), executable=True)
    writer.add_bytes(f"{SITE_PACKAGES}/{info}/INSTALLER", b"dockless\n")
    writer.add_bytes(f"{SITE_PACKAGES}/{info}/RECORD", _record(writer.files, f"{info}/RECORD"))
    return Distribution(name, version, tuple(writer.files[path] for path in sorted(writer.files)))


def _find_info(members: list[_Member]) -> str:
    """Return the name of the `.dist-info` directory. Those of vendored distributions are in other directories."""
    names = {
        member.path.partition("/")[0]
        for member in members
        if member.scheme == "purelib" and member.path.endswith("/METADATA")
    }
    found = sorted(name for name in names if name.endswith(".dist-info"))
    if len(found) != 1:
        raise LayerError(
            f"the distribution has {len(found)} directories with the suffix .dist-info",
            cause=", ".join(found),
            hint="a wheel has exactly one, with a file METADATA",
        )
    return found[0]


def _is_left_out(member: _Member, info: str, scripts: dict[str, str]) -> bool:
    directory, _, base = member.path.rpartition("/")
    if member.scheme == "purelib" and directory == info and base in _OF_INSTALLERS:
        return True
    if member.scheme == "scripts" and (member.path in scripts or is_versioned_script(member.path)):
        # Written by the installer, for entry points. The script is made again, or depends on the interpreter.
        return True
    # Bytecode contains the time or the path of the build.
    return base.endswith((".pyc", ".pyo")) or "__pycache__" in directory.split("/")


def _path(member: _Member, name: str) -> str:
    """Return the path of a file relative to the virtual environment. Raises LayerError for an invalid path."""
    path = member.path
    if member.scheme == "headers":
        path = f"{name}/{path}"
    directory = _DIRECTORIES[member.scheme]
    path = f"{directory}/{path}" if directory else _SITE_OF_VERSION.sub(f"{SITE_PACKAGES}/", path)
    if _RESERVED.match(path):
        raise LayerError(f"the distribution has the file {path}, which is a file of the virtual environment")
    return path


def _members_of_zip(archive: zipfile.ZipFile) -> Iterator[_Member]:
    for info in archive.infolist():
        if not info.is_dir():
            # As pip: in some wheels, all files have executable bits, but no file type.
            mode = info.external_attr >> 16
            executable = stat.S_ISREG(mode) and bool(mode & 0o111)
            yield from _member(info.filename, executable, partial(archive.open, info))


def _members_of_directory(root: str) -> Iterator[_Member]:
    def fail(error: OSError) -> None:
        raise error

    for directory, directories, names in os.walk(root, onerror=fail):
        directories.sort()
        for base in directories:
            path = os.path.join(directory, base)
            if os.path.islink(path):
                raise LayerError(
                    f"the distribution has {os.path.relpath(path, root)!r:.200}, which is a symlink to a directory",
                    hint="replace the symlink by the files, as in a wheel",
                )
        for base in names:
            path = os.path.join(directory, base)
            mode = os.stat(path).st_mode
            if not stat.S_ISREG(mode):
                raise LayerError(f"the distribution has {os.path.relpath(path, root)!r:.200}, which is not a file")
            relative = os.path.relpath(path, root).replace(os.sep, "/")
            yield from _member(relative, bool(mode & stat.S_IXUSR), partial(open, path, "rb"))


def _member(path: str, executable: bool, opener: _Opener) -> Iterator[_Member]:
    """Yield the member of a file, unless the file is pex's own. Raises LayerError for a path that leaves the input."""
    parts = path.split("/")
    if "" in parts or "." in parts or ".." in parts or "\0" in path or "\\" in path:
        raise LayerError(f"the distribution has the invalid path {path!r:.200}")
    top, _, rest = path.partition("/")
    if path in (".layout.json", "PEX-LAYOUT") or top.endswith(".pex-info"):
        return
    if top == ".prefix" and rest:
        # In some releases of pex, the version is `X.Y`.
        header = re.fullmatch(r"include/site/python[^/]+/[^/]+/(.+)", rest)
        if header:
            yield _Member("headers", header[1], executable, opener)
        else:
            yield _of_data(rest, executable, opener)
    elif top.endswith(".data") and "-" in top and rest:
        scheme, _, below = rest.partition("/")
        if scheme not in _DIRECTORIES or not below:
            raise LayerError(f"the distribution has the path {path!r:.200}, whose scheme is unknown")
        if scheme == "data":
            yield _of_data(below, executable, opener)
        else:
            scheme = "purelib" if scheme == "platlib" else scheme
            yield _Member(scheme, below, executable or scheme == "scripts", opener)
    else:
        yield _Member("purelib", path, executable, opener)


def _of_data(path: str, executable: bool, opener: _Opener) -> _Member:
    """Return a member of the scheme `data`. pex does not distinguish its directory `bin` from the scheme `scripts`."""
    if path.startswith("bin/"):
        return _Member("scripts", path[len("bin/") :], True, opener)
    return _Member("data", path, executable, opener)


def _read_text(member: _Member) -> str:
    with member.open() as file:
        data: bytes = file.read(_MAX_TEXT + 1)
    if len(data) > _MAX_TEXT:
        raise LayerError(f"{member.path} has more than {_MAX_TEXT} bytes")
    return data.decode("utf-8", "replace")


class _Writer:
    """Collects the files of a distribution, and writes them to `destination` unless it is empty."""

    def __init__(self, destination: str) -> None:
        self.files: dict[str, DistributionFile] = {}
        self._destination = destination
        self._directories: set[str] = set()

    def add_bytes(self, path: str, data: bytes, executable: bool = False) -> None:
        self._write(path, (data,))
        self._finish(DistributionFile(path, len(data), hashlib.sha256(data).hexdigest(), executable))

    def add(self, path: str, executable: bool, file: IO[bytes], *, script: bool) -> None:
        """Add a file. The first line of a script names the interpreter."""
        digest, size = hashlib.sha256(), 0

        def chunks() -> Iterator[bytes]:
            nonlocal size
            chunk = file.read(_CHUNK)
            if script:
                chunk = re.sub(rb"\A#!python[^\n]*\n", SHEBANG, chunk)
            while chunk:
                digest.update(chunk)
                size += len(chunk)
                yield chunk
                chunk = file.read(_CHUNK)

        self._write(path, chunks())
        self._finish(DistributionFile(path, size, digest.hexdigest(), executable))

    def _write(self, path: str, chunks: Iterable[bytes]) -> None:
        if not self._destination:
            for _ in chunks:
                pass
            return
        # As bytes: the name of a file does not depend on the locale.
        full = os.path.join(os.fsencode(self._destination), path.encode("utf-8", "surrogateescape"))
        directory = os.path.dirname(path)
        if directory not in self._directories:
            os.makedirs(os.path.dirname(full), exist_ok=True)
            self._directories.add(directory)
        with open(full, "wb") as file:
            for chunk in chunks:
                file.write(chunk)

    def _finish(self, file: DistributionFile) -> None:
        other = self.files.get(file.path)
        if other is not None and (other.sha256, other.executable) != (file.sha256, file.executable):
            raise LayerError(f"the distribution has two files for {file.path}")
        self.files[file.path] = file


def _record(files: dict[str, DistributionFile], own: str) -> bytes:
    """Return the content of RECORD (recording installed projects specification)."""
    rows = []
    for path, file in sorted(files.items()):
        digest = binascii.b2a_base64(bytes.fromhex(file.sha256), newline=False).rstrip(b"=").decode()
        digest = digest.replace("+", "-").replace("/", "_")
        relative = path[len(SITE_PACKAGES) + 1 :] if path.startswith(f"{SITE_PACKAGES}/") else f"../{path}"
        rows.append(f"{_quoted(relative)},sha256={digest},{file.size}\n")
    return "".join((*rows, f"{_quoted(own)},,\n")).encode("utf-8", "surrogateescape")


def _quoted(field: str) -> str:
    """Return a field of a CSV file."""
    return '"' + field.replace('"', '""') + '"' if any(char in field for char in ',"\r\n') else field
