r"""Patterns of gitignore(5), evaluated by pathspec with the results of git.

pathspec translates a pattern to a regular expression of Python. Two steps around that translation are needed:

- `_normalized` rewrites a line to a form that pathspec and git read alike. They differ in trailing white space, bracket
  expressions, runs of asterisks, empty components and directories.
- `_bounded` makes the wildcards of the regular expression atomic. Python's `re` backtracks: `*a*a*a*b` as pathspec
  translates it takes time that is exponential in the number of asterisks.

A character stands for a byte, as in git: lines and paths are decoded as Latin-1.
"""

from __future__ import annotations

import os
import re
import string
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from itertools import count, groupby

from pathspec import RegexPattern
from pathspec.patterns.gitignore.spec import GitIgnoreSpecPattern

from dockless.errors import LayerError
from dockless.layer.ignore import check_pattern_count

# PATH_MAX of Linux.
_MAX_PATTERN = 4096

# The character classes of git (wildmatch.c, ctype.c). `space` has neither \v nor \f.
_CLASSES = {
    "alnum": string.ascii_letters + string.digits,
    "alpha": string.ascii_letters,
    "blank": " \t",
    "cntrl": "".join(map(chr, (*range(32), 127))),
    "digit": string.digits,
    "graph": string.ascii_letters + string.digits + string.punctuation,
    "lower": string.ascii_lowercase,
    "print": string.ascii_letters + string.digits + string.punctuation + " ",
    "punct": string.punctuation,
    "space": " \t\n\r",
    "upper": string.ascii_uppercase,
    "xdigit": string.hexdigits,
}

# A bracket expression. Its alternatives exclude each other, so that `re` can read it in one way only.
_CLASS = r"\[:[^]]*:\]"
_CHARACTER = r"(?:\\.|[^]\\])"
_RANGE_END = rf"(?:-{_CHARACTER}|(?!-{_CHARACTER}))"
_MEMBER = rf"(?:{_CLASS}|(?!{_CLASS}){_CHARACTER}{_RANGE_END})"
_BRACKET = rf"\[(?P<negation>[!^]|(?![!^]))(?P<members>(?:\]{_RANGE_END}|{_MEMBER}){_MEMBER}*)\]"
_TOKEN = re.compile(rf"(?P<asterisks>\*+)|(?P<bracket>{_BRACKET})|\\.|.", re.S)
# What `_normalized_glob` returns: a wildcard or a character, escaped or not.
_NORMALIZED = re.compile(r"(\*+|\?|\[\]?\0[^]]*\])|\\?(.)", re.S)
_MEMBERS = re.compile(r"\[:([^]]*):\]|(\\?.)(?:-(\\?.))?", re.S)

# The wildcards of pathspec's expressions, and the translation of a pattern that has all of them.
_LEADING_DIRECTORIES = "(?:.+/)?"
_INNER_DIRECTORIES = "(?:/.+)?/"
_ASTERISK = re.compile(r"(\[\^/\][*+])")
_END = "(?:(?P<ps_d>/)|$)"
_KNOWN = ("**/a?/*/**/b*c", f"^{_LEADING_DIRECTORIES}a[^/]/[^/]+{_INNER_DIRECTORIES}b[^/]*c{_END}")


