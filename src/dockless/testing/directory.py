"""Storage in a directory: content survives the process, and files get their final names when they are complete.

registry.json                            {"version": 1}
blobs/sha256/HEX                         blobs and manifests, each once
repositories/NAME/_blobs/HEX             empty: this repository has that blob
repositories/NAME/_manifests/HEX         the manifest's media type
repositories/NAME/_tags/TAG              the digest that the tag names
uploads/ID/repository, uploads/ID/data   sessions
temporary/                               incomplete files
"""

from __future__ import annotations

import hashlib
import os
import shutil
import threading
import uuid
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from dockless._atomic import resolve_output
from dockless._files import open_regular
from dockless.errors import InvalidValueError, LayoutError
from dockless.oci.canonical_json import parse_document, write_document
from dockless.oci.digest import Digest
from dockless.testing.content import StoredManifest, Upload
from dockless.testing.message import pieces

_MARKER = "registry.json"
_MARK = {"version": 1}


def _check_files(directory: Path) -> None:
    """Raise InvalidValueError for anything but regular files and directories.

    Through a link, files of this user elsewhere would be served or overwritten, and a FIFO would block the registry.
    """
    pending = [str(directory)]
    while pending:
        with os.scandir(pending.pop()) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    pending.append(entry.path)
                elif not entry.is_file(follow_symlinks=False):
                    kind = "a symlink" if entry.is_symlink() else "a special file"
                    raise InvalidValueError(
                        f"{entry.path} is {kind}, not a file or directory of a registry",
                        hint="name an empty directory",
                    )


def _open_no_link(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW, 0o666)


