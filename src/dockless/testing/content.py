"""The interface of a registry's storage: content by digest, and the content of each repository."""

from __future__ import annotations

from typing import BinaryIO, NamedTuple, Protocol

from dockless.oci.digest import Digest


class StoredManifest(NamedTuple):
    """A manifest as it was pushed: its bytes and its Content-Type."""

    raw: bytes
    media_type: str

    @property
    def digest(self) -> Digest:
        return Digest.of(self.raw)


class Upload(Protocol):
    """An upload session: bytes without a digest."""

    @property
    def id(self) -> str: ...

    @property
    def repository(self) -> str: ...

    @property
    def size(self) -> int: ...

    def append(self, data: bytes) -> None:
        """Append bytes. Raises KeyError if the session has ended."""
        ...

    def digest(self) -> Digest:
        """Return the digest of all bytes so far."""
        ...


class Storage(Protocol):
    """A thread-safe storage, whose methods are atomic."""

    def close(self) -> None:
        """Close files; the content is kept."""
        ...

    def repositories(self) -> list[str]:
        """Return the repositories that were created or pushed to, sorted."""
        ...

    def create_repository(self, repository: str) -> None: ...

    def blobs(self, repository: str) -> dict[Digest, int]:
        """Return digest and size of each blob of `repository`."""
        ...

    def blob_size(self, repository: str, digest: Digest) -> int | None: ...

    def open_blob(self, repository: str, digest: Digest) -> BinaryIO:
        """Return a file with the blob. Raises KeyError if `repository` does not have it."""
        ...

    def mount_blob(self, digest: Digest, source: str, destination: str) -> bool:
        """Add a blob of `source` to `destination`; return False if `source` does not have it."""
        ...

    def delete_blob(self, repository: str, digest: Digest) -> bool: ...

    def start_upload(self, repository: str) -> Upload: ...

    def upload(self, upload_id: str) -> Upload | None: ...

    def finish_upload(self, upload: Upload, digest: Digest) -> None:
        """Store the bytes as the blob `digest`, which the caller verified. Raises KeyError after the session's end."""
        ...

    def drop_upload(self, upload: Upload) -> bool: ...

    def drop_uploads(self) -> None:
        """End all sessions."""
        ...

    def manifests(self, repository: str) -> dict[Digest, StoredManifest]: ...

    def manifest(self, repository: str, digest: Digest) -> StoredManifest | None: ...

    def put_manifest(self, repository: str, manifest: StoredManifest, tag: str | None) -> None: ...

    def delete_manifest(self, repository: str, digest: Digest) -> bool:
        """Delete a manifest and the tags that name it; return False if there is none."""
        ...

    def tags(self, repository: str) -> dict[str, Digest]: ...

    def delete_tag(self, repository: str, tag: str) -> bool: ...
