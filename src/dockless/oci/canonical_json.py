"""JSON documents: one strict, bounded reader and one canonical writer."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any, NoReturn

from dockless.errors import InvalidDocument

# The most that registries take (distribution spec, "Pushing Manifests": at least 4 MiB must work; docker-registry 2.8
# refuses more). Configs of real images stay far below.
DEFAULT_LIMIT = 4 * 1024 * 1024
_MAX_DEPTH = 100


def parse_document(data: bytes, what: str, *, limit: int = DEFAULT_LIMIT) -> dict[str, Any]:
    """The JSON object in `data`; `what` names it in errors (its digest or file).

    Refuses, with InvalidDocument: more than `limit` bytes, a BOM, other encodings than UTF-8, duplicate keys, NaN and
    infinities, integers over 100 digits, nesting over 100 deep, and anything but an object at the top.
    """

    def no(cause: str) -> NoReturn:
        raise InvalidDocument(f"{what} is not a usable JSON document", cause=cause)

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
    try:
        found = json.loads(data.decode("utf-8"), object_pairs_hook=pairs, parse_int=integer, parse_constant=constant)
    except UnicodeDecodeError as error:
        no(f"it is not UTF-8 at byte {error.start}")
    except RecursionError:
        no("it is nested too deep")
    except json.JSONDecodeError as error:
        no(f"{error.msg} at line {error.lineno}, column {error.colno}")
    if not isinstance(found, dict):
        no("it holds no object at its top")
    if _deeper(found, _MAX_DEPTH):
        no("it is nested too deep")
    return found


def write_document(document: dict[str, Any]) -> bytes:
    """The canonical bytes of `document`: sorted keys, no white space, ASCII.

    ASCII because a base's config may hold a lone surrogate escape, which UTF-8 cannot.
    """
    return json.dumps(document, sort_keys=True, separators=(",", ":"), allow_nan=False).encode("ascii")


def _deeper(value: Any, depth: int) -> bool:
    level = [value]
    for _ in range(depth):
        level = [
            child
            for node in level
            if isinstance(node, (dict, list))
            for child in (node.values() if isinstance(node, dict) else node)
            if isinstance(child, (dict, list))
        ]
        if not level:
            return False
    return True
