"""What we write passes the image spec's JSON schemas, where IMAGE_SPEC_SCHEMAS names the folder that holds them.

They are the files of the `schema` folder of opencontainers/image-spec.
"""

import json
import os
from pathlib import Path

import pytest
from made_images import make_image

from dockless.config import ConfigEdit
from dockless.image.assemble import assemble_image
from dockless.image.index import assemble_index
from dockless.layout.oci import layout_files

SCHEMAS = os.environ.get("IMAGE_SPEC_SCHEMAS", "")


@pytest.fixture(scope="module")
def check():
    if not SCHEMAS:
        pytest.skip("NOT TESTED: IMAGE_SPEC_SCHEMAS names no folder with the image spec's schemas")
    # After the skip: beside Pants' old typing-extensions these cannot even be imported.
    jsonschema = pytest.importorskip("jsonschema")
    referencing = pytest.importorskip("referencing")
    from referencing.jsonschema import DRAFT4

    schemas = {path.name: json.loads(path.read_text()) for path in Path(SCHEMAS).glob("*.json")}
    found = [(schema.get("id", name), DRAFT4.create_resource(schema)) for name, schema in schemas.items()]
    # They refer to each other by file, from wherever they are said to be.
    by_file = [(name, DRAFT4.create_resource(schema)) for name, schema in schemas.items()]
    beside = [
        (f"{schema['id'].rsplit('/', 1)[0]}/{name}", DRAFT4.create_resource(other))
        for schema in schemas.values()
        if "id" in schema
        for name, other in schemas.items()
    ]
    registry = referencing.Registry().with_resources([*found, *by_file, *beside])

    def valid(raw, name):
        jsonschema.Draft4Validator(schemas[name], registry=registry).validate(json.loads(raw))

    return valid


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
        check(image.manifest.raw, "image-manifest-schema.json")
        check(image.config_bytes, "config-schema.json")
        check(assemble_index([image]).raw, "image-index-schema.json")
        files = layout_files([image.descriptor], image.documents)
        check(files["oci-layout"], "image-layout-schema.json")
        check(files["index.json"], "image-index-schema.json")


def test_they_refuse_what_is_wrong(check):
    import jsonschema

    image = assemble_image(None, (), ConfigEdit())
    with pytest.raises(jsonschema.ValidationError):
        check(image.manifest.raw.replace(b'"layers"', b'"lawyers"'), "image-manifest-schema.json")
