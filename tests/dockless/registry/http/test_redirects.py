"""Redirects: allowed targets, and what is sent to them."""

import contextlib
import re

import pytest
from raw_server import head_of, raw_server

from dockless.errors import DocklessError
from dockless.registry import Credentials, RegistryBlobSource, push
from dockless.registry.errors import ProtocolError, ResponseError
from dockless.registry.http.addresses import is_loopback
from dockless.registry.http.url_policy import check_destination, is_below, is_of_repository, origin_of, redact, resolve
from dockless.testing import BasicAuth, Fault, Registry, TokenAuth, User

HTTPS = "https://reg.example:5000"
LOCAL = "http://127.0.0.1:5000"
ANN = Credentials("ann", "secret")


@pytest.mark.parametrize(
    ("url", "base"),
    [
        ("https://store.example/x?sig=1", HTTPS),
        ("https://reg.example:5000/other", HTTPS),
        ("https://reg.example/other-port", HTTPS),
        ("http://store.example/x", "http://reg.example"),
        ("https://store.example/x", "http://reg.example"),
        ("http://127.0.0.1:6000/x", LOCAL),
        ("http://localhost:6000/x", LOCAL),
        ("http://[::1]:6000/x", LOCAL),
        ("http://10.0.0.7:9000/minio", "http://10.0.0.5:5000"),
        ("https://10.0.0.5:5000/x", "https://10.0.0.5:5000"),
    ],
)
def test_allowed_targets(url, base):
    check_destination(url, base, "the location")


@pytest.mark.parametrize(
    ("url", "base", "message"),
    [
        ("http://reg.example:5000/x", HTTPS, "downgrades from https to http"),
        ("http://store.example/x", HTTPS, "downgrades from https to http"),
        ("https://u:p@store.example/x", HTTPS, "contains a user name"),
        ("https://u@reg.example:5000/x", HTTPS, "contains a user name"),
        ("ftp://store.example/x", HTTPS, "is not an HTTP URL"),
        ("file:///etc/passwd", HTTPS, "is not an HTTP URL"),
        ("https:///x", HTTPS, "is not an HTTP URL"),
        ("//x", HTTPS, "is not an HTTP URL"),
        ("https://store.example:99999/x", HTTPS, "has an invalid port"),
        ("https://[x/", HTTPS, "is not a valid URL"),
        ("https://127.0.0.1/x", HTTPS, "in a private network"),
        ("https://169.254.169.254/x", HTTPS, "in a private network"),
        ("https://10.1.2.3/x", HTTPS, "in a private network"),
        ("https://192.168.1.1/x", HTTPS, "in a private network"),
        ("https://172.16.0.1/x", HTTPS, "in a private network"),
        ("https://0.0.0.0/x", HTTPS, "in a private network"),
        ("https://[::1]/x", HTTPS, "in a private network"),
        ("https://[::ffff:127.0.0.1]/x", HTTPS, "in a private network"),
        ("https://[fd00::1]/x", HTTPS, "in a private network"),
        ("https://[fe80::1]/x", HTTPS, "in a private network"),
        ("https://2130706433/x", HTTPS, "in a private network"),
        ("https://0x7f.1/x", HTTPS, "in a private network"),
        ("https://127.1/x", HTTPS, "in a private network"),
        ("https://127.0.0.1./x", HTTPS, "in a private network"),
        ("https://[64:ff9b::a9fe:a9fe]/x", HTTPS, "in a private network"),
        ("https://[2002:7f00:1::]/x", HTTPS, "in a private network"),
        ("https://[::127.0.0.1]/x", HTTPS, "in a private network"),
        ("https://100.100.100.200/x", HTTPS, "in a private network"),
        ("https://192.0.0.192/x", HTTPS, "in a private network"),
        ("https://224.0.0.1/x", HTTPS, "in a private network"),
        ("https://localhost:6443/x", HTTPS, "in a private network"),
        ("https://a.localhost/x", HTTPS, "in a private network"),
        ("https://%31%32%37.0.0.1/x", HTTPS, "is not an HTTP URL"),
        ("https://127.0.0.1%2e/x", HTTPS, "is not an HTTP URL"),
        ("https://a b/x", HTTPS, "is not an HTTP URL"),
        ("http://169.254.169.254/x", LOCAL, "in a private network"),
        ("http://0.0.0.0/x", LOCAL, "in a private network"),
    ],
)
def test_refused_targets(url, base, message):
    with pytest.raises(ProtocolError, match=message) as caught:
        check_destination(url, base, "the location")
    assert "u:p" not in str(caught.value)


