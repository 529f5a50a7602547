"""The checks of structure tests. Each has a name and the place where it is written."""

from __future__ import annotations

import re
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from dockless._units import format_size
from dockless.blobs import BlobSource
from dockless.errors import InvalidValueError, printable
from dockless.layer.ignore import Ignores
from dockless.oci.image_config import DEFAULT_PATH
from dockless.oci.image_documents import ImageDocuments
from dockless.structure_test.file_tree import Entry, FileTree

# Bytes of a file whose content is compared with regular expressions.
_MAX_CONTENT = 16 * 1024 * 1024
# Paths in the message of one check.
_MAX_PATHS = 10
_EXECUTABLE = {"owner": 0o100, "group": 0o010, "other": 0o001, "any": 0o111}
_OS_RELEASE = ("/etc/os-release", "/usr/lib/os-release")
_SIZE = re.compile(r"([0-9]{1,15}(?:\.[0-9]{1,6})?) ?(B|kB|MB|GB|TB)\Z")
_UNITS = {"B": 1, "kB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}
# Classes of RE2, the syntax of container-structure-test, which Python reads as something else.
_POSIX_CLASS = re.compile(r"\[\[:\^?[a-z]+:\]")


class TestedImage:
    """An image of one platform. The layers are read when a check needs files."""

    __test__ = False

    def __init__(self, documents: ImageDocuments, source: BlobSource) -> None:
        self.documents = documents
        self._source = source
        self._contents: dict[Entry, bytes] = {}

    @cached_property
    def tree(self) -> FileTree:
        """The files. Raises LayoutError."""
        return FileTree(self.documents.manifest.layers, self._source)

    @property
    def config(self) -> Mapping[str, Any]:
        """The part of the config for the runtime."""
        return self.documents.config.document.get("config") or {}

    def prepare(self, paths: Iterable[str]) -> None:
        """Read the content of these files, so that each layer is read once. Raises LayoutError."""
        entries = [entry for entry in map(self.tree.find, paths) if entry is not None and not content_problem(entry)]
        self._contents.update(self.tree.read([entry for entry in entries if entry not in self._contents]))

    def content(self, entry: Entry) -> bytes:
        """Return the content of a file. Raises LayoutError."""
        if entry not in self._contents:
            self._contents.update(self.tree.read([entry]))
        return self._contents[entry]


@dataclass(frozen=True)
class Check:
    """A check. `where` is the file and line, or the field, that contains the check."""

    where: str
    name: str

    @property
    def paths(self) -> tuple[str, ...]:
        """The paths of the files whose content the check reads."""
        return ()

    @property
    def needs_files(self) -> bool:
        """Whether the check reads layers."""
        return True

    def problems(self, image: TestedImage) -> Iterator[str]:
        """Yield what is wrong. Raises LayoutError if the image cannot be read."""
        raise NotImplementedError


@dataclass(frozen=True)
class _ConfigCheck(Check):
    @property
    def needs_files(self) -> bool:
        return False


@dataclass(frozen=True)
class PairCheck(_ConfigCheck):
    """A variable of the environment (`kind` is `variable`) or a label. With `pattern`, the value is searched for it.

    With neither `value` nor `pattern`, the key must not exist.
    """

    kind: str
    key: str
    value: str | None = None
    pattern: re.Pattern[str] | None = None

    def problems(self, image: TestedImage) -> Iterator[str]:
        """Yield a missing, unexpected or wrong value."""
        values = image.documents.config.env if self.kind == "variable" else image.config.get("Labels") or {}
        actual = values.get(self.key)
        if self.value is None and self.pattern is None:
            if actual is not None:
                yield f"the {self.kind} {self.key} is set, to {_quoted(actual)}"
        elif actual is None:
            yield f"the {self.kind} {self.key} is not set"
        elif self.pattern is not None:
            if not self.pattern.search(actual):
                yield f"the {self.kind} {self.key} is {_quoted(actual)}: no match of {_quoted(self.pattern.pattern)}"
        elif actual != self.value:
            yield f"the {self.kind} {self.key} is {_quoted(actual)}, not {_quoted(self.value or '')}"


@dataclass(frozen=True)
class ValueCheck(_ConfigCheck):
    """A value of the config: a string such as `User`, or a list such as `Cmd`."""

    key: str
    expected: str | tuple[str, ...]

    def problems(self, image: TestedImage) -> Iterator[str]:
        """Yield a different value."""
        actual: Any = image.config.get(self.key) or ("" if isinstance(self.expected, str) else [])
        expected = self.expected if isinstance(self.expected, str) else list(self.expected)
        if actual != expected:
            yield f"{self.key} is {_quoted(actual)}, not {_quoted(expected)}"


@dataclass(frozen=True)
class MemberCheck(_ConfigCheck):
    """A port or volume in the config, which must be there or, unless `present`, must not be there."""

    key: str
    member: str
    present: bool = True

    def problems(self, image: TestedImage) -> Iterator[str]:
        """Yield a missing or unexpected member."""
        value = image.config.get(self.key)
        actual: list[str] = sorted(value) if isinstance(value, dict) else []
        names = set(actual)
        if self.key == "ExposedPorts" and "/" not in self.member:
            names = {name.partition("/")[0] for name in actual}
        if (self.member in names) != self.present:
            state = "does not contain" if self.present else "contains"
            yield f"{self.key} {state} {self.member}; the value is {_quoted(actual)}"


@dataclass(frozen=True)
class FileCheck(Check):
    """The existence of a path, its permissions (as Go prints them, or octal) and its owner."""

    path: str
    exists: bool = True
    permissions: str = ""
    uid: int | None = None
    gid: int | None = None
    executable_by: str = ""

    def problems(self, image: TestedImage) -> Iterator[str]:
        """Yield each difference."""
        entry = image.tree.find(self.path, follow=False)
        if entry is None or not self.exists:
            if self.exists:
                yield f"{self.path} does not exist"
            elif entry is not None:
                yield f"{self.path} exists; it is a {entry.description}"
            return
        octal = f"{entry.mode:04o}"
        if self.permissions and self.permissions not in (entry.permissions, octal, octal.lstrip("0")):
            yield f"{self.path} has the permissions {entry.permissions} ({octal}), not {self.permissions}"
        for kind, expected, actual in (("user", self.uid, entry.uid), ("group", self.gid, entry.gid)):
            if expected is not None and expected != actual:
                yield f"{self.path} has the {kind} ID {actual}, not {expected}"
        if self.executable_by and not entry.mode & _EXECUTABLE[self.executable_by]:
            yield f"{self.path} is not executable by {self.executable_by}; its permissions are {entry.permissions}"


@dataclass(frozen=True)
class ContentCheck(Check):
    """Regular expressions that the content of a file must or must not contain."""

    path: str
    expected: tuple[re.Pattern[str], ...] = ()
    excluded: tuple[re.Pattern[str], ...] = ()

    @property
    def paths(self) -> tuple[str, ...]:
        """The path of the file."""
        return (self.path,)

    def problems(self, image: TestedImage) -> Iterator[str]:
        """Yield each expression that does not match, or should not match."""
        text = yield from _text_of(image, self.path)
        if text is None:
            return
        for pattern in self.expected:
            if not pattern.search(text):
                yield f"{self.path} contains no match of {_quoted(pattern.pattern)}"
        for pattern in self.excluded:
            if found := pattern.search(text):
                line = text.count("\n", 0, found.start()) + 1
                yield f"line {line} of {self.path} contains {_quoted(found[0])}, a match of {_quoted(pattern.pattern)}"


@dataclass(frozen=True)
class CommandExists(Check):
    """A command that must be executable: an absolute path, or a name in a directory of the image's PATH."""

    command: str

    def problems(self, image: TestedImage) -> Iterator[str]:
        """Yield a command that is missing or not executable."""
        path = image.documents.config.env.get("PATH", DEFAULT_PATH)
        is_path = "/" in self.command
        candidates = [self.command] if is_path else [f"{each}/{self.command}" for each in path.split(":") if each]
        found = ""
        for candidate in candidates:
            entry = image.tree.find(candidate)
            if entry is not None and entry.is_file:
                if entry.mode & 0o111:
                    return
                found = found or candidate
        if found:
            yield f"{found} is not executable"
        else:
            yield f"the command {self.command} does not exist" + ("" if is_path else f" in PATH, which is {path}")


@dataclass(frozen=True)
class ForbiddenPaths(Check):
    """Patterns of gitignore for paths that must not exist."""

    patterns: tuple[str, ...] = field(default=())

    def problems(self, image: TestedImage) -> Iterator[str]:
        """Yield the paths that match. Raises LayerError for an invalid pattern."""
        ignores = Ignores((), self.patterns, self.where)
        count = 0
        for path, entry in image.tree.walk():
            if ignores.ignored(path, entry.children is not None):
                count += 1
                if count <= _MAX_PATHS:
                    yield f"/{path.decode(errors='backslashreplace')} exists; it is a {entry.description}"
        if count > _MAX_PATHS:
            left_out = count - _MAX_PATHS
            yield "1 more path exists" if left_out == 1 else f"{left_out} more paths exist"


@dataclass(frozen=True)
class MaxSize(_ConfigCheck):
    """The largest allowed size in bytes of the manifest, the config and the compressed layers."""

    size: int

    def problems(self, image: TestedImage) -> Iterator[str]:
        """Yield a larger size."""
        actual = image.documents.size
        if actual > self.size:
            yield f"the image has {format_size(actual)} ({actual} bytes); the limit is {format_size(self.size)}"


@dataclass(frozen=True)
class OsRelease(Check):
    """A value of `os-release` (os-release(5)), which is searched for a regular expression."""

    key: str
    pattern: re.Pattern[str]

    @property
    def paths(self) -> tuple[str, ...]:
        """The paths of the file."""
        return _OS_RELEASE

    def problems(self, image: TestedImage) -> Iterator[str]:
        """Yield a missing or different value."""
        path = next((path for path in _OS_RELEASE if image.tree.find(path)), _OS_RELEASE[0])
        text = yield from _text_of(image, path)
        if text is None:
            return
        values = dict(line.split("=", 1) for line in text.splitlines() if "=" in line and not line.startswith("#"))
        if self.key not in values:
            yield f"{path} has no {self.key}"
            return
        actual = values[self.key].strip()
        if len(actual) > 1 and actual[0] == actual[-1] and actual[0] in "\"'":
            actual = actual[1:-1]
        actual = re.sub(r"\\(.)", r"\1", actual)
        if not self.pattern.search(actual):
            yield f"{self.key} in {path} is {_quoted(actual)}: no match of {_quoted(self.pattern.pattern)}"


def parse_size(text: str) -> int:
    """Return the bytes of a size such as `12.3 MB`, in decimal units. Raises InvalidValueError."""
    found = _SIZE.match(text)
    if not found:
        raise InvalidValueError(
            f"{text!r:.100} is not a size", hint="write a number with B, kB, MB, GB or TB, such as '12.5 MB'"
        )
    return int(float(found[1]) * _UNITS[found[2]])


def compile_pattern(text: str) -> re.Pattern[str]:
    r"""Return a regular expression of RE2 as one of Python. `\z` is the end of the text. Raises InvalidValueError."""
    if found := _POSIX_CLASS.search(text):
        raise InvalidValueError(
            f"{_quoted(text)} contains {found[0]}, which is not supported",
            hint=r"write \w, \d, \s or a range such as a-z",
        )
    try:
        return re.compile(re.sub(r"((?:^|[^\\])(?:\\\\)*)\\z", r"\1\\Z", text))
    except (re.error, OverflowError, RecursionError) as error:
        raise InvalidValueError(f"{_quoted(text)} is not a valid regular expression", cause=str(error)) from None


def content_problem(entry: Entry) -> str:
    """Return why the content of an entry cannot be checked, or an empty string."""
    if not entry.is_file:
        return f"is a {entry.description}, not a file"
    if entry.is_sparse:
        return "is a sparse file, whose content cannot be checked"
    if entry.size > _MAX_CONTENT:
        return f"has {entry.size} bytes; the content of files of at most {_MAX_CONTENT} bytes can be checked"
    return ""


@dataclass(frozen=True)
class Failure:
    """A problem of an image: the place and the name of the check, and what is wrong."""

    where: str
    name: str
    problem: str

    def __str__(self) -> str:
        return printable(f"{self.where}: {self.name}: {self.problem}", 4000)


def run_checks(checks: Sequence[Check], image: TestedImage) -> list[Failure]:
    """Return the failures of all checks. Raises LayoutError if the image is damaged."""
    if any(check.needs_files for check in checks):
        image.prepare(path for check in checks for path in check.paths)
    return [Failure(check.where, check.name, problem) for check in checks for problem in check.problems(image)]


def _text_of(image: TestedImage, path: str) -> Generator[str, None, str | None]:
    """Return the content of a file, or yield why that is not possible and return None."""
    entry = image.tree.find(path)
    if entry is None:
        yield f"{path} does not exist"
        return None
    if problem := content_problem(entry):
        yield f"{path} {problem}"
        return None
    return image.content(entry).decode(errors="surrogateescape")


def _quoted(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 200 else text[:200] + "..."
