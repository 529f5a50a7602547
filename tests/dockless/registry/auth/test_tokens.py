"""Bearer tokens: when and where they are requested, with which parameters, and what is refused."""

import base64
import dataclasses
import gzip
import json
import threading
from urllib.parse import parse_qs, urlsplit

import pytest
from host_names import resolve_names
from web_server import web_server

from dockless.errors import RegistryError
from dockless.registry import Credentials, push
from dockless.registry.errors import ProtocolError, ResponseError, UnauthorizedError
from dockless.testing import PROFILES, BasicAuth, Fault, Registry, TokenAuth, User

SECRET = "S3CR3T-Kanary"
ANN = Credentials("ann", SECRET, source="the test")
USERS = [User("ann", SECRET)]


@pytest.fixture
def locked():
    with Registry(auth=TokenAuth(USERS, anonymous="")) as registry:
        yield registry


def tokens(registry):
    return [request for request in registry.requests if request.operation.startswith("token")]


def answers(registry, **document):
    """Sets the response of the token server."""
    registry.faults = [Fault(on="token get", status=200, body=json.dumps(document))]


def challenged(registry, realm, status=401):
    challenge = f'Bearer realm="{realm}",service="x"'
    return [
        Fault(on="ping get", status=status, headers={"WWW-Authenticate": challenge}),
        Fault(on="manifest *", status=status, headers={"WWW-Authenticate": challenge}),
    ]


def test_the_parameters_of_a_token_request(locked, connect, image):
    push(image.root, image.source, connect(locked.host, credentials=ANN), "team/app", ["v1"])
    (request,) = tokens(locked)
    assert request.query.all("scope") == ["repository:team/app:pull,push"]
    assert request.query.get("service") == locked.host and request.query.get("account") == "ann"
    assert request.headers["Authorization"] == "Basic " + base64.b64encode(f"ann:{SECRET}".encode()).decode()
    # No other request contains the password.
    others = [request for request in locked.requests if request is not request]
    assert not any((request.headers["Authorization"] or "").startswith("Basic") for request in others)


def test_the_challenge_of_the_ping_is_kept(connect, image):
    """The later 401 responses of gcr.io have no challenge."""
    with Registry(auth=TokenAuth(USERS, anonymous="")) as registry:
        registry.faults = [Fault(on="manifest *", headers={"WWW-Authenticate": None})]
        push(image.root, image.source, connect(registry.host, credentials=ANN), "app", ["v1"])
        assert registry.tags("app") == {"v1": image.digest}


def test_anonymous_pull(connect, image, keep):
    with Registry(auth=TokenAuth(USERS, anonymous="pull")) as registry:
        keep(registry, "app", image, "v1")
        assert connect(registry.host).get_manifest("app", "v1").digest == image.digest
        (request,) = tokens(registry)
        assert request.headers["Authorization"] is None and request.query.get("account") is None


def test_anonymous_may_not_push(connect, image, environ):
    with Registry(auth=TokenAuth(USERS, anonymous="pull")) as registry:
        with pytest.raises(UnauthorizedError) as caught:
            push(image.root, image.source, connect(registry.host), "app", ["v1"])
        text = str(caught.value)
        assert "401" in text and "no credentials were found; looked in" in text
        assert f"{environ['HOME']}/.docker/config.json" in text and f"log in to {registry.host}" in text
        assert not registry.blobs("app")


@pytest.mark.parametrize("field", ["token", "access_token"])
def test_both_names_of_the_token_field(field, connect, image):
    with Registry(auth=TokenAuth(USERS, anonymous="", token_field=field)) as registry:
        push(image.root, image.source, connect(registry.host, credentials=ANN), "app", ["v1"])
        assert len(tokens(registry)) == 1


def test_a_token_that_expires_early_is_replaced(locked, connect, image):
    locked.faults = [Fault(on="upload put", nth=(1, 3), expire_tokens=True)]
    push(image.root, image.source, connect(locked.host, credentials=ANN, jobs=1), "app", ["v1"])
    assert locked.tags("app") == {"v1": image.digest}
    assert len(tokens(locked)) == 3


