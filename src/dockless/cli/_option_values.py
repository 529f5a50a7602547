"""Types of the options of `dockless build`: an invalid value is a usage error. The library checks the values."""

from __future__ import annotations

import copy
import re
from argparse import ArgumentTypeError
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from dockless.cli._options import checked

if TYPE_CHECKING:
    from dockless.errors import DocklessError

# Fields of the library, and the options of `dockless build` with their values.
_OPTIONS = {
    "annotations": "--annotation",
    "cmd": "--cmd",
    "compression": "--compression",
    "created": "--created",
    "destination": "--add",
    "directories": "--directory",
    "entrypoint": "--entrypoint",
    "env": "--env",
    "exposed_ports": "--expose",
    "ignore_files": "--ignore-file",
    "ignores": "--ignore",
    "labels": "--label",
    "owner": "--owner",
    "owners": "--directory",
    "stop_signal": "--stop-signal",
    "tags": "--tag",
    "user": "--user",
    "volumes": "--volume",
    "whiteouts": "--whiteout",
    "working_dir": "--workdir",
}
_NAMED = re.compile(rf"`({'|'.join(_OPTIONS)})`|(?<=\Ainvalid )({'|'.join(_OPTIONS)})(?=: )")


def added(text: str) -> tuple[str, str]:
    """Return the source and the destination of SRC:DEST."""
    source, colon, destination = text.rpartition(":")
    if not colon or not source:
        raise ArgumentTypeError(f"{text!r:.200} is not SRC:DEST; write, for example, ./src:/app")
    _absolute(destination, f"the destination {destination!r:.200}")
    _check_path(destination, "destination")
    return source, destination


def _check_path(path: str, field: str) -> None:
    def check(path: str) -> None:
        from dockless.errors import LayerError
        from dockless.layer.entries import check_length
        from dockless.layer.spec import image_path
        from dockless.layer.walk import refuse_whiteouts

        try:
            name = image_path(path, field)
            check_length(name, f"`{field}`")
            refuse_whiteouts(name, f"`{field}`")
        except LayerError as error:
            raise LayerError(error.problem, cause=error.cause, hint=with_option_names(error).hint) from None

    checked(check)(path)


def _whiteout(text: str) -> None:
    from dockless.layer.spec import image_path

    _absolute(text, f"the path {text!r:.200}")
    if not image_path(text, "whiteouts"):
        raise ArgumentTypeError(f"{text!r:.200} is the root directory of the image; use paths below /")


def _absolute(path: str, label: str) -> None:
    if not path.startswith("/"):
        raise ArgumentTypeError(f"{label} is not absolute; begin the path with /")


def _pattern(text: str) -> None:
    from dockless.layer.ignore import compile_patterns
    from dockless.layer.spec import encoded

    compile_patterns([encoded(text)], "the value")


def _ignore_file(text: str) -> None:
    from dockless.layer.spec import check_ignore_file

    check_ignore_file(text)


def _owner(text: str) -> None:
    from dockless.layer.spec import parse_owner

    parse_owner(text, "owner")


def _compression(text: str) -> None:
    from dockless.layer.compression import check_compression

    check_compression(text)


whiteout = checked(_whiteout)
pattern = checked(_pattern)
ignore_file = checked(_ignore_file)
owner = checked(_owner)
compression = checked(_compression)


def config_value(field: str) -> Callable[[str], str]:
    """Return the type of an option whose value, or each value of which, belongs to this field of ConfigEdit."""

    def check(text: str) -> None:
        _check_config(field, (text,) if field in ("exposed_ports", "volumes") else text)

    return checked(check)


def directory(text: str) -> tuple[str, str, str]:
    """Return the path, the mode and the owner of PATH[:MODE[:UID:GID]]."""
    from dockless.layer.spec import parse_mode, parse_owner

    path, _, rest = text.partition(":")
    mode, colon, owner = rest.partition(":")
    mode, owner = mode or "0755", owner if colon else "0:0"
    _absolute(path, f"the path {path!r:.200}")
    _check_path(path, "directories")
    for check in (
        lambda _: parse_mode(mode, "directories"),
        lambda _: parse_owner(owner, "directories"),
    ):
        checked(check)(text)
    return path, mode, owner


def arguments(field: str) -> Callable[[str], list[str]]:
    """Return the type of an option with one word, or a JSON list of strings, for this field of ConfigEdit."""

    def convert(text: str) -> list[str]:
        from dockless.oci.canonical_json import load_json

        # Other JSON, and the output of programs for a missing value, is a mistake.
        is_word = text.split() == [text] and text[0] not in "[{\"'" and text != "null"
        values = [text] if is_word else None
        if values is None:
            try:
                values = load_json(text)
            except ValueError:
                values = None
        if not isinstance(values, list) or not all(isinstance(item, str) for item in values):
            raise ArgumentTypeError(
                f"""{text!r:.200} is neither one word nor a JSON list of strings; """
                """write, for example, python or '["python", "-V"]'"""
            )
        checked(lambda _: _check_config(field, tuple(values)))(text)
        return values

    return convert


def pair(field: str) -> Callable[[str], tuple[str, str]]:
    """Return the type of an option with NAME=VALUE for this field of ConfigEdit."""

    def convert(text: str) -> tuple[str, str]:
        name, value = _pair(text)
        checked(lambda _: _check_config(field, {name: value}))(text)
        return name, value

    return convert


def annotation(text: str) -> tuple[str, str]:
    """Return the name and the value of an annotation."""
    from dockless.mutate.assemble import check_annotations

    name, value = _pair(text)
    checked(lambda _: check_annotations({name: value}))(text)
    return name, value


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise ArgumentTypeError(f"{text!r:.200} has no {'name' if equals else repr('=')}; write NAME=VALUE")
    return name, value


def _check_config(field: str, value: Any) -> None:
    from dockless.mutate.config_edit import ConfigEdit

    for _, error in ConfigEdit(**{field: value}).check():
        raise error


def with_option_names(error: DocklessError) -> DocklessError:
    """Return the error with the names of options instead of those of the library's fields."""
    renamed = copy.copy(error)
    for part in ("problem", "cause", "hint"):
        text = _NAMED.sub(lambda name: _OPTIONS[name[1] or name[2]], getattr(error, part))
        setattr(renamed, part, text)
    return renamed
