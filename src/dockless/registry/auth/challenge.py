"""The WWW-Authenticate header (RFC 9110, section 11.6.1), parsed by its grammar and not by splitting."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"')
_VALUE = re.compile(r'[^\s,"]+')
_SPACE = re.compile(r"[ \t]*")
_TOKEN68 = re.compile(r"[A-Za-z0-9._~+/-]+=*(?=[ \t]*(?:,|$))")


class Challenge(NamedTuple):
    """One way to authenticate. `scheme` and the names of parameters are in lower case."""

    scheme: str
    parameters: Mapping[str, str]


def parse_challenges(headers: Iterable[str]) -> list[Challenge]:
    """Return all challenges of all WWW-Authenticate headers. A syntax error silently ends that header."""
    return [challenge for header in headers for challenge in _parse(header)]


def choose_challenge(challenges: Iterable[Challenge]) -> Challenge | None:
    """Return a Bearer challenge with a token server, else a Basic one. Others (Negotiate, NTLM) are not supported."""
    by_scheme: dict[str, Challenge] = {}
    for challenge in challenges:
        by_scheme.setdefault(challenge.scheme, challenge)
    bearer, basic = by_scheme.get("bearer"), by_scheme.get("basic")
    return basic if basic and not (bearer and bearer.parameters.get("realm")) else bearer


def _parse(text: str) -> list[Challenge]:
    parsed: list[tuple[str, dict[str, str]]] = []
    position = 0
    while position < len(text):
        position = _skip(text, position)
        token = _TOKEN.match(text, position)
        if not token:
            break
        position = _after_space(text, token.end())
        if parsed and text[position : position + 1] == "=" and text[position + 1 : position + 2] not in ("=", ""):
            position = _after_space(text, position + 1)
            quoted = _QUOTED.match(text, position)
            value = quoted or _VALUE.match(text, position)
            if not value:
                break
            content = re.sub(r"\\(.)", r"\1", quoted[1]) if quoted else value[0]
            parsed[-1][1].setdefault(token[0].lower(), content)
            position = value.end()
        elif text[position : position + 1] == "=":
            break
        else:
            parsed.append((token[0].lower(), {}))
            position = _skip_token68(text, position)
    return [Challenge(scheme, parameters) for scheme, parameters in parsed]


def _skip(text: str, position: int) -> int:
    while position < len(text) and text[position] in " \t,":
        position += 1
    return position


def _after_space(text: str, position: int) -> int:
    space = _SPACE.match(text, position)
    return space.end() if space else position


def _skip_token68(text: str, position: int) -> int:
    """Return the position after a token68, as in `Negotiate YII==`: it is neither a parameter nor a scheme."""
    token = _TOKEN68.match(text, position)
    return token.end() if token else position
