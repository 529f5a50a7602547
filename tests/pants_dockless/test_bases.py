"""Images with base images, without a registry: `package` reads only the lockfile."""

import io
import json
import re
import tarfile

import pytest
from pants.engine.addresses import Address

from dockless.lockfile import Lockfile, lock_base
from dockless.oci import media_types as mt
from dockless.oci.canonical_json import write_document
from dockless.oci.descriptor import Descriptor
from dockless.oci.digest import Digest
from dockless.oci.manifest import make_index, make_manifest
from dockless.oci.platform import Platform
from dockless.oci.reference import Reference

HUGE = 10 * 2**30
BASE_LAYER = Digest.of(b"the layer of a base, which nobody has here")
DIFF_ID = Digest.of(b"what is inside it")


def pinned(reference: str, *platforms: str, image_format: str = "oci"):
    """Return a locked base with one layer of 10 GiB."""
    blobs = {}
    children = []
    for platform in map(Platform.parse, platforms):
        config = write_document(
            {
                **platform.to_json(),
                "config": {"Env": ["PATH=/base/bin", "KEPT=1"], "Cmd": ["old"], "Unheard": {"of": [1]}},
                "rootfs": {"type": "layers", "diff_ids": [DIFF_ID]},
                "history": [{"created_by": "somebody"}],
                "x-unknown": True,
            }
        )
        manifest = make_manifest(
            Descriptor(mt.CONFIGS[image_format], Digest.of(config), len(config)),
            [Descriptor(mt.layer_media_type("gzip", image_format), BASE_LAYER, HUGE)],
            image_format=image_format,
        )
        blobs[Digest.of(config)] = config
        blobs[manifest.digest] = manifest.raw
        children.append(manifest.descriptor._replace(platform=platform))
    root = make_index(children, image_format=image_format)
    return lock_base(Reference.parse(reference), [], root, lambda descriptor: blobs[descriptor.digest])


FILES = {
    "app/f.txt": "f",
    "app/BUILD": """
base_image(name="base", reference="reg.example/base:1")
base_image(name="newer", reference="reg.example/base:1", platforms=["linux/amd64", "linux/s390x"])
base_image(name="docker", reference="reg.example/docker:1")
base_image(name="absent", reference="reg.example/absent:1")
file(name="f", source="f.txt")
container_image(name="image", base=":base", dependencies=[":f"], env={"PATH": "/own/bin:/base/bin"}, cmd=["new"])
container_image(name="plain", base=":base")
container_image(name="above", base=":image", workdir="/w")
container_image(name="many", base=":base", dependencies=[":f"], platforms=["linux/amd64", "linux/arm64/v8"])
container_image(name="dock", base=":docker", dependencies=[":f"])
container_image(name="converted", base=":docker", dependencies=[":f"], format="oci")
container_image(name="less", base=":base", dependencies=[":f"], remove_layers=["LAYER"])
""".replace("LAYER", BASE_LAYER),
}


@pytest.fixture
def files(backend):
    lockfile = Lockfile.of(
        [
            pinned("reg.example/base:1", "linux/amd64", "linux/arm64"),
            pinned("reg.example/docker:1", "linux/amd64", image_format="docker"),
        ]
    )
    backend.write_files({**FILES, "base_images.lock": lockfile.to_bytes().decode()})

    def read(address: str) -> tuple:
        """Return the metadata of an image, and its documents by digest."""
        files = backend.files(backend.package(address))
        name = address.partition(":")[2]
        metadata = json.loads(files[f"app/{name}.json"])
        blobs = {"sha256:" + p.rsplit("/", 1)[1]: data for p, data in files.items() if "/blobs/" in p}
        return metadata, blobs

    return read


def manifest_and_config(metadata: dict, blobs: dict) -> tuple:
    return json.loads(blobs[metadata["digest"]]), json.loads(blobs[metadata["config_digest"]])


def test_image_with_base_does_not_contain_base_layers(files):
    metadata, blobs = files("app:image")
    manifest, config = manifest_and_config(metadata, blobs)
    assert manifest["layers"][0]["digest"] == BASE_LAYER
    assert metadata["layers"][0] == {
        "digest": BASE_LAYER,
        "diff_id": DIFF_ID,
        "media_type": mt.layer_media_type("gzip"),
        "size": HUGE,
        "source": "reg.example/base",
    }
    assert BASE_LAYER not in blobs
    assert metadata["size"] > HUGE
    assert config["config"] == {
        "Env": ["PATH=/own/bin:/base/bin", "KEPT=1"],
        "Cmd": ["new"],
        "Unheard": {"of": [1]},
    }
    assert config["x-unknown"] is True
    assert [entry["created_by"] for entry in config["history"]] == ["somebody", "dockless"]
    assert manifest["annotations"]["org.opencontainers.image.base.name"] == "reg.example/base:1"
    assert manifest["annotations"]["org.opencontainers.image.base.digest"].startswith("sha256:")


