"""B68 to B70, B78: images that are written to disk and read from disk."""

import gzip
import io
import json
import os
import shutil
import subprocess
import tarfile

import pytest
from made_images import layout_of, make_image
from rows import case, row

from dockless.oci.digest import Digest
from dockless.transfer.copy import copy_image

IMAGE = make_image(b"one", b"two")
(FIRST, SECOND), CONFIG = IMAGE.manifest.layers, IMAGE.manifest.config
LONG = "n" * 300
ABSENT = "No such file or directory"


@pytest.fixture(autouse=True)
def image(tmp_path):
    layout_of(tmp_path / "base", IMAGE.manifest.descriptor, blobs=IMAGE.blobs, names=["v1"])
    (tmp_path / "file").write_text("mine")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder/file").write_text("mine")


@pytest.fixture(scope="module")
def readonly(tmp_path_factory):
    """A directory with the file systems `readonly` and `full`."""
    directory = tmp_path_factory.mktemp("mounts")
    mounted = []
    for name, options in (("readonly", "ro,size=1m"), ("full", "size=64k")):
        (directory / name).mkdir()
        done = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", options, "tmpfs", directory / name], capture_output=True, check=False
        )
        if done.returncode == 0:
            mounted.append(directory / name)
    if len(mounted) < 2:
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)("NOT TESTED: nothing can be mounted here")
    yield directory
    for path in mounted:
        subprocess.run(["umount", path], check=True)


@pytest.mark.parametrize(
    "destination, message",
    [
        case(
            "B68", "layout, file", "oci:file", "cannot write an OCI layout to file: it is a file; choose another path"
        ),
        case(
            *("B68", "layout, below a file", "oci:file/x"),
            "cannot write an OCI layout to file/x: a file is in the place of a directory",
        ),
        case(
            *("B68", "layout, other directory", "oci:folder"),
            "cannot write an OCI layout to folder: the directory has other content (folder is not an OCI layout); "
            "choose another path",
        ),
        case("B68", "layout, long", f"oci:{LONG}", f"cannot write an OCI layout to {LONG}: File name too long"),
        case("B68", "layout, proc", "oci:/proc/x", f"cannot write an OCI layout to /proc/x: {ABSENT}"),
        *(
            found
            for kind in ("oci-archive", "docker-archive")
            for found in (
                case(
                    "B68",
                    f"{kind}, directory",
                    f"{kind}:folder",
                    "cannot write folder: it is a directory; choose another path",
                ),
                case(
                    *("B68", f"{kind}, below a file", f"{kind}:file/x"),
                    "cannot write file/x: a file is in the place of a directory",
                ),
                case("B68", f"{kind}, long", f"{kind}:{LONG}", f"cannot write {LONG}: File name too long"),
                case("B68", f"{kind}, proc", f"{kind}:/proc/x", f"cannot write /proc/x: {ABSENT}"),
            )
        ),
    ],
)
def test_destinations_that_cannot_be_written(refused, destination, message):
    assert refused("copy", "oci:base", destination) == message
    assert refused("build", destination, "--add", "folder:/a") == message


@pytest.mark.parametrize(
    "place, why",
    [
        case("B68", "read only", "readonly", "Read-only file system"),
        case("B68", "full", "full", "No space left on device"),
    ],
)
def test_read_only_and_full_disks(dockless, readonly, place, why):
    large = make_image(os.urandom(200_000))
    layout_of("large", large.manifest.descriptor, blobs=large.blobs)
    for kind in ("oci", "oci-archive", "docker-archive"):
        path = f"{readonly}/{place}/out"
        result = dockless("copy", "oci:large", f"{kind}:{path}", "-q")
        destination = f"an OCI layout to {path}" if kind == "oci" else path
        assert (result.status, result.out, result.err) == (
            1,
            "",
            f"dockless: error: cannot write {destination}: {why}\n",
        )
        assert os.listdir(f"{readonly}/{place}") == []


