"""The checks of structure tests."""

import pytest
from made_images import Blobs
from tar_layers import Item, directory, image_of, symlink, tar_of_items

from dockless.errors import InvalidValueError
from dockless.structure_test.checks import (
    CommandExists,
    ContentCheck,
    FileCheck,
    ForbiddenPaths,
    MaxSize,
    MemberCheck,
    OsRelease,
    PairCheck,
    TestedImage,
    ValueCheck,
    compile_pattern,
    run_checks,
)

CONFIG = {
    "Env": ["PATH=/opt/bin:/bin", "HOME=/root"],
    "Labels": {"version": "1.2.3"},
    "Entrypoint": ["/bin/app"],
    "User": "65532",
    "ExposedPorts": {"8080/tcp": {}, "53/udp": {}},
    "Volumes": {"/data": {}},
}
LAYER = tar_of_items(
    Item("bin/app", b"#!", mode=0o755, uid=10, gid=20),
    Item("bin/data", mode=0o644),
    symlink("bin/link", "app"),
    directory("bin/directory"),
    directory("tmp", 0o1777),
    Item("etc/settings", b"host = a\nport = 80\n"),
    Item("etc/empty"),
    symlink("etc/os-release", "../usr/lib/os-release"),
    Item("usr/lib/os-release", b'# A comment\nID=debian\nPRETTY_NAME="Debian \\"12\\""\n'),
    Item("srv/app/.ssh/id_rsa", b"key"),
    Item("srv/app/.ssh/known", b"key"),
)


@pytest.fixture
def image():
    blobs = Blobs()
    documents = image_of(LAYER, config=CONFIG, blobs=blobs)
    return TestedImage(documents, blobs), blobs


def pattern(text):
    return compile_pattern(text)


def pair(*args, **more):
    return PairCheck("t.yaml:1", "metadata", *args, **more)


def value(*args):
    return ValueCheck("t.yaml:1", "metadata", *args)


def file(*args, **more):
    return FileCheck("t.yaml:1", "test", *args, **more)


def content(*args, **more):
    return ContentCheck("t.yaml:1", "test", *args, **more)


@pytest.mark.parametrize(
    ("check", "problems"),
    [
        (pair("variable", "HOME", "/root"), []),
        (pair("variable", "HOME", "/"), ["the variable HOME is '/root', not '/'"]),
        (pair("variable", "NONE", "/"), ["the variable NONE is not set"]),
        (pair("variable", "HOME", pattern=pattern("^/r")), []),
        (pair("variable", "HOME", pattern=pattern("^r")), ["the variable HOME is '/root': no match of '^r'"]),
        (pair("variable", "NONE"), []),
        (pair("variable", "HOME"), ["the variable HOME is set, to '/root'"]),
        (pair("label", "version", "1.2.3"), []),
        (pair("label", "HOME", "/root"), ["the label HOME is not set"]),
        (value("Entrypoint", ("/bin/app",)), []),
        (value("Entrypoint", ("app",)), ["Entrypoint is ['/bin/app'], not ['app']"]),
        (value("Cmd", ()), []),
        (value("User", "65532"), []),
        (value("User", ""), ["User is '65532', not ''"]),
        (value("WorkingDir", ""), []),
        (MemberCheck("t", "m", "ExposedPorts", "8080"), []),
        (MemberCheck("t", "m", "ExposedPorts", "8080/tcp"), []),
        (
            MemberCheck("t", "m", "ExposedPorts", "53/tcp"),
            ["ExposedPorts does not contain 53/tcp; the value is ['53/udp', '8080/tcp']"],
        ),
        (
            MemberCheck("t", "m", "ExposedPorts", "53", False),
            ["ExposedPorts contains 53; the value is ['53/udp', '8080/tcp']"],
        ),
        (MemberCheck("t", "m", "Volumes", "/data"), []),
        (MemberCheck("t", "m", "Volumes", "/other", False), []),
        (MaxSize("t", "m", 100_000), []),
        (MaxSize("t", "m", 10_000), ["the image has 11.0 kB (11024 bytes); the limit is 10.0 kB"]),
    ],
)
def test_checks_of_the_documents_read_no_layer(image, check, problems):
    tested, blobs = image
    assert [failure.problem for failure in run_checks([check], tested)] == problems
    assert not check.needs_files
    assert blobs.opened == []


