"""Archives and compressed streams that are small and would take much memory, or much time."""

import bz2
import gzip
import io
import json
import lzma
import os
import struct
import tarfile
import time
import tracemalloc

import pytest
from made_images import layout_of, make_image, tar_of
from measured_child import run_command, run_measured

from dockless._hashing import HashingReader
from dockless.errors import DocklessError, LayerError, LayoutError
from dockless.layer.prebuilt import add_tarball
from dockless.layout.docker_archive_reader import DockerArchive
from dockless.layout.oci_layout import OciLayout
from dockless.oci.digest import Digest
from dockless.tar import index, reader
from dockless.tar.decompress import decompress
from dockless.tar.index import TarFiles
from dockless.tar.reader import read_members

MIB = 1 << 20


def header(name=b"f", kind=b"0", size=0, link=b"", tail=b""):
    """A tar header; `tail` are the bytes from 345 on."""
    block = bytearray(512)
    block[: len(name)] = name
    block[100:108], block[108:116], block[116:124] = b"0000644\0", b"0000000\0", b"0000000\0"
    block[124:136] = b"%011o\0" % size
    block[136:148] = b"00000000000\0"
    block[156:157] = kind
    block[157 : 157 + len(link)] = link
    block[257:265] = b"ustar  \0" if kind in b"LKS" else b"ustar\x0000"
    block[345 : 345 + len(tail)] = tail
    block[148:156] = b"        "
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


def extended(kind, data):
    return header(b"././@LongLink", kind, len(data)) + data + b"\0" * (-len(data) % 512)


def record(key, value):
    rest = len(key) + len(value) + 3
    length = rest + len(str(rest))
    length += len(str(length)) - len(str(rest))
    return b"%d %b=%b\n" % (length, key, value)


def sparse(blocks):
    """A sparse file whose map has as many blocks after the header."""
    first = header(b"s", b"S", 0, tail=b"\0" * (482 - 345) + b"\1")
    return first + (b"\0" * 504 + b"\1" + b"\0" * 7) * (blocks - 1) + b"\0" * 512


def names_of(count, length):
    """Members with different names, each as long as a name may be."""
    return (extended(b"L", b"%0*d" % (length, n)) + header() for n in range(count))


LARGE = b"a" * (MIB - 1)
# A function that makes a part, how often the part is repeated, and what the error says.
TARS = {
    "GNU long names": (
        lambda: extended(b"L", LARGE) + header(),
        60,
        "has a name of 1048575 bytes: .*the limit is 4096",
    ),
    "GNU long links": (lambda: extended(b"K", LARGE) + header(kind=b"2"), 60, "has a link of 1048575 bytes"),
    "names of pax headers": (lambda: extended(b"x", record(b"path", LARGE[:-99])) + header(), 60, "has a name of"),
    "links of pax headers": (
        lambda: extended(b"x", record(b"linkpath", LARGE[:-99])) + header(kind=b"2"),
        60,
        "a link of",
    ),
    "sizes of pax headers": (
        lambda: extended(b"x", record(b"size", b"1" * 5000)) + header(),
        1,
        "has a size of 5000 bytes",
    ),
    "a name of 4097 bytes": (lambda: extended(b"L", b"a" * 4097) + header(), 1, "has a name of 4097 bytes"),
    "a header of 16 MiB": (
        lambda: extended(b"x", record(b"comment", LARGE * 16)) + header(),
        1,
        "the limit is 1048576",
    ),
    "a global header of 16 MiB": (
        lambda: extended(b"g", record(b"path", LARGE * 16)) + header(),
        1,
        "the limit is 1048576",
    ),
    "long names without a member": (lambda: extended(b"L", LARGE), 60, "has a name of 1048575 bytes"),
    "a sparse map": (lambda: sparse(20_000), 1, "has a sparse map of more than 10000 blocks: at byte 0"),
}


@pytest.mark.parametrize("make_part, count, reason", TARS.values(), ids=list(TARS))
def test_tars_with_large_headers(tmp_path, make_part, count, reason):
    part = make_part()
    path = str(tmp_path / "x.tar.gz")
    with gzip.open(path, "wb", 1) as file:
        for _ in range(count):
            file.write(part)
        file.write(b"\0" * 1024)
    tracemalloc.start()
    try:
        for read in (OciLayout.in_archive, DockerArchive):
            with pytest.raises(LayoutError, match=reason):
                read(path)
        with pytest.raises(LayerError, match=reason):
            add_tarball(path, str(tmp_path))
        assert tracemalloc.get_traced_memory()[1] < 32 * MIB
    finally:
        tracemalloc.stop()
    assert os.listdir(tmp_path) == ["x.tar.gz"]