def test_base_in_the_repository(files):
    below, _ = files("app:image")
    metadata, blobs = files("app:above")
    _, config = manifest_and_config(metadata, blobs)
    assert [layer["digest"] for layer in metadata["layers"]] == [layer["digest"] for layer in below["layers"]]
    # The layout contains the layer of the image below, but not the layer of the base image.
    assert metadata["layers"][1]["digest"] in blobs and metadata["layers"][0]["source"] == "reg.example/base"
    assert config["config"]["WorkingDir"] == "/w" and config["config"]["Cmd"] == ["new"]


def test_several_platforms_make_an_index(files):
    metadata, blobs = files("app:many")
    index = json.loads(blobs[metadata["digest"]])
    assert metadata["media_type"] == mt.OCI_INDEX
    assert metadata["platforms"] == ["linux/amd64", "linux/arm64"]
    assert [child["platform"]["architecture"] for child in index["manifests"]] == ["amd64", "arm64"]
    for child in index["manifests"]:
        config = json.loads(blobs[json.loads(blobs[child["digest"]])["config"]["digest"]])
        assert config["architecture"] == child["platform"]["architecture"]
    # Both images have the same layers, which are listed once.
    assert len(metadata["layers"]) == 2


def test_format_is_the_format_of_the_base_by_default(files):
    metadata, blobs = files("app:dock")
    manifest, _ = manifest_and_config(metadata, blobs)
    assert metadata["media_type"] == mt.DOCKER_MANIFEST
    assert {layer["mediaType"] for layer in manifest["layers"]} == {mt.DOCKER_LAYER_GZIP}
    metadata, blobs = files("app:converted")
    manifest, _ = manifest_and_config(metadata, blobs)
    assert metadata["media_type"] == mt.OCI_MANIFEST
    assert {layer["mediaType"] for layer in manifest["layers"]} == {mt.layer_media_type("gzip")}


def test_remove_layers(files):
    metadata, blobs = files("app:less")
    _, config = manifest_and_config(metadata, blobs)
    assert len(metadata["layers"]) == 1 == len(config["rootfs"]["diff_ids"]) == len(config["history"])
    assert BASE_LAYER not in json.dumps(metadata)


@pytest.mark.parametrize(
    "fields, message",
    [
        (
            'base=":absent"',
            "field `base`: base_images.lock has no entry for reg.example/absent:1; run `pants gener",
        ),
        (f'base="reg.example/x@{BASE_LAYER}"', "field `base`: base_images.lock has no entry for reg.example/x@sha256:"),
        (
            'base=":base", platforms=["linux/s390x"]',
            "reg.example/base:1 is not locked for linux/s390x: only linux/amd64, linux/arm64 is locked; write "
            'platforms=["linux/amd64", "linux/s390x"] in the base_image app:base and run `pants generate-lockfiles',
        ),
        # The base_image has the platform, but the lockfile is older.
        (
            'base=":newer", platforms=["linux/s390x"]',
            "reg.example/base:1 is not locked for linux/s390x: only linux/amd64, linux/arm64 is locked; run `pants gen",
        ),
        (
            'base="python:3.12"',
            "The file or directory 'python' does not exist on disk in the workspace, so the address 'python:3.12' from "
            "the `base` from the target app:bad (for an image of a registry, use the address of a "
            "`base_image(reference='python:3.12')`) cannot be resolved.",
        ),
        (
            'base="ubuntu"',
            "from the target app:bad (for an image of a registry, use the address of a `base_image(reference='ubuntu')",
        ),
        # Pants keeps the error for an unknown address, and names the first field that has the address. So no other test
        # that shares the backend has this address.
        ('base="app:no_base"', "(for an image of a registry, use the address of a `base_image(reference='app:no_base'"),
        ('base=":base", platforms=["linux/vax"]', "field `platforms`: unknown platform 'linux/vax'"),
        (
            'base=":base", platforms=["linux/arm64", "linux/arm64/v8"]',
            "field `platforms`: duplicate platform linux/arm64; remove one of the two",
        ),
        ('base=":f"', "field `base`: the target app:f has the type `file`"),
        (
            'base=":image", platforms=["linux/arm64"]',
            "the base has no image for linux/arm64: the platforms of the base are linux/amd64",
        ),
        (f'base=":base", remove_layers=["{DIFF_ID[:-1]}0"]', "field `remove_layers`: the image has no layer sha256:"),
        ('exposed_ports=["80/xyz"]', "field `exposed_ports`: '80/xyz' is not a port"),
        ('volumes=["data"]', "field `volumes`: the path 'data' is not absolute"),
        ('stop_signal="TERM!"', "field `stop_signal`: 'TERM!' is not a signal"),
    ],
)
def test_invalid_base_fields(files, backend, fields, message):
    backend.write_files({"app/BUILD": FILES["app/BUILD"] + f'container_image(name="bad", {fields})\n'})
    line = backend.error_line(lambda: backend.package("app:bad"))
    assert "app:bad" in line and message in line
    # The error of Pants for an unknown target lists the targets of the directory.
    assert "\n" not in line or "app:no_base" in line


