"""Behaviors of hosted registries, according to their documentation and to reports."""

import pytest

from dockless.errors import InvalidValueError
from dockless.testing import PROFILES, Registry

MIB = 1 << 20


@pytest.fixture
def start(registry_factory, helpers):
    def start(profile, **options):
        registry = registry_factory(profile=profile, **options)
        return registry, helpers.Client(registry.host)

    return start


def authorize(call, repository, actions="pull,push,delete"):
    """Sends a request with the token for the challenge of the registry."""
    realm = call("GET", "/v2/").headers["WWW-Authenticate"].split('realm="')[1].split('"')[0]
    token = call("GET", f"{realm}?scope=repository:{repository}:{actions}").json["token"]
    return lambda *args, **headers: call(*args, Authorization=f"Bearer {token}", **headers)


def test_an_unknown_profile():
    with pytest.raises(InvalidValueError, match="docker-registry"):
        Registry(profile="nexus")


@pytest.mark.parametrize("profile", sorted(PROFILES))
def test_every_profile_accepts_a_push(start, helpers, profile):
    """Pushes a blob and a manifest, and reads both again, with redirects."""
    registry, call = start(profile, repositories=["a/b"])
    if registry.profile.token_always:
        call = authorize(call, "a/b")
    location = call("POST", "/v2/a/b/blobs/uploads/").headers["Location"]
    assert call("PUT", helpers.with_digest(location, b"{}"), b"{}").status == 201
    raw = helpers.make_manifest(b"{}")
    assert call("PUT", "/v2/a/b/manifests/v1", raw, Content_Type=helpers.MANIFEST).status == 201
    assert call("GET", "/v2/a/b/manifests/v1", Accept=helpers.MANIFEST).body == raw
    blob = call("GET", f"/v2/a/b/blobs/{helpers.digest(b'{}')}")
    if blob.status != 200:
        url = blob.headers["Location"]
        host = url.split("/")[2]
        assert host != registry.host
        store = helpers.Client(host)
        # An object store refuses an additional Authorization header, and a signature for GET is not valid for HEAD.
        assert store("GET", url, Authorization="Bearer x").status == 400
        assert store("HEAD", url).status == 403
        assert store("GET", url.split("?")[0]).status == 403
        assert store("GET", "/v2/").status == 404
        assert store("GET", url, Range="bytes=1-").body == b"}"
        blob = store("GET", url)
    assert blob.body == b"{}"


@pytest.mark.parametrize(
    "host, store",
    [
        ("127.0.0.1:{}", "localhost"),
        ("127.0.0.1", "localhost"),
        ("[::1]:{}", "localhost"),
        ("localhost:{}", "127.0.0.1"),
        # Only the host name in the request is known to resolve to this server.
        ("registry.test:{}", "registry.test"),
    ],
)
def test_the_store_has_another_name_than_the_registry(start, helpers, host, store):
    """Go's net/http sends Authorization to all ports of a host, so a different port is not enough."""
    registry, call = start("ecr", repositories=["a"])
    registry.put_blob("a", b"{}")
    port = registry.host.rpartition(":")[2]
    url = call("GET", f"/v2/a/blobs/{helpers.digest(b'{}')}", Host=host.format(port)).headers["Location"]
    name, _, store_port = url.split("/")[2].rpartition(":")
    assert (name, store_port == port) == (store, False)


def test_a_store_on_ipv6(start, helpers):
    registry, call = start("ecr", repositories=["a"], address="::1")
    registry.put_blob("a", b"{}")
    url = call("GET", f"/v2/a/blobs/{helpers.digest(b'{}')}", Host="localhost").headers["Location"]
    assert url.startswith("http://[::1]:")
    assert helpers.Client(url.split("/")[2])("GET", url).body == b"{}"