@row("B68")
def test_a_failure_keeps_the_previous_output(refused, works):
    broken = make_image(b"three")
    layout_of("broken", broken.manifest.descriptor, blobs=broken.blobs)
    os.unlink(f"broken/blobs/sha256/{broken.manifest.layers[0].digest.hex}")
    for destination in ("oci:out:1", "oci-archive:out.tar:1", "docker-archive:out2.tar:x:1"):
        works("copy", "oci:base", destination)
        # `refused` compares all files on disk.
        line = refused("copy", "oci:broken", destination)
        assert line == f"broken lacks the blob {broken.manifest.layers[0].digest}: {ABSENT}"


def unlink(*names):
    return lambda directory: [os.unlink(directory / name) for name in names]


def write(name, text):
    return lambda directory: (directory / name).write_text(text)


def spoil(digest):
    def change(directory):
        path = directory / "blobs/sha256" / digest.hex
        path.write_bytes(b"x" * path.stat().st_size)

    return change


def shorten(digest):
    return lambda directory: os.truncate(directory / "blobs/sha256" / digest.hex, 10)


def link_blob(directory):
    path = directory / "blobs/sha256" / FIRST.digest.hex
    path.rename(directory / "elsewhere")
    path.symlink_to(directory / "elsewhere")


def fifo_blob(directory):
    path = directory / "blobs/sha256" / FIRST.digest.hex
    path.unlink()
    os.mkfifo(path)


def two_images(directory):
    index = json.loads((directory / "index.json").read_text())
    other = {**index["manifests"][0], "digest": "sha256:" + "a" * 64}
    other["annotations"] = {"org.opencontainers.image.ref.name": "v2"}
    (directory / "index.json").write_text(json.dumps({**index, "manifests": [*index["manifests"], other]}))


def climbing_digest(directory):
    index = (directory / "index.json").read_text()
    (directory / "index.json").write_text(index.replace(IMAGE.manifest.digest, "sha256:../../../etc/passwd"))


def blob(digest):
    return f"layout/blobs/sha256/{digest.hex}"


X_OF = {size: Digest.of(b"x" * size) for size in (FIRST.size, CONFIG.size, len(IMAGE.manifest.raw))}
LAYOUTS = [
    case(
        "B69",
        "no oci-layout",
        unlink("oci-layout"),
        f"layout is not an OCI layout: cannot read layout/oci-layout: {ABSENT}; check the path",
    ),
    case(
        "B69",
        "no index",
        unlink("index.json"),
        f"layout is not an OCI layout: cannot read layout/index.json: {ABSENT}; check the path",
    ),
    case(
        *("B69", "oci-layout that is none", write("oci-layout", "x")),
        "layout: oci-layout is not a valid JSON document: Expecting value at line 1, column 1",
    ),
    case(
        *("B69", "version", write("oci-layout", '{"imageLayoutVersion": "2.0.0"}')),
        "layout: oci-layout does not have the version 1.0.0: its version is '2.0.0'",
    ),
    case(
        *("B69", "index that is none", write("index.json", "{}")),
        "layout: index.json is not a manifest: its schemaVersion is not 2",
    ),
    case(
        *("B69", "empty index", write("index.json", '{"schemaVersion": 2, "manifests": []}')),
        "layout has no image",
    ),
    *(
        case("B69", f"no {name}", unlink(f"blobs/sha256/{digest.hex}"), f"layout lacks the blob {digest}: {ABSENT}")
        for name, digest in (("layer", FIRST.digest), ("config", CONFIG.digest), ("manifest", IMAGE.manifest.digest))
    ),
    *(
        case(
            *("B69", f"other {name}", spoil(found.digest)),
            f"the blob {found.digest} is damaged: its digest is {X_OF[found.size]}; "
            f"replace the file {blob(found.digest)}",
        )
        for name, found in (("layer", FIRST),)
    ),
    case(
        *("B69", "other config", spoil(CONFIG.digest)),
        f"the config {CONFIG.digest} of the image {IMAGE.manifest.digest} is damaged: its digest is "
        f"{X_OF[CONFIG.size]}; replace the file {blob(CONFIG.digest)}",
    ),
    case(
        *("B69", "other manifest", spoil(IMAGE.manifest.digest)),
        f"layout: {IMAGE.manifest.digest} is damaged: its digest is {X_OF[IMAGE.manifest.descriptor.size]}; "
        f"replace the file {blob(IMAGE.manifest.digest)}",
    ),
    case(
        *("B69", "short layer", shorten(FIRST.digest)),
        f"the blob {FIRST.digest} is damaged: it has 10 bytes, not {FIRST.size}; replace the file {blob(FIRST.digest)}",
    ),
    case("B69", "symlinked layer", link_blob, f"layout lacks the blob {FIRST.digest}: it is a symlink"),
    case("B69", "fifo", fifo_blob, f"layout lacks the blob {FIRST.digest}: it is not a regular file"),
    case("B69", "two images", two_images, "layout has 2 images: it has v1, v2; name one image"),
    case(
        *("B69", "a digest that climbs", climbing_digest),
        "layout: index.json: manifests[0] has an invalid digest: invalid digest 'sha256:../../../etc/passwd';"
        " write `sha256:` and 64 lower-case hex digits",
    ),
]