def test_invalid_lockfile(files, backend):
    text = json.loads(Lockfile.of([pinned("reg.example/base:1", "linux/amd64")]).to_bytes())
    text["bases"]["reg.example/base:1"]["platforms"]["linux/amd64"]["config"]["content"].append("")
    backend.write_files({"base_images.lock": json.dumps(text)})
    line = backend.error_line(lambda: backend.package("app:image"))
    assert "does not match its digest" in line and line.count("sha256:") == 2
    backend.write_files({"base_images.lock": "not json"})
    line = backend.error_line(lambda: backend.package("app:image"))
    assert line.startswith("app:image: field `base`: base_images.lock is not a valid JSON document: ")
    assert line.endswith("; run `pants generate-lockfiles --resolve=base-images`")


def test_no_lockfile(backend):
    backend.write_files(FILES)
    assert backend.error_line(lambda: backend.package("app:image")) == (
        "app:image: field `base`: the file base_images.lock does not exist; "
        "run `pants generate-lockfiles --resolve=base-images`"
    )


@pytest.mark.parametrize("output", ["oci-archive", "docker-archive"])
def test_archives_are_complete_and_do_not_change_the_digest(backend, output):
    text = f'file(name="f", source="f.txt")\ncontainer_image(name="image", dependencies=[":f"], output="{output}")\n'
    backend.write_files({"app/f.txt": "f", "app/BUILD": text})
    files = backend.files(backend.package("app:image"))
    assert sorted(files) == ["app/image.json", "app/image.tar"]
    metadata = json.loads(files["app/image.json"])
    with tarfile.open(fileobj=io.BytesIO(files["app/image.tar"])) as tar:
        names = tar.getnames()
        if output == "oci-archive":
            (entry,) = json.load(tar.extractfile("index.json"))["manifests"]
            # Podman and Docker load the image under this name.
            assert entry["annotations"]["io.containerd.image.name"] == "docker.io/library/image:latest"
    if output == "oci-archive":
        assert f"blobs/sha256/{metadata['digest'][7:]}" in names and "index.json" in names
    else:
        assert f"{metadata['config_digest'][7:]}.json" in names and "manifest.json" in names
    backend.write_files({"app/BUILD": text.replace(output, "metadata")})
    files = backend.files(backend.package("app:image"))
    assert sorted(files) == ["app/image.json"]
    # The form of the output does not change the image.
    assert json.loads(files["app/image.json"])["digest"] == metadata["digest"]


def test_docker_archive_with_two_platforms(backend):
    backend.write_files(
        {"BUILD": 'container_image(name="x", output="docker-archive", platforms=["linux/amd64", "linux/arm64"])'}
    )
    assert "//:x: field `output`: a docker-archive contains only one platform" in backend.error_line(
        lambda: backend.package(":x")
    )


@pytest.mark.parametrize(
    "base",
    ["localhost:5000/base/busy:1", "docker.io/library/python:3.12", "ghcr.io/a/b", "1.dkr.ecr.x.amazonaws.com/a:1"],
)
def test_reference_without_digest(backend, base):
    backend.write_files({"app/BUILD": f'container_image(name="image", base="{base}")'})
    message = f"app:image: field `base`: '{base}' is a reference without a digest; add the target `base_image"
    with pytest.raises(Exception, match=re.escape(message)):
        backend.get_target(Address("app", target_name="image"))
