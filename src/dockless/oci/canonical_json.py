"""JSON documents: one strict, bounded reader and one canonical writer."""

from __future__ import annotations

import json
from array import array
from collections import Counter
from itertools import accumulate
from typing import Any, NoReturn

from dockless.errors import InvalidDocumentError

# The most that registries take (distribution spec, "Pushing Manifests": at least 4 MiB must work; docker-registry 2.8
# refuses more). Configs of real images stay far below.
DEFAULT_LIMIT = 4 * 1024 * 1024
_MAX_DEPTH = 100
# Opening brackets as the signed byte 1, closing ones as -1, all else deleted.
_STEPS = bytes.maketrans(b"[{]}", b"\x01\x01\xff\xff")
_NO_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))


def load_json(text: str) -> Any:
    """The JSON value in `text`, for documents that are read leniently otherwise.

    Raises ValueError for what is not JSON and for nesting over 100 deep, which no document of a registry or a user has.
    """
    if is_nested_deeper(text.encode("utf-8", "surrogatepass"), _MAX_DEPTH):
        raise ValueError("it is nested too deep")
    return json.loads(text)


def is_nested_deeper(data: bytes, depth: int) -> bool:
    """Whether objects and arrays in `data`, JSON in UTF-8, are nested over `depth` deep.

    Asked before parsing: how deep the parser goes before it raises RecursionError depends on the interpreter, and on
    CPython 3.14 it may be until the memory is full. Of what is not JSON, the part before the first error is counted as
    the parser would; what follows can only make the answer true.

    Takes linear time: an escape only matters in a string, and there a backslash escapes the next byte, so that without
    escaped backslashes and quotes every second part between quotes is outside of strings.
    """
    if data.count(b"[") + data.count(b"{") <= depth:
        return False
    outside = data.replace(b"\\\\", b"").replace(b'\\"', b"").split(b'"')[::2]
    steps = array("b", b"".join(outside).translate(_STEPS, _NO_BRACKETS))
    return max(accumulate(steps), default=0) > depth


def parse_document(data: bytes, what: str, *, limit: int = DEFAULT_LIMIT) -> dict[str, Any]:
    """The JSON object in `data`; `what` names it in errors (its digest or file).

    Refuses, with InvalidDocumentError: more than `limit` bytes, a BOM, other encodings than UTF-8, duplicate keys, NaN
    and
    infinities, integers over 100 digits, nesting over 100 deep, and anything but an object at the top.
    """

    def no(cause: str) -> NoReturn:
        raise InvalidDocumentError(f"{what} is not a usable JSON document", cause=cause)

    def pairs(items: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(items)
        if len(found) != len(items):
            twice = next(key for key, count in Counter(key for key, _ in items).items() if count > 1)
            no(f"the key {twice!r} stands twice")
        return found

    def integer(text: str) -> int:
        if len(text) > 100:
            no(f"a number of {len(text)} digits")
        return int(text)

    def constant(text: str) -> NoReturn:
        no(f"{text} is not JSON")

    if len(data) > limit:
        no(f"{len(data)} bytes, more than {limit}")
    if data.startswith(b"\xef\xbb\xbf"):
        no("it starts with a byte order mark")
    if is_nested_deeper(data, _MAX_DEPTH):
        no("it is nested too deep")
    try:
        found = json.loads(data.decode("utf-8"), object_pairs_hook=pairs, parse_int=integer, parse_constant=constant)
    except UnicodeDecodeError as error:
        no(f"it is not UTF-8 at byte {error.start}")
    except json.JSONDecodeError as error:
        no(f"{error.msg} at line {error.lineno}, column {error.colno}")
    if not isinstance(found, dict):
        no("it holds no object at its top")
    return found


def write_document(document: dict[str, Any]) -> bytes:
    """The canonical bytes of `document`: sorted keys, no white space, ASCII.

    ASCII because a base's config may hold a lone surrogate escape, which UTF-8 cannot.
    """
    return json.dumps(document, sort_keys=True, separators=(",", ":"), allow_nan=False).encode("ascii")
