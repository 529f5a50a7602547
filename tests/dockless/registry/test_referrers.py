"""Referrers of an image: from the API, in pages, or from the referrers tag."""

import json
import threading

import pytest

from dockless.errors import DocklessError, InvalidDocumentError
from dockless.oci import media_types
from dockless.oci.manifest import make_manifest, parse_manifest
from dockless.registry import RegistryClient, push
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


def test_the_referrers_tag_is_not_an_index(connect, image, caplog):
    with Registry(profile="docker-registry") as registry:
        client = connect(registry.host)
        pushed(client, registry, image)
        client.put_manifest("app", f"sha256-{image.digest.hex}", image.root.raw, image.root.media_type)
        assert client.referrers("app", image.digest) == ()
        assert "should list referrers, and is not an index; it is taken for no referrers" in caplog.text
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
        for body in ("{}", '{"schemaVersion": 2, "manifests": [7]}'):
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


def register(client, image, n):
    client.put_manifest("app", f"a-tag{n}", sbom(image, f"application/x{n}"), media_types.OCI_MANIFEST)


@pytest.mark.parametrize("subject", ["sha256:" + "0" * 64, "x"])
def test_the_subject_header_of_a_registry_without_the_api(subject, connect, image):
    """ECR sent OCI-Subject before it had the API."""
    with Registry(profile="docker-registry") as registry:
        client = connect(registry.host)
        pushed(client, registry, image)
        registry.faults = [Fault(on="manifest put", headers={"OCI-Subject": subject})]
        register(client, image, 1)
        assert [found.artifact_type for found in client.referrers("app", image.digest)] == ["application/x1"]


@pytest.mark.parametrize("body", ["<!DOCTYPE html><title>Sign in</title>", "no such page", "[]"])
def test_a_web_page_in_the_place_of_the_api(body, connect, image):
    """Artifact Registry answered unknown paths with a page. The registry does not have the API."""
    with Registry(profile="docker-registry") as registry:
        client = connect(registry.host)
        pushed(client, registry, image)
        registry.faults = [Fault(on="referrers get", status=200, body=body)]
        register(client, image, 1)
        assert len(client.referrers("app", image.digest)) == 1


def test_the_api_is_asked_once_for_each_repository(connect, image):
    with Registry() as registry:
        client = connect(registry.host)
        pushed(client, registry, image)
        for n in range(3):
            register(client, image, n)
        assert [request.operation for request in registry.requests].count("referrers get") == 1
        assert len(client.referrers("app", image.digest)) == 3


@pytest.mark.parametrize("shared", [True, False])
def test_concurrent_clients_lose_no_entry(shared, connect, image, environ):
    """The index under the tag is written by clients. Each reads it again until its entry stays."""
    with Registry(profile="docker-registry") as registry:
        pushed(connect(registry.host), registry, image)
        one = RegistryClient(registry.host, environ=environ)
        clients = [one if shared else RegistryClient(registry.host, environ=environ) for _ in range(5)]
        threads = [threading.Thread(target=register, args=(client, image, n)) for n, client in enumerate(clients)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        found = {found.artifact_type for found in one.referrers("app", image.digest)}
        assert found == {f"application/x{n}" for n in range(5)}
        registry.reset_requests()
        register(one, image, 4)
        # Nothing is written the second time.
        assert "sha256-" + image.digest.hex not in {r.reference for r in registry.requests if r.method == "PUT"}
        for client in clients:
            client.close()


def test_an_entry_that_is_never_kept(connect, image, manual):
    with Registry(profile="docker-registry") as registry:
        client = connect(registry.host)
        pushed(client, registry, image)
        answer = {"Docker-Content-Digest": None}
        registry.faults = [Fault(on="manifest get", reference="sha256-*", status=404, headers=answer)]
        with pytest.raises(ProtocolError, match="does not keep the entry for sha256:"):
            register(client, image, 1)
        assert sum(manual.sleeps) < 30
