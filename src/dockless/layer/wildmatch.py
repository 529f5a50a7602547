"""The patterns of gitignore(5), as regular expressions over the bytes of paths.

Of a pattern and a path alone, as git has it: whether the folders above a path are left out is asked for each of them.
"""

from __future__ import annotations

import re
from typing import NamedTuple

# POSIX's classes, of ASCII, as git's own tables.
_CLASSES = {
    b"alnum": b"0-9A-Za-z",
    b"alpha": b"A-Za-z",
    b"blank": b" \\t",
    b"cntrl": b"\\x00-\\x1f\\x7f",
    b"digit": b"0-9",
    b"graph": b"!-~",
    b"lower": b"a-z",
    b"print": b" -~",
    b"punct": b"!-/:-@\\[-`{-~",
    b"space": b" \\t\\n\\r\\f\\v",
    b"upper": b"A-Z",
    b"xdigit": b"0-9A-Fa-f",
}
_NOTHING = b"(?!)"


class Pattern(NamedTuple):
    """`keeps`: it begins with `!`. `folders`: it is for folders alone. `anywhere`: it is for names, in any folder."""

    keeps: bool
    folders: bool
    anywhere: bool
    regex: re.Pattern[bytes]

    def matches(self, path: bytes, is_folder: bool) -> bool:
        """Whether it is for this very path, which is relative to where the pattern stands and ends with no `/`."""
        if self.folders and not is_folder:
            return False
        return self.regex.match(path.rpartition(b"/")[2] if self.anywhere else path) is not None


def parse_pattern(line: bytes) -> Pattern | None:
    """The pattern of a line; None for an empty one and a comment. Raises ValueError for one that can match nothing."""
    if line.startswith(b"#"):
        return None
    text = _without_spaces(line)
    if not text:
        return None
    keeps = text.startswith(b"!")
    text = text[1:] if keeps else text
    folders = text.endswith(b"/")
    text = text[:-1] if folders else text
    if not text and keeps and not folders:
        raise ValueError("nothing follows its '!'")
    if not text:
        return None
    anywhere = b"/" not in text
    return Pattern(keeps, folders, anywhere, re.compile(_regex(text[text.startswith(b"/") :]), re.S))


def _without_spaces(line: bytes) -> bytes:
    """Spaces at the end count when they are escaped."""
    text = line.rstrip(b" ")
    backslashes = len(text) - len(text.rstrip(b"\\"))
    return text + b" " if backslashes % 2 and len(text) < len(line) else text


def _regex(text: bytes) -> bytes:
    out = []
    at = 0
    while at < len(text):
        char = text[at : at + 1]
        if char == b"*":
            end = at
            while text[end : end + 1] == b"*":
                end += 1
            found, at = _stars(text, at, end)
            out.append(found)
            continue
        if char == b"?":
            out.append(b"[^/]")
        elif char == b"[":
            found, at = _bracket(text, at)
            out.append(found)
            continue
        elif char == b"\\":
            at += 1
            if at == len(text):
                raise ValueError("it ends with a backslash")
            out.append(re.escape(text[at : at + 1]))
        else:
            out.append(re.escape(char))
        at += 1
    return b"".join(out) + rb"\Z"


def _stars(text: bytes, begin: int, end: int) -> tuple[bytes, int]:
    """`**`, or more of them, between slashes stand for folders, any number of these; else they are `*`."""
    alone = (begin == 0 or text[begin - 1 : begin] == b"/") and text[end : end + 1] in (b"/", b"")
    if end - begin < 2 or not alone:
        return b"[^/]*", end
    return (b"(?:.*/)?", end + 1) if text[end : end + 1] else (b".+", end)


def _bracket(text: bytes, begin: int) -> tuple[bytes, int]:
    """`[a-z]`, `[!a]` or `[[:alpha:]]`; one without its end matches nothing. None of them matches `/`."""
    at = begin + 1
    negated = text[at : at + 1] in (b"!", b"^")
    at += negated
    parts = []
    first = True
    while True:
        char = text[at : at + 1]
        if not char:
            return _NOTHING, len(text)
        if char == b"]" and not first:
            break
        first = False
        if text[at : at + 2] == b"[:":
            end = text.find(b":]", at)
            if end > 0:
                name = text[at + 2 : end]
                if name not in _CLASSES:
                    return _NOTHING, len(text)
                parts.append(_CLASSES[name])
                at = end + 2
                continue
        low, at = _one(text, at)
        if text[at : at + 1] == b"-" and text[at + 1 : at + 2] not in (b"]", b""):
            high, at = _one(text, at + 1)
            # Of one that goes backwards its begin is left, as it is to git.
            parts.append(b"\\x%02x-\\x%02x" % (low, max(low, high)))
        else:
            parts.append(b"\\x%02x" % low)
    content = b"".join(parts)
    if not content:
        return (b"[^/]" if negated else _NOTHING), at + 1
    return (b"(?!/)[%s%s]" % (b"^" if negated else b"", content)), at + 1


def _one(text: bytes, at: int) -> tuple[int, int]:
    at += text[at : at + 1] == b"\\" and at + 1 < len(text)
    return text[at], at + 1
