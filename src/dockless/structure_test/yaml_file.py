"""Files of container-structure-test, schema version 2.0.0, as YAML or JSON."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, NoReturn

from dockless.errors import DocklessError, InvalidDocumentError, InvalidValueError
from dockless.structure_test.checks import (
    Check,
    ContentCheck,
    FileCheck,
    MemberCheck,
    PairCheck,
    ValueCheck,
    compile_pattern,
)

if TYPE_CHECKING:
    from re import Pattern

_MAX_SIZE = 1024 * 1024
_VERSION = "2.0.0"
# Keys of the format that need a running container, and the reason why another key is not supported.
_UNSUPPORTED = {
    "commandTests": "they need a running container: run them with `pants run`, or test the existence of commands with "
    "the field `commands` of image_test",
    "globalEnvVars": "they are for commandTests, which need a running container",
    "containerRunOptions": "they are for a running container",
    "licenseTests": "they compare with a list of licenses that container-structure-test contains: write "
    "fileContentTests for the copyright files, with the licenses that you do not allow in excludedContents",
}
_EXECUTABLE_BY = ("owner", "group", "other", "any")


def parse_tests(data: bytes, path: str) -> list[Check]:
    """Return the checks of a file. Their `where` is `path` with the line.

    Raises InvalidDocumentError, with the line, for invalid YAML, unknown keys and tests that need a running container,
    and DocklessError if PyYAML is not installed.
    """
    try:
        import yaml
    except ImportError:
        raise DocklessError(
            f"cannot read {path}", cause="PyYAML is not installed", hint="pip install 'dockless[structure-test]'"
        ) from None
    if len(data) > _MAX_SIZE:
        raise InvalidDocumentError(f"{path} has more than {_MAX_SIZE} bytes")
    try:
        root = yaml.compose(data.decode(), Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        line = f":{error.problem_mark.line + 1}" if error.problem_mark else ""
        raise InvalidDocumentError(f"{path}{line}: invalid YAML", cause=str(error.problem)) from None
    except (UnicodeDecodeError, yaml.YAMLError, RecursionError) as error:
        raise InvalidDocumentError(f"{path}: invalid YAML", cause=str(error).splitlines()[0]) from None
    if root is None:
        raise InvalidDocumentError(f"{path}: the file is empty", hint=f"write schemaVersion: {_VERSION!r} and tests")
    return list(_file(_Value(root, path)))


class _Value:
    """A node of the YAML document, with its line. All methods raise InvalidDocumentError."""

    def __init__(self, node: Any, path: str) -> None:
        self._node = node
        self._path = path
        self.where = f"{path}:{node.start_mark.line + 1}"

    def fail(self, problem: str, *, cause: str = "", hint: str = "") -> NoReturn:
        raise InvalidDocumentError(f"{self.where}: {problem}", cause=cause, hint=hint)

    def items(self, known: tuple[str, ...] = ()) -> dict[str, tuple[_Value, _Value]]:
        """Return the key and the value of each item of a mapping."""
        if self._node.id != "mapping":
            self.fail(f"a mapping was expected, not a {self._node.id}")
        found: dict[str, tuple[_Value, _Value]] = {}
        for key_node, value_node in self._node.value:
            key = _Value(key_node, self._path)
            name = key.text()
            if name in found:
                first = found[name][0].where
                key.fail(
                    f"the key {name} occurs twice",
                    cause=f"first at {first}",
                    hint="remove one of the two, or merge their values",
                )
            if known and name not in known:
                if name in _UNSUPPORTED:
                    if value_node.value not in ([], ""):
                        key.fail(f"{name} are not supported", cause=_UNSUPPORTED[name])
                    continue
                key.fail(f"unknown key {name!r:.100}", hint=f"the known keys are {', '.join(known)}")
            found[name] = (key, _Value(value_node, self._path))
        return found

    def sequence(self) -> list[_Value]:
        if self._node.id != "sequence":
            self.fail(f"a list was expected, not a {self._node.id}")
        return [_Value(node, self._path) for node in self._node.value]

    def text(self) -> str:
        """Return the text of a scalar as written: `8080` is a string where one is expected."""
        if self._node.id != "scalar" or self._node.tag == "tag:yaml.org,2002:null":
            self.fail("a string was expected")
        return str(self._node.value)

    def texts(self) -> tuple[str, ...]:
        return tuple(item.text() for item in self.sequence())

    def boolean(self) -> bool:
        if self._node.tag != "tag:yaml.org,2002:bool":
            self.fail("true or false was expected")
        return str(self._node.value).lower() in ("true", "yes", "on")

    def integer(self) -> int:
        text = self.text()
        if not (text.isdigit() and len(text) < 20):
            self.fail(f"a number was expected, not {text!r:.100}")
        return int(text)

    def pattern(self) -> Pattern[str]:
        try:
            return compile_pattern(self.text())
        except InvalidValueError as error:
            self.fail(error.problem, cause=error.cause, hint=error.hint)

    def patterns(self) -> tuple[Pattern[str], ...]:
        return tuple(item.pattern() for item in self.sequence())

    def absolute_path(self) -> str:
        text = self.text()
        if not text.startswith("/"):
            self.fail(f"{text!r:.200} is not an absolute path", hint="begin the path with /")
        return text


def _file(root: _Value) -> Iterator[Check]:
    items = root.items(("schemaVersion", "fileExistenceTests", "fileContentTests", "metadataTest"))
    version = items["schemaVersion"][1].text() if "schemaVersion" in items else None
    if version != _VERSION:
        (items["schemaVersion"][1] if version is not None else root).fail(
            f"the schemaVersion is {version!r}" if version is not None else "schemaVersion is missing",
            hint=f"write schemaVersion: {_VERSION!r}",
        )
    for key, parse in (("fileExistenceTests", _existence_test), ("fileContentTests", _content_test)):
        if key in items:
            for value in items[key][1].sequence():
                yield parse(value)
    if "metadataTest" in items:
        yield from _metadata_test(items["metadataTest"][1])


def _existence_test(value: _Value) -> Check:
    values = _optional(value, "name", "path", "shouldExist", "permissions", "uid", "gid", "isExecutableBy")
    path = _required(value, values, "path").absolute_path()
    executable_by = values["isExecutableBy"].text() if "isExecutableBy" in values else ""
    if executable_by and executable_by not in _EXECUTABLE_BY:
        values["isExecutableBy"].fail(
            f"isExecutableBy is {executable_by!r:.100}", hint=f"write one of {', '.join(_EXECUTABLE_BY)}"
        )
    return FileCheck(
        value.where,
        values["name"].text() if "name" in values else path,
        path,
        exists=values["shouldExist"].boolean() if "shouldExist" in values else True,
        permissions=values["permissions"].text() if "permissions" in values else "",
        uid=values["uid"].integer() if "uid" in values else None,
        gid=values["gid"].integer() if "gid" in values else None,
        executable_by=executable_by,
    )


def _content_test(value: _Value) -> Check:
    values = _optional(value, "name", "path", "expectedContents", "excludedContents")
    path = _required(value, values, "path").absolute_path()
    return ContentCheck(
        value.where,
        values["name"].text() if "name" in values else path,
        path,
        expected=values["expectedContents"].patterns() if "expectedContents" in values else (),
        excluded=values["excludedContents"].patterns() if "excludedContents" in values else (),
    )


def _metadata_test(value: _Value) -> Iterator[Check]:
    """Yield a check for each item, so that a failure has the line of the item."""
    for key, (_, item) in value.items(tuple(_METADATA)).items():
        yield from _METADATA[key](key, item)


def _pairs(kind: str) -> Callable[[str, _Value], Iterator[Check]]:
    def parse(name: str, value: _Value) -> Iterator[Check]:
        for item in value.sequence():
            values = _optional(item, "key", "value", "isRegex")
            expected = _required(item, values, "value")
            is_regex = "isRegex" in values and values["isRegex"].boolean()
            yield PairCheck(
                item.where,
                name,
                kind,
                _required(item, values, "key").text(),
                value=None if is_regex else expected.text(),
                pattern=expected.pattern() if is_regex else None,
            )

    return parse


def _unset_variables(name: str, value: _Value) -> Iterator[Check]:
    for item in value.sequence():
        values = _optional(item, "key", "value", "isRegex")
        yield PairCheck(item.where, name, "variable", _required(item, values, "key").text())


def _members(key: str, present: bool) -> Callable[[str, _Value], Iterator[Check]]:
    def parse(name: str, value: _Value) -> Iterator[Check]:
        for item in value.sequence():
            yield MemberCheck(item.where, name, key, item.text(), present)

    return parse


def _list(key: str) -> Callable[[str, _Value], Iterator[Check]]:
    def parse(name: str, value: _Value) -> Iterator[Check]:
        yield ValueCheck(value.where, name, key, value.texts())

    return parse


def _string(key: str) -> Callable[[str, _Value], Iterator[Check]]:
    def parse(name: str, value: _Value) -> Iterator[Check]:
        yield ValueCheck(value.where, name, key, value.text())

    return parse


_METADATA: dict[str, Callable[[str, _Value], Iterator[Check]]] = {
    "envVars": _pairs("variable"),
    # The name of `envVars` in older files.
    "env": _pairs("variable"),
    "unboundEnvVars": _unset_variables,
    "labels": _pairs("label"),
    "entrypoint": _list("Entrypoint"),
    "cmd": _list("Cmd"),
    "exposedPorts": _members("ExposedPorts", True),
    "unexposedPorts": _members("ExposedPorts", False),
    "volumes": _members("Volumes", True),
    "unmountedVolumes": _members("Volumes", False),
    "workdir": _string("WorkingDir"),
    "user": _string("User"),
}


def _optional(value: _Value, *known: str) -> dict[str, _Value]:
    return {key: item for key, (_, item) in value.items(known).items()}


def _required(value: _Value, values: dict[str, _Value], key: str) -> _Value:
    if key not in values:
        value.fail(f"the key {key} is missing")
    return values[key]
