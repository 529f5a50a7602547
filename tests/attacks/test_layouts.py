"""Layouts and caches in directories that other users can write to."""

import json
import os
import time

import pytest
from made_images import layout_of, make_image

from dockless import _atomic
from dockless.errors import DocklessError, LayoutError
from dockless.layout.oci_layout import OciLayout, named
from dockless.layout.oci_layout_writer import write_layout
from dockless.oci import media_types
from dockless.oci.digest import Digest
from dockless.oci.manifest import make_index
from dockless.registry.upload_state import MAX_AGE, MIN_SIZE, UploadState
from dockless.transfer.copy import copy_image
from dockless.transfer.verify import verify_image


@pytest.fixture
def image():
    return make_image(b"one")


@pytest.fixture
def layout(tmp_path, image):
    return layout_of(tmp_path / "l", image.manifest.descriptor, blobs=image.blobs, names=["v1"])


@pytest.fixture
def outside(tmp_path):
    """A file outside of the layout, which no test may change."""
    path = tmp_path / "outside"
    path.write_text("secret")
    yield path
    assert path.read_text() == "secret"


@pytest.mark.parametrize("name", ["oci-layout", "index.json", "manifest", "config", "layer"])
@pytest.mark.parametrize("target", ["outside", "itself", "nothing"])
def test_links_in_a_layout(tmp_path, image, layout, outside, name, target):
    digests = {"manifest": image.manifest, "config": image.manifest.config, "layer": image.manifest.layers[0]}
    path = layout / "blobs/sha256" / digests[name].digest.hex if name in digests else layout / name
    content = path.read_bytes()
    path.unlink()
    path.symlink_to({"outside": outside, "itself": path.name, "nothing": "nothing"}[target])
    with pytest.raises(DocklessError) as caught:
        copy_image(f"oci:{layout}:v1", f"oci:{tmp_path}/copy")
    assert "secret" not in str(caught.value)
    assert not (tmp_path / "copy").exists()
    if name in digests:
        # A blob that is a link is replaced by the blob.
        write_layout(str(layout), named(image.manifest.descriptor, ["v2"]), image.all_blobs, image.blobs)
        assert not path.is_symlink()
        assert path.read_bytes() == content
        assert verify_image(f"oci:{layout}").problems == ()


@pytest.mark.parametrize("name", ["../../outside", "a\n::error::b", "\x1b[31m", "-rf", "a" * 5000])
def test_names_in_the_index_of_a_layout(tmp_path, image, layout, outside, name):
    index = json.loads((layout / "index.json").read_text())
    index["manifests"][0]["annotations"] = {"org.opencontainers.image.ref.name": name}
    (layout / "index.json").write_text(json.dumps(index))
    assert OciLayout(str(layout)).names() == [name]
    copy_image(f"oci:{layout}", f"oci:{tmp_path}/copy")
    assert OciLayout(str(tmp_path / "copy")).names() == [], "the name is not taken for the destination"
    with pytest.raises(LayoutError, match="has no image with the name 'v9'") as caught:
        OciLayout(str(layout)).root("v9")
    assert str(caught.value).isprintable()


def planted_link(path, outside):
    os.symlink(outside, path)


def planted_directory(path, outside):
    os.mkdir(path)
    os.symlink(outside, os.path.join(path, "link"))


def planted_fifo(path, outside):
    os.mkfifo(path)


@pytest.mark.parametrize("plant", [planted_link, planted_directory, planted_fifo])
def test_files_with_the_names_of_temporary_files(tmp_path, outside, plant):
    directory = tmp_path / "shared"
    directory.mkdir()
    plant(str(directory / (_atomic._prefix() + "0123456789abcdef")), str(outside))
    with _atomic.atomic_file(str(directory / "f")) as file:
        file.write(b"x")
    assert (directory / "f").read_bytes() == b"x"


URL, DIGEST = "https://reg.example", Digest.of(b"x")


@pytest.fixture
def state(tmp_path):
    """An upload state, and the path of the file for one blob."""
    state = UploadState({"XDG_CACHE_HOME": str(tmp_path)})
    state.keep(URL, "app", DIGEST, "https://reg.example/upload/1")
    [path] = (tmp_path / "dockless/uploads").iterdir()
    assert MIN_SIZE > 0
    return state, path


def as_a_link(path, outside):
    path.rename(path.parent / "other")
    path.symlink_to("other")


def as_a_fifo(path, outside):
    path.unlink()
    os.mkfifo(path)


def as_a_directory(path, outside):
    path.unlink()
    path.mkdir()


def content(text):
    def change(path, outside):
        path.write_text(text)

    return change


def old(path, outside):
    os.utime(path, (0, time.time() - MAX_AGE - 60))


def of_the_future(path, outside):
    os.utime(path, (0, time.time() + 3600))


CHANGES = {
    "a link": as_a_link,
    "a FIFO": as_a_fifo,
    "a directory": as_a_directory,
    "writable by the group": lambda path, outside: path.chmod(0o620),
    "writable by all": lambda path, outside: path.chmod(0o602),
    "deep JSON": content("[" * 100_000),
    "large JSON": content('{"location": "' + "a" * 100_000 + '"}'),
    "a list": content("[]"),
    "a number": content('{"location": 5}'),
    "nothing": content(""),
    "no text": lambda path, outside: path.write_bytes(b"\xff\xfe"),
    "too old": old,
    "of the future": of_the_future,
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=list(CHANGES))
def test_upload_state_that_is_not_ours(state, outside, change):
    kept, path = state
    change(path, outside)
    assert kept.take(URL, "app", DIGEST) == ""


def test_upload_state_of_another_user(state, monkeypatch):
    kept, path = state
    monkeypatch.setattr(os, "geteuid", lambda: path.stat().st_uid + 1)
    assert kept.take(URL, "app", DIGEST) == ""


