"""JSON documents: a strict, bounded parser and a canonical writer."""

from __future__ import annotations

import json
import math
from array import array
from collections import Counter
from itertools import accumulate
from typing import Any, NoReturn

from dockless.errors import InvalidDocumentError

# Bytes. The distribution spec ("Pushing Manifests") requires registries to accept 4 MiB, and docker-registry 2.8
# accepts no more. Configs of real images are far smaller.
DEFAULT_LIMIT = 4 * 1024 * 1024
_MAX_DEPTH = 100
# Objects and arrays. Each takes some hundred bytes of memory, and two bytes of a document. A manifest has one for each
# layer, and a config one for each entry of its history.
_MAX_CONTAINERS = 200_000
# Opening brackets as the signed byte 1, closing ones as -1, all else deleted.
_STEPS = bytes.maketrans(b"[{]}", b"\x01\x01\xff\xff")
_NO_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))


def load_json(text: str) -> Any:
    """Parse a JSON value of any type, without the rules of `parse_document`.

    Raises ValueError if `text` is not JSON or is nested more than 100 levels deep.
    """
    if is_nested_deeper(text.encode("utf-8", "surrogatepass"), _MAX_DEPTH):
        raise ValueError("the JSON is nested too deeply")
    return json.loads(text)


def is_nested_deeper(data: bytes, depth: int) -> bool:
    """Return whether objects and arrays in `data`, JSON in UTF-8, are nested more than `depth` levels deep.

    The check comes before parsing: the depth at which the parser raises RecursionError depends on the interpreter, and
    CPython 3.14 may fill the memory first. In data that is not JSON, the part before the first error is counted as the
    parser counts it; the rest can only make the result true.

    The check takes linear time. Escapes matter only in strings, where a backslash escapes the next byte. So without
    escaped backslashes and quotes every second part between quotes is outside of strings.
    """
    if data.count(b"[") + data.count(b"{") <= depth:
        return False
    return max(accumulate(_steps(data)), default=0) > depth


def _steps(data: bytes) -> array[int]:
    """Return 1 for each bracket that opens an object or array in `data`, and -1 for each that closes one."""
    outside = data.replace(b"\\\\", b"").replace(b'\\"', b"").split(b'"')[::2]
    return array("b", b"".join(outside).translate(_STEPS, _NO_BRACKETS))


def _has_more_containers(data: bytes, limit: int) -> bool:
    return data.count(b"[") + data.count(b"{") > limit and _steps(data).count(1) > limit


def parse_document(data: bytes, label: str, *, limit: int = DEFAULT_LIMIT) -> dict[str, Any]:
    """Parse a JSON object; errors name the document `label` (its digest or file).

    Raises InvalidDocumentError for more than `limit` bytes, a byte order mark, other encodings than UTF-8, duplicate
    keys, NaN, infinities and numbers too large for a float, integers of more than 100 digits, nesting of more than 100
    levels, more than 200,000 objects and arrays, and for a top-level value that is not an object.
    """

    def fail(cause: str) -> NoReturn:
        raise InvalidDocumentError(f"{label} is not a valid JSON document", cause=cause)

    def pairs(items: list[tuple[str, Any]]) -> dict[str, Any]:
        result = dict(items)
        if len(result) != len(items):
            duplicate = next(key for key, count in Counter(key for key, _ in items).items() if count > 1)
            fail(f"duplicate key {duplicate!r}")
        return result

    def integer(text: str) -> int:
        if len(text) > 100:
            fail(f"an integer has {len(text)} digits")
        return int(text)

    def number(text: str) -> float:
        value = float(text)
        if math.isinf(value):
            fail(f"{text[:20]} is too large")
        return value

    def constant(text: str) -> NoReturn:
        fail(f"{text} is not JSON")

    if not isinstance(data, (bytes, bytearray)):
        fail(f"the document is {type(data).__name__}, not bytes")
    if len(data) > limit:
        fail(f"the document has {len(data)} bytes; the limit is {limit}")
    if data.startswith(b"\xef\xbb\xbf"):
        fail("the document starts with a byte order mark")
    if is_nested_deeper(data, _MAX_DEPTH):
        fail("the document is nested too deeply")
    if _has_more_containers(data, _MAX_CONTAINERS):
        fail(f"the document has more than {_MAX_CONTAINERS} objects and arrays")
    try:
        document = json.loads(
            data.decode("utf-8"),
            object_pairs_hook=pairs,
            parse_int=integer,
            parse_float=number,
            parse_constant=constant,
        )
    except UnicodeDecodeError as error:
        fail(f"byte {error.start} is not UTF-8")
    except json.JSONDecodeError as error:
        fail(f"{error.msg} at line {error.lineno}, column {error.colno}")
    if not isinstance(document, dict):
        fail("the top-level value is not an object")
    return document


def write_document(document: dict[str, Any]) -> bytes:
    """Return the canonical bytes of `document`: sorted keys, no white space, ASCII.

    ASCII, because the config of a base may contain a lone surrogate escape, which UTF-8 cannot encode.
    """
    return json.dumps(document, sort_keys=True, separators=(",", ":"), allow_nan=False).encode("ascii")
