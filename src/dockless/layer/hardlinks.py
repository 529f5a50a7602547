"""Hard links for identical files: the first file is stored, later ones become hard links to it."""

from __future__ import annotations

import hashlib
import os
from collections import Counter

from dockless._files import open_regular
from dockless.layer.entries import Entry, unreadable
from dockless.layer.permissions import BY_EXECUTABLE_BIT, resolved_mode
from dockless.tar.header import FILE, HARD_LINK


def link_same_files(entries: list[Entry]) -> list[Entry]:
    """Return `entries` with each file that has the content, mode and owner of an earlier file made a hard link.

    Only files of equal size are read. Empty files stay files: a link would save nothing. Raises LayerError.
    """
    sizes = {entry.name: _size(entry) for entry in entries if entry.kind == FILE}
    count = Counter(sizes.values())
    first: dict[tuple[object, ...], bytes] = {}
    linked = []
    for entry in entries:
        size = sizes.get(entry.name, 0)
        if size and count[size] > 1:
            key = (_content(entry), _mode(entry), entry.uid, entry.gid)
            target = first.setdefault(key, entry.name)
            if target != entry.name:
                entry = entry._replace(kind=HARD_LINK, link=target, mode=key[1], path=b"", data=b"")
        linked.append(entry)
    return linked


def _size(entry: Entry) -> int:
    return _stat(entry).st_size if entry.path else len(entry.data)


def _mode(entry: Entry) -> int:
    return resolved_mode(entry.mode, _stat(entry).st_mode) if entry.mode == BY_EXECUTABLE_BIT else entry.mode


def _stat(entry: Entry) -> os.stat_result:
    try:
        return os.lstat(entry.file)
    except OSError as error:
        raise unreadable(entry.origin, entry.file, error) from error


def _content(entry: Entry) -> bytes:
    digest = hashlib.sha256(entry.data)
    if entry.path:
        try:
            with open_regular(entry.file, follow_symlinks=False) as file:
                while data := file.read(1 << 20):
                    digest.update(data)
        except OSError as error:
            raise unreadable(entry.origin, entry.file, error) from error
    return digest.digest()
