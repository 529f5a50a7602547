"""Reuse of connections, and responses after which a connection must not be reused."""

import contextlib
import gc
import http.client
import io
import socket
import ssl
import struct
import threading
import time
import warnings

import pytest
from http_sessions import exchange, http_session
from proxy_server import http_proxy
from raw_server import head_of, raw_server

from dockless.errors import RegistryError
from dockless.registry import Credentials, push
from dockless.registry.errors import RegistryConnectionError
from dockless.registry.http.adapter import Session
from dockless.registry.http.proxies import choose_proxy
from dockless.registry.http.session import HttpRequest
from dockless.testing import Fault, Registry, make_certificate, server_context

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"


@pytest.fixture
def pool():
    with http_session() as session:
        yield session


class Script:
    """Sends the next of `answers` for each request of a connection, and counts connections."""

    def __init__(self, *answers):
        self.answers = answers
        self.connections = 0
        self.heads = []

    def __call__(self, connection):
        self.connections += 1
        for answer in self.answers:
            head = head_of(connection)
            if not head:
                return
            self.heads.append(head)
            connection.sendall(answer)


@pytest.mark.parametrize(
    "answer, body",
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", b"hello"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", b""),
        (b"HTTP/1.1 204 No Content\r\n\r\n", b""),
        (b"HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n", b""),
        (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", b""),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2\r\nlo\r\n0\r\nTrailer: x\r\n\r\n",
            b"hello",
        ),
    ],
)
def test_a_connection_is_reused_after(pool, answer, body):
    script = Script(answer, OK)
    with raw_server(script) as host, contextlib.closing(pool):
        assert exchange(pool, f"http://{host}/")[1] == body
        assert exchange(pool, f"http://{host}/") == (200, b"{}")
        assert script.connections == 1


