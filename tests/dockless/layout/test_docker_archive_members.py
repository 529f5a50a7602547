"""docker-archives with members twice, links, compressions and dialects of tar, as `docker load` reads them."""

import bz2
import gzip
import io
import json
import lzma
import re
import subprocess
import sys
import tarfile
from contextlib import closing

import pytest
from made_images import image_with_layer, layout_of, make_image, tar_of
from raw_tars import END, GNU, member, pax, sparse_1_0
from verification import problems_of

from dockless import Image
from dockless.errors import LayoutError
from dockless.layout.docker_archive_reader import DockerArchive
from dockless.oci import media_types
from dockless.tar.decompress import decompress
from dockless.tar.index import TarFiles

LAYER = tar_of({"f0": b"one"})
CONFIG = make_image(b"one", compress=False, docker=True).documents.config_bytes


def zstd(data):
    return pytest.importorskip("zstandard").compress(data)


COMPRESSIONS = {"gzip": gzip.compress, "bzip2": bz2.compress, "xz": lzma.compress, "zstd": zstd}


def listed(layer=b"l.tar", config=b"c.json"):
    return json.dumps([{"Config": config.decode(), "RepoTags": ["app:1"], "Layers": [layer.decode()]}]).encode()


def archive(*members, layer=b"l.tar", items=listed):
    """A docker-archive of its manifest.json (None: none), which names `layer`, its config, and these members."""
    first = member(b"manifest.json", b"0", items(layer)) if items else b""
    return first + member(b"c.json", b"0", CONFIG) + b"".join(members) + END


def link(name, target, kind=b"2"):
    return member(name, kind, link=target)


L = member(b"l.tar", b"0", LAYER)
OTHER = member(b"l.tar", b"0", tar_of({"f0": b"eno"}))
READ = {
    "the layer twice": archive(L, L),
    "the layer three times": archive(L, L, L),
    "the layer as ./l.tar too": archive(L, member(b"./l.tar", b"0", LAYER)),
    "the config twice": archive(L, member(b"c.json", b"0", CONFIG)),
    "the list twice": archive(L, member(b"manifest.json", b"0", listed())),
    "a directory twice": archive(
        member(b"d/", b"5"), member(b"d", b"5"), member(b"d/l.tar", b"0", LAYER), layer=b"d/l.tar"
    ),
    "another member twice with other content": archive(L, member(b"x", b"0", b"1"), member(b"x", b"0", b"2")),
    "a link twice": archive(L, link(b"s", b"l.tar"), link(b"s", b"l.tar"), layer=b"s"),
    "a symlink": archive(L, link(b"d/l.tar", b"../l.tar"), layer=b"d/l.tar"),
    "a symlink before its target": archive(link(b"d/l.tar", b"../l.tar"), L, layer=b"d/l.tar"),
    "an absolute symlink": archive(L, link(b"d/l.tar", b"/l.tar"), layer=b"d/l.tar"),
    "a symlink above the root": archive(L, link(b"d/l.tar", b"../../../l.tar"), layer=b"d/l.tar"),
    "a hard link": archive(L, link(b"h", b"./l.tar", b"1"), layer=b"h"),
    "a hard link to a symlink": archive(L, link(b"s", b"l.tar"), link(b"h", b"s", b"1"), layer=b"h"),
    "a chain of 12 links": archive(
        L, *(link(b"s%d" % n, b"s%d" % (n + 1) if n < 11 else b"l.tar") for n in range(12)), layer=b"s0"
    ),
    "a link of a directory": archive(member(b"e/l.tar", b"0", LAYER), link(b"d", b"e"), layer=b"d/l.tar"),
    "a link of a directory of a directory": archive(
        member(b"x/e/l.tar", b"0", LAYER), link(b"y", b"x"), link(b"x/d", b"./e"), layer=b"y/d/l.tar"
    ),
    "the list behind a link": archive(L, member(b"m", b"0", listed()), link(b"manifest.json", b"m"), items=None),
    "the list as ./manifest.json": archive(L, member(b"./manifest.json", b"0", listed()), items=None),
    "a global header": pax((b"comment", b"x"), kind=b"g") + archive(L),
    "a volume label": member(b"x", b"V") + archive(L),
    "a GNU long name": archive(member(b"@", b"L", b"l.tar\0", magic=GNU), member(b"x", b"0", LAYER)),
    "a contiguous file": archive(member(b"l.tar", b"7", LAYER)),
}


