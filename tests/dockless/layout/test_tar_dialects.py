"""Members of layers: each dialect of tar is read as runtimes read it, and what runtimes refuse is reported."""

import gzip
import io
import re
import subprocess
import time

import pytest
from made_images import image_with_layer, layout_of
from raw_tars import END, GNU, header, member, pax, sparse_1_0
from real_tools import containers_storage
from verification import problems_of

from dockless._hashing import HashingReader
from dockless.errors import LayerError, LayoutError
from dockless.layer import Layer
from dockless.layer.member_rules import MemberRules
from dockless.oci import media_types
from dockless.oci.descriptor import Descriptor
from dockless.oci.digest import Digest
from dockless.tar.reader import read_members
from dockless.transfer.verify_layer import layer_problems

EVIL = member(b"../../evil", b"0", b"x")
PREFIX = b"p" * 131


def names(tar):
    return [member.name for member in read_members(HashingReader(iter([tar]), "test"), "test") if member.kind != b"g"]


def problems(tar, **options):
    blob = gzip.compress(tar, 1, mtime=0)
    layer = Descriptor(media_types.OCI_LAYER + "+gzip", Digest.of(blob), len(blob))
    return layer_problems(io.BytesIO(blob), layer, Digest.of(tar), **options).lines()


def directory(name):
    return member(name, b"5")


FILE_A = member(b"a", b"0", b"1")
# Archives, and the path that occurs twice or is in the way.
REPEATED = {
    "a file": (FILE_A + member(b"a", b"0", b"22"), "'a' twice"),
    "a directory": (directory(b"d/") + directory(b"d/"), "'d' twice"),
    "a directory without a slash": (directory(b"d/") + directory(b"d"), "'d' twice"),
    "a symlink": (member(b"s", b"2", link=b"a") + member(b"s", b"2", link=b"b"), "'s' twice"),
    "a file and a directory": (FILE_A + directory(b"a/"), "'a' twice"),
    "a and ./a": (FILE_A + member(b"./a"), "'a' twice"),
    "a and /a": (FILE_A + member(b"/a"), "'a' twice"),
    "b/a and b//a": (member(b"b/a") + member(b"b//a"), "'b/a' twice"),
    "b/a and b/./a": (member(b"b/a") + member(b"b/./a"), "'b/a' twice"),
    "a path of a pax header": (FILE_A + pax((b"path", b"a")) + member(b"b"), "'a' twice"),
    "a GNU long name": (FILE_A + member(b"@", b"L", b"a\0", magic=GNU) + member(b"b"), "'a' twice"),
    "the name of a sparse file": (FILE_A + sparse_1_0(b"a", b"1\n0\n1\n", b"x", 1), "'a' twice"),
    "a whiteout": (member(b".wh.a") + member(b".wh.a"), "'.wh.a' twice"),
    "the root": (directory(b"./") + FILE_A + directory(b"./"), "'/' twice"),
    "a global header": (pax((b"comment", b"1"), kind=b"g") + FILE_A + pax((b"comment", b"2"), kind=b"g"), "global_hea"),
    "a path below a file": (FILE_A + member(b"a/b"), "'a', which is not a directory"),
    "a path far below a file": (FILE_A + member(b"a/b/c/d"), "'a', which is not a directory"),
    "a file above a path": (member(b"a/b/c") + FILE_A, "'a', which is not a directory"),
    "a symlink above a path": (member(b"a/b") + member(b"a", b"2", link=b"x"), "'a', which is not a directory"),
    "a path below a hard link": (FILE_A + member(b"h", b"1", link=b"a") + member(b"h/x"), "'h', which is not a dir"),
    "a path below a device": (member(b"n", b"3") + member(b"n/x"), "'n', which is not a directory"),
    "a path below a symlink to a file": (
        FILE_A + member(b"s", b"2", link=b"a") + member(b"s/x"),
        "the symlink 's', and paths below it",
    ),
    "a path below a symlink to nothing": (
        member(b"s", b"2", link=b"d") + member(b"s/x"),
        "the symlink 's', and paths below it",
    ),
    "a path below an absolute symlink": (
        member(b"s", b"2", link=b"/etc") + member(b"s/x"),
        "the symlink 's', and paths below it",
    ),
    "a path below a symlink to itself": (
        member(b"s", b"2", link=b"s") + member(b"s/x"),
        "the symlink 's', and paths below it",
    ),
    "a path below symlinks in a circle": (
        member(b"s", b"2", link=b"t") + member(b"t", b"2", link=b"./s") + member(b"s/x"),
        "the symlink 's', and paths below it",
    ),
    "a path below ./a": (member(b"./a") + member(b"a/b"), "'a', which is not a directory"),
}


