"""Responses without end or sense, from everyone who can answer: each is given up after a bounded number of bytes."""

import io

import pytest
from hostile_server import hostile_server, response
from http_sessions import http_session
from requests.exceptions import RequestException

from dockless.errors import DocklessError
from dockless.layout.blob_copy import copy_blob
from dockless.oci import media_types
from dockless.oci.descriptor import Descriptor
from dockless.oci.digest import Digest
from dockless.registry import Credentials, RegistryBlobSource
from dockless.transfer.foreign_layers import ForeignLayerSource

BLOB = b"0123456789"
DIGEST = Digest.of(BLOB)
LAYER = Descriptor(media_types.OCI_LAYER, DIGEST, len(BLOB))
# What an attack may make a client read, with all that the buffers of two sockets hold.
MOST = 24 << 20

CHUNKED = b"HTTP/1.1 STATUS X\r\nTransfer-Encoding: chunked\r\n\r\n"
LONG = b"x" * 60_000

# name -> the beginning of the response, and what is repeated after it.
HEADS = {
    "status line": (b"", b"H" * 60_000),
    "status line after its version": (b"HTTP/1.1 ", LONG),
    "reason": (b"HTTP/1.1 STATUS ", LONG),
    "header": (b"HTTP/1.1 STATUS X\r\nX-A: ", LONG),
    "long headers": (b"HTTP/1.1 STATUS X\r\n", b"X-A: " + LONG + b"\r\n"),
    "short headers": (b"HTTP/1.1 STATUS X\r\n", b"X-A: a\r\n" * 500),
    "folded header": (b"HTTP/1.1 STATUS X\r\nX-A: a\r\n", b" a\r\n" * 500),
    "100 Continue": (b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 100),
    "103 with long headers": (b"", b"HTTP/1.1 103 X\r\nLink: " + LONG + b"\r\n\r\n"),
    "103 with one endless head": (b"HTTP/1.1 103 X\r\n", b"Link: " + LONG + b"\r\n"),
}
BODIES = {
    "trailers": (CHUNKED + b"2\r\n{}\r\n0\r\n", b"X-T: " + LONG + b"\r\n"),
    "short trailers": (CHUNKED + b"2\r\n{}\r\n0\r\n", b"X-T: a\r\n" * 500),
    "one trailer": (CHUNKED + b"2\r\n{}\r\n0\r\n", LONG),
    "long chunk extensions": (CHUNKED, b"1;" + LONG + b"\r\na\r\n"),
    "short chunk extensions": (CHUNKED, (b"1;" + b"x" * 100 + b"\r\na\r\n") * 100),
    "one chunk extension": (CHUNKED + b"1;", LONG),
    "extension of the last chunk": (CHUNKED + b"2\r\n{}\r\n0;", LONG),
    "chunk size": (CHUNKED, b"0" * 60_000),
    "content": (b"HTTP/1.1 STATUS X\r\n\r\n", LONG),
    "content in chunks": (CHUNKED, b"ea60\r\n" + LONG + b"\r\n"),
    "content of a declared length": (b"HTTP/1.1 STATUS X\r\nContent-Length: 9999999999999\r\n\r\n", LONG),
}
SIZES = {
    "-1": b"-1",
    "-5": b"-5",
    "plus": b"+5",
    "0x": b"0x5",
    "underscore": b"5_0",
    "space before": b" 5",
    "space within": b"5 5",
    "tab before": b"\t5",
    "vertical tab": b"\x0b5",
    "no digit": b"g",
    "nothing": b"",
    "only an extension": b";x=1",
    "16 digits": b"F" * 16,
    "30 digits": b"F" * 30,
    "zeros": b"0" * 2000 + b"5",
    "not ASCII": "\u0665".encode(),
    "huge": b"7fffffffffffff",
    "longer than said": b"2\r\n{}{}{}",
}
STREAMS = {
    **{f"endless {name}": stream for name, stream in {**HEADS, **BODIES}.items()},
    **{f"chunk size {name}": (CHUNKED + size + b"\r\n", LONG) for name, size in SIZES.items()},
}


def read(client):
    with RegistryBlobSource(client, "a/b").open(LAYER) as file:
        return file.read()


def push(client):
    return client.ensure_blob("a/b", LAYER, Memory())


class Memory:
    def open(self, descriptor):
        return io.BytesIO(BLOB)


# Who answers -> the method and path of the request, the status of the answer, and what the user does.
REGISTRY = {
    "greeting": ("GET /v2/", 200, lambda client: client.ping()),
    "greeting 401": ("GET /v2/", 401, lambda client: client.ping()),
    "greeting 500": ("GET /v2/", 500, lambda client: client.ping()),
    "manifest": ("GET /v2/a/b/manifests/v1", 200, lambda client: client.get_manifest("a/b", "v1")),
    "manifest 401": ("GET /v2/a/b/manifests/v1", 401, lambda client: client.get_manifest("a/b", "v1")),
    "manifest 404": ("GET /v2/a/b/manifests/v1", 404, lambda client: client.get_manifest("a/b", "v1")),
    "manifest 500": ("GET /v2/a/b/manifests/v1", 500, lambda client: client.get_manifest("a/b", "v1")),
    "manifest 307": ("GET /v2/a/b/manifests/v1", 307, lambda client: client.get_manifest("a/b", "v1")),
    "manifest put": ("PUT /v2/a/b/manifests/v1", 400, lambda client: client.put_manifest("a/b", "v1", b"{}", "x/y")),
    "tags": ("GET /v2/a/b/tags/list", 200, lambda client: list(client.tags("a/b"))),
    "referrers": (f"GET /v2/a/b/referrers/{DIGEST}", 200, lambda client: client.referrers("a/b", DIGEST)),
    "blob": (f"GET /v2/a/b/blobs/{DIGEST}", 200, read),
    "blob 404": (f"GET /v2/a/b/blobs/{DIGEST}", 404, read),
    "upload": ("POST /v2/a/b/blobs/uploads/", 403, push),
    "upload content": ("PUT /upload", 400, push),
}


