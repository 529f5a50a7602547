"""Clients that attack `dockless serve`: web pages in a browser of this machine, and requests that are no requests."""

import contextlib
import json
import socket
import threading

import pytest

from dockless.errors import InvalidValueError
from dockless.oci.digest import Digest
from dockless.testing import PROFILES, BasicAuth, Registry, TokenAuth, User
from dockless.testing import serve as serve_module
from dockless.testing import uploads as uploads_module
from dockless.testing.serve import serve

DATA = b"some bytes"
DIGEST = Digest.of(DATA)
STORED = f"/v2/a/blobs/{DIGEST}"


class Answer:
    def __init__(self, raw):
        head, _, self.body = raw.partition(b"\r\n\r\n")
        self.head = head.decode("latin-1")
        self.status = int(head.split(b" ")[1]) if head.startswith(b"HTTP/1.1 ") else 0


def send(host, raw, *, end=True):
    """Send bytes on a connection of their own; return the answer."""
    name, _, port = host.rpartition(":")
    with socket.create_connection((name.strip("[]"), int(port)), 20) as connection:
        connection.sendall(raw)
        if end:
            connection.shutdown(socket.SHUT_WR)
        answer = b""
        # A connection that is reset, with the answer before.
        with contextlib.suppress(ConnectionResetError):
            while piece := connection.recv(65536):
                answer += piece
        return Answer(answer)


def ask(host, method, target, headers=(), body=b""):
    """Send a request whose headers are exactly these."""
    lines = [f"{method} {target} HTTP/1.1", *headers, f"Content-Length: {len(body)}", "Connection: close", "", ""]
    return send(host, "\r\n".join(lines).encode() + body)


@pytest.fixture
def no_traceback(monkeypatch):
    """Threads of the registry end without an exception, which Python would print with the text of the client."""
    found = []
    monkeypatch.setattr(threading, "excepthook", found.append)
    yield
    assert found == []


@pytest.fixture
def local(no_traceback):
    """A registry with the limits of `dockless serve`, and a blob."""
    with Registry(local_only=True, max_requests=0) as registry:
        registry.put_blob("a", DATA)
        yield registry


