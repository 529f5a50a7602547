"""Documents by strangers, and the check that they are refused."""

import json

import pytest
from made_images import make_image

from dockless.errors import DocklessError
from dockless.lockfile import LockedBase, LockedImage
from dockless.oci import media_types
from dockless.oci.manifest import parse_manifest
from dockless.oci.platform import Platform
from dockless.oci.reference import Reference

DIGEST = "sha256:" + "1" * 64
LAYER = {"mediaType": "application/vnd.oci.image.layer.v1.tar+gzip", "digest": DIGEST, "size": 1}
CONFIG = {"mediaType": media_types.OCI_CONFIG, "digest": DIGEST, "size": 2}
MANIFEST = {"schemaVersion": 2, "mediaType": media_types.OCI_MANIFEST, "config": CONFIG, "layers": [LAYER]}
CHILD = {"mediaType": media_types.OCI_MANIFEST, "digest": DIGEST, "size": 2}
INDEX = {"schemaVersion": 2, "mediaType": media_types.OCI_INDEX, "manifests": [CHILD]}


def refused(raw, **options):
    with pytest.raises(DocklessError) as caught:
        parse_manifest(raw if isinstance(raw, bytes) else json.dumps(raw).encode(), "x", **options)
    text = str(caught.value)
    assert text.isprintable()
    assert len(text) < 2100
    return text


def locked_base(name, size):
    image = make_image(config={"x": "a" * size})
    documents = image.documents
    locked = LockedImage(Platform("linux", "amd64"), documents.manifest, documents.config_bytes)
    return LockedBase(Reference.parse(f"reg.example/{name}:1"), documents.manifest.digest, None, (locked,))
