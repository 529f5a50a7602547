"""The entries of a layer and their paths."""

import os
import subprocess

import pytest

from dockless.errors import LayerError
from dockless.layer import InlineFile, Layer, LayerSpec, Source, source_date_epoch


def test_parents_have_entries_except_those_that_every_base_has(build, tree):
    root = tree({"f": "1"})
    assert build((root, "/app/x")).names == ["app", "app/x", "app/x/f"]
    assert build((root, "/usr/local/bin")).names == ["usr/local/bin/f"]
    assert build((root, "/etc/app")).names == ["etc/app", "etc/app/f"]
    assert build((root, "/")).names == ["f"]
    # A directory of a source has no entry at a path that every base has: /tmp keeps its sticky bit.
    assert build((tree({"tmp/x": "", "etc/y/z": ""}, "fhs"), "/")).names == ["etc/y", "etc/y/z", "tmp/x"]
    made = build((root, "/"), directories={"/tmp": "1777", "/var/cache/app": "0700"}).members
    assert {name: oct(m.mode) for name, m in made.items()} == {
        "f": "0o644",
        "tmp": "0o1777",
        "var/cache/app": "0o700",
    }


def test_entries_are_sorted_part_by_part(build, tree):
    files = {"a/b": "", "a.txt": "", "a-": "", "a/B": "", "A": "", "ä": "", "a/b.d/c": "", "a0": ""}
    assert build((tree(files), "/")).names == ["A", "a", "a/B", "a/b", "a/b.d", "a/b.d/c", "a-", "a.txt", "a0", "ä"]


def test_modes_depend_only_on_the_executable_bit(build, tree):
    root = tree({"f": "", "x": "", "d/g": ""})
    for path, mode in (("f", 0o604), ("x", 0o700), ("d/g", 0o6440), ("d", 0o2750)):
        (root / path).chmod(mode)
    members = build((root, "/")).members
    assert {n: oct(m.mode) for n, m in members.items()} == {"d": "0o755", "d/g": "0o644", "f": "0o644", "x": "0o755"}
    assert {(m.uid, m.gid, m.mtime, m.uname) for m in members.values()} == {(0, 0, 0, "")}


def test_many_sources_one_renamed(build, tree):
    one, two = tree({"a": "1", "s/b": "2"}, "one"), tree({"c": "3"}, "two")
    built = build((one, "/x"), (two / "c", "/y/renamed"), (two / "c", "/z/"))
    assert built.names == ["x", "x/a", "x/s", "x/s/b", "y", "y/renamed", "z", "z/c"]
    assert built.read("y/renamed") == b"3"


def test_prefixes_are_stripped_from_a_source(build, tree):
    root = tree({"src/app/a": "", "src/app/b/c": ""})
    assert build(Source(str(root), "/x", strip_prefix="src/app")).names == ["x", "x/a", "x/b", "x/b/c"]
    (root / "other").write_text("")
    with pytest.raises(LayerError, match="other is not under the `strip_prefix` src/app"):
        build(Source(str(root), "/x", strip_prefix="src/app"))


def test_symlinks_are_kept(build, tree):
    links = {
        "abs": ("l", "/etc/passwd"),
        "dangling": ("l", "nowhere"),
        "loop": ("l", "loop"),
        "up": ("l", "../x"),
        "dir": ("l", "d"),
        "d/f": "",
    }
    members = build((tree(links), "/srv")).members
    assert {n: m.linkname for n, m in members.items() if m.issym()} == {
        "srv/abs": "/etc/passwd",
        "srv/dangling": "nowhere",
        "srv/dir": "d",
        "srv/loop": "loop",
        "srv/up": "../x",
    }
    assert members["srv/abs"].mode == 0o777
    with pytest.raises(LayerError, match="the symlink /up leaves the image"):
        build((tree({"up": ("l", "../x")}, "t2"), "/"))


def test_followed_symlinks_lose_nothing(build, tree):
    root = tree(
        {
            "a/same": "1",
            "b/same": ("l", "../a/same"),
            "c": ("l", "a"),
            "d": ("l", "a"),
            "e": ("l", "a/same"),
            "x/": None,
        }
    )
    os.link(root / "a/same", root / "a/hard")
    built = build((root, "/"), follow_symlinks=True)
    assert built.names == [
        *("a", "a/hard", "a/same", "b", "b/same", "c", "c/hard", "c/same", "d", "d/hard", "d/same", "e", "x"),
    ]
    assert not any(m.issym() or m.islnk() for m in built.members.values())
    assert built.read("d/same") == b"1"


