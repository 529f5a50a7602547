"""A store that the registry redirects to, and which leads back to where the user has credentials."""

import contextlib

import pytest
from guarded_registry import guarded_registry
from hostile_server import hostile_server, response

from dockless.errors import DocklessError
from dockless.oci import media_types
from dockless.oci.digest import Digest

DIGEST = Digest.of(b"x")
STOLEN = f"/v2/stolen/prod/manifests/{DIGEST}"
STATUSES = (301, 302, 303, 307, 308)

# name -> the method and the beginning of the path of the request that the registry redirects, and what the user does.
OPERATIONS = {
    "manifest get": ("GET", "/v2/a/b/manifests/", lambda c: c.get_manifest("a/b", "v1")),
    "manifest head": ("HEAD", "/v2/a/b/manifests/", lambda c: c.head_manifest("a/b", "v1")),
    "manifest put": ("PUT", "/v2/a/b/manifests/", lambda c: c.put_manifest("a/b", "v1", b"{}", media_types.OCI_INDEX)),
    "manifest delete": ("DELETE", "/v2/a/b/manifests/", lambda c: c.delete_manifest("a/b", DIGEST)),
    "tag delete": ("DELETE", "/v2/a/b/manifests/", lambda c: c.delete_manifest("a/b", "v1")),
    "tags": ("GET", "/v2/a/b/tags/list", lambda c: list(c.tags("a/b"))),
    "referrers": ("GET", "/v2/a/b/referrers/", lambda c: c.referrers("a/b", DIGEST)),
    "blob get": ("GET", "/v2/a/b/blobs/", lambda c: c.get_blob("a/b", DIGEST).read(10, "it")),
    "blob head": ("HEAD", "/v2/a/b/blobs/", lambda c: c.blob_exists("a/b", DIGEST)),
    "blob delete": ("DELETE", "/v2/a/b/blobs/", lambda c: c.delete_blob("a/b", DIGEST)),
    "upload open": ("POST", "/v2/a/b/blobs/uploads/", lambda c: c.open_upload("a/b")),
    "mount": ("POST", "/v2/a/b/blobs/uploads/", lambda c: c.open_upload("a/b", mount=DIGEST, source="c/d")),
    "upload chunk": ("PATCH", "/v2/a/b/blobs/uploads/1", lambda c: c.open_upload("a/b").send(b"x", 0, 1)),
    "upload end": ("PUT", "/v2/a/b/blobs/uploads/1", lambda c: c.open_upload("a/b").commit(DIGEST, b"x", 0, 1)),
    "upload status": ("GET", "/v2/a/b/blobs/uploads/1", lambda c: c.open_upload("a/b").uploaded_bytes()),
    "upload cancel": ("DELETE", "/v2/a/b/blobs/uploads/1", lambda c: c.open_upload("a/b").cancel()),
}


@pytest.fixture(scope="module", params=["basic", "token"])
def shared(request):
    """A registry and a store for all rows."""
    with guarded_registry(request.param) as registry, hostile_server(lambda r, _: registry.store(r)) as server:
        yield registry, server


@pytest.fixture
def registry(shared):
    registry, server = shared
    registry.server.requests.clear()
    server.requests.clear()
    registry.answers = []
    return registry


@pytest.fixture
def elsewhere(shared):
    return shared[1]


def check_no_leak(registry, elsewhere, *, methods=("GET", "HEAD")):
    """Check that no server received credentials that the user did not configure for that server."""
    assert elsewhere.authorizations == []
    assert registry.authorized("/v2/stolen") == []
    assert {r.method for r in registry.server.requests if "stolen" in r.path} <= set(methods)
    assert not [scope for scope in registry.scopes if not scope.startswith(("repository:a/b:", "repository:c/d:pull"))]