def test_all_tokens_that_end_at_once(locked, connect, image):
    """For example after a change of the signing key. One refused token does not replace the other."""
    client = connect(locked.host, credentials=ANN)
    push(image.root, image.source, connect(locked.host, credentials=ANN), "app", ["v1"])
    client.get_manifest("app", "v1")
    client.put_manifest("app", "v2", image.root.raw, image.root.media_type)
    locked.expire_tokens()
    assert client.get_manifest("app", "v1").digest == image.digest
    client.put_manifest("app", "v3", image.root.raw, image.root.media_type)


def test_a_token_is_renewed_before_its_end(connect, manual, keep, image):
    with Registry(auth=TokenAuth(USERS, anonymous="", expires_in=100)) as registry:
        keep(registry, "app", image, "v1")
        client = connect(registry.host, credentials=ANN)
        client.get_manifest("app", "v1")
        manual.time += 80
        client.get_manifest("app", "v1")
        assert len(tokens(registry)) == 1
        manual.time += 10
        client.get_manifest("app", "v1")
        assert len(tokens(registry)) == 2
        # The token is replaced without a failed request.
        assert not [r for r in registry.requests if r.status == 401 and r.operation != "ping get"]


def test_a_provider_need_not_be_hashable(locked, connect, keep, image):
    @dataclasses.dataclass
    class Provider:
        secret: str

        def credentials(self, *, renew=False):
            return Credentials("ann", self.secret)

    keep(locked, "app", image, "v1")
    client = connect(locked.host, credentials=Provider(ANN.password))
    assert client.get_manifest("app", "v1").digest == image.digest


@pytest.mark.parametrize("message", [None, 0, 5, -1, "300", True, 1e400, "x", [300], float("nan")])
def test_an_invalid_lifetime_is_a_minute(message, locked, connect, manual, keep, image):
    keep(locked, "app", image, "v1")
    client = connect(locked.host, credentials=ANN)
    client.get_manifest("app", "v1")
    good = locked.requests[-1].headers["Authorization"].split()[1]
    client = connect(locked.host, credentials=ANN)
    document = {"token": good} if message is None else {"token": good, "expires_in": message}
    locked.reset_requests()
    answers(locked, **document)
    client.get_manifest("app", "v1")
    manual.time += 44
    client.get_manifest("app", "v1")
    assert len(tokens(locked)) == 1
    manual.time += 2
    client.get_manifest("app", "v1")
    # 1e400 is infinity, which means a day.
    assert len(tokens(locked)) == (1 if message == 1e400 else 2)


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"token": ""},
        {"token": None},
        {"token": 7},
        {"token": "with space"},
        {"token": "with\r\nline"},
        {"token": "nul\0"},
        {"token": "ünicode"},
        {"token": ["x"]},
    ],
)
def test_no_usable_token(document, locked, connect):
    answers(locked, **document)
    with pytest.raises(RegistryError) as caught:
        connect(locked.host, credentials=ANN).get_manifest("app", "v1")
    url = f"{locked.url}/token"
    assert str(caught.value) == (
        f"{url} responded without a usable token; the registry's token server has a problem; try again later"
    )
    assert len(tokens(locked)) == 2


@pytest.mark.parametrize("body", ["", "null", "[]", '"x"', "<html>", "[" * 100_000])
def test_a_response_that_is_not_json(body, locked, connect):
    locked.faults = [Fault(on="token get", status=200, body=body)]
    with pytest.raises(RegistryError, match="responded without a usable token"):
        connect(locked.host, credentials=ANN).get_manifest("app", "v1")


def test_a_response_that_is_too_large(locked, connect):
    answers(locked, token="x" * 200_000)
    with pytest.raises(RegistryError, match=r"the token at http://.*/token.* is too large"):
        connect(locked.host, credentials=ANN).get_manifest("app", "v1")


