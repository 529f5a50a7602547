import gzip
import io
import json
import tarfile
from contextlib import closing

import pytest
from made_images import make_image, tar_of

from dockless.errors import InvalidValueError, LayoutError
from dockless.layout.docker_archive_reader import DockerArchive
from dockless.layout.docker_archive_writer import write_docker_archive
from dockless.layout.oci_archive import write_oci_archive
from dockless.layout.oci_layout import OciLayout, named
from dockless.mutate.assemble import assemble_image
from dockless.mutate.config_edit import ConfigEdit
from dockless.oci.digest import Digest
from dockless.oci.image_documents import ImageDocuments
from dockless.oci.manifest import make_manifest
from dockless.oci.reference import Reference


def save(path, image, *references):
    write_docker_archive(str(path), image.documents, [Reference.parse(r) for r in references], image.blobs)


def docker_tar(path, listed, files, compress=False):
    """Write a docker-archive, and return a context manager that opens it."""
    data = tar_of({**files, "manifest.json": json.dumps(listed).encode()})
    path.write_bytes(gzip.compress(data) if compress else data)
    return closing(DockerArchive(str(path)))


def saved(image, prefix=""):
    """Return the list of `docker save` and its files: the config and uncompressed tars."""
    layers = {
        f"{prefix}{n}/layer.tar": gzip.decompress(image.blobs[layer.digest])
        for n, layer in enumerate(image.manifest.layers)
    }
    listed = {"Config": f"{prefix}c.json", "RepoTags": ["app:1"], "Layers": list(layers)}
    return listed, {**layers, f"{prefix}c.json": image.documents.config_bytes}


def test_an_oci_archive_is_a_layout(tmp_path, image):
    write_oci_archive(str(tmp_path / "a"), named(image.manifest.descriptor, ["v1"]), image.all_blobs, image.blobs)
    layout = OciLayout.in_archive(str(tmp_path / "a"))
    assert layout.manifest(layout.root("v1")) == image.manifest
    assert layout.open(image.manifest.layers[0]).read() == image.blobs[image.manifest.layers[0].digest]
    layout.close()


def test_archives_are_reproducible_and_owned_by_root(tmp_path, image):
    for name in "ab":
        roots = named(image.manifest.descriptor, ["v1"])
        blobs = image.all_blobs if name == "a" else image.all_blobs[::-1]
        write_oci_archive(str(tmp_path / f"o{name}"), roots, blobs, image.blobs)
        save(tmp_path / f"d{name}", image, "app:1")
    for kind in "od":
        data = (tmp_path / f"{kind}a").read_bytes()
        assert data == (tmp_path / f"{kind}b").read_bytes()
        with tarfile.open(fileobj=io.BytesIO(data)) as tar:
            for member in tar:
                assert (member.mtime, member.uid, member.gid, member.uname) == (0, 0, 0, "")


def test_a_failure_keeps_the_previous_file(tmp_path, image):
    (tmp_path / "a").write_text("before")
    del image.blobs[image.manifest.layers[1].digest]
    with pytest.raises(LayoutError):
        write_oci_archive(str(tmp_path / "a"), [image.manifest.descriptor], image.all_blobs, image.blobs)
    with pytest.raises(LayoutError):
        save(tmp_path / "a", image)
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
    assert (tmp_path / "a").read_text() == "before"


def test_a_docker_archive_has_uncompressed_layers_and_the_unchanged_config(tmp_path, image):
    save(tmp_path / "a", image, "app:1", "ghcr.io/acme/app")
    with tarfile.open(tmp_path / "a") as tar:
        (listed,) = json.load(tar.extractfile("manifest.json"))
        assert listed["RepoTags"] == ["app:1", "ghcr.io/acme/app:latest"]
        assert tar.extractfile(listed["Config"]).read() == image.documents.config_bytes
        for name, layer in zip(listed["Layers"], image.manifest.layers):
            assert tar.extractfile(name).read() == gzip.decompress(image.blobs[layer.digest])


def test_a_layer_twice_is_stored_once(tmp_path):
    image = make_image(b"same")
    twice = make_image(b"same", b"x")
    layers = image.documents.layers * 2 + twice.documents.layers[1:]
    made = assemble_image(None, layers, ConfigEdit())
    write_docker_archive(str(tmp_path / "a"), made, [], twice.blobs)
    with tarfile.open(tmp_path / "a") as tar:
        assert len(tar.getnames()) == 4
    with closing(DockerArchive(str(tmp_path / "a"))) as archive:
        assert archive.image().config.diff_ids == made.config.diff_ids


