"""Test cases of container-image-builder, including some that it fails, with the numbers of docs/reference-table.md."""

import io
import json
import os
import shutil
import stat
import sys
import tarfile
import time
from pathlib import Path

import pytest
from made_images import make_image
from one_opener import Opens
from real_tools import DockerRegistry, containers_storage, need, run

from dockless import (
    Descriptor,
    Digest,
    Image,
    ImageIndex,
    InlineFile,
    InvalidDocumentError,
    Layer,
    Reference,
    RegistryClient,
    copy_image,
)
from dockless.layer.compression import find_encoder
from dockless.layer.compression.compressor import encode_blocks
from dockless.layer.tar_writer import Block
from dockless.registry.http.url_policy import is_loopback, split_host
from dockless.tar.decompress import decompress


@pytest.fixture
def members(tmp_path):
    """Builds a layer and returns its members by name."""

    def build(layer):
        built = layer.build(str(tmp_path))
        with open(tmp_path / built.descriptor.digest.hex, "rb") as file:
            data = b"".join(decompress(file, "the layer"))
        with tarfile.open(fileobj=io.BytesIO(data)) as tar:
            return {member.name: member for member in tar}

    return build


@pytest.fixture
def fixture_tree(tmp_path):
    """Creates a file, a dotfile, nested directories, and a symlink to a directory outside of the tree."""
    root = tmp_path / "project"
    (root / "nested/test").mkdir(parents=True)
    (root / "main.js").write_text("1")
    (root / ".dot").write_text("2")
    (root / "nested/taco.yaml").write_text("3")
    (root / "nested/test/deep.js").write_text("4")
    (root / "linked").symlink_to("nested/test")
    return root


@pytest.mark.parametrize(
    ("text", "parsed", "plain_http"),
    [
        ("ubuntu:lts", ("docker.io", "library/ubuntu", "lts"), False),
        ("localhost:5000/ubuntu", ("localhost:5000", "ubuntu", ""), True),
        ("gcr.io/ryan-gcr-test/smol", ("gcr.io", "ryan-gcr-test/smol", ""), False),
        ("docker.io/ubuntu", ("docker.io", "library/ubuntu", ""), False),
        ("gcr.io/my-first-project/images/hello-world", ("gcr.io", "my-first-project/images/hello-world", ""), False),
        ("docker.io/usernamespace/hello-world", ("docker.io", "usernamespace/hello-world", ""), False),
        ("localhost/x", ("localhost", "x", ""), True),
        ("[::1]:5000/a", ("[::1]:5000", "a", ""), True),
        ("reg.local:5000/x", ("reg.local:5000", "x", ""), False),
    ],
)
def test_01_references_and_where_plain_http_is_tried(text, parsed, plain_http):
    found = Reference.parse(text)
    assert (found.registry, found.repository, found.tag) == parsed
    assert is_loopback(split_host(found.registry)) == plain_http


def test_04_a_tree_with_a_followed_symlink_to_a_directory(members, fixture_tree):
    found = members(Layer.from_files({"/apples": fixture_tree}, follow_symlinks=True))
    assert {name: member.isdir() for name, member in found.items()} == {
        "apples": True,
        "apples/.dot": False,
        "apples/linked": True,
        "apples/linked/deep.js": False,
        "apples/main.js": False,
        "apples/nested": True,
        "apples/nested/taco.yaml": False,
        "apples/nested/test": True,
        "apples/nested/test/deep.js": False,
    }


def test_05_an_ignore_file_applies_and_is_kept(members, fixture_tree):
    before = set(members(Layer.from_files({"/apples": fixture_tree})))
    (fixture_tree / ".ignore").write_text("**/taco.yaml\n")
    after = set(members(Layer.from_files({"/apples": fixture_tree}, ignore_files=[".ignore"])))
    assert after == before - {"apples/nested/taco.yaml"} | {"apples/.ignore"}


def test_06_a_pattern_ignores_a_directory_and_its_content(members, fixture_tree):
    before = set(members(Layer.from_files({"/apples": fixture_tree})))
    after = set(members(Layer.from_files({"/apples": fixture_tree}, ignores=["**/test"])))
    assert after == before - {"apples/nested/test", "apples/nested/test/deep.js"}


def test_08_one_file_is_one_entry(members, fixture_tree):
    assert list(members(Layer.from_files({"/usr/local/bin/main": fixture_tree / "main.js"}))) == ["usr/local/bin/main"]