def test_upload_state_is_private_and_of_one_blob(state):
    kept, path = state
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    for other in (("https://other.example", "app", DIGEST), (URL, "other", DIGEST), (URL, "app", Digest.of(b"y"))):
        assert kept.take(*other) == ""
    assert kept.take(URL, "app", DIGEST) == "https://reg.example/upload/1"
    assert kept.take(URL, "app", DIGEST) == "", "a session has one user"


@pytest.mark.parametrize("linked", ["blobs", "blobs/sha256"])
def test_verify_reads_no_directory_that_a_layout_links_to(tmp_path, layout, linked):
    """The names of its files, and digests, which tell what is in short files, were in the output."""
    (tmp_path / "home/sha256").mkdir(parents=True)
    for path in ("home/pin", "home/sha256/pin", f"home/sha256/{'a' * 64}", f"home/{'a' * 64}"):
        (tmp_path / path).write_text("1234")
    os.rename(layout / linked, tmp_path / "moved")
    (layout / linked).symlink_to(tmp_path / "home")
    problems = verify_image(f"oci:{layout}").problems
    assert f"{layout / linked} is a symlink" in problems
    assert not [problem for problem in problems if "pin" in problem or Digest.of(b"1234") in problem]


def test_verify_of_other_files_among_the_blobs(tmp_path, layout):
    (layout / "blobs/sha256/x").write_text("1234")
    (layout / "blobs/sha256" / ("b" * 64)).symlink_to("/proc/kmsg")
    os.mkfifo(layout / "blobs/sha256" / ("c" * 64))
    problems = verify_image(f"oci:{layout}").problems
    directory = layout / "blobs/sha256"
    assert problems == (
        f"{directory / ('b' * 64)} is not a regular file",
        f"{directory / ('c' * 64)} is not a regular file",
        f"{directory / 'x'} is not named by a digest",
    )


# Of the sparse files, which take hours to read.
TIB = 1 << 40


@pytest.mark.parametrize("place", ["stray", "several", "data at the end", "layer", "config"])
def test_verify_of_sparse_blobs(tmp_path, image, layout, place):
    blobs = layout / "blobs/sha256"
    of_image = {"layer": image.manifest.layers[0].digest.hex, "config": image.manifest.config.digest.hex}
    names = [of_image.get(place, "c" * 64)]
    if place == "several":
        # Together more than is read of one.
        names = [letter * 64 for letter in "abcdef"]
    for name in names:
        with open(blobs / name, "r+b" if place in of_image else "wb") as file:
            file.truncate(TIB // 64 if place == "several" else TIB)
            if place == "data at the end":
                file.seek(-1, os.SEEK_END)
                file.write(b"x")
    problems = verify_image(f"oci:{layout}").problems
    for name in names:
        assert f"{blobs / name} is a sparse file with too many holes" in problems


def test_verify_of_small_holes(tmp_path, layout):
    """Tars have many zeros, which some tools and file systems store as holes."""
    size = 64 << 10
    path = layout / "blobs/sha256" / Digest.of(bytes(size)).hex
    with open(path, "wb") as file:
        file.truncate(size)
    assert verify_image(f"oci:{layout}").problems == ()


def test_verify_of_hard_links(layout, monkeypatch):
    read = []
    of_file = Digest.of_file
    monkeypatch.setattr(Digest, "of_file", lambda file: read.append(file.name) or of_file(file))
    data = b"a large file"
    path = layout / "blobs/sha256" / Digest.of(data).hex
    path.write_bytes(data)
    for letter in "abc":
        os.link(path, layout / "blobs/sha256" / (letter * 64))
    assert len(verify_image(f"oci:{layout}").problems) == 3
    assert len(read) == 1


@pytest.mark.parametrize("foreign_first", [True, False])
def test_a_layer_that_another_image_calls_foreign(tmp_path, image, foreign_first):
    """With --keep-foreign-layers the layer was left out for both images, and verify found no problem."""
    foreign = image.manifest.json
    foreign["layers"][0].update(mediaType=media_types.FOREIGN_LAYER, urls=["http://127.0.0.1:1/x"])
    raw = json.dumps(foreign).encode()
    other = image.manifest.descriptor._replace(digest=image.blobs.put(raw), size=len(raw))
    index = make_index([other, image.manifest.descriptor][:: 1 if foreign_first else -1])
    image.blobs.put(index.raw)
    layout = layout_of(tmp_path / "l", index.descriptor, blobs=image.blobs, names=["v1"])
    copy_image(f"oci:{layout}:v1", f"oci:{tmp_path}/copy", all_platforms=True, keep_foreign_layers=True)
    path = tmp_path / "copy/blobs/sha256" / image.manifest.layers[0].digest.hex
    assert path.exists()
    path.unlink()
    assert "lacks the blob" in verify_image(f"oci:{tmp_path}/copy").problems[0]


@pytest.mark.parametrize("data", ["QUJD", "", "%", 5, ["QUJD"]])
@pytest.mark.parametrize("place", ["config", "layers"])
def test_embedded_data_of_something_else(tmp_path, image, place, data):
    """Some readers use the data instead of the blob (image spec, descriptor.md, `data`)."""
    document = image.manifest.json
    (document["config"] if place == "config" else document["layers"][0])["data"] = data
    raw = json.dumps(document).encode()
    root = image.manifest.descriptor._replace(digest=image.blobs.put(raw), size=len(raw))
    layout = layout_of(tmp_path / "l", root, blobs=image.blobs, names=["v1"])
    (problem,) = verify_image(f"oci:{layout}").problems
    assert "has embedded data that does not match its digest" in problem