@pytest.mark.parametrize("tar, reason", REPEATED.values(), ids=list(REPEATED))
def test_a_path_twice(tmp_path, tar, reason):
    (problem,) = problems(tar + END)
    assert reason in problem
    (tmp_path / "x").write_bytes(tar + END)
    with pytest.raises(LayerError, match="contains the (path|symlink)") as caught:
        Layer.from_tarball(tmp_path / "x").build(str(tmp_path))
    assert reason in str(caught.value)


@pytest.mark.parametrize(
    "tar",
    [
        directory(b"d/") + member(b"d/a") + directory(b"e/") + member(b"e/a"),
        member(b"d/a") + directory(b"d/") + member(b"d/b"),
        member(b"s", b"2", link=b"d") + directory(b"d") + member(b"s/a") + member(b"d/b"),
        directory(b"usr/lib/x")
        + member(b"lib", b"2", link=b"/usr/lib")
        + member(b"y", b"2", link=b"lib/x")
        + member(b"y/a"),
        member(b"d/e/f") + member(b"d/s", b"2", link=b"../../d/./e") + member(b"d/s/g") + member(b"d/s/h/i"),
        member(b"s", b"2", link=b"..") + member(b"s/g"),
        member(b".wh.a") + FILE_A,
        member(b"d/.wh..wh..opq") + member(b"d/a") + member(b".wh..wh..opq"),
        member(b"a") + member(b"A") + member(b"a "),
        pax((b"comment", b"1"), kind=b"g") + FILE_A,
        FILE_A + member(b"h", b"1", link=b"a") + member(b"i", b"1", link=b"./a") + member(b"j", b"1", link=b"/h"),
        member(b"d/", b"\0", magic=b"") + member(b"d/a", b"\0", magic=b""),
    ],
    ids=[
        "same name",
        "late",
        "through a symlink",
        "through symlinks",
        "relative",
        "to the root",
        "whiteout",
        "opaque",
        "case",
        "global",
        "hard links",
        "v7",
    ],
)
def test_paths_that_occur_once(tmp_path, tar):
    assert problems(tar + END) == ()
    (tmp_path / "x").write_bytes(tar + END)
    assert Layer.from_tarball(tmp_path / "x").build(str(tmp_path)).descriptor.size == len(tar + END)


def test_a_hard_link_before_its_target():
    (problem,) = problems(member(b"h", b"1", link=b"a") + FILE_A + END)
    assert "the hard link 'h' before its target 'a'" in problem
    assert problems(member(b"h", b"1", link=b"in a lower layer") + FILE_A + END) == ()


@pytest.mark.parametrize(
    "tar, reason",
    [
        (directory(b"d/") + member(b"h", b"1", link=b"d"), "the hard link 'h' to 'd', which is not a file"),
        (member(b"h", b"1", link=b"h"), "the hard link 'h' to 'h', which is not a file"),
        (member(b"s", b"2"), "the symlink 's' without a target"),
        (member(b""), "the path '', which is not a directory"),
        (member(b"."), "the path '.', which is not a directory"),
        (member(b"@", b"L", b"d/" + b"n" * 256 + b"\0", magic=GNU) + FILE_A, "a name of more than 255 bytes"),
    ],
)
def test_members_that_cannot_be_made(tar, reason):
    """All runtimes refuse these, except that containerd ignores a file without a path."""
    (problem,) = problems(tar + END)
    assert reason in problem
    assert problems(member(b"@", b"L", b"d/" + b"n" * 255 + b"\0", magic=GNU) + FILE_A + END) == ()


def test_symlinks_are_followed_in_bounded_time_and_memory(monkeypatch):
    chain = b"".join(member(b"s%d" % n, b"2", link=b"s%d/../s%d" % (n + 1, n + 1)) for n in range(39))
    begun = time.process_time()
    problems(directory(b"s39") + chain + b"".join(member(b"s%d/x" % n) for n in range(39)) + END)
    assert time.process_time() - begun < 10
    monkeypatch.setattr("dockless.layer.member_rules._MAX_TARGETS", 10)
    rules = MemberRules("x")
    for found in read_members(HashingReader(iter([chain + END]), "x"), "x"):
        assert not list(rules.problems(found))
    assert len(rules._targets) == 1