def test_09_a_directory_and_a_file_at_one_path(members, fixture_tree, tmp_path):
    (tmp_path / "more.js").write_text("5")
    found = members(Layer.from_files({"/apples": fixture_tree, "/apples/nested/": tmp_path / "more.js"}))
    assert {"apples/main.js", "apples/nested/taco.yaml", "apples/nested/more.js"} <= set(found)
    assert list(found).count("apples/nested") == 1


def test_11_a_sink_that_blocks_stops_the_reading():
    made, blocking = [], []

    def blocks():
        for n in range(100):
            made.append(n)
            yield Block(memoryview(bytes(1000)))

    def sink(data):
        if made and not blocking:
            time.sleep(0.1)
            blocking.append(len(made))

    encode_blocks(blocks(), find_encoder("gzip"), sink, threads=2)
    assert blocking[0] <= 2 * 2 + 2 and len(made) == 100


def test_12_files_that_are_not_on_disk(members):
    found = members(
        Layer.from_files(
            {"/a/bytes": InlineFile(b"\0\xff"), "/a/empty": InlineFile(b"")}, symlinks={"/a/link": "../some where/é"}
        )
    )
    assert (found["a/bytes"].size, found["a/empty"].size) == (2, 0)
    assert found["a/link"].linkname == "../some where/é"


def test_14_hello_world_to_a_real_registry(tmp_path):
    data = b"hello world"
    blob = Descriptor("application/octet-stream", Digest.of(data), len(data))
    source = Opens(lambda: io.BytesIO(data))
    registry = DockerRegistry(tmp_path)
    try:
        with RegistryClient(registry.host) as client:
            assert client.ensure_blob("app", blob, source).how == "sent"
            assert client.blob_exists("app", blob.digest)
            assert not client.blob_exists("app", Digest.of(b"hello"))
    finally:
        registry.stop()
    assert blob.digest == "sha256:b94d27b9934d3e08a52e52d7da7dabfac484efe37a5380ee9088f7ace2efcde9"


def test_17_an_image_runs_with_what_was_added_to_its_base(tmp_path, registry):
    """An image on a base in a registry, with two tags, Cmd, WorkingDir and Env, prints the expected text."""
    need("podman", "runc", "busybox")
    busybox = shutil.which("busybox")
    base = Image.scratch().add_layer(Layer.from_files({"/bin/busybox": busybox}, symlinks={"/bin/sh": "busybox"}))
    base.with_config(env={"PATH": "/bin"}).save(f"{registry.host}/base:1")
    (tmp_path / "project").mkdir()
    (tmp_path / "project/main").write_text('echo "{\\"ADDED\\": \\"$ADDED\\", \\"where\\": \\"$PWD\\"}"\n')
    image = (
        Image.from_registry(f"{registry.host}/base:1")
        .add_layer(Layer.from_files({"/srv/project": tmp_path / "project"}))
        .with_config(cmd=["sh", "./main"], working_dir="/srv/project", env={"ADDED": "new"})
    )
    pushed = image.save(f"{registry.host}/team/app", tags=["1.0", "latest"])
    assert pushed.references == (f"{registry.host}/team/app:1.0", f"{registry.host}/team/app:latest")
    with containers_storage("podman", "runc") as storage:
        for tag in ("1.0", "latest"):
            reference = f"{registry.host}/team/app:{tag}"
            done = storage("podman", "run", "--rm", "-q", "--tls-verify=false", reference)
            assert json.loads(done.out) == {"ADDED": "new", "where": "/srv/project"}


def test_18_twenty_builds_are_one_image(tmp_path):
    """The builds differ in time, umask, path and order of files on disk."""
    names = [f"{n}/{m}" for n in range(5) for m in range(5)]
    digests = set()
    for n in range(20):
        root = tmp_path / f"checkout{n}"
        before = os.umask((0o022, 0o077, 0o002, 0o027)[n % 4])
        try:
            for name in sorted(names, key=lambda name: hash((n, name))):
                (root / name).parent.mkdir(parents=True, exist_ok=True)
                (root / name).write_text(name)
                os.utime(root / name, (n, n * 1000))
            image = Image.scratch().add_layer(Layer.from_files({"/app": root})).with_config(env={"A": "1"})
        finally:
            os.umask(before)
        digests.add((image.layers[0].descriptor.digest, Digest.of(image.config_bytes), image.digest))
    assert len(digests) == 1


