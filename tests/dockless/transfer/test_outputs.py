"""skopeo, umoci and podman read each output form, and the documents are valid under the schemas of the image spec."""

import json
import tarfile
from pathlib import Path

import image_spec
import pytest
from real_tools import DockerRegistry, containers_storage, need, run

from dockless import Image, ImageIndex, InlineFile, Layer, RegistryClient

# Several gzip members in the first layer, a whiteout in the second.
LARGE = b"".join(n.to_bytes(4, "big") for n in range(600_000))
FORMS = ["oci", "oci-archive", "docker-archive", "registry"]


@pytest.fixture(scope="module")
def image():
    lower = Layer.from_files(
        {"/app/large": InlineFile(LARGE), "/app/gone": InlineFile("x"), "/app/é": InlineFile("name")},
        symlinks={"/app/link": "large"},
    )
    upper = Layer.from_files({"/app/run": InlineFile("run", mode=0o755)}, whiteouts=["/app/gone"], owner="0:0")
    edit = {"entrypoint": ["/app/run"], "env": {"A": "1"}, "labels": {"l": "x"}, "exposed_ports": ["80/tcp"]}
    return Image.scratch().add_layer(lower).add_layer(upper).with_config(**edit).with_annotations({"note": "x"})


@pytest.fixture(scope="module")
def locations(image, tmp_path_factory):
    """The image in each form: form -> location for skopeo."""
    directory = tmp_path_factory.mktemp("outputs")
    registry = DockerRegistry(directory)
    destinations = {
        "oci": f"oci:{directory}/layout:v1",
        "oci-archive": f"oci-archive:{directory}/oci.tar:v1",
        "docker-archive": f"docker-archive:{directory}/docker.tar:acme/app:v1",
    }
    image.save(*destinations.values(), f"{registry.host}/acme/app:v1")
    yield {**destinations, "registry": f"docker://{registry.host}/acme/app:v1"}
    registry.stop()


def skopeo(form, command, *arguments):
    need("skopeo")
    insecure = "--src-tls-verify=false" if command.startswith("copy") else "--tls-verify=false"
    return run("skopeo", *command.split(), *([insecure] if form == "registry" else []), *arguments)


def assert_tree(files):
    """Checks the unpacked tree. `files`: name below `app` -> bytes, or the target of a symlink."""
    assert files == {"large": LARGE, "é": b"name", "link": "large", "run": b"run"}


@pytest.mark.parametrize("form", FORMS)
def test_skopeo_inspects_it(form, locations, image):
    found = json.loads(skopeo(form, "inspect", locations[form]).out)
    config = json.loads(skopeo(form, "inspect --config", locations[form]).out)
    assert config == image.config
    assert found["Labels"] == {"l": "x"} and found["Env"] == ["A=1"]
    if form != "docker-archive":
        assert found["Digest"] == image.digest
        assert found["Layers"] == [layer.descriptor.digest for layer in image.layers]


@pytest.mark.parametrize("form", FORMS)
def test_umoci_unpacks_it(form, locations, tmp_path):
    """umoci reads only layouts. skopeo or tar converts the other forms to a layout."""
    need("umoci")
    layout = locations["oci"].split(":")[1]
    if form == "oci-archive":
        layout = tmp_path / "layout"
        layout.mkdir()
        run("tar", "-xf", locations[form].split(":")[1], "-C", layout)
    elif form != "oci":
        layout = tmp_path / "layout"
        skopeo(form, "copy -q", locations[form], f"oci:{layout}:v1")
    run("umoci", "unpack", "--rootless", "--image", f"{layout}:v1", tmp_path / "bundle")
    found = {}
    for path in (tmp_path / "bundle/rootfs/app").iterdir():
        found[path.name] = str(path.readlink()) if path.is_symlink() else path.read_bytes()
    assert_tree(found)


@pytest.mark.parametrize("form", FORMS)
def test_podman_pulls_it(form, locations, image, tmp_path):
    with containers_storage("podman") as storage:
        insecure = ["--tls-verify=false"] if form == "registry" else []
        found = storage("podman", "pull", "-q", *insecure, locations[form]).out.strip()
        (about,) = json.loads(storage("podman", "image", "inspect", found).out)
        made = storage("podman", "create", "--network", "none", found).out.strip()
        storage("podman", "export", "-o", tmp_path / "tar", made)
        with tarfile.open(tmp_path / "tar") as tar:
            inside = {m.name[4:]: m.linkname or tar.extractfile(m).read() for m in tar if m.name.startswith("app/")}
    assert about["RootFS"]["Layers"] == [layer.diff_id for layer in image.layers]
    assert about["Config"]["Entrypoint"] == ["/app/run"]
    assert_tree({name: data for name, data in inside.items() if name})


def test_every_document_passes_the_schemas(locations, image):
    valid = image_spec.validator()
    directory = Path(locations["oci"].split(":")[1])
    with tarfile.open(locations["oci-archive"].split(":")[1]) as tar:
        packed = {member.name: tar.extractfile(member).read() for member in tar if member.isfile()}
    unpacked = {str(p.relative_to(directory)): p.read_bytes() for p in directory.rglob("*") if p.is_file()}
    assert packed == unpacked
    valid(unpacked["oci-layout"], "image-layout-schema")
    valid(unpacked["index.json"], "image-index-schema")
    (root,) = json.loads(unpacked["index.json"])["manifests"]
    manifest = unpacked[f"blobs/sha256/{root['digest'][7:]}"]
    config = unpacked[f"blobs/sha256/{json.loads(manifest)['config']['digest'][7:]}"]
    with RegistryClient(locations["registry"].split("/")[2]) as client:
        assert client.get_manifest("acme/app", "v1").raw == manifest
    with tarfile.open(locations["docker-archive"].split(":")[1]) as tar:
        (listed,) = json.load(tar.extractfile("manifest.json"))
        docker_config = tar.extractfile(listed["Config"]).read()
    valid(manifest, "image-manifest-schema")
    valid(config, "config-schema")
    valid(docker_config, "config-schema")
    valid(ImageIndex([image]).index_bytes, "image-index-schema")
    for descriptor in (root, json.loads(manifest)["config"], *json.loads(manifest)["layers"]):
        valid(json.dumps(descriptor), "content-descriptor")