class Patterns:
    """The patterns of one place, such as an ignore file. `where` is the place in error messages.

    Raises LayerError for a pattern that cannot be read, and if the installed pathspec translates patterns differently.
    """

    def __init__(self, lines: Iterable[bytes], where: str) -> None:
        _check_translation(GitIgnoreSpecPattern.pattern_to_regex)
        for_files, for_directories = [], []
        self._lines: dict[bytes, _Pattern] = {}
        self._used: set[_Pattern] = set()
        for line in lines:
            try:
                text, directories_only = _normalized(line.decode("latin-1"))
            except ValueError as error:
                raise LayerError(
                    f"{where} has a pattern that cannot be read: {os.fsdecode(line)!r}", cause=str(error)
                ) from None
            if text:
                pattern = self._lines[line] = _pattern(text)
                for_directories.append(pattern)
                check_pattern_count(len(for_directories), where)
                if not directories_only:
                    for_files.append(pattern)
        # Last first: the last pattern that matches decides.
        self._for_files, self._for_directories = for_files[::-1], for_directories[::-1]

    def __len__(self) -> int:
        return len(self._for_directories)

    def match(self, path: bytes, is_directory: bool) -> bool | None:
        """Return what the last pattern that matches `path` says: False if the pattern begins with `!`, else True.

        None if no pattern matches. `path` is relative to the place of the patterns. A pattern that matches a directory
        above `path` does not match `path`.
        """
        text = path.decode("latin-1")
        for pattern in self._for_directories if is_directory else self._for_files:
            if pattern.literal in text and pattern.matches(text):
                self._used.add(pattern)
                return pattern.include
        return None

    def unused(self) -> list[bytes]:
        """Return the lines of the patterns that have decided about no path. Comments are not patterns."""
        return [line for line, pattern in self._lines.items() if pattern not in self._used]


@lru_cache(maxsize=1)
def _check_translation(pattern_to_regex: Callable[[str], object]) -> None:
    if pattern_to_regex(_KNOWN[0]) != (_KNOWN[1], True):
        raise LayerError(
            "the installed pathspec translates patterns in a way that this version of Dockless does not know",
            hint="install pathspec 1.1.1 or a newer Dockless",
        )


# Ignore files of many directories have the same lines.
@lru_cache(maxsize=10_000)
def _pattern(text: str) -> _Pattern:
    return _Pattern(text)


class _Pattern:
    """A pattern in the form of `_normalized`. A path that matches contains `literal`.

    The expression is compiled when a path contains the literal: compilation takes as long as a thousand matches.
    """

    __slots__ = ("_regex", "_text", "include", "literal")

    def __init__(self, text: str) -> None:
        self.include = not text.startswith("!")
        self.literal = _longest_literal(text if self.include else text[1:])
        self._text = text
        self._regex: RegexPattern | None = None

    def matches(self, path: str) -> bool:
        if self._regex is None:
            regex, include = GitIgnoreSpecPattern.pattern_to_regex(self._text)
            assert regex is not None
            self._regex = RegexPattern(re.compile(_bounded(regex)), include)
        return self._regex.match_file(path) is not None


def _longest_literal(glob: str) -> str:
    """Return the longest text without wildcards of a normalized glob. Slashes at its ends may be optional."""
    texts = [""]
    for wildcard, character in _NORMALIZED.findall(glob):
        if wildcard:
            texts.append("")
        else:
            texts[-1] += character
    return max((text.strip("/") for text in texts), key=len)


def _normalized(line: str) -> tuple[str, bool]:
    """Return a line as pathspec is to read it, and whether it is for directories only.

    The text is empty if the line can match nothing. Raises ValueError for a line that is likely a mistake.
    """
    text = line.partition("\0")[0]
    bare = text.rstrip(" ")
    escaped = (len(bare) - len(bare.rstrip("\\"))) % 2
    text = text[: len(bare) + escaped]
    if text.startswith("#"):
        return "", False
    if text == "!":
        raise ValueError("nothing follows its '!'")
    if len(text) > _MAX_PATTERN:
        raise ValueError(f"it is longer than {_MAX_PATTERN} bytes")
    negation = "!" if text.startswith("!") else ""
    text = text[len(negation) :]
    directories_only = text.endswith("/")
    text = text[:-1] if directories_only else text
    # A slash anchors a pattern, one in a bracket expression too.
    anchor = "/" if "/" in text else ""
    glob = _normalized_glob(text[1:] if text.startswith("/") else text)
    # No path has an empty component.
    return (negation + anchor + glob if "" not in glob.split("/") else ""), directories_only


