"""Bytes of layers: literals that must be equal on every machine and interpreter."""

import hashlib
import io
import os
import random
import signal
import subprocess
import sys
import tarfile
import time

import pytest

from dockless.errors import LayerError
from dockless.layer import LayerSpec, Source, build_layer
from dockless.layer.compression import find_encoder, libdeflate
from dockless.layer.compression.compressor import encode_blocks
from dockless.layer.compression.libdeflate import check_known_answer
from dockless.layer.tar_writer import Block
from dockless.tar.header import tar_header

SAMPLE = {
    "bin/run.sh": "#!/bin/sh\nexec python3 /app/main.py\n",
    "main.py": "print('hello')\n" * 200,
    "data/empty": "",
    "data/zeros": b"\0" * 300_000,
    "link": ("link", "main.py"),
    "empty/": None,
}
GOLDEN = {
    "gzip": "sha256:b9f55fd2516bf7d5ac82303264c9fcc3a684543af4303ccbe0026ee24a704ca0",
    "gzip:6": "sha256:8895d416ce3be9475dcd0789c32f92a7b5e3eee08e98692377ee64cf7bd7cfdb",
    "gzip:12": "sha256:fe21f1033abe884e9da5917913f410fef0a5c1612229c9a35054b38b51c1c7b0",
    "gzip-single": "sha256:0def1151671645495667ccbafc0496793c4963f3fe3370222240d2abfe0c67f6",
    "gzip-single:9": "sha256:d576b7d5164f05d0172f040a0daffcb9372b92f85121c7734c14f281e688fa7e",
    "zstd": "sha256:e299d4c11b95fbbe916c5880ef0d5aa80e3283f59eb492d652a2547f30825af6",
    "zstd:10": "sha256:1b0be76100229b271079fe234620555acc6ad0f32b6edb15378bc7074cae0ec6",
    "none": "sha256:01ac9998318eec40d5eb4288327b0d66d950a7e82cd0b81fe4c7ac06de2bcb4e",
}


@pytest.fixture
def sample(tree):
    root = tree(SAMPLE)
    # Like real data, the sample has incompressible parts and is larger than a block.
    (root / "data/noise").write_bytes(random.Random(7).randbytes(1_500_000))
    (root / "bin/run.sh").chmod(0o755)
    return root


@pytest.mark.parametrize("compression", GOLDEN)
def test_golden_digests(build, sample, compression):
    assert build((sample, "/app"), compression=compression).digest == GOLDEN[compression]


@pytest.mark.parametrize("compression", GOLDEN)
def test_threads_change_no_byte(build, sample, compression):
    found = {build((sample, "/app"), compression=compression, threads=n).digest for n in (0, 1, 2, 5)}
    assert found == {GOLDEN[compression]}


def test_the_diff_id_does_not_depend_on_the_encoder(build, sample):
    found = {build((sample, "/app"), compression=c).layer.diff_id for c in GOLDEN}
    assert len(found) == 1
    plain = build((sample, "/app"), compression="none")
    assert found == {plain.digest} == {"sha256:" + hashlib.sha256(plain.blob).hexdigest()}


@pytest.mark.parametrize("compression", GOLDEN)
def test_every_encoding_decodes_to_the_tar(build, sample, compression):
    built = build((sample, "/app"), compression=compression)
    assert hashlib.sha256(built.tar).hexdigest() == built.layer.diff_id.hex
    assert len(built.tar) == built.layer.uncompressed_size
    assert built.layer.descriptor.size == len(built.blob)


@pytest.mark.parametrize("compression, program", [("gzip", "gzip"), ("gzip-single", "gzip"), ("zstd", "zstd")])
def test_other_programs_decode_it_too(build, sample, compression, program):
    built = build((sample, "/app"), compression=compression)
    assert subprocess.run([program, "-dc"], input=built.blob, capture_output=True, check=True).stdout == built.tar


def test_single_member_gzip_is_complete_for_readers_of_one_member(build, sample):
    built = build((sample, "/app"), compression="gzip-single")
    with tarfile.open(fileobj=io.BytesIO(built.blob), mode="r|gz") as tar:
        assert len([*tar]) == built.layer.entries


def test_incompressible_data_is_stored(build, tree):
    noise = random.Random(1).randbytes(4 << 20)
    built = build((tree({"noise": noise}), "/"))
    assert len(noise) < len(built.blob) < len(noise) * 1.001


def test_known_answers_of_the_compressor():
    for level in range(1, 13):
        check_known_answer(level)


