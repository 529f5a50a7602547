"""Tar headers: USTAR where the values fit, else a minimal PAX header (POSIX.1-2017, "pax")."""

from __future__ import annotations

FILE, HARD_LINK, SYMLINK, DIRECTORY = b"0", b"1", b"2", b"5"

# PATH_MAX of Linux: bytes of a path with its final slash or NUL. Also the limit of the target of a symlink.
MAX_PATH = 4096
# Bytes of one component of a path: NAME_MAX of Linux.
MAX_NAME = 255

_MAX_SIZE = 0o77777777777
_MAX_ID = 0o7777777
_TAIL = b"ustar\x0000" + b"\0" * 64 + b"0000000\x000000000\x00"
_CONSTANT_SUM = sum(_TAIL) + 8 * ord(" ")
_PAX_NAME = b"././@PaxHeader"


def tar_header(
    name: bytes, kind: bytes, mode: int, uid: int, gid: int, size: int, mtime: int, link: bytes = b""
) -> bytes:
    """Return the 512 bytes of an entry's header, after a PAX header where USTAR cannot hold a value.

    The name of a directory gets its slash here. Names and links are bytes without NUL; `size` is in bytes, `mtime` in
    seconds since 1970.
    """
    if kind == DIRECTORY:
        name += b"/"
    records = b""
    prefix = b""
    if len(name) > 100:
        prefix, name, fits = _split(name)
        if not fits:
            records += _record(b"path", name)
            name = name[:100]
    if len(link) > 100:
        records += _record(b"linkpath", link)
        link = link[:100]
    if size > _MAX_SIZE:
        records += _record(b"size", b"%d" % size)
        size = 0
    if uid > _MAX_ID:
        records += _record(b"uid", b"%d" % uid)
        uid = 0
    if gid > _MAX_ID:
        records += _record(b"gid", b"%d" % gid)
        gid = 0
    header = _ustar(name, kind, mode, uid, gid, size, mtime, link, prefix)
    if not records:
        return header
    extended = _ustar(_PAX_NAME, b"x", 0o644, 0, 0, len(records), mtime, b"", b"")
    return extended + records + b"\0" * (-len(records) % 512) + header


def _ustar(
    name: bytes, kind: bytes, mode: int, uid: int, gid: int, size: int, mtime: int, link: bytes, prefix: bytes
) -> bytes:
    numbers = b"%07o\0%07o\0%07o\0%011o\0%011o\0" % (mode, uid, gid, size, mtime)
    # The checksum covers the whole header with its own field blank; summing only what is not zero takes a third of the
    # time.
    checksum = sum(name) + sum(numbers) + sum(kind) + sum(link) + sum(prefix) + _CONSTANT_SUM
    return b"%b%b%06o\0 %b%b%b%b" % (
        name.ljust(100, b"\0"),
        numbers,
        checksum,
        kind,
        link.ljust(100, b"\0"),
        _TAIL,
        prefix.ljust(167, b"\0"),
    )


def _split(name: bytes) -> tuple[bytes, bytes, bool]:
    """Split `name` at a slash into USTAR's prefix and name; False if no slash is in the right place."""
    cut = name.rfind(b"/", 0, min(156, len(name) - 1))
    if cut > 0 and len(name) - cut - 1 <= 100:
        return name[:cut], name[cut + 1 :], True
    return b"", name, False


def _record(key: bytes, value: bytes) -> bytes:
    r"""Return `LENGTH KEY=VALUE\n`, where the length includes its own digits."""
    rest = len(key) + len(value) + 3
    length = rest + len(str(rest))
    if len(str(length)) != len(str(rest)):
        length += 1
    return b"%d %b=%b\n" % (length, key, value)
