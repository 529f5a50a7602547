"""Servers that read a body slowly, partly or not at all, and their early responses."""

import contextlib
import os
import socket
import ssl
import threading
from functools import partial

import pytest
from http_sessions import exchange, http_session
from one_opener import Opens
from raw_server import head_of, raw_server

from dockless.errors import RegistryError
from dockless.oci import media_types
from dockless.oci.descriptor import Descriptor
from dockless.oci.digest import Digest
from dockless.registry.clock import Clock
from dockless.registry.http.minimum_rate import TransferTooSlowError
from dockless.registry.http.sending import BodySender
from dockless.registry.upload_body import BLOCK_SIZE, BlobPart, OpenBlob
from dockless.testing import make_certificate, server_context

DATA = os.urandom(20 * BLOCK_SIZE + 12345)
BLOB = Descriptor(media_types.OCI_LAYER, Digest.of(DATA), len(DATA))
LARGE = b"HTTP/1.1 413 Too Large\r\nContent-Length: 5\r\n\r\nlarge"
CREATED = b"HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n"


class Peers:
    """A server for an upload, by plain HTTP or TLS."""

    def __init__(self, path, tls_directory):
        self.blob = OpenBlob(Opens(partial(open, path, "rb")), BLOB)
        self.scheme = "https" if tls_directory else "http"
        self.tls = server_context(tls_directory) if tls_directory else None
        self.trusted = ssl.create_default_context(cafile=str(tls_directory / "ca.pem")) if tls_directory else None
        self.connections = 0
        self.moved = 0
        # Set when the client has its last response.
        self.gone = threading.Event()

    def put(self, serve, *, timeout=20.0):
        """Return the responses of `serve(connection)` to a PUT and to a GET over the same pool."""

        def speak(connection):
            self.connections += 1
            if self.tls is None:
                return serve(connection)
            with self.tls.wrap_socket(connection, server_side=True) as secure:
                return serve(secure)

        def moving(n):
            self.moved += n

        with raw_server(speak) as host, contextlib.ExitStack() as leaving:
            leaving.callback(self.gone.set)
            session = leaving.enter_context(http_session(self.trusted))
            body = BlobPart(self.blob, 0, len(DATA), moving)
            url = f"{self.scheme}://{host}/"
            return [exchange(session, url, "PUT", body, timeout=timeout), exchange(session, url, timeout=timeout)]


@pytest.fixture(params=["http", "https"])
def peers(request, path, tmp_path):
    if request.param == "https":
        authority = make_certificate(tmp_path)
        authority.rename(tmp_path / "ca.pem")
    found = Peers(path, tmp_path if request.param == "https" else None)
    with contextlib.closing(found.blob):
        yield found


def respond_and_keep_open(peers, answer):
    """Return a handler that sends `answer` after the head, reads no body, and keeps the connection open."""

    def serve(connection):
        head = head_of(connection)
        if head.startswith("GET"):
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
        elif head:
            connection.sendall(answer)
            peers.gone.wait(20)

    return serve