@pytest.mark.parametrize(
    "realm",
    [
        "http://127.0.0.1:6000/t",
        "http://[::1]:5000/t",
        "http://localhost:6000/t",
        "http://localhost:5000/t",
        "http://a.localhost/t",
        "http://10.0.0.1/t",
        "http://169.254.169.254/t",
    ],
)
def test_credentials_are_not_sent_to_other_private_addresses(realm):
    """A realm that is an IP address must be that of the registry. A host name may be that of a token server."""
    with pytest.raises(ProtocolError, match="in a private network"):
        check_destination(realm, LOCAL, "the token realm", strict=True)
    check_destination("http://127.0.0.1:5000/token", LOCAL, "the token realm", strict=True)


def test_a_private_registry_may_redirect_to_a_private_address(monkeypatch):
    """An address is allowed if the name of the registry resolves to a private address."""
    inner = [(2, 1, 6, "", ("10.0.0.5", 0))]
    monkeypatch.setattr("socket.getaddrinfo", lambda host, *_, **__: inner if host == "reg.corp" else [])
    check_destination("https://10.0.0.6:9000/x", "https://reg.corp", "the location")
    for url in ("https://127.0.0.1/x", "https://localhost/x", "https://169.254.169.254/x"):
        with pytest.raises(ProtocolError):
            check_destination(url, "https://reg.corp", "the location")
    with pytest.raises(ProtocolError):
        check_destination("https://10.0.0.6:9000/x", HTTPS, "the location")


def test_names_and_addresses():
    for host in ("localhost", "LOCALHOST.", "a.localhost", "127.0.0.1", "127.255.0.9", "::1"):
        assert is_loopback(host), host
    for host in ("localhost.example", "xlocalhost", "128.0.0.1", "0.0.0.0", "::2", "127.0.0.1.example", ""):
        assert not is_loopback(host), host
    assert origin_of("https://HOST/x") == origin_of("https://host:443/y") == ("https", "host", 443)
    assert origin_of("http://host") != origin_of("http://host:443")


def test_locations_keep_their_query():
    assert resolve("http://h/v2/a/", "/x?_state=a%3D%2Fb&c", "it") == "http://h/x?_state=a%3D%2Fb&c"
    assert resolve("http://h/v2/a/b", "c?d", "it") == "http://h/v2/a/c?d"
    assert resolve("http://h/v2/a", "https://g/y", "it") == "https://g/y"
    assert resolve("http://h/v2/a", "/y?a#b", "it") == "http://h/y?a"
    with pytest.raises(ProtocolError, match="is not a valid URL"):
        resolve("http://h", "http://[x", "it")


def test_redacted_urls_contain_no_secret():
    assert redact("https://u:p@h:5/x?sig=abc&flag&e=") == "https://h:5/x?sig=...&...&e=..."
    assert redact("/x?sig=abc") == "/x?sig=..."


@pytest.mark.parametrize(
    ("path", "is_of_a_b"),
    [
        ("/v2/a/b/manifests/v1", True),
        ("/v2/a/b/blobs/uploads/x?y=/v2/other", True),
        ("/v2/a/b", True),
        ("/uploads/1", True),
        ("/artifactory/api/docker/local/v2/a/b/blobs/uploads/1", True),
        ("/v2/a/b%2Fmanifests/v1", True),
        ("/v2/a/bc/manifests/v1", False),
        ("/v2/a", False),
        ("/v2/", False),
        ("/v2/other/manifests/v1", False),
        ("/V2/other/manifests/v1", False),
        ("//v2/other/manifests/v1", False),
        ("/v2//other/manifests/v1", False),
        ("/%762/other/manifests/v1", False),
        ("/v2%2fother/manifests/v1", False),
        ("/v2/a/b/../../other/manifests/v1", False),
        ("/v2/a/b/%2e%2e/%2E./other/manifests/v1", False),
        ("/v2/a/b/%252e%252e/c/manifests/v1", False),
        ("/v2/a/b/..%2f../other", False),
        ("/v2/a/b/..;/..;x/other", False),
        ("/v2/a/b\\..\\..\\other", False),
        ("/x/../v2/other/manifests/v1", False),
        ("/v2/a/b/%25252525252e", False),
        ("/v2/a/b/%00", False),
    ],
)
def test_paths_of_a_repository(path, is_of_a_b):
    """However a server reads them."""
    assert is_of_repository(f"https://reg.example{path}", "a/b") == is_of_a_b
    assert not is_below(f"https://reg.example{path}", "/v2/a/b/") or is_of_a_b
    assert is_of_repository("https://reg.example/v2/", "")