@pytest.mark.parametrize("change, message", LAYOUTS)
def test_layouts(refused, repository, tmp_path, change, message):
    shutil.copytree("base", "layout")
    change(tmp_path / "layout")
    assert refused("copy", "oci:layout", "oci:out") == message
    line = refused("copy", "oci:layout", repository, writes=True)
    if message.startswith("the config "):
        message = message.replace("the config ", "the blob ").replace(f" of the image {IMAGE.manifest.digest}", "")
    if message.startswith("the blob "):
        # The damage is detected while the blob is sent.
        message = message.replace(" is damaged: ", " to be pushed is damaged: ")
    assert line == message


@row("B69")
def test_names_that_a_layout_lacks(refused):
    assert refused("copy", "oci:base:v2", "oci:out") == "base has no image with the name 'v2': it has v1"
    assert refused("copy", "oci:nothere", "oci:out") == (
        f"nothere is not an OCI layout: cannot read nothere/oci-layout: {ABSENT}; check the path"
    )


@pytest.fixture(scope="module")
def archives(tmp_path_factory):
    """Both kinds of archive, as bytes."""
    directory = tmp_path_factory.mktemp("archives")
    layout_of(directory / "base", IMAGE.manifest.descriptor, blobs=IMAGE.blobs, names=["v1"])
    found = {}
    for kind in ("oci-archive", "docker-archive"):
        copy_image(f"oci:{directory}/base", f"{kind}:{directory}/{kind}:acme/app:1")
        found[kind] = (directory / kind).read_bytes()
    return found


def again(data, change):
    """Return the tar `data` with changed members, which are a list of names and bytes."""
    out = io.BytesIO()
    with tarfile.open(fileobj=io.BytesIO(data)) as tar, tarfile.open(fileobj=out, mode="w") as made:
        members = [(m, tar.extractfile(m).read() if m.isfile() else None) for m in tar.getmembers()]
        for member, content in change(members):
            member.size = len(content or b"")
            made.addfile(member, io.BytesIO(content) if content is not None else None)
    return out.getvalue()


def without(*names):
    return lambda members: [(m, data) for m, data in members if not m.name.endswith(names)]


def with_text(name, text):
    return lambda members: [(m, text if m.name == name else data) for m, data in members]


