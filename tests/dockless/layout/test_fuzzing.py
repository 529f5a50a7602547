"""Random archives end in a DocklessError or are read: the parsers of tar and docker-archives, and the decompressors.

The runs are the same each time, unless DOCKLESS_FUZZ is a number of random examples. `atheris` over the same functions
found nothing more in 12 minutes of CPU time.
"""

import bz2
import contextlib
import gzip
import io
import json
import lzma
import os

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from made_images import make_image, tar_of
from raw_tars import END, GNU, USTAR, member, pax, sparse_1_0

from dockless._hashing import HashingReader
from dockless.errors import DocklessError
from dockless.layer.member_rules import MemberRules
from dockless.layout.docker_archive_reader import DockerArchive
from dockless.tar.decompress import decompress
from dockless.tar.index import TarFiles
from dockless.tar.reader import read_members

RANDOM_EXAMPLES = int(os.environ.get("DOCKLESS_FUZZ", "0"))
NAMES = st.sampled_from([b"a", b"b/", b"d/e", b"../x", b"", b"/r", b"\xe9", b"n" * 100, b"./a", b".wh.", b"Files/x"])
NUMBERS = st.sampled_from([b"", b"0", b"5", b"512", b"-1", b"x", b"0,3", b"5,1,2,1", b"9" * 20])
KEYS = ["path", "linkpath", "size", "comment", "GNU.sparse.name", "GNU.sparse.major", "GNU.sparse.minor"]
KEYS += [f"GNU.sparse.{key}" for key in ("map", "numblocks", "offset", "numbytes", "size", "realsize")]
RECORDS = st.lists(st.tuples(st.sampled_from(KEYS).map(str.encode), NAMES | NUMBERS), max_size=4)
FIELDS = st.lists(
    st.tuples(
        st.sampled_from([0, 100, 108, 124, 136, 156, 257, 329, 345, 357, 386, 482, 483, 508]),
        st.sampled_from([b"\0", b"\1", b"\xff" * 12, b"\x80" + b"\1" * 11, b"tar\0", GNU, USTAR, b"p", b"7777777"]),
    ).map(lambda pair: (pair[0], pair[1][: 512 - pair[0]])),
    max_size=2,
)
CONTENT = st.sampled_from([b"", b"x", b"x" * 512, b"x" * 600, b"../y\0", b"1\n0\n1\nx"])
MEMBERS = st.builds(
    lambda name, kind, data, magic, fields, signed: member(
        name, bytes((kind,)), data, magic=magic, link=b"../a", fields=fields, signed=signed
    ),
    NAMES,
    st.sampled_from(b"0\x001234567SVXLKgx"),
    CONTENT,
    st.sampled_from([USTAR, GNU, b"", b"ustar\0"]),
    FIELDS,
    st.booleans(),
)
PARTS = st.one_of(
    MEMBERS,
    RECORDS.map(lambda records: pax(*records)),
    RECORDS.map(lambda records: pax(*records, kind=b"g")),
    st.builds(sparse_1_0, NAMES, CONTENT, CONTENT, st.integers(0, 600)),
    st.just(b"\0" * 512),
)
TARS = st.builds(
    lambda parts, cut: b"".join(parts)[cut:] + END, st.lists(PARTS, max_size=5), st.sampled_from([0, 0, 9])
)


def deterministic(examples):
    return settings(
        max_examples=RANDOM_EXAMPLES or examples,
        derandomize=not RANDOM_EXAMPLES,
        database=None,
        deadline=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture],
    )


@contextlib.contextmanager
def one_line_errors():
    try:
        yield
    except DocklessError as error:
        assert "\n" not in str(error)


@deterministic(150)
@given(TARS)
def test_tars(data):
    rules = MemberRules("x", windows=True)
    with one_line_errors():
        for found in read_members(HashingReader(iter([data]), "x"), "x"):
            # A member that is longer than the archive is an error after it was returned.
            assert found.size >= 0 and 512 <= found.offset <= len(data)
            assert all(problem.line.startswith("x ") for problem in rules.problems(found))


