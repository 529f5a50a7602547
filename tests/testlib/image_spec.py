"""The image spec's JSON schemas, as Debian packages them."""

import json
import os
from pathlib import Path

import pytest

PACKAGE = "golang-github-opencontainers-image-spec-dev"
DIRECTORY = Path("/usr/share/gocode/src/github.com/opencontainers/image-spec/schema")


def validator():
    """A function of a document's bytes and a schema's name, such as `image-manifest-schema`. It raises ValidationError.

    Without the schemas the test is skipped; with CI=true that is a failure.
    """
    if not DIRECTORY.is_dir():
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(f"NOT TESTED, not installed: {PACKAGE}")
    import jsonschema

    schemas = {path.name: json.loads(path.read_text()) for path in DIRECTORY.glob("*.json")}

    class Beside(jsonschema.RefResolver):
        """They refer to each other by file, from wherever they are said to be."""

        def resolve_remote(self, uri):
            return schemas[uri.rpartition("/")[2]]

    def valid(raw, name):
        schema = schemas[f"{name}.json"]
        resolver = Beside.from_schema(schema)
        jsonschema.Draft4Validator(schema, resolver=resolver).validate(json.loads(raw))

    return valid