ARCHIVES = [
    case(
        "B70",
        "empty",
        "oci-archive",
        lambda _: b"",
        "a.tar is not a tar archive, or is truncated: the tar header at byte 0 is incomplete",
    ),
    case(
        "B70",
        "empty",
        "docker-archive",
        lambda _: b"",
        "a.tar is not a tar archive, or is truncated: the tar header at byte 0 is incomplete",
    ),
    case(
        *("B70", "text", "oci-archive", lambda data: b"hello " * 200),
        "a.tar is not a tar archive, or is damaged: the tar header at byte 0 has a wrong checksum",
    ),
    case("B70", "cut off", "oci-archive", lambda data: data[:-1500], None),
    case("B70", "cut off", "docker-archive", lambda data: data[:-1500], None),
    case(
        "B70",
        "cut gzip",
        "docker-archive",
        lambda data: gzip.compress(data)[:-9],
        "a.tar is truncated: its gzip stream has no end",
    ),
    case(
        *("B70", "no index", "oci-archive", lambda data: again(data, without("index.json"))),
        "a.tar is not an OCI layout: a.tar has no file index.json",
    ),
    case(
        *("B70", "no oci-layout", "oci-archive", lambda data: again(data, without("oci-layout"))),
        "a.tar is not an OCI layout: a.tar has no file oci-layout",
    ),
    case(
        *("B70", "no blob", "oci-archive", lambda data: again(data, without(FIRST.digest.hex))),
        f"a.tar lacks the blob {FIRST.digest}: a.tar has no file blobs/sha256/{FIRST.digest.hex}",
    ),
    case(
        *("B70", "no manifest", "docker-archive", lambda data: again(data, without("manifest.json"))),
        "a.tar is not a docker-archive: the archive has no manifest.json",
    ),
    case(
        *("B70", "no image", "docker-archive", lambda data: again(data, with_text("manifest.json", b"[]"))),
        "a.tar: manifest.json has no image",
    ),
    case("B70", "no layer", "docker-archive", lambda data: again(data, without(".tar")), None),
    case(
        "B70",
        "a file with two contents",
        "docker-archive",
        lambda data: again(data, lambda members: [*members, (members[0][0], members[0][1] + b"x")]),
        None,
    ),
]


@pytest.mark.parametrize("kind, change, message", ARCHIVES)
def test_archives(refused, repository, archives, tmp_path, kind, change, message):
    (tmp_path / "a.tar").write_bytes(change(archives[kind]))
    line = refused("copy", f"{kind}:a.tar", "oci:out")
    assert line == message if message else line.startswith("a.tar")
    assert refused("copy", f"{kind}:a.tar", repository, writes=True) == line


@pytest.mark.parametrize(
    "change",
    [
        case("B70", "gzip", gzip.compress),
        case("B70", "wrong order", lambda data: again(data, lambda members: members[::-1])),
        case("B70", "no end", lambda data: data[:-1024]),
    ],
)
def test_archives_that_can_be_read(works, archives, tmp_path, change):
    for kind, data in archives.items():
        (tmp_path / "a.tar").write_bytes(data)
        right = works("copy", f"{kind}:a.tar", "oci:right")["digest"]
        (tmp_path / "a.tar").write_bytes(change(data))
        assert works("copy", f"{kind}:a.tar", "oci:out")["digest"] == right


@row("B78")
def test_an_unwritable_cache_directory_is_not_an_error(works, registry, readonly, monkeypatch, tmp_path):
    """Upload sessions are not kept if the cache directory cannot be written to."""
    monkeypatch.setattr("dockless.registry.uploader.MIN_SIZE", 0)
    for place in (f"{readonly}/readonly", "/proc/nothing", str(tmp_path / "file")):
        monkeypatch.setenv("XDG_CACHE_HOME", place)
        monkeypatch.setenv("HOME", place)
        works("copy", "oci:base", f"{registry.host}/b78:1", "--force-upload")
        works("build", f"{registry.host}/b78:2", "--add", "folder:/a")


@row("B78")
def test_an_unwritable_temporary_directory_is_not_an_error(start, readonly):
    process = start("build", "oci:out", "--add", "folder:/a", env={"TMPDIR": f"{readonly}/readonly"})
    _, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
