import io
import subprocess
import tarfile

import pytest

from dockless._hashing import HashingReader
from dockless.errors import LayoutError
from dockless.tar.reader import read_members


def members(data, size=1000):
    pieces = HashingReader((data[at : at + size] for at in range(0, len(data), size)), "test")
    return list(read_members(pieces, "test"))


def tarball(*infos, format=tarfile.PAX_FORMAT, content=b""):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=format) as tar:
        for info in infos:
            info.size = len(content) if info.isfile() else 0
            tar.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def info(name, kind=tarfile.REGTYPE, link=""):
    found = tarfile.TarInfo(name)
    found.type, found.linkname = kind, link
    return found


@pytest.mark.parametrize("format", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT, tarfile.USTAR_FORMAT])
@pytest.mark.parametrize("size", [1, 7, 512, 100_000])
def test_all_formats_in_pieces_of_any_size(format, size):
    names = ["a", "dir/b", "x" * 100, "p" * 90 + "/" + "n" * 90]
    data = tarball(*map(info, names), format=format, content=b"hello" * 200)
    found = members(data, size)
    assert [member.name.decode() for member in found] == names
    assert all(data[m.offset : m.offset + m.size] == b"hello" * 200 for m in found)


@pytest.mark.parametrize("format", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT])
def test_long_names_and_links(format):
    name, link = "d/" * 150 + "é", "l" * 300
    (found,) = members(tarball(info(name, tarfile.SYMTYPE, link), format=format))
    assert (found.name.decode(), found.link.decode(), found.is_file) == (name, link, False)


def with_size(header, size, kind=tarfile.REGTYPE):
    """A tar header with the bytes `size` in its size field, and the right checksum."""
    header = bytearray(header)
    header[124:136] = size
    header[148:156] = b"        "
    header[156:157] = kind
    header[148:156] = b"%06o\0 " % sum(header)
    return bytes(header)


def test_a_size_in_base_256_and_in_pax():
    header = with_size(tarball(info("big"))[:512], b"\x80" + (9 << 30).to_bytes(11, "big"))

    class Skipping(io.BytesIO):
        def skip(self, size):
            self.skipped = size

    (found,) = read_members(Skipping(header), "test")
    assert found.size == 9 << 30


def test_a_tar_without_end_blocks_is_read():
    data = tarball(info("a"), content=b"abc", format=tarfile.USTAR_FORMAT)[: 512 + 3]
    assert [m.name for m in members(data)] == [b"a"]


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda d: b"x" + d[1:], "wrong checksum"),
        (lambda d: d[:300], "truncated: the tar header at byte 0 is incomplete"),
        (lambda d: d[: 512 + 2], "is truncated: a file lacks its last 1 byte"),
        (lambda d: b"", "truncated"),
        (lambda d: b"not a tar at all" * 64, "wrong checksum"),
    ],
)
def test_damage(damage, reason):
    with pytest.raises(LayoutError, match=reason):
        members(damage(tarball(info("a"), content=b"abc", format=tarfile.USTAR_FORMAT)))


def test_the_size_of_an_extended_header_is_limited():
    header = with_size(tarball(info("a"))[:512], b"%011o\0" % (1 << 30), kind=tarfile.XHDTYPE)
    with pytest.raises(LayoutError, match="a tar header of 1073741824 bytes"):
        members(header)


@pytest.mark.parametrize("size", [b"-1         \0", b"-0000001000\0", b"+0000001000\0", b"1_0        \0"])
@pytest.mark.parametrize("kind", [tarfile.REGTYPE, tarfile.XHDTYPE])
def test_a_size_has_no_sign_and_no_underscore(size, kind):
    header = with_size(tarball(info("a"))[:512], size, kind)
    with pytest.raises(LayoutError, match="is damaged: the tar header at byte 0 has no size"):
        members(header + bytes(1024))


def test_a_sparse_map_of_gnu_tar_may_have_many_blocks(tmp_path):
    """The header has room for 4 extents, each further block for 21."""
    with open(tmp_path / "sparse", "wb") as file:
        for n in range(40):
            file.seek(n * 200_000)
            file.write(b"data")
    (tmp_path / "after").write_bytes(b"after")
    command = ["tar", "-c", "-S", "--format=gnu", "-f", "made.tar", "sparse", "after"]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    data = (tmp_path / "made.tar").read_bytes()
    sparse, after = members(data)
    assert (sparse.name, sparse.kind, sparse.is_file) == (b"sparse", b"S", False)
    assert (after.name, data[after.offset : after.offset + after.size]) == (b"after", b"after")
    cut = sparse.offset - 512
    with pytest.raises(LayoutError, match="is truncated: the tar header at byte 0 is incomplete"):
        members(data[: cut - 10])


def test_a_broken_pax_record():
    data = tarball(info("n" * 200), format=tarfile.PAX_FORMAT)
    assert b" path=" in data
    with pytest.raises(LayoutError, match="broken record"):
        members(data.replace(b" path=", b" pathx"))
