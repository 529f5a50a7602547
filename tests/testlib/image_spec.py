"""The image spec's JSON schemas, as Debian packages them."""

import json
import os
from pathlib import Path

import pytest

PACKAGE = "golang-github-opencontainers-image-spec-dev"
DIRECTORY = Path("/usr/share/gocode/src/github.com/opencontainers/image-spec/schema")


def validator():
    """Returns a function of the bytes of a document and the name of a schema, which raises ValidationError.

    Without the schemas the test is skipped; with CI=true that is a failure.
    """
    if not DIRECTORY.is_dir():
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(f"NOT TESTED, not installed: {PACKAGE}")
    import jsonschema

    schemas = {path.name: json.loads(path.read_text()) for path in DIRECTORY.glob("*.json")}

    class Beside(jsonschema.RefResolver):
        """Resolves references between schemas by file name."""

        def resolve_remote(self, uri):
            return schemas[uri.rpartition("/")[2]]

    def valid(raw, name):
        schema = schemas[f"{name}.json"]
        resolver = Beside.from_schema(schema)
        jsonschema.Draft4Validator(schema, resolver=resolver).validate(json.loads(raw))

    return valid