def test_the_memory_of_the_command(tmp_path):
    """Six times as many names took 2.3 GB."""
    with gzip.open(tmp_path / "x.tar.gz", "wb", 1) as file:
        for _ in range(150):
            file.write(extended(b"L", b"a" * MIB) + header())
    for kind in ("docker-archive", "oci-archive"):
        done = run_command("inspect", f"{kind}:{tmp_path}/x.tar.gz")
        assert done.status == 1
        assert "has a name of 1048576 bytes" in done.err
        assert done.mib < 80
        assert done.seconds < 20


def test_many_members(tmp_path):
    with open(tmp_path / "x.tar", "wb") as file:
        file.writelines(names_of(9000, 4096))
    tracemalloc.start()
    try:
        with pytest.raises(LayoutError, match="more than 33554432 bytes of names: the archive is not an image"):
            TarFiles(str(tmp_path / "x.tar"))
        assert tracemalloc.get_traced_memory()[1] < 128 * MIB
    finally:
        tracemalloc.stop()


def test_many_members_with_one_name(tmp_path, monkeypatch):
    monkeypatch.setattr(index, "_MAX_MEMBERS", 1000)
    (tmp_path / "x.tar").write_bytes(header() * 1001)
    with pytest.raises(LayoutError, match="has more than 1000 members"):
        TarFiles(str(tmp_path / "x.tar"))


@pytest.mark.parametrize(
    "part",
    [header(), extended(b"x", record(b"a", b"b") * 40) + header(), extended(b"g", b""), sparse(1)],
    ids=["members", "pax records", "global headers", "sparse files"],
)
def test_more_records_than_an_archive_may_have(part, monkeypatch):
    monkeypatch.setattr(reader, "_MAX_RECORDS", 1000)
    tar = HashingReader(iter([part * 1001, b"\0" * 1024]), "test")
    with pytest.raises(LayoutError, match="test has more than 1000 tar headers and pax records"):
        for _ in read_members(tar, "test"):
            pass


def test_the_longest_names_are_read():
    name = b"a" * 4096
    data = extended(b"L", name + b"\0") + header() + extended(b"x", record(b"linkpath", name)) + header(b"l", b"2")
    members = list(read_members(HashingReader(iter([data, b"\0" * 1024]), "test"), "test"))
    assert [member.name for member in members] == [name, b"l"]
    assert members[1].link == name
    assert len(list(read_members(HashingReader(iter([sparse(1000), b"\0" * 1024]), "test"), "test"))) == 1


@pytest.fixture
def saved(tmp_path):
    """`saved(list, files)`: an open docker-archive."""
    archives = []

    def save(listed, files):
        path = tmp_path / f"{len(archives)}.tar"
        path.write_bytes(tar_of({"manifest.json": json.dumps(listed).encode(), **files}))
        archives.append(DockerArchive(str(path)))
        return archives[-1]

    yield save
    for archive in archives:
        archive.close()


def config_of(*diff_ids):
    rootfs = {"type": "layers", "diff_ids": list(diff_ids)}
    return json.dumps({"architecture": "amd64", "os": "linux", "rootfs": rootfs}).encode()


def test_a_docker_archive_that_names_one_layer_many_times(saved):
    """Each of 5000 entries would be 4 MiB to hash."""
    layer = gzip.compress(tar_of({"f": os.urandom(4 * MIB)}), 0)
    diff_ids = [str(Digest.of(b"%d" % n)) for n in range(5000)]
    listed = [{"Config": "c", "Layers": ["l"] * 5000}]
    archive = saved(listed, {"c": config_of(*diff_ids), "l": layer})
    begun = time.process_time()
    assert len(archive.image().layers) == 5000
    assert time.process_time() - begun < 5


def test_a_docker_archive_with_many_images(saved):
    listed = [{"Config": "c", "Layers": []}]
    config = config_of()[:-1] + b', "x": "' + b"a" * 1_000_000 + b'"}'
    archive = saved(listed * 200, {"c": config})
    begun = time.process_time()
    assert len(archive.images()) == 200
    assert time.process_time() - begun < 20
    with pytest.raises(LayoutError, match=r"manifest.json has 1001 images: the limit is 1000"):
        saved(listed * 1001, {"c": config})


def test_a_docker_archive_whose_configs_do_not_fit_in_memory(saved):
    base = config_of()[:-1] + b', "x": "' + b"a" * 4_000_000
    files = {f"c{n}": base + b'%d"}' % n for n in range(20)}
    archive = saved([{"Config": name, "Layers": []} for name in files], files)
    with pytest.raises(DocklessError, match="manifests and configs of more than 67108864 bytes"):
        archive.images()


