"""Edits of an image config: entrypoint, environment, labels and all else that has a name, or any key."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from dockless.errors import InvalidDocumentError, InvalidValueError, printable
from dockless.oci.canonical_json import load_json, write_document
from dockless.oci.image_config import ImageConfig, is_time

_PORT = re.compile(r"(?P<first>[0-9]{1,5})(?:-(?P<last>[0-9]{1,5}))?(?:/(?:tcp|udp|sctp))?\Z")
_USER = re.compile(r"[^\s:\x00]+(?::[^\s:\x00]+)?\Z")
_VARIABLE = re.compile(r"\\\$|\$(?:(?P<plain>[A-Za-z_][A-Za-z0-9_]*)|\{(?P<braced>[A-Za-z_][A-Za-z0-9_]*)\})")
_MAX_ID = 2**32 - 1


class ConfigEdit(NamedTuple):
    r"""Changes to the `config` object of an image config. None keeps the value of the base.

    `env` and `labels` are merged by name into those of the base. `exposed_ports` and `volumes` are added to those of
    the base, as by a Dockerfile; an empty one removes those of the base. Other values replace those of the base.
    `$NAME` and `${NAME}` in a value of `env` stand for the value in the base, `\$` for a dollar sign. `created` is the
    creation time of the image (RFC 3339), 1970 if None. `raw` is a JSON merge patch (RFC 7396) to the whole config,
    applied last, for keys that have no field here: `{"author": "me", "config": {"OnBuild": None}}`. `check` checks the
    values.
    """

    entrypoint: tuple[str, ...] | None = None
    cmd: tuple[str, ...] | None = None
    env: Mapping[str, str] | None = None
    working_dir: str | None = None
    user: str | None = None
    labels: Mapping[str, str] | None = None
    exposed_ports: tuple[str, ...] | None = None
    volumes: tuple[str, ...] | None = None
    stop_signal: str | None = None
    healthcheck: Mapping[str, Any] | None = None
    created: str | None = None
    raw: Mapping[str, Any] | None = None

    def check(self) -> list[tuple[str, InvalidValueError]]:
        """Return the name and the error of each invalid field. Callers may have other names for the fields."""
        errors: list[tuple[str, InvalidValueError]] = []
        for field, rule in _RULES.items():
            value = getattr(self, field)
            if value is None:
                continue
            try:
                _check_kind(field, value)
                rule(value)
            except InvalidValueError as error:
                errors.append((field, error))
        return errors


def edit_config(config: ImageConfig, edit: ConfigEdit) -> ImageConfig:
    """Return `config` with `edit` applied, except for `created`.

    Raises InvalidValueError for the first invalid field.
    """
    for field, error in edit.check():
        raise InvalidValueError(f"invalid {field}: {error.problem}", cause=error.cause, hint=error.hint, field=field)
    document = copy.deepcopy(dict(config.document))
    inner: dict[str, Any] = document.get("config") or {}
    if edit.env:
        inner["Env"] = merged_env(inner.get("Env") or [], edit.env)
    if edit.labels:
        inner["Labels"] = {**(inner.get("Labels") or {}), **edit.labels}
    for key, value in (
        ("Entrypoint", edit.entrypoint),
        ("Cmd", edit.cmd),
    ):
        if value is not None:
            inner[key] = list(value)
    # Like Docker, a new Entrypoint removes the base's Cmd, which was written for another program.
    if edit.entrypoint is not None and edit.cmd is None:
        inner.pop("Cmd", None)
    for key, text in (("WorkingDir", edit.working_dir), ("User", edit.user), ("StopSignal", edit.stop_signal)):
        if text is not None:
            inner[key] = text
    if edit.exposed_ports is not None:
        _add(inner, "ExposedPorts", [port if "/" in port else f"{port}/tcp" for port in edit.exposed_ports])
    if edit.volumes is not None:
        _add(inner, "Volumes", edit.volumes)
    if edit.healthcheck is not None:
        inner["Healthcheck"] = dict(edit.healthcheck)
    document["config"] = inner
    if not edit.raw:
        return ImageConfig(document)
    try:
        patched = ImageConfig.from_bytes(write_document(_patched(document, edit.raw)), "the config after the patch")
        for key in ("os", "architecture"):
            if document.get(key) and not patched.document.get(key):
                raise InvalidDocumentError(f"the config after the patch has no {key}")
        return patched
    except InvalidDocumentError as error:
        raise InvalidValueError(f"invalid raw: {error.problem}", cause=error.cause, field="raw") from error


def _add(inner: dict[str, Any], key: str, names: Sequence[str]) -> None:
    """Add names to a set of a config, which is an object with empty values. Without names, the set becomes empty."""
    known = inner.get(key)
    inner[key] = {**(known if names and isinstance(known, dict) else {}), **{name: {} for name in names}}


def merged_env(base: Sequence[str], own: Mapping[str, str]) -> list[str]:
    """Return `base` (`NAME=value` entries) with the values of `own`, in which `$NAME` stands for the value in the base.

    Names of the base keep their position; new names follow, sorted, so that the order of a dict does not matter. Raises
    InvalidValueError for a name that the base does not set: a typo must not become an empty PATH.
    """
    known = {name: value for name, _, value in (entry.partition("=") for entry in base)}

    def value_of(found: re.Match[str]) -> str:
        name = found["plain"] or found["braced"]
        if name is None:
            return "$"
        if name not in known:
            raise InvalidValueError(
                f"invalid env: ${printable(name, 100)} is not set in the base",
                cause=f"the base sets {printable(', '.join(sorted(known)), 300) or 'no variable'}",
                hint=r"write \$ for a dollar sign",
                field="env",
            )
        return known[name]

    new = {name: f"{name}={_VARIABLE.sub(value_of, value)}" for name, value in own.items()}
    merged = []
    for entry in base:
        name = entry.partition("=")[0]
        if name not in own:
            merged.append(entry)
        elif name in new:
            merged.append(new.pop(name))
    return merged + [new[name] for name in sorted(new)]


def _patched(target: Any, patch: Any) -> Any:
    """RFC 7396, section 2."""
    if not isinstance(patch, Mapping):
        return copy.deepcopy(patch)
    found = dict(target) if isinstance(target, Mapping) else {}
    for key, value in patch.items():
        if value is None:
            found.pop(key, None)
        else:
            found[key] = _patched(found.get(key), value)
    return found


def _check_kind(field: str, value: Any) -> None:
    """Raise InvalidValueError for a value of the wrong type: a runtime rejects the whole config for one of them."""
    texts: list[Any] = []
    if field in ("env", "labels", "healthcheck", "raw"):
        if not isinstance(value, Mapping):
            raise InvalidValueError(f"{value!r:.100} is not a mapping", hint='write {"name": "value"}')
        if field in ("env", "labels"):
            texts = [*value, *value.values()]
    elif field in ("entrypoint", "cmd", "exposed_ports", "volumes"):
        texts = list(value)
    else:
        texts = [value]
    for text in texts:
        if not isinstance(text, str):
            raise InvalidValueError(
                f"{text!r:.100} is not a string", hint=f'write "{text}"' if isinstance(text, int) else ""
            )


def _check_env(env: Mapping[str, str]) -> None:
    for name, value in env.items():
        if not name:
            raise InvalidValueError("the name of an environment variable is empty", hint="write a name")
        if "=" in name:
            raise InvalidValueError(
                f"the name of the environment variable '{printable(name, 100)}' contains '='", hint="remove the '='"
            )
        check_text(name, "the name of an environment variable")
        check_text(value, f"the value of {printable(name, 100)}")


def _check_labels(labels: Mapping[str, str]) -> None:
    if "" in labels:
        raise InvalidValueError("the name of a label is empty", hint="write a name")
    for name, value in labels.items():
        check_text(name, "the name of a label")
        check_text(value, f"the value of {printable(name, 100)}")


def _check_argv(argv: Sequence[str]) -> None:
    for argument in argv:
        check_text(argument, "an argument")
    if argv and not argv[0]:
        raise InvalidValueError("the name of the program is empty", hint="write a name")


def _check_working_dir(path: str) -> None:
    check_text(path, "the path")
    if not path.startswith("/"):
        raise InvalidValueError(f"the path '{printable(path, 100)}' is not absolute", hint="begin the path with /")
    if ".." in path.split("/"):
        raise InvalidValueError(f"the path '{printable(path, 100)}' contains '..'", hint="write the path without '..'")


def _check_user(user: str) -> None:
    check_text(user, "the user")
    if not _USER.match(user):
        raise InvalidValueError(
            f"'{printable(user, 100)}' is not a user", hint="write user, uid, user:group or uid:gid"
        )
    for part in user.split(":"):
        if part.isdigit() and not part.isascii():
            # A runtime takes these digits for a name, or for the number that they resemble.
            raise InvalidValueError(f"'{printable(part, 50)}' is not an ID", hint="write the digits 0 to 9")
        if part.isdigit() and int(part[:11]) > _MAX_ID:
            raise InvalidValueError(f"{printable(part, 20)} is more than the largest ID, {_MAX_ID}")


def _check_ports(ports: Sequence[str]) -> None:
    for port in ports:
        found = _PORT.match(port)
        first = int(found["first"]) if found else 0
        last = int(found["last"] or first) if found else 0
        if not 0 < first <= last < 65536:
            raise InvalidValueError(
                f"'{printable(port, 100)}' is not a port",
                hint="write 1 to 65535 with /tcp, /udp or /sctp, as in 8080/tcp",
            )


def _check_volumes(volumes: Sequence[str]) -> None:
    for volume in volumes:
        _check_working_dir(volume)


def _check_stop_signal(signal: str) -> None:
    if not re.match(r"(SIG[A-Z0-9+]{2,12}|[0-9]{1,2})\Z", signal):
        raise InvalidValueError(
            f"'{printable(signal, 50)}' is not a signal", hint="write a name such as SIGTERM, or a number"
        )


def _check_healthcheck(healthcheck: Mapping[str, Any]) -> None:
    unknown = set(map(str, healthcheck)) - {"Test", "Interval", "Timeout", "StartPeriod", "StartInterval", "Retries"}
    if unknown:
        raise InvalidValueError(f"'{printable(sorted(unknown)[0], 50)}' is not a key of a healthcheck")
    test = healthcheck.get("Test", [])
    if not isinstance(test, (list, tuple)) or not all(isinstance(part, str) for part in test):
        raise InvalidValueError(
            f"the value {test!r:.100} of Test is not a list of strings", hint='write ["CMD-SHELL", "true"]'
        )
    if test and test[0] not in ("NONE", "CMD", "CMD-SHELL"):
        raise InvalidValueError(f"the first item is {test[0]!r:.50}", hint="begin with CMD, CMD-SHELL or NONE")
    for key in set(healthcheck) - {"Test"}:
        number = healthcheck[key]
        if isinstance(number, bool) or not isinstance(number, int) or number < 0:
            label = "a whole number" if key == "Retries" else "nanoseconds, 30 s as 30000000000"
            raise InvalidValueError(f"the value of {key} is {number!r:.50}", hint=f"write {label}")


def _check_created(created: str) -> None:
    if not is_time(created):
        raise InvalidValueError(
            f"'{printable(created, 50)}' is not a time", hint="write a time as in RFC 3339: 2024-01-31T12:00:00Z"
        )


def _check_raw(raw: Mapping[str, Any]) -> None:
    for key in ("rootfs", "history"):
        if key in raw:
            raise InvalidValueError(f"{key} must match the layers", hint="add or remove layers instead")
    try:
        document = load_json(json.dumps(raw, allow_nan=False))
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidValueError("the patch is not JSON", cause=str(error)) from None
    if not _has_text_keys(raw):
        raise InvalidValueError("the patch is not JSON", cause="a key is not a string")
    if "config" in document and document["config"] is not None and not isinstance(document["config"], dict):
        raise InvalidValueError("the `config` of the patch is not an object")


def _has_text_keys(value: Any) -> bool:
    """Return whether all keys of objects in a JSON value are strings. Python writes others as strings."""
    if isinstance(value, Mapping):
        return all(isinstance(key, str) and _has_text_keys(item) for key, item in value.items())
    return not isinstance(value, (list, tuple)) or all(map(_has_text_keys, value))


def check_text(text: str, label: str, field: str = "") -> None:
    """Raise InvalidValueError for text that no runtime accepts: a NUL, or bytes of a command line outside UTF-8."""
    if "\0" in text:
        raise InvalidValueError(f"{label} contains a NUL byte", field=field)
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        raise InvalidValueError(f"{label} is not UTF-8", field=field) from None


_RULES: dict[str, Any] = {
    "entrypoint": _check_argv,
    "cmd": _check_argv,
    "env": _check_env,
    "working_dir": _check_working_dir,
    "user": _check_user,
    "labels": _check_labels,
    "exposed_ports": _check_ports,
    "volumes": _check_volumes,
    "stop_signal": _check_stop_signal,
    "healthcheck": _check_healthcheck,
    "created": _check_created,
    "raw": _check_raw,
}
