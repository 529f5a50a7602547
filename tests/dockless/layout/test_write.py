import errno
import fcntl
import json
import os
import stat
import threading

import pytest
from made_images import make_image

from dockless.errors import LayoutError
from dockless.layout import oci_layout_writer
from dockless.layout.oci_layout import OciLayout, named
from dockless.layout.oci_layout_writer import write_layout


def write(directory, image, *names, **options):
    write_layout(str(directory), named(image.manifest.descriptor, names), image.all_blobs, image.blobs, **options)


def tree(directory):
    return {str(path.relative_to(directory)): path.read_bytes() for path in directory.rglob("*") if path.is_file()}


def test_a_new_layout(tmp_path, image):
    write(tmp_path / "deep/l", image, "v1")
    layout = OciLayout(str(tmp_path / "deep/l"))
    assert layout.manifest(layout.root("v1")) == image.manifest
    assert len(tree(tmp_path / "deep/l")) == 6
    (tmp_path / "new").mkdir()
    assert (tmp_path / "deep/l").stat().st_mode == (tmp_path / "new").stat().st_mode


def test_the_same_image_gives_the_same_bytes(tmp_path, image):
    write(tmp_path / "a", image, "v1", jobs=1)
    write(tmp_path / "b", image, "v1", jobs=8)
    assert tree(tmp_path / "a") == tree(tmp_path / "b")


def test_another_image_is_added_by_name(tmp_path, image):
    other = make_image(b"one" * 500, b"three")
    write(tmp_path / "l", image, "v1")
    write(tmp_path / "l", other, "v2")
    layout = OciLayout(str(tmp_path / "l"))
    assert layout.names() == ["v1", "v2"]
    assert other.manifest.layers[0].digest not in other.blobs.opened, "a blob that is there is not read again"


def test_a_name_moves(tmp_path, image):
    other = make_image(b"three")
    write(tmp_path / "l", image, "v1", "v2")
    write(tmp_path / "l", other, "v1")
    layout = OciLayout(str(tmp_path / "l"))
    assert layout.root("v1").digest == other.manifest.digest
    assert layout.root("v2").digest == image.manifest.digest


def test_the_same_again_changes_nothing(tmp_path, image):
    write(tmp_path / "l", image, "v1")
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "l").rglob("*")}
    image.blobs.opened.clear()
    write(tmp_path / "l", image, "v1")
    assert before == {path: path.stat().st_mtime_ns for path in (tmp_path / "l").rglob("*")}
    assert image.blobs.opened == []


def test_an_image_without_a_name_is_listed_once(tmp_path, image):
    write(tmp_path / "l", image)
    write(tmp_path / "l", image)
    write(tmp_path / "l", image, "v1")
    write(tmp_path / "l", image)
    assert len(OciLayout(str(tmp_path / "l")).index.manifests) == 1


def test_other_entries_of_the_index_are_kept(tmp_path, image):
    write(tmp_path / "l", image, "v1")
    index = json.loads((tmp_path / "l/index.json").read_text())
    index["annotations"] = {"a": "b"}
    index["manifests"][0]["unknown"] = [1]
    (tmp_path / "l/index.json").write_text(json.dumps(index))
    write(tmp_path / "l", make_image(b"x"), "v2")
    found = json.loads((tmp_path / "l/index.json").read_text())
    assert found["annotations"] == {"a": "b"} and found["manifests"][0]["unknown"] == [1]


@pytest.mark.parametrize("damage", ["flipped", "short", "long", "gone"])
def test_a_damaged_blob_leaves_nothing(tmp_path, image, damage):
    layer = image.manifest.layers[1]
    data = image.blobs[layer.digest]
    image.blobs[layer.digest] = {"flipped": b"x" + data[1:], "short": data[:-1], "long": data + b"x", "gone": b""}[
        damage
    ]
    if damage == "gone":
        del image.blobs[layer.digest]
    with pytest.raises(LayoutError, match=str(layer.digest)):
        write(tmp_path / "l", image)
    assert list(tmp_path.iterdir()) == []
    good = make_image(b"good")
    write(tmp_path / "l", good, "v1")
    before = tree(tmp_path / "l")
    with pytest.raises(LayoutError, match=str(layer.digest)):
        write(tmp_path / "l", image, "v2")
    assert tree(tmp_path / "l") == before


def test_an_interruption_leaves_nothing(tmp_path, image):
    def stop(blob, size):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write(tmp_path / "l", image, on_bytes=stop)
    assert list(tmp_path.iterdir()) == []


def test_a_directory_with_other_files_and_a_file_are_refused(tmp_path, image):
    (tmp_path / "f").write_text("x")
    with pytest.raises(LayoutError, match="it is a file"):
        write(tmp_path / "f", image)
    (tmp_path / "d").mkdir()
    (tmp_path / "d/precious").write_text("x")
    with pytest.raises(LayoutError, match="the directory has other content"):
        write(tmp_path / "d", image)
    assert tree(tmp_path / "d") == {"precious": b"x"}