def test_a_compressed_response(locked, connect):
    """No more than the limit of a token is decompressed."""
    body = gzip.compress(bytes(1 << 20))
    locked.faults = [Fault(on="token get", status=200, body=body, headers={"Content-Encoding": "gzip"})]
    with pytest.raises(RegistryError, match="token.* is too large"):
        connect(locked.host, credentials=ANN).get_manifest("app", "v1")


@pytest.mark.parametrize("status", [400, 401, 403])
def test_a_wrong_password_is_tried_once(status, locked, connect):
    """Further attempts could lock the account."""
    body = json.dumps({"details": "incorrect username or password"})
    locked.faults = [Fault(on="token get", status=status, body=body)]
    with pytest.raises(UnauthorizedError) as caught:
        connect(locked.host, credentials=ANN).get_manifest("app", "v1")
    text = str(caught.value)
    assert text == (
        f"GET {locked.url}/token: {status}: incorrect username or password; "
        f"used the test as user ann; looked in the test; log in to {locked.host}"
    )
    assert len(tokens(locked)) == 1


@pytest.mark.parametrize("status", [429, 500, 502, 503])
def test_temporary_errors_of_the_token_server_are_retried(status, locked, connect, image):
    locked.faults = [Fault(on="token get", nth=(1, 2), status=status)]
    push(image.root, image.source, connect(locked.host, credentials=ANN), "app", ["v1"])
    assert locked.tags("app") == {"v1": image.digest}


def test_a_refused_new_token_is_final(locked, connect, image):
    locked.faults = [Fault(on="upload post", expire_tokens=True)]
    with pytest.raises(UnauthorizedError, match="used the test as user ann"):
        push(image.root, image.source, connect(locked.host, credentials=ANN, jobs=1), "app", ["v1"])
    assert len([request for request in locked.requests if request.operation == "upload post"]) == 2