EMPTY_MEMBER = gzip.compress(b"", mtime=0)
# An empty block that is not the last one, and then the last one.
STORED_BLOCKS = b"\x1f\x8b\x08\0\0\0\0\0\0\xff" + b"\0\0\0\xff\xff" * 200_000 + b"\x01\0\0\xff\xff" + b"\0" * 8
FRAME = b"\x28\xb5\x2f\xfd\x20\x00\x01\x00\x00"
STREAMS = {
    "gzip members": lambda size: EMPTY_MEMBER * (size // len(EMPTY_MEMBER)),
    "gzip members of one byte": lambda size: gzip.compress(b"a", mtime=0) * (size // 21),
    "gzip blocks": lambda size: STORED_BLOCKS,
    "bzip2 streams": lambda size: bz2.compress(b"") * (size // 14),
    "xz streams": lambda size: lzma.compress(b"") * (size // 32),
    "zeros at the end": lambda size: lzma.compress(b"") + b"\0" * (64 * MIB),
    "a gzip name without end": lambda size: b"\x1f\x8b\x08\x08\0\0\0\0\0\xff" + b"a" * (32 * MIB),
    "zstd frames": lambda size: FRAME * (size // len(FRAME)),
    "skippable frames": lambda size: struct.pack("<II", 0x184D2A50, 0) * (size // 8) + FRAME,
    "nothing but skippable frames": lambda size: struct.pack("<II", 0x184D2A5F, 0) * (size // 8),
    "zstd blocks": lambda size: b"\x28\xb5\x2f\xfd\x00\x58" + b"\0\0\0" * (size // 3) + b"\x01\0\0",
}


def seconds_of(data):
    begun = time.process_time()
    try:
        out = sum(map(len, decompress(io.BytesIO(data), "test", archive=True)))
    except LayoutError as error:
        assert "truncated" in str(error)
        out = 0
    assert out < MIB
    return time.process_time() - begun


@pytest.mark.parametrize("stream", STREAMS.values(), ids=list(STREAMS))
def test_streams_of_tiny_members(stream):
    """4 s a MiB before: every member copied the rest of the MiB."""
    if stream is STREAMS["zstd frames"]:
        pytest.importorskip("zstandard")
    assert seconds_of(stream(2 * MIB)) < 4


def test_the_time_is_linear():
    short, long = (min(seconds_of(EMPTY_MEMBER * (n * 10_000)) for _ in range(2)) for n in (1, 8))
    assert long < 8 * 2.5 * max(short, 0.02)


class Dripping:
    """A stream that delivers byte by byte, as a compressed archive with a zstd frame for each byte does."""

    def __init__(self, data):
        self.data = memoryview(data)

    def read(self, size):
        taken, self.data = self.data[:1], self.data[1:]
        return bytes(taken)

    def skip(self, size):
        self.data = self.data[size:]


def test_a_long_header_byte_by_byte():
    """9 s before: every byte copied what had been read of the header."""

    def seconds(size):
        data = extended(b"x", record(b"comment", b"a" * size)) + b"\0" * 512
        begun = time.process_time()
        assert list(read_members(Dripping(data), "test")) == []
        return time.process_time() - begun

    assert seconds(1_000_000) < 8 * 2.5 * max(seconds(125_000), 0.02)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (EMPTY_MEMBER + b"\0" * 5000 + EMPTY_MEMBER, "other bytes after its gzip stream"),
        (EMPTY_MEMBER + b"\0" * 4096 + EMPTY_MEMBER, "other bytes after its gzip stream"),
        (EMPTY_MEMBER + b"\0", "other bytes after its gzip stream"),
        (EMPTY_MEMBER + b"x", "other bytes after its gzip stream"),
        (EMPTY_MEMBER + b"\x1f", "truncated"),
        (EMPTY_MEMBER + EMPTY_MEMBER[:-1], "truncated"),
        (EMPTY_MEMBER + EMPTY_MEMBER[:-1] + b"x", "damaged"),
    ],
)
def test_what_follows_a_gzip_member(data, reason):
    with pytest.raises(LayoutError, match=reason):
        for _ in decompress(io.BytesIO(data), "test"):
            pass


@pytest.mark.parametrize("size", [1, 100, 4095, 4096, 4097, 100_000, 3 * MIB])
def test_members_of_any_size_are_read(size):
    content = os.urandom(size // 2 + 1) + b"a" * size
    data = b"".join(gzip.compress(content[at : at + size], 1) for at in range(0, len(content), size))
    assert b"".join(decompress(io.BytesIO(data), "test")) == content


@pytest.mark.parametrize("place", ["oci-archive", "docker-archive", "verify", "tarball"])
def test_tiny_members_in_every_place(tmp_path, place):
    tar = tar_of({"f": b"x"})
    hostile = gzip.compress(tar, mtime=0) + EMPTY_MEMBER * 100_000
    if place == "verify":
        image = make_image(b"one")
        manifest = image.manifest.json
        manifest["layers"][0].update(digest=image.blobs.put(hostile), size=len(hostile))
        raw = json.dumps(manifest).encode()
        root = image.manifest.descriptor._replace(digest=image.blobs.put(raw), size=len(raw))
        layout_of(tmp_path / "l", root, blobs=image.blobs)
        arguments = "verify", f"oci:{tmp_path}/l"
    else:
        (tmp_path / "x").write_bytes(hostile)
        arguments = "inspect", f"{place}:{tmp_path}/x"
    begun = time.process_time()
    if place == "tarball":
        assert add_tarball(str(tmp_path / "x"), str(tmp_path)).diff_id == Digest.of(tar)
        assert time.process_time() - begun < 10
    else:
        done = run_command(*arguments)
        assert done.status == 1
        assert done.seconds < 20


def test_the_memory_of_a_zstd_stream(tmp_path):
    """The largest window that is read has 128 MiB, and four bytes may become 128 KiB."""
    zstandard = pytest.importorskip("zstandard")
    parameters = zstandard.ZstdCompressionParameters(compression_level=1, window_log=27)
    compressor = zstandard.ZstdCompressor(compression_params=parameters)
    with open(tmp_path / "x", "wb") as file, compressor.stream_writer(file) as writer:
        for _ in range(300):
            writer.write(bytes(MIB))
    assert (tmp_path / "x").stat().st_size < 100_000
    code = """
import sys
from dockless.tar.decompress import decompress
assert sum(map(len, decompress(open(sys.argv[1], "rb"), "test"))) == 300 << 20
"""
    done = run_measured(code, tmp_path / "x")
    assert (done.status, done.err) == (0, "")
    # The window, and the output for 1 KiB of input twice.
    assert done.mib < 250


def test_a_zstd_window_that_is_too_large(tmp_path):
    zstandard = pytest.importorskip("zstandard")
    parameters = zstandard.ZstdCompressionParameters(compression_level=1, window_log=28, write_content_size=False)
    data = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    with pytest.raises(LayoutError, match="damaged: zstd"):
        for _ in decompress(io.BytesIO(data.compress(b"a" * MIB) + data.flush()), "test"):
            pass


def reader_of(kind):
    return {"docker": DockerArchive, "oci": OciLayout.in_archive}[kind]


OTHERS = {
    "an index that is a link out": (
        "oci",
        {"oci-layout": b'{"imageLayoutVersion":"1.0.0"}'},
        "index.json",
        "/etc/passwd",
    ),
    "an index that is a link to itself": (
        "oci",
        {"oci-layout": b'{"imageLayoutVersion":"1.0.0"}'},
        "index.json",
        "index.json",
    ),
    "a list that is a link out": ("docker", {}, "manifest.json", "../../../etc/passwd"),
    "a list that is a link to itself": ("docker", {}, "manifest.json", "./manifest.json"),
}


@pytest.mark.parametrize("kind, files, name, target", OTHERS.values(), ids=list(OTHERS))
@pytest.mark.parametrize("link", [tarfile.SYMTYPE, tarfile.LNKTYPE])
def test_links_out_of_an_archive(tmp_path, kind, files, name, target, link):
    with tarfile.open(tmp_path / "x.tar", "w") as tar:
        for path, data in files.items():
            info = tarfile.TarInfo(path)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
        info = tarfile.TarInfo(name)
        info.type, info.linkname = link, target
        tar.addfile(info)
    with pytest.raises(LayoutError) as caught:
        reader_of(kind)(str(tmp_path / "x.tar"))
    assert "root:" not in str(caught.value)


@pytest.mark.parametrize("config", ["../../../etc/passwd", "/etc/passwd", "x/../../etc/passwd", "\0", "a" * 70_000])
@pytest.mark.parametrize("key", ["Config", "Layers"])
def test_paths_in_a_docker_archive_are_those_of_its_members(saved, key, config):
    listed = {"Config": "c", "Layers": ["l"], key: config if key == "Config" else [config]}
    archive = saved([listed], {"c": config_of(str(Digest.of(b""))), "l": b""})
    with pytest.raises(LayoutError, match="has no file|lacks the layer") as caught:
        archive.image()
    assert "root:" not in str(caught.value)
    assert len(str(caught.value)) < 2100
