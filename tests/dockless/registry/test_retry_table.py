"""The table of retryable errors."""

import pytest

from dockless.errors import CredentialsError, LayoutError, RegistryError
from dockless.registry.errors import (
    BlobSourceError,
    DamagedBlobError,
    ProtocolError,
    RegistryConnectionError,
    ResponseError,
    TokenDeniedError,
    UnauthorizedError,
)
from dockless.registry.retry import BY_REASON, FINAL, RETRY, RETRYABLE_STATUS, Verdict, classify

ONCE_MORE = Verdict(True, 2)
REFUSED = Verdict(True, 2, is_refusal=True)
PAGE = b"<!DOCTYPE html><html>no</html>"
TAG, DIGEST, SESSION = "/v2/app/manifests/v1", f"/v2/app/manifests/sha256:{'0' * 64}", "/v2/app/blobs/uploads/"


def response(status, *codes, method="GET", path="/v2/app/blobs/x", kind=ResponseError, body=b""):
    return kind(method, f"https://reg.example{path}", status, codes=codes, body=body)


@pytest.mark.parametrize("status", sorted(RETRYABLE_STATUS))
def test_statuses_that_are_retryable(status):
    assert classify(response(status)) == RETRY


@pytest.mark.parametrize("status", [301, 307, 400, 401, 403, 404, 405, 409, 412, 413, 416, 418, 422, 501, 505])
def test_statuses_that_are_final_with_a_code_of_the_specification(status):
    assert classify(response(status, "DENIED")) == FINAL


@pytest.mark.parametrize(
    ("error", "verdict"),
    [
        *((response(status, method="POST", path=SESSION), REFUSED) for status in (304, 307, 400, 404, 409, 416, 511)),
        # A proxy refuses the method or the size, and would do so again.
        *((response(status, method="POST", path=SESSION), FINAL) for status in (401, 405, 411, 413, 415, 501)),
        # The response to HEAD has no body, that to DELETE may follow a success.
        (response(403, method="HEAD"), FINAL),
        (response(404, method="DELETE", path=TAG), FINAL),
        # A tag that does not exist, unless it is a page that says so. What an image names by its digest should exist.
        (response(404, path=TAG), FINAL),
        (response(404, path=TAG, body=PAGE), REFUSED),
        (response(404, "MANIFEST_UNKNOWN", path=DIGEST), ONCE_MORE),
        (response(404, "BLOB_UNKNOWN", path=f"/v2/app/blobs/sha256:{'0' * 64}"), ONCE_MORE),
        # Not all registries have these.
        (response(404, path=f"/v2/app/referrers/sha256:{'0' * 64}"), FINAL),
        (response(404, path="/v2/_catalog"), FINAL),
        # Some registries answer a wrong password in this way, but not with a page.
        (response(403, kind=UnauthorizedError), FINAL),
        (response(403, kind=UnauthorizedError, body=PAGE), REFUSED),
        (response(400, kind=TokenDeniedError), FINAL),
        (response(400, "UNKNOWN"), Verdict(True, 3)),
        (response(400, "MANIFEST_INVALID", method="PUT", path=TAG), ONCE_MORE),
    ],
)
def test_refusals_that_may_not_be_those_of_the_registry(error, verdict):
    assert classify(error) == verdict


@pytest.mark.parametrize(
    ("error", "verdict"),
    [
        (response(400, "TOOMANYREQUESTS"), RETRY),
        (response(404, "UNAVAILABLE"), RETRY),
        (response(403, "TOOMANYREQUESTS", kind=UnauthorizedError), RETRY),
        # Refused credentials are final, whatever the codes in the body.
        (response(403, "TOOMANYREQUESTS", kind=TokenDeniedError), FINAL),
        (response(401, "UNAVAILABLE", kind=TokenDeniedError), FINAL),
        (response(400, "DIGEST_INVALID", method="PUT", path="/v2/app/manifests/v1"), Verdict(True, 2)),
        (response(400, "DIGEST_INVALID", path="/v2/app/manifests/v1"), FINAL),
        (response(400, "DIGEST_INVALID", method="PUT"), FINAL),
        (RegistryConnectionError("x"), RETRY),
        (RegistryConnectionError("x", reason="refused"), RETRY),
        (RegistryConnectionError("x", reason="unreachable"), RETRY),
        (RegistryConnectionError("x", reason="restarting"), RETRY),
        (RegistryConnectionError("x", reason="certificate"), FINAL),
        (RegistryConnectionError("x", reason="plain http"), FINAL),
        (RegistryConnectionError("x", reason="proxy"), FINAL),
        (ProtocolError("x"), FINAL),
        (ProtocolError("x", reason="damaged manifest"), Verdict(True, 2)),
        (DamagedBlobError("x", damaged_once=True), RETRY),
        (DamagedBlobError("x", damaged_once=False), FINAL),
        # The source has made all its attempts. A damaged blob is read again once, from its start.
        (BlobSourceError(RegistryConnectionError("x")), FINAL),
        (BlobSourceError(ProtocolError("x", reason="truncated blob")), FINAL),
        (BlobSourceError(DamagedBlobError("x", damaged_once=True)), RETRY),
        (BlobSourceError(DamagedBlobError("x", damaged_once=False)), FINAL),
        (RegistryError("x"), FINAL),
    ],
)
def test_errors(error, verdict):
    assert classify(error) == verdict


def test_every_reason_of_the_code_is_in_the_table():
    """The table contains no other reasons."""
    import re
    from pathlib import Path

    package = Path(__file__).parents[3] / "src/dockless/registry"
    given = set()
    for path in package.rglob("*.py"):
        if path.name != "retry.py":
            given |= set(re.findall(r'reason(?:: str)? ?= ?"([a-z ]+)"', path.read_text()))
            given |= set(re.findall(r'"([a-z ]+)" if damaged_once', path.read_text()))
            if path.name == "error_mapping.py":
                given |= set(re.findall(r'_Failure\(.*"([a-z ]+)"\)', path.read_text()))
    assert given == set(BY_REASON)


def test_errors_of_credentials_and_layouts_are_final():
    for kind in (CredentialsError, LayoutError):
        assert classify(kind("x")) == FINAL


def test_an_error_is_replaced_and_not_changed():
    error = response(429)
    other = error.replace(hint="wait")
    assert (error.hint, other.hint, other.status, type(other)) == ("", "wait", 429, ResponseError)
    assert str(other).endswith("; wait") and other is not error
