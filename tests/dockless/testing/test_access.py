"""Users, tokens and the token server."""

import base64
import time
from urllib.parse import urlencode

import pytest

from dockless.testing import BasicAuth, TokenAuth, User

ALICE = User("alice", "s3cret", identity_token="an-identity")
READER = User("reader", "pw:with:colons", actions="pull")
TEAM = User("team", "pw", repositories="team/*")
USERS = [ALICE, READER, TEAM]


def basic(user, password=None):
    pair = f"{user.name}:{password if password is not None else user.password}"
    return "Basic " + base64.b64encode(pair.encode()).decode()


@pytest.fixture
def start(registry_factory, helpers):
    def start(auth):
        registry = registry_factory(auth=auth)
        registry.put_blob("a", b"{}")
        return registry, helpers.Client(registry.host)

    return start


def get_token(call, user=None, scopes=(), **headers):
    query = urlencode([("service", call.host), *(("scope", scope) for scope in scopes)])
    if user is not None:
        headers["Authorization"] = basic(user)
    return call("GET", f"/token?{query}", **headers)


def bearer(answer):
    return "Bearer " + answer.json["token"]


def test_basic(start, helpers):
    registry, call = start(BasicAuth(USERS))
    ping = call("GET", "/v2/")
    assert (ping.status, ping.headers["WWW-Authenticate"]) == (401, f'Basic realm="{registry.host}"')
    assert call("GET", "/v2/", Authorization=basic(ALICE)).status == 200
    assert call("GET", "/v2/", Authorization=basic(ALICE, "wrong")).code == "UNAUTHORIZED"
    assert call("GET", "/v2/", Authorization="Basic !!!").status == 401
    blob = f"/v2/a/blobs/{helpers.digest(b'{}')}"
    assert call("GET", blob).status == 401
    assert call("GET", blob, Authorization=basic(READER)).status == 200
    assert call("POST", "/v2/a/blobs/uploads/", Authorization=basic(READER)).code == "DENIED"
    assert call("POST", "/v2/a/blobs/uploads/", Authorization=basic(TEAM)).status == 403
    assert call("POST", "/v2/team/a/blobs/uploads/", Authorization=basic(TEAM)).status == 202
    assert call("DELETE", blob, Authorization=basic(ALICE)).status == 202


def test_basic_with_anonymous_pull(start, helpers):
    _, call = start(BasicAuth(USERS, anonymous="pull"))
    blob = f"/v2/a/blobs/{helpers.digest(b'{}')}"
    assert call("GET", blob).status == 200
    assert call("GET", blob, Authorization=basic(ALICE, "wrong")).status == 401
    assert call("POST", "/v2/a/blobs/uploads/").status == 401


def test_the_challenges(start, helpers):
    registry, call = start(TokenAuth(USERS))
    base = f'Bearer realm="http://{registry.host}/token",service="{registry.host}"'
    assert call("GET", "/v2/").headers["WWW-Authenticate"] == base
    pull = call("GET", f"/v2/a/blobs/{helpers.digest(b'{}')}")
    assert pull.headers["WWW-Authenticate"] == base + ',scope="repository:a:pull"'
    push = call("POST", "/v2/a/blobs/uploads/", Authorization="Bearer nonsense")
    assert push.headers["WWW-Authenticate"] == base + ',scope="repository:a:pull,push",error="invalid_token"'
    delete = call("DELETE", "/v2/a/manifests/v1")
    assert 'scope="repository:a:delete"' in delete.headers["WWW-Authenticate"]


