"""Another user of the machine, in directories that every user can write to, and layouts of others with symlinks.

Only root can make links of another user. Elsewhere, the links are ours and `lstat` says that they are another user's.
"""

import contextlib
import os
import stat
import time
from pathlib import Path

import pytest
from made_images import layout_of, make_image
from the_command import dockless, isolated_directory

from dockless import _atomic
from dockless._atomic import atomic_file, resolve_output
from dockless.blobs import MemoryBlobs, MissingBlobs
from dockless.errors import InvalidValueError, LayoutError
from dockless.layout import oci_layout_writer
from dockless.layout.oci_layout import OciLayout, named
from dockless.layout.oci_layout_writer import write_layout
from dockless.oci.digest import Digest
from dockless.registry.upload_state import MAX_AGE, UploadState
from dockless.testing import Registry

__all__ = ["dockless", "isolated_directory"]

STRANGER = 54321
REFUSED = "is a symlink of another user, in a directory that every user can write to"


@pytest.fixture
def link(monkeypatch):
    """`link(path, target, uid)`: a symlink of a user."""
    owners = {}

    def link(path, target, uid=STRANGER):
        os.symlink(target, path)
        if os.geteuid() == 0:
            os.lchown(path, uid, uid)
        owners[os.lstat(path).st_ino] = uid

    if os.geteuid() != 0:
        real = os.lstat

        def lstat(path, **options):
            found = real(path, **options)
            uid = owners.get(found.st_ino, found.st_uid)
            return os.stat_result((*found[:4], uid, *found[5:]))

        monkeypatch.setattr(_atomic.os, "lstat", lstat)
    return link


@pytest.fixture
def shared(tmp_path):
    """A directory like /tmp, beside the home of the victim."""
    found = tmp_path / "shared"
    found.mkdir()
    found.chmod(0o1777)
    (tmp_path / "victim").mkdir()
    (tmp_path / "victim/precious").write_text("precious")
    layout_of(tmp_path / "base", make_image(b"one").manifest.descriptor, blobs=make_image(b"one").blobs, names=["v1"])
    return found


def names(directory):
    return sorted(str(path.relative_to(directory)) for path in Path(directory).rglob("*"))


ROWS = [
    # The destination, the link (in the shared directory) and what it leads to.
    ("oci-archive:shared/out.tar", "out.tar", "../victim/precious"),
    ("docker-archive:shared/out.tar", "out.tar", "../victim/precious"),
    ("oci-archive:shared/out.tar", "out.tar", "../victim/new"),
    ("docker-archive:shared/out.tar", "out.tar", "{}/victim/new"),
    ("oci:shared/out", "out", "../victim"),
    ("oci:shared/out", "out", "../victim/new"),
    ("oci:shared/out/deep", "out", "../victim"),
    ("oci-archive:shared/out/out.tar", "out", "../victim"),
    ("docker-archive:shared/out/out.tar", "out", "../victim"),
    ("oci-archive:shared/out/../new", "out", "../victim/deep/deep"),
    ("oci-archive:own/out.tar", "out.tar", "../victim/precious"),
    ("oci-archive:own/dir/x.tar", "dir", "../victim"),
    ("oci:shared/./out", "out", "../victim"),
    ("oci-archive:shared//out.tar", "out.tar", "../victim/precious"),
]