@pytest.mark.parametrize(
    ("check", "problems"),
    [
        (file("/bin/app"), []),
        (file("/bin/app", permissions="-rwxr-xr-x", uid=10, gid=20, executable_by="other"), []),
        (file("/bin/app", permissions="0755"), []),
        (file("/tmp", permissions="dtrwxrwxrwx"), []),
        (file("/tmp", permissions="1777"), []),
        (
            file("/bin/app", permissions="-rw-r--r--"),
            ["/bin/app has the permissions -rwxr-xr-x (0755), not -rw-r--r--"],
        ),
        (file("/bin/app", uid=0, gid=0), ["/bin/app has the user ID 10, not 0", "/bin/app has the group ID 20, not 0"]),
        (
            file("/bin/data", executable_by="any"),
            ["/bin/data is not executable by any; its permissions are -rw-r--r--"],
        ),
        (file("/bin/link", permissions="Lrwxrwxrwx"), []),
        (file("/bin/none"), ["/bin/none does not exist"]),
        (file("/bin/none", exists=False), []),
        (file("/bin/app", exists=False), ["/bin/app exists; it is a file"]),
        (file("/bin/link", exists=False), ["/bin/link exists; it is a symlink"]),
        (content("/etc/settings", (pattern("port = [0-9]+"), pattern("(?m)^host"))), []),
        (content("/etc/settings", (pattern("port = 81"),)), ["/etc/settings contains no match of 'port = 81'"]),
        (
            content("/etc/settings", excluded=(pattern("port = .0"),)),
            ["line 2 of /etc/settings contains 'port = 80', a match of 'port = .0'"],
        ),
        (content("/etc/empty", (pattern(r"^\z"),)), []),
        (content("/bin/link", (pattern(r"\A#!\z"),)), []),
        (content("/bin", (pattern("."),)), ["/bin is a directory, not a file"]),
        (content("/etc/none", (pattern("."),)), ["/etc/none does not exist"]),
        (CommandExists("t", "commands", "app"), []),
        (CommandExists("t", "commands", "link"), []),
        (CommandExists("t", "commands", "/bin/app"), []),
        (CommandExists("t", "commands", "data"), ["/bin/data is not executable"]),
        (
            CommandExists("t", "commands", "directory"),
            ["the command directory does not exist in PATH, which is /opt/bin:/bin"],
        ),
        (CommandExists("t", "commands", "/bin/sh"), ["the command /bin/sh does not exist"]),
        (ForbiddenPaths("t", "forbidden", ("*.pem", "/opt")), []),
        (
            ForbiddenPaths("t", "forbidden", ("/srv/app/.ssh/*", "!known")),
            ["/srv/app/.ssh/id_rsa exists; it is a file"],
        ),
        (ForbiddenPaths("t", "forbidden", ("tmp/",)), ["/tmp exists; it is a directory"]),
        (OsRelease("t", "os_release", "ID", pattern("^debian$")), []),
        (OsRelease("t", "os_release", "PRETTY_NAME", pattern('"12"')), []),
        (
            OsRelease("t", "os_release", "ID", pattern("alpine")),
            ["ID in /etc/os-release is 'debian': no match of 'alpine'"],
        ),
        (OsRelease("t", "os_release", "VERSION_ID", pattern(".")), ["/etc/os-release has no VERSION_ID"]),
    ],
)
def test_checks_of_files(image, check, problems):
    assert [failure.problem for failure in run_checks([check], image[0])] == problems
    assert check.needs_files


def test_many_forbidden_paths_are_counted():
    blobs = Blobs()
    documents = image_of(tar_of_items(*(Item(f"f{n}") for n in range(15))), blobs=blobs)
    failures = run_checks([ForbiddenPaths("t", "forbidden", ("f*",))], TestedImage(documents, blobs))
    assert len(failures) == 11
    assert failures[-1].problem == "5 more paths exist"
    failures = run_checks([ForbiddenPaths("t", "forbidden", ("f*", "!f1?", "f10"))], TestedImage(documents, blobs))
    assert failures[-1].problem == "1 more path exists"


def test_all_files_are_read_in_one_pass(image):
    tested, blobs = image
    checks = [content("/etc/settings"), content("/bin/app"), OsRelease("t", "n", "ID", pattern("."))]
    assert run_checks(checks, tested) == []
    # One pass for the file tree, one for the content.
    assert len(blobs.opened) == 2


def test_a_large_file_is_not_read(image, monkeypatch):
    monkeypatch.setattr("dockless.structure_test.checks._MAX_CONTENT", 10)
    (failure,) = run_checks([content("/etc/settings")], image[0])
    assert str(failure) == (
        "t.yaml:1: test: /etc/settings has 19 bytes; the content of files of at most 10 bytes can be checked"
    )


def test_text_of_the_image_is_one_printable_line():
    blobs = Blobs()
    documents = image_of(config={"Labels": {"a": "x\n\x1b[31m::error::"}}, blobs=blobs)
    (failure,) = run_checks([pair("label", "a", "b")], TestedImage(documents, blobs))
    assert str(failure).isprintable()


@pytest.mark.parametrize("text", ["(", r"\p{Greek}", "[[:alpha:]]", "a{1", "(?<x>a)"])
def test_other_regular_expressions(text):
    if text == "a{1":
        assert compile_pattern(text).search("a{1")
        return
    with pytest.raises(InvalidValueError):
        compile_pattern(text)
