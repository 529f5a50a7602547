"""The reference that an image gets when another tool loads an oci-archive."""

import json
import tarfile

import pytest
from made_images import layout_of, make_image
from real_tools import containers_storage

from dockless.layout.oci_layout import with_loaded_name
from dockless.oci.reference import Reference
from dockless.testing import Registry
from dockless.transfer.copy import copy_image

IMAGE = make_image(b"one", config={"created": "1970-01-01T00:00:00Z"})
DESCRIPTOR = IMAGE.documents.manifest.descriptor
REF_NAME, LOADED_NAME = "org.opencontainers.image.ref.name", "io.containerd.image.name"


@pytest.mark.parametrize(
    ("name", "source", "expected"),
    [
        ("ghcr.io/acme/app:1", None, "ghcr.io/acme/app:1"),
        ("acme/app", None, "docker.io/acme/app:latest"),
        ("app:1.2", None, "docker.io/library/app:1.2"),
        ("localhost/app:1", "ghcr.io/acme/app:2", "localhost/app:1"),
        ("", "ghcr.io/acme/app:2", "ghcr.io/acme/app:2"),
        ("1.0", "ghcr.io/acme/app:2", "ghcr.io/acme/app:1.0"),
        ("1.0", "ghcr.io/acme/app", "ghcr.io/acme/app:1.0"),
        ("", f"ghcr.io/acme/app@{DESCRIPTOR.digest}", None),
        ("", None, None),
        ("1.0", None, None),
        ("A/B", None, None),
        ("a+b", "ghcr.io/acme/app:2", None),
        (f"acme/app@{DESCRIPTOR.digest}", None, None),
    ],
)
def test_the_loaded_name(name, source, expected):
    root = DESCRIPTOR._replace(annotations={REF_NAME: name} if name else None)
    found = with_loaded_name(root, Reference.parse(source) if source else None)
    assert (found.annotations or {}).get(LOADED_NAME) == expected
    assert (found.annotations or {}).get(REF_NAME, "") == name
    assert found._replace(annotations=None) == DESCRIPTOR


@pytest.mark.parametrize("name", ["", ":2", ":acme/app:2"])
def test_archives_of_images_of_a_registry(tmp_path, name):
    archive = tmp_path / "a.tar"
    with Registry() as registry:
        for blob in IMAGE.blobs.values():
            registry.put_blob("team/app", blob)
        registry.put_manifest("team/app", IMAGE.manifest.raw, IMAGE.manifest.media_type, "1")
        source = f"{registry.host}/team/app:1"
        result = copy_image(source, f"oci-archive:{archive}{name}")
    assert result.digest == IMAGE.manifest.digest
    with tarfile.open(archive) as tar:
        (entry,) = json.load(tar.extractfile("index.json"))["manifests"]
    expected = {"": source, ":2": source[:-1] + "2", ":acme/app:2": "docker.io/acme/app:2"}[name]
    assert entry["digest"] == IMAGE.manifest.digest
    assert entry["annotations"].pop(LOADED_NAME) == expected
    assert entry["annotations"] == ({REF_NAME: name[1:]} if name else {})
    # The image is found by either name.
    for each in {name[1:], expected}:
        assert copy_image(f"oci-archive:{archive}:{each}", f"oci:{tmp_path}/o").digest == IMAGE.manifest.digest


def test_podman_loads_an_archive_under_its_reference(tmp_path):
    layout = tmp_path / "l"
    layout_of(layout, DESCRIPTOR, blobs=IMAGE.blobs)
    copy_image(f"oci:{layout}", f"oci-archive:{tmp_path}/a.tar:registry.example/acme/app:3")
    with containers_storage("podman") as storage:
        out = storage("podman", "load", "-q", "-i", str(tmp_path / "a.tar")).out
    assert out.strip().endswith("registry.example/acme/app:3")
