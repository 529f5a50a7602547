"""Copies within a registry, where downloads and uploads share the connections; several accounts, missing rights."""

import gzip
import threading

import pytest

from dockless.errors import LayoutError
from dockless.oci.digest import Digest
from dockless.registry import Credentials, RegistryBlobSource, push
from dockless.registry.errors import ResponseError
from dockless.testing import PROFILES, Fault, Registry, TokenAuth, User

MIB = 1 << 20


def within(seconds, work):
    """Runs `work` in a thread, and fails if the thread does not end in time."""
    failures = []

    def run():
        try:
            work()
        except BaseException as error:
            failures.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(seconds)
    assert not thread.is_alive(), "it does not end"
    if failures:
        raise failures[0]


@pytest.mark.parametrize("jobs", [1, 2, 4])
def test_reading_while_sending_needs_no_second_slot(jobs, connect, make, keep, holds):
    image = make(31, *range(300_000, 300_008))
    with Registry() as registry:
        keep(registry, "a", image, "v1")
        client = connect(registry.host, jobs=jobs)
        content = RegistryBlobSource(client, "a")
        within(60, lambda: push(image.root, content, client, "b", ["v1"], force=True))
        holds(registry, "b", image, "v1")


def test_two_registries_copied_into_each_other(connect, make, keep, holds):
    image = make(32, *range(300_000, 300_006))
    with Registry() as one, Registry() as other:
        keep(one, "a", image, "v1")
        keep(other, "b", image, "v1")
        clients = {registry: connect(registry.host, jobs=1) for registry in (one, other)}

        def copy(source, repository, destination):
            content = RegistryBlobSource(clients[source], repository)
            push(image.root, content, clients[destination], "copy", ["v1"])

        back = threading.Thread(target=copy, args=(other, "b", one), daemon=True)
        back.start()
        within(60, lambda: copy(one, "a", other))
        back.join(60)
        holds(one, "copy", image, "v1")
        holds(other, "copy", image, "v1")


def test_a_resumed_upload_reads_only_the_rest_of_the_source(connect, make, keep):
    """The next chunk continues at the position of the source. After an interruption, the rest is read again."""
    image = make(33, 8 * MIB)
    [layer] = image.root.layers
    with Registry() as source, Registry() as destination, pytest.MonkeyPatch.context() as patch:
        patch.setattr("dockless.registry.uploader.CHUNK_SIZE", MIB)
        keep(source, "a", image, "v1")
        destination.faults = [Fault("upload put", nth=1, request_bytes=MIB, drop=True)]
        content = RegistryBlobSource(connect(source.host), "a")
        connect(destination.host).ensure_blob("b", layer, content)
        assert destination.blob("b", layer.digest) == image.source.blobs[layer.digest]
        read = [request.headers["Range"] for request in source.requests if request.operation == "blob get"]
        assert read == [None, f"bytes={MIB}-"]


@pytest.mark.parametrize("on", ["manifest head", "blob head"])
@pytest.mark.parametrize("status", [403, 405])
def test_forbidden_checks_do_not_prevent_a_push(on, status, connect, image, holds):
    """ECR requires separate rights for both checks, which a push does not need."""
    with Registry() as registry:
        registry.faults = [Fault(on, status=status)]
        push(image.root, image.source, connect(registry.host), "app", ["v1"])
        holds(registry, "app", image, "v1")


def test_a_tag_of_an_invalid_image_is_overwritten(connect, image, holds):
    old = b'{"schemaVersion": 1, "name": "app", "tag": "v1", "fsLayers": [], "history": []}'
    with Registry() as registry:
        registry.put_manifest("app", old, "application/vnd.docker.distribution.manifest.v1+json", "v1")
        registry.faults = [Fault("manifest head", headers={"Docker-Content-Digest": None})]
        push(image.root, image.source, connect(registry.host), "app", ["v1"])
        holds(registry, "app", image, "v1")


def test_two_accounts_at_one_registry_share_no_token(connect, image, keep):
    """Two identity tokens without user names, for two paths. Each repository is requested with its own token."""
    users = [User("one", "pw1", identity_token="IDENT-1"), User("two", "pw2", identity_token="IDENT-2")]
    given = {"a": Credentials(identity_token="IDENT-1"), "b": Credentials(identity_token="IDENT-2")}
    with Registry(auth=TokenAuth(users, anonymous="")) as registry:
        for repository in given:
            keep(registry, repository, image, "v1")
        client = connect(
            registry.host, credentials={f"{registry.host}/{path}": credentials for path, credentials in given.items()}
        )
        for repository in given:
            client.get_manifest(repository, "v1")
        sent = [request.body.decode() for request in registry.requests if request.operation == "token post"]
        assert len(sent) == 2
        for form, repository, token in zip(sent, given, ("IDENT-1", "IDENT-2")):
            assert f"repository%3A{repository}%3A" in form and f"refresh_token={token}" in form


@pytest.mark.parametrize("key", ["{host}", "https://{host}/v1/", "{host}/", "{HOST}"])
def test_given_credentials_are_matched_like_those_of_config_files(key, connect, image, keep):
    with Registry(auth=TokenAuth([User("ann", "pw")], anonymous=""), address="127.0.0.1") as registry:
        keep(registry, "app", image, "v1")
        name = key.format(host=registry.host, HOST=registry.host.upper())
        client = connect(registry.host, credentials={name: Credentials("ann", "pw")})
        assert client.get_manifest("app", "v1").digest == image.digest


