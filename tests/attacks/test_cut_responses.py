"""TLS connections that somebody cuts (RFC 9112, section 9.8): what was received must not be taken for the whole."""

import json
import socket

import pytest
from hostile_server import hostile_server, response
from manual_clock import ManualClock

from dockless.errors import DocklessError
from dockless.oci import media_types
from dockless.oci.digest import Digest
from dockless.registry import RegistryClient, RetryPolicy
from dockless.testing import make_certificate, server_context

RAW = json.dumps({"schemaVersion": 2, "manifests": []}).encode()
DIGEST = Digest.of(RAW)
TAGS = json.dumps({"name": "a/b", "tags": ["v1"]}).encode()
OK = b"HTTP/1.1 200 OK\r\nContent-Type: " + media_types.OCI_INDEX.encode() + b"\r\n"
CHUNK = b"%x\r\n%s\r\n"


def of_length(body, sent):
    return OK + b"Content-Length: %d\r\n\r\n" % len(body) + sent


def chunked(body, sent):
    return OK + b"Transfer-Encoding: chunked\r\n\r\n" + CHUNK % (len(sent), sent)


def until_close(body, sent):
    return OK + b"\r\n" + sent


# name -> the bytes that arrive before the connection is cut, for a body of which `sent` is sent.
CUTS = {
    "in a body with a length": lambda body: of_length(body, body[:-1]),
    "in a chunk": lambda body: chunked(body, body)[:-3],
    "between two chunks": lambda body: chunked(body, body[:-1]),
    "before the last chunk": lambda body: chunked(body, body),
    "in the last chunk": lambda body: chunked(body, body) + b"0\r\n",
    "in a body until close": lambda body: until_close(body, body[:-1]),
    "at the end of a body until close": lambda body: until_close(body, body),
    "before a body until close": lambda body: until_close(body, b""),
    "in the head": lambda body: OK,
    "before the head": lambda body: b"",
}
# name -> what is requested, its path and body.
REQUESTS = {
    "manifest": (lambda client: client.get_manifest("a/b", "v1").digest == DIGEST, "/v2/a/b/manifests/v1", RAW),
    "tags": (lambda client: list(client.tags("a/b")) == ["v1"], "/v2/a/b/tags/list", TAGS),
}


@pytest.fixture(scope="module")
def tls(tmp_path_factory):
    directory = tmp_path_factory.mktemp("tls")
    make_certificate(directory)
    return server_context(directory)


@pytest.fixture
def cut(tls, environ):
    """`cut(answers)`: a client, and its registry with TLS, which sends each of the answers and cuts the connection.

    None stands for the whole body of a response that ends properly.
    """
    opened = []

    def cut(path, body, answers):
        def answer(request, connection):
            if request.path != path:
                return response()
            data = next(answers)
            if data is None:
                return OK + b"Content-Length: %d\r\n\r\n" % len(body) + body
            connection.sendall(data)
            # The TCP connection below ends, without close_notify.
            connection.shutdown(socket.SHUT_RDWR)
            return None

        server = hostile_server(answer, tls)
        opened.append(server)
        host = server.__enter__().host
        clock = ManualClock().clock()
        client = RegistryClient(host, insecure=True, environ=environ, clock=clock, retry=RetryPolicy(attempts=3))
        opened.append(client)
        return client

    yield cut
    for server, client in zip(opened[::2], opened[1::2]):
        client.close()
        server.__exit__(None, None, None)


@pytest.mark.parametrize("request_name", REQUESTS)
@pytest.mark.parametrize("where", CUTS)
def test_a_cut_response_is_requested_again(where, request_name, cut):
    do, path, body = REQUESTS[request_name]
    assert do(cut(path, body, iter([CUTS[where](body), None])))


@pytest.mark.parametrize("where", CUTS)
def test_a_response_that_is_always_cut_is_an_error(where, cut, clean):
    do, path, body = REQUESTS["tags"]
    cuts = [CUTS[where](body)] * 10
    client = cut(path, body, iter(cuts))
    with pytest.raises(DocklessError) as caught:
        do(client)
    assert "truncated" in clean(caught.value) or "was reset" in str(caught.value)
