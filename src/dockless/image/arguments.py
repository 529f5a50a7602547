"""Checks of the arguments of `Image`: a value of the wrong type is an InvalidValueError."""

from __future__ import annotations

from collections.abc import Iterable

from dockless.errors import InvalidValueError
from dockless.mutate.config_edit import check_text
from dockless.oci.validation import is_plain_url
from dockless.registry.http.url_policy import redact


def check_created_by(text: str) -> None:
    """Raise InvalidValueError for a text that the history of an image cannot have."""
    if not isinstance(text, str):
        raise InvalidValueError(f"created_by is {text!r:.100}, not a string", hint="write a text for the history")
    check_text(text, "created_by", "created_by")


def check_name(name: str) -> str:
    """Return the name of an image in a layout or archive. Raises InvalidValueError unless it is a string."""
    if not isinstance(name, str):
        raise InvalidValueError(f"the name of the image is {name!r:.100}, not a string")
    return name


def strings(field: str, values: Iterable[str] | None) -> tuple[str, ...] | None:
    """Return the values of an argument, which may be an iterator. Raises InvalidValueError for a single string."""
    if values is None:
        return None
    if isinstance(values, str):
        example = f'a list such as ["sh", "-c", {values!r}]' if field in ("cmd", "entrypoint") else f"[{values!r}]"
        raise InvalidValueError(f"{field} is a string, not a list", hint=f"write {example}")
    if not isinstance(values, Iterable):
        raise InvalidValueError(f"{field} is {values!r:.100}, not a list of strings", hint='write ["..."]')
    return tuple(values)


def layer_urls(urls: Iterable[str]) -> tuple[str, ...]:
    """Return the URLs of a layer. Raises InvalidValueError."""
    checked = strings("urls", urls) or ()
    for url in checked:
        if not isinstance(url, str):
            raise InvalidValueError(f"{url!r:.100} is not a URL", hint="write a list of URLs as strings")
        if not is_plain_url(url):
            raise InvalidValueError(
                f"{redact(url)} is not a valid URL of a layer", hint="write http:// or https://, without a password"
            )
    return checked
