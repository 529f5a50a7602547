"""Uploads: whole blobs, chunks, sessions, mounts (distribution spec, "Pushing Blobs")."""

from __future__ import annotations

import base64
import hashlib
import re
import threading
from urllib.parse import quote

from dockless._units import format_count
from dockless.oci.digest import Digest
from dockless.testing.blobs import parse_digest
from dockless.testing.content import Storage, Upload
from dockless.testing.message import ApiError, BrokenBodyError, Request, Response, pieces
from dockless.testing.profiles import Profile
from dockless.testing.routes import Route

_CONTENT_RANGE = re.compile(r"(?P<first>[0-9]{1,18})-(?P<last>[0-9]{1,18})\Z")
_STATE = re.compile(r"(?P<offset>[0-9]{1,18})\.(?P<check>[0-9a-f]{20}) ?\Z")


# Of a registry. Beyond it, the oldest one is ended: sessions of clients that gave up would stay forever.
_MAX_SESSIONS = 1000


class _Progress:
    """The state of a session other than its bytes."""

    def __init__(self, upload: Upload) -> None:
        self.upload = upload
        self.lock = threading.Lock()
        self.writer: object = None
        self.chunks = 0
        self.first_chunk_end = 0
        self.short_chunk = False


class Uploads:
    """The upload operations."""

    def __init__(self, storage: Storage, profile: Profile) -> None:
        self._storage = storage
        self._profile = profile
        self._lock = threading.Lock()
        self._progress: dict[str, _Progress] = {}

    def start(self, request: Request, route: Route, mountable: list[str]) -> Response:
        """Handle POST. `mountable` are the repositories that the client may pull from."""
        if not self._profile.creates_repositories and route.repository not in self._storage.repositories():
            raise ApiError(404, "NAME_UNKNOWN", f"The repository with name '{route.repository}' does not exist")
        wanted = request.query.get("mount")
        if wanted is not None:
            done = self._mount(request, route, wanted, mountable)
            if done is not None:
                return done
        digest = request.query.get("digest")
        if digest is not None and self._profile.single_post:
            parse_digest(digest)
            upload = self._open(route.repository)
            self._receive(request, upload)
            return self._finish(request, upload, digest)
        upload = self._open(route.repository)
        headers = self._headers(request, upload)
        if self._profile.chunk_minimum and self._profile.chunk_minimum_told:
            headers["OCI-Chunk-Min-Length"] = str(self._profile.chunk_minimum)
        return Response.make(202, headers)

    def status(self, request: Request, route: Route) -> Response:
        """Answer GET of an upload session."""
        return Response.make(204, self._headers(request, self._find(request, route)))

    def patch(self, request: Request, route: Route) -> Response:
        """Answer PATCH of an upload session: a chunk."""
        upload = self._find(request, route)
        self._check_type(request)
        progress = self._of(upload)
        if self._profile.one_chunk_only and progress.chunks:
            raise ApiError(400, "UNSUPPORTED", "chunked uploads are not supported")
        if progress.short_chunk:
            raise ApiError(400, "BLOB_UPLOAD_INVALID", "only the last chunk may be shorter than the minimum")
        if self._profile.content_range_checked:
            self._check_range(request, upload)
        received = self._receive(request, upload)
        progress.chunks += 1
        progress.first_chunk_end = progress.first_chunk_end or upload.size
        progress.short_chunk = received < self._profile.chunk_minimum
        return Response.make(self._profile.chunk_status, self._headers(request, upload))

    def put(self, request: Request, route: Route) -> Response:
        """Answer PUT of an upload session: the end of the upload."""
        upload = self._find(request, route)
        digest = request.query.get("digest")
        if digest is None:
            raise ApiError(400, "DIGEST_INVALID", "provided digest did not match uploaded content", detail="missing")
        parse_digest(digest)
        if self._profile.wrong_type_status == 415:
            self._check_type(request)
        if self._profile.content_range_checked:
            self._check_range(request, upload)
        self._receive(request, upload)
        return self._finish(request, upload, digest)

    def cancel(self, request: Request, route: Route) -> Response:
        """Answer DELETE of an upload session."""
        upload = self._find(request, route)
        self._drop(upload)
        return Response.make(204, {"Docker-Upload-UUID": upload.id})

    def _mount(self, request: Request, route: Route, wanted: str, mountable: list[str]) -> Response | None:
        source = request.query.get("from")
        if source is None and self._profile.mount_without_from == "refuse":
            raise ApiError(400, "UNSUPPORTED", "a mount must name its source repository")
        if source is None and self._profile.mount_without_from == "upload":
            return None
        if not self._profile.mount:
            return None
        try:
            digest = parse_digest(wanted)
        except ApiError:
            return None
        for repository in [source] if source is not None else mountable:
            if repository in mountable and self._storage.mount_blob(digest, repository, route.repository):
                return self._created(request, route.repository, digest)
        return None

    def _find(self, request: Request, route: Route) -> Upload:
        """Return the session, if the query of Location was sent back unchanged."""
        offset = _read_state(request.query.get("_state"), route.reference)
        upload = self._storage.upload(route.reference)
        if offset is None and self._profile.query_in_location:
            raise ApiError(404, "BLOB_UPLOAD_INVALID", "blob upload invalid", detail="not the Location that was given")
        if upload is None or upload.repository != route.repository:
            raise ApiError(404, "BLOB_UPLOAD_UNKNOWN", "blob upload unknown to registry")
        if self._profile.offset_in_location and offset != upload.size:
            raise ApiError(404, "BLOB_UPLOAD_INVALID", "blob upload invalid")
        return upload

    def _check_type(self, request: Request) -> None:
        kind = request.header("Content-Type")
        if kind and kind != "application/octet-stream" and self._profile.wrong_type_status:
            raise ApiError(self._profile.wrong_type_status, "UNKNOWN", f"bad Content-Type {kind!r}")

    def _check_range(self, request: Request, upload: Upload) -> None:
        text = request.header("Content-Range")
        if not text:
            return
        found = _CONTENT_RANGE.match(text)
        if not found:
            raise ApiError(400, "BLOB_UPLOAD_INVALID", "Content-Range is not FIRST-LAST", detail=text)
        first, last = int(found["first"]), int(found["last"])
        length = request.content_length
        if length is None or last - first + 1 != length:
            raise ApiError(400, "SIZE_INVALID", "Content-Range and Content-Length differ", detail=f"{text}, {length}")
        most = self._profile.chunk_maximum
        if first != upload.size:
            raise self._unsatisfiable(
                request, upload, f"First byte of the layer part is {first} instead of {upload.size}"
            )
        if most and length > most and request.method == "PATCH":
            raise self._unsatisfiable(
                request, upload, f"the request body exceeds the limit of {format_count(most, 'byte')}"
            )

    def _unsatisfiable(self, request: Request, upload: Upload, message: str) -> ApiError:
        return ApiError(416, "BLOB_UPLOAD_INVALID", message, headers=self._headers(request, upload))

    def _receive(self, request: Request, upload: Upload) -> int:
        """Append the body to the session, and return its size.

        Bytes received before an interruption are kept. A later request takes over the session, because the client of
        the earlier one may have been killed.
        """
        progress = self._of(upload)
        progress.writer = writer = object()
        received = 0
        for piece in pieces(request.body):
            with progress.lock:
                if progress.writer is not writer:
                    raise BrokenBodyError("another request continues this upload")
                try:
                    upload.append(piece)
                except KeyError:
                    raise BrokenBodyError("the upload session was ended") from None
            received += len(piece)
        return received

    def _finish(self, request: Request, upload: Upload, wanted: str) -> Response:
        if upload.digest() != wanted:
            if not self._profile.offset_in_location:
                self._drop(upload)
            raise ApiError(
                400, "DIGEST_INVALID", "provided digest did not match uploaded content", detail={"Digest": wanted}
            )
        try:
            self._storage.finish_upload(upload, Digest(wanted))
        except KeyError:
            raise ApiError(404, "BLOB_UPLOAD_UNKNOWN", "blob upload unknown to registry") from None
        with self._lock:
            self._progress.pop(upload.id, None)
        return self._created(request, upload.repository, Digest(wanted))

    def _created(self, request: Request, repository: str, digest: Digest) -> Response:
        location = f"/v2/{repository}/blobs/{digest}"
        if self._profile.absolute_locations:
            location = request.origin + location
        return Response.make(201, {"Location": location, "Docker-Content-Digest": str(digest)})

    def _headers(self, request: Request, upload: Upload) -> dict[str, str]:
        path = self._profile.session_path.format(repository=upload.repository, id=upload.id)
        query = f"?_state={_write_state(upload.id, upload.size)}" if self._profile.query_in_location else ""
        location = path + query
        size = upload.size
        if self._profile.stale_range:
            size = self._of(upload).first_chunk_end or size
        told = f"0-{size - 1}" if size else self._profile.empty_range
        return {
            "Location": request.origin + location if self._profile.absolute_locations else location,
            "Docker-Upload-UUID": upload.id,
            **({"Range": told} if told else {}),
        }

    def _of(self, upload: Upload) -> _Progress:
        with self._lock:
            return self._progress.setdefault(upload.id, _Progress(upload))

    def _open(self, repository: str) -> Upload:
        upload = self._storage.start_upload(repository)
        with self._lock:
            self._progress[upload.id] = _Progress(upload)
            oldest = next(iter(self._progress)) if len(self._progress) > _MAX_SESSIONS else None
            ended = self._progress.pop(oldest).upload if oldest is not None else None
        if ended is not None:
            self._storage.drop_upload(ended)
        return upload

    def _drop(self, upload: Upload) -> None:
        with self._lock:
            self._progress.pop(upload.id, None)
        self._storage.drop_upload(upload)


def _write_state(upload_id: str, offset: int) -> str:
    """Return an opaque query value with `%3D`, which detects clients that decode or rebuild it."""
    check = hashlib.sha256(f"{upload_id} {offset}".encode()).hexdigest()[:20]
    text = f"{offset}.{check}"
    # base64 adds no padding to a multiple of three bytes.
    text += "" if len(text) % 3 else " "
    return quote(base64.urlsafe_b64encode(text.encode()).decode(), safe="")


def _read_state(state: str | None, upload_id: str) -> int | None:
    try:
        found = _STATE.match(base64.urlsafe_b64decode((state or "").encode()).decode())
    except ValueError:
        return None
    if not found:
        return None
    check = hashlib.sha256(f"{upload_id} {found['offset']}".encode()).hexdigest()[:20]
    return int(found["offset"]) if check == found["check"] else None
