"""What a server was sent and must not make us print: some say all of it in their errors."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import parse_qsl, quote, quote_plus, unquote, urlsplit

_HIDDEN = "(hidden)"
# What is shorter stands in other words, and is no secret that anything protects.
_SHORTEST = 6
_FORM = "application/x-www-form-urlencoded"


def secrets_sent(headers: Mapping[str, str], body: Any, proxy: str | None) -> list[str]:
    """The secrets in a request: those of its Authorization, of a form that asks for a token, of its proxy's URL."""
    found = []
    scheme, _, value = headers.get("Authorization", "").partition(" ")
    found.append(value)
    if scheme == "Basic":
        found += _passwords(value)
    if headers.get("Content-Type") == _FORM and isinstance(body, bytes):
        found += [value for name, value in parse_qsl(body.decode()) if name == "refresh_token"]
    url = urlsplit(proxy or "")
    if url.password:
        user, password = unquote(url.username or ""), unquote(url.password)
        found += [url.password, password, base64.b64encode(f"{user}:{password}".encode()).decode()]
    return found


def query_values(url: str) -> list[str]:
    """What a signed URL is signed with, among others."""
    return [value for _, value in parse_qsl(urlsplit(url).query)]


def hidden(text: str, secrets: Iterable[str]) -> str:
    """`text` without the secrets, as they are, in JSON, in a URL or form, or in HTML."""
    forms = {form for secret in secrets if len(secret) >= _SHORTEST for form in _forms(secret)}
    # One may hold another.
    for form in sorted(forms, key=len, reverse=True):
        text = text.replace(form, _HIDDEN)
    return text


def _forms(secret: str) -> Iterator[str]:
    yield secret
    for ascii_alone in (True, False):
        plain = json.dumps(secret, ensure_ascii=ascii_alone)[1:-1]
        yield plain
        # PHP's, and Go's.
        yield plain.replace("/", "\\/")
        yield plain.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")
    yield quote(secret, safe="")
    yield quote(secret)
    yield quote_plus(secret)
    yield secret.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _passwords(packed: str) -> Iterator[str]:
    try:
        pair = base64.b64decode(packed).decode()
    except (binascii.Error, ValueError):
        return
    yield pair.partition(":")[2]