@pytest.mark.parametrize("location", ["https://[x/?X-Sig=S1GNATURE", "http://[/y?flag&sig=S1GNATURE"])
def test_an_invalid_url_in_an_error_has_no_query(location, connect, image, keep):
    with pytest.raises(ProtocolError, match=re.escape(location.partition("?")[0])) as caught:
        check_destination(location, HTTPS, "the location")
    assert "is not a valid URL" in str(caught.value) and "S1GNATURE" not in str(caught.value)
    with Registry() as registry:
        keep(registry, "app", image, "v1")
        registry.faults = [Fault("blob get", status=307, headers={"Location": location})]
        with pytest.raises(ProtocolError, match=re.escape(location.partition("?")[0])) as caught:
            RegistryBlobSource(connect(registry.host), "app").open(image.root.layers[0])
    assert "is not a valid URL" in str(caught.value) and "S1GNATURE" not in str(caught.value)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("method", ["get_manifest", "head_manifest"])
def test_redirects_of_reads_are_followed(status, method, connect, image, keep):
    with Registry() as registry, Registry() as other:
        keep(other, "app", image, "v1")
        registry.faults = [
            Fault("manifest", nth=1, status=status, headers={"Location": f"http://{other.host}{{path}}"})
        ]
        found = getattr(connect(registry.host), method)("app", "v1")
        assert getattr(found, "digest", found) == image.digest


@pytest.mark.parametrize("status", [307, 308])
def test_an_upload_is_followed_with_its_body(status, connect, image, holds):
    """The body is opened again for the redirected request."""
    with Registry() as registry:
        registry.faults = [
            Fault("upload put", nth=(1, 3), status=status, headers={"Location": "{path}"}),
            Fault("manifest put", nth=1, status=status, headers={"Location": "{path}"}),
        ]
        push(image.root, image.source, connect(registry.host, jobs=1), "app", ["v1"])
        holds(registry, "app", image, "v1")


@pytest.mark.parametrize("status", [301, 302, 303])
def test_an_upload_that_would_become_a_get_is_not_followed(status, connect, image):
    with Registry() as registry:
        registry.faults = [Fault("upload put", status=status, headers={"Location": "/elsewhere"})]
        with pytest.raises(ResponseError, match=f"PUT .*: {status}; the registry redirected this request"):
            push(image.root, image.source, connect(registry.host), "app", ["v1"])
        assert not [request for request in registry.requests if request.path == "/elsewhere"]


def test_a_redirect_loop(connect):
    with Registry() as registry:
        registry.faults = [Fault("manifest", status=307, headers={"Location": "{path}"})]
        with pytest.raises(ProtocolError, match="redirects more than 10 times"):
            connect(registry.host).get_manifest("app", "v1")
        assert len(registry.requests) == 12


@pytest.mark.parametrize("path", ["/v2/", "/login", "https://example.com"])
def test_a_redirected_ping_gets_no_credentials(path, connect):
    """The target of the redirect may be a web page. No credentials are sent to it."""
    with Registry(auth=BasicAuth([User("ann", "secret")])) as registry:
        headers = {"Location": f"{path}" if "://" not in path else "http://169.254.169.254/"}
        registry.faults = [Fault("ping get", status=302, headers=headers)]
        with pytest.raises(DocklessError):
            connect(registry.host, credentials=ANN).get_manifest("app", "v1")
        assert not any(request.headers["Authorization"] for request in registry.requests)


# A store to which the registry redirects, and which redirects back to the registry.

STOLEN = "/v2/stolen/prod/manifests/v1"


def store(answer):
    """Return a server that reads each request and sends `answer(n, head)`, and the heads that it received."""
    heads = []

    def serve(connection):
        while head := head_of(connection):
            heads.append(head)
            length = re.search(r"content-length: (\d+)", head, re.IGNORECASE)
            left = int(length[1]) if length else 0
            while left:
                left -= len(connection.recv(left))
            connection.sendall(answer(len(heads), head).encode() + b"\r\nContent-Length: 0\r\n\r\n")

    return raw_server(serve), heads


