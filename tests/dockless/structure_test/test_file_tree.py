"""The file tree of layers: whiteouts, links, replaced entries, limits."""

import io
import tarfile

import pytest
from made_images import Blobs
from tar_layers import Item, directory, hard_link, image_of, symlink, tar_of_items

from dockless.errors import LayoutError
from dockless.structure_test.file_tree import FileTree


def tree_of(*layers):
    blobs = Blobs()
    image = image_of(*(tar_of_items(*layer) for layer in layers), blobs=blobs)
    return FileTree(image.manifest.layers, blobs)


def paths(tree):
    return [path.decode() for path, _ in tree.walk()]


def content(tree, path):
    entry = tree.find(path)
    return b"" if not entry.size else tree.read([entry])[entry]


@pytest.mark.parametrize(
    ("lower", "upper", "expected"),
    [
        ([Item("a/b"), Item("a/c")], [Item("a/.wh.b")], ["a", "a/c"]),
        ([Item("a/b/c")], [Item(".wh.a")], []),
        # A whiteout hides lower layers only, wherever it is in its layer.
        ([Item("a/b")], [Item("a/new"), Item(".wh.a")], ["a", "a/new"]),
        ([Item("a/b")], [Item(".wh.a"), Item("a/new")], ["a", "a/new"]),
        ([Item("a/b"), Item("a/c/d")], [Item("a/c/e"), Item("a/.wh..wh..opq")], ["a", "a/c", "a/c/e"]),
        ([Item("a")], [Item(".wh.other")], ["a"]),
        ([Item("a/b")], [Item(".wh..wh.plnk"), Item(".wh..wh..opq")], []),
        # An entry of another type replaces a directory with its content.
        ([Item("a/b")], [Item("a")], ["a"]),
        ([Item("a/b")], [symlink("a", "c")], ["a"]),
        ([Item("a")], [directory("a"), Item("a/b")], ["a", "a/b"]),
        ([Item("a")], [Item("a/b")], ["a", "a/b"]),
        # A directory keeps the content of lower layers.
        ([Item("a/b")], [directory("a", 0o700)], ["a", "a/b"]),
        ([Item("./a//b")], [], ["a", "a/b"]),
        # Files below a symlink to a directory are in its target.
        (
            [Item("usr/bin/x"), symlink("bin", "usr/bin")],
            [Item("bin/y")],
            ["bin", "usr", "usr/bin", "usr/bin/x", "usr/bin/y"],
        ),
        ([symlink("bin", "usr/bin")], [directory("bin"), Item("bin/y")], ["bin", "bin/y"]),
        ([symlink("bin", "bin")], [Item("bin/y")], ["bin", "bin/y"]),
    ],
)
def test_layers(lower, upper, expected):
    assert sorted(paths(tree_of(lower, upper))) == expected


def test_modes_and_owners_are_those_of_the_last_layer():
    tree = tree_of(
        [directory("a", 0o755), Item("a/b", mode=0o600, uid=1, gid=2)],
        [directory("a", 0o1777), Item("a/c", uid=3_000_000)],
    )
    assert (tree.find("/a").permissions, tree.find("/a/b").permissions) == ("dtrwxrwxrwx", "-rw-------")
    assert [(tree.find(path).uid, tree.find(path).gid) for path in ("/a/b", "/a/c")] == [(1, 2), (3_000_000, 0)]


@pytest.mark.parametrize(
    ("kind", "mode", "expected"),
    [
        (tarfile.REGTYPE, 0o4755, "urwxr-xr-x"),
        (tarfile.REGTYPE, 0o2751, "grwxr-x--x"),
        (tarfile.SYMTYPE, 0o777, "Lrwxrwxrwx"),
        (tarfile.CHRTYPE, 0o666, "Dcrw-rw-rw-"),
        (tarfile.FIFOTYPE, 0o644, "prw-r--r--"),
    ],
)
def test_permissions_are_written_as_go_does(kind, mode, expected):
    assert tree_of([Item("a", mode=mode, kind=kind)]).find("/a", follow=False).permissions == expected


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/a/f", b"1"),
        ("/relative", b"1"),
        ("/absolute/f", b"1"),
        ("/up/f", b"1"),
        ("/chain", b"1"),
        ("/a/../relative", b"1"),
        ("/hard", b"1"),
        ("/broken", None),
        ("/loop", None),
        ("/loop/x", None),
        ("/a/f/g", None),
        ("/nothing", None),
    ],
)
def test_links_are_followed(path, expected):
    tree = tree_of(
        [
            Item("a/f", b"1"),
            symlink("relative", "a/f"),
            symlink("absolute", "/a"),
            symlink("up", "../../a"),
            symlink("chain", "relative"),
            symlink("broken", "none"),
            symlink("loop", "loop"),
        ],
        [hard_link("hard", "a/f")],
    )
    entry = tree.find(path)
    assert (None if entry is None else content(tree, path)) == expected
    if path in ("/broken", "/loop"):
        assert tree.find(path, follow=False).kind == tarfile.SYMTYPE