@pytest.mark.parametrize("status", STATUSES)
@pytest.mark.parametrize("operation", OPERATIONS)
def test_redirected_back_by_another_host(operation, status, registry, elsewhere, connect, clean):
    method, path, do = OPERATIONS[operation]

    def answer(request):
        if request.method == method and request.path.startswith(path):
            return response(status, {"Location": f"{elsewhere.url}/x"})
        if request.method == "POST":
            return response(202, {"Location": "/v2/a/b/blobs/uploads/1"})
        return None

    registry.answers = [answer]
    registry.store = lambda request: response(status, {"Location": f"{registry.url}{STOLEN}"})
    client = connect(registry.host)
    with contextlib.suppress(DocklessError):
        do(client)
        pytest.fail("the store's answer was believed")
    client.close()
    is_followed = method in ("GET", "HEAD") or status in (307, 308)
    assert len(elsewhere.requests) >= 1 if is_followed else elsewhere.requests == []
    check_no_leak(registry, elsewhere)


@pytest.mark.parametrize("status", STATUSES)
@pytest.mark.parametrize("operation", [name for name in OPERATIONS if name.startswith("upload") and "open" not in name])
def test_upload_at_another_host(operation, status, registry, elsewhere, connect):
    """The registry itself names the store in a Location; the store redirects back."""
    registry.answers = [lambda request: response(202, {"Location": f"{elsewhere.url}/u"})]
    registry.store = lambda request: response(status, {"Location": f"{registry.url}{STOLEN}"})
    client = connect(registry.host)
    with pytest.raises(DocklessError):
        OPERATIONS[operation][2](client)
    client.close()
    assert len(elsewhere.requests) >= 1
    check_no_leak(registry, elsewhere)


# Where a store says that an upload continues -> whether requests go there with credentials.
LOCATIONS = {
    STOLEN: False,
    "/v2/a/b/manifests/v1": False,
    "/v2/a/b/blobs/uploads/../../../../stolen/prod/manifests/v1": False,
    "/v2/a/b/blobs/uploads/%2e%2e/%2e%2e/manifests/v1": False,
    "/v2/a/b/blobs/uploads/%252e%252e/%252e%252e/manifests/v1": False,
    "/v2/a/b/blobs/uploads/..%2f..%2fmanifests/v1": False,
    "/v2/a/b/blobs/uploads/..;/..;/manifests/v1": False,
    "/v2/a/b/blobs/uploads/..\\..\\manifests\\v1": False,
    "/v2/a/b/blobs/uploadsx/1": False,
    "//v2/stolen/prod/manifests/v1": False,
    "/V2/stolen/prod/manifests/v1": False,
    "/v2/a/b/blobs/uploads/1": True,
}


@pytest.mark.parametrize("operation", ["upload chunk", "upload end", "upload cancel", "upload status"])
@pytest.mark.parametrize("location", LOCATIONS)
def test_location_that_another_host_names(location, operation, registry, elsewhere, connect, clean):
    """POST is redirected to the store, whose answer says where the upload is: at the registry, somewhere else."""

    def answer(request):
        if request.method == "POST":
            return response(307, {"Location": f"{elsewhere.url}/u"})
        return response(202, {"Location": "/v2/a/b/blobs/uploads/2", "Range": "0-0"})

    registry.answers = [answer]
    registry.store = lambda request: response(202, {"Location": f"{registry.url}{location}"})
    client = connect(registry.host)
    if LOCATIONS[location]:
        OPERATIONS[operation][2](client)
    else:
        with pytest.raises(DocklessError, match="is not below /v2/a/b/blobs/uploads/ of the registry"):
            OPERATIONS[operation][2](client)
        assert {r.method for r in registry.server.requests} <= {"GET", "POST"}
    client.close()
    check_no_leak(registry, elsewhere, methods=())