def test_a_chunk_with_status_201(connect, make):
    image = make(34, 12 * MIB)
    [layer] = image.root.layers
    with Registry(profile="ecr", repositories=["app"]) as registry, pytest.MonkeyPatch.context() as patch:
        patch.setattr("dockless.registry.uploader.CHUNK_SIZE", 5 * MIB)
        registry.faults = [Fault("upload put", nth=1, request_bytes=2 * MIB, reset=True)]
        connect(registry.host).ensure_blob("app", layer, image.source)
        assert sum(request.received for request in registry.requests) < 15 * MIB


def test_a_proxy_that_limits_the_size_of_a_request(connect, make):
    """A whole blob gets a 413. The blob is then sent in chunks."""
    image = make(35, 3 * MIB)
    [layer] = image.root.layers
    with Registry() as registry, pytest.MonkeyPatch.context() as patch:
        patch.setattr("dockless.registry.uploader.CHUNK_SIZE", MIB)
        registry.faults = [Fault("upload put", nth=1, status=413, request_bytes=100)]
        assert connect(registry.host).ensure_blob("app", layer, image.source).how == "sent"
        assert registry.blob("app", layer.digest) == image.source.blobs[layer.digest]


def test_a_registry_that_stores_two_bytes_per_request(connect, make, manual):
    """The registry reports two more bytes each time and stores none. This is not progress."""
    image = make(36, 300_000)
    [layer] = image.root.layers
    with Registry() as registry, pytest.MonkeyPatch.context() as patch:
        patch.setattr("dockless.registry.uploader.CHUNK_SIZE", 64 * 1024)
        registry.faults = [
            Fault("upload put", status=429, headers={"Retry-After": "60"}, request_bytes=1),
            Fault("upload patch", status=429, headers={"Retry-After": "60"}, request_bytes=1),
            *(Fault("upload get", nth=n, headers={"Range": f"0-{2 * n + 1}"}) for n in range(1, 100)),
        ]
        with pytest.raises(ResponseError):
            connect(registry.host).ensure_blob("app", layer, image.source)
        assert sum(manual.sleeps) <= 300


@pytest.mark.parametrize("code", ["NAME_UNKNOWN", "BLOB_UPLOAD_INVALID"])
def test_a_refused_upload_is_not_repeated(code, connect, make):
    image = make(37, 300_000)
    [layer] = image.root.layers
    with Registry() as registry:
        body = f'{{"errors": [{{"code": "{code}", "message": "quota"}}]}}'
        registry.faults = [Fault("upload put", status=404, body=body)]
        with pytest.raises(ResponseError, match=code):
            connect(registry.host).ensure_blob("app", layer, image.source)
        puts = [request for request in registry.requests if request.operation == "upload put"]
        # The content is sent once more by PATCH, which counts as progress.
        assert len(puts) == (1 if code == "NAME_UNKNOWN" else 5)


def test_a_deleted_blob_is_sent_again(connect, image):
    blob = image.root.layers[0]
    with Registry() as registry:
        client = connect(registry.host)
        client.ensure_blob("app", blob, image.source)
        client.delete_blob("app", blob.digest)
        assert client.ensure_blob("app", blob, image.source).how == "sent"
        assert registry.blob("app", blob.digest)


def test_a_deletion_whose_response_is_lost(connect, image, keep):
    with Registry() as registry:
        keep(registry, "app", image, "v1")
        registry.faults = [Fault("* delete", nth=(1, 3), drop=True, after=True)]
        client = connect(registry.host)
        client.delete_manifest("app", image.digest)
        client.delete_blob("app", image.root.layers[0].digest)
        with pytest.raises(ResponseError, match="404"):
            client.delete_manifest("app", image.digest)


@pytest.mark.parametrize("trouble", [OSError(5, "I/O error"), gzip.BadGzipFile("CRC check failed"), EOFError()])
def test_a_source_that_cannot_be_read(trouble, connect, image):
    """The error names the source, and the upload is not retried."""
    opened = []

    class Broken:
        def open(self, descriptor):
            opened.append(descriptor)
            raise trouble

    with Registry() as registry:
        with pytest.raises(LayoutError, match="to be pushed cannot be read: "):
            connect(registry.host).ensure_blob("app", image.root.layers[0], Broken())
        assert len(opened) == 1 and registry.blobs("app") == {}


def test_manifests_of_any_type_are_fetched(connect):
    """The caller gets the bytes of a manifest of any type."""
    raw = b'{"schemaVersion": 2, "mediaType": "application/vnd.oci.artifact.manifest.v1+json", "blobs": []}'
    with Registry() as registry:
        registry.put_manifest("app", raw, "application/vnd.oci.artifact.manifest.v1+json", "v1")
        found = connect(registry.host).get_manifest("app", "v1")
        assert found == (raw, "application/vnd.oci.artifact.manifest.v1+json", Digest.of(raw))


def test_the_result_of_a_redirected_upload_is_checked(connect, image):
    """A 201 of another host does not show that the registry has the blob."""
    blob = image.root.layers[0]
    with Registry() as registry, Registry() as other:
        registry.faults = [Fault("upload post", headers={"Location": f"http://{other.host}{{path}}"})]
        other.faults = [Fault("upload put", status=201)]
        with pytest.raises(Exception, match="did not store the blob that was sent"):
            connect(registry.host).ensure_blob("app", blob, image.source)
        assert PROFILES["strict"].mount and registry.blobs("app") == {}