def problems(tmp_path, data):
    (tmp_path / "a.tar").write_bytes(data)
    return problems_of(f"docker-archive:{tmp_path}/a.tar")


@pytest.mark.parametrize("data", READ.values(), ids=list(READ))
def test_members_that_docker_load_reads(tmp_path, data):
    assert problems(tmp_path, data) == ""
    image = Image.load(f"docker-archive:{tmp_path}/a.tar")
    image.save(f"oci:{tmp_path}/l")
    assert problems_of(f"oci:{tmp_path}/l") == ""


REFUSED = {
    "the layer twice with other content": (archive(L, OTHER), "has l.tar twice, with different contents"),
    "the other content first": (archive(OTHER, L), "has l.tar twice, with different contents"),
    "the layer twice with another size": (archive(L, member(b"l.tar")), "has l.tar twice, with different contents"),
    "the layer and a directory": (archive(L, member(b"l.tar", b"5")), "has l.tar twice, with different contents"),
    "the layer and a link": (archive(L, link(b"l.tar", b"x")), "has l.tar twice, with different contents"),
    "two links of one name": (
        archive(L, link(b"s", b"l.tar"), link(b"s", b"c.json"), layer=b"s"),
        "has s twice, with different contents",
    ),
    "other content behind a link": (
        archive(L, OTHER, link(b"s", b"l.tar"), layer=b"s"),
        "has l.tar twice, with different contents",
    ),
    "the config twice": (archive(L, member(b"c.json", b"0", b"{}")), "has c.json twice, with different contents"),
    "the list twice": (
        archive(L, member(b"manifest.json", b"0", b"[]")),
        "has manifest.json twice, with different contents",
    ),
    "no layer": (archive(), "lacks the layer l.tar: manifest.json names it"),
    "a dangling link": (archive(link(b"s", b"no"), layer=b"s"), "lacks the layer s: manifest.json names it"),
    "links in a circle": (archive(link(b"s", b"t"), link(b"t", b"s"), layer=b"s"), "s is a link that leads to itself"),
    "directories in a circle": (
        archive(link(b"d", b"e"), link(b"e", b"d"), layer=b"d/l.tar"),
        "d/l.tar is a link that leads to itself",
    ),
    "a link to a directory": (archive(member(b"d/", b"5"), link(b"s", b"d"), layer=b"s"), "lacks the layer s"),
    "an invalid sparse map": (archive(sparse_1_0(b"l.tar", b"1\n0\n4\n", b"abc", 900)), "is ambiguous: the map of the"),
    "an invalid old sparse map": (archive(member(b"l.tar", b"S", LAYER, magic=GNU)), "is ambiguous: the map of the"),
    "a sparse file of star": (
        archive(member(b"l.tar", b"S", LAYER)),
        "l.tar is a sparse file whose map is not that of",
    ),
    "a sparse file of 2 GiB": (
        archive(sparse_1_0(b"l.tar", b"1\n0\n3\n", b"abc", 2 << 30)),
        "is a decompression bomb: its sparse files have 2147483648 bytes, in 1 part",
    ),
    "a device": (archive(member(b"l.tar", b"3")), "has no file l.tar: the member has the tar type '3'"),
    "an extended header of Solaris": (archive(member(b"x", b"X", b"1"), L), "an extended tar header of Solaris"),
    "two pax headers": (archive(pax((b"path", b"b")) + pax((b"path", b"l.tar")) + L), "is ambiguous: readers differ"),
}


@pytest.mark.parametrize("data, reason", REFUSED.values(), ids=list(REFUSED))
def test_members_that_are_refused_by_name(tmp_path, data, reason):
    assert reason in problems(tmp_path, data)


