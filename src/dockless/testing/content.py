"""What the registry for tests holds: content by digest, and what of it each repository may serve."""

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
    """An upload session: bytes that have no name yet."""

    @property
    def id(self) -> str: ...

    @property
    def repository(self) -> str: ...

    @property
    def size(self) -> int: ...

    def append(self, data: bytes) -> None:
        """Raises KeyError when the session has meanwhile ended."""
        ...

    def digest(self) -> Digest:
        """Of all bytes so far."""
        ...


class Storage(Protocol):
    """Where content is kept. Every method may be called from any thread, and none leaves half of anything."""

    def close(self) -> None:
        """Lets go of files; what is stored stays."""
        ...

    def repositories(self) -> list[str]:
        """Those that were created or pushed to, sorted."""
        ...

    def create_repository(self, repository: str) -> None: ...

    def blobs(self, repository: str) -> dict[Digest, int]:
        """Digest and size of each blob that `repository` has."""
        ...

    def blob_size(self, repository: str, digest: Digest) -> int | None: ...

    def open_blob(self, repository: str, digest: Digest) -> BinaryIO:
        """The blob, at its start. KeyError if `repository` has none such."""
        ...

    def mount_blob(self, digest: Digest, source: str, destination: str) -> bool:
        """Makes the blob of `source` one of `destination`; False if it is not there."""
        ...

    def delete_blob(self, repository: str, digest: Digest) -> bool: ...

    def start_upload(self, repository: str) -> Upload: ...

    def upload(self, upload_id: str) -> Upload | None: ...

    def finish_upload(self, upload: Upload, digest: Digest) -> None:
        """Makes the session's bytes the blob `digest`, which the caller has compared. KeyError if it has ended."""
        ...

    def drop_upload(self, upload: Upload) -> bool: ...

    def drop_uploads(self) -> None:
        """Ends all sessions."""
        ...

    def manifests(self, repository: str) -> dict[Digest, StoredManifest]: ...

    def manifest(self, repository: str, digest: Digest) -> StoredManifest | None: ...

    def put_manifest(self, repository: str, manifest: StoredManifest, tag: str | None) -> None: ...

    def delete_manifest(self, repository: str, digest: Digest) -> bool:
        """With the tags that name it."""
        ...

    def tags(self, repository: str) -> dict[str, Digest]: ...

    def delete_tag(self, repository: str, tag: str) -> bool: ...