@pytest.mark.parametrize(
    "location", [name for name, is_allowed in LOCATIONS.items() if not is_allowed and "a/b" in name]
)
@pytest.mark.parametrize("status", [307, 308])
def test_paths_that_lead_out_of_the_repository(location, status, registry, elsewhere, connect):
    """Even if the registry itself redirects there: a token goes to paths of its repository only."""
    target = location.replace("manifests/v1", "../stolen/prod/manifests/v1")
    registry.answers = [lambda request: response(status, {"Location": f"{registry.url}{target}"})]
    client = connect(registry.host)
    with pytest.raises(DocklessError):
        client.delete_manifest("a/b", DIGEST)
    client.close()
    assert [r for r in registry.authorized("/v2/") if "stolen" in r] == []


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("status", [307, 308])
def test_redirected_by_the_registry_to_another_repository(operation, status, registry, elsewhere, connect):
    method, path, do = OPERATIONS[operation]

    def answer(request):
        if request.method == method and request.path.startswith(path):
            return response(status, {"Location": STOLEN})
        return response(202, {"Location": "/v2/a/b/blobs/uploads/1"}) if request.method == "POST" else None

    registry.answers = [answer]
    client = connect(registry.host)
    with contextlib.suppress(DocklessError):
        do(client)
        pytest.fail("the other repository was reached")
    client.close()
    check_no_leak(registry, elsewhere, methods=("GET", "HEAD", "PUT", "POST", "PATCH", "DELETE"))


@pytest.mark.parametrize(
    "hops", ["store registry", "registry store registry", "store registry store registry", "store store registry"]
)
def test_long_chains(hops, registry, elsewhere, connect):
    """Once out, always out: also if a later redirect is the registry's own."""
    places = iter(hops.split())
    before = []

    def following(request):
        place = next(places, None)
        if request.path == "/v2/" or place is None:
            return None
        before.append(len(registry.server.requests))
        return response(307, {"Location": f"{registry.url if place == 'registry' else elsewhere.url}{request.path}"})

    registry.answers = [lambda request: response() if request.path == "/v2/" else following(request)]
    registry.store = lambda request: following(request) or response(404)
    client = connect(registry.host)
    client.ping()
    registry.anonymous = following
    with pytest.raises(DocklessError):
        client.get_manifest("a/b", "v1")
    client.close()
    # After its first redirect to the store.
    later = registry.server.requests[before[hops.split().index("store")] :]
    assert later and not [r for r in later if "authorization" in r.headers]
    assert elsewhere.requests and elsewhere.authorizations == []
    registry.anonymous = lambda request: None


@pytest.mark.parametrize("status", STATUSES)
def test_back_from_another_repository(status, registry, connect):
    """Paths of another repository are as good as another host: what comes after them has no credentials."""
    there = "/v2/stolen/prod/manifests/v1"
    registry.answers = [
        lambda r: response() if r.path == "/v2/" else None,
        lambda r: response(status, {"Location": there}) if r.path.endswith("/v1") else response(404),
    ]
    registry.anonymous = lambda r: response(status, {"Location": "/v2/a/b/manifests/v2"}) if r.path == there else None
    client = connect(registry.host)
    with pytest.raises(DocklessError, match="401"):
        client.get_manifest("a/b", "v1")
    client.close()
    registry.anonymous = lambda r: None
    assert registry.server.asked()[-2:] == [f"GET {there}", "GET /v2/a/b/manifests/v2"]
    assert not [r for r in registry.server.requests[-2:] if "authorization" in r.headers]


# Who asks for credentials of another repository: the registry itself, in a 401 or in its greeting.
@pytest.mark.parametrize("scope", ["repository:stolen/prod:pull,push", "registry:catalog:*", "repository:*:*", ""])
@pytest.mark.parametrize("operation", OPERATIONS)
def test_challenge_with_another_scope(scope, operation, registry, elsewhere, connect):
    asked = []

    def answer(request):
        asked.append(request)
        return registry.challenge("", scope=scope) if len(asked) < 3 else None

    registry.answers = [answer]
    client = connect(registry.host)
    with contextlib.suppress(DocklessError):
        OPERATIONS[operation][2](client)
    client.close()
    assert bool(registry.scopes) == (registry.auth == "token")
    check_no_leak(registry, elsewhere)