def test_a_compressor_with_other_output_is_refused(monkeypatch):
    monkeypatch.setitem(libdeflate.KNOWN_ANSWERS, 1, 0)
    with pytest.raises(LayerError, match="does not produce the expected bytes at"):
        find_encoder("gzip")


@pytest.mark.parametrize("name", ["bzip2", "gzip:0", "gzip:13", "gzip:x", "zstd:99", "none:1", "gzip-single:6", ""])
def test_unknown_compressions_are_named(build, tree, name):
    with pytest.raises(LayerError, match="`compression`"):
        build((tree({"a": ""}), "/"), compression=name)


LIBRARIES = [
    ("zstd", "zstandard", "zstandard", "backend_c", "install dockless[zstd]"),
    ("gzip-single", "zlib-ng", "zlib_ng", "zlib_ng", "install dockless[gzip-single]"),
    ("gzip", "deflate", "deflate", "_deflate", "install deflate"),
]


@pytest.fixture
def library(monkeypatch, tmp_path):
    """`library(NAME, TEXT)` replaces a library by a package with this text, or removes it if the text is None."""

    def replace(name, text):
        for module in [module for module in sys.modules if module.split(".")[0] == name]:
            monkeypatch.delitem(sys.modules, module)
        if text is None:
            monkeypatch.setitem(sys.modules, name, None)
            return
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text(text)
        monkeypatch.syspath_prepend(str(tmp_path))

    libdeflate._library.cache_clear()
    yield replace
    libdeflate._library.cache_clear()


@pytest.mark.parametrize("compression, package, module, extension, hint", LIBRARIES)
def test_a_missing_library_is_an_error_and_is_not_replaced(library, compression, package, module, extension, hint):
    """For example `zstandard`, which has no wheel for free-threaded CPython 3.14."""
    library(module, None)
    with pytest.raises(LayerError) as caught:
        find_encoder(compression)
    assert str(caught.value) == (
        f"`compression`: {compression} needs the package {package}, which is not installed: the layer's digest depends "
        f"on the package's output, so nothing can replace the package; {hint}"
    )


@pytest.mark.parametrize("compression, package, module, extension, hint", LIBRARIES)
def test_a_library_for_another_interpreter(library, compression, package, module, extension, hint):
    """The extension module has the name suffix of another interpreter."""
    library(module, f"from {module}.{extension} import *")
    with pytest.raises(LayerError) as caught:
        find_encoder(compression)
    result = str(caught.value)
    assert f"{compression} needs the package {package}, which cannot be imported (No module named '{module}." in result
    assert result.endswith(f"; {hint} for this version of CPython and this platform")


def test_the_last_block_may_be_shorter():
    """All blocks except the last have the same size."""
    blocks = [Block(memoryview(bytearray(1 << 20))), Block(memoryview(bytearray(b"x" * 10)))]
    pieces = []
    encoded = encode_blocks(blocks, find_encoder("none"), lambda data: pieces.append(bytes(data)), 0)
    assert encoded.size == (1 << 20) + 10
    assert b"".join(pieces) == bytes(1 << 20) + b"x" * 10


def header_facts(header: bytes) -> tarfile.TarInfo:
    with tarfile.open(fileobj=io.BytesIO(header + bytes(1024))) as tar:
        return tar.next()


@pytest.mark.parametrize(
    "name, blocks",
    [
        (b"a", 1),
        (b"n" * 100, 1),
        (b"p" * 155 + b"/" + b"n" * 100, 1),
        (b"n" * 101, 3),
        (b"p" * 156 + b"/" + b"n" * 100, 3),
        (b"d/" * 120 + b"n", 1),
        ("ä".encode() * 30, 1),
        (b"\xff\xfe", 1),
    ],
)
def test_names_that_fit_are_ustar(name, blocks):
    header = tar_header(name, b"0", 0o644, 0, 0, 0, 0)
    assert len(header) == 512 * blocks
    assert os.fsencode(header_facts(header).name) == name


def test_headers_are_what_gnu_and_python_read():
    facts = header_facts(tar_header(b"d", b"5", 0o1777, 3, 4, 0, 5))
    assert (facts.name, facts.isdir(), facts.mode, facts.uid, facts.gid, facts.mtime) == ("d", True, 0o1777, 3, 4, 5)
    facts = header_facts(tar_header(b"l", b"2", 0o777, 0, 0, 0, 0, b"t" * 150))
    assert facts.issym() and facts.linkname == "t" * 150
    facts = header_facts(tar_header(b"u", b"0", 0o644, 4_000_000, 4_000_001, 0, 0))
    assert (facts.uid, facts.gid) == (4_000_000, 4_000_001)
    assert (facts.uname, facts.gname) == ("", "")