def test_one_request_for_all_threads(locked, connect, image):
    locked.faults = [Fault(on="token get", delay=0.1)]
    client = connect(locked.host, credentials=ANN, jobs=8)
    blobs = [locked.put_blob("app", b"%d" % n) for n in range(8)]
    gate = threading.Barrier(8)
    found = []

    def look(digest):
        gate.wait()
        found.append(client.blob_exists("app", digest))

    threads = [threading.Thread(target=look, args=(digest,)) for digest in blobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [True] * 8
    assert len(tokens(locked)) == 1
    # One token request serves all threads.
    locked.expire_tokens()
    locked.reset_requests()
    found.clear()
    gate.reset()
    threads = [threading.Thread(target=look, args=(digest,)) for digest in blobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [True] * 8
    assert len(tokens(locked)) == 1


def test_a_mount_requests_the_scope_of_the_pushed_repository_first(locked, connect, image, keep):
    keep(locked, "base", image, "v1")
    client = connect(locked.host, credentials=ANN)
    layer = image.root.layers[0]
    assert client.ensure_blob("app", layer, image.source, mount_from=["base"]).how == "mounted"
    assert tokens(locked)[-1].query.all("scope") == ["repository:app:pull,push", "repository:base:pull"]


def test_scopes_of_a_challenge_are_requested_for_the_own_repository_only(connect, image):
    """Only an attacker would need a token for another repository or for the catalog."""
    with Registry(auth=TokenAuth(USERS, anonymous="")) as registry:
        more = (
            f'Bearer realm="{registry.url}/token",service="x",scope="repository:app:delete repository:stolen:pull,push"'
        )
        registry.faults = [Fault(on="manifest head", nth=1, status=401, headers={"WWW-Authenticate": more})]
        push(image.root, image.source, connect(registry.host, credentials=ANN), "app", ["v1"])
        assert tokens(registry)[-1].query.all("scope") == ["repository:app:pull,push,delete"]


# Identity tokens (OAuth2)


def test_a_refresh_token_replaces_the_one_before(connect, keep, image, manual):
    users = [User("ann", SECRET, identity_token="first")]
    with Registry(auth=TokenAuth(users, anonymous="")) as registry:
        keep(registry, "app", image, "v1")
        client = connect(registry.host, credentials=Credentials(identity_token="first"))
        body = json.dumps({"access_token": "abc", "refresh_token": "second"})
        registry.faults = [Fault(on="token post", nth=1, status=200, body=body)]
        with pytest.raises(RegistryError):
            client.get_manifest("app", "v1")
        sent = [parse_qs(request.body.decode()) for request in tokens(registry)]
        assert [form["refresh_token"] for form in sent] == [["first"], ["second"]]
        assert sent[0]["grant_type"] == ["refresh_token"] and sent[0]["client_id"] == ["dockless"]
        assert sent[0]["scope"] == ["repository:app:pull"] and sent[0]["service"] == [registry.host]


def test_a_server_without_post_gets_a_get(connect, keep, image):
    profile = PROFILES["strict"]._replace(token_post=False)
    with Registry(profile=profile, auth=TokenAuth(USERS, anonymous="")) as registry:
        keep(registry, "app", image, "v1")
        client = connect(registry.host, credentials=Credentials("ann", SECRET, identity_token="idt"))
        assert client.get_manifest("app", "v1").digest == image.digest
        assert [request.method for request in tokens(registry)] == ["POST", "GET"]


# Realms


@pytest.mark.parametrize(
    ("realm", "why"),
    [
        ("http://169.254.169.254/latest/token", "is an address in a private network"),
        ("http://[fe80::1]/token", "is an address in a private network"),
        ("http://0.0.0.0/token", "is an address in a private network"),
        ("http://10.0.0.1/token", "is an address in a private network"),
        ("http://[::ffff:10.0.0.1]/token", "is an address in a private network"),
        ("http://2852039166/token", "is an address in a private network"),
        ("http://0xa9fea9fe/token", "is an address in a private network"),
        ("http://ann:pw@{host}/token", "contains a user name"),
        ("http://@{host}/token", "contains a user name"),
        ("file:///etc/passwd", "is not an HTTP URL"),
        ("ftp://{host}/token", "is not an HTTP URL"),
        ("http:///token", "is not an HTTP URL"),
        ("http://[x/token", "is not a valid URL"),
        ("http://{host}9999/token", "has an invalid port"),
        ("/token", "its realm is '/token'"),
        ("token", "its realm is 'token'"),
        ("", "its realm is ''"),
    ],
)
def test_realms_that_are_refused(realm, why, locked, connect):
    locked.faults = challenged(locked, realm)
    with pytest.raises(ProtocolError) as caught:
        connect(locked.host, credentials=ANN).get_manifest("app", "v1")
    text = str(caught.value)
    assert why in text and SECRET not in text and "ann:pw" not in text
    # Only the registry got requests, and without credentials.
    assert not any(request.headers["Authorization"] for request in locked.requests)


def test_a_realm_of_another_host_gets_the_credentials_and_the_registry_does_not(connect, image, keep, monkeypatch):
    """For example, auth.docker.io is the token server of registry-1.docker.io. Here both names are of this machine."""
    resolve_names(monkeypatch, {"registry.test": ["127.0.0.1"], "tokens.test": ["127.0.0.1"]})
    with web_server() as server, Registry(auth=TokenAuth(USERS, anonymous="")) as registry:
        keep(registry, "app", image, "v1")
        # A separate token server, which redirects to the tokens of the registry.
        host = registry.host.replace("127.0.0.1", "registry.test")
        first = connect(registry.host, credentials=ANN)
        first.get_manifest("app", "v1")
        good = registry.requests[-1].headers["Authorization"].split()[1]
        registry.reset_requests()
        port = urlsplit(server.url).port
        realm = f"http://tokens.test:{port}/token"
        registry.faults = challenged(registry, realm)[:1]
        server.files["/token?service=x&scope=repository%3Aapp%3Apull&account=ann"] = json.dumps(
            {"token": good}
        ).encode()
        client = connect(host, credentials=ANN, insecure=True)
        assert client.get_manifest("app", "v1").digest == image.digest
        ((_, headers),) = server.requests
        assert headers["Authorization"].startswith("Basic ")
        assert not any(SECRET in str(request.headers) for request in registry.requests)
        assert {request.headers["Authorization"] for request in registry.requests} == {None, f"Bearer {good}"}


def test_a_redirect_of_the_token_server_is_not_followed(locked, connect):
    """go-containerregistry issue 2291: the redirect could send credentials to a metadata service."""
    with web_server() as server:
        locked.faults = [Fault(on="token get", status=307, headers={"Location": f"{server.url}/steal"})]
        with pytest.raises(RegistryError, match=r"GET http://.*/token: 307.*redirects are not followed here"):
            connect(locked.host, credentials=ANN).get_manifest("app", "v1")
        assert server.requests == []


def test_from_https_to_http_is_refused(tmp_path, connect):
    from dockless.testing import make_certificate, server_context

    ca = make_certificate(tmp_path)
    with Registry(auth=TokenAuth(USERS, anonymous="")) as plain, Registry(tls=server_context(tmp_path)) as registry:
        registry.faults = challenged(registry, f"http://{plain.host}/token")
        with pytest.raises(ProtocolError, match="downgrades from https to http; no request was sent to this URL"):
            connect(registry.host, credentials=ANN, ca_file=str(ca)).get_manifest("app", "v1")
        assert plain.requests == []


@pytest.mark.parametrize("status", [400, 401, 403, 404])
@pytest.mark.parametrize("jobs", [1, 16])
def test_a_wrong_password_is_tried_once_by_all_threads(status, jobs, locked, connect, make):
    image = make(7, *[1000] * 20)
    locked.faults = [Fault(on="token get", status=status)]
    with pytest.raises(UnauthorizedError, match=f"{status}.*log in to"):
        push(image.root, image.source, connect(locked.host, credentials=ANN, jobs=jobs), "app", ["v1"])
    assert len(tokens(locked)) == 1


@pytest.mark.parametrize("status", [400, 401, 403])
def test_a_wrong_password_is_tried_once_if_a_token_expires_during_a_push(status, locked, connect, make):
    image = make(7, *[1000] * 20)
    locked.faults = [
        Fault(on="upload post", expire_tokens=True),
        Fault(on="token get", nth=tuple(range(2, 50)), status=status),
    ]
    with pytest.raises(UnauthorizedError, match=f"{status}.*log in to"):
        push(image.root, image.source, connect(locked.host, credentials=ANN, jobs=16), "app", ["v1"])
    assert len(tokens(locked)) == 2


def test_a_refusal_is_remembered_for_half_a_minute(locked, connect, manual, keep, image):
    keep(locked, "app", image, "v1")
    locked.faults = [Fault(on="token get", nth=1, status=403)]
    client = connect(locked.host, credentials=ANN)
    for _ in range(2):
        with pytest.raises(UnauthorizedError):
            client.get_manifest("app", "v1")
    assert len(tokens(locked)) == 1
    manual.sleep(31.0)
    assert client.get_manifest("app", "v1").digest == image.digest


def test_a_realm_with_a_fragment(locked, connect, keep, image):
    keep(locked, "app", image, "v1")
    locked.faults = challenged(locked, f"{locked.url}/token#here")[:1]
    assert connect(locked.host, credentials=ANN).get_manifest("app", "v1").digest == image.digest
    assert all(request.query.get("service") and request.query.all("scope") for request in tokens(locked))


def test_a_rate_limited_token_request_is_retried(locked, connect, keep, image):
    keep(locked, "app", image, "v1")
    body = '{"errors":[{"code":"TOOMANYREQUESTS","message":"slow"}]}'
    locked.faults = [Fault(on="token get", nth=(1, 2), status=400, body=body)]
    assert connect(locked.host, credentials=ANN).get_manifest("app", "v1").digest == image.digest
    assert len(tokens(locked)) == 3


def test_a_404_of_the_token_server_is_not_a_lost_session(locked, connect, image):
    locked.faults = [
        Fault(on="upload put", nth=1, expire_tokens=True),
        Fault(on="token get", nth=tuple(range(2, 9)), status=404),
    ]
    with pytest.raises(UnauthorizedError, match="/token: 404"):
        push(image.root, image.source, connect(locked.host, credentials=ANN, jobs=1), "app", ["v1"])
    assert len([r for r in locked.requests if r.operation == "upload post"]) <= 2


def test_a_realm_that_is_not_a_url(locked, connect):
    locked.faults = challenged(locked, "http://[bad/#x")
    with pytest.raises(RegistryError, match="is not a valid URL"):
        connect(locked.host, credentials=ANN).get_manifest("app", "v1")


@pytest.mark.parametrize("scheme", ["basic", "bearer"])
def test_a_wrong_password_is_sent_once_by_all_threads(scheme, connect, image):
    """Also without a first request by one thread. A right password is not delayed."""
    auth = BasicAuth(USERS) if scheme == "basic" else TokenAuth(USERS, anonymous="")
    with Registry(auth=auth) as registry:
        client = connect(registry.host, credentials=Credentials("ann", "wrong"), jobs=8)
        client._session.ping()
        failures, barrier = [], threading.Barrier(8)

        def send(blob):
            barrier.wait()
            try:
                client.ensure_blob("app", blob, image.source)
            except UnauthorizedError as error:
                failures.append(error)

        blobs = [image.source.add(bytes([n])) for n in range(8)]
        threads = [threading.Thread(target=send, args=(blob,)) for blob in blobs]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(failures) == 8
        sent = [r for r in registry.requests if (r.headers["Authorization"] or "").startswith("Basic")]
        assert len(sent) == 1
        connect(registry.host, credentials=ANN, jobs=8).ensure_blob("app", blobs[0], image.source)


def test_a_401_of_a_store_is_no_wrong_password(connect, image, keep):
    """The registry redirects to a store, whose signed URL is over. The store never got the password."""
    with Registry(auth=BasicAuth(USERS)) as registry, Registry(auth=BasicAuth(USERS)) as store:
        keep(registry, "app", image, "v1")
        layer = image.root.layers[0]
        moved = Fault("blob get", status=307, headers={"Location": f"http://{store.host}{{path}}"})
        registry.faults = [moved]
        client = connect(registry.host, credentials=ANN)
        with pytest.raises(ResponseError, match=f"{store.host}.*: 401"):
            client.get_blob("app", layer.digest)
        registry.faults = []
        assert client.get_blob("app", layer.digest).status == 200


def test_a_forbidden_repository_does_not_forbid_others(connect, image, keep):
    with Registry(auth=BasicAuth(USERS)) as registry:
        keep(registry, "app", image, "v1")
        client = connect(registry.host, credentials=ANN)
        registry.faults = [Fault(on="*", repository="other", status=401)]
        with pytest.raises(UnauthorizedError):
            client.get_manifest("other", "v1")
        assert client.get_manifest("app", "v1").digest == image.digest


def test_tokens_for_a_few_requests(connect, manual, image):
    """Each token is accepted twice, whichever thread sends it."""
    with Registry(auth=TokenAuth(USERS, anonymous="")) as registry:
        uses, lock = {}, threading.Lock()
        client = connect(registry.host, credentials=ANN)
        follow = client._session._follow

        def used_up(request, authorization, base, repository):
            if authorization is not None:
                with lock:
                    uses[authorization] = uses.get(authorization, 0) + 1
                    authorization = authorization if uses[authorization] <= 2 else "Bearer used.up.token"
            return follow(request, authorization, base, repository)

        client._session._follow = used_up
        push(image.root, image.source, client, "app", ["v1"])
        assert registry.tags("app") == {"v1": image.digest} and manual.sleeps == []


def test_a_user_without_rights_is_told_so_at_once(connect, manual, image):
    """A token that was accepted for reading is no reason to repeat a write."""
    with Registry(auth=TokenAuth([User("ann", SECRET, "pull")], anonymous="")) as registry:
        with pytest.raises(UnauthorizedError, match="log in to"):
            push(image.root, image.source, connect(registry.host, credentials=ANN), "app", ["v1"])
        assert manual.sleeps == [] and len(tokens(registry)) <= 6