@pytest.mark.parametrize("options", [["gnu"], ["posix"], ["posix", "--sparse-version=0.0"], ["gnu", "--gzip"]])
@pytest.mark.parametrize("kind", ["docker-archive", "oci-archive"])
def test_sparse_members(tmp_path, kind, options):
    """As `tar --sparse` writes the files of an image, which may have holes. skopeo and podman read these archives."""
    content = b"".join((b"%d" % n).ljust(9000, b"\0") for n in range(60))
    image = make_image(content, docker=True, compress=False)
    layout_of(tmp_path / "l", image.manifest.descriptor, blobs=image.blobs)
    copied = Image.load(f"oci:{tmp_path}/l").save(f"{kind}:{tmp_path}/whole.tar")
    (tmp_path / "d").mkdir()
    with tarfile.open(tmp_path / "whole.tar") as tar:
        for item in tar:
            if not item.isfile():
                continue
            path = tmp_path / "d" / item.name
            path.parent.mkdir(parents=True, exist_ok=True)
            data = tar.extractfile(item).read()
            with open(path, "wb") as file:
                for at in range(0, len(data), 4096):
                    if data[at : at + 4096].strip(b"\0"):
                        file.seek(at)
                        file.write(data[at : at + 4096])
                file.truncate(len(data))
    command = ["tar", "--sparse", f"--format={options[0]}", *options[1:], "-cf", str(tmp_path / "a.tar"), "-C"]
    subprocess.run([*command, str(tmp_path / "d"), "."], check=True)
    with TarFiles(str(tmp_path / "a.tar")) as files:
        assert any(files._members[name].sparse_map for name in files)
        for name in files:
            if files._members[name].sparse_map:
                with files.open(name) as file:
                    expected = (tmp_path / "d" / name).read_bytes()
                    assert (file.read(), files.size(name)) == (expected, len(expected))
                    for at in (len(expected) - 1, 10_000, 4095, 0, len(expected) + 5):
                        file.seek(at)
                        assert file.read(9000) == expected[at : at + 9000]
    assert problems_of(f"{kind}:{tmp_path}/a.tar") == ""
    if kind == "oci-archive":
        assert Image.load(f"{kind}:{tmp_path}/a.tar").digest == copied.digest


def test_members_of_an_oci_archive_twice(tmp_path):
    image = make_image(b"one")
    directory = layout_of(tmp_path / "l", image.manifest.descriptor, blobs=image.blobs)
    files = [(str(p.relative_to(directory)), p.read_bytes()) for p in sorted(directory.rglob("*")) if p.is_file()]
    data = b"".join(member(name.encode(), b"0", data) for name, data in files)
    (tmp_path / "a").write_bytes(data + data + END)
    assert problems_of(f"oci-archive:{tmp_path}/a") == ""
    (tmp_path / "a").write_bytes(data + member(files[0][0].encode(), b"0", b"other") + END)
    assert f"has {files[0][0]} twice, with different contents" in problems_of(f"oci-archive:{tmp_path}/a")


@pytest.mark.parametrize("kind", COMPRESSIONS)
def test_compressions_of_docker_load(tmp_path, kind):
    compress = COMPRESSIONS[kind]
    for data in (
        compress(archive(L)),
        archive(member(b"l.tar", b"0", compress(LAYER))),
        compress(archive(member(b"l.tar", b"0", compress(LAYER)))),
        compress(archive(L)[:700]) + compress(archive(L)[700:]),
    ):
        assert problems(tmp_path, data) == ""
        image = Image.load(f"docker-archive:{tmp_path}/a.tar")
        (layer,) = image.layers
        if kind in ("bzip2", "xz"):
            assert (layer.descriptor.digest, layer.descriptor.size) == (layer.diff_id, len(LAYER))
            assert layer.descriptor.media_type == media_types.DOCKER_LAYER
        image.save(f"oci:{tmp_path}/l")
        assert problems_of(f"oci:{tmp_path}/l") == ""


@pytest.mark.parametrize("kind", COMPRESSIONS)
def test_a_compressed_layer_of_another_content(tmp_path, kind):
    data = archive(member(b"l.tar", b"0", COMPRESSIONS[kind](tar_of({"f0": b"eno"}))))
    assert "its digest is sha256:" in problems(tmp_path, data) or "does not match its diff ID" in problems(
        tmp_path, data
    )
    with pytest.raises(LayoutError, match="damaged|does not match"):
        Image.load(f"docker-archive:{tmp_path}/a.tar").save(f"docker-archive:{tmp_path}/b.tar")
    assert not (tmp_path / "b.tar").exists()


