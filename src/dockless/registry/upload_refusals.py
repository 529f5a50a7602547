"""What the refusal of an upload request means: a session that is lost, or content that is not accepted in this form."""

from __future__ import annotations

from dockless.registry.errors import ResponseError, TokenDeniedError

# Besides 404 and 416: the session does not exist, or its offset is another one (docker-registry 2.8, ECR, Harbor).
_SESSION_CODES = frozenset(("BLOB_UPLOAD_UNKNOWN", "BLOB_UPLOAD_INVALID", "RANGE_INVALID"))
# Some registries and proxies accept the content of a blob in a PATCH only: the statuses and codes with which they
# refuse a PUT that has content.
_CONTENT_REFUSED = frozenset((405, 411, 415, 501))
_CONTENT_CODES = _SESSION_CODES | {"BLOB_UNKNOWN", "UNSUPPORTED", "UNKNOWN"}
# Chunks that a proxy refuses for their size are divided by 4, down to a 16th: nginx accepts 1 MiB by default.
_CHUNK_DIVISOR = 4
_MAX_CHUNK_DIVISOR = 16


def is_lost(refusal: ResponseError) -> bool:
    """Return whether a session was refused because it is lost, or because its offset is another one."""
    return refusal.status == 416 or bool(_SESSION_CODES.intersection(refusal.codes))


def is_new_session_lost(refusal: ResponseError) -> bool:
    """Return whether a request for a new session was refused as if it were one within a session."""
    is_of_session = is_lost(refusal) or "BLOB_UNKNOWN" in refusal.codes
    return refusal.method == "POST" and is_of_session and not isinstance(refusal, TokenDeniedError)


def is_content_refused(refusal: ResponseError, *, is_whole: bool, is_first: bool) -> bool:
    """Return whether a PUT that had content was probably refused for that reason.

    `is_whole`: the content was all of the blob. `is_first`: no other PUT of the blob was refused before.
    """
    if refusal.status in _CONTENT_REFUSED:
        return True
    if refusal.status not in (400, 404) or not _CONTENT_CODES.issuperset(refusal.codes):
        return False
    # A session that was lost is refused with the same codes, but not each time.
    is_probably_lost = "BLOB_UPLOAD_UNKNOWN" in refusal.codes or not is_whole
    return "BLOB_UNKNOWN" in refusal.codes or not (is_probably_lost and is_first)


def smaller_chunk(refused: int, largest: int) -> int:
    """Return a chunk size below `refused` bytes, which were too many; 0 if the chunks would be too small.

    `largest` is the chunk size without limits.
    """
    size = largest
    while size and size >= refused:
        size //= _CHUNK_DIVISOR
    return size if size and size >= largest // _MAX_CHUNK_DIVISOR else 0
