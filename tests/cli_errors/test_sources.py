"""B24 to B37: files and their paths in the image."""

import gzip
import io
import json
import os
import socket
import tarfile
import tempfile

import pytest
from rows import case, row

from dockless.layer import tar_writer

PATH_MEANT = "write the path without '..'"


@pytest.fixture
def src(tmp_path):
    """A directory `src` with one file."""
    directory = tmp_path / "src"
    directory.mkdir()
    (directory / "f").write_text("x")
    return directory


@pytest.fixture
def built(works, tmp_path):
    """`built(*argv)` returns the members of the layer that these arguments build, in order."""
    count = iter(range(100))

    def call(*argv):
        where = f"out{next(count)}"
        (digest,) = works("build", f"oci:{where}", *argv)["layers"]
        assert works("verify", f"oci:{where}")["problems"] == []
        data = gzip.decompress((tmp_path / where / "blobs/sha256" / digest[7:]).read_bytes())
        with tarfile.open(fileobj=io.BytesIO(data), encoding="utf-8", errors="surrogateescape") as tar:
            return tar.getmembers()

    return call


@pytest.mark.parametrize(
    "add, message",
    [
        case("B24", "missing", "nothere:/a", "cannot read nothere: No such file or directory; check the path"),
        case("B24", "glob", "src/*.nothere:/a", "cannot read src/*.nothere: No such file or directory; check the path"),
    ],
)
def test_add(refused, src, add, message):
    assert refused("build", "oci:out", "--label", "a=b", "--add", "src:/fine", "--add", add) == message


@pytest.mark.parametrize(
    "add, message",
    [
        case("B32", "relative", "src:app", "the destination 'app' is not absolute; begin the path with /"),
        case("B32", "empty", "src:", "the destination '' is not absolute; begin the path with /"),
        case("B32", "no destination", "src", "'src' is not SRC:DEST; write, for example, ./src:/app"),
        case("B32", "no source", ":/app", "':/app' is not SRC:DEST; write, for example, ./src:/app"),
        case("B32", "climbs", "src:/a/../b", f"the path '/a/../b' contains '..'; {PATH_MEANT}"),
        case("B32", "climbs out", "src:/..", f"the path '/..' contains '..'; {PATH_MEANT}"),
        case("B32", "NUL", "src:/a\0b", r"the path '/a\x00b' contains a NUL byte"),
        case(
            "B33",
            "destination",
            "src/f:/a/.wh.f",
            (
                "the name '.wh.f' starts with `.wh.` and would delete files of lower "
                "layers; rename the file, or use --whiteout"
            ),
        ),
    ],
)
def test_wrong_values_of_add(refused, src, add, message):
    line = refused("build", "oci:out", "--add", "src:/fine", "--add", add, status=2)
    assert line == f"dockless build: error: argument --add: {message}; usage: dockless build --help"


@row("B24")
def test_a_missing_base_and_a_missing_ignore_file(refused, built, src):
    message = "nothere is not an OCI layout: cannot read nothere/oci-layout: No such file or directory; check the path"
    assert refused("build", "oci:out", "--base", "oci:nothere") == message
    # Ignore files are optional, because they are looked for in every directory.
    assert [m.name for m in built("--add", "src:/a", "--ignore-file", ".nothere")] == ["a", "a/f"]


@row("B25")
def test_an_unreadable_file(refused, src, monkeypatch):
    really = os.open

    def refuse(path, *args, **options):
        if os.fsdecode(path).endswith("src/f"):
            raise PermissionError(13, "Permission denied", path)
        return really(path, *args, **options)

    # Root may read all: the file system cannot be made to refuse.
    monkeypatch.setattr("os.open", refuse)
    assert refused("build", "oci:out", "--add", "src:/a") == "src: cannot read src/f: Permission denied"


@pytest.mark.parametrize(
    "change, message",
    [
        case("B26", "shrinks", lambda file: os.truncate(file, 10), "the file shrank while it was read"),
        case("B26", "grows", lambda file: file.write_bytes(bytes(3_000_001)), "the file changed while it was read"),
        case("B26", "vanishes", lambda file: file.unlink(), "No such file or directory; check the path"),
    ],
)
def test_a_file_that_changes(dockless, src, monkeypatch, change, message):
    (src / "g").write_bytes(bytes(3_000_000))
    begin = tar_writer.tar_header

    def meanwhile(name, *rest):
        if name == b"a/g" or (name == b"a/f" and message.startswith("No such")):
            change(src / "g")
        return begin(name, *rest)

    monkeypatch.setattr(tar_writer, "tar_header", meanwhile)
    found = dockless("build", "oci:out", "--add", "src:/a")
    assert (found.status, found.out, found.err) == (1, "", f"dockless: error: src: cannot read src/g: {message}\n")
    assert not os.path.exists("out")