def test_a_layer_that_is_decompressed_can_be_read_in_any_steps(tmp_path):
    (tmp_path / "a").write_bytes(archive(member(b"l.tar", b"0", bz2.compress(LAYER))))
    with closing(DockerArchive(str(tmp_path / "a"))) as opened:
        (layer,) = opened.image().layers
        for step in (1, 7, 512, 1 << 20):
            with opened.open(layer.descriptor) as file:
                assert b"".join(iter(lambda file=file, step=step: file.read(step), b"")) == LAYER
        assert not opened.open(layer.descriptor).seekable()


# What follows the stream, and whether Docker and podman read it.
GARBAGE = {"text": b"evil", "a zero": b"\0", "four zeros": b"\0" * 4, "512 zeros": b"\0" * 512, "half a magic": None}
READABLE = {"xz": ("four zeros", "512 zeros")}
MAGIC = {"gzip": b"\x1f", "bzip2": b"BZ", "xz": b"\xfd7z", "zstd": b"\x28\xb5"}


def decompressed(data, **options):
    return b"".join(decompress(io.BytesIO(data), "test", **options))


@pytest.mark.parametrize("garbage", GARBAGE)
@pytest.mark.parametrize("kind", COMPRESSIONS)
def test_content_after_a_compressed_stream(tmp_path, kind, garbage):
    stream, after = COMPRESSIONS[kind](LAYER), GARBAGE[garbage] or MAGIC[kind]
    if garbage in READABLE.get(kind, ()):
        assert decompressed(stream + after, archive=True) == LAYER
        assert decompressed(stream + after + stream, archive=True) == LAYER * 2
        return
    for data in (stream + after, stream + stream + after):
        with pytest.raises(LayoutError, match="other bytes after its|is truncated|is damaged"):
            decompressed(data, archive=True)
    assert problems(tmp_path, COMPRESSIONS[kind](archive(L)) + after) != ""
    assert problems(tmp_path, archive(member(b"l.tar", b"0", stream + after))) != ""


@pytest.mark.parametrize("garbage", GARBAGE)
@pytest.mark.parametrize("kind", ["gzip", "zstd"])
def test_content_after_the_stream_of_a_layer(tmp_path, kind, garbage):
    """podman: "gzip: invalid header", "unexpected EOF", "magic number mismatch"; containerd the same."""
    blob = COMPRESSIONS[kind](LAYER) + (GARBAGE[garbage] or MAGIC[kind])
    image = image_with_layer(LAYER, blob, f"{media_types.OCI_LAYER}+{kind}")
    layout_of(tmp_path / "l", image.manifest.descriptor, blobs=image.blobs)
    assert re.search("other bytes after its|is truncated|is damaged", problems_of(f"oci:{tmp_path}/l"))


@pytest.mark.parametrize("kind", ["gzip", "zstd"])
def test_streams_without_content_may_follow_a_layer(tmp_path, kind):
    empty = COMPRESSIONS[kind](b"")
    tails = [empty, empty + empty] + ([b"\x50\x2a\x4d\x18\4\0\0\0abcd"] if kind == "zstd" else [])
    for n, tail in enumerate(tails):
        image = image_with_layer(LAYER, COMPRESSIONS[kind](LAYER) + tail, f"{media_types.OCI_LAYER}+{kind}")
        layout_of(tmp_path / f"{n}", image.manifest.descriptor, blobs=image.blobs)
        assert problems_of(f"oci:{tmp_path}/{n}") == ""
    more = image_with_layer(
        LAYER, COMPRESSIONS[kind](LAYER) + COMPRESSIONS[kind](b"evil"), f"{media_types.OCI_LAYER}+{kind}"
    )
    layout_of(tmp_path / "more", more.manifest.descriptor, blobs=more.blobs)
    assert "does not match its diff ID" in problems_of(f"oci:{tmp_path}/more")


@pytest.mark.parametrize("kind", COMPRESSIONS)
def test_every_cut_of_a_stream_is_found(kind):
    stream = COMPRESSIONS[kind](b"content" * 20)
    for size in range(6, len(stream)):
        with pytest.raises(LayoutError, match="is truncated|is damaged"):
            decompressed(stream[:size], archive=True)
        if kind != "zstd" or size > 9:
            with pytest.raises(LayoutError):
                decompressed(stream + stream[:size], archive=True)


