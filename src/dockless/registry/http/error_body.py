"""Bodies of error responses: the registry's codes and message, and what to do about them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from dockless.errors import printable
from dockless.oci.canonical_json import load_json
from dockless.registry.http.redaction import hide
from dockless.registry.http.web_page import describe_page, is_page

_MAX_SHOWN = 200


def parse_error_body(body: bytes, secrets: Iterable[str] = ()) -> tuple[tuple[str, ...], str]:
    """Return the codes and the message of an error response (distribution spec, "Error Codes"), whatever its form.

    `secrets`, which were in the request, are hidden in the message. Codes are compared and never shown.
    """
    if not body:
        return (), ""
    if is_page(body):
        return (), hide(describe_page(body), secrets)
    text = body.decode("utf-8", "replace").strip()
    try:
        document: Any = load_json(text)
    except ValueError:
        return (), printable(hide(" ".join(text.split()), secrets), _MAX_SHOWN)
    entries = document.get("errors") if isinstance(document, dict) else None
    errors = [entry for entry in entries if isinstance(entry, dict)] if isinstance(entries, list) else []
    codes = tuple(str(error.get("code", "")).upper() for error in errors)
    messages = []
    for error in errors:
        message, detail = error.get("message"), error.get("detail")
        shown = " ".join(str(part) for part in (error.get("code"), message) if part)
        messages.append(f"{shown} ({detail})" if isinstance(detail, str) and detail and detail != message else shown)
    if not messages and isinstance(document, dict):
        # Token servers and some proxies: {"details": ...}, {"message": ...}, {"error_description": ...}.
        keys = ("details", "message", "error_description", "error")
        messages = [str(document[key]) for key in keys if document.get(key)]
    return codes, printable(hide("; ".join(messages) or text, secrets), _MAX_SHOWN)


def hint_for(status: int, codes: tuple[str, ...], message: str = "") -> str:
    """Return what to do about an error status."""
    if status == 429 or "TOOMANYREQUESTS" in codes:
        return "the registry limits the rate of requests; try again later, or log in for a higher limit"
    if status == 404 and ("NAME_UNKNOWN" in codes or "REPOSITORY_NOT_FOUND" in codes):
        return "check the repository name; some registries (ECR, GAR) require that the repository is created first"
    if status == 404:
        return "check the repository and the tag or digest, and that the user may read the repository"
    if "TAG_INVALID" in codes or "immutab" in message.lower():
        return "an existing tag cannot be moved; push another tag"
    if status == 403:
        return "access is denied for this user or from this network; ask the operator of the registry"
    if status == 405 or "UNSUPPORTED" in codes:
        return "the registry does not support or allow this operation"
    if status == 407:
        return "check the user name and password in HTTPS_PROXY or HTTP_PROXY"
    if status == 413:
        return "the registry or a proxy in front of it refuses uploads of this size"
    if status >= 500:
        return "the registry has a problem; try again later"
    if 300 <= status < 400:
        return "the registry redirected this request, and redirects are not followed here"
    return "the registry rejected the request" if status >= 400 else "unexpected response"