@row("B27")
def test_symlinks(refused, built, src, tmp_path):
    (tmp_path / "outside").write_text("S3CR3T")
    (src / "absolute").symlink_to("/etc/shadow")
    (src / "dangling").symlink_to("nowhere")
    (src / "loop").symlink_to("loop")
    (src / "inside").symlink_to("../b/c")
    members = {m.name: m for m in built("--add", "src:/a")}
    links = {name: member.linkname for name, member in members.items() if member.issym()}
    assert links == {"a/absolute": "/etc/shadow", "a/dangling": "nowhere", "a/loop": "loop", "a/inside": "../b/c"}
    (src / "climbs").symlink_to("../../outside")
    leaves = "leaves the image: it points to ../../outside; point it to a path inside the image"
    assert refused("build", "oci:out", "--add", "src:/a") == f"src: the symlink /a/climbs {leaves}"
    os.unlink(src / "climbs")
    missing = "it is a symlink to nowhere, which does not exist"
    assert refused("build", "oci:out", "--add", "src/dangling:/a") == f"cannot read src/dangling: {missing}"
    assert "Too many levels of symbolic links" in refused("build", "oci:out", "--add", "src/loop:/a")


@row("B27")
def test_a_symlink_that_is_named_is_followed(built, src, tmp_path):
    """As by COPY in a Dockerfile. Symlinks in the directory are kept."""
    (src / "f").write_text("content")
    (src / "l").symlink_to("f")
    (tmp_path / "elsewhere").symlink_to(src)
    (tmp_path / "file").symlink_to(src / "l")
    for destination, name in (("/a/", "a/file"), ("/a/g", "a/g")):
        members = built("--add", f"file:{destination}")
        assert [(m.name, m.isreg(), m.size) for m in members][-1] == (name, True, 7)
    for source in ("elsewhere", "elsewhere/"):
        members = {m.name: m for m in built("--add", f"{source}:/a")}
        assert members["a"].isdir() and members["a/f"].isreg() and members["a/l"].linkname == "f"


@row("B28")
def test_special_files(refused, src):
    why = "a layer has files, directories and links"
    os.mkfifo(src / "fifo")
    assert refused("build", "oci:out", "--add", "src:/a") == f"src: src/fifo is a fifo: {why}"
    assert refused("build", "oci:out", "--add", "src/fifo:/a") == f"src/fifo: src/fifo is a fifo: {why}"
    os.unlink("src/fifo")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("src/socket")
        assert refused("build", "oci:out", "--add", "src:/a") == f"src: src/socket is a socket: {why}"
    os.unlink("src/socket")
    if os.geteuid() == 0:
        os.mknod("src/device", 0o020644, os.makedev(1, 3))
        assert refused("build", "oci:out", "--add", "src:/a") == f"src: src/device is a device: {why}"
    assert refused("build", "oci:out", "--add", "/dev/null:/a") == f"/dev/null: /dev/null is a device: {why}"


@row("B29")
def test_unusual_names_are_kept_exactly(built, src):
    names = [
        *(b"new\nline", b"\xff\xfe", b"-x", b"back\\slash", b"tab\t", b" ", b"'\"$(x)`", b"%41", "\u202e".encode()),
        *("\U0001f600".encode() * 60, "\u00e9".encode(), "e\u0301".encode(), b"n" * 255),
    ]
    for name in names:
        with open(os.path.join(b"src", name), "wb") as file:
            file.write(name)
    found = [os.fsencode(member.name) for member in built("--add", "src:/a")]
    assert found == [b"a", *sorted(b"a/" + name for name in (*names, b"f"))]


@row("B29")
def test_long_paths(dockless, built, src):
    inside = "/" + "d" * 200
    destination = inside * 18
    names = [member.name for member in built("--add", f"src:{destination}")]
    assert names[-1] == f"{destination}/f"[1:] and len(names) == 19
    # No system call accepts this path, but the error line names the cause.
    directory = os.open("src", os.O_RDONLY)
    try:
        for _ in range(21):
            os.mkdir("d" * 200, dir_fd=directory)
            below = os.open("d" * 200, os.O_RDONLY, dir_fd=directory)
            os.close(directory)
            directory = below
    finally:
        os.close(directory)
    result = dockless("build", "oci:out", "--add", "src:/a")
    assert (result.status, result.out) == (1, "") and not os.path.exists("out")
    assert result.err.startswith("dockless: error: src: cannot read src/ddd")
    assert result.err.endswith("...: File name too long\n")


@row("B30")
def test_names_that_differ_by_case(dockless, works, src, caplog):
    (src / "F").write_text("X")
    works("build", "oci:out", "--add", "src:/a")
    assert caplog.messages == ["/a/F and /a/f differ only in case"]


