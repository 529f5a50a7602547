import json

import pytest

from dockless.errors import DocklessError, InvalidDocumentError, InvalidValueError
from dockless.oci import media_types as mt
from dockless.oci.descriptor import Descriptor
from dockless.oci.digest import Digest
from dockless.oci.manifest import Index, Manifest, make_index, make_manifest, parse_manifest
from dockless.oci.platform import Platform
from dockless.oci.selection import select_image

A, B = Digest.of(b"a"), Digest.of(b"b")


def descriptor(media_type=mt.OCI_CONFIG, digest=A, size=1, **more):
    return {"mediaType": media_type, "digest": digest, "size": size, **more}


def manifest(**changes):
    found = {
        "schemaVersion": 2,
        "mediaType": mt.OCI_MANIFEST,
        "config": descriptor(),
        "layers": [descriptor(mt.OCI_LAYER + "+gzip", B, 7)],
        **changes,
    }
    return json.dumps({key: value for key, value in found.items() if value is not None}).encode()


def index(**changes):
    found = {
        "schemaVersion": 2,
        "mediaType": mt.OCI_INDEX,
        "manifests": [
            descriptor(mt.OCI_MANIFEST, A, 7, platform={"os": "linux", "architecture": "amd64", "os.features": ["x"]}),
            descriptor(mt.OCI_MANIFEST, B, 7, platform={"os": "linux", "architecture": "arm64", "variant": "v8"}),
            descriptor(mt.OCI_MANIFEST, B, 7, platform={"os": "unknown", "architecture": "unknown"}),
        ],
        **changes,
    }
    return json.dumps({key: value for key, value in found.items() if value is not None}).encode()


def test_a_manifest_keeps_its_bytes():
    raw = manifest(annotations={"a": "b"}, somethingNew=[1])
    found = Manifest.from_bytes(raw, "x")
    assert found.raw == raw
    assert found.digest == Digest.of(raw)
    assert found.layers[0].size == 7
    assert found.descriptor == Descriptor(mt.OCI_MANIFEST, Digest.of(raw), len(raw))
    assert found.json["somethingNew"] == [1]


@pytest.mark.parametrize("served", ["", mt.OCI_MANIFEST, mt.OCI_MANIFEST + "; charset=utf-8", "application/json"])
def test_a_manifest_without_media_type_has_the_served_content_type(served):
    assert parse_manifest(manifest(mediaType=None), "x", media_type=served).media_type == mt.OCI_MANIFEST


def test_docker_types_are_known():
    found = parse_manifest(manifest(mediaType=None), "x", media_type=mt.DOCKER_MANIFEST)
    assert found.media_type == mt.DOCKER_MANIFEST
    assert isinstance(parse_manifest(index(mediaType=mt.DOCKER_INDEX), "x"), Index)
    assert isinstance(parse_manifest(index(mediaType=None), "x"), Index)


@pytest.mark.parametrize(
    "raw, served, message",
    [
        (manifest(schemaVersion=1), "", "schema 1"),
        (manifest(), mt.DOCKER_SCHEMA1_SIGNED, "schema 1"),
        (manifest(schemaVersion=None), "", "schemaVersion"),
        (manifest(), mt.OCI_INDEX, "served as"),
        (manifest(mediaType=mt.OCI_INDEX), "", "its content is an i"),
        (index(mediaType=mt.OCI_MANIFEST), "", "its content is an i"),
        (manifest(manifests=[]), "", "both layers and manifests"),
        (manifest(mediaType="application/x"), "", "unknown mediaType"),
        (manifest(mediaType=5), "", "not a string"),
        (manifest(config=None, artifactType="application/x", layers=[]), "", "artifact"),
        (manifest(config=None), "", "has no config"),
        (manifest(layers={}), "", "no list of layers"),
        (manifest(layers=[3]), "", "layers[0]"),
        (manifest(layers=[descriptor(size=-1)]), "", "size"),
        (manifest(layers=[descriptor(size=True)]), "", "size"),
        (manifest(layers=[descriptor(size=1.0)]), "", "size"),
        (manifest(layers=[descriptor(size="1")]), "", "size"),
        (manifest(layers=[descriptor(size=2**63)]), "", "size"),
        (manifest(layers=[descriptor(digest="sha256:../../etc/passwd")]), "", "invalid digest"),
        (manifest(layers=[descriptor(digest=None)]), "", "no digest"),
        (manifest(layers=[descriptor(media_type=None)]), "", "no mediaType"),
        (manifest(layers=[descriptor(urls="x")]), "", "urls"),
        (manifest(layers=[descriptor(annotations={"a": 1})]), "", "map of strings"),
    ],
)
def test_confusing_or_hostile_documents_are_refused(raw, served, message):
    with pytest.raises(DocklessError) as caught:
        parse_manifest(raw, "registry.io/x", media_type=served)
    assert message in str(caught.value)


def test_manifests_and_indexes_are_not_confused():
    with pytest.raises(InvalidDocumentError, match="is an index"):
        Manifest.from_bytes(index(), "x")
    with pytest.raises(InvalidDocumentError, match="is an image manifest"):
        Index.from_bytes(manifest(), "x")


def test_the_platform_is_chosen_by_normal_form_and_missing_ones_are_listed():
    found = Index.from_bytes(index(), "x")

    def select(platform):
        return select_image(found, Platform.parse(platform), "x", lambda child: found, lambda manifest: None)

    assert select("linux/arm64").digest == B
    with pytest.raises(InvalidDocumentError, match="linux/amd64, linux/arm64/v8") as caught:
        select("linux/s390x")
    assert "unknown" not in str(caught.value)


def test_descriptors_survive_a_round_trip():
    for original in (
        descriptor(),
        descriptor(urls=["https://a"], annotations={"a": "b"}, artifactType="x", data="aGk=", new={"a": [1]}),
        descriptor(platform={"os": "linux", "architecture": "amd64", "os.features": ["x"], "new": 1}),
        descriptor(annotations={}),
    ):
        assert Descriptor.from_json(original, "x").to_json() == original


def test_our_own_documents_have_golden_digests():
    made = make_manifest(Descriptor(mt.OCI_CONFIG, A, 1), [Descriptor(mt.layer_media_type("gzip"), B, 7)])
    assert made.digest == "sha256:0c01c165a07639cec9ee9423adee08781ab5b312682abf81e4125d49d4bf5412"
    assert Manifest.from_bytes(made.raw, "x") == made
    listed = make_index([made.descriptor._replace(platform=Platform("linux", "amd64"))])
    assert listed.digest == "sha256:f55bc2e8ba3cf12a78cdae40f06b6dab6b7120ce8b82e8f6c4dee3e42479f9b6"
    assert make_manifest(Descriptor(mt.DOCKER_CONFIG, A, 1), [], image_format="docker").media_type == mt.DOCKER_MANIFEST


def test_layer_media_types():
    assert mt.layer_media_type("none") == mt.OCI_LAYER
    assert mt.layer_media_type("zstd") == mt.OCI_LAYER + "+zstd"
    assert mt.layer_media_type("gzip", "docker") == mt.DOCKER_LAYER_GZIP
    with pytest.raises(InvalidValueError):
        mt.layer_media_type("bzip2")
    assert mt.is_foreign("application/vnd.docker.image.rootfs.foreign.diff.tar.gzip")
    assert mt.is_foreign("application/vnd.oci.image.layer.nondistributable.v1.tar+gzip")
    assert not mt.is_foreign(mt.DOCKER_LAYER_GZIP)