@pytest.mark.parametrize("failure", [LayoutError, KeyboardInterrupt])
def test_a_failure_removes_no_blob_of_a_concurrent_writer(tmp_path, image, failure):
    """Both writers need the blob. The second writer relies on it."""
    write(tmp_path / "l", make_image(b"x"), "v0")
    fails = make_image(b"one" * 500, b"never comes")
    assert fails.manifest.layers[0] == image.manifest.layers[0]

    def moved(blob, size):
        if blob == fails.manifest.layers[1]:
            write(tmp_path / "l", image, "v1")
            raise failure("no more")

    with pytest.raises(failure, match="no more"):
        write(tmp_path / "l", fails, "v2", on_bytes=moved)
    layout = OciLayout(str(tmp_path / "l"))
    assert layout.names() == ["v0", "v1"]
    assert all((tmp_path / "l/blobs/sha256" / blob.digest.hex).exists() for blob in image.all_blobs)


def test_a_damaged_blob_is_written_again(tmp_path, image):
    write(tmp_path / "l", image, "v1")
    path = tmp_path / "l/blobs/sha256" / image.manifest.layers[0].digest.hex
    good = path.read_bytes()
    path.write_bytes(bytes([good[0] ^ 1]) + good[1:])
    write(tmp_path / "l", image, "v1")
    assert path.read_bytes() == good


def test_through_a_link(tmp_path, image):
    (tmp_path / "real").mkdir()
    (tmp_path / "l").symlink_to("real")
    (tmp_path / "dangling").symlink_to("not/yet")
    for name in ("l", "dangling"):
        write(tmp_path / name, image, "v1")
        assert (tmp_path / name).is_symlink() and OciLayout(str(tmp_path / name)).names() == ["v1"]


def test_a_layout_that_was_created_concurrently_is_extended(tmp_path, image):
    other = make_image(b"other")

    def moved(blob, size):
        if not (tmp_path / "l").exists():
            write(tmp_path / "l", other, "theirs")

    write(tmp_path / "l", image, "ours", on_bytes=moved)
    layout = OciLayout(str(tmp_path / "l"))
    assert layout.manifest(layout.root("ours")) == image.manifest
    assert layout.manifest(layout.root("theirs")) == other.manifest


def test_concurrent_writers_lose_no_name(tmp_path, image):
    write(tmp_path / "l", image, "v0")
    images = [make_image(b"%d" % n) for n in range(8)]
    threads = [threading.Thread(target=write, args=(tmp_path / "l", made, f"n{n}")) for n, made in enumerate(images)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert OciLayout(str(tmp_path / "l")).names() == [*(f"n{n}" for n in range(8)), "v0"]


def test_machines_that_share_only_locks_of_files_lose_no_name(tmp_path, image, monkeypatch):
    """As on NFS: the lock of the directory is that of one machine, and files must be open for writing."""
    flock, directory = fcntl.flock, tmp_path / "l"

    def nfs_flock(descriptor, operation):
        if directory.exists() and os.path.samestat(os.fstat(descriptor), directory.stat()):
            return
        if fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_ACCMODE != os.O_RDWR:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        flock(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", nfs_flock)
    # Only the lock protects the index.
    monkeypatch.setattr(oci_layout_writer, "_MAX_CHANGES", 1)
    test_concurrent_writers_lose_no_name(tmp_path, image)


@pytest.mark.parametrize("problem", [None, PermissionError, "ENOLCK"])
def test_a_change_of_the_index_by_a_program_without_locks_is_kept(tmp_path, image, monkeypatch, problem):
    write(tmp_path / "l", image, "v0")
    others = [make_image(b"%d" % n) for n in range(2)]
    update, pending = oci_layout_writer._updated_index, list(enumerate(others))

    def update_late(raw, path, roots):
        found = update(raw, path, roots)
        if pending:
            n, other = pending.pop()
            index = json.loads((tmp_path / "l/index.json").read_bytes())
            index["manifests"].append(named(other.manifest.descriptor, [f"n{n}"])[0].to_json())
            (tmp_path / "l/index.json").write_text(json.dumps(index))
        return found

    def open_to_lock(path, directory=None):
        raise problem

    flock = fcntl.flock

    def no_locks_of_files(descriptor, operation):
        if stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))
        flock(descriptor, operation)

    monkeypatch.setattr(oci_layout_writer, "_updated_index", update_late)
    if problem == "ENOLCK":
        monkeypatch.setattr(fcntl, "flock", no_locks_of_files)
    elif problem:
        monkeypatch.setattr(oci_layout_writer, "open_to_lock", open_to_lock)
    write(tmp_path / "l", make_image(b"mine"), "mine")
    assert OciLayout(str(tmp_path / "l")).names() == ["mine", "n0", "n1", "v0"]
    assert sorted(os.listdir(tmp_path / "l")) == ["blobs", "index.json", "oci-layout"]


def test_an_index_that_changes_all_the_time(tmp_path, image, monkeypatch):
    write(tmp_path / "l", image, "v0")
    update = oci_layout_writer._updated_index

    def update_late(raw, path, roots):
        with open(tmp_path / "l/index.json", "ab") as file:
            file.write(b" ")
        return update(raw, path, roots)

    monkeypatch.setattr(oci_layout_writer, "_updated_index", update_late)
    with pytest.raises(LayoutError, match="other programs changed index.json 100 times"):
        write(tmp_path / "l", make_image(b"mine"), "mine")
    assert OciLayout(str(tmp_path / "l")).names() == ["v0"]
