"""The documents that Dockless writes are valid under the JSON schemas of the image spec."""

import json

import image_spec
import pytest
from made_images import make_image

from dockless.layout.oci_layout import layout_files
from dockless.mutate.assemble import assemble_image
from dockless.mutate.config_edit import ConfigEdit
from dockless.mutate.index import assemble_index


@pytest.fixture(scope="module")
def check():
    return image_spec.validator()


@pytest.mark.parametrize("docker", [False, True])
def test_manifest_config_index_and_layout(check, docker):
    base = make_image(b"one", b"two", docker=docker).documents
    edit = ConfigEdit(
        entrypoint=("/app",),
        cmd=("-v",),
        env={"A": "1"},
        working_dir="/w",
        user="1:2",
        labels={"a": "b"},
        exposed_ports=("80",),
        volumes=("/v",),
        stop_signal="SIGINT",
    )
    for image in (
        assemble_image(None, base.layers, edit),
        assemble_image(None, base.layers, edit, base=base, image_format="oci", annotations={"k": "v"}),
    ):
        check(image.manifest.raw, "image-manifest-schema")
        check(image.config_bytes, "config-schema")
        check(assemble_index([image]).raw, "image-index-schema")
        files = layout_files([image.descriptor], image.documents)
        check(files["oci-layout"], "image-layout-schema")
        check(files["index.json"], "image-index-schema")


@pytest.mark.parametrize(
    ("schema", "change"),
    [
        ("image-manifest-schema", lambda m: m.update(lawyers=m.pop("layers"))),
        ("image-manifest-schema", lambda m: m["layers"][0].update(digest="no digest")),
        ("image-manifest-schema", lambda m: m["config"].update(size="1")),
        ("config-schema", lambda c: c.pop("rootfs")),
        ("config-schema", lambda c: c["config"].update(Env="A=1")),
    ],
)
def test_invalid_documents_are_refused(check, schema, change):
    import jsonschema

    image = assemble_image(None, make_image(b"one").documents.layers, ConfigEdit(env={"A": "1"}))
    raw = image.manifest.raw if schema == "image-manifest-schema" else image.config_bytes
    check(raw, schema)
    document = json.loads(raw)
    change(document)
    with pytest.raises(jsonschema.ValidationError):
        check(json.dumps(document), schema)
