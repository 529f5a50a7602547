import json
import os

import pytest
from made_images import layout_of, make_image

from dockless.errors import InvalidDocumentError, LayoutError
from dockless.layout.oci_layout import OciLayout, layout_files


def test_layouts_of_other_tools_are_read(tmp_path, image):
    layout = OciLayout(str(layout_of(tmp_path / "l", image.manifest.descriptor, blobs=image.blobs, names=["v1"])))
    assert layout.names() == ["v1"]
    assert layout.root() == layout.root("v1") == layout.root(image.manifest.digest)
    assert layout.manifest(layout.root()) == image.manifest
    with layout.open(image.manifest.layers[0]) as blob:
        assert blob.read() == image.blobs[image.manifest.layers[0].digest]


def test_one_image_under_two_names_needs_no_name(tmp_path, image):
    root = image.manifest.descriptor
    assert OciLayout(str(layout_of(tmp_path / "l", root, root, blobs=image.blobs, names=["a", "b"]))).root()


def test_choice_of_the_image(tmp_path, image):
    other = make_image(b"three", blobs=image.blobs)
    roots = image.manifest.descriptor, other.manifest.descriptor
    layout = OciLayout(str(layout_of(tmp_path / "l", *roots, blobs=image.blobs, names=["a", "b"])))
    with pytest.raises(LayoutError, match="has 2 images: it has a, b; name one image"):
        layout.root()
    with pytest.raises(LayoutError, match="has no image with the name 'c': it has a, b"):
        layout.root("c")


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("oci-layout", None, "not an OCI layout.*No such file"),
        ("oci-layout", '{"imageLayoutVersion": "2.0.0"}', "does not have the version 1.0.0: its version is '2.0.0'"),
        ("oci-layout", "[]", "value is not an object"),
        ("index.json", None, "not an OCI layout.*No such file"),
        ("index.json", "{", "not a valid JSON document"),
        ("index.json", '{"schemaVersion": 2, "manifests": {}}', "no list of manifests"),
        ("index.json", '{"schemaVersion": 2, "layers": []}', "has no config|config is not an object|is not an object"),
        ("index.json", " " * (5 << 20), "larger than"),
    ],
)
def test_directories_that_are_not_layouts(tmp_path, image, name, content, reason):
    directory = layout_of(tmp_path / "l", image.manifest.descriptor, blobs=image.blobs)
    (directory / name).unlink()
    if content is not None:
        (directory / name).write_text(content)
    with pytest.raises((LayoutError, InvalidDocumentError), match=reason):
        OciLayout(str(directory))


@pytest.mark.parametrize("make", [lambda path: path.symlink_to("/etc/passwd"), os.mkfifo, os.mkdir, lambda path: None])
def test_a_blob_that_is_a_link_a_fifo_a_directory_or_missing(tmp_path, image, make):
    directory = layout_of(tmp_path / "l", image.manifest.descriptor, blobs=image.blobs)
    layer = image.manifest.layers[0]
    path = directory / "blobs/sha256" / layer.digest.hex
    path.unlink()
    make(path)
    with pytest.raises(LayoutError, match=f"lacks the blob {layer.digest}"):
        OciLayout(str(directory)).open(layer)


def test_a_damaged_manifest(tmp_path, image):
    directory = layout_of(tmp_path / "l", image.manifest.descriptor, blobs=image.blobs)
    (directory / "blobs/sha256" / image.manifest.digest.hex).write_bytes(image.manifest.raw + b" ")
    layout = OciLayout(str(directory))
    with pytest.raises(LayoutError, match="is damaged: "):
        layout.manifest(layout.root())


def test_the_documents_of_a_layout(image):
    files = layout_files([image.manifest.descriptor], image.documents.documents)
    assert json.loads(files["oci-layout"]) == {"imageLayoutVersion": "1.0.0"}
    assert json.loads(files["index.json"])["manifests"][0]["digest"] == image.manifest.digest
    assert files[f"blobs/sha256/{image.manifest.digest.hex}"] == image.manifest.raw
    assert len(files) == 4