def test_the_memory_for_symlinks_does_not_depend_on_their_directories(monkeypatch):
    monkeypatch.setattr("dockless.layer.member_rules._MAX_TARGETS", 1000)
    rules = MemberRules("x")
    tar = b"".join(member(b"d" * 80 + b"/%d" % n, b"2", link=b"a") for n in range(100)) + END
    for found in read_members(HashingReader(iter([tar]), "x"), "x"):
        assert not list(rules.problems(found))
    assert sum(map(len, rules._targets.values())) <= 1000


def test_paths_are_compared_in_bounded_memory(monkeypatch):
    monkeypatch.setattr("dockless.layer.member_rules._MAX_PATHS", 10)
    rules = MemberRules("x")
    tar = b"".join(member(b"d/%d" % n) for n in range(50)) * 2 + END
    for found in read_members(HashingReader(iter([tar]), "x"), "x"):
        assert not list(rules.problems(found))
    assert len(rules._paths) <= 12


def old_sparse(extents, blocks=0, *, magic=GNU, extended_at=482):
    """The header of a sparse file in GNU tar's old format, with blocks of its map after it."""
    fields = [(386, b"%011o\0%011o\0" % (0, 512 * extents)), (483, b"%011o\0" % (512 * extents))]
    if blocks:
        fields.append((extended_at, b"\1"))
    more = b"".join((b"0" * 504 + (b"\1" if n < blocks else b"\0")).ljust(512, b"\0") for n in range(1, blocks + 1))
    return header(b"s", b"S", 512 * extents, magic=magic, fields=fields) + more + b"x" * (512 * extents)


STAR_FIELDS = [(345, PREFIX), (476, b"00000000000 00000000000 "), (508, b"tar\0")]
DIALECTS = {
    "v7": (member(b"d/a", b"\0", b"x", magic=b""), [b"d/a"]),
    "v7 with bytes in the place of the prefix": (member(b"a", b"\0", magic=b"", fields=[(345, b"p")]), [b"a"]),
    "a directory of v7": (member(b"d/", b"\0", magic=b"", size=512) + FILE_A, [b"d/", b"a"]),
    "a directory with a size": (member(b"d/", b"5", size=512) + FILE_A, [b"d/", b"a"]),
    "ustar without a version": (member(b"a", magic=b"ustar\0", fields=[(345, b"p")]), [b"p/a"]),
    "old GNU with times": (member(b"a", magic=GNU, fields=[(345, b"00000000001\0" * 2)]), [b"a"]),
    "GNU with the prefix of old Docker": (member(b"a", magic=GNU, fields=[(345, b"pre")]), [b"pre/a"]),
    "star": (member(b"a", fields=STAR_FIELDS), [PREFIX + b"/a"]),
    "a checksum of signed bytes": (member(b"\xe9", signed=True), [b"\xe9"]),
    "numbers in base 256": (member(b"a", fields=[(108, b"\x80" + b"\1" * 7), (136, b"\xff" * 12)]), [b"a"]),
    "numbers with spaces": (member(b"a", fields=[(100, b"   644 \0"), (108, b"       \0")]), [b"a"]),
    "no numbers": (member(b"a", fields=[(100, b"\0" * 24), (136, b"\0" * 12)]), [b"a"]),
    "records of vendors": (pax((b"SCHILY.dev", b"1"), (b"LIBARCHIVE.x", b"\0")) + FILE_A, [b"a"]),
    "records without a value": (pax((b"path", b""), (b"size", b"")) + FILE_A, [b"a"]),
    "sparse 1.0": (sparse_1_0(b"s", b"1\n0\n512\n", b"x" * 512, 900) + FILE_A, [b"s", b"a"]),
    "sparse 1.0 of two blocks": (sparse_1_0(b"s", b"200\n" + b"1\n0\n" * 200, b"", 900) + FILE_A, [b"s", b"a"]),
    "sparse 0.1": (
        pax((b"GNU.sparse.name", b"s"), (b"GNU.sparse.numblocks", b"1"), (b"GNU.sparse.map", b"0,3"))
        + member(b"GNUSparseFile.0/s", b"0", b"xyz")
        + FILE_A,
        [b"s", b"a"],
    ),
    "sparse 0.0": (
        pax((b"GNU.sparse.numblocks", b"1"), (b"GNU.sparse.offset", b"0"), (b"GNU.sparse.numbytes", b"3"))
        + member(b"s", b"0", b"xyz")
        + FILE_A,
        [b"s", b"a"],
    ),
    "one zero block at the end": (FILE_A + b"\0" * 512, [b"a"]),
    "no zero blocks": (FILE_A, [b"a"]),
}


