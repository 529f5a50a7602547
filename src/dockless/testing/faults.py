"""Faults: a selection of requests and what goes wrong there, as values and as JSON."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, NoReturn, Union

from dockless.errors import DocklessError, InvalidValueError
from dockless.oci.canonical_json import parse_document
from dockless.testing.routes import NOUNS, Route

HeaderChange = Union[str, "list[str]", None]


@dataclasses.dataclass(frozen=True)
class Fault:
    """A fault that is injected at every matching request. Raises InvalidValueError for a fault without an effect.

    Selection:
    `on`: the operation, noun and method with `*`: "upload patch", "manifest *", "* get"; a noun alone: all its methods.
    `repository`, `reference`: with `*`; a reference is a tag, a digest or the ID of a session.
    `over`: only requests whose body has more bytes, like the limit of a proxy (-1: any).
    `nth`: which of the matching requests, counted from 1, one or several (empty: all).

    Effects, in this order; they can be combined, and several faults may apply to one request:
    `delay`: seconds to wait first.
    `lose_sessions`: forget all upload sessions.
    `expire_tokens`: invalidate all tokens that were issued.
    `request_bytes`: apply the fault after this many bytes of the request body (0: before the first); the registry keeps
        the received bytes. Without it, after the whole body.
    `drop`, `reset`: close the connection with FIN or RST. Before the request is handled, unless
    `after`: handle the request first, then lose or replace its response.
    `status`, `headers`, `body`: respond with these instead. `headers` without `status` changes the real response: a
        string or several replace a header, None removes it. In them {path} is path and query (of the real Location,
        else of the request) and {host} is this registry.
    `head_bytes`, `response_bytes`: send this many bytes of the response head or body, then `drop` or `reset`.
    `corrupt`: change the byte at this offset of the response body.
    `rate`: send the response body at this many bytes per second.
    """

    on: str = "*"
    repository: str = "*"
    reference: str = "*"
    over: int = -1
    nth: int | tuple[int, ...] = ()
    delay: float = 0.0
    lose_sessions: bool = False
    expire_tokens: bool = False
    request_bytes: int | None = None
    drop: bool = False
    reset: bool = False
    after: bool = False
    status: int = 0
    headers: Mapping[str, HeaderChange] = dataclasses.field(default_factory=dict)
    body: str | bytes = b""
    head_bytes: int | None = None
    response_bytes: int | None = None
    corrupt: int | None = None
    rate: float = 0.0

    def __post_init__(self) -> None:
        operations = [f"{noun} {method}" for noun in NOUNS for method in _METHODS]
        if not any(_matches(operation, self.on) for operation in operations):
            _no(self, f"no operation matches {self.on!r}", f"write a noun ({', '.join(NOUNS)}) and a method")
        if self.drop and self.reset:
            _no(self, "drop and reset cannot be combined", "choose one")
        ends = self.drop or self.reset
        if ends and self.status and self.head_bytes is None and self.response_bytes is None:
            _no(
                self,
                "the connection is closed before the status is sent",
                "set response_bytes or head_bytes, or neither drop nor reset",
            )
        if (self.head_bytes is not None or self.response_bytes is not None) and not ends:
            _no(self, "response_bytes and head_bytes need drop or reset", "set drop or reset")
        if self.request_bytes is not None and not (ends or self.status):
            _no(self, "request_bytes alone has no effect", "set drop, reset or status")
        if self.after and not (ends or self.status):
            _no(self, "after alone has no effect", "set drop, reset or status")
        if self.corrupt is None and not any(getattr(self, field) for field in _ACTIONS):
            _no(self, "the fault has no effect", f"set one of {', '.join(_ACTIONS)}, corrupt")
        if self.body and not self.status:
            _no(self, "the fault has a body without a status", "set the status")

    @classmethod
    def from_json(cls, found: Any) -> Fault:
        """Return the fault with the fields of a JSON object. Raises InvalidValueError."""
        if not isinstance(found, dict):
            raise InvalidValueError("a fault is not an object", cause=f"the value is {str(found)[:80]}")
        for key, value in found.items():
            kinds = _JSON_TYPES.get(key)
            if kinds is None:
                raise InvalidValueError(
                    f"a fault has no field {key!r}", hint=f"the fields are {', '.join(_JSON_TYPES)}"
                )
            if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
                raise InvalidValueError(f"a fault's {key} is {value!r:.60}", hint=f"write {_TYPE_NAMES[kinds[0]]}")
        if not all(isinstance(change, (str, list, type(None))) for change in found.get("headers", {}).values()):
            raise InvalidValueError("a fault's headers are not strings", hint="write a string, a list of them, or null")
        if isinstance(found.get("nth"), list):
            if not all(isinstance(n, int) for n in found["nth"]):
                raise InvalidValueError("a fault's nth is not a list of numbers")
            found = {**found, "nth": tuple(found["nth"])}
        return cls(**found)

    def matches(self, route: Route, length: int) -> bool:
        """Return whether a request matches whose body has `length` bytes."""
        return (
            length > self.over
            and _matches(route.operation, self.on)
            and fnmatchcase(route.repository, self.repository)
            and fnmatchcase(route.reference, self.reference)
        )

    @property
    def ends(self) -> bool:
        """Whether the connection is closed."""
        return self.drop or self.reset

    @property
    def cuts_answer(self) -> bool:
        """Whether the fault ends the response before its end."""
        return self.head_bytes is not None or self.response_bytes is not None


class FaultScript:
    """Active faults, each with the number of requests that it matched."""

    def __init__(self, faults: Iterable[Fault]) -> None:
        self.faults = tuple(faults)
        self._counts = [0] * len(self.faults)
        self._lock = threading.Lock()

    def strike(self, route: Route, length: int) -> list[Fault]:
        """Return the faults that apply to this request, whose body has `length` bytes."""
        found = []
        with self._lock:
            for place, fault in enumerate(self.faults):
                if fault.matches(route, length):
                    self._counts[place] += 1
                    wanted = (fault.nth,) if isinstance(fault.nth, int) else fault.nth
                    if not wanted or self._counts[place] in wanted:
                        found.append(fault)
        return found


def read_faults(path: str | Path) -> list[Fault]:
    """Return the faults of a JSON file, `{"faults": [{"on": "upload put", "nth": 1, "drop": true}, ...]}`.

    Raises InvalidValueError, which names the file and the place of the fault in it.
    """
    try:
        found = parse_document(Path(path).read_bytes(), str(path)).get("faults")
        if not isinstance(found, list):
            raise InvalidValueError("the file has no list of faults", hint='write {"faults": [...]}')
    except OSError as error:
        raise InvalidValueError(f"cannot read the faults of {path}", cause=error.strerror or str(error)) from None
    except DocklessError as error:
        raise InvalidValueError(f"cannot read the faults of {path}", cause=str(error)) from None
    faults = []
    for place, item in enumerate(found):
        try:
            faults.append(Fault.from_json(item))
        except InvalidValueError as error:
            raise InvalidValueError(
                f"{path}: faults[{place}]: {error.problem}", cause=error.cause, hint=error.hint
            ) from None
    return faults


_METHODS = ("get", "head", "post", "put", "patch", "delete")
_ACTIONS = ("delay", "lose_sessions", "expire_tokens", "drop", "reset", "status", "headers", "rate")
_JSON_TYPES: dict[str, tuple[type, ...]] = {
    "on": (str,),
    "repository": (str,),
    "reference": (str,),
    "over": (int,),
    "nth": (int, list),
    "delay": (float, int),
    "lose_sessions": (bool,),
    "expire_tokens": (bool,),
    "request_bytes": (int,),
    "drop": (bool,),
    "reset": (bool,),
    "after": (bool,),
    "status": (int,),
    "headers": (dict,),
    "body": (str,),
    "head_bytes": (int,),
    "response_bytes": (int,),
    "corrupt": (int,),
    "rate": (float, int),
}
_TYPE_NAMES = {str: "a string", int: "a number", float: "a number", bool: "true or false", dict: "an object"}


def _matches(operation: str, pattern: str) -> bool:
    return fnmatchcase(operation, pattern if " " in pattern or "*" in pattern else f"{pattern} *")


def _no(fault: Fault, problem: str, hint: str) -> NoReturn:
    raise InvalidValueError(f"invalid fault on {fault.on!r}: {problem}", hint=hint)
