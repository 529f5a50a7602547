"""Other tools read the layouts and archives of Dockless."""

import json

import pytest
from made_images import make_image
from real_tools import containers_storage, need, run

from dockless.layout.docker_archive_writer import write_docker_archive
from dockless.layout.oci_archive import write_oci_archive
from dockless.layout.oci_layout import named
from dockless.layout.oci_layout_writer import write_layout
from dockless.oci.reference import Reference


@pytest.fixture
def written(tmp_path):
    image = make_image(b"one" * 500, b"two", config={"created": "1970-01-01T00:00:00Z", "history": []})
    roots = named(image.manifest.descriptor, ["v1"])
    write_layout(str(tmp_path / "l"), roots, image.all_blobs, image.blobs)
    write_oci_archive(str(tmp_path / "o"), roots, image.all_blobs, image.blobs)
    write_docker_archive(str(tmp_path / "d"), image.documents, [Reference.parse("acme/app:1")], image.blobs)
    return image


@pytest.mark.parametrize("source", ["oci:l:v1", "oci-archive:o:v1", "docker-archive:d:acme/app:1"])
def test_skopeo_reads_and_copies_them(tmp_path, written, source):
    need("skopeo")
    found = json.loads(run("skopeo", "inspect", source, cwd=tmp_path).out)
    assert found["Architecture"] == "amd64" and len(found["Layers"]) == 2
    if not source.startswith("docker"):
        assert found["Digest"] == written.manifest.digest
    run("skopeo", "copy", "-q", source, "oci:copy:x", cwd=tmp_path)
    config = json.loads(run("skopeo", "inspect", "--config", "oci:copy:x", cwd=tmp_path).out)
    assert tuple(config["rootfs"]["diff_ids"]) == written.documents.config.diff_ids


def test_umoci_unpacks_a_layout(tmp_path, written):
    need("umoci")
    run("umoci", "unpack", "--rootless", "--image", f"{tmp_path}/l:v1", str(tmp_path / "bundle"))
    assert (tmp_path / "bundle/rootfs/f1").read_bytes() == b"two"


@pytest.mark.parametrize("name", ["o", "d"])
def test_podman_loads_archives(tmp_path, written, name):
    with containers_storage("podman") as storage:
        out = storage("podman", "load", "-q", "-i", str(tmp_path / name)).out
        assert "Loaded image" in out
        found = json.loads(storage("podman", "image", "inspect", out.split(":", 1)[1].strip()).out)
    assert tuple(found[0]["RootFS"]["Layers"]) == written.documents.config.diff_ids