@pytest.mark.parametrize(
    "answer, response",
    [
        (LARGE, (413, b"large")),
        (LARGE.replace(b"Content-Length: 5\r\n\r\nlarge", b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"), (413, b"")),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 102 Processing\r\na: b\r\n\r\n" + LARGE, (413, b"large")),
        (b"HTTP/1.1 307 Temporary Redirect\r\nLocation: /\r\nContent-Length: 0\r\n\r\n", (307, b"")),
        (b"HTTP/1.0 503 Busy\r\nContent-Length: 0\r\n\r\n", (503, b"")),
    ],
)
def test_a_refusal_is_read_while_the_body_is_sent(peers, answer, response):
    assert peers.put(respond_and_keep_open(peers, answer)) == [response, (200, b"{}")]
    # The rest of the body would be read as the next request.
    assert peers.connections == 2
    assert peers.moved < len(DATA)


def test_the_rest_of_the_body_is_not_sent_after_a_refusal(peers):
    """A 413 is already received, so that gigabytes would be sent in vain."""
    read = []

    def serve(connection):
        if head_of(connection).startswith("GET"):
            connection.sendall(CREATED)
            return
        connection.sendall(LARGE)
        while data := connection.recv(BLOCK_SIZE):
            read.append(len(data))

    assert peers.put(serve)[0] == (413, b"large")
    assert sum(read) < len(DATA)


@pytest.mark.parametrize(
    "meanwhile", [b"", b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 102 x\r\n\r\n" * 3, b"HTTP/1.1"]
)
def test_interim_and_partial_responses_do_not_end_the_body(peers, meanwhile):
    """This includes a part of a status line. The connection is reused."""
    got = []

    def serve(connection):
        head_of(connection)
        connection.sendall(meanwhile)
        while sum(map(len, got)) < len(DATA):
            got.append(connection.recv(BLOCK_SIZE))
        connection.sendall(CREATED if meanwhile != b"HTTP/1.1" else CREATED[8:])
        assert head_of(connection).startswith("GET")
        connection.sendall(CREATED)

    assert peers.put(serve) == [(201, b""), (201, b"")]
    assert b"".join(got) == DATA and peers.connections == 1 and peers.moved == len(DATA)


def test_the_whole_body_is_sent_after_an_early_success(peers):
    got = []

    def serve(connection):
        head_of(connection)
        connection.sendall(CREATED)
        while left := len(DATA) - sum(map(len, got)):
            # The next request may follow immediately.
            got.append(connection.recv(min(left, BLOCK_SIZE)))
        head_of(connection)
        connection.sendall(CREATED)

    assert peers.put(serve) == [(201, b""), (201, b"")]
    assert b"".join(got) == DATA


def test_a_closed_connection_ends_the_sending(peers):
    def serve(connection):
        if head_of(connection).startswith("PUT"):
            connection.recv(100)

    with pytest.raises(RegistryError, match="the connection was reset|closed connection without response|EOF"):
        peers.put(serve)


def test_a_peer_that_reads_nothing_times_out(peers, monkeypatch):
    monkeypatch.setattr("dockless.registry.http.session.SEND_TIMEOUT", 0.3)
    with pytest.raises(RegistryError, match="timed out"):
        peers.put(respond_and_keep_open(peers, b""))


def test_a_slow_peer_gets_the_whole_body():
    one, other = socket.socketpair()
    got = []

    def take():
        while data := other.recv(50_000):
            got.append(data)

    taking = threading.Thread(target=take)
    with other:
        taking.start()
        with one:
            one.settimeout(30)
            BodySender(one, Clock()).send(lambda done: one.send(DATA[done:]), len(DATA))
            assert one.gettimeout() == 30
        taking.join()
    assert b"".join(got) == DATA


def test_a_body_below_the_minimum_rate_is_an_error():
    """A peer that reads one byte every 30 seconds."""
    now = [0.0]
    clock = Clock(lambda: now[0], lambda: now[0], lambda seconds: None, lambda: 0.5)

    def step(done):
        now[0] += 30.0
        return 1

    one, other = socket.socketpair()
    with (
        one,
        other,
        pytest.raises(TransferTooSlowError, match="body was transferred at less than 1 KiB per"),
    ):
        BodySender(one, clock).send(step, len(DATA))
    assert now[0] == 60.0


def test_an_endless_response_head_is_bounded(peers):
    def serve(connection):
        head_of(connection)
        with contextlib.suppress(OSError):
            while True:
                connection.sendall(b"HTTP/1.1 200 OK\r\nX: " + b"x" * 60_000)

    with pytest.raises(Exception, match="not valid HTTP|reset"):
        peers.put(serve)


def test_a_flood_of_interim_responses_is_bounded(peers):
    def serve(connection):
        head_of(connection)
        with contextlib.suppress(OSError):
            while True:
                connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n" * 1000)

    with pytest.raises(Exception, match="informational responses"):
        peers.put(serve)


def test_a_refusal_is_read_between_small_pieces(peers, monkeypatch):
    monkeypatch.setattr("dockless.registry.http.adapter.BLOCK_SIZE", 1000)
    monkeypatch.setattr("dockless.registry.upload_body.BLOCK_SIZE", 1000)
    assert peers.put(respond_and_keep_open(peers, LARGE)) == [(413, b"large"), (200, b"{}")]
    assert peers.moved < len(DATA)
