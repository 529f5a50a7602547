"""Sources with a listing: only the content of files is read from the file system."""

import os
import stat

import pytest

from dockless.errors import LayerError
from dockless.layer import LayerSpec, Source, build_layer
from dockless.layer.spec import Listing

BIG = 512 * 1024


def listing_of(root) -> Listing:
    """Return the listing of the tree at `root`."""
    files, executables, symlinks, directories = [], [], {}, []
    for directory, names, leaves in os.walk(root):
        here = os.path.relpath(directory, root)
        prefix = "" if here == "." else here + "/"
        if prefix and not names and not leaves:
            directories.append(prefix[:-1])
        for name in [*names, *leaves]:
            path = os.path.join(directory, name)
            if os.path.islink(path):
                symlinks[prefix + name] = os.readlink(path)
            elif os.path.isfile(path):
                files.append(prefix + name)
                if os.stat(path).st_mode & stat.S_IXUSR:
                    executables.append(prefix + name)
    return Listing(tuple(files), tuple(executables), symlinks, tuple(directories))


def digest(tmp_path, source: Source, **fields) -> str:
    out = tmp_path / "out"
    out.mkdir(exist_ok=True)
    # A sandbox gets the spec as JSON.
    spec = LayerSpec.from_json(LayerSpec((source,), compression="none", **fields).to_json())
    return build_layer(spec, str(out)).descriptor.digest


@pytest.fixture
def root(tmp_path):
    root = tmp_path / "in"
    for path, size, mode in [
        ("a/plain", 10, 0o644),
        ("a/run", 10, 0o755),
        ("a/below", BIG - 1, 0o644),
        ("a/below-run", BIG - 1, 0o755),
        ("b/exact", BIG, 0o644),
        ("b/exact-run", BIG, 0o755),
        ("top", 0, 0o600),
        ("é", 1, 0o644),
        ("e\u0301", 2, 0o644),
        ("CASE", 1, 0o644),
        ("case", 2, 0o644),
    ]:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(b"x" * size)
        (root / path).chmod(mode)
    (root / "empty/inner").mkdir(parents=True)
    (root / "link").symlink_to("a/run")
    (root / "b/up").symlink_to("../a")
    return root


@pytest.mark.parametrize("fields", [{}, {"follow_symlinks": True}, {"hardlinks": True}, {"ignores": ("*-run",)}])
def test_a_listing_gives_the_bytes_of_the_disk(tmp_path, root, fields):
    expected = digest(tmp_path, Source(str(root), "/x"), **fields)
    assert digest(tmp_path, Source(str(root), "/x", listing=listing_of(root)), **fields) == expected


@pytest.mark.parametrize("change", ["all-read-only", "all-executable", "hard links", "no empty directory", "times"])
def test_properties_of_the_sandbox_change_nothing(tmp_path, root, change):
    """In a store with hard links, all files have the mode 0555. A copy has other modes, times and link counts."""
    source = Source(str(root), "/x", listing=listing_of(root))
    expected = digest(tmp_path, source)
    paths = [path for path in root.rglob("*") if path.is_file() and not path.is_symlink()]
    for path in paths:
        if change == "all-read-only":
            path.chmod(0o444)
        elif change == "all-executable":
            path.chmod(0o555)
        elif change == "hard links":
            os.link(path, tmp_path / f"link-{paths.index(path)}")
        elif change == "times":
            os.utime(path, (1, 1))
    if change == "no empty directory":
        os.rmdir(root / "empty/inner")
        os.rmdir(root / "empty")
    assert digest(tmp_path, source) == expected


def test_files_that_are_not_listed_are_left_out(tmp_path, root):
    source = Source(str(root), "/x", listing=listing_of(root))
    expected = digest(tmp_path, source)
    (root / "b/stray").write_text("x")
    assert digest(tmp_path, source) == expected