def test_zeros_of_xz_across_the_bounds_of_reads():
    class Reads(io.BytesIO):
        def read(self, size=-1):
            return super().read(min(size, 3) if self.tell() else 10)

    data = lzma.compress(LAYER) + b"\0" * 8 + lzma.compress(b"x") + b"\0" * 4
    assert b"".join(decompress(Reads(data), "test", archive=True)) == LAYER + b"x"
    with pytest.raises(LayoutError, match="other bytes after its xz stream"):
        b"".join(decompress(Reads(data + b"\0"), "test", archive=True))


@pytest.mark.parametrize("kind, module", [("bzip2", "bz2"), ("xz", "lzma"), ("zstd", "zstandard")])
def test_a_library_that_is_missing(tmp_path, monkeypatch, kind, module):
    data = COMPRESSIONS[kind](archive(L))
    monkeypatch.setitem(sys.modules, module, None)
    found = problems(tmp_path, data)
    assert f"is compressed with {kind}" in found
    assert "pip install" in found or f"use a Python that was built with {kind}" in found


@pytest.mark.parametrize("kind", ["bzip2", "xz"])
def test_layers_of_manifests_are_not_compressed_with_bzip2_or_xz(tmp_path, kind):
    image = image_with_layer(LAYER, COMPRESSIONS[kind](LAYER))
    layout_of(tmp_path / "l", image.manifest.descriptor, blobs=image.blobs)
    assert f"is compressed with {kind}; compress layers with gzip or zstd" in problems_of(f"oci:{tmp_path}/l")


def test_the_memory_of_an_xz_stream_is_limited(monkeypatch):
    monkeypatch.setattr("dockless.tar.decompress._XZ_MEMORY", 1 << 20)
    with pytest.raises(LayoutError, match="is damaged: xz: Memory usage limit"):
        decompressed(lzma.compress(LAYER, preset=9), archive=True)


def test_names_that_leave_the_archive_are_those_of_no_member(tmp_path):
    (tmp_path / "t").write_bytes(member(b"../x", b"0", b"1") + member(b"d/x", b"0", b"2") + END)
    with TarFiles(str(tmp_path / "t")) as files:
        assert files.size("x") is None
        assert files.size("../d/x") == 1


def test_links_that_have_the_same_long_links_on_their_way(tmp_path):
    """Each link is followed once: 2^30 steps otherwise."""
    links = [link(b"s%d" % n, b"s%d/../s%d" % (n + 1, n + 1)) for n in range(30)]
    (tmp_path / "t").write_bytes(b"".join(links) + member(b"s30", b"0", b"x") + END)
    with TarFiles(str(tmp_path / "t")) as files:
        assert files.size("s0") == 1
    links = [link(b"s%d" % n, b"s%d" % (n + 1)) for n in range(60)]
    (tmp_path / "t").write_bytes(b"".join(links) + member(b"s60", b"0", b"x") + END)
    with TarFiles(str(tmp_path / "t")) as files, pytest.raises(LayoutError, match="s0 is a link that leads to itself"):
        files.size("s0")


def test_many_layers_that_are_small_and_large(tmp_path, monkeypatch):
    """Each layer is below the limit of one stream."""
    monkeypatch.setattr("dockless.tar.decompress._ALWAYS_ALLOWED", 1 << 20)
    monkeypatch.setattr("dockless.tar.decompress._MAX_EXPANSION", 100)
    layer = bz2.compress(bytes(900_000))
    config = json.loads(CONFIG)
    config["rootfs"]["diff_ids"] *= 40
    item = {"Config": "c.json", "RepoTags": [], "Layers": [f"{n}" for n in range(40)]}
    files = {"manifest.json": json.dumps([item]).encode(), "c.json": json.dumps(config).encode()}
    (tmp_path / "a").write_bytes(tar_of({**files, **{f"{n}": layer for n in range(40)}}))
    reason = "is a decompression bomb: .* is one of its layers"
    with closing(DockerArchive(str(tmp_path / "a"))) as archive, pytest.raises(LayoutError, match=reason):
        archive.image()
