"""Debian's docker-registry with token authentication: three users and anonymous access."""

import json
import os

import pytest
from fault_proxy import FaultProxy
from real_tools import DockerRegistry
from token_server import Account, TokenServer

from dockless.errors import RegistryError
from dockless.registry import Credentials, push
from dockless.registry.errors import UnauthorizedError

ANN = Credentials("ann", "s3cret:with:colons", source="the test")
READER = Credentials("reader", "r3ad", source="the test")
ACCOUNTS = {
    "ann": Account(ANN.password, {"*": "pull,push,delete"}, "1d3ntity"),
    "reader": Account(READER.password, {"*": "pull"}),
    "": Account("", {"public*": "pull"}),
}


@pytest.fixture(scope="module")
def tokens(tmp_path_factory):
    with TokenServer(tmp_path_factory.mktemp("tokens"), ACCOUNTS) as server:
        yield server


@pytest.fixture(scope="module")
def registry(tmp_path_factory, tokens):
    found = DockerRegistry(tmp_path_factory.mktemp("registry"), tokens.registry_auth)
    with FaultProxy(found.host, tokens=tokens) as proxy:
        found.host = proxy.host
        yield found
    found.stop()


@pytest.fixture(autouse=True)
def _as_it_was(registry, tokens):
    tokens.restore()
    registry.forget()


def scopes(tokens):
    """Return the scopes of each token request, in order."""
    return [sorted(request.query.all("scope")) for request in tokens.requests if request.method == "GET"]


def test_one_token_serves_a_push_and_another_a_pull(registry, tokens, connect, image):
    pushed = push(image.root, image.source, connect(registry.host, credentials=ANN), "app", ["v1"])
    assert pushed.blobs_sent == 4
    assert scopes(tokens) == [["repository:app:pull,push"]]
    assert connect(registry.host, credentials=READER).get_manifest("app", "v1").raw == image.root.raw
    assert scopes(tokens)[1:] == [["repository:app:pull"]]


def test_anonymous_pull_is_limited_to_public_repositories(registry, tokens, connect, image):
    push(image.root, image.source, connect(registry.host, credentials=ANN), "public", ["v1"])
    anonymous = connect(registry.host)
    assert anonymous.get_manifest("public", "v1").digest == image.digest
    assert tokens.requests[-1].headers["Authorization"] is None
    with pytest.raises(UnauthorizedError, match="no credentials were found"):
        anonymous.get_manifest("private", "v1")


def test_a_user_with_pull_rights_only_sends_no_blob(registry, tokens, connect, image):
    with pytest.raises(UnauthorizedError) as caught:
        push(image.root, image.source, connect(registry.host, credentials=READER), "denied", ["v1"])
    text = str(caught.value)
    assert f"{registry.host}/v2/denied/blobs/uploads/: 401" in text and "the test as user reader" in text
    assert READER.password not in text
    assert not [line for line in registry.requests() if line.startswith(("PUT", "PATCH"))]
    assert connect(registry.host, credentials=ANN).head_manifest("denied", "v1") is None


def test_wrong_password(registry, tokens, connect, image):
    client = connect(registry.host, credentials=Credentials("ann", "S3CR3T-Kanary", source="the test"))
    with pytest.raises(UnauthorizedError) as caught:
        push(image.root, image.source, client, "wrong", ["v1"])
    text = str(caught.value)
    assert "/token: 401" in text and "wrong user or password" in text and "the test as user ann" in text
    assert registry.host in text and "Kanary" not in text
    # Further attempts could lock the account.
    assert len(tokens.requests) <= 2
    assert registry.requests() == ["GET /v2/"]


def test_identity_token_of_a_config_file(registry, tokens, connect, environ, image):
    """As `docker login` writes the entry for a registry with identity tokens, without a password."""
    path = os.path.join(environ["HOME"], ".docker/config.json")
    os.makedirs(os.path.dirname(path))
    with open(path, "w") as file:
        json.dump({"auths": {registry.host: {"identitytoken": "1d3ntity"}}}, file)
    assert push(image.root, image.source, connect(registry.host), "identity", ["v1"]).blobs_sent == 4
    assert [request.method for request in tokens.requests] == ["POST"]
    assert b"grant_type=refresh_token" in tokens.requests[0].body


def test_wrong_identity_token(registry, tokens, connect, image):
    client = connect(registry.host, credentials=Credentials(identity_token="S3CR3T-Kanary", source="the test"))
    with pytest.raises(UnauthorizedError, match="/token: 401: .*wrong grant") as caught:
        push(image.root, image.source, client, "wrong", ["v1"])
    assert "Kanary" not in str(caught.value)


def test_a_server_without_oauth_gets_the_password(registry, tokens, connect, image):
    tokens.takes_post = False
    both = ANN._replace(identity_token="1d3ntity")
    assert push(image.root, image.source, connect(registry.host, credentials=both), "old", ["v1"]).blobs_sent == 4
    assert [request.method for request in tokens.requests] == ["POST", "GET"]


def test_a_registry_token_needs_no_token_server(registry, tokens, connect, image):
    push(image.root, image.source, connect(registry.host, credentials=ANN), "app", ["v1"])
    token = tokens.issued[-1]
    tokens.requests = []
    client = connect(registry.host, credentials=Credentials(registry_token=token))
    assert client.get_manifest("app", "v1").digest == image.digest
    assert tokens.requests == []


def test_mount_with_two_scopes(registry, tokens, connect, make):
    image = make(61, 4000, 10)
    push(image.root, image.source, connect(registry.host, credentials=ANN), "base", ["v1"])
    tokens.requests = []
    registry.forget()
    mount_from = {blob: ["base"] for blob in image.source.blobs}
    client = connect(registry.host, credentials=ANN, jobs=1)
    moved = push(image.root, image.source, client, "mounted", ["v1"], mount_from=mount_from)
    assert (moved.blobs_sent, moved.blobs_mounted) == (0, 3)
    assert ["repository:base:pull", "repository:mounted:pull,push"] in scopes(tokens)
    assert not [line for line in registry.requests() if line.startswith(("PUT", "PATCH")) and "/blobs/" in line]


def test_delete(registry, tokens, connect, make):
    image = make(62, 10)
    client = connect(registry.host, credentials=ANN)
    push(image.root, image.source, client, "gone", ["v1"])
    client.delete_manifest("gone", image.digest)
    assert client.head_manifest("gone", "v1") is None
    assert scopes(tokens)[1:] == [["repository:gone:pull,push,delete"]]
    client.delete_blob("gone", image.root.config.digest)
    with pytest.raises(RegistryError, match="401"):
        connect(registry.host, credentials=READER).delete_blob("gone", image.root.layers[0].digest)


def test_tokens_that_expire_during_a_push(registry, tokens, connect, image):
    """docker-registry accepts a token for a minute after its expiry. After a 401, a new token is requested."""
    tokens.lifetime = -61
    client = connect(registry.host, credentials=ANN)
    with pytest.raises(UnauthorizedError, match="401"):
        client.get_manifest("app", "v1")
    # One more token after the first refusal, because the clock of the token server is wrong.
    assert len(tokens.requests) == 2
    tokens.lifetime = 300
    assert push(image.root, image.source, client, "late", ["v1"]).digest == image.digest
