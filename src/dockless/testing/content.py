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
        """The digest of the manifest's bytes."""
        return Digest.of(self.raw)


class Upload(Protocol):
    """An upload session: bytes without a digest."""

    @property
    def id(self) -> str:
        """The identifier in the session's URL."""
        ...

    @property
    def repository(self) -> str:
        """The repository that the blob is uploaded to."""
        ...

    @property
    def size(self) -> int:
        """The number of bytes that were received."""
        ...

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

    def create_repository(self, repository: str) -> None:
        """Create an empty repository, unless it exists."""
        ...

    def blobs(self, repository: str) -> dict[Digest, int]:
        """Return digest and size of each blob of `repository`."""
        ...

    def blob_size(self, repository: str, digest: Digest) -> int | None:
        """Return the size of a blob in bytes, or None if the repository does not have it."""
        ...

    def open_blob(self, repository: str, digest: Digest) -> BinaryIO:
        """Return a file with the blob. Raises KeyError if `repository` does not have it."""
        ...

    def mount_blob(self, digest: Digest, source: str, destination: str) -> bool:
        """Add a blob of `source` to `destination`; return False if `source` does not have it."""
        ...

    def delete_blob(self, repository: str, digest: Digest) -> bool:
        """Delete a blob. Returns whether the repository had it."""
        ...

    def start_upload(self, repository: str) -> Upload:
        """Start an upload session."""
        ...

    def upload(self, upload_id: str) -> Upload | None:
        """Return the upload session with an identifier, or None."""
        ...

    def finish_upload(self, upload: Upload, digest: Digest) -> None:
        """Store the bytes as the blob `digest`, which the caller verified. Raises KeyError after the session's end."""
        ...

    def drop_upload(self, upload: Upload) -> bool:
        """End an upload session without a blob. Returns whether it was open."""
        ...

    def drop_uploads(self) -> None:
        """End all sessions."""
        ...

    def manifests(self, repository: str) -> dict[Digest, StoredManifest]:
        """Return the manifests of a repository by digest."""
        ...

    def manifest(self, repository: str, digest: Digest) -> StoredManifest | None:
        """Return a manifest, or None if the repository does not have it."""
        ...

    def put_manifest(self, repository: str, manifest: StoredManifest, tag: str | None) -> None:
        """Store a manifest, and make `tag` name it."""
        ...

    def delete_manifest(self, repository: str, digest: Digest) -> bool:
        """Delete a manifest and the tags that name it; return False if there is none."""
        ...

    def tags(self, repository: str) -> dict[str, Digest]:
        """Return the tags of a repository, and the digest that each one names."""
        ...

    def delete_tag(self, repository: str, tag: str) -> bool:
        """Delete a tag. Returns whether it existed."""
        ...
