"""What goes wrong with a registry: each error knows whether asking again may help."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from urllib.parse import urlsplit

from dockless.errors import RegistryError, printable
from dockless.oci.canonical_json import load_json

__all__ = ["ConnectionFailed", "Failure", "RegistryError", "ResponseError", "Unauthorized", "Unexpected"]

# 499 and 520 to 524 are answers of proxies and CDNs for what the registry behind them did.
_TRANSIENT = frozenset((408, 425, 429, 499, 500, 502, 503, 504, 520, 521, 522, 523, 524))
# For those that send these with some other status.
_TRANSIENT_CODES = frozenset(("TOOMANYREQUESTS", "UNAVAILABLE"))
_SHOWN_BODY = 200


class Failure(RegistryError):
    """What is raised for a registry. `transient`: the same again may succeed; `attempts`: at most so many times in all
    (0: as the policy says); `retry_after`: seconds that the registry asks to wait."""

    def __init__(
        self, problem: str, *, cause: str = "", hint: str = "", transient: bool = False, attempts: int = 0
    ) -> None:
        super().__init__(problem, cause=cause, hint=hint)
        self.transient = transient
        self.attempts = attempts
        self.retry_after: float | None = None
        # Of what is read to be sent: its reader has tried again all that it can.
        self.of_source = False


class ConnectionFailed(Failure):
    """There was no answer to a `method`: no connection, a broken one, or silence.

    `reason` is `unreachable`, `refused`, `certificate`, `plain http` (where TLS was tried), or empty.
    """

    def __init__(
        self,
        problem: str,
        *,
        cause: str = "",
        hint: str = "",
        transient: bool = True,
        attempts: int = 0,
        reason: str = "",
        method: str = "",
    ) -> None:
        super().__init__(problem, cause=cause, hint=hint, transient=transient, attempts=attempts)
        self.reason = reason
        self.method = method


class Unexpected(Failure):
    """An answer that the specification does not allow, or whose content is not what was asked for."""


class ResponseError(Failure):
    """An error status to a `method` on a `path` (without query).

    `codes` are those of the distribution spec ("Error Codes"), upper case; `body` is the begin of what was said.
    """

    def __init__(
        self,
        method: str,
        url: str,
        status: int,
        body: bytes = b"",
        *,
        hint: str = "",
        retry_after: float | None = None,
        secrets: Iterable[str] = (),
    ) -> None:
        codes, said = parse_errors(body, secrets)
        super().__init__(f"{method} {url}: {status}", cause=said, hint=hint or hint_for(status, codes, said))
        self.method = method
        self.path = urlsplit(url).path
        self.status = status
        self.codes = codes
        self.body = body
        self.retry_after = retry_after
        refused = status in (401, 403)
        self.transient = status in _TRANSIENT or (not refused and bool(_TRANSIENT_CODES.intersection(codes)))


class Unauthorized(ResponseError):
    """401 or 403 that credentials did not cure."""


class TokenRefused(Unauthorized):
    """The token server knows us, or nobody, and gives no token."""


def parse_errors(body: bytes, secrets: Iterable[str] = ()) -> tuple[tuple[str, ...], str]:
    """The codes and the words of an error answer (distribution spec, "Error Codes"), whatever a server made of it.

    Without `secrets`, which were sent there: not in the codes, which are compared and never shown.
    """
    if not body:
        return (), ""
    from dockless.registry.http.redaction import hidden

    text = body.decode("utf-8", "replace").strip()
    try:
        document: Any = load_json(text)
    except ValueError:
        return (), printable(hidden(" ".join(text.split()), secrets), _SHOWN_BODY)
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
    return codes, printable(hidden("; ".join(words) or text, secrets), _SHOWN_BODY)


def hint_for(status: int, codes: tuple[str, ...], said: str = "") -> str:
    """What to do about an error status, where that is known."""
    if status == 429 or "TOOMANYREQUESTS" in codes:
        return "the registry limits how often it is asked: try again later, or log in for a higher limit"
    if status == 404 and ("NAME_UNKNOWN" in codes or "REPOSITORY_NOT_FOUND" in codes):
        return "check the repository's name; some registries (ECR, GAR) want it created first"
    if status == 404:
        return "check the name, and whether you may see it"
    if "TAG_INVALID" in codes or "immutab" in said.lower():
        return "a tag that is there cannot be moved: push another tag"
    if status == 403:
        return "this is not allowed from here, or not to you: ask who runs the registry"
    if status == 405 or "UNSUPPORTED" in codes:
        return "this registry does not do that, or does not allow it"
    if status == 407:
        return "check the user and password in HTTPS_PROXY or HTTP_PROXY"
    if status == 413:
        return "the registry or a proxy before it refuses uploads of this size"
    if status >= 500:
        return "the registry has trouble: try again later"
    if 300 <= status < 400:
        return "it leads elsewhere, and this is not followed there"
    return "the registry does not take this as it is" if status >= 400 else "that is no answer to this request"