def test_a_file_of_more_than_8_gib_has_a_pax_size():
    size = 8 * 2**30
    header = tar_header(b"big", b"0", 0o644, 0, 0, size, 0)
    assert b"size=8589934592\n" in header
    assert len(tar_header(b"big", b"0", 0o644, 0, 0, size - 1, 0)) == 512
    info = tarfile.TarInfo.frombuf(header[-512:], "utf-8", "surrogateescape")
    assert info.name == "big" and info.size == 0


def test_a_golden_header():
    header = tar_header(b"app/" + b"x" * 120, b"0", 0o755, 1, 2, 3, 4)
    assert hashlib.sha256(header).hexdigest() == "c1c354f5956a4a60c1da2a08db478ab9b48a6036a20c02abfb2c5125275ac67b"


def test_an_empty_layer_is_two_zero_blocks(build):
    assert build(compression="none").blob == bytes(1024)
    assert build().layer.entries == 0


def test_the_same_on_another_machine(tmp_path, tree):
    """Another umask, locale, time zone, hash seed, path, order of files and file times."""
    one, two = tree(SAMPLE, "one"), tree(dict(reversed(list(SAMPLE.items()))), "a longer name of another place")
    for path in two.rglob("*"):
        os.utime(path, (12345, 12345), follow_symlinks=False)
        if path.is_file() and not path.is_symlink():
            path.chmod(0o600)
    program = (
        "import sys; from dockless.layer import *\n"
        "print(build_layer(LayerSpec((Source(sys.argv[1], '/app'),)), sys.argv[2]).descriptor.digest)"
    )
    environ = {"PYTHONPATH": os.pathsep.join(sys.path), "LC_ALL": "C", "TZ": "Asia/Kathmandu", "PYTHONHASHSEED": "3"}
    (tmp_path / "o").mkdir()
    argv = ("sh", "-c", 'umask 077; exec "$0" -c "$@"', sys.executable, program, str(two), str(tmp_path / "o"))
    other = subprocess.run(argv, env=environ, capture_output=True, text=True, check=True).stdout.strip()
    mine = build_layer(LayerSpec((Source(str(one), "/app"),)), str(tmp_path / "o"))
    assert other == mine.descriptor.digest


def test_a_slow_digest_does_not_fill_the_memory(monkeypatch):
    """Compression and hashing run in separate threads. The number of blocks between them is bounded."""

    class AtOnce:
        format = "gzip"
        needs_stream = False

        def worker(self):
            return lambda block, before: b""

        def begin(self):
            return b""

        def end(self, crc, size):
            return b""

    made, hashed, most = [0], [0], [0]

    def blocks():
        for _ in range(100):
            made[0] += 1
            most[0] = max(most[0], made[0] - hashed[0])
            yield Block(memoryview(b"x"))

    def hash_slowly(self, block):
        time.sleep(0.001)
        hashed[0] += 1

    monkeypatch.setattr("dockless.layer.compression.compressor._Stream.hash", hash_slowly)
    encode_blocks(blocks(), AtOnce(), lambda piece: None, threads=2)
    assert hashed == [100] and most[0] <= 2 * 2 + 2


class _Interrupted(BaseException):
    pass


def test_a_signal_at_any_moment_ends_the_compression():
    """Ctrl-C raises an exception at any point of the main thread, for example while a block is passed on."""

    def interrupt(_, frame):
        while frame is not None:
            if frame.f_code.co_name == "__del__" or frame.f_globals.get("__name__") == "weakref":
                # CPython ignores exceptions in finalizers.
                signal.setitimer(signal.ITIMER_REAL, 0.0001)
                return
            frame = frame.f_back
        raise _Interrupted

    before = signal.signal(signal.SIGALRM, interrupt)
    blocks = [Block(memoryview(bytearray(1000)))] * 100_000
    encoder = find_encoder("gzip")
    try:
        for n in range(200):
            # At some moments CPython's `threading` raises a RuntimeError while the exception is handled.
            with pytest.raises((_Interrupted, RuntimeError)) as caught:
                # Inside, because the signal may arrive at once on a busy machine.
                signal.setitimer(signal.ITIMER_REAL, 0.002 + n * 0.00005)
                encode_blocks(blocks, encoder, lambda data: None, 2)
            assert isinstance(caught.value, _Interrupted) or isinstance(caught.value.__context__, _Interrupted)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
