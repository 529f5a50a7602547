"""Invalid layers: one line names the file or field, and no file is left."""

import errno
import gzip
import io
import os
import socket
import subprocess
import sys
import tarfile
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dockless.errors import LayerError
from dockless.layer import InlineFile, Layer, LayerSpec, Source, build_layer, tar_writer


def refusal(build, *sources, **fields) -> str:
    with pytest.raises(LayerError) as caught:
        build(*sources, **fields)
    line = str(caught.value)
    assert "\n" not in line
    return line


def test_two_sources_for_one_path_are_both_named(build, tree, out):
    one, two = tree({"a/b": "1"}, "one"), tree({"a/b": "2"}, "two")
    line = refusal(build, Source(str(one), "/x", origin="app:one"), Source(str(two), "/x", origin="app:two"))
    assert "/x/a/b" in line and "app:one" in line and "app:two" in line
    line = refusal(build, (one, "/x"), inline_files={"/x/a": InlineFile("")})
    assert "two sources for /x/a" in line and "`inline_files`" in line
    line = refusal(build, inline_files={"/x": InlineFile(""), "/x/y": InlineFile("")})
    assert "/x is both a file and a directory" in line
    line = refusal(build, (one, "/x"), whiteouts=("/x/a/b",))
    assert "`whiteouts`: /x/a/b is also in the layer" in line
    assert not os.listdir(out)


@pytest.mark.parametrize("make, message", [("fifo", "is a fifo"), ("socket", "is a socket"), ("device", "is a device")])
def test_special_files_are_refused_without_a_hang(build, tree, make, message):
    path = tree({"f": ""}) / "odd"
    if make == "fifo":
        os.mkfifo(path)
    elif make == "socket":
        server = socket.socket(socket.AF_UNIX)
        server.bind(os.path.relpath(path))
        server.close()
    else:
        try:
            os.mknod(path, 0o020644, os.makedev(1, 3))
        except PermissionError:
            pytest.skip("NOT TESTED: this user can make no device")
    assert message in refusal(build, (path.parent, "/"))


def test_an_unreadable_file_is_named(build, tree):
    root = tree({"secret": "x"})
    (root / "secret").chmod(0)
    if os.geteuid() != 0:
        assert "secret: Permission denied" in refusal(build, (root, "/"))
    assert "No such file" in refusal(build, (root / "absent", "/"))
    (root / "secret").unlink()


@pytest.mark.parametrize("size", [10, 5_000_000])
def test_a_file_whose_reading_fails_is_named(build, tree, out, monkeypatch, size):
    """A small file is read into the current block, a large one in pieces."""
    root = tree({"f": b"x" * size})

    def fail(descriptor, buffers):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(tar_writer.os, "readv", fail)
    line = refusal(build, Source(str(root), "/", origin="app:files"))
    assert line == f"app:files: cannot read {root}/f: Input/output error"
    assert not os.listdir(out)


def test_an_unreadable_ignore_file_is_an_error(build, tree, out, monkeypatch):
    """Without its rules, files that must stay out of the image would be in it."""
    root = tree({".dockerignore": "secret\n", "secret": "", "f": ""})
    begin = os.open
    failed = []

    def fail(path, *rest, **options):
        # Once: the file is also a file of the layer.
        if os.path.basename(os.fsencode(path)) == b".dockerignore" and not failed:
            failed.append(path)
            raise PermissionError(errno.EACCES, "Permission denied", path)
        return begin(path, *rest, **options)

    monkeypatch.setattr(os, "open", fail)
    line = refusal(build, Source(str(root), "/", origin="app:files"), ignore_files=(".dockerignore",))
    assert line == f"app:files: cannot read {root}/.dockerignore: Permission denied"
    assert not os.listdir(out)


@pytest.mark.parametrize("how", ["shrinks", "grows", "vanishes", "becomes a link"])
def test_a_file_that_changes_while_it_is_read(build, tree, monkeypatch, out, how):
    root = tree({"a": "x" * 100, "b": "y" * 5_000_000})
    begin = tar_writer.tar_header

    def meanwhile(name, *rest):
        if name == b"b" and how == "shrinks":
            os.truncate(root / "b", 100)
        if name == b"b" and how == "grows":
            with open(root / "b", "ab") as file:
                file.write(b"z")
        if name == b"a" and how == "vanishes":
            (root / "b").unlink()
        if name == b"a" and how == "becomes a link":
            (root / "b").unlink()
            (root / "b").symlink_to("/etc/passwd")
        return begin(name, *rest)

    monkeypatch.setattr(tar_writer, "tar_header", meanwhile)
    assert "cannot read" in refusal(build, (root, "/"))
    assert not os.listdir(out)