@pytest.mark.parametrize("tar, expected", DIALECTS.values(), ids=list(DIALECTS))
def test_dialects_are_read_as_runtimes_read_them(tar, expected):
    tail = b"" if tar in (DIALECTS["one zero block at the end"][0], FILE_A) else END
    assert names(tar + tail) == expected
    assert problems(tar + tail) == ()


@pytest.mark.parametrize("dialect", DIALECTS)
def test_nothing_after_a_dialect_is_skipped(dialect):
    tar = DIALECTS[dialect][0] + EVIL + END
    if dialect == "one zero block at the end":
        assert "other content follows the zero block at byte 1024" in problems(tar)[0]
    else:
        assert ["'../../evil', which is outside" in problem for problem in problems(tar)] == [True]


# Archives, and the problem: runtimes refuse them, or readers differ.
REFUSED = {
    **{
        f"the type {kind}": (member(b"m", kind.encode(), b"content") + FILE_A, f"'m' of the tar type {kind!r}")
        for kind in "7ADEIMNVXZsl89"
    },
    "old GNU sparse": (old_sparse(3), "'s' of the tar type 'S' .a sparse file in the old format"),
    "old GNU sparse with a long map": (old_sparse(3, 2), "'s' of the tar type 'S' .a sparse file in the old format"),
    "star sparse": (
        old_sparse(3, 2, magic=b"ustar\x0000", extended_at=355),
        "'s' of the tar type 'S' .a sparse file in the old format",
    ),
    "a map with a word": (sparse_1_0(b"s", b"1\nx\n512\n", b"x" * 512, 900), "map of the sparse file at byte 1024"),
    "a map that is too long": (sparse_1_0(b"s", b"999999\n0\n512\n", b"x" * 512, 900), "map of the sparse file"),
    "a map of other content": (sparse_1_0(b"s", b"1\n0\n513\n", b"x" * 512, 900), "map of the sparse file"),
    "a map after the end": (sparse_1_0(b"s", b"1\n400\n512\n", b"x" * 512, 900), "map of the sparse file"),
    "extents out of order": (sparse_1_0(b"s", b"2\n9\n1\n0\n1\n", b"xy", 900), "map of the sparse file"),
    "the name of no sparse file": (pax((b"GNU.sparse.name", b"b")) + FILE_A, "readers differ about the name"),
    "a pax header before a global one": (
        pax((b"path", b"b")) + pax((b"comment", b"x"), kind=b"g") + FILE_A,
        "readers differ about the extended tar header at byte 1024",
    ),
    "a GNU long name before a global header": (
        member(b"@", b"L", b"b\0", magic=GNU) + pax((b"comment", b"x"), kind=b"g") + FILE_A,
        "readers differ about the extended tar header at byte 1024",
    ),
    "a global header with a path": (pax((b"path", b"b"), kind=b"g") + FILE_A, "readers differ"),
    "two pax headers": (pax((b"path", b"b")) + pax((b"comment", b"b")) + FILE_A, "readers differ"),
    # Go uses the second size, and reads on after 512 bytes.
    "two pax headers with sizes": (
        pax((b"size", b"5000")) + pax((b"size", b"9")) + member(b"a", b"0", b"x" * 9),
        "diff",
    ),
    "a size before a global header": (
        pax((b"size", b"5000")) + pax((b"comment", b"x"), kind=b"g") + member(b"a", b"0", b"x" * 9),
        "readers differ",
    ),
}


@pytest.mark.parametrize("tar, reason", REFUSED.values(), ids=list(REFUSED))
def test_dialects_that_runtimes_refuse(tmp_path, tar, reason):
    found = problems(tar + EVIL + END)
    assert re.search(reason, found[0]), found
    assert "../../evil" in found[-1]
    (tmp_path / "x").write_bytes(tar + END)
    with pytest.raises(LayerError, match=reason):
        Layer.from_tarball(tmp_path / "x").build(str(tmp_path))