class TestWebPages:
    """DNS rebinding, and requests that a page may send anywhere without a preflight."""

    @pytest.mark.parametrize(
        "host",
        [
            *(
                "evil.example",
                "evil.example:{port}",
                "localhost.evil.example",
                "127.0.0.1.evil.example",
                "127.0.0.1.nip.io",
            ),
            *("localhost@evil.example", "evil.example@localhost", "127.0.0.1:x@evil", "10.0.0.1", "169.254.169.254"),
            *("0.0.0.0", "[::]", "192.0.2.1:{port}", "[fd00::1]", "[::ffff:10.0.0.1]", "2130706433", "0x7f.1", "127.1"),
            *(
                "localhost evil",
                "localhost/evil",
                "local\xadhost",
                "[::1",
                "::1",
                ",",
                "localhost, evil",
                "[localhost]",
            ),
        ],
    )
    @pytest.mark.parametrize("method", ["GET", "POST"])
    def test_a_host_that_is_another(self, local, host, method):
        target = STORED if method == "GET" else f"/v2/a/blobs/uploads/?digest={Digest.of(b'x')}"
        host = host.format(port=local.host.split(":")[1])
        answer = ask(local.host, method, target, [f"Host: {host}"], b"" if method == "GET" else b"x")
        assert answer.status == 403 and json.loads(answer.body)["errors"][0]["code"] == "DENIED"
        assert local.blobs("a") == {DIGEST: len(DATA)}

    @pytest.mark.parametrize(
        "host", ["localhost", "LOCALHOST:1", "127.0.0.1", "127.8.9.1:80", "[::1]:5000", "a.localhost", "localhost."]
    )
    def test_names_of_this_machine(self, local, host):
        answer = ask(local.host, "GET", STORED, [f"Host: {host}"])
        assert (answer.status, answer.body) == (200, DATA)

    def test_no_host_as_in_http_1_0(self, local):
        assert ask(local.host, "GET", STORED).status == 200

    def test_one_of_two_hosts_and_a_whole_url(self, local):
        assert ask(local.host, "GET", STORED, ["Host: localhost", "Host: evil.example"]).status == 403
        assert ask(local.host, "GET", f"http://evil.example{STORED}", ["Host: localhost"]).status == 403
        assert ask(local.host, "GET", f"http://localhost{STORED}", ["Host: localhost"]).status == 200

    @pytest.mark.parametrize("origin", ["http://evil.example", "null", "", "http://localhost", "http://{host}"])
    @pytest.mark.parametrize(
        "method, target",
        [
            ("POST", f"/v2/a/blobs/uploads/?digest={Digest.of(b'x')}"),
            ("POST", "/v2/a/blobs/uploads/"),
            ("PUT", "/v2/a/manifests/1"),
            ("DELETE", STORED),
            ("OPTIONS", "/v2/"),
            ("GET", STORED),
            ("HEAD", STORED),
        ],
    )
    def test_every_request_of_a_page(self, local, origin, method, target):
        headers = [f"Host: {local.host}", f"Origin: {origin.format(host=local.host)}", "Content-Type: text/plain"]
        answer = ask(local.host, method, target, headers, b"x" if method in ("POST", "PUT") else b"")
        assert answer.status == 403 and "Access-Control" not in answer.head
        assert local.blobs("a") == {DIGEST: len(DATA)} and len(local.storage._uploads) == 0

    def test_the_store_to_which_blobs_are_redirected(self, no_traceback):
        with Registry(profile=PROFILES["strict"]._replace(blob_redirect=307), local_only=True) as registry:
            registry.put_blob("a", DATA)
            answer = ask(registry.host, "GET", STORED, [f"Host: {registry.host}"])
            assert answer.status == 307
            location = answer.head.partition("Location: ")[2].partition("\r\n")[0]
            store, _, path = location.partition("://")[2].partition("/")
            store = store.replace("localhost", "127.0.0.1")
            assert ask(store, "GET", f"/{path}", [f"Host: {store}"]).body == DATA
            assert ask(store, "GET", f"/{path}", ["Host: evil.example"]).status == 403
            assert ask(store, "GET", f"/{path}", [f"Host: {store}", "Origin: null"]).status == 403

    def test_the_body_of_a_refused_request_is_not_read(self, local):
        head = f"POST /v2/a/blobs/uploads/ HTTP/1.1\r\nHost: evil\r\nContent-Length: {10**12}\r\n\r\n"
        assert send(local.host, head.encode() + b"x" * 100_000).status == 403

    @pytest.mark.parametrize("any_address", [False, True])
    def test_serve_refuses_them_unless_any_address(self, monkeypatch, any_address):
        made = []

        class StopError(Exception):
            pass

        def stop(url, where):
            made.append(
                ask(url.partition("://")[2], "GET", "/v2/", ["Host: evil.example", "Origin: http://evil.example"])
            )
            raise StopError

        with pytest.raises(StopError):
            serve("127.0.0.1:0", any_address=any_address, announce=stop)
        assert made[0].status == (200 if any_address else 403)

    def test_a_registry_in_a_test_accepts_every_host(self):
        """docs/testing.md: containers, for example, use other names for this machine."""
        with Registry() as registry:
            assert ask(registry.host, "GET", "/v2/", ["Host: host.docker.internal"]).status == 200