@pytest.mark.parametrize(
    "fields, message",
    [
        ({"symlinks": {"/a\0": "b"}}, "NUL"),
        ({"symlinks": {"/a/../b": "c"}}, "'..'"),
        ({"symlinks": {"/a": ""}}, "an invalid target"),
        ({"directories": {"/a": "777777"}}, "is not a mode"),
        ({"directories": {"/a": "rwx"}}, "is not a mode"),
        ({"inline_files": {"/": InlineFile("")}}, "not the path of a file"),
        ({"inline_files": {"/a": InlineFile("", 0o77777)}}, "has the mode"),
        ({"inline_files": {"/.wh.a": InlineFile("")}}, "would delete files"),
        ({"inline_files": {"/a/.wh.b/c": InlineFile("")}}, "the name '.wh.b' starts with `.wh.`"),
        ({"symlinks": {"/a/.wh.b/c": "d"}}, "the name '.wh.b' starts with `.wh.`"),
        ({"directories": {"/.wh.a": "755"}}, "the name '.wh.a' starts with `.wh.`"),
        ({"directories": {"/a/.wh.b/c": "755"}}, "the name '.wh.b' starts with `.wh.`"),
        ({"owner": "1"}, "is not an owner"),
        ({"owner": "a:b"}, "is not an owner"),
        ({"owner": f"{2**32}:0"}, "is not an owner"),
        ({"owners": {"/nothing": "1:1"}}, "matches nothing"),
        ({"modes": {"/nothing": "0644"}}, "matches nothing"),
        ({"whiteouts": ("/",)}, "root directory of the image"),
        ({"mtime": -1}, "is not a time"),
        ({"mtime": 2**40}, "is not a time"),
        ({"mtime": 1.5}, "is not a time"),
        ({"compression": "lzma"}, "'lzma' is not"),
        ({"compression": "gzip:00013"}, "no level '00013'"),
        ({"compression": "gzip:0001"}, "no level '0001'"),
    ],
)
def test_wrong_fields_are_named(build, tree, out, fields, message):
    line = refusal(build, (tree({"f": ""}), "/srv"), **fields)
    assert message in line and f"`{next(iter(fields))}`" in line
    assert not os.listdir(out)


def test_whiteouts_among_sources_are_refused(build, tree):
    assert "'.wh.gone' starts with `.wh.` and would delete" in refusal(build, (tree({"d/.wh.gone": ""}), "/"))
    assert "'.wh..wh..opq' starts with `.wh.` and would delete" in refusal(
        build, (tree({"e/.wh..wh..opq": ""}, "t"), "/")
    )


def test_destinations_are_checked(build, tree):
    root = tree({"f": ""})
    for destination in ("/a/../b", "..", "/a\0b"):
        assert "destination" in refusal(build, (root, destination))
    for destination in ("/.wh.a", "/a/.wh.b/c/"):
        assert "starts with `.wh.` and would delete" in refusal(build, (root, destination))
    assert "strip_prefix" in refusal(build, Source(str(root), "/", strip_prefix="../x"))


def test_a_full_disk_leaves_nothing(tree, tmp_path):
    small = tmp_path / "small"
    small.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", small], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("NOT TESTED: nothing can be mounted here")
    try:
        root = tree({"f": os.urandom(4 << 20)})
        with pytest.raises(LayerError, match="No space left on device"):
            build_layer(LayerSpec((Source(str(root), "/"),)), str(small))
        assert not os.listdir(small)
    finally:
        subprocess.run(["umount", small], check=True)


