"""Random archives end in a DocklessError or are read: the parsers of tar and docker-archives, and the decompressors.

The runs are the same each time. `atheris` over the same functions found nothing more in 12 minutes of CPU time.
"""

import bz2
import contextlib
import gzip
import io
import json
import lzma

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
from dockless.tar.reader import read_members

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
        max_examples=examples,
        derandomize=True,
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
            assert 0 <= found.size <= len(data) or found.offset > len(data)
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