@pytest.mark.parametrize(
    "field, data, reason",
    [
        (100, b"00x0644\0", "mode"),
        (108, b"1 1    \0", "UID"),
        (116, b"-1     \0", "GID"),
        (136, b"yesterday  \0", "time"),
        (136, b"\x80" + b"\1" * 11, "time"),
        (136, b"\xfe" + b"\1" * 11, "time"),
        (329, b"x", "device number"),
        (337, b"x", "minor device number"),
    ],
)
def test_invalid_numbers(field, data, reason):
    """Go's archive/tar: "invalid tar header"."""
    with pytest.raises(LayoutError, match=f"is damaged: the tar header at byte 1024 has an invalid {reason}"):
        names(FILE_A + member(b"a", fields=[(field, data)]) + END)
    assert names(member(b"a", magic=b"", fields=[(329, b"xyz")]) + END) == [b"a"]


@pytest.mark.parametrize("key, value", [(b"offset", b"1,2"), (b"numbytes", b"1")])
def test_extents_of_a_pax_header_that_are_not_pairs(key, value):
    with pytest.raises(LayoutError, match="the pax header at byte 0 has a broken sparse map"):
        names(pax((b"GNU.sparse." + key, value)) + FILE_A + END)


@pytest.mark.parametrize(
    "options",
    [
        ["--format=gnu"],
        ["--format=oldgnu"],
        ["--format=posix"],
        ["--format=posix", "--sparse-version=0.0"],
        ["--format=posix", "--sparse-version=0.1"],
        ["--format=posix", "--label=x"],
    ],
)
def test_sparse_files_of_gnu_tar(tmp_path, options):
    """40 extents, as `tar -S` writes them. Of the header of the old format, four extents fit."""
    with open(tmp_path / "sparse", "wb") as file:
        for n in range(40):
            file.seek(n * 200_000)
            file.write(b"data")
    (tmp_path / "evil").write_bytes(b"after")
    command = ["tar", "-cS", *options, "--transform", "s,^evil,../../evil,", "-Pf", "made.tar", "sparse", "evil"]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    found = problems((tmp_path / "made.tar").read_bytes())
    assert "'../../evil'" in found[-1]
    assert [problem for problem in found if "sparse" in problem and "type 'S'" not in problem] == []
    assert len(found) == (2 if "gnu" in options[0] else 1)


def test_a_large_sparse_map_takes_little_time():
    numbers = b"".join(b"%d\n1\n" % (2 * n) for n in range(60_000))
    tar = sparse_1_0(b"s", b"60000\n" + numbers, b"x" * 60_000, 120_000) + FILE_A + END
    assert names(tar) == [b"s", b"a"]
    with pytest.raises(LayoutError, match="truncated"):
        names(sparse_1_0(b"s", b"60000\n" + numbers, b"x" * 60_000, 120_000)[:500_000])


def windows(tar):
    return problems(tar + END, windows=True)


def test_layers_of_windows():
    base = directory(b"Files/") + member(b"Files/Windows/System32/config/SYSTEM") + directory(b"Hives/")
    assert windows(base + member(b"UtilityVM/Files/x") + member(b"Hives/System_Delta")) == ()
    assert problems(base + END) == ()
    (problem,) = windows(base + member(b"app/main.exe"))
    assert "contains the path 'app/main.exe', which is not in Files or Hives" in problem
    (problem,) = windows(base + member(b"Filesystem"))
    assert "'Filesystem', which is not in Files" in problem
    assert "has neither the directory Files nor the directory Hives" in windows(b"")[0]


@pytest.mark.parametrize(
    "case", ["valid", "a file", "a path below a file", "old GNU sparse", "the type V", "zero block", "zeros"]
)
def test_podman_refuses_the_layer(tmp_path, case):
    """The rules of this module are those of a real runtime. The control: podman takes the layer `valid`."""
    tar = {"valid": FILE_A, "zero block": FILE_A + b"\0" * 512 + member(b"b"), "zeros": FILE_A}.get(case)
    tar = (tar or REPEATED.get(case, REFUSED.get(case))[0]) + END
    blob = gzip.compress(tar, mtime=0) + (b"\0" * 512 if case == "zeros" else b"")
    image = image_with_layer(tar, blob)
    layout_of(tmp_path / "l", image.manifest.descriptor, blobs=image.blobs, names=["x"])
    assert (problems_of(f"oci:{tmp_path}/l") == "") == (case == "valid")
    with containers_storage("podman") as call:
        assert call("podman", "pull", f"oci:{tmp_path}/l:x", ok=False).code == (0 if case == "valid" else 125)