def test_ecr(start, helpers):
    registry, call = start("ecr", repositories=["team/app"])
    assert call("POST", "/v2/team/other/blobs/uploads/").code == "NAME_UNKNOWN"
    location = call("POST", "/v2/team/app/blobs/uploads/").headers["Location"]
    assert location.startswith(f"http://{registry.host}/")
    chunk = b"x" * (5 * MIB)
    first = call("PATCH", location, chunk, Content_Range=f"0-{len(chunk) - 1}")
    assert (first.status, first.headers["Range"]) == (201, f"0-{len(chunk) - 1}")
    again = call("PATCH", first.headers["Location"], chunk, Content_Range=f"0-{len(chunk) - 1}")
    assert (again.status, again.code) == (416, "BLOB_UPLOAD_INVALID")
    short = call("PATCH", first.headers["Location"], b"y", Content_Range=f"{len(chunk)}-{len(chunk)}")
    # The Range does not change although the byte was received.
    assert (short.status, short.headers["Range"]) == (201, f"0-{len(chunk) - 1}")
    # A chunk below the minimum length must be the last one.
    end = len(chunk) + 1
    assert call("PATCH", short.headers["Location"], b"z", Content_Range=f"{end}-{end}").status == 400
    assert call("PUT", helpers.with_digest(short.headers["Location"], chunk + b"y"), b"").status == 201
    registry.storage.create_repository("team/new")
    assert call("POST", f"/v2/team/new/blobs/uploads/?mount={helpers.digest(chunk + b'y')}&from=team/app").status == 202


def test_ecr_with_immutable_tags(start, helpers):
    registry, call = start("ecr-immutable", repositories=["a"])
    registry.put_blob("a", b"{}")
    raw = helpers.make_manifest(b"{}")
    assert call.put_manifest("a", "v1", raw).status == 201
    # Also for the same image.
    assert call.put_manifest("a", "v1", raw).code == "TAG_INVALID"
    assert call.put_manifest("a", helpers.digest(raw), raw).status == 201


def test_ghcr(start, helpers):
    _, call = start("ghcr")
    ping = call("GET", "/v2/")
    assert ping.status == 401
    challenge = ping.headers["WWW-Authenticate"]
    assert 'service="ghcr.io",scope="repository:user/image:pull"' in challenge
    realm = challenge.split('realm="')[1].split('"')[0]
    assert call("POST", realm, b"grant_type=refresh_token&refresh_token=x").status == 405
    signed = authorize(call, "a/b")
    location = signed("POST", "/v2/a/b/blobs/uploads/").headers["Location"]
    assert location.startswith("/v2/a/b/blobs/upload/") and "?" not in location
    data = b"x" * (5 * MIB)
    # Chunks have a maximum length, streamed uploads do not.
    assert signed("PATCH", location, data, Content_Range=f"0-{len(data) - 1}").status == 416
    assert signed("PATCH", location, data).status == 202
    assert signed("PUT", helpers.with_digest(location, data), b"").status == 201
    raw = helpers.make_manifest(data)
    assert signed("PUT", "/v2/a/b/manifests/v1", raw, Content_Type=helpers.MANIFEST).status == 201
    assert signed("DELETE", "/v2/a/b/manifests/v1").status == 405
    assert signed("GET", f"/v2/a/b/referrers/{helpers.digest(raw)}").status == 404


def test_gar(start, helpers):
    _, call = start("gar")
    signed = authorize(call, "p/r/app")
    location = signed("POST", "/v2/p/r/app/blobs/uploads/").headers["Location"]
    assert location.startswith("/artifacts-uploads/namespaces/")
    first = signed("PATCH", location, b"one", Content_Range="0-2")
    assert first.status == 202
    assert signed("PATCH", first.headers["Location"], b"two", Content_Range="3-5").code == "UNSUPPORTED"


def test_quay(start, helpers):
    registry, call = start("quay")
    registry.put_blob("a", b"{}")
    signed = authorize(call, "b")
    assert signed("POST", f"/v2/b/blobs/uploads/?mount={helpers.digest(b'{}')}").status == 400


def test_a_custom_profile(start, helpers):
    profile = PROFILES["strict"]._replace(name="mine", chunk_minimum=4, tag_page_maximum=2)
    registry, call = start(profile)
    answer = call("POST", "/v2/a/blobs/uploads/")
    assert answer.headers["OCI-Chunk-Min-Length"] == "4"
    registry.put_blob("a", b"{}")
    for tag in "abc":
        registry.put_manifest("a", helpers.make_manifest(b"{}"), helpers.MANIFEST, tag)
    page = call("GET", "/v2/a/tags/list")
    assert page.json["tags"] == ["a", "b"]
    assert page.headers["Link"] == '</v2/a/tags/list?n=2&last=b>; rel="next"'