def test_tokens_contain_the_requested_and_allowed_scopes(start):
    _, call = start(TokenAuth(USERS))
    push = "/v2/a/blobs/uploads/"
    authorization = bearer(get_token(call, ALICE, ["repository:a:pull,push"]))
    assert call("POST", push, Authorization=authorization).status == 202
    assert call("GET", "/v2/b/tags/list", Authorization=authorization).status == 401
    pull_only = get_token(call, READER, ["repository:a:pull,push"])
    refused = call("POST", push, Authorization=bearer(pull_only))
    assert (refused.status, refused.code) == (401, "UNAUTHORIZED")
    assert 'error="insufficient_scope"' in refused.headers["WWW-Authenticate"]
    anonymous = bearer(get_token(call, None, ["repository:a:pull,push"]))
    assert call("GET", "/v2/a/tags/list", Authorization=anonymous).status == 200
    assert call("POST", push, Authorization=anonymous).status == 401
    # A token without scopes is accepted for the ping.
    assert call("GET", "/v2/", Authorization=bearer(get_token(call, ALICE))).status == 200
    everything = bearer(get_token(call, ALICE, ["repository:a:*"]))
    assert call("DELETE", "/v2/a/manifests/v1", Authorization=everything).status == 404
    wrong = call("GET", "/token", Authorization=basic(ALICE, "wrong"))
    assert (wrong.status, wrong.code) == (401, "UNAUTHORIZED")


def test_a_mount_needs_the_source_too(start, helpers):
    registry, call = start(TokenAuth(USERS))
    target = f"/v2/b/blobs/uploads/?mount={helpers.digest(b'{}')}&from=a"
    narrow = bearer(get_token(call, ALICE, ["repository:b:pull,push"]))
    assert call("POST", target, Authorization=narrow).status == 202
    wide = bearer(get_token(call, ALICE, ["repository:b:pull,push", "repository:a:pull"]))
    assert call("POST", target, Authorization=wide).status == 201
    assert registry.blobs("b") == {helpers.digest(b"{}"): 2}


def test_oauth2(start):
    _, call = start(TokenAuth(USERS))
    form = {"service": "x", "client_id": "test", "scope": "repository:a:pull repository:b:pull,push"}

    def post(**fields):
        body = urlencode({**form, **fields})
        # skopeo sends the form in chunks, without a Content-Length.
        chunks = (body[n : n + 10].encode() for n in range(0, len(body), 10))
        return call("POST", "/token", chunks, Content_Type="application/x-www-form-urlencoded")

    refreshed = post(grant_type="refresh_token", refresh_token="an-identity")
    assert refreshed.json["access_token"] == refreshed.json["token"]
    assert refreshed.json["refresh_token"] == "an-identity"
    assert call("POST", "/v2/b/blobs/uploads/", Authorization=bearer(refreshed)).status == 202
    assert post(grant_type="password", username="alice", password="s3cret").status == 200
    assert post(grant_type="password", username="alice", password="wrong").status == 401
    assert post(grant_type="refresh_token", refresh_token="").status == 401


def test_expiry(start):
    _, call = start(TokenAuth(USERS, lifetime=0.2, expires_in=3600))
    answer = get_token(call, ALICE, ["repository:a:pull"])
    # The stated lifetime may be wrong: clients must react to the 401.
    assert answer.json["expires_in"] == 3600
    until = time.monotonic() + 5
    while call("GET", "/v2/", Authorization=bearer(answer)).status == 200 and time.monotonic() < until:
        time.sleep(0.05)
    late = call("GET", "/v2/", Authorization=bearer(answer))
    assert (late.status, 'error="invalid_token"' in late.headers["WWW-Authenticate"]) == (401, True)


def test_tokens_are_made_to_expire(start):
    registry, call = start(TokenAuth(USERS))
    answer = get_token(call, ALICE)
    assert call("GET", "/v2/", Authorization=bearer(answer)).status == 200
    registry.expire_tokens()
    assert call("GET", "/v2/", Authorization=bearer(answer)).status == 401


@pytest.mark.parametrize("field", ["token", "access_token"])
def test_unusual_token_responses(start, field):
    _, call = start(TokenAuth(USERS, token_field=field, expires_in=0))
    assert set(get_token(call).json) == {field}


def test_there_is_no_token_server_without_users(registry, helpers):
    assert helpers.Client(registry.host)("GET", "/token").status == 404