class TestLinksOfStrangers:
    @pytest.mark.parametrize("destination, name, target", ROWS)
    def test_nothing_is_written_through_one(self, dockless, shared, tmp_path, link, destination, name, target):
        # A link of our own may lead to that of the stranger.
        (tmp_path / "own").symlink_to("shared")
        link(shared / name, target.format(tmp_path))
        before = names(tmp_path)
        said = dockless("copy", "oci:base", destination)
        assert said.status == 1 and REFUSED in said.err, said
        assert names(tmp_path) == before and (tmp_path / "victim/precious").read_text() == "precious"
        said = dockless("build", destination, "--add", "victim:/x")
        assert said.status == 1 and REFUSED in said.err, said
        assert names(tmp_path) == before

    @pytest.mark.parametrize("mode", [0o1777, 0o1757, 0o755, 0o777, 0o1775, 0o1755])
    @pytest.mark.parametrize("uid", [STRANGER, "ours", "the directory's"])
    def test_the_rule_is_that_of_the_kernel(self, shared, tmp_path, link, mode, uid):
        """Documentation/admin-guide/sysctl/fs.rst, protected_symlinks."""
        shared.chmod(mode)
        if uid == "the directory's" and os.geteuid() == 0:
            os.chown(shared, STRANGER, STRANGER)
        link(shared / "out", "../victim/precious", os.geteuid() if uid == "ours" else STRANGER)
        if uid == "the directory's" and os.geteuid() != 0:
            link(shared / "other", "../victim/precious", os.stat(shared).st_uid)
            os.rename(shared / "other", shared / "out")
        if uid == STRANGER and mode & (stat.S_ISVTX | stat.S_IWOTH) == stat.S_ISVTX | stat.S_IWOTH:
            with pytest.raises(LayoutError, match=REFUSED):
                resolve_output(str(shared / "out"))
        else:
            assert resolve_output(str(shared / "out")) == str(tmp_path / "victim/precious")

    def test_paths_without_links_stay_as_they_are(self, shared):
        for path in ("a", "a/b/../c", "./a", "/tmp/../x", "base/", "a//b", "new/deep"):
            assert resolve_output(path) == path

    def test_own_links_are_followed(self, tmp_path, shared):
        (shared / "mine").symlink_to("../victim/new")
        with atomic_file(str(shared / "mine")) as file:
            file.write(b"x")
        assert (tmp_path / "victim/new").read_bytes() == b"x" and (shared / "mine").is_symlink()

    def test_a_circle_of_links(self, tmp_path):
        (tmp_path / "a").symlink_to("b")
        (tmp_path / "b").symlink_to("a")
        with pytest.raises(LayoutError, match="cannot write .*Too many levels of symbolic links"), atomic_file("a"):
            pass

    def test_the_directory_of_a_registry(self, shared, link):
        link(shared / "data", "../victim")
        with pytest.raises(InvalidValueError, match=REFUSED):
            Registry(str(shared / "data"))
        with pytest.raises(InvalidValueError, match=REFUSED):
            Registry(str(shared / "data/deep"))
        assert names(shared / "data") == ["precious"]


class TestUploadState:
    """XDG_CACHE_HOME may be below /tmp."""

    DIGEST = Digest.of(b"")

    def keep(self, cache):
        state = UploadState({"XDG_CACHE_HOME": str(cache)})
        state.keep("http://localhost", "a", self.DIGEST, "http://localhost/secret")
        return state

    @pytest.mark.parametrize("place", ["", "dockless", "dockless/uploads"])
    def test_a_link_of_a_stranger(self, shared, tmp_path, link, place):
        old = time.time() - 2 * MAX_AGE
        os.utime(tmp_path / "victim/precious", (old, old))
        (tmp_path / "victim/dockless/uploads").mkdir(parents=True)
        (tmp_path / "victim/uploads").mkdir()
        cache = shared / "cache"
        for path in ("", "dockless")[: ("", "dockless", "dockless/uploads").index(place)]:
            (cache / path).mkdir()
            (cache / path).chmod(0o1777)
        link(cache / place, tmp_path / "victim")
        before = names(tmp_path)
        self.keep(cache)
        assert names(tmp_path) == before

    def test_only_its_own_files_are_removed(self, tmp_path):
        directory = tmp_path / "cache/dockless/uploads"
        directory.mkdir(parents=True)
        directory.chmod(0o700)
        old = time.time() - 2 * MAX_AGE
        for name in ("precious", "a" * 64, f"{'b' * 64}.12", "tmp-x", "c" * 63):
            (directory / name).write_text("x")
            os.utime(directory / name, (old, old))
        assert self.keep(tmp_path / "cache").take("http://localhost", "a", self.DIGEST) == "http://localhost/secret"
        assert names(directory) == ["c" * 63, "precious"]

    @pytest.mark.parametrize("mode", [0o777, 0o1777, 0o770, 0o702])
    def test_a_directory_that_others_can_write_to(self, tmp_path, mode):
        directory = tmp_path / "cache/dockless/uploads"
        directory.mkdir(parents=True)
        directory.chmod(mode)
        self.keep(tmp_path / "cache")
        assert names(directory) == []