def answering(place, status, stream):
    """A server that answers requests of `place` with a stream, and others as a registry without blobs."""
    begin, piece = stream

    def answer(request, connection):
        if place(request):
            connection.sendall(begin.replace(b"STATUS", b"%d" % status))
            server.send_endlessly(connection, piece)
            return None
        if request.path == "/v2/":
            return response()
        if request.method == "POST":
            return response(202, {"Location": "/upload"})
        return response(404)

    context = hostile_server(answer)

    class Opened:
        def __enter__(self):
            nonlocal server
            server = context.__enter__()
            return server

        def __exit__(self, *error):
            return context.__exit__(*error)

    server = None
    return Opened()


@pytest.mark.parametrize("stream", STREAMS)
@pytest.mark.parametrize("place", REGISTRY)
def test_registry(place, stream, connect, clean, memory):
    path, status, do = REGISTRY[place]
    with answering(lambda r: f"{r.method} {r.path}" == path, status, STREAMS[stream]) as server:
        client = connect(server.host)
        try:
            do(client)
        except DocklessError as error:
            clean(error)
        else:
            # The first bytes of an answer to a greeting are enough; what follows is not read.
            assert place.startswith("greeting")
        client.close()
    assert server.sent < MOST and memory() < 64 << 10


@pytest.mark.parametrize("stream", STREAMS)
@pytest.mark.parametrize(
    ("kind", "status"), [("password", 200), ("password", 401), ("password", 500), ("identity token", 200)]
)
def test_token_server(kind, status, stream, connect, clean, memory):
    credentials = Credentials("ann", "canary-password")
    if kind == "identity token":
        credentials = Credentials(identity_token="canary-password")
    begin, piece = STREAMS[stream]

    def answer(request, connection):
        if request.path == "/token":
            connection.sendall(begin.replace(b"STATUS", b"%d" % status))
            server.send_endlessly(connection, piece)
            return None
        return response(401, {"WWW-Authenticate": f'Bearer realm="{server.url}/token",service="x"'})

    with hostile_server(answer) as server:
        client = connect(server.host, credentials=credentials)
        with pytest.raises(DocklessError) as caught:
            client.get_manifest("a/b", "v1")
        client.close()
    clean(caught.value)
    assert server.sent < MOST and memory() < 64 << 10


@pytest.mark.parametrize("stream", STREAMS)
@pytest.mark.parametrize("status", [200, 404])
@pytest.mark.parametrize("kind", ["manifest", "blob", "upload"])
def test_store(kind, status, stream, connect, clean, memory):
    """A host that the registry redirects to."""
    do = {"manifest": lambda client: client.get_manifest("a/b", "v1"), "blob": read, "upload": push}[kind]
    with answering(lambda r: True, status, STREAMS[stream]) as store:

        def answer(request, connection):
            if request.path == "/v2/":
                return response()
            if request.method == "POST":
                return response(202, {"Location": f"{store.url}/x"})
            return response(404) if request.method == "HEAD" else response(307, {"Location": f"{store.url}/x"})

        with hostile_server(answer) as server:
            client = connect(server.host)
            with pytest.raises(DocklessError) as caught:
                do(client)
            client.close()
    clean(caught.value)
    assert store.sent < MOST and memory() < 64 << 10
    assert store.requests and store.authorizations == []


@pytest.mark.parametrize("stream", STREAMS)
@pytest.mark.parametrize("status", [200, 404])
def test_foreign_layer(status, stream, clean, memory):
    with answering(lambda r: True, status, STREAMS[stream]) as web:
        layer = LAYER._replace(media_type=media_types.FOREIGN_LAYER, urls=(f"{web.url}/layer",))
        source = ForeignLayerSource(Missing(), hosts=[web.host])
        with pytest.raises(DocklessError) as caught:
            copy_blob(source, layer, io.BytesIO())
        source.close()
    clean(caught.value)
    assert web.sent < MOST and memory() < 64 << 10


class Missing:
    def open(self, descriptor):
        raise DocklessError("missing")


@pytest.mark.parametrize("stream", STREAMS)
@pytest.mark.parametrize("status", [200, 407])
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_proxy(scheme, status, stream, connect, clean, environ, memory):
    """A proxy's answer to CONNECT, and to a request of plain HTTP."""
    with answering(lambda r: True, status, STREAMS[stream]) as proxy:
        variables = {"HTTP_PROXY": proxy.url, "HTTPS_PROXY": proxy.url}
        client = connect("reg.example:5000", insecure=scheme == "http", environ={**environ, **variables})
        try:
            client.get_manifest("a/b", "v1")
        except DocklessError as error:
            clean(error)
        else:
            pytest.fail("there is no registry")
        client.close()
    assert proxy.sent < MOST and memory() < 64 << 10
    assert proxy.requests and proxy.authorizations == []


@pytest.mark.parametrize("stream", STREAMS)
@pytest.mark.parametrize("status", [200, 401])
def test_session_of_a_library(status, stream, memory):
    """With which google-auth requests tokens."""
    with answering(lambda r: True, status, STREAMS[stream]) as server, http_session() as http:
        session = http.plain_session()
        with pytest.raises(RequestException):
            session.get(f"{server.url}/token", timeout=30)
        session.close()
    assert server.sent < MOST and memory() < 64 << 10
