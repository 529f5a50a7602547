"""Makes untrusted text safe for terminals and logs: names of files and images, and texts of servers and helpers.

A terminal acts on control characters, and a CI service on lines and marks that it takes for its own commands. Every
place that prints uses these functions. They can be applied twice: text that is safe stays as it is.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

# Commands of CI services. GitHub Actions and Azure Pipelines find `##[` and `##vso[` anywhere in a line, and TeamCity
# `##teamcity[`. GitHub Actions also takes a line that begins with `::`, after any spaces.
_MARK = re.compile(r"(?<=#)#(?=[A-Za-z]*\[)")
_COMMAND = re.compile(r"\A( *):(?=:)")
# `json` escapes every other control character.
_IN_JSON = re.compile(rf"{_MARK.pattern}|\x7f")


def printable(text: str, limit: int | None = 400) -> str:
    """Return `text` on one line that neither a terminal nor a CI service acts on, cut after `limit` characters.

    Escaped are control characters, format characters (Unicode categories Cc and Cf: among them those for the direction
    of text and those without a width), line and paragraph separators, surrogates, unassigned characters, all spaces
    but U+0020, the second `#` of a mark such as `##[` and `##vso[`, and the first colon of a line that begins with
    `::`. With the limit None, nothing is cut.
    """
    if limit is not None and len(text) > limit:
        text = text[:limit] + "..."
    if not text.isprintable():
        text = "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)
    return _COMMAND.sub(r"\1\\x3a", _MARK.sub(r"\\x23", text))


def printable_json(document: Any) -> str:
    """Return `document` as indented JSON with the same values, in which everything that `printable` escapes is escaped.

    The JSON is ASCII, because a terminal's encoding may not have all characters of a path.
    """
    import json

    return _IN_JSON.sub(lambda found: f"\\u{ord(found[0]):04x}", json.dumps(document, indent=2))


def traceback_lines(error: BaseException) -> Iterator[str]:
    """Yield the lines of the traceback of `error` and of the exceptions that led to it, the first one first.

    Each message is one line. Python's own traceback prints messages as they are.
    """
    import traceback

    chain: list[BaseException] = []
    cause: BaseException | None = error
    while cause is not None and cause not in chain:
        chain.append(cause)
        cause = cause.__cause__ or (None if cause.__suppress_context__ else cause.__context__)
    for each in reversed(chain):
        yield "Traceback (most recent call last):"
        for frame in traceback.format_tb(each.__traceback__):
            yield from (printable(line, None) for line in frame.splitlines())
        yield printable("".join(traceback.format_exception_only(type(each), each)).rstrip("\n"), None)