CONFIG = make_image(b"one", compress=False, docker=True).documents.config_bytes
LAYER = tar_of({"f0": b"one"})
LISTED = json.dumps([{"Config": "c.json", "RepoTags": ["app:1"], "Layers": ["d/e"]}]).encode()
ARCHIVE = [member(b"manifest.json", b"0", LISTED), member(b"c.json", b"0", CONFIG), member(b"d/e", b"0", LAYER)]


@deterministic(80)
@given(st.permutations(ARCHIVE), st.lists(PARTS, max_size=4), st.integers(0, 3))
def test_docker_archives(tmp_path, known, parts, at):
    (tmp_path / "a").write_bytes(b"".join([*known[:at], *parts, *known[at:]]) + END)
    with one_line_errors(), contextlib.closing(DockerArchive(str(tmp_path / "a"))) as archive:
        for image in archive.images():
            for layer in image.manifest.layers:
                with archive.open(layer) as file:
                    assert len(file.read()) == layer.size


EXTENTS = st.lists(st.tuples(st.integers(0, 1200), st.integers(0, 700)), max_size=6)


@st.composite
def sparse_members(draw):
    """Sparse files of the formats 0.1, 1.0 and of the type S, mostly with valid maps."""
    extents, at = [], 0
    for gap, length in draw(EXTENTS):
        extents.append((at + gap, length))
        at += gap + length
    numbers = [number for extent in extents for number in extent]
    size = at + draw(st.integers(0, 600))
    data = bytes(index % 251 + 1 for index in range(sum(length for _, length in extents)))
    data = data[: len(data) - draw(st.sampled_from([0, 0, 0, 1]))]
    kind = draw(st.sampled_from(["0.1", "1.0", "S"]))
    if kind == "1.0":
        return sparse_1_0(b"s", b"".join(b"%d\n" % n for n in (len(extents), *numbers)), data, size)
    if kind == "0.1":
        records = [(b"size", b"%d" % size), (b"numblocks", b"%d" % len(extents))]
        records.append((b"map", b",".join(b"%d" % number for number in numbers)))
        return pax(*((b"GNU.sparse." + key, value) for key, value in records)) + member(b"s", b"0", data)
    slots = [b"%011o\0%011o\0" % extent for extent in extents]
    fields = [(386, b"".join(slots[:4])), (482, b"\1" if slots[4:] else b"\0"), (483, b"%011o\0" % size)]
    found = member(b"s", b"S", data, magic=GNU, fields=fields)
    more = b"".join(slots[4:]).ljust(512, b"\0") if slots[4:] else b""
    return found[:512] + more + found[512:]


@deterministic(120)
@given(st.lists(sparse_members(), min_size=1, max_size=2), st.lists(PARTS, max_size=2))
def test_sparse_members_of_archives(tmp_path, sparse, parts):
    (tmp_path / "a").write_bytes(b"".join([*sparse, *parts]) + END)
    with one_line_errors(), TarFiles(str(tmp_path / "a")) as files:
        for name in list(files):
            with one_line_errors():
                size = files.size(name)
                if size is not None:
                    with files.open(name) as file:
                        content = file.read()
                        assert len(content) == size
                        file.seek(size // 2)
                        assert file.read(777) == content[size // 2 : size // 2 + 777]


def zstd(data):
    return pytest.importorskip("zstandard").compress(data)


@pytest.mark.parametrize("compress", [gzip.compress, bz2.compress, lzma.compress, zstd])
def test_compressed_streams(compress):
    stream = compress(LAYER)
    positions = st.integers(0, len(stream) - 1)

    @deterministic(60)
    @given(
        st.lists(st.tuples(positions, st.integers(0, 255)), max_size=3),
        positions,
        st.sampled_from([b"", b"\0", stream]),
    )
    def run(changes, cut, tail):
        data = bytearray(stream)
        for position, byte in changes:
            data[position] = byte
        with one_line_errors():
            content = decompress(io.BytesIO(bytes(data[: cut or None]) + tail), "x", archive=True)
            assert sum(map(len, content)) < 1 << 24

    run()
