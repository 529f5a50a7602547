"""What goes wrong with a registry: each error knows whether asking again may help."""

from __future__ import annotations

import json
from typing import Any

from dockless.errors import RegistryError, printable

__all__ = ["ConnectionFailed", "RegistryError", "ResponseError", "Unauthorized", "Unexpected"]

# 499 and 520 to 524 are answers of proxies and CDNs for what the registry behind them did.
_TRANSIENT = frozenset((408, 425, 429, 499, 500, 502, 503, 504, 520, 521, 522, 523, 524))
_SHOWN_BODY = 200


class ConnectionFailed(RegistryError):
    """There was no answer: no connection, a broken one, or silence. `transient` says whether to try again."""

    def __init__(self, problem: str, *, cause: str = "", hint: str = "", transient: bool = True) -> None:
        super().__init__(problem, cause=cause, hint=hint)
        self.transient = transient
        self.retry_after: float | None = None


class Unexpected(RegistryError):
    """An answer that the specification does not allow, or whose content is not what was asked for."""

    def __init__(self, problem: str, *, cause: str = "", hint: str = "", transient: bool = False) -> None:
        super().__init__(problem, cause=cause, hint=hint)
        self.transient = transient
        self.retry_after: float | None = None


class ResponseError(RegistryError):
    """An error status. `codes` are those of the distribution spec ("Error Codes"), upper case."""

    def __init__(
        self,
        method: str,
        url: str,
        status: int,
        codes: tuple[str, ...],
        said: str,
        *,
        hint: str = "",
        retry_after: float | None = None,
    ) -> None:
        super().__init__(f"{method} {url}: {status}", cause=said, hint=hint)
        self.method = method
        self.status = status
        self.codes = codes
        self.retry_after = retry_after
        self.transient = status in _TRANSIENT


class Unauthorized(ResponseError):
    """401 or 403 that credentials did not cure."""


def is_transient(error: BaseException) -> bool:
    """Whether doing the same again may succeed."""
    return bool(getattr(error, "transient", False))


def parse_errors(body: bytes) -> tuple[tuple[str, ...], str]:
    """The codes and the words of an error answer (distribution spec, "Error Codes"), whatever a server made of it."""
    text = body.decode("utf-8", "replace").strip()
    try:
        document: Any = json.loads(text)
    except (ValueError, RecursionError):
        return (), printable(" ".join(text.split()), _SHOWN_BODY)
    errors = document.get("errors") if isinstance(document, dict) else None
    found = [error for error in errors if isinstance(error, dict)] if isinstance(errors, list) else []
    codes = tuple(str(error.get("code", "")).upper() for error in found)
    words = []
    for error in found:
        message, detail = error.get("message"), error.get("detail")
        said = " ".join(str(part) for part in (error.get("code"), message) if part)
        words.append(f"{said} ({detail})" if isinstance(detail, str) and detail and detail != message else said)
    if not words and isinstance(document, dict):
        # Token servers and some proxies: {"details": ...}, {"message": ...}, {"error_description": ...}.
        words = [
            str(document[key]) for key in ("details", "message", "error_description", "error") if document.get(key)
        ]
    return codes, printable("; ".join(words) or text, _SHOWN_BODY)


def hint_for(status: int, codes: tuple[str, ...]) -> str:
    """What to do about an error status, where that is known."""
    if status == 429 or "TOOMANYREQUESTS" in codes:
        return "the registry limits how often it is asked: try again later, or log in for a higher limit"
    if status == 404 and ("NAME_UNKNOWN" in codes or "REPOSITORY_NOT_FOUND" in codes):
        return "check the repository's name; some registries (ECR, GAR) want it created first"
    if status == 404:
        return "check the name, and whether you may see it"
    if status == 413:
        return "the registry or a proxy before it refuses uploads of this size"
    if status >= 500:
        return "the registry has trouble: try again later"
    return ""
