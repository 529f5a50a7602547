"""Content digests: `sha256:` and 64 lower-case hex digits."""

from __future__ import annotations

import hashlib
import re
from typing import BinaryIO

from dockless.errors import InvalidValueError, printable

_BLOCK = 1 << 20
_SHA256 = re.compile(r"sha256:[0-9a-f]{64}\Z")


class Digest(str):
    """A checked digest string, as the OCI image spec's descriptor.md ("Digests") defines it.

    Only sha256 is accepted: no registry tried (docker-registry 2.8, distribution 3.1) takes sha512. Raises
    InvalidValueError, before the text can become part of a URL or of a file name.
    """

    __slots__ = ()

    def __new__(cls, text: str) -> Digest:
        if not isinstance(text, str) or not _SHA256.match(text):
            raise InvalidValueError(
                f"invalid digest {printable(str(text), 100)!r}", hint="write `sha256:` and 64 lower-case hex digits"
            )
        return super().__new__(cls, text)

    @classmethod
    def of(cls, data: bytes) -> Digest:
        """The digest of `data`."""
        return cls("sha256:" + hashlib.sha256(data).hexdigest())

    @classmethod
    def of_file(cls, file: BinaryIO) -> Digest:
        """The digest of what is left of `file`. Raises what reading it raises."""
        found = hashlib.sha256()
        while data := file.read(_BLOCK):
            found.update(data)
        return cls("sha256:" + found.hexdigest())

    @property
    def algorithm(self) -> str:
        """What stands before the colon: `sha256`."""
        return self[: self.index(":")]

    @property
    def hex(self) -> str:
        """The digits alone: the blob's file name in an OCI layout."""
        return self[self.index(":") + 1 :]