def test_a_layer_with_another_diff_id(tmp_path, image):
    """Neither a blob of other bytes than its digest says, nor one whose content the config does not name."""
    other = gzip.compress(tar_of({"other": b""}))
    digest = image.manifest.layers[0].digest
    image.blobs[digest] = other
    with pytest.raises(LayoutError, match=f"the blob {digest} is damaged: it has {len(other)} bytes"):
        save(tmp_path / "a", image)
    layer = image.manifest.layers[0]._replace(digest=Digest.of(other), size=len(other))
    image.blobs[layer.digest] = other
    manifest = make_manifest(image.manifest.config, [layer, *image.manifest.layers[1:]])
    documents = ImageDocuments(manifest, image.documents.config, image.documents.config_bytes)
    with pytest.raises(LayoutError, match=r"its content has the digest sha256:.* the diff ID in the config is"):
        write_docker_archive(str(tmp_path / "a"), documents, [], image.blobs)


def test_a_digest_cannot_be_a_name_in_a_docker_archive(tmp_path, image):
    with pytest.raises(InvalidValueError, match="give it a tag"):
        save(tmp_path / "a", image, f"app@{image.manifest.digest}")


@pytest.mark.parametrize("compress", [False, True])
def test_archives_of_docker_save_are_read(tmp_path, image, compress):
    with docker_tar(tmp_path / "a", [saved(image)[0]], saved(image)[1], compress) as archive:
        found = archive.image()
        assert found.config == image.documents.config
        assert found.image_format == "docker"
        for layer, original in zip(found.layers, image.documents.layers):
            assert layer.descriptor.digest == layer.diff_id == original.diff_id
            with archive.open(layer.descriptor) as file:
                assert file.read() == gzip.decompress(image.blobs[original.descriptor.digest])
        assert archive.open(found.manifest.descriptor).read() == found.manifest.raw


def test_compressed_layers_of_crane_are_read(tmp_path, image):
    listed, files = saved(image)
    packed = {name: gzip.compress(data) if name.endswith(".tar") else data for name, data in files.items()}
    with docker_tar(tmp_path / "a", [listed], packed) as archive:
        found = archive.image()
    assert found.manifest.layers[0].media_type.endswith("tar.gzip")
    assert found.manifest.layers[0].digest != found.config.diff_ids[0]


def test_choice_of_the_image(tmp_path, image):
    other = make_image(b"three")
    (one, files), (two, more) = saved(image), saved(other, "o")
    listed = [one, {**two, "RepoTags": ["docker.io/library/two:2"]}]
    with docker_tar(tmp_path / "a", listed, {**files, **more}) as archive:
        assert archive.image("two:2").config == other.documents.config
        assert archive.image("docker.io/library/app:1").config == image.documents.config
        with pytest.raises(LayoutError, match=r"has 2 images: it has app:1, docker.io/library/two:2"):
            archive.image()
        with pytest.raises(LayoutError, match="has no image with the name 'three'"):
            archive.image("three")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"Layers": ["0/layer.tar", "no"]}, "lacks the layer no"),
        ({"Layers": ["0/layer.tar"]}, "1 layer, c.json 2 diff IDs"),
        ({"Layers": ["../../../etc/passwd", "0/layer.tar"]}, "lacks the layer ../../../etc/passwd"),
        ({"Config": "no.json"}, "has no file no.json"),
        ({"Config": "0/layer.tar"}, "not a valid JSON"),
        ({"Config": None}, "without valid Config"),
        ({"Layers": "x"}, "without valid Config, RepoTags and Layers"),
        ({"RepoTags": [1]}, "without valid Config, RepoTags and Layers"),
    ],
)
def test_inconsistent_manifest_lists(tmp_path, image, change, reason):
    listed, files = saved(image)
    with pytest.raises(LayoutError, match=reason), docker_tar(tmp_path / "a", [{**listed, **change}], files) as archive:
        archive.image()


def test_files_that_are_not_docker_archives(tmp_path, image):
    for listed, reason in (([], "has no image"), ({}, "has no image"), ("x", "has no image")):
        with pytest.raises(LayoutError, match=reason):
            docker_tar(tmp_path / "a", listed, {})
    (tmp_path / "a").write_bytes(tar_of({"x": b""}))
    with pytest.raises(LayoutError, match=r"has no manifest\.json"):
        DockerArchive(str(tmp_path / "a"))
    write_oci_archive(str(tmp_path / "o"), [image.manifest.descriptor], image.all_blobs, image.blobs)
    with pytest.raises(LayoutError, match="the archive is an oci-archive: write oci-archive:FILE"):
        DockerArchive(str(tmp_path / "o"))