def test_an_interrupt_leaves_nothing(tree, out, monkeypatch):
    root = tree({"f": os.urandom(5 << 20)})
    monkeypatch.setattr(tar_writer._Filler, "skip", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    before = threading.active_count()
    with pytest.raises(KeyboardInterrupt):
        build_layer(LayerSpec((Source(str(root), "/"),)), str(out), threads=2)
    assert not os.listdir(out)
    assert threading.active_count() == before


@settings(max_examples=150, deadline=None)
@given(st.lists(st.text(max_size=12), max_size=4), st.binary(max_size=80))
def test_any_ignore_file_is_evaluated_quickly(patterns, content):
    from dockless.layer.ignore import Ignores

    try:
        ignores = Ignores((), tuple(patterns + [os.fsdecode(line) for line in content.split(b"\n")]), "x")
        ignores.ignored(b"a/b/c.txt", False)
    except LayerError as error:
        assert "pattern" in str(error)


def tarball(**members) -> bytes:
    found = io.BytesIO()
    with tarfile.open(fileobj=found, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name, size in members.items():
            info = tarfile.TarInfo(name * 1)
            info.size = size
            tar.addfile(info, io.BytesIO(b"x" * size))
    return found.getvalue()


@pytest.mark.parametrize("suffix", ["", "gz", "zst", "multi"])
def test_a_tarball_is_used_unchanged(tmp_path, out, suffix):
    import zstandard

    tar = tarball(a=10, b=2_000_000)
    pack = {
        "": lambda d: d,
        "gz": lambda d: gzip.compress(d, 9),
        "zst": zstandard.ZstdCompressor().compress,
        "multi": lambda d: gzip.compress(d[:1000]) + gzip.compress(d[1000:]),
    }[suffix]
    path = tmp_path / "layer"
    path.write_bytes(pack(tar))
    built = Layer.from_tarball(path).build(str(out))
    assert (out / built.descriptor.digest.hex).read_bytes() == path.read_bytes()
    import hashlib

    assert built.diff_id.hex == hashlib.sha256(tar).hexdigest()
    assert (built.entries, built.uncompressed_size) == (2, len(tar))
    assert built.descriptor.media_type.endswith({"": ".tar", "zst": "+zstd"}.get(suffix, "+gzip"))


@pytest.mark.parametrize(
    "data, message",
    [
        (b"not a tar" * 100, "checksum"),
        (tarball(a=5000)[:2000], "truncated"),
        (gzip.compress(tarball(a=5000))[:-20], "truncated"),
        (gzip.compress(tarball(a=5000))[:60] + b"\xff" * 60, "damaged"),
        (b"BZh91AY" + b"0" * 600, "bzip2"),
        (b"\x28\xb5\x2f\xfd" + b"\xff" * 600, "zstd"),
        (gzip.compress(tarball(a=1)) + b"garbage", "after its gzip stream"),
    ],
    ids=["text", "cut", "cut gzip", "bad gzip", "bzip2", "bad zstd", "more"],
)
def test_an_invalid_tarball_leaves_no_blob(tmp_path, out, data, message):
    path = tmp_path / "layer"
    path.write_bytes(data)
    with pytest.raises(LayerError, match=message) as caught:
        Layer.from_tarball(path).build(str(out))
    assert str(path) in str(caught.value)
    assert not os.listdir(out)


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_any_damage_of_a_tarball_is_found_or_harmless(tmp_path_factory, data):
    directory = tmp_path_factory.mktemp("fuzz")
    tar = bytearray(tarball(**{"n" * 120: 700, "b": 3}))
    for _ in range(data.draw(st.integers(1, 4))):
        tar[data.draw(st.integers(0, len(tar) - 1))] = data.draw(st.integers(0, 255))
    (directory / "layer").write_bytes(bytes(tar[: data.draw(st.integers(0, len(tar)))]))
    (directory / "out").mkdir()
    try:
        built = Layer.from_tarball(directory / "layer").build(str(directory / "out"))
        assert os.listdir(directory / "out") == [built.descriptor.digest.hex]
    except LayerError as error:
        assert "\n" not in str(error)
        assert not os.listdir(directory / "out")


def test_memory_is_bounded_for_any_tarball(tmp_path):
    """1 GiB of zeros, compressed to a megabyte, in a separate process."""
    program = (
        "import sys, gzip, tarfile\n"
        "from dockless.layer import Layer\n"
        "path, out = sys.argv[1:]\n"
        "header = tarfile.TarInfo('zeros'); header.size = 1 << 30\n"
        "with gzip.open(path, 'wb', compresslevel=1) as f:\n"
        "    f.write(header.tobuf())\n"
        "    for _ in range(1024): f.write(bytes(1 << 20))\n"
        "    f.write(bytes(1024))\n"
        "built = Layer.from_tarball(path).build(out)\n"
        "assert built.uncompressed_size == (1 << 30) + 1536, built\n"
        "print(next(line for line in open('/proc/self/status') if line.startswith('VmHWM')).split()[1])\n"
    )
    (tmp_path / "out").mkdir()
    argv = [sys.executable, "-c", program, str(tmp_path / "bomb.gz"), str(tmp_path / "out")]
    env = {"PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(argv, capture_output=True, text=True, env=env, check=True)
    assert int(done.stdout) < 60_000