def test_21_modes_and_owners(members, tmp_path):
    (tmp_path / "tool").write_text("")
    found = members(
        Layer.from_files(
            {"/a": InlineFile("", 0o600), "/b": InlineFile("", 0o400), "/c": InlineFile("", 0o4755), "/d/": tmp_path},
            modes={"/d/tool": "6755"},
            owner="1000:1000",
            owners={"/a": "1000:1000", "/c": "0:1000"},
        )
    )
    assert {name: stat.S_IMODE(member.mode) for name, member in found.items()} == {
        **{"a": 0o600, "b": 0o400, "c": 0o4755, "d": 0o755, "d/tool": 0o6755}
    }
    owners = {name: (member.uid, member.gid) for name, member in found.items() if not member.isdir()}
    assert owners == {"a": (1000, 1000), "b": (0, 0), "c": (0, 1000), "d/tool": (1000, 1000)}


def test_23_a_large_layer_stays_below_a_small_one(registry):
    large = Layer.from_files({"/large": InlineFile(os.urandom(30_000_000))})
    image = Image.scratch().add_layer(large).add_layer(Layer.from_files({"/small": InlineFile("x")}))
    image.save(f"{registry.host}/app")
    sizes = [layer["size"] for layer in json.loads(registry.manifest("app", "latest").raw)["layers"]]
    assert sizes[0] > 30_000_000 and sizes[1] < 1000
    config = json.loads(registry.blob("app", Digest.of(image.config_bytes)))
    assert config["rootfs"]["diff_ids"] == [layer.diff_id for layer in image.layers]


@pytest.mark.parametrize("base_format", ["oci", "docker"])
@pytest.mark.parametrize("image_format", ["oci", "docker"])
def test_26_a_base_of_several_platforms_in_either_format(registry, base_format, image_format):
    bases = [Image.scratch(f"linux/{machine}", image_format=base_format) for machine in ("amd64", "arm64")]
    ImageIndex(base.add_layer(Layer.from_files({"/b": InlineFile("b")})) for base in bases).save(
        f"{registry.host}/base:1"
    )
    base = Image.from_registry(f"{registry.host}/base:1", platform="linux/arm64")
    assert base_format in json.loads(base.manifest_bytes)["mediaType"]
    built = base.with_format(image_format).add_layer(Layer.from_files({"/app": InlineFile("x")}))
    built.save(f"{registry.host}/app:1")
    stored = registry.manifest("app", "1")
    assert image_format in stored.media_type
    kinds = {layer["mediaType"] for layer in json.loads(stored.raw)["layers"]}
    assert len(kinds) == 1 and image_format in kinds.pop()
    assert str(Image.from_registry(f"{registry.host}/app:1").platform) == "linux/arm64"
    with pytest.raises(InvalidDocumentError, match=r"linux/s390x.*linux/amd64, linux/arm64"):
        Image.from_registry(f"{registry.host}/base:1", platform="linux/s390x")


def test_27_and_28_between_repositories_of_one_registry_and_again(registry, push):
    push(registry, "team/one", "1", make_image(b"x" * 100_000, b"y"))
    source = f"{registry.host}/team/one:1"
    first = copy_image(source, f"{registry.host}/team/two:1")
    assert (first.blobs_mounted, first.bytes_sent) == (3, 0)
    registry.reset_requests()
    second = copy_image(source, f"{registry.host}/team/two:1", tags=["2"])
    assert (second.digest, second.bytes_sent) == (first.digest, 0)
    assert {r.operation for r in registry.requests} <= {"ping get", "manifest get", "blob get", *HEADS}
    assert set(registry.tags("team/two")) == {"1", "2"}


HEADS = ("manifest head", "blob head", "manifest put")


def test_38_whiteouts_as_another_tool_unpacks_them(tmp_path):
    need("umoci")
    below = Layer.from_files(
        {f"/{path}": InlineFile("x") for path in ("etc/kept", "etc/gone", "opt/whole/a", "opt/emptied/b", "opt/c")}
    )
    above = Layer.from_files(
        {"/opt/emptied/new": InlineFile("y")}, whiteouts=["/etc/gone", "/opt/whole", "/opt/emptied/"]
    )
    Image.scratch().add_layer(below).add_layer(above).save(f"oci:{tmp_path}/l:v1")
    run("umoci", "unpack", "--rootless", "--image", f"{tmp_path}/l:v1", tmp_path / "bundle")
    root = tmp_path / "bundle/rootfs"
    found = {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()}
    assert found == {"etc/kept", "opt/c", "opt/emptied/new"}
    assert not (root / "opt/whole").exists()


def test_every_number_is_one_of_the_page():
    page = (Path(__file__).resolve().parents[3] / "docs/reference-table.md").read_text()
    for name in list(sys.modules[__name__].__dict__):
        if name.startswith("test_") and name[5:7].isdigit():
            assert f"test_cases_of_the_reference.py::{name}`" in page
