"""The WWW-Authenticate header (RFC 9110, section 11.6.1), read by its grammar and not by splitting."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"')
_VALUE = re.compile(r'[^\s,"]+')
_SPACE = re.compile(r"[ \t]*")


class Challenge(NamedTuple):
    """One way to authenticate. `scheme` and the names of parameters are in lower case."""

    scheme: str
    parameters: Mapping[str, str]


def parse_challenges(headers: Iterable[str]) -> list[Challenge]:
    """All challenges of all WWW-Authenticate headers. What cannot be read ends a header, quietly: the rest counts."""
    found: list[Challenge] = []
    for header in headers:
        found.extend(_parse(header))
    return found


def choose_challenge(challenges: Iterable[Challenge]) -> Challenge | None:
    """Bearer before Basic, if it says where tokens are had; others (Negotiate, NTLM...) cannot be met."""
    by_scheme: dict[str, Challenge] = {}
    for challenge in challenges:
        by_scheme.setdefault(challenge.scheme, challenge)
    bearer, basic = by_scheme.get("bearer"), by_scheme.get("basic")
    return basic if basic and not (bearer and bearer.parameters.get("realm")) else bearer


def _parse(text: str) -> list[Challenge]:
    found: list[tuple[str, dict[str, str]]] = []
    at = 0
    while at < len(text):
        at = _skip(text, at)
        token = _TOKEN.match(text, at)
        if not token:
            break
        at = _after_space(text, token.end())
        if found and text[at : at + 1] == "=" and text[at + 1 : at + 2] not in ("=", ""):
            at = _after_space(text, at + 1)
            quoted = _QUOTED.match(text, at)
            value = quoted or _VALUE.match(text, at)
            if not value:
                break
            content = re.sub(r"\\(.)", r"\1", quoted[1]) if quoted else value[0]
            found[-1][1].setdefault(token[0].lower(), content)
            at = value.end()
        elif text[at : at + 1] == "=":
            break
        else:
            found.append((token[0].lower(), {}))
            at = _skip_token68(text, at)
    return [Challenge(scheme, parameters) for scheme, parameters in found]


def _skip(text: str, at: int) -> int:
    while at < len(text) and text[at] in " \t,":
        at += 1
    return at


def _after_space(text: str, at: int) -> int:
    space = _SPACE.match(text, at)
    return space.end() if space else at


def _skip_token68(text: str, at: int) -> int:
    """`Negotiate YII==`: the one form that is neither a parameter nor a scheme."""
    token = re.compile(r"[A-Za-z0-9._~+/-]+=*(?=[ \t]*(?:,|$))").match(text, at)
    return token.end() if token else at