def test_the_content_is_that_of_the_last_layer_and_each_layer_is_read_once():
    blobs = Blobs()
    layers = [tar_of_items(Item("a", b"1"), Item("b", b"2" * 5000), Item("c", b"3")), tar_of_items(Item("a", b"4"))]
    image = image_of(*layers, blobs=blobs)
    tree = FileTree(image.manifest.layers, blobs)
    blobs.opened.clear()
    entries = [tree.find(path) for path in ("/a", "/b", "/c")]
    assert list(map(tree.read(entries).get, entries)) == [b"4", b"2" * 5000, b"3"]
    assert sorted(blobs.opened) == sorted(layer.digest for layer in image.manifest.layers)


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        (tar_of_items(Item("a/../../b")), "contains a path outside of the image: a/../../b"),
        (tar_of_items(hard_link("a", "../b")), "contains a path outside of the image: ../b"),
        (tar_of_items(hard_link("a", "b")), "has a hard link to a missing file: b"),
        (tar_of_items(directory("d"), hard_link("a", "d")), "has a hard link to a missing file: d"),
        (b"x" * 1024, "is not a tar archive"),
        (tar_of_items(Item("a", b"1" * 3000))[:1024], "is truncated"),
        (tar_of_items(Item("a")).replace(b"0000644", b"00006x4", 1), "checksum"),
    ],
)
def test_bad_layers(layer, message):
    blobs = Blobs()
    image = image_of(layer, blobs=blobs)
    with pytest.raises(LayoutError) as caught:
        FileTree(image.manifest.layers, blobs)
    assert message in str(caught.value)


def test_a_damaged_blob():
    blobs = Blobs()
    image = image_of(tar_of_items(Item("a")), blobs=blobs)
    (layer,) = image.manifest.layers
    blobs[layer.digest] = tar_of_items(Item("b"))
    with pytest.raises(LayoutError, match="is damaged"):
        FileTree(image.manifest.layers, blobs)


def test_a_path_of_many_directories():
    deep = "d/" * 2000
    tree = tree_of([Item(deep + "f")], [Item(".wh..wh..opq"), Item("g")])
    assert paths(tree) == ["g"]


def test_the_number_of_entries_is_limited(monkeypatch):
    monkeypatch.setattr("dockless.structure_test.file_tree._MAX_ENTRIES", 3)
    assert len(paths(tree_of([Item("a/b/c")]))) == 3
    with pytest.raises(LayoutError, match="more than 3 entries"):
        tree_of([Item("a/b/c"), Item("d")])


def test_a_pax_owner_that_is_not_a_number():
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as tar:
        member = tarfile.TarInfo("a")
        member.pax_headers = {"uid": "-1"}
        tar.addfile(member)
    blobs = Blobs()
    image = image_of(buffer.getvalue(), blobs=blobs)
    with pytest.raises(LayoutError, match="is damaged"):
        FileTree(image.manifest.layers, blobs)


def test_hard_links_are_counted(monkeypatch):
    monkeypatch.setattr("dockless.structure_test.file_tree._MAX_ENTRIES", 5)
    with pytest.raises(LayoutError, match="the layers have more than 5 entries"):
        tree_of([Item("a"), *(hard_link(str(n), "a") for n in range(9))])


def test_symlinks_are_followed_in_bounded_time(monkeypatch):
    """Each path leads over 30 symlinks, whose targets have 100 parts."""
    chain = [symlink(f"s{n}", "./" * 100 + f"s{n + 1}") for n in range(30)]
    layer = [directory("s30"), *chain, *(Item(f"s0/{n}") for n in range(20))]
    assert len(paths(tree_of(layer))) == 51
    monkeypatch.setattr("dockless.structure_test.file_tree._MAX_STEPS", 50_000)
    with pytest.raises(LayoutError, match="the symlinks of the layers take more than 50000 steps to follow"):
        tree_of(layer)