def stolen(registry):
    return [request for request in registry.requests if "/stolen/" in request.path]


@pytest.fixture(params=["basic", "token"])
def guarded(request, keep, image):
    users = [User("ann", "secret")]
    auth = BasicAuth(users) if request.param == "basic" else TokenAuth(users, anonymous="")
    with Registry(auth=auth) as registry:
        keep(registry, "stolen/prod", image, "v1")
        yield registry


@pytest.mark.parametrize("status", [302, 307, 308])
def test_credentials_do_not_come_back_from_another_host(status, guarded, connect, image, keep):
    """The 401 is not answered: no token is requested for the repository that the store names."""
    keep(guarded, "app", image, "v1")
    server, heads = store(lambda n, head: f"HTTP/1.1 {status} X\r\nLocation: http://{guarded.host}{STOLEN}")
    with server as host, contextlib.closing(connect(guarded.host, credentials=ANN)) as client:
        guarded.faults = [Fault("manifest get", nth=1, status=307, headers={"Location": f"http://{host}/x"})]
        with pytest.raises(ResponseError, match=f"GET http://{guarded.host}{STOLEN}: 401"):
            client.get_manifest("app", "v1")
    assert len(heads) == 1 and "authorization" not in heads[0].lower()
    assert [request.headers["Authorization"] for request in stolen(guarded)] == [None]
    assert not [request for request in guarded.requests if "stolen" in str(request.query)]


@pytest.mark.parametrize("status", [307, 308])
@pytest.mark.parametrize("method", ["PUT", "DELETE"])
def test_a_request_that_changes_something_is_not_redirected_back(status, method, guarded, connect, image):
    server, heads = store(lambda n, head: f"HTTP/1.1 {status} X\r\nLocation: http://{guarded.host}{STOLEN}")
    with server as host, contextlib.closing(connect(guarded.host, credentials=ANN)) as client:
        guarded.faults = [
            Fault(f"manifest {method.lower()}", nth=(1, 2), status=307, headers={"Location": f"http://{host}/x"})
        ]
        with pytest.raises(ProtocolError, match=f"{host} redirects a {method} back to {guarded.host}; no request was"):
            if method == "PUT":
                client.put_manifest("app", "v1", image.root.raw, image.root.media_type)
            else:
                client.delete_manifest("app", "v1")
    assert len(heads) == 1 and stolen(guarded) == []
    assert guarded.tags("stolen/prod") == {"v1": image.digest}


def test_an_upload_at_another_host_is_not_redirected_back(guarded, connect, image):
    server, heads = store(lambda n, head: f"HTTP/1.1 307 X\r\nLocation: http://{guarded.host}{STOLEN}")
    with server as host, contextlib.closing(connect(guarded.host, credentials=ANN)) as client:
        guarded.faults = [Fault("upload post", nth=(1, 2), status=202, headers={"Location": f"http://{host}/u"})]
        upload = client.open_upload("app")
        with pytest.raises(ProtocolError, match="redirects a DELETE back to"):
            upload.cancel()
    assert len(heads) == 1 and "authorization" not in heads[0].lower() and stolen(guarded) == []


@pytest.mark.parametrize(
    ("path", "is_allowed"), [(STOLEN, False), ("/v2/app/manifests/v1", False), ("/v2/app/blobs/uploads/1", True)]
)
def test_an_upload_location_that_another_host_names(path, is_allowed, guarded, connect):
    """The Location must be an upload to the same repository, because it is requested with credentials."""
    server, _ = store(lambda n, head: f"HTTP/1.1 202 Accepted\r\nLocation: http://{guarded.host}{path}")
    with server as host, contextlib.closing(connect(guarded.host, credentials=ANN)) as client:
        guarded.faults = [Fault("upload post", nth=(1, 2), status=307, headers={"Location": f"http://{host}/u"})]
        if is_allowed:
            assert client.open_upload("app").location == f"http://{guarded.host}{path}"
        else:
            with pytest.raises(ProtocolError, match="is not below /v2/app/blobs/uploads/ of the registry"):
                client.open_upload("app")
    assert stolen(guarded) == []