@row("B30")
def test_a_file_and_a_directory_at_one_path(works, src):
    # In two layers, the directory of the upper layer replaces the file of the lower layer, as in runtimes.
    works("build", "oci:out", "--add", "src/f:/x", "--add", "src:/x")
    assert works("verify", "oci:out")["problems"] == []


@row("B31")
def test_the_last_of_two_layers_takes_precedence(works, src):
    (src / "g").write_text("y")
    one = works("build", "oci:one", "--add", "src/f:/x", "--add", "src/g:/x")["digest"]
    other = works("build", "oci:other", "--add", "src/g:/x", "--add", "src/f:/x")["digest"]
    assert one != other
    assert works("build", "oci:again", "--add", "src/f:/x", "--add", "src/g:/x")["digest"] == one


@pytest.mark.parametrize(
    "destination, names",
    [
        case("B32", "slash at the end", "/a/", ["a", "a/f"]),
        case("B32", "root", "/", ["f"]),
        case("B32", "slashes", "//", ["f"]),
        case("B32", "slashes inside", "/a//b", ["a", "a/b", "a/b/f"]),
        case("B32", "dot", "/./a", ["a", "a/f"]),
    ],
)
def test_destinations_are_normalized(built, src, destination, names):
    assert [member.name for member in built("--add", f"src:{destination}")] == names


@pytest.mark.parametrize("name", [".wh.f", ".wh..wh..opq", ".wh."])
@row("B33")
def test_whiteouts_among_sources(refused, src, name):
    (src / name).write_text("")
    message = (
        f"src: the name {name!r} starts with `.wh.` and would delete files of lower "
        "layers; rename the file, or use --whiteout"
    )
    assert refused("build", "oci:out", "--add", "src:/a") == message


@row("B34")
def test_the_size_of_a_file_over_8_gib(monkeypatch):
    """The octal size field ends at 8 GiB. The test reads the header without the 8 GiB of content."""
    from dockless.tar.header import tar_header

    size = 9 << 30
    raw = tar_header(b"big", b"0", 0o644, 0, 0, size, 0)
    with tarfile.open(fileobj=io.BytesIO(raw + bytes(1024)), mode="r|") as tar:
        assert tar.next().size == size


@row("B35")
def test_nothing_at_all(works, built, tmp_path):
    (tmp_path / "empty").mkdir()
    assert [(m.name, m.isdir()) for m in built("--add", "empty:/a")] == [("a", True)]
    (tmp_path / "empty/nothing").write_bytes(b"")
    assert [(m.name, m.size) for m in built("--add", "empty:/a")] == [("a", 0), ("a/nothing", 0)]
    assert built("--add", "empty:/", "--ignore", "*") == []
    assert works("build", "oci:none", "--allow-empty")["layers"] == []
    assert works("verify", "oci:none")["problems"] == []


@row("B36")
def test_many_files(works, tmp_path):
    # In memory if possible: creating the files on a disk takes longer than packing them.
    memory = "/dev/shm" if os.path.isdir("/dev/shm") else None
    with tempfile.TemporaryDirectory(dir=memory) as directory:
        for n in range(100):
            os.mkdir(f"{directory}/{n}")
            for m in range(1000):
                os.close(os.open(f"{directory}/{n}/{m}", os.O_CREAT | os.O_WRONLY))
        (layer,) = works("build", "oci:out", "--add", f"{directory}:/a")["layers"]
    data = gzip.decompress((tmp_path / "out/blobs/sha256" / layer[7:]).read_bytes())
    assert data.count(b"ustar\0") == 100_101


@row("B36")
def test_130_layers_give_a_warning(works, src, caplog):
    adds = [option for n in range(130) for option in ("--add", f"src:/{n:03}")]
    assert len(works("build", "oci:out", *adds[:254])["layers"]) == 127
    assert caplog.messages == []
    assert len(works("build", "oci:more", *adds)["layers"]) == 130
    assert caplog.messages == [
        "the image has 130 layers: many runtimes mount at most 127; put more files into fewer layers"
    ]


@pytest.mark.parametrize("time", [case("B37", "before 1970", -1), case("B37", "after 2242", 2**33 + 5)])
def test_times_of_files_have_no_effect(built, src, time):
    os.utime("src/f", (time, time))
    assert {member.mtime for member in built("--add", "src:/a")} == {0}


@pytest.mark.parametrize("value", ["abc", "-1", "99999999999999999999"])
@row("B37")
def test_source_date_epoch_is_read_only_with_the_option(built, src, monkeypatch, value):
    monkeypatch.setenv("SOURCE_DATE_EPOCH", value)
    assert {member.mtime for member in built("--add", "src:/a")} == {0}


def test_names_in_json_are_unchanged(works, src):
    assert json.loads(json.dumps(works("build", "oci:ä", "--add", "src:/ä")))["references"] == ["oci:ä"]
