"""Source trees and layers that are deep, long or many: limits of time, memory and lines."""

import contextlib
import gzip
import io
import json
import os
import random
import re
import subprocess
import tarfile
import time

import pytest
from made_images import layout_of, make_image
from measured_child import run_command, run_measured

from dockless import _atomic
from dockless.errors import DocklessError, LayerError, LayoutError
from dockless.layer import InlineFile, LayerSpec, Source, build_layer
from dockless.layer import walk as walk_module
from dockless.layer.prebuilt import add_tarball
from dockless.layer.spec import Listing
from dockless.layer.walk import collect_entries
from dockless.oci.digest import Digest
from dockless.transfer.verify import verify_image

DEPTH = 1500


def make_deep(root):
    """Makes a directory in 1500 directories, with a file in the lowest."""
    root.mkdir()
    here = os.open(root, os.O_RDONLY)
    for _ in range(DEPTH):
        os.mkdir("a", dir_fd=here)
        below = os.open("a", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(os.open("f", os.O_CREAT | os.O_WRONLY, dir_fd=here))
    os.close(here)


def remove(path):
    # shutil.rmtree, which pytest uses, is recursive.
    subprocess.run(["rm", "-rf", str(path)], check=True)


@pytest.fixture(scope="module")
def deep(tmp_path_factory):
    root = tmp_path_factory.mktemp("deep") / "tree"
    make_deep(root)
    yield root
    remove(root)


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"follow_symlinks": True},
        {"ignores": ("*.pyc", "**/x"), "ignore_files": (".i",)},
        {"modes": {"f": "0600"}, "owners": {"**/a": "1:1"}},
        {"hardlinks": True},
    ],
    ids=["plain", "symlinks", "ignores", "rules", "hard links"],
)
def test_a_deep_tree_is_built(deep, tmp_path, fields):
    (tmp_path / "out").mkdir()
    layer = build_layer(LayerSpec((Source(str(deep), "/x"),), **fields), str(tmp_path / "out"))
    assert layer.entries == DEPTH + 2


def test_a_deep_tree_is_verified(deep, tmp_path):
    done = run_command("build", f"oci:{tmp_path}/l", "--add", f"{deep}:/x")
    assert (done.status, done.err.count("Recursion")) == (0, 0)
    assert verify_image(f"oci:{tmp_path}/l").problems == ()


LONG = "a/" * 50_000 + "f"


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"sources": (Source("/", "/x", listing=Listing(files=(LONG,))),)}, "has 100001 bytes: the limit is 4095"),
        ({"sources": (Source("/", "/x", listing=Listing(symlinks={LONG: "b"})),)}, "has 100001 bytes"),
        ({"sources": (Source("/", "/x", listing=Listing(directories=(LONG,))),)}, "has 100001 bytes"),
        ({"sources": (Source("/", LONG, listing=Listing()),)}, "has 100001 bytes"),
        ({"directories": {LONG: "0755"}}, "`directories`: the path .* has 100001 bytes"),
        ({"inline_files": {LONG: InlineFile(b"")}}, "`inline_files`: the path .* has 100001 bytes"),
        ({"symlinks": {LONG: "b"}}, "`symlinks`: the path .* has 100001 bytes"),
        ({"symlinks": {"/l": LONG}}, "`symlinks`: '/l' has an invalid target"),
        ({"whiteouts": (LONG,)}, "`whiteouts`: the path .* has 100005 bytes"),
        ({"sources": (Source("/x/" + LONG, "/x"),)}, "File name too long"),
    ],
    ids=[
        "file",
        "symlink",
        "directory",
        "destination",
        "directories",
        "inline",
        "symlinks",
        "target",
        "whiteout",
        "disk",
    ],
)
def test_a_path_of_100_000_characters(fields, reason):
    begun = time.process_time()
    with pytest.raises(LayerError, match=reason) as caught:
        collect_entries(LayerSpec(**fields))
    assert len(str(caught.value)) < 2100
    assert time.process_time() - begun < 5


def test_the_longest_path_that_can_be_verified(tmp_path):
    spec = LayerSpec(directories={"a/" * 2047 + "b": "0755"})
    layer = build_layer(spec, str(tmp_path))
    assert layer.entries == 2048
    assert add_tarball(str(tmp_path / layer.descriptor.digest.hex), str(tmp_path)).entries == 2048
    with pytest.raises(LayerError, match="has 4096 bytes"):
        build_layer(LayerSpec(directories={"a/" * 2047 + "bc": "0755"}), str(tmp_path))