class TestMemory:
    def test_serve_keeps_no_requests_and_limits_memory(self, monkeypatch):
        made = {}

        def make(*arguments, **options):
            made.update(options)
            raise InvalidValueError("no registry")

        monkeypatch.setattr(serve_module, "Registry", make)
        with pytest.raises(InvalidValueError):
            serve("127.0.0.1:0")
        assert (made["max_requests"], made["max_memory"], made["local_only"]) == (0, 4 << 30, True)

    @pytest.mark.parametrize("kept", [0, 3])
    def test_requests(self, kept):
        with Registry(max_requests=kept) as registry:
            for n in range(5):
                ask(registry.host, "GET", f"/v2/a{n}/tags/list", ["Host: localhost"])
            assert [request.path for request in registry.requests] == [
                f"/v2/a{n}/tags/list" for n in range(5 - kept, 5)
            ]

    def test_content(self, no_traceback):
        """Uploads, blobs and manifests count together, and what is gone counts no longer."""
        with Registry(max_memory=1000) as registry:

            def push(data):
                return ask(registry.host, "POST", f"/v2/a/blobs/uploads/?digest={Digest.of(data)}", [], data).status

            first, second = b"a" * 600, b"b" * 600
            assert push(first) == 201
            assert push(second) == 413 and registry.blobs("a") == {Digest.of(first): 600}
            # The session that was refused is still open, and has nothing.
            assert push(b"c" * 400) == 201
            assert push(b"d") == 413
            for digest in list(registry.blobs("a")):
                assert ask(registry.host, "DELETE", f"/v2/a/blobs/{digest}").status == 202
            assert push(second) == 201 and push(second) == 413
            assert ask(registry.host, "DELETE", f"/v2/a/blobs/{Digest.of(second)}").status == 202
            assert push(b"e" * 1000) == 201
            with pytest.raises(Exception, match="413"):
                registry.put_manifest("a", b"x" * 10, "a/b", "1")

    def test_uploads_that_fail_or_are_canceled_count_no_longer(self):
        with Registry(max_memory=1000) as registry:
            for end in ("cancel", "wrong digest", "lost") * 3:
                answer = ask(registry.host, "POST", "/v2/a/blobs/uploads/")
                location = answer.head.partition("Location: ")[2].partition("\r\n")[0]
                answer = ask(registry.host, "PATCH", location, ["Content-Range: 0-599"], b"x" * 600)
                assert answer.status == 202
                location = answer.head.partition("Location: ")[2].partition("\r\n")[0]
                if end == "cancel":
                    assert ask(registry.host, "DELETE", location).status == 204
                elif end == "wrong digest":
                    assert ask(registry.host, "PUT", f"{location}&digest={DIGEST}").status == 400
                    registry.lose_sessions()
                else:
                    registry.lose_sessions()

    @pytest.mark.parametrize("storage", ["memory", "directory"])
    def test_sessions(self, tmp_path, monkeypatch, storage):
        monkeypatch.setattr(uploads_module, "_MAX_SESSIONS", 3)
        with Registry("memory" if storage == "memory" else tmp_path / "data") as registry:
            locations = []
            for _ in range(5):
                answer = ask(registry.host, "POST", "/v2/a/blobs/uploads/")
                locations.append(answer.head.partition("Location: ")[2].partition("\r\n")[0])
            assert [ask(registry.host, "GET", location).status for location in locations] == [404, 404, 204, 204, 204]
            assert len(registry.storage._uploads) == 3

    def test_tokens(self, monkeypatch):
        monkeypatch.setattr("dockless.testing.access._MAX_TOKENS", 3)
        with Registry(auth=TokenAuth(anonymous="pull")) as registry:
            for _ in range(5):
                assert ask(registry.host, "GET", "/token?scope=repository:a:pull").status == 200
            assert len(registry._access._grants) == 3


