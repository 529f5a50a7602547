"""Errors of connections name the cause."""

import errno
import os
import re
import socket
import ssl

import pytest
from raw_server import head_of, raw_server

from dockless.errors import RegistryError
from dockless.registry.http.error_mapping import translate
from dockless.registry.retry import classify
from dockless.testing import Fault, Registry


@pytest.mark.parametrize(
    ("number", "message", "attempts"),
    [
        (errno.ECONNREFUSED, "connection refused; check the port", 4),
        (errno.EHOSTUNREACH, "No route to host; check the network", 4),
        (errno.ENETUNREACH, "Network is unreachable; check the network", 4),
        (errno.ETIMEDOUT, "connecting timed out; check the network", 4),
        (errno.ECONNRESET, "the connection was reset", 6),
    ],
)
def test_the_error_of_the_system_is_shown(number, message, attempts, connect, monkeypatch):
    tried = []

    def refuse(self, address):
        tried.append(address)
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(socket.socket, "connect", refuse)
    with pytest.raises(RegistryError, match=f"GET http://127.0.0.1:9/v2/: {message}"):
        connect("127.0.0.1:9").ping()
    assert len(tried) >= attempts


def test_a_connection_that_is_never_accepted_times_out(connect, monkeypatch):
    def hang(self, address):
        raise socket.timeout("timed out")

    monkeypatch.setattr(socket.socket, "connect", hang)
    with pytest.raises(RegistryError, match="connecting timed out; check the network"):
        connect("127.0.0.1:9").ping()


@pytest.mark.parametrize(
    ("alert", "message"),
    [
        ("TLSV1_ALERT_PROTOCOL_VERSION", "the server does not support TLS 1.2 or later; older versions are insecure"),
        ("UNSUPPORTED_PROTOCOL", "the server does not support TLS 1.2 or later; older versions are insecure"),
        (
            "SSLV3_ALERT_HANDSHAKE_FAILURE",
            "the server rejected all TLS versions and ciphers that were offered",
        ),
        ("TLSV1_UNRECOGNIZED_NAME", "the server does not recognize the name reg.example; check the name"),
        (
            "TLSV13_ALERT_CERTIFICATE_REQUIRED",
            "the server requires a client certificate, .*; put client.cert and client.key",
        ),
        ("TLSV1_ALERT_UNKNOWN_CA", "the server requires a client certificate, .*; put client.cert and client.key"),
    ],
)
def test_a_tls_alert_is_not_retried(alert, message):
    error = ssl.SSLError(1, f"[SSL: {alert}] (_ssl.c:1006)")
    found = translate(error, "GET", "https://reg.example/v2/")
    assert re.match(f"GET https://reg.example/v2/: {message}", str(found)) and not classify(found).retryable


def test_corrupted_tls_records_are_retried():
    for message in (
        "[SSL: DECRYPTION_FAILED_OR_BAD_RECORD_MAC] (_ssl.c:1)",
        "[SSL: SSLV3_ALERT_BAD_RECORD_MAC] (_ssl.c:1)",
    ):
        assert classify(translate(ssl.SSLError(1, message), "GET", "https://reg.example/v2/")).retryable


@pytest.mark.parametrize(
    "head",
    [
        b"X: " + b"x" * 70_000 + b"\r\n",
        b"".join(b"X-%d: x\r\n" % n for n in range(150)),
        b"Content-Length: 1\r\nContent-Length: 2\r\n",
    ],
)
def test_a_response_that_is_not_http_is_not_retried(head, connect):
    heads = []

    def serve(connection):
        heads.append(head_of(connection))
        connection.sendall(b"HTTP/1.1 200 OK\r\n" + head + b"\r\n")

    with (
        raw_server(serve) as host,
        pytest.raises(RegistryError, match="response is not valid HTTP: .*must be fixed"),
    ):
        connect(host).ping()
    assert len(heads) == 1


def test_a_ping_error_in_the_registry_format_is_of_a_registry(connect):
    with Registry() as registry:
        registry.faults = [Fault("ping get", status=403, body='{"errors":[{"code":"DENIED","message":"from where"}]}')]
        with pytest.raises(RegistryError, match="/v2/: 403: DENIED from where; access is denied for this user"):
            connect(registry.host).ping()