@pytest.mark.parametrize(
    "answer",
    [
        OK + b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\nmore",
        b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}",
        b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\n{}",
    ],
)
def test_a_connection_is_not_reused_after(pool, answer):
    script = Script(answer, b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nEVIL")
    with raw_server(script) as host, contextlib.closing(pool):
        for number in (1, 2):
            assert exchange(pool, f"http://{host}/") == (200, b"{}")
            assert script.connections == number


def test_buffered_tls_bytes_are_not_the_next_response(tmp_path):
    trusted = ssl.create_default_context(cafile=str(make_certificate(tmp_path)))
    big = b"HTTP/1.1 200 OK\r\nContent-Length: 200000\r\n\r\n" + bytes(200000)

    def serve(connection):
        with server_context(tmp_path).wrap_socket(connection, server_side=True) as secure:
            head_of(secure)
            secure.sendall(big + b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nEVIL")
            head_of(secure)

    with raw_server(serve) as host, http_session(trusted) as pool:
        for _ in range(2):
            assert exchange(pool, f"https://{host}/") == (200, bytes(200000))


def test_the_number_of_kept_connections_is_bounded(pool):
    """Redirects may lead to any number of hosts."""
    with contextlib.ExitStack() as stack:
        scripts = [Script(OK, OK) for _ in range(6)]
        hosts = [stack.enter_context(raw_server(script)) for script in scripts]
        stack.callback(pool.close)
        for host in (*hosts, hosts[5], hosts[2], hosts[0]):
            exchange(pool, f"http://{host}/")
        # The last four connections were kept. The first host needed a new connection.
        assert [script.connections for script in scripts] == [2, 1, 1, 1, 1, 1]


@pytest.mark.parametrize("size", [200_000, 20_000_000])
def test_a_response_before_the_end_of_the_body_is_read(pool, size):
    """A server that refuses a body responds and closes the connection. Sending the rest causes a reset."""

    def serve(connection):
        head_of(connection)
        connection.sendall(b"HTTP/1.1 413 Too Large\r\nConnection: close\r\nContent-Length: 5\r\n\r\nlarge")

    with raw_server(serve) as host:
        assert exchange(pool, f"http://{host}/", "PUT", bytes(size)) == (413, b"large")


@pytest.mark.parametrize(
    "target, sent",
    [
        ("/a%2Fb?x=%2f&y=a+b", "/a%2Fb?x=%2f&y=a+b"),
        ('/a b|c"d^e\\f`{}<>', "/a%20b%7Cc%22d%5Ee%5Cf%60%7B%7D%3C%3E"),
        ("/ä?ö", "/%C3%A4?%C3%B6"),
        ("/100%/%zz?[x]", "/100%25/%25zz?%5Bx%5D"),
        ("?q", "/?q"),
    ],
)
def test_invalid_characters_of_a_url_are_encoded(pool, target, sent):
    script = Script(OK)
    with raw_server(script) as host, contextlib.closing(pool):
        exchange(pool, f"http://{host}{target}")
    assert script.heads[0].split("\r\n")[:2] == [f"GET {sent} HTTP/1.1", f"Host: {host}"]


def test_the_debug_level_of_http_client_works(pool, monkeypatch, capsys):
    monkeypatch.setattr(http.client.HTTPConnection, "debuglevel", 1)
    with raw_server(Script(OK)) as host, contextlib.closing(pool):
        assert exchange(pool, f"http://{host}/") == (200, b"{}")
    assert "reply:" in capsys.readouterr().out


def test_an_exception_of_the_caller_is_not_the_cause(connect, environ):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    try:
        raise UnicodeDecodeError("utf-8", b"unrelated S3CR3T", 0, 1, "x")
    except UnicodeDecodeError:
        with pytest.raises(RegistryError, match="connection refused; check the port") as caught:
            connect(f"127.0.0.1:{port}").get_manifest("app", "v1")
    assert "S3CR3T" not in str(caught.value)


def test_a_reset_after_the_usual_cas_were_added_is_a_reset(tmp_path, connect, monkeypatch):
    named, usual = tmp_path / "named", tmp_path / "usual"
    named.mkdir()
    usual.mkdir()
    authority, others = make_certificate(named), make_certificate(usual)
    monkeypatch.setattr("certifi.where", lambda: str(others))

    def serve(connection):
        if connection.recv(1, socket.MSG_PEEK) != b"\x16":
            return
        with server_context(usual).wrap_socket(connection, server_side=True) as secure:
            secure.recv(1)
            secure.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    with raw_server(serve) as host, pytest.raises(RegistryError, match="the connection was reset"):
        connect(host, ca_file=str(authority)).get_manifest("app", "v1")


def test_a_second_put_of_a_manifest_is_retried_after_a_reset(connect, image, holds, monkeypatch):
    send, puts = Session.send, []

    def broken(self, request, **options):
        if request.method == "PUT" and "/manifests/" in request.url:
            puts.append(request.url)
            if len(puts) == 2:
                raise ConnectionResetError(104, "reset")
        return send(self, request, **options)

    monkeypatch.setattr(Session, "send", broken)
    fault = Fault(on="manifest put", nth=1, status=400, body='{"errors": [{"code": "MANIFEST_BLOB_UNKNOWN"}]}')
    with Registry(faults=[fault]) as registry:
        push(image.root, image.source, connect(registry.host), "app", ["v1"])
        holds(registry, "app", image, "v1")
    assert len(puts) == 3


def test_no_socket_is_left_open_without_a_token(connect):
    def serve(connection):
        while head := head_of(connection):
            if "GET /v2/ " in head:
                connection.sendall(OK)
            elif "/token" in head:
                connection.sendall(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
            else:
                realm = f"http://{head.split('Host: ')[1].split()[0]}/token"
                challenge = f'HTTP/1.1 401 U\r\nWWW-Authenticate: Bearer realm="{realm}",service="x"\r\n'
                connection.sendall(challenge.encode() + b"Content-Length: 100000\r\n\r\n" + bytes(100000))

    with warnings.catch_warnings(record=True) as caught, raw_server(serve) as host:
        warnings.simplefilter("always")
        with contextlib.closing(connect(host, credentials=Credentials("ann", "x"))) as client:
            for _ in range(3):
                with pytest.raises(RegistryError):
                    client.get_manifest("app", "v1")
        del client
        gc.collect()
    assert [str(one.message) for one in caught if issubclass(one.category, ResourceWarning)] == []


def test_a_scheme_in_upper_case_is_the_same_scheme(environ):
    """If a SOCKS proxy were used as an HTTP proxy, the registry would get the password of the proxy."""
    assert choose_proxy("http://reg.example/", {"HTTP_PROXY": "SOCKS5://u:p@h:1"}) == "socks5://u:p@h:1"


@pytest.mark.parametrize("value", ["u:S3CR3T@px:3128", "10.255.255.1:3128"])
def test_a_proxy_of_a_cgi_program_is_checked_as_well(value):
    environ = {"http_proxy": value, "HTTP_PROXY": "http://other", "REQUEST_METHOD": "GET"}
    assert choose_proxy("http://reg.example/", environ) == f"http://{value}"


@pytest.fixture
def behind_tls(tmp_path, monkeypatch):
    """A session with a TLS proxy, which trusts the proxy and the registry."""
    monkeypatch.setattr("dockless.registry.http.proxies.is_loopback", lambda host: False)
    trusted = ssl.create_default_context(cafile=str(make_certificate(tmp_path)))
    with contextlib.ExitStack() as stack:
        proxy = stack.enter_context(http_proxy(server_context(tmp_path)))
        yield stack.enter_context(http_session(trusted, HTTPS_PROXY=f"https://{proxy.address}"))


@pytest.mark.parametrize(
    "head", [b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 500000\r\n\r\n", b"HTTP/1.0 200 OK\r\n\r\n"]
)
def test_a_response_that_ends_with_the_connection_is_complete_behind_tls(behind_tls, tmp_path, head):
    def serve(connection):
        with server_context(tmp_path).wrap_socket(connection, server_side=True) as secure:
            head_of(secure)
            secure.sendall(head + bytes(500_000))
            secure.unwrap()

    with raw_server(serve) as host:
        assert exchange(behind_tls, f"https://{host}/") == (200, bytes(500_000))


def test_a_response_that_is_truncated_behind_tls_is_an_error(behind_tls, tmp_path):
    def serve(connection):
        secure = server_context(tmp_path).wrap_socket(connection, server_side=True)
        head_of(secure)
        secure.sendall(b"HTTP/1.0 200 OK\r\nContent-Length: 500001\r\n\r\n" + bytes(500_000))
        secure.close()

    with raw_server(serve) as host, pytest.raises(RegistryError, match="the response was truncated"):
        exchange(behind_tls, f"https://{host}/")


def test_a_handshake_behind_tls_has_a_total_timeout(behind_tls, monkeypatch):
    monkeypatch.setattr("dockless.registry.http._urllib3.CONNECT_TIMEOUT", 0.5)
    done = threading.Event()

    def serve(connection):
        # An endless TLS record, one byte at a time, so that no single read times out.
        connection.recv(1)
        connection.sendall(b"\x16\x03\x03\x40\x00")
        while not done.wait(0.1):
            connection.sendall(b"x")

    begin = time.monotonic()
    with raw_server(serve) as host:
        try:
            with pytest.raises(RegistryError):
                exchange(behind_tls, f"https://{host}/")
            assert time.monotonic() - begin < 20
        finally:
            done.set()


@pytest.mark.parametrize(
    "answer, message",
    [
        (b"HTTP/1.1 100 Continue\r\n\r\n" * 30, "cannot be reached, or refused the connection"),
        (b"HTTP/1.1 403 No\r\nVia: x", "answered 403; ask the operator of the proxy"),
        (b"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 407 Who\r\n\r\n", "requires a user name and password"),
    ],
)
def test_responses_of_a_proxy_to_connect(connect, environ, answer, message):
    with raw_server(Script(answer)) as host:
        environ["HTTPS_PROXY"] = f"http://{host}"
        with pytest.raises(RegistryError, match=message):
            connect("reg.example").get_manifest("app", "v1")


def dies_after_each_answer(seen):
    """Closes a connection without notice, when the next request may already be on its way."""

    def serve(connection):
        seen.append(head_of(connection))
        connection.sendall(OK)
        # The next request finds the connection closed.
        connection.recv(1)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    return serve


def test_a_request_is_repeated_if_its_reused_connection_is_closed(pool):
    seen = []
    with raw_server(dies_after_each_answer(seen)) as host, contextlib.closing(pool):
        for _ in range(10):
            assert exchange(pool, f"http://{host}/") == (200, b"{}")
        assert len(seen) == 10


@pytest.mark.parametrize("method, is_repeated", [("PUT", True), ("POST", True), ("DELETE", False), ("PATCH", False)])
def test_which_requests_are_repeated(pool, method, is_repeated):
    """A server may have executed a request whose connection died: DELETE would find nothing, PATCH would append."""
    seen = []
    with raw_server(dies_after_each_answer(seen)) as host, contextlib.closing(pool):
        exchange(pool, f"http://{host}/")
        if is_repeated:
            assert exchange(pool, f"http://{host}/", method=method) == (200, b"{}")
        else:
            with pytest.raises(RegistryConnectionError) as caught:
                exchange(pool, f"http://{host}/", method=method)
            assert caught.value.is_stale
        assert len(seen) == 1 + is_repeated


def test_a_body_that_was_lost_once_is_sent_over_new_connections(pool):
    """Otherwise a server that closes each idle connection would cost a body each time."""
    seen = []
    with raw_server(dies_after_each_answer(seen)) as host, contextlib.closing(pool):
        put = HttpRequest("PUT", f"http://{host}/", body=lambda: contextlib.closing(_Body()))
        exchange(pool, f"http://{host}/")
        with pytest.raises(RegistryConnectionError):
            pool.send(put)
        for _ in range(3):
            exchange(pool, f"http://{host}/")
            response = pool.send(put)
            assert response.status == 200
            response.close()
        assert [head.split()[0] for head in seen] == ["GET"] + ["GET", "PUT"] * 3


@pytest.mark.parametrize("start", [b"H", b"HTTP/1.1 20", OK[:-2]])
def test_a_response_that_began_is_not_awaited_again(pool, start):
    script = Script(OK, start)
    with raw_server(script) as host, contextlib.closing(pool):
        exchange(pool, f"http://{host}/")
        with pytest.raises(RegistryConnectionError) as caught:
            exchange(pool, f"http://{host}/")
        assert not caught.value.is_stale and script.connections == 1


def test_a_new_connection_that_dies_is_not_stale(pool):
    with raw_server(lambda connection: head_of(connection)) as host, contextlib.closing(pool):
        with pytest.raises(RegistryConnectionError) as caught:
            exchange(pool, f"http://{host}/")
        assert not caught.value.is_stale


class _Body(io.BytesIO):
    def __init__(self):
        super().__init__(b"hello")

    def __len__(self):
        return 5


def test_connections_are_kept_after_one_was_reused(pool):
    turn = []

    def serve(connection):
        turn.append(None)
        for _ in range(1 if len(turn) == 1 else 2):
            if not head_of(connection):
                return
            connection.sendall(OK)
        connection.recv(1)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    with raw_server(serve) as host, contextlib.closing(pool):
        for _ in range(20):
            with contextlib.suppress(RegistryError):
                exchange(pool, f"http://{host}/")
        # All connections but the first served two requests.
        assert len(turn) <= 14


def test_a_missing_body_is_not_awaited_to_reuse_the_connection(pool):
    """A 201 with a Content-Length of 50, and no byte or a byte from time to time."""
    heads = []

    def serve(connection):
        heads.append(head_of(connection))
        connection.sendall(b"HTTP/1.1 201 Created\r\nContent-Length: 50\r\n\r\n")
        with contextlib.suppress(OSError):
            while len(heads) == 1:
                connection.sendall(b"x")
                threading.Event().wait(0.05)

    with raw_server(serve) as host, contextlib.closing(pool):
        for _ in range(2):
            response = pool.send(HttpRequest("GET", f"http://{host}/", read_timeout=20.0))
            response.drain(0.2)
            assert response.status == 201 and response.read_some(10) == b""


@pytest.mark.parametrize("lengths", [b"Content-Length: 2\r\nContent-Length: 3\r\n", b"Content-Length: 2, 3\r\n"])
def test_an_invalid_response_closes_its_connection(pool, lengths):
    """Not the garbage collector, which may run much later."""
    closed = threading.Event()

    def serve(connection):
        head_of(connection)
        connection.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\n" + lengths + b"\r\n{}x")
        with contextlib.suppress(ConnectionResetError):
            connection.recv(1)
        closed.set()

    with raw_server(serve) as host:
        with pytest.raises(RegistryError) as caught:
            exchange(pool, f"http://{host}/")
        assert closed.wait(20), caught