LONG = "a" * 70_000
# A request line and headers, and the statuses that are allowed; 0: the connection is closed without an answer.
REQUESTS = {
    "parent": ("GET /v2/../../etc/passwd HTTP/1.1", {404}),
    "parent in a repository": ("GET /v2/a/../b/tags/list HTTP/1.1", {400}),
    "encoded parent": ("GET /v2/%2e%2e%2f%2e%2e/tags/list HTTP/1.1", {400}),
    "encoded slash": ("GET /v2/a%2fb/blobs/..%2f..%2fx HTTP/1.1", {400, 404}),
    "parent as digest": ("GET /v2/a/blobs/sha256:../../../registry.json HTTP/1.1", {404, 400}),
    "encoded digest": ("GET /v2/a/blobs/sha256:%2e%2e%2fx HTTP/1.1", {400, 404}),
    "parent as tag": ("GET /v2/a/manifests/.. HTTP/1.1", {400, 404}),
    "encoded tag": ("PUT /v2/a/manifests/%2e%2e%2fx HTTP/1.1", {400, 404, 405}),
    "NUL": ("GET /v2/a%00/tags/list HTTP/1.1", {400}),
    "NUL in a tag": ("GET /v2/a/manifests/x%00 HTTP/1.1", {400, 404}),
    "inner name": ("GET /v2/a/_blobs/tags/list HTTP/1.1", {400, 404}),
    "inner repository": ("POST /v2/_tags/blobs/uploads/ HTTP/1.1", {400}),
    "dot": ("POST /v2/./blobs/uploads/ HTTP/1.1", {400}),
    "empty": ("POST /v2//blobs/uploads/ HTTP/1.1", {400, 404}),
    "long": (f"POST /v2/{'a' * 300}/blobs/uploads/ HTTP/1.1", {400}),
    "upper case": ("POST /v2/A/blobs/uploads/ HTTP/1.1", {400}),
    "line end": ("GET /v2/a%0d%0aX:%20y/tags/list HTTP/1.1", {400, 404}),
    "whole URL": ("GET http://evil.example/v2/%2e%2e/tags/list HTTP/1.1", {400}),
    "invalid URL": ("GET http://[x/v2/ HTTP/1.1", {400}),
    "no target": ("GET HTTP/1.1", {400}),
    "no version": ("GET /v2/", {400}),
    "another protocol": ("GET /v2/ SIP/2.0", {400}),
    "control characters": ("GET /v2/\x1b[2J::error::x HTTP/1.1", {400, 404}),
    "long line": (f"GET /{LONG} HTTP/1.1", {400}),
    "long header": (f"GET /v2/ HTTP/1.1\r\nX: {LONG}", {400}),
    "many headers": ("GET /v2/ HTTP/1.1" + "\r\nX: y" * 200, {400}),
    "n is negative": ("GET /v2/a/tags/list?n=-1 HTTP/1.1", {400, 200}),
    "n is huge": (f"GET /v2/a/tags/list?n={'9' * 400} HTTP/1.1", {400, 200}),
    "n is text": ("GET /v2/a/tags/list?n=x&last=%00 HTTP/1.1", {400, 200}),
    "n is Arabic": ("GET /v2/a/tags/list?n=%D9%A3 HTTP/1.1", {400, 200}),
    "method": ("DELETE /v2/ HTTP/1.1", {405}),
    "unknown method": ("BREW /v2/a/manifests/1 HTTP/1.1", {405}),
    "unknown session": ("PATCH /v2/a/blobs/uploads/../../x HTTP/1.1", {404, 405}),
    "token without a token server": ("GET /token?scope=x HTTP/1.1", {404}),
    "length is negative": ("POST /v2/a/blobs/uploads/ HTTP/1.1\r\nContent-Length: -1", {400}),
    "length is text": ("POST /v2/a/blobs/uploads/ HTTP/1.1\r\nContent-Length: x", {400}),
    "length is hexadecimal": ("POST /v2/a/blobs/uploads/ HTTP/1.1\r\nContent-Length: 0x1", {400}),
    "length is huge": (f"POST /v2/a/blobs/uploads/ HTTP/1.1\r\nContent-Length: {'9' * 400}", {400}),
    "chunk size": ("POST /v2/a/blobs/uploads/ HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n-5", {202, 0}),
    "huge chunk size": (
        "POST /v2/a/blobs/uploads/ HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n" + "f" * 30,
        {202, 0},
    ),
    "range": (f"GET {STORED} HTTP/1.1\r\nRange: bytes={'9' * 400}-", {416}),
    "credentials": ("GET /v2/ HTTP/1.1\r\nAuthorization: Basic \x80\x1b", {200}),
    "not UTF-8": ("GET /v2/\udcff\udcfe/tags/list HTTP/1.1", {400, 404}),
    "not UTF-8, encoded": ("GET /v2/%ff%fe/tags/list HTTP/1.1", {400, 404}),
    "host with an escape": ("POST /v2/a/blobs/uploads/ HTTP/1.1\r\nHost: \x1b[2J", {202}),
}


