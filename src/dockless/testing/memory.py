"""Storage in memory."""

from __future__ import annotations

import hashlib
import io
import threading
import uuid
from collections import defaultdict
from typing import BinaryIO

from dockless.oci.digest import Digest
from dockless.testing.content import StoredManifest, Upload
from dockless.testing.message import ApiError


class _Memory:
    """Counts the bytes in use. Beyond `limit`, `take` raises ApiError."""

    def __init__(self, limit: int | None) -> None:
        self._limit = limit
        self._used = 0
        self._lock = threading.Lock()

    def take(self, size: int) -> None:
        with self._lock:
            if self._limit is not None and self._used + size > self._limit:
                raise ApiError(413, "SIZE_INVALID", f"the content in memory would have more than {self._limit} bytes")
            self._used += size

    def free(self, size: int) -> None:
        with self._lock:
            self._used -= size


class _MemoryUpload:
    def __init__(self, repository: str, memory: _Memory) -> None:
        self.id = str(uuid.uuid4())
        self.repository = repository
        self.data = bytearray()
        self.open = True
        self._hash = hashlib.sha256()
        self._memory = memory
        self._lock = threading.Lock()

    @property
    def size(self) -> int:
        return len(self.data)

    def append(self, data: bytes) -> None:
        with self._lock:
            if not self.open:
                raise KeyError(self.id)
            self._memory.take(len(data))
            self.data += data
            self._hash.update(data)

    def digest(self) -> Digest:
        with self._lock:
            return Digest(f"sha256:{self._hash.hexdigest()}")

    def end(self) -> None:
        with self._lock:
            self.open = False
            self._memory.free(len(self.data))
            self.data = bytearray()


class MemoryStorage:
    """A Storage in dictionaries, of at most `limit` bytes of blobs, manifests and uploads; None: without a limit."""

    def __init__(self, limit: int | None = None) -> None:
        self._memory = _Memory(limit)
        self._lock = threading.RLock()
        self._content: dict[Digest, bytes] = {}
        self._blobs: dict[str, set[Digest]] = {}
        self._manifests: defaultdict[str, dict[Digest, StoredManifest]] = defaultdict(dict)
        self._tags: defaultdict[str, dict[str, Digest]] = defaultdict(dict)
        self._uploads: dict[str, _MemoryUpload] = {}

    def close(self) -> None:
        pass

    def repositories(self) -> list[str]:
        with self._lock:
            return sorted(self._blobs)

    def create_repository(self, repository: str) -> None:
        with self._lock:
            self._blobs.setdefault(repository, set())

    def blobs(self, repository: str) -> dict[Digest, int]:
        with self._lock:
            return {digest: len(self._content[digest]) for digest in self._blobs.get(repository, ())}

    def blob_size(self, repository: str, digest: Digest) -> int | None:
        with self._lock:
            return len(self._content[digest]) if digest in self._blobs.get(repository, ()) else None

    def open_blob(self, repository: str, digest: Digest) -> BinaryIO:
        with self._lock:
            if digest not in self._blobs.get(repository, ()):
                raise KeyError(digest)
            return io.BytesIO(self._content[digest])

    def mount_blob(self, digest: Digest, source: str, destination: str) -> bool:
        with self._lock:
            if digest not in self._blobs.get(source, ()):
                return False
            self.create_repository(destination)
            self._blobs[destination].add(digest)
            return True

    def delete_blob(self, repository: str, digest: Digest) -> bool:
        with self._lock:
            if digest not in self._blobs.get(repository, ()):
                return False
            self._blobs[repository].remove(digest)
            if not any(digest in blobs for blobs in self._blobs.values()):
                self._memory.free(len(self._content.pop(digest)))
            return True

    def start_upload(self, repository: str) -> Upload:
        upload = _MemoryUpload(repository, self._memory)
        with self._lock:
            self.create_repository(repository)
            self._uploads[upload.id] = upload
        return upload

    def upload(self, upload_id: str) -> Upload | None:
        with self._lock:
            return self._uploads.get(upload_id)

    def finish_upload(self, upload: Upload, digest: Digest) -> None:
        with self._lock:
            found = self._uploads.pop(upload.id)
            found.open = False
            if digest in self._content:
                self._memory.free(found.size)
            else:
                self._content[digest] = bytes(found.data)
            self._blobs[found.repository].add(digest)

    def drop_upload(self, upload: Upload) -> bool:
        with self._lock:
            found = self._uploads.pop(upload.id, None)
            if found is not None:
                found.end()
            return found is not None

    def drop_uploads(self) -> None:
        with self._lock:
            for upload in list(self._uploads.values()):
                self.drop_upload(upload)

    def manifests(self, repository: str) -> dict[Digest, StoredManifest]:
        with self._lock:
            return dict(self._manifests.get(repository, {}))

    def manifest(self, repository: str, digest: Digest) -> StoredManifest | None:
        with self._lock:
            return self._manifests.get(repository, {}).get(digest)

    def put_manifest(self, repository: str, manifest: StoredManifest, tag: str | None) -> None:
        with self._lock:
            if manifest.digest not in self._manifests[repository]:
                self._memory.take(len(manifest.raw))
            self.create_repository(repository)
            self._manifests[repository][manifest.digest] = manifest
            if tag is not None:
                self._tags[repository][tag] = manifest.digest

    def delete_manifest(self, repository: str, digest: Digest) -> bool:
        with self._lock:
            found = self._manifests.get(repository, {}).pop(digest, None)
            if found is None:
                return False
            self._memory.free(len(found.raw))
            for tag in [tag for tag, named in self._tags[repository].items() if named == digest]:
                del self._tags[repository][tag]
            return True

    def tags(self, repository: str) -> dict[str, Digest]:
        with self._lock:
            return dict(self._tags.get(repository, {}))

    def delete_tag(self, repository: str, tag: str) -> bool:
        with self._lock:
            return self._tags.get(repository, {}).pop(tag, None) is not None