class _DirectoryUpload:
    """The file of a session. The hash is updated with the bytes, and computed from the file after a restart."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.id = directory.name
        self.repository = (directory / "repository").read_text()
        self._hash = hashlib.sha256()
        self._lock = threading.Lock()
        self._file = open(directory / "data", "ab+", opener=_open_no_link)  # noqa: SIM115 - it stays open
        self._file.seek(0)
        for piece in pieces(self._file):
            self._hash.update(piece)
        self.size = self._file.tell()

    def append(self, data: bytes) -> None:
        with self._lock:
            if self._file.closed:
                raise KeyError(self.id)
            self._file.write(data)
            # Not buffered, so that the bytes survive if the process is killed.
            self._file.flush()
            self._hash.update(data)
            self.size += len(data)

    def digest(self) -> Digest:
        with self._lock:
            return Digest(f"sha256:{self._hash.hexdigest()}")

    def close(self) -> None:
        with self._lock:
            self._file.close()


class DirectoryStorage:
    """A Storage in a directory, created if needed, for one process at a time.

    Raises InvalidValueError if the directory has other content, or is not writable.
    """

    def __init__(self, directory: Path) -> None:
        self._lock = threading.RLock()
        self._content = directory / "blobs" / "sha256"
        self._names = directory / "repositories"
        self._sessions = directory / "uploads"
        self._temporary = directory / "temporary"
        try:
            resolve_output(str(directory))
            self._open(directory)
        except (OSError, LayoutError) as error:
            raise InvalidValueError(
                f"cannot keep a registry in {directory}",
                cause=error.cause if isinstance(error, LayoutError) else error.strerror or str(error),
                hint="name a directory that can be written",
            ) from error

    def _open(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        _check_files(directory)
        marker = directory / _MARKER
        if any(directory.iterdir()) and (
            not marker.is_file() or parse_document(marker.read_bytes(), str(marker)) != _MARK
        ):
            raise InvalidValueError(
                f"{directory} is not empty and does not contain a registry", hint="name an empty directory"
            )
        marker.write_bytes(write_document(_MARK))
        paths = (self._content.parent, self._content, self._names, self._sessions, self._temporary)
        shutil.rmtree(self._temporary, ignore_errors=True)
        for path in paths:
            path.mkdir(parents=True, exist_ok=True)
        self._uploads: dict[str, _DirectoryUpload] = {}
        for session in self._sessions.iterdir():
            if (session / "repository").is_file():
                self._uploads[session.name] = _DirectoryUpload(session)
            else:
                # The process was killed while it created this session.
                shutil.rmtree(session)

    def close(self) -> None:
        with self._lock:
            for upload in self._uploads.values():
                upload.close()

    def repositories(self) -> list[str]:
        with self._lock:
            return sorted(str(path.parent.relative_to(self._names)) for path in self._names.glob("**/_blobs"))

    def create_repository(self, repository: str) -> None:
        with self._lock:
            for kind in ("_tags", "_manifests", "_blobs"):
                (self._names / repository / kind).mkdir(parents=True, exist_ok=True)

    def blobs(self, repository: str) -> dict[Digest, int]:
        with self._lock:
            found = {}
            for link in _files(self._names / repository / "_blobs"):
                found[Digest(f"sha256:{link.name}")] = (self._content / link.name).stat().st_size
            return found

    def blob_size(self, repository: str, digest: Digest) -> int | None:
        with self._lock:
            if not self._link(repository, digest).is_file():
                return None
            return (self._content / digest.hex).stat().st_size

    def open_blob(self, repository: str, digest: Digest) -> BinaryIO:
        with self._lock:
            if not self._link(repository, digest).is_file():
                raise KeyError(digest)
            return open_regular(str(self._content / digest.hex), follow_symlinks=False)

    def mount_blob(self, digest: Digest, source: str, destination: str) -> bool:
        with self._lock:
            if not self._link(source, digest).is_file():
                return False
            self.create_repository(destination)
            self._link(destination, digest).touch()
            return True

    def delete_blob(self, repository: str, digest: Digest) -> bool:
        with self._lock:
            if not self._link(repository, digest).is_file():
                return False
            self._link(repository, digest).unlink()
            self._collect(digest)
            return True

    def start_upload(self, repository: str) -> Upload:
        directory = self._sessions / str(uuid.uuid4())
        directory.mkdir()
        self._write(directory / "repository", repository.encode())
        upload = _DirectoryUpload(directory)
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
            found.close()
            os.replace(found.directory / "data", self._content / digest.hex)
            # The name is written last, when the content is complete.
            self._link(found.repository, digest).touch()
            shutil.rmtree(found.directory)

    def drop_upload(self, upload: Upload) -> bool:
        with self._lock:
            found = self._uploads.pop(upload.id, None)
            if found is None:
                return False
            found.close()
            shutil.rmtree(found.directory)
            return True

    def drop_uploads(self) -> None:
        with self._lock:
            for upload in list(self._uploads.values()):
                self.drop_upload(upload)

    def manifests(self, repository: str) -> dict[Digest, StoredManifest]:
        with self._lock:
            found = {}
            for path in _files(self._names / repository / "_manifests"):
                raw = (self._content / path.name).read_bytes()
                found[Digest(f"sha256:{path.name}")] = StoredManifest(raw, path.read_text())
            return found

    def manifest(self, repository: str, digest: Digest) -> StoredManifest | None:
        with self._lock:
            try:
                media_type = (self._names / repository / "_manifests" / digest.hex).read_text()
            except FileNotFoundError:
                return None
            return StoredManifest((self._content / digest.hex).read_bytes(), media_type)

    def put_manifest(self, repository: str, manifest: StoredManifest, tag: str | None) -> None:
        digest = manifest.digest
        with self._lock:
            self.create_repository(repository)
            self._write(self._content / digest.hex, manifest.raw)
            self._write(self._names / repository / "_manifests" / digest.hex, manifest.media_type.encode())
            if tag is not None:
                self._write(self._names / repository / "_tags" / tag, digest.encode())

    def delete_manifest(self, repository: str, digest: Digest) -> bool:
        with self._lock:
            path = self._names / repository / "_manifests" / digest.hex
            if not path.is_file():
                return False
            for tag, named in self.tags(repository).items():
                if named == digest:
                    self.delete_tag(repository, tag)
            path.unlink()
            self._collect(digest)
            return True

    def tags(self, repository: str) -> dict[str, Digest]:
        with self._lock:
            return {path.name: Digest(path.read_text()) for path in _files(self._names / repository / "_tags")}

    def delete_tag(self, repository: str, tag: str) -> bool:
        with self._lock:
            try:
                (self._names / repository / "_tags" / tag).unlink()
            except FileNotFoundError:
                return False
            return True

    def _link(self, repository: str, digest: Digest) -> Path:
        return self._names / repository / "_blobs" / digest.hex

    def _write(self, path: Path, data: bytes) -> None:
        temporary = self._temporary / uuid.uuid4().hex
        temporary.write_bytes(data)
        os.replace(temporary, path)

    def _collect(self, digest: Digest) -> None:
        """Remove content that no repository names."""
        named = (
            (self._names / repository / kind / digest.hex).is_file()
            for repository in self.repositories()
            for kind in ("_blobs", "_manifests")
        )
        if not any(named):
            with suppress(FileNotFoundError):
                (self._content / digest.hex).unlink()


def _files(directory: Path) -> list[Path]:
    return sorted(directory.iterdir()) if directory.is_dir() else []
