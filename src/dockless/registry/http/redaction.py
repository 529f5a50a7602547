"""Redacts credentials in messages of servers: some servers echo the request in their error responses."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import parse_qsl, quote, quote_plus, unquote, urlsplit

_HIDDEN = "(hidden)"
# Shorter strings occur in ordinary words, and protect nothing.
_MIN_LENGTH = 6
_FORM = "application/x-www-form-urlencoded"


def secrets_sent(headers: Mapping[str, str], body: Any, proxy: str | None) -> list[str]:
    """Return the secrets of a request: in its Authorization header, in a token request's form, in the proxy's URL."""
    secrets = []
    scheme, _, value = headers.get("Authorization", "").partition(" ")
    secrets.append(value)
    if scheme == "Basic":
        secrets += _passwords(value)
    if headers.get("Content-Type") == _FORM and isinstance(body, bytes):
        secrets += [value for name, value in parse_qsl(body.decode()) if name == "refresh_token"]
    url = urlsplit(proxy or "")
    if url.password:
        user, password = unquote(url.username or ""), unquote(url.password)
        secrets += [url.password, password, base64.b64encode(f"{user}:{password}".encode()).decode()]
    return secrets


def query_values(url: str) -> list[str]:
    """Return the values of a URL's query, among them the signature of a signed URL."""
    return [value for _, value in parse_qsl(urlsplit(url).query)]


def hide(text: str, secrets: Iterable[str]) -> str:
    """Return `text` with the secrets replaced: as they are, and as encoded in JSON, URLs, forms and HTML."""
    forms = {form for secret in secrets if len(secret) >= _MIN_LENGTH for form in _forms(secret)}
    # Longest first, because one form may contain another.
    for form in sorted(forms, key=len, reverse=True):
        text = text.replace(form, _HIDDEN)
    return text


def _forms(secret: str) -> Iterator[str]:
    yield secret
    for ensure_ascii in (True, False):
        plain = json.dumps(secret, ensure_ascii=ensure_ascii)[1:-1]
        yield plain
        # The escapes of PHP, and of Go.
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