def test_a_source_that_is_one_file(tmp_path):
    file = tmp_path / "server"
    file.write_text("x")
    file.chmod(0o755)
    expected = digest(tmp_path, Source(str(file), "/bin/server"))
    file.chmod(0o444)
    assert digest(tmp_path, Source(str(file), "/bin/server", listing=Listing(("",), ("",)))) == expected
    assert digest(tmp_path, Source(str(file), "/bin/server", listing=Listing(("",)))) != expected


def test_an_ignore_file_counts_only_if_it_is_listed(tmp_path, root):
    listing = listing_of(root)
    expected = digest(tmp_path, Source(str(root), "/x", listing=listing))
    (root / ".ig").write_text("*\n")
    assert digest(tmp_path, Source(str(root), "/x", listing=listing), ignore_files=(".ig",)) == expected


@pytest.mark.parametrize("names", [("Read.me", "read.me"), ("\u00e9", "e\u0301")])
def test_one_file_for_two_names_is_refused(tmp_path, names):
    """As on a file system that ignores case or normalization: two names are listed, and one file exists."""
    root = tmp_path / "in"
    root.mkdir()
    (root / names[0]).write_text("x")
    with pytest.raises(LayerError, match=r"app: the file system of the sandbox cannot hold both"):
        digest(tmp_path, Source(str(root), "/x", origin="app", listing=Listing(names)))


def test_a_file_that_is_missing_is_named(tmp_path):
    (tmp_path / "in").mkdir()
    with pytest.raises(LayerError, match=r"app: cannot read .*/in/a: No such file"):
        digest(tmp_path, Source(str(tmp_path / "in"), "/x", origin="app", listing=Listing(("a",))))


@pytest.mark.parametrize("files", [("a", "a"), ("a", "a/b"), ("a/../b",), ("a//b",)])
def test_a_listing_that_contradicts_itself_is_refused(tmp_path, files):
    (tmp_path / "in").mkdir()
    with pytest.raises(LayerError, match="the listing has the path"):
        digest(tmp_path, Source(str(tmp_path / "in"), "/x", listing=Listing(files)))


@pytest.mark.parametrize(
    "symlinks, message",
    [
        ({"l": "nowhere"}, "has no target"),
        ({"l": "l"}, "has no target"),
        ({"a/l": "../../x"}, "leads out of the source"),
        ({"l": "/etc"}, "leads out of the source"),
        ({"a/l": ".."}, "leads to a directory that contains it"),
        ({"a/l": "../a"}, "leads to a directory that contains it"),
    ],
)
def test_followed_symlinks_of_a_listing(tmp_path, symlinks, message):
    (tmp_path / "in/a").mkdir(parents=True)
    (tmp_path / "in/a/f").write_text("x")
    (tmp_path / "x").write_text("outside")
    for link, target in symlinks.items():
        (tmp_path / "in" / link).symlink_to(target)
    listing = Listing(("a/f",), symlinks=symlinks)
    for source in (Source(str(tmp_path / "in"), "/x", listing=listing), Source(str(tmp_path / "in"), "/x")):
        with pytest.raises(LayerError, match=message):
            digest(tmp_path, source, follow_symlinks=True)


@pytest.mark.parametrize("encoding", ["iso-8859-1", "ascii"])
def test_the_text_of_a_spec_is_utf_8_whatever_the_locale_is(tmp_path, monkeypatch, encoding):
    root = tmp_path / "in"
    root.mkdir()
    for name in ("é", "ü.key", "gone"):
        (root / name).write_text("x")
    fields = {
        "symlinks": {"/ö": "é"},
        "inline_files": {},
        "whiteouts": ("/ä",),
        "ignores": ("/gone",),
        "modes": {"ü.key": "0600"},
        "owners": {"/ñ/é": "1:1"},
    }
    source = Source(str(root), "/ñ", listing=Listing(("é", "ü.key", "gone")))
    expected = digest(tmp_path, source, **fields)
    monkeypatch.setattr(os, "fsencode", lambda path: path if isinstance(path, bytes) else str(path).encode(encoding))
    monkeypatch.setattr(
        os, "fsdecode", lambda path: path if isinstance(path, str) else path.decode(encoding, "replace")
    )
    assert digest(tmp_path, source, **fields) == expected
