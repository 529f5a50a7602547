"""A stream of pieces, read in other sizes than it comes in: size and digest on the way."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

from dockless.errors import LayoutError
from dockless.oci.digest import Digest


class Pieces:
    """What comes of `pieces`, once, forwards. Errors name it `what`."""

    def __init__(self, pieces: Iterator[bytes], what: str) -> None:
        self._pieces = pieces
        self._what = what
        self._piece = memoryview(b"")
        self._hash = hashlib.sha256()
        self.size = 0
        self.ended = False

    @property
    def digest(self) -> Digest:
        """Of what has come so far: of all, when it has ended."""
        return Digest("sha256:" + self._hash.hexdigest())

    def read(self, size: int) -> bytes:
        """At least a byte and up to `size`; none at the end."""
        while not self._piece and not self.ended:
            self._pull()
        data = bytes(self._piece[:size])
        self._piece = self._piece[size:]
        return data

    def exactly(self, size: int) -> bytes:
        """`size` bytes, fewer only at the end."""
        found = [self.read(size)]
        missing = size - len(found[0])
        while missing and found[-1]:
            found.append(self.read(missing))
            missing -= len(found[-1])
        return b"".join(found) if len(found) > 1 else found[0]

    def skip(self, size: int) -> None:
        """Passes over `size` bytes. Raises LayoutError when there are not so many."""
        while size:
            while not self._piece:
                if self.ended:
                    raise LayoutError(f"{self._what} is cut off", cause=f"the last {size} bytes of a file are missing")
                self._pull()
            passed = min(size, len(self._piece))
            self._piece = self._piece[passed:]
            size -= passed

    def drain(self) -> None:
        """Reads all that is left."""
        while not self.ended:
            self._pull()

    def _pull(self) -> None:
        piece = next(self._pieces, b"")
        self.ended = not piece
        self._hash.update(piece)
        self.size += len(piece)
        self._piece = memoryview(piece)