def test_a_few_symlinks_that_stand_for_billions_of_paths(tmp_path, monkeypatch):
    monkeypatch.setattr(walk_module, "_MAX_BELOW_SYMLINKS", 1000)
    for n in range(40):
        (tmp_path / f"d{n}").mkdir()
        for link in "ab":
            (tmp_path / f"d{n}" / link).symlink_to(f"../d{n + 1}")
    (tmp_path / "d40").mkdir()
    with pytest.raises(LayerError, match="more than 1000 entries are below symlinks that are followed"):
        collect_entries(LayerSpec((Source(str(tmp_path), "/"),), follow_symlinks=True))
    assert len(collect_entries(LayerSpec((Source(str(tmp_path), "/"),)))) == 41 + 80


def test_a_deep_directory_in_the_place_of_a_temporary_one(tmp_path):
    left = tmp_path / (_atomic._prefix() + "0123456789abcdef")
    make_deep(left)
    with _atomic.atomic_file(str(tmp_path / "f")) as file:
        file.write(b"x")
    assert (tmp_path / "f").read_bytes() == b"x"
    remove(left)


@pytest.mark.parametrize("kind", ["oci", "docker-archive"])
def test_a_destination_in_many_directories(tmp_path, kind):
    path = f"{tmp_path}/{'a/' * 1200}x"
    done = run_command("build", f"{kind}:{path}", "--allow-empty")
    assert (done.status, done.err.count("Recursion")) == (0, 0)
    assert run_command("inspect", f"{kind}:{path}").status == 0
    remove(tmp_path / "a")


def layout_with(directory, tar):
    """A layout whose only layer is `tar`, with everything else right."""
    image = make_image(b"one")
    blob = gzip.compress(tar, 1, mtime=0)
    config = json.loads(image.documents.config_bytes)
    config["rootfs"]["diff_ids"] = [str(Digest.of(tar))]
    raw_config = json.dumps(config).encode()
    manifest = image.manifest.json
    manifest["layers"][0].update(digest=image.blobs.put(blob), size=len(blob))
    manifest["config"].update(digest=image.blobs.put(raw_config), size=len(raw_config))
    raw = json.dumps(manifest).encode()
    root = image.manifest.descriptor._replace(digest=image.blobs.put(raw), size=len(raw))
    return f"oci:{layout_of(directory, root, blobs=image.blobs)}"