def _normalized_glob(text: str) -> str:
    """Return a glob that has simple bracket expressions only. The glob is empty if `text` can match nothing."""
    found = []
    for token in _TOKEN.finditer(text):
        value = token.group()
        if token.lastgroup == "asterisks":
            found.append(_asterisks(text, token.start(), token.end()))
        elif token.lastgroup == "bracket":
            characters = _characters(token["negation"], token["members"])
            if characters is None:
                return ""
            found.append(_bracket(characters))
        elif value == "[":
            # A bracket expression without an end.
            return ""
        elif value == "\\":
            raise ValueError("it ends with a backslash")
        else:
            found.append(value if value in "/?" else _literal(value[-1]))
    return "".join(found)


def _asterisks(text: str, start: int, end: int) -> str:
    """Return `**` for several asterisks that are a whole component, else `*`."""
    if end - start > 1 and (start == 0 or text[start - 1] == "/"):
        if text[end : end + 1] in ("", "/"):
            return "**"
        if text.startswith("\\/", end):
            # Before an escaped slash, `**` stands for one directory at least.
            return "**/*"
    return "*"


def _literal(character: str) -> str:
    # pathspec strips white space at the end of a line, escaped or not.
    if character.isspace():
        return _bracket({character})
    return character if character.isalnum() or character == "/" else "\\" + character


def _characters(negation: str, members: str) -> set[str] | None:
    """Return what a bracket expression matches; None for a class that does not exist."""
    found: set[str] = set()
    for name, low, high in _MEMBERS.findall(members):
        if low:
            # Of a reversed range git matches the first character.
            found.add(low[-1])
            found.update(map(chr, range(ord(low[-1]), ord((high or low)[-1]) + 1)))
        elif name in _CLASSES:
            found.update(_CLASSES[name])
        else:
            return None
    return (set(map(chr, range(256))) - found if negation else found) - {"/"}


def _bracket(characters: set[str]) -> str:
    """Return a bracket expression. NUL, which no path holds, keeps `!` and `^` from the front of the expression."""
    ranges = ""
    for _, run in groupby(enumerate(sorted(map(ord, characters - set("]-\0")))), lambda item: item[1] - item[0]):
        codes = [code for _, code in run]
        ranges += f"{chr(codes[0])}-{chr(codes[-1])}"
    front, back = "]" * ("]" in characters), "-" * ("-" in characters)
    return f"[{front}\0{ranges}{back}]"


def _bounded(regex: str) -> str:
    """Return a regular expression that matches the same paths, but not what lies below them, in polynomial time.

    What stands between two `**`, or between two `*` of a component, is matched at the first place where it fits, and no
    other place is tried. A later place would only leave less of the path for the rest.
    """
    if not regex.startswith("^"):
        # Any path, or any path that has a slash.
        return f"(?s){regex}"
    names = map("g{}".format, count())
    floating = regex.startswith(_LEADING_DIRECTORIES, 1)
    body = regex[1 + len(_LEADING_DIRECTORIES) if floating else 1 :].replace(_END, r"\Z")
    *blocks, last = [_bounded_block(block, names) for block in body.split(_INNER_DIRECTORIES)]
    found = "(?s)^"
    for block in blocks:
        found += _atomic(f"(?:.*?/)??{block}/", names) if floating else f"{block}/"
        floating = True
    return found + ("(?:.*/)?" if floating else "") + last


def _bounded_block(block: str, names: Iterator[str]) -> str:
    """Make each `*` atomic but the last one of a component, which ends where the component ends."""
    found, *rest = _ASTERISK.split(block)
    for asterisk, text, more in zip(rest[::2], rest[1::2], [*rest[2::2], ""]):
        is_last = not more or "/" in text.replace("[^/]", "")
        found += asterisk + text if is_last else _atomic(f"{asterisk}?{text}", names)
    return found


def _atomic(regex: str, names: Iterator[str]) -> str:
    # This is (?>...), which CPython has since 3.11.
    name = next(names)
    return f"(?=(?P<{name}>{regex}))(?P={name})"