@pytest.fixture(scope="module", params=["memory", "directory"])
def attacked(request, tmp_path_factory):
    """A registry that all requests go to: it must still answer after each of them."""
    directory = tmp_path_factory.mktemp("attacked")
    # One that accepts each Host, so that other checks are reached.
    with Registry("memory" if request.param == "memory" else directory / "data") as registry:
        registry.put_blob("a", DATA)
        registry.directory = directory
        yield registry


class TestRequests:
    @pytest.mark.parametrize("name", REQUESTS)
    def test_requests_that_are_refused(self, attacked, no_traceback, name, capfd):
        head, allowed = REQUESTS[name]
        lines = head if "\r\n" in head else f"{head}\r\nHost: {attacked.host}"
        answer = send(attacked.host, f"{lines}\r\n\r\n".encode("utf-8", "surrogateescape"))
        assert answer.status in allowed, answer.head
        assert b"Traceback" not in answer.body and not any(c < " " for c in answer.head.replace("\r\n", ""))
        self.still_well(attacked)
        assert capfd.readouterr() == ("", "")

    def still_well(self, registry):
        assert ask(registry.host, "GET", STORED, [f"Host: {registry.host}"]).body == DATA
        assert registry.repositories() == ["a"]
        assert {path.name for path in registry.directory.iterdir()} <= {"data"}
        assert {path.name for path in registry.directory.glob("data/*")} <= {
            *("registry.json", "blobs", "repositories", "uploads", "temporary"),
        }

    def test_a_session_of_another_repository_or_without_its_state(self, attacked, no_traceback):
        answer = ask(attacked.host, "POST", "/v2/a/blobs/uploads/", [f"Host: {attacked.host}"])
        location = answer.head.partition("Location: ")[2].partition("\r\n")[0]
        for target in (
            location.replace("/v2/a/", "/v2/b/"),
            location.partition("?")[0],
            location.replace("_state=", "_state=x"),
            location.partition("?")[0] + "?_state=%00",
        ):
            for method in ("GET", "PATCH", "PUT", "DELETE"):
                assert ask(attacked.host, method, f"{target}&digest={DIGEST}").status == 404
        assert ask(attacked.host, "DELETE", location).status == 204

    def test_stalled_connections_do_not_hold_up_others(self, attacked, no_traceback):
        name, _, port = attacked.host.rpartition(":")
        with contextlib.ExitStack() as stack:
            for n in range(300):
                connection = stack.enter_context(socket.create_connection((name, int(port)), 20))
                connection.sendall(
                    (b"", b"GET ", b"POST /v2/a/blobs/uploads/ HTTP/1.1\r\nContent-Length: 9\r\n\r\n")[n % 3]
                )
            self.still_well(attacked)

    @pytest.mark.parametrize(
        "auth", [BasicAuth([User("ann", "secret")]), TokenAuth([User("ann", "secret")], anonymous="")]
    )
    def test_nothing_without_credentials(self, no_traceback, auth):
        with Registry(auth=auth) as registry:
            registry.put_blob("a", DATA)
            for credentials in (
                "",
                "Basic",
                "Basic x",
                "Basic Og==",
                "Basic YW5uOg==",
                "Bearer",
                "Bearer x",
                "\x1b",
                "Negotiate x",
            ):
                headers = [f"Host: {registry.host}", *([f"Authorization: {credentials}"] if credentials else [])]
                for method, target in (
                    ("GET", STORED),
                    ("POST", "/v2/a/blobs/uploads/"),
                    ("DELETE", STORED),
                    ("GET", "/v2/"),
                ):
                    answer = ask(registry.host, method, target, headers)
                    assert answer.status == 401 and b"secret" not in answer.body


@pytest.mark.parametrize(
    "listen", ["0.0.0.0:0", "[::]:0", "10.0.0.1:0", "192.0.2.1:80", "evil.example:80", "a@127.0.0.1:1"]
)
def test_other_machines_are_not_served(listen):
    with pytest.raises(InvalidValueError):
        serve(listen)
