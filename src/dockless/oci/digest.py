"""Content digests: `sha256:` and 64 lower-case hex digits."""

from __future__ import annotations

import hashlib
import re
from typing import BinaryIO

from dockless.errors import InvalidValueError, printable

_BLOCK = 1 << 20
_SHA256 = re.compile(r"sha256:[0-9a-f]{64}\Z")


class Digest(str):
    """A valid digest string (OCI image spec, descriptor.md, "Digests").

    Only sha256 is accepted: docker-registry 2.8 and distribution 3.1 reject sha512, and no tool writes it by default.
    An index may list a manifest with another digest, which is kept but not read. Raises InvalidValueError for any other
    text, before the text becomes part of a URL or a file name.
    """

    __slots__ = ()

    def __new__(cls, text: str) -> Digest:
        """Parse a digest. Raises InvalidValueError."""
        if not isinstance(text, str) or not _SHA256.match(text):
            raise InvalidValueError(
                f"invalid digest '{printable(str(text), 100)}'", hint="write `sha256:` and 64 lower-case hex digits"
            )
        return super().__new__(cls, text)

    @classmethod
    def of(cls, data: bytes) -> Digest:
        """Return the digest of `data`. Raises InvalidValueError for a value that is not bytes."""
        if not isinstance(data, (bytes, bytearray, memoryview)):
            raise InvalidValueError(f"{data!r:.100} is not bytes", hint="encode the text")
        return cls("sha256:" + hashlib.sha256(data).hexdigest())

    @classmethod
    def of_file(cls, file: BinaryIO) -> Digest:
        """Return the digest of the rest of `file`. Raises what reading the file raises."""
        hasher = hashlib.sha256()
        while data := file.read(_BLOCK):
            hasher.update(data)
        return cls("sha256:" + hasher.hexdigest())

    @property
    def algorithm(self) -> str:
        """The part before the colon: `sha256`."""
        return self[: self.index(":")]

    @property
    def hex(self) -> str:
        """The hex digits: the file name of the blob in an OCI layout."""
        return self[self.index(":") + 1 :]