def tar_with(members):
    """A tar of (name, type, link)."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.GNU_FORMAT) as tar:
        for name, kind, link in members:
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, link
            tar.addfile(info)
    return buffer.getvalue()


BAD = {
    "paths outside of the image": lambda n: (f"../{n}", tarfile.REGTYPE, ""),
    "whiteouts that name no file": lambda n: (f"w{n}/.wh.", tarfile.REGTYPE, ""),
    "hard links to paths outside of the image": lambda n: (f"l{n}", tarfile.LNKTYPE, "../x"),
}


def raw_tar(*headers, name="harmless"):
    """A tar of one file, whose header follows extended headers: (type, data)."""
    members = []
    for kind, content in (*headers, (tarfile.REGTYPE, b"")):
        info = tarfile.TarInfo(name)
        info.type, info.size = kind, len(content)
        members += [info.tobuf(tarfile.USTAR_FORMAT), content + b"\0" * (-len(content) % 512)]
    return b"".join(members) + b"\0" * 1024


SPARSE, SPARSE_PLAIN = b"27 GNU.sparse.name=../../x\n", b"24 GNU.sparse.name=fine\n"
OUT, PLAIN, COMMENT = b"13 path=../x\n", b"13 path=fine\n", b"13 comment=x\n"
# Archives from which some readers extract `../x`.
HIDDEN_NAMES = {
    "after a NUL": raw_tar((b"L", b"a/..\0b\0")),
    "the NUL of a pax header": raw_tar((b"x", b"14 path=..\0/x\n")),
    "of a sparse file": raw_tar((b"x", SPARSE)),
    "not of a sparse file": raw_tar((b"x", SPARSE_PLAIN), name="../x"),
    "before a pax header": raw_tar((b"L", b"../x"), (b"x", PLAIN)),
    "after a pax header": raw_tar((b"x", PLAIN), (b"L", b"../x")),
    "in the last pax header": raw_tar((b"x", PLAIN), (b"x", OUT)),
    "in the first pax header": raw_tar((b"x", OUT), (b"x", PLAIN)),
    "dropped by a pax header": raw_tar((b"x", PLAIN), (b"x", COMMENT), name="../x"),
    "in the last long name": raw_tar((b"L", b"fine"), (b"L", b"../x")),
    "in the first long name": raw_tar((b"L", b"../x"), (b"L", b"fine")),
    "in a global header": raw_tar((b"g", OUT)),
}


def test_usual_extended_headers_are_no_problem(tmp_path):
    for n, headers in enumerate(
        [
            [(b"g", COMMENT), (b"x", PLAIN)],
            [(b"x", COMMENT), (b"L", b"fine"), (b"K", b"fine")],
            [(b"x", PLAIN + SPARSE_PLAIN)],
        ]
    ):
        assert verify_image(layout_with(tmp_path / str(n), raw_tar(*headers))).problems == ()


@pytest.mark.parametrize("name", HIDDEN_NAMES)
def test_verify_sees_the_names_that_others_extract(tmp_path, name):
    result = verify_image(layout_with(tmp_path / "l", HIDDEN_NAMES[name]))
    assert re.search("outside of the image|a value with a NUL|readers differ", result.problems[0]), result


@pytest.mark.parametrize("kind", BAD)
def test_verify_prints_few_lines_for_a_layer(tmp_path, kind):
    source = layout_with(tmp_path / "l", tar_with(map(BAD[kind], range(3000))))
    done = run_command("verify", source)
    lines = done.out.strip().splitlines()
    assert done.status == 1
    assert len(lines) == 21
    assert lines[-1].startswith(f"2980 more {kind} in the layer sha256:")
    assert "3000 problems found" in done.err
    document = json.loads(run_command("verify", source, "--json").out)
    assert document["problems"] == lines
    assert document["problem_count"] == 3000


def test_kinds_are_counted_apart(tmp_path):
    members = [make(n) for n in range(50) for make in BAD.values()]
    problems = verify_image(layout_with(tmp_path / "l", tar_with(members))).problems
    assert len(problems) == 63
    assert sum("30 more" in problem for problem in problems) == 3


def test_verify_prints_few_lines_for_a_config(tmp_path):
    config = {"history": [{"created": "x", "empty_layer": True}] * 5000, "config": {"Env": ["=x"] * 5000}}
    image = make_image(b"one", config=config)
    source = f"oci:{layout_of(tmp_path / 'l', image.manifest.descriptor, blobs=image.blobs)}"
    result = verify_image(source)
    assert len(result.problems) == 21
    assert result.problem_count > 5000 - 21


def test_verify_prints_few_lines_for_many_layers_and_files(tmp_path):
    digests = [f"sha256:{n:064x}" for n in range(3000)]
    layer = {"mediaType": "application/vnd.oci.image.layer.v1.tar+gzip", "size": 1}
    rootfs = {"type": "layers", "diff_ids": digests}
    image = make_image(config={"rootfs": rootfs}, manifest={"layers": [{**layer, "digest": d} for d in digests]})
    directory = layout_of(tmp_path / "l", image.manifest.descriptor, blobs=image.blobs)
    for n in range(300):
        (directory / f"blobs/sha256/{n}").write_bytes(b"")
    result = verify_image(f"oci:{directory}")
    assert len(result.problems) == 42
    assert result.problem_count == 3300


def test_verify_reads_a_blob_up_to_its_size(tmp_path):
    """The blob is a file of 4 TiB without blocks on disk, which is not read."""
    image = make_image(b"one")
    layer = image.manifest.layers[0]
    directory = layout_of(tmp_path / "l", image.manifest.descriptor, blobs=image.blobs)
    os.truncate(directory / "blobs/sha256" / layer.digest.hex, 4 << 40)
    [problem] = verify_image(f"oci:{directory}").problems
    assert problem == f"{directory}/blobs/sha256/{layer.digest.hex} is a sparse file with too many holes"


def test_warnings_of_a_build_are_few(tmp_path):
    (tmp_path / "src").mkdir()
    for n in range(200):
        (tmp_path / "src" / f"a{n}").write_bytes(b"")
        (tmp_path / "src" / f"A{n}").write_bytes(b"")
    layer = build_layer(LayerSpec((Source(str(tmp_path / "src"), "/x"),)), str(tmp_path))
    assert len(layer.warnings) == 21
    assert layer.warnings[-1] == "180 more pairs of paths differ only in case"


LAYERS = {
    "a negative size": lambda: _pax({"size": "-5"}),
    "a size of 10^20": lambda: _pax({"size": "1" + "0" * 20}),
    "a size of 2^62": lambda: _pax({"size": str(2**62)}),
    "a size that is no number": lambda: _pax({"size": "1_0"}),
    "a size in other digits": lambda: _pax({"size": "\u0661"}),
    "a base-256 size": lambda: _header(b"\xff" * 12),
    "a size with a sign": lambda: _header(b"-0000000005\0"),
    "no checksum": lambda: b"a" * 1024,
    "a header that is cut off": lambda: tar_with([("a", tarfile.REGTYPE, "")])[:100],
    "a file that is cut off": lambda: _header(b"00000010000\0"),
    "a record without an end": lambda: _raw_pax(b"99 path=a\n"),
    "a record that ends before its value": lambda: _raw_pax(b"5 path=a\n"),
    "a record of length 0": lambda: _raw_pax(b"0 path=a\n"),
    "a record without a key": lambda: _raw_pax(b"6 =ab\n"),
}


def _pax(headers):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as tar:
        info = tarfile.TarInfo("f")
        info.pax_headers = headers
        tar.addfile(info)
    return buffer.getvalue()


def _raw_pax(records):
    data = bytearray(_pax({"comment": "x" * (len(records) - len("11 comment=\n") + 0)}))
    data[512 : 512 + 512] = records + bytes(512 - len(records))
    return _sized(bytes(data), b"%011o\0" % len(records))


def _header(size):
    return _sized(tar_with([("f", tarfile.REGTYPE, "")])[:512], size)


def _sized(tar, size):
    header = bytearray(tar[:512])
    header[124:136] = size
    header[148:156] = b"        "
    header[148:156] = b"%06o\0 " % sum(header)
    return bytes(header) + tar[512:]


@pytest.mark.parametrize("tar", LAYERS.values(), ids=list(LAYERS))
def test_hostile_tars(tmp_path, tar):
    (tmp_path / "x").write_bytes(tar())
    with pytest.raises(LayerError):
        add_tarball(str(tmp_path / "x"), str(tmp_path))
    assert os.listdir(tmp_path) == ["x"]
    result = verify_image(layout_with(tmp_path / "l", tar()))
    assert 1 <= len(result.problems) < 5


def test_mutated_tars(tmp_path):
    """No bytes end in an error of Python, or in a loop."""
    chance = random.Random(15)
    whole = tar_with([("a", tarfile.REGTYPE, ""), ("b" * 300, tarfile.SYMTYPE, "c" * 300), ("s", b"S", "")]) + _pax(
        {"path": "p" * 200, "size": "0"}
    )
    path = tmp_path / "x"
    for _ in range(400):
        tar = bytearray(whole)
        for _ in range(chance.randint(1, 6)):
            at = chance.randrange(len(tar))
            tar[at : at + chance.randint(0, 3)] = bytes(chance.choices(b"\0\xff019x/.", k=chance.randint(0, 3)))
        for begin in range(0, len(tar) - 512, 512):
            # Most mutations would end at the checksum.
            if chance.random() < 0.9 and tar[begin + 257 : begin + 262] == b"ustar":
                tar[begin + 148 : begin + 156] = b"        "
                tar[begin + 148 : begin + 156] = b"%06o\0 " % sum(tar[begin : begin + 512])
        path.write_bytes(gzip.compress(tar, 1) if chance.random() < 0.2 else tar)
        with contextlib.suppress(LayerError):
            add_tarball(str(path), str(tmp_path))
    assert not [name for name in os.listdir(tmp_path) if name.startswith(".")]


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        (".wh.\x1b[31m", "starts with `.wh.`"),
        (".wh..wh..opq", "starts with `.wh.`"),
        ("-rf", None),
        ("\udcff\udcfe", None),
        ("a\n::error::b", None),
        ("\u202egnp.exe", None),
    ],
)
def test_names_of_source_files(tmp_path, name, reason):
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / name).write_bytes(b"")
    spec = LayerSpec((Source(str(tmp_path / "src"), "/x"),))
    if reason:
        with pytest.raises(DocklessError, match=reason) as caught:
            collect_entries(spec)
        assert str(caught.value).isprintable()
    else:
        assert [entry.name for entry in collect_entries(spec)][-1] == b"x/" + os.fsencode(name)


def test_a_layer_of_zeros_is_verified_in_little_memory(tmp_path):
    with gzip.open(tmp_path / "x", "wb", 1) as file:
        info = tarfile.TarInfo("f")
        info.size = 200 << 20
        file.write(info.tobuf())
        for _ in range(200):
            file.write(bytes(1 << 20))
        file.write(bytes(1024))
    code = "import sys; from dockless.layer.prebuilt import add_tarball; add_tarball(*sys.argv[1:])"
    done = run_measured(code, tmp_path / "x", tmp_path)
    assert (done.status, done.err) == (0, "")
    assert done.mib < 60


def test_the_error_of_a_tarball_that_is_missing(tmp_path):
    with pytest.raises(LayerError, match="cannot take the layer .*: No such file"):
        add_tarball(str(tmp_path / "none"), str(tmp_path))
    assert not issubclass(LayerError, LayoutError)