class TestLinkedLayouts:
    """A layout of somebody else, to which an image is added."""

    @pytest.mark.parametrize("name", ["blobs", "blobs/sha256", "index.json", "oci-layout"])
    def test_nothing_is_written_to_one(self, dockless, shared, tmp_path, name):
        image = make_image(b"two")
        layout_of(tmp_path / "l", image.manifest.descriptor, blobs=image.blobs, names=["v2"])
        os.rename(tmp_path / "l" / name, tmp_path / "victim/moved")
        os.symlink(tmp_path / "victim/moved", tmp_path / "l" / name)
        before = names(tmp_path)
        said = dockless("copy", "oci:base", "oci:l:v1")
        assert said.status == 1 and "is a symlink" in said.err, said
        assert names(tmp_path) == before

    @pytest.mark.parametrize("name", ["blobs", "blobs/sha256"])
    def test_a_link_that_appears_while_blobs_are_read(self, shared, tmp_path, name):
        from dockless.layout.oci_layout_writer import write_layout

        image = make_image(b"two")
        layout_of(tmp_path / "l", image.manifest.descriptor, blobs=image.blobs, names=["v2"])
        other = make_image(b"three")

        def swap(blob, size):
            if not (tmp_path / "victim/moved").exists():
                os.rename(tmp_path / "l" / name, tmp_path / "victim/moved")
                os.symlink(tmp_path / "victim/moved", tmp_path / "l" / name)
                before.extend(names(tmp_path / "victim"))

        before = []
        with pytest.raises(LayoutError, match="cannot write an OCI layout"):
            write_layout("l", [other.manifest.descriptor], other.all_blobs, other.blobs, on_bytes=swap)
        assert names(tmp_path / "victim") == before

    def test_a_layout_without_blobs_gets_them(self, dockless, tmp_path, shared):
        os.mkdir("l")
        Path("l/oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
        Path("l/index.json").write_text('{"schemaVersion": 2, "manifests": []}')
        assert dockless("copy", "oci:base", "oci:l:v1").status == 0
        assert OciLayout("l").names() == ["v1"] and dockless("verify", "oci:l").status == 0

    @pytest.mark.parametrize("name", ["blobs", "blobs/sha256", "repositories", "uploads", "temporary"])
    def test_the_directory_of_a_registry(self, tmp_path, shared, name):
        with Registry(str(tmp_path / "data")) as registry:
            registry.put_blob("a", b"x")
        moved = tmp_path / "victim/moved"
        os.rename(tmp_path / "data" / name, moved)
        os.symlink(moved, tmp_path / "data" / name)
        before = names(tmp_path)
        with pytest.raises(InvalidValueError, match="is a symlink, not a file or directory"):
            Registry(str(tmp_path / "data"))
        assert names(tmp_path) == before

    def test_the_data_of_an_upload_session(self, tmp_path, shared):
        with Registry(str(tmp_path / "data")):
            pass
        session = tmp_path / "data/uploads/1b4e28ba-2fa1-41d2-883f-0016d3cca427"
        session.mkdir()
        (session / "repository").write_text("a")
        os.symlink(tmp_path / "victim/precious", session / "data")
        with pytest.raises(InvalidValueError, match="is a symlink, not a file or directory"):
            Registry(str(tmp_path / "data"))


# name -> a path in the directory of a registry, and what another user put there.
BLOB = Digest.of(b"x").hex
PREPARED = {
    "the marker": ("registry.json", os.symlink),
    "a blob": (f"blobs/sha256/{BLOB}", os.symlink),
    "the name of a blob": (f"repositories/a/_blobs/{BLOB}", os.symlink),
    "a repository": ("repositories/b", os.symlink),
    "the tags": ("repositories/a/_tags", os.symlink),
    "a tag": ("repositories/a/_tags/v1", os.symlink),
    "the media type of a manifest": (f"repositories/a/_manifests/{BLOB}", os.symlink),
    "a session": ("uploads/1b4e28ba-2fa1-41d2-883f-0016d3cca427", os.symlink),
    "a file that does not belong to a registry": ("other", os.symlink),
    "a FIFO in the place of a tag": ("repositories/a/_tags/v1", lambda target, path: os.mkfifo(path)),
    "a FIFO in the place of a blob": (f"blobs/sha256/{BLOB}", lambda target, path: os.mkfifo(path)),
}


@pytest.mark.parametrize("name", PREPARED)
def test_links_inside_the_directory_of_a_registry(tmp_path, shared, name):
    with Registry(str(tmp_path / "data")) as registry:
        registry.put_blob("a", b"x")
    place, make = PREPARED[name]
    path = tmp_path / "data" / place
    if path.is_dir():
        path.rmdir()
        target = tmp_path / "victim"
    else:
        path.unlink(missing_ok=True)
        target = tmp_path / "victim/precious"
    make(target, path)
    before = names(tmp_path)
    content = (tmp_path / "victim/precious").read_bytes()
    with pytest.raises(InvalidValueError, match="not a file or directory of a registry"):
        Registry(str(tmp_path / "data"))
    assert names(tmp_path) == before and (tmp_path / "victim/precious").read_bytes() == content


def test_a_link_that_replaces_a_blob_of_a_running_registry(tmp_path, shared):
    with Registry(str(tmp_path / "data")) as registry:
        digest = registry.put_blob("a", b"x")
        path = tmp_path / "data/blobs/sha256" / digest.hex
        path.unlink()
        path.symlink_to(tmp_path / "victim/precious")
        with pytest.raises(OSError):
            registry.blob("a", digest)


class Swapping:
    """A source of blobs, which calls `action` while the first one is read."""

    def __init__(self, blobs, action):
        self.blobs = MemoryBlobs(blobs, MissingBlobs())
        self.action = action

    def open(self, descriptor):
        action, self.action = self.action, lambda: None
        action()
        return self.blobs.open(descriptor)


class TestOwnersOfTheDirectory:
    """The owner of a directory can rename and replace everything in it: no sticky bit or kernel prevents that."""

    @pytest.fixture
    def image(self):
        return make_image(b"one")

    def write(self, image, directory, action):
        blobs = [image.manifest.config, *image.manifest.layers, image.manifest.descriptor]
        contents = {Digest.of(data): data for data in image.blobs.values()}
        contents[image.manifest.digest] = image.manifest.raw
        source = Swapping(contents, action)
        write_layout(str(directory), named(image.manifest.descriptor, ["new"]), blobs, source)

    def swap(self, directory, plant):
        (temporary,) = directory.glob(".dockless-*")
        temporary.rename(directory / "moved")
        plant(temporary)

    @pytest.mark.parametrize("append", [False, True])
    def test_links_in_the_place_of_temporaries(self, shared, tmp_path, image, append):
        place = shared / "layout" if append else shared
        if append:
            layout_of(place, make_image(b"two").manifest.descriptor, blobs=make_image(b"two").blobs, names=["old"])

        def plant(temporary):
            (temporary / "blobs/sha256").mkdir(parents=True)
            for digest in (image.manifest.digest, image.manifest.config.digest, image.manifest.layers[0].digest):
                for path in (digest.hex, f"blobs/sha256/{digest.hex}"):
                    (temporary / path).symlink_to(tmp_path / "victim/precious")
            for path in ("index.json", "oci-layout"):
                (temporary / path).symlink_to(tmp_path / "victim/precious")

        with contextlib.suppress(LayoutError):
            self.write(image, shared / "layout", lambda: self.swap(place, plant))
        assert (tmp_path / "victim/precious").read_text() == "precious"
        assert not (tmp_path / "victim/precious").is_symlink()

    @pytest.mark.parametrize("append", [False, True])
    def test_a_link_to_a_private_directory(self, shared, tmp_path, image, append):
        place = shared / "layout" if append else shared
        if append:
            layout_of(place, make_image(b"two").manifest.descriptor, blobs=make_image(b"two").blobs, names=["old"])
        (tmp_path / "victim").chmod(0o700)
        (tmp_path / "victim/blobs/sha256").mkdir(parents=True)
        before = names(tmp_path / "victim")
        with contextlib.suppress(LayoutError):
            plant = lambda temporary: temporary.symlink_to(tmp_path / "victim")  # noqa: E731
            self.write(image, shared / "layout", lambda: self.swap(place, plant))
        assert stat.S_IMODE((tmp_path / "victim").stat().st_mode) == 0o700
        # The link itself may have got the name of the layout.
        assert names(tmp_path / "victim") == before and (tmp_path / "victim/precious").read_text() == "precious"

    def test_a_link_in_the_place_of_the_index(self, shared, tmp_path, image, monkeypatch):
        layout = shared / "layout"
        layout_of(layout, make_image(b"two").manifest.descriptor, blobs=make_image(b"two").blobs, names=["old"])
        updated = oci_layout_writer._updated_index

        def swap(raw, path, roots):
            (layout / "index.json").unlink()
            (layout / "index.json").symlink_to(tmp_path / "victim/precious")
            return updated(raw, path, roots)

        monkeypatch.setattr(oci_layout_writer, "_updated_index", swap)
        with pytest.raises(LayoutError, match=r"index\.json: it is a symlink"):
            self.write(image, layout, lambda: None)
        assert (tmp_path / "victim/precious").read_text() == "precious"


@pytest.mark.parametrize("umask", [0o022, 0o027, 0o077, 0o002])
def test_the_umask_holds_for_all_that_is_written(dockless, shared, tmp_path, umask):
    before = os.umask(umask)
    try:
        for destination in ("oci:layout", "oci:layout:more", "oci-archive:a.tar", "docker-archive:b.tar"):
            assert dockless("copy", "oci:base:v1", destination).status == 0
    finally:
        os.umask(before)
    written = [tmp_path / "layout", *(tmp_path / "layout").rglob("*"), tmp_path / "a.tar", tmp_path / "b.tar"]
    assert len(written) > 8
    modes = {(path.is_dir(), stat.S_IMODE(path.stat().st_mode)) for path in written}
    assert modes == {(True, 0o777 & ~umask), (False, 0o666 & ~umask)}
