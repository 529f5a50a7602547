"""Web pages in the place of a registry's response: of a login, a captive portal, or a proxy that has a problem."""

from __future__ import annotations

import html
import re

from dockless.errors import printable
from dockless.registry.errors import ProtocolError

HINT = (
    "a login page, a captive portal or a proxy answers in the place of the registry; check the network and the address"
)
_START = 1024
_MAX_TITLE = 100
_TAGS = re.compile(rb"<(?:!doctype html|html|head|body)\b", re.IGNORECASE)
_TITLE = re.compile(r"<title[^>]{0,200}>([^<]{0,1000})", re.IGNORECASE)
# What is between tags, without scripts and styles.
_TEXT = re.compile(r"<(?:script|style)\b[^>]*>[^<]*|<[^>]*>?", re.IGNORECASE)


def is_page(body: bytes) -> bool:
    """Return whether a body is a web page, by its content: registries send wrong types, too."""
    start = body[:_START].lstrip(b"\xef\xbb\xbf \t\r\n")
    return start.startswith(b"<") and bool(_TAGS.search(start))


def check_no_page(body: bytes, label: str) -> None:
    """Raise ProtocolError for a web page in the place of the document or blob `label`."""
    if is_page(body):
        problem = f"{label} cannot be read: the registry does not respond as a registry"
        raise ProtocolError(problem, cause=describe_page(body), hint=HINT, reason="web page")


def describe_page(body: bytes) -> str:
    """Return what to say about a web page: that it is one, and its title, or else how its text begins."""
    text = body[: 16 * _START].decode("utf-8", "replace")
    match = _TITLE.search(text)
    shown = " ".join(html.unescape(match[1] if match else _TEXT.sub(" ", text)).split())
    return "the response is a web page (HTML)" + (f": '{printable(shown, _MAX_TITLE)}'" if shown else "")
