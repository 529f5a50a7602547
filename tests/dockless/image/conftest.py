import json

import pytest

from dockless.oci import media_types
from dockless.oci.digest import Digest
from dockless.oci.image_documents import ImageDocuments
from dockless.oci.manifest import Manifest


def encoded(document):
    return json.dumps(document, indent=3).encode()


def documents(config, *, layers=("lower", "upper"), docker=True, **manifest):
    """Return an image whose layers have the digest `sha256(name)` and the diff ID `sha256(name!)`."""
    config_bytes = encoded(
        {
            "architecture": "amd64",
            "os": "linux",
            "rootfs": {"type": "layers", "diff_ids": [str(Digest.of(f"{name}!".encode())) for name in layers]},
            **config,
        }
    )
    kind = media_types.DOCKER_LAYER_GZIP if docker else f"{media_types.OCI_LAYER}+gzip"
    raw = encoded(
        {
            "schemaVersion": 2,
            "mediaType": media_types.DOCKER_MANIFEST if docker else media_types.OCI_MANIFEST,
            "config": {
                "mediaType": media_types.DOCKER_CONFIG if docker else media_types.OCI_CONFIG,
                "digest": str(Digest.of(config_bytes)),
                "size": len(config_bytes),
            },
            "layers": [
                {"mediaType": kind, "size": len(name), "digest": str(Digest.of(name.encode()))} for name in layers
            ],
            **manifest,
        }
    )
    return ImageDocuments.read(Manifest.from_bytes(raw, "base"), config_bytes, "base")


@pytest.fixture
def make_base():
    return documents
