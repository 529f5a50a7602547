"""The file tree that a runtime makes of the layers of an image (OCI image spec, layer.md). Nothing is extracted."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence

from dockless._hashing import HashingReader
from dockless.blobs import BlobSource, VerifiedReader
from dockless.errors import LayoutError
from dockless.oci.descriptor import Descriptor
from dockless.tar.decompress import decompress
from dockless.tar.header import DIRECTORY, FILE, HARD_LINK, SYMLINK
from dockless.tar.reader import FILE_KINDS, GLOBAL, Member, read_members

# Entries of all layers with implicit directories, and bytes of their names. Large images have a million files. An entry
# takes 320 to 410 bytes (CPython 3.9), so that a file tree takes at most 750 MB.
_MAX_ENTRIES = 1_500_000
_MAX_NAMES = 128 * 1024 * 1024
# As in Linux (path_resolution(7)).
_MAX_LINKS = 40
# Parts of paths that are looked up to follow symlinks. Each takes less than a microsecond. A million files below a
# symlink take five million.
_MAX_STEPS = 50_000_000
_WHITEOUT = b".wh."
_OPAQUE = b".wh..wh..opq"
# Names of AUFS's own files.
_AUFS = b".wh..wh."
_SPARSE = b"S"
_KINDS = {DIRECTORY: "directory", SYMLINK: "symlink", b"3": "character device", b"4": "block device", b"6": "fifo"}
# The letters of Go's `FileMode.String`, which container-structure-test compares with.
_LETTERS = {DIRECTORY: "d", SYMLINK: "L", b"3": "Dc", b"4": "D", b"6": "p"}
_BITS = ((0o4000, "u"), (0o2000, "g"), (0o1000, "t"))


class Entry:
    """A file, directory or other entry of an image. Hard links are the same entry under several names.

    `kind` is the type of the tar entry, `size` is in bytes, `link` is the target of a symlink, `layer` is the index of
    the layer, and `offset` is the position of the content in the tar of the layer. `children` is None unless the entry
    is a directory. `is_sparse` tells whether the tar has only parts of the content.
    """

    __slots__ = ("children", "gid", "is_sparse", "kind", "layer", "link", "mode", "offset", "size", "uid")

    def __init__(self, kind: bytes, mode: int, owner: tuple[int, int], layer: int) -> None:
        self.kind = kind
        self.mode = mode
        self.uid, self.gid = owner
        self.layer = layer
        self.size = 0
        self.offset = 0
        self.link = b""
        self.is_sparse = False
        self.children: dict[bytes, Entry] | None = {} if kind == DIRECTORY else None

    @property
    def is_file(self) -> bool:
        """Whether the entry is a regular file."""
        return self.kind == FILE

    @property
    def description(self) -> str:
        """The type of the entry: `file`, `directory` and so on."""
        return _KINDS.get(self.kind, "file")

    @property
    def permissions(self) -> str:
        """The permissions as Go prints them, such as `-rwxr-xr-x`, `dtrwxrwxrwx` or `urwxr-xr-x`."""
        letters = _LETTERS.get(self.kind, "") + "".join(letter for bit, letter in _BITS if self.mode & bit)
        rights = "".join(right if self.mode >> 8 - n & 1 else "-" for n, right in enumerate("rwxrwxrwx"))
        return (letters or "-") + rights


class FileTree:
    """The files of an image after all its layers are applied."""

    def __init__(self, layers: Sequence[Descriptor], source: BlobSource) -> None:
        """Read the layers, lowest first.

        Raises LayoutError for a damaged layer and for a path outside of the image, and what `source` raises.
        """
        self._layers = layers
        self._source = source
        self._root = Entry(DIRECTORY, 0o755, (0, 0), -1)
        self._count = self._names = self._steps = 0
        for number, layer in enumerate(layers):
            label = _label(layer)
            whiteouts: set[tuple[Entry, bytes]] = set()
            for member, _ in _members(layer, source, ()):
                self._apply(member, number, label, whiteouts)

    def find(self, path: str, *, follow: bool = True) -> Entry | None:
        """Return the entry at an absolute path, or None. Symlinks are followed; the last one only with `follow`."""
        return self._walk(path.encode(errors="surrogateescape").split(b"/"), follow)

    def walk(self) -> Iterator[tuple[bytes, Entry]]:
        """Yield the path, without the leading slash, and the entry of everything, a directory before its content."""
        pending = [(b"", self._root)]
        while pending:
            prefix, directory = pending.pop()
            children = directory.children or {}
            for name in sorted(children):
                yield prefix + name, children[name]
            pending.extend((b"%b%b/" % (prefix, name), child) for name, child in children.items() if child.children)

    def read(self, entries: Collection[Entry]) -> Mapping[Entry, bytes]:
        """Return the content of regular files. Each layer is read at most once. Raises as the constructor does."""
        found: dict[Entry, bytes] = {}
        for number in sorted({entry.layer for entry in entries}):
            wanted = {entry.offset: entry for entry in entries if entry.layer == number}
            for member, content in _members(self._layers[number], self._source, wanted):
                if content is not None:
                    found[wanted[member.offset]] = content
        return found

    def _walk(self, parts: Sequence[bytes], follow: bool) -> Entry | None:
        self._take_steps(len(parts))
        stack = [self._root]
        pending = list(reversed(parts))
        links = 0
        while pending:
            part = pending.pop()
            if part in (b"", b"."):
                continue
            if part == b"..":
                stack = stack[:-1] or stack
                continue
            child = (stack[-1].children or {}).get(part)
            if child is None:
                return None
            if child.kind == SYMLINK and (follow or any(pending)):
                links += 1
                if links > _MAX_LINKS:
                    return None
                if child.link.startswith(b"/"):
                    stack = stack[:1]
                target = child.link.split(b"/")
                self._take_steps(len(target))
                pending.extend(reversed(target))
                continue
            stack.append(child)
        return stack[-1]

    def _take_steps(self, count: int) -> None:
        self._steps += count
        if self._steps > _MAX_STEPS:
            raise LayoutError(
                f"the symlinks of the layers take more than {_MAX_STEPS} steps to follow",
                cause="many paths lead over symlinks with long targets",
            )

    def _apply(self, member: Member, number: int, label: str, whiteouts: set[tuple[Entry, bytes]]) -> None:
        if member.problem:
            raise LayoutError(f"{label} is ambiguous", cause=member.problem)
        if member.kind == GLOBAL:
            return
        path = _parts(member.name, label)
        kind = FILE if member.kind in FILE_KINDS or member.kind == _SPARSE else member.kind
        if not path or member.is_directory:
            kind = DIRECTORY
        directory = self._parent(path[:-1], number)
        assert directory.children is not None
        name = path[-1] if path else b""
        if name.startswith(_WHITEOUT):
            # The same whiteout again would remove nothing, and take as long.
            if (directory, name) in whiteouts:
                return
            whiteouts.add((directory, name))
            if name == _OPAQUE:
                _remove_lower(directory, number)
            elif not name.startswith(_AUFS):
                _whiteout(directory, name[len(_WHITEOUT) :], number)
            return
        if kind == HARD_LINK:
            target = self._walk(_parts(member.link, label), follow=False)
            if target is None or target.children is not None:
                raise LayoutError(f"{label} has a hard link to a missing file", cause=f"{_text(member.link)}")
            self._add(directory, name, target)
            return
        present = directory.children.get(name) if path else self._root
        if kind == DIRECTORY and present is not None and present.children is not None:
            # A directory keeps its content.
            entry = present
            entry.mode, (entry.uid, entry.gid), entry.layer = member.mode(label), member.owner(label), number
            return
        entry = Entry(kind, member.mode(label), member.owner(label), number)
        entry.size, entry.offset, entry.link = member.size, member.offset, member.link
        entry.is_sparse = member.is_sparse
        self._add(directory, name, entry)

    def _parent(self, parts: Sequence[bytes], number: int) -> Entry:
        """Return the directory for an entry. Symlinks to directories are followed; other entries are replaced."""
        directory = self._root
        for n, part in enumerate(parts):
            assert directory.children is not None
            child = directory.children.get(part)
            if child is not None and child.kind == SYMLINK:
                child = self._walk(parts[: n + 1], follow=True)
            if child is None or child.children is None:
                child = Entry(DIRECTORY, 0o755, (0, 0), number)
                self._add(directory, part, child)
            directory = child
        return directory

    def _add(self, directory: Entry, name: bytes, entry: Entry) -> None:
        self._count += 1
        self._names += len(name) + len(entry.link)
        if self._count > _MAX_ENTRIES or self._names > _MAX_NAMES:
            raise LayoutError(
                f"the layers have more than {_MAX_ENTRIES} entries, or names of more than {_MAX_NAMES} bytes",
                cause="the file tree does not fit in memory",
            )
        assert directory.children is not None
        directory.children[name] = entry


def _members(layer: Descriptor, source: BlobSource, wanted: Collection[int]) -> Iterator[tuple[Member, bytes | None]]:
    """Yield the members of a layer, and the content of those whose offset is in `wanted`."""
    label = _label(layer)
    with source.open(layer) as file:
        blob = VerifiedReader(file, layer, label)
        stream = _Stream(HashingReader(decompress(blob, label, layer.size), f"the tar in {label}"))
        for member in read_members(stream, f"the tar in {label}"):
            if member.offset not in wanted or not member.size:
                yield member, b"" if member.offset in wanted and member.is_file else None
                continue
            # The reader skips the content when it is asked for the next member.
            yield member, stream.tar.read_exactly(member.size)
            stream.passed = member.size
        # The digest of the blob is verified at its end.
        stream.tar.drain()


class _Stream:
    """The stream of a tar. `passed` are the bytes of the next `skip` that were read already."""

    def __init__(self, tar: HashingReader) -> None:
        self.tar = tar
        self.read = tar.read
        self.passed = 0

    def skip(self, size: int) -> None:
        """Skip `size` bytes."""
        size, self.passed = size - self.passed, 0
        self.tar.skip(size)


def _remove_lower(directory: Entry, number: int) -> None:
    """Remove the entries of lower layers from a directory."""
    directories = [directory]
    # The list grows in the loop: a recursion would fail for deep directories.
    for each in directories:
        directories.extend(child for child in (each.children or {}).values() if child.children)
    for each in reversed(directories):
        children = each.children or {}
        for name in [name for name, child in children.items() if child.layer < number and not child.children]:
            del children[name]


def _whiteout(directory: Entry, name: bytes, number: int) -> None:
    """Remove an entry of lower layers."""
    assert directory.children is not None
    child = directory.children.get(name)
    if child is None:
        return
    if child.children:
        _remove_lower(child, number)
    if child.layer < number and not child.children:
        del directory.children[name]


def _parts(name: bytes, label: str) -> list[bytes]:
    parts = [part for part in name.split(b"/") if part not in (b"", b".")]
    if b".." in parts:
        raise LayoutError(f"{label} contains a path outside of the image", cause=_text(name))
    return parts


def _text(name: bytes) -> str:
    return name.decode(errors="backslashreplace")[:200]


def _label(layer: Descriptor) -> str:
    return f"the layer {layer.digest}"