@pytest.mark.parametrize("follow", [False, True])
def test_a_source_that_is_a_symlink_is_its_target(build, tree, follow):
    """As with COPY in a Dockerfile; symlinks below the source are not followed."""
    root = tree({"d/f": "1", "d/inner": ("l", "f"), "to-d": ("l", "d"), "to-f": ("l", "to-d/inner")})
    for suffix in ("", "/"):
        members = build((f"{root}/to-d{suffix}", "/app"), follow_symlinks=follow).members
        assert (members["app/f"].isreg(), members["app/inner"].issym()) == (True, not follow)
    built = build((root / "to-f", "/app/"), (root / "to-f", "/g"), follow_symlinks=follow)
    assert built.names == ["app", "app/to-f", "g"] and built.read("app/to-f") == b"1"


def test_a_source_that_is_a_symlink_without_a_target(build, tree):
    root = tree({"dangling": ("l", "nowhere"), "loop": ("l", "loop")})
    with pytest.raises(LayerError, match="dangling: it is a symlink to nowhere, which does not exist"):
        build((root / "dangling", "/a"))
    with pytest.raises(LayerError, match="cannot read .*loop: Too many levels of symbolic links"):
        build((root / "loop", "/a"))


def test_a_source_that_is_a_symlink_can_be_followed(build, tree):
    root = tree({"real": "1", "link": ("l", "real")})
    built = build((root / "link", "/app/"), (root / "link", "/renamed"), follow_symlinks=True)
    assert built.names == ["app", "app/link", "renamed"]
    assert not any(member.issym() for member in built.members.values())
    assert built.read("app/link") == built.read("renamed") == b"1"


@pytest.mark.parametrize(
    "target, message",
    [("nowhere", "has no target"), ("..", "leads out of"), ("/etc", "leads out of"), (".", "contains it")],
)
def test_links_that_cannot_be_followed_are_named(build, tree, target, message):
    root = tree({"d/l": ("l", target if target != ".." else "../..")})
    with pytest.raises(LayerError, match=message):
        build((root, "/"), follow_symlinks=True)


def test_inline_files_have_their_mode(build):
    members = build(inline_files={"/run/s": InlineFile(b"x", 0o600), "/k": InlineFile("ä", 0o400)}).members
    assert (members["run/s"].mode, members["k"].mode, members["k"].size) == (0o600, 0o400, 2)


def test_whiteouts_need_no_parents(build):
    names = build(whiteouts=("/opt/a/b", "/srv/old/")).names
    assert names == ["opt/a/.wh.b", "srv/old/.wh..wh..opq"]


def test_modes_and_owners_by_pattern(build, tree):
    root = tree({"a.sh": "", "k/a.key": "", "k/b.key": "", "b.txt": ""})
    members = build(
        (root, "/app"),
        modes={"*.sh": "0755", "*.key": "0400", "/app/k/b.key": "0600"},
        owner="5:6",
        owners={"/app/k": "7:8"},
    ).members
    assert {n: (oct(m.mode), m.uid, m.gid) for n, m in members.items()} == {
        "app": ("0o755", 0, 0),
        "app/a.sh": ("0o755", 5, 6),
        "app/b.txt": ("0o644", 5, 6),
        "app/k": ("0o755", 7, 8),
        "app/k/a.key": ("0o400", 7, 8),
        "app/k/b.key": ("0o600", 7, 8),
    }


def test_time(build, tree):
    assert build((tree({"a": ""}), "/"), mtime=1_700_000_000).members["a"].mtime == 1_700_000_000
    assert source_date_epoch("0") == 0
    for wrong in ("", "-1", "abc", "1.5", "9" * 30, "٣"):
        with pytest.raises(LayerError):
            source_date_epoch(wrong)


def test_equal_files_are_hard_linked_with_the_option(build, tree):
    root = tree({"a": "same", "b": "same", "c": "othr", "d/e": "same", "x": "same", "n": "", "m": ""})
    (root / "x").chmod(0o755)
    plain = build((root, "/"))
    linked = build((root, "/"), hardlinks=True)
    assert not any(m.islnk() for m in plain.members.values())
    assert {n: m.linkname for n, m in linked.members.items() if m.islnk()} == {"b": "a", "d/e": "a"}


IGNORE_CASES = [
    (["*.log"], {}),
    (["*.log", "!keep.log"], {}),
    (["/a.log"], {}),
    (["build/"], {}),
    (["build"], {}),
    (["sub/*", "!sub/b.log"], {}),
    (["**/x/*.log"], {}),
    (["sub"], {"sub/.gitignore": "!b.log\n"}),
    ([], {".gitignore": "*.log\n", "sub/.gitignore": "!b.log\n"}),
    ([], {".gitignore": "# comment\n\n\\#x\r\n*.txt\r\n", "sub/.gitignore": "/x\n"}),
    ([], {"sub/.gitignore": "*\n!*.txt\n"}),
    ([], {".gitignore": "\\!bang\n[ab].log\nfoo\\ bar\n"}),
    ([], {".gitignore": "\ufeff*.log\n"}),
    (["*", "!*/", "!*.log"], {}),
    (["*", "!*.log", "!*/"], {}),
    (["**", "!**/", "!**/*.log"], {}),
    (["x", "!sub/"], {}),
    (["y", "!x"], {}),
    (["d.log", "!x/"], {}),
    (["sub/**", "!sub/x"], {}),
]
IGNORE_TREE = (
    *(
        "a.log",
        "b.log",
        "c.log",
        "keep.log",
        "a.txt",
        "build/out.o",
        "x/build",
        "sub/b.log",
        "sub/c.txt",
        "#x",
        "!bang",
    ),
    *("sub/x/d.log", "sub/x/y/e.log", "foo bar", "deep/x/f.log"),
)


