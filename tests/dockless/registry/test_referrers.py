"""Referrers of an image: from the API, in pages, or from the referrers tag."""

import json

import pytest

from dockless.errors import DocklessError, InvalidDocumentError
from dockless.oci import media_types
from dockless.oci.manifest import make_manifest, parse_manifest
from dockless.registry import push
from dockless.registry.errors import ProtocolError, ResponseError
from dockless.testing import PROFILES, Fault, Registry

EMPTY = b"{}"


def sbom(image, kind="application/spdx+json", **more):
    """Return the bytes of a manifest whose subject is `image`."""
    config = image.source.add(EMPTY, "application/vnd.oci.empty.v1+json")
    document = make_manifest(config, [config]).json
    document.update(artifactType=kind, subject=image.root.descriptor.to_json(), **more)
    return json.dumps(document).encode()


def pushed(client, registry, image):
    push(image.root, image.source, client, "app", ["v1"])
    registry.put_blob("app", EMPTY)


# With immutable tags, the referrers tag cannot be updated.
@pytest.mark.parametrize("profile", [name for name, profile in PROFILES.items() if not profile.immutable_tags])
def test_referrers_are_found_in_every_registry(profile, connect, image):
    with Registry(profile=PROFILES[profile], repositories=["app"]) as registry:
        client = connect(registry.host)
        pushed(client, registry, image)
        assert client.referrers("app", image.digest) == ()
        first, second = sbom(image, annotations={"a": "b"}), sbom(image, "application/x")
        for raw in (first, second, first):
            client.put_manifest("app", "a-tag", raw, media_types.OCI_MANIFEST)
        found = client.referrers("app", image.digest)
        assert sorted(d.artifact_type for d in found) == ["application/spdx+json", "application/x"]
        [one] = client.referrers("app", image.digest, "application/spdx+json")
        assert one.size == len(first) and one.annotations == {"a": "b"}
        has_api = PROFILES[profile].referrers == 200
        assert any(tag.startswith("sha256-") for tag in registry.tags("app")) != has_api


def test_the_artifact_type_defaults_to_the_config_type(connect, image):
    with Registry(profile="docker-registry") as registry:
        client = connect(registry.host)
        pushed(client, registry, image)
        raw = sbom(image, None)
        client.put_manifest("app", "a-tag", raw, media_types.OCI_MANIFEST)
        assert [d.artifact_type for d in client.referrers("app", image.digest)] == ["application/vnd.oci.empty.v1+json"]


def test_a_referrers_api_without_the_subject_header(connect, image):
    """The registry of go-containerregistry lists referrers and sends no OCI-Subject."""
    with Registry() as registry:
        client = connect(registry.host)
        pushed(client, registry, image)
        registry.faults = [Fault(on="manifest put", headers={"OCI-Subject": None})]
        client.put_manifest("app", "a-tag", sbom(image), media_types.OCI_MANIFEST)
        assert set(registry.tags("app")) == {"v1", "a-tag"}
        assert len(client.referrers("app", image.digest)) == 1


def test_the_referrers_tag_is_not_an_index(connect, image):
    with Registry(profile="docker-registry") as registry:
        client = connect(registry.host)
        pushed(client, registry, image)
        client.put_manifest("app", f"sha256-{image.digest.hex}", image.root.raw, image.root.media_type)
        with pytest.raises(ProtocolError, match="should list referrers, and is not an index"):
            client.referrers("app", image.digest)
        with pytest.raises(ProtocolError, match="should list referrers, and is not an index"):
            client.put_manifest("app", "a-tag", sbom(image), media_types.OCI_MANIFEST)


@pytest.mark.parametrize("status", [401, 403, 418])
def test_other_error_statuses_are_errors(status, connect, image):
    with Registry() as registry:
        pushed(connect(registry.host), registry, image)
        registry.faults = [Fault(on="referrers get", status=status)]
        with pytest.raises(ResponseError, match=f"referrers/{image.digest}: {status}"):
            connect(registry.host).referrers("app", image.digest)


def test_a_response_that_is_not_an_index(connect, image):
    with Registry() as registry:
        pushed(connect(registry.host), registry, image)
        for body in ("[]", "{}", '{"schemaVersion": 2, "manifests": [7]}'):
            registry.faults = [Fault(on="referrers get", status=200, body=body)]
            with pytest.raises(InvalidDocumentError, match=f"the referrers of {image.digest}"):
                connect(registry.host).referrers("app", image.digest)


def test_referrers_in_pages(connect, image):
    """A Link header names the next page. A link to another host or in a loop is an error."""
    with Registry() as registry:
        client = connect(registry.host)
        pushed(client, registry, image)
        for kind in ("application/x", "application/y"):
            client.put_manifest("app", "a-tag", sbom(image, kind), media_types.OCI_MANIFEST)
        registry.faults = [Fault(on="referrers get", nth=1, headers={"Link": '<{path}?page=2>; rel="next"'})]
        assert len(client.referrers("app", image.digest)) == 4
        for link, message in (("{path}", "in a loop"), ("http://127.0.0.2/x", "another host")):
            registry.faults = [Fault(on="referrers get", headers={"Link": f"<{link}>; rel=next"})]
            with pytest.raises(DocklessError, match=message):
                client.referrers("app", image.digest)


def test_the_referrers_tag_is_updated_if_the_manifest_response_is_lost(connect, image):
    """The lost response had the header that shows whether the registry supports referrers."""
    with Registry(profile="docker-registry") as registry:
        pushed(connect(registry.host), registry, image)
        raw = sbom(image)
        root = parse_manifest(raw, "the sbom", media_type=media_types.OCI_MANIFEST)
        registry.faults = [Fault("manifest put", reference="s1", after=True, drop=True)]
        image.source.blobs[root.digest] = raw
        push(root, image.source, connect(registry.host), "app", ["s1"])
        assert [found.digest for found in connect(registry.host).referrers("app", image.digest)] == [root.digest]