@pytest.mark.parametrize("patterns, ignore_files", IGNORE_CASES)
def test_ignore_rules_are_gits(build, tree, patterns, ignore_files):
    root = tree({**dict.fromkeys(IGNORE_TREE, "x"), **ignore_files})
    built = build((root, "/w"), ignores=tuple(patterns), ignore_files=(".gitignore",))
    mine = {n[2:] for n, m in built.members.items() if m.isfile()}
    subprocess.run(["git", "init", "-q", root], check=True)
    if patterns:
        (root / ".git/info").mkdir(exist_ok=True)
        (root / ".git/info/exclude").write_text("\n".join(patterns) + "\n")
    listed = subprocess.run(
        ["git", "-c", "core.excludesFile=/dev/null", "ls-files", "-z", "--others", "--exclude-standard"],
        cwd=root,
        capture_output=True,
        check=True,
    ).stdout
    git = {os.fsdecode(name) for name in listed.split(b"\0") if name}
    assert mine == git


@pytest.mark.parametrize("kind", ["directory", "symlink", "fifo"])
def test_only_regular_files_are_ignore_files(build, tree, kind):
    root = tree({"a": "x"})
    if kind == "directory":
        os.mkdir(os.path.join(root, ".ig"))
    elif kind == "symlink":
        os.symlink("a", os.path.join(root, ".ig"))
    else:
        os.mkfifo(os.path.join(root, ".ig"))
    kept = build((root, "/"), ignore_files=(".ig",), ignores=("/.ig",)).names
    assert kept == ["a"]


def test_rules_are_of_each_source_and_the_ignore_file_can_be_left_out(build, tree):
    one, two = tree({".ig": "a\n", "a": "", "b": ""}, "one"), tree({"a": "", "b": ""}, "two")
    kept = build((one, "/1"), (two, "/2"), ignore_files=(".ig",)).names
    assert kept == ["1", "1/.ig", "1/b", "2", "2/a", "2/b"]
    assert "1/.ig" not in build((one, "/1"), ignore_files=(".ig",), keep_ignore_files=False).names


ODD_NAMES = [
    b"n" * 255,
    b"/".join([b"d" * 100] * 4),
    b"not utf-8 \xff\xfe",
    b"line\nbreak",
    b"back\\slash",
    b"-rf",
    b" space ",
    "Å".encode(),
    "Å".encode(),
    b"%s{}$HOME`id`",
    b"emoji \xf0\x9f\x90\xb3",
]


def test_every_kind_of_name_is_kept_to_the_byte(build, tree):
    root = tree(dict.fromkeys(ODD_NAMES, "x"))
    names = {os.fsencode(name) for name, m in build((root, "/")).members.items() if m.isfile()}
    assert names == set(ODD_NAMES)


@pytest.mark.parametrize(
    ("options", "warned"),
    [
        ({"ignores": ("*",)}, True),
        ({"ignore_files": ("rules",)}, True),
        ({"ignores": ("*.x",)}, False),
        ({}, False),
    ],
)
def test_a_source_of_which_no_file_is_left_is_a_warning(build, tree, options, warned):
    source = tree({"a": "", "b/c": "", "rules": "*\n"})
    warnings = build((source, "/app"), **options).layer.warnings
    assert warnings == ((f"no file of {source} is in the layer; check the ignore patterns",) if warned else ())


def test_warnings(build, tree):
    warned = build((tree({"README": "", "readme": "", "bin/x": "", "lib64/y": ""}), "/")).layer.warnings
    assert warned[0] == "/README and /readme differ only in case"
    assert warned[1].startswith("/bin/x is under /bin, which is a symlink to /usr/bin in most bases")
    assert "/lib64/y" in warned[2]


def test_a_layer_is_a_value(tree, out):
    root = tree({"src/a.pyc": "", "src/a.py": "1"})
    layer = Layer.from_files(
        {"/app": root / "src", "/etc/motd": InlineFile(b"hi\n", mode=0o600)}, ignores=["*.pyc"], owner="1:1"
    )
    built = layer.build(str(out))
    assert built.entries == 3
    assert layer.build(str(out)) == built
    assert Layer.from_spec(layer.spec).build(str(out)) == built
    assert LayerSpec.from_json(layer.spec.to_json()) == layer.spec
    with pytest.raises(TypeError):
        Layer.from_files({}, ignore=["x"])
