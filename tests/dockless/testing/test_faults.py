"""The effect of each fault on the socket of the client."""

import http.client
import json
import socket
import threading
import time

import pytest
from waiting import wait_until

from dockless.errors import InvalidValueError
from dockless.testing import BasicAuth, Fault, TokenAuth, User, read_faults

DATA = bytes(range(256)) * 40
PING = b"GET /v2/ HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.fixture
def call(registry, helpers):
    return helpers.Client(registry.host)


@pytest.fixture
def blob(registry):
    return f"/v2/a/blobs/{registry.put_blob('a', DATA)}"


def talk(registry, sent):
    """Return the received bytes, and how the connection ended: "fin" or "reset"."""
    host, port = registry.host.split(":")
    found = b""
    with socket.create_connection((host, int(port)), timeout=30) as sock:
        try:
            sock.sendall(sent)
            while data := sock.recv(65536):
                found += data
        except ConnectionResetError:
            return found, "reset"
    return found, "fin"


@pytest.mark.parametrize("how, end", [({"drop": True}, "fin"), ({"reset": True}, "reset")])
def test_no_response(registry, how, end):
    registry.faults = [Fault("ping", **how)]
    assert talk(registry, PING) == (b"", end)
    assert [request.status for request in registry.requests] == [0]


def test_a_response_is_lost_after_the_request_took_effect(registry, call, helpers):
    location = call.start("a")
    registry.faults = [Fault("upload put", nth=1, drop=True, after=True)]
    with pytest.raises(http.client.RemoteDisconnected):
        call("PUT", helpers.with_digest(location, DATA), DATA)
    assert registry.blob("a", helpers.digest(DATA)) == DATA


def test_a_request_is_lost_before_it_takes_effect(registry, call, helpers):
    location = call.start("a")
    registry.faults = [Fault("upload put", nth=1, drop=True)]
    with pytest.raises((http.client.RemoteDisconnected, ConnectionError)):
        call("PUT", helpers.with_digest(location, DATA), DATA)
    assert registry.blobs("a") == {}
    assert call("PUT", helpers.with_digest(location, DATA), DATA).status == 201


@pytest.mark.parametrize("how", [{"drop": True}, {"reset": True}])
@pytest.mark.parametrize("count", [0, 1, 1000])
def test_a_body_that_is_cut_off(registry, call, how, count):
    location = call.start("a")
    registry.faults = [Fault("upload patch", nth=1, request_bytes=count, **how)]
    with pytest.raises((http.client.HTTPException, ConnectionError)):
        call("PATCH", location, DATA, Content_Range=f"0-{len(DATA) - 1}")
    # The registry keeps and reports the bytes that were sent before the interruption.
    status = call("GET", location)
    assert (status.status, status.headers["Range"]) == (204, f"0-{count - 1}" if count else None)
    assert registry.requests[1].received == count


def test_an_early_response(registry, call):
    """An error status is sent while the body is still being received."""
    location = call.start("a")
    registry.faults = [Fault("upload patch", status=413, body="too large", request_bytes=0)]
    answer = call("PATCH", location, DATA)
    assert (answer.status, answer.body, answer.headers["Connection"]) == (413, b"too large", "close")
    assert call("GET", location).headers["Range"] is None


def test_a_response_instead_of_the_real_one(registry, call):
    headers = {"Retry-After": "7", "Content-Type": "text/html", "X-Both": ["1", "2"]}
    registry.faults = [Fault("* get", nth=(1, 3), status=429, headers=headers, body="<html>slow down</html>")]
    first, second, third = (call("GET", "/v2/") for _ in range(3))
    assert (first.status, first.headers["Retry-After"], first.body) == (429, "7", b"<html>slow down</html>")
    assert first.headers.get_all("X-Both") == ["1", "2"]
    assert (second.status, third.status) == (200, 429)
    assert [request.status for request in registry.requests] == [429, 200, 429]


def test_an_error_after_the_request_took_effect(registry, call, helpers):
    """For example, a proxy has a timeout, and the registry completes the request."""
    registry.put_blob("a", b"{}")
    registry.faults = [Fault("manifest put", status=504, after=True)]
    raw = helpers.make_manifest(b"{}")
    assert call.put_manifest("a", "v1", raw).status == 504
    assert registry.manifest("a", "v1").raw == raw


def test_the_connection_is_kept_after_an_error(registry, call):
    registry.faults = [Fault("upload put", status=500)]
    location = call.start("a")
    connection = call.connect()
    assert call("PUT", location, DATA, connection).status == 500
    assert call("GET", "/v2/", connection=connection).status == 200
    connection.close()


def test_a_truncated_response(registry, blob):
    request = f"GET {blob} HTTP/1.1\r\nHost: x\r\n\r\n".encode()
    for how, end in (({"drop": True}, "fin"), ({"reset": True}, "reset")):
        registry.faults = [Fault("blob get", response_bytes=1000, **how)]
        found, ended = talk(registry, request)
        head, body = found.split(b"\r\n\r\n", 1)
        assert f"Content-Length: {len(DATA)}".encode() in head
        # A RST may arrive before bytes that were sent earlier.
        assert ended == end and (body == DATA[:1000] if end == "fin" else DATA.startswith(body))
        registry.faults = [Fault("blob get", head_bytes=20, **how)]
        found, ended = talk(registry, request)
        assert ended == end and b"HTTP/1.1 200 OK\r\nCon".startswith(found) and len(found) in (0, 20)


def test_corruption(registry, call, blob):
    registry.faults = [Fault("blob get", corrupt=5000)]
    found = call("GET", blob).body
    assert [n for n in range(len(DATA)) if found[n] != DATA[n]] == [5000]


def test_a_trickle(registry, call, blob):
    registry.faults = [Fault("blob get", rate=40_000)]
    before = time.monotonic()
    assert call("GET", blob).body == DATA
    assert time.monotonic() - before > 0.15


def test_a_delay(registry, call):
    registry.faults = [Fault(delay=0.15), Fault("ping", delay=0.15)]
    before = time.monotonic()
    assert call("GET", "/v2/").status == 200
    assert time.monotonic() - before > 0.29


def test_stopping_ends_every_wait(registry_factory, helpers):
    registry = registry_factory(faults=[Fault("ping", delay=60), Fault("tags", rate=1)])
    registry.put_manifest("a", b"{}", "x", "a-long-tag-" * 9)
    host, port = registry.host.split(":")
    socks = [socket.create_connection((host, int(port))) for _ in range(4)]
    socks[0].sendall(PING)
    socks[1].sendall(b"GET /v2/a/tags/list HTTP/1.1\r\nHost: x\r\n\r\n")
    socks[2].sendall(b"PUT /v2/a/manifests/x HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nabc")
    wait_until(lambda: len(registry.requests) == 3)
    before = time.monotonic()
    registry.stop()
    assert time.monotonic() - before < 20
    for sock in socks:
        sock.close()


def test_header_changes(registry, call):
    registry.faults = [
        Fault("upload post", nth=1, headers={"Location": "http://other.example{path}"}),
        Fault("upload post", nth=2, headers={"Location": None}),
        Fault("upload post", nth=3, headers={"Location": "http://{host}{path}", "Docker-Content-Digest": "sha256:no"}),
    ]
    other, missing, whole = (call("POST", "/v2/a/blobs/uploads/") for _ in range(3))
    assert other.headers["Location"].startswith("http://other.example/v2/a/blobs/uploads/")
    assert "_state=" in other.headers["Location"]
    assert missing.headers["Location"] is None
    assert whole.headers["Location"].startswith(f"http://{registry.host}/v2/a/blobs/uploads/")
    assert whole.headers["Docker-Content-Digest"] == "sha256:no"
    # The session is a real one.
    assert call("GET", whole.headers["Location"]).status == 204


def test_a_response_without_a_length(registry, blob):
    registry.faults = [Fault("blob get", headers={"Content-Length": None})]
    found, end = talk(registry, f"GET {blob} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    assert end == "fin" and found.endswith(b"\r\n\r\n" + DATA) and b"Content-Length" not in found


def test_a_redirect(registry, call):
    registry.faults = [Fault("* get", status=307, headers={"Location": "http://127.0.0.1:1{path}"})]
    answer = call("GET", "/v2/a/tags/list?n=3")
    assert (answer.status, answer.headers["Location"]) == (307, "http://127.0.0.1:1/v2/a/tags/list?n=3")


def test_lost_sessions(registry, call):
    location = call.start("a")
    registry.faults = [Fault("upload patch", nth=1, lose_sessions=True)]
    assert call("PATCH", location, b"x").code == "BLOB_UPLOAD_UNKNOWN"


def test_expired_tokens(registry_factory, helpers):
    registry = registry_factory(auth=TokenAuth(anonymous="pull,push"), faults=[Fault("manifest", expire_tokens=True)])
    call = helpers.Client(registry.host)
    signed = {"Authorization": "Bearer " + call("GET", "/token").json["token"]}
    assert call("GET", "/v2/", **signed).status == 200
    assert call("GET", "/v2/a/manifests/v1", **signed).status == 401
    assert call("GET", "/v2/", **signed).status == 401


def test_faults_match_requests(registry, call):
    registry.faults = [Fault("manifest", repository="team/*", reference="v*", status=500)]
    assert call("GET", "/v2/team/app/manifests/v1").status == 500
    assert call("HEAD", "/v2/team/app/manifests/v1").status == 500
    assert call("GET", "/v2/team/app/manifests/latest").status == 404
    assert call("GET", "/v2/other/manifests/v1").status == 404
    assert call("GET", "/v2/team/app/tags/list").status == 404


def test_new_faults_are_counted_from_zero(registry, call):
    fault = Fault("ping", nth=2, status=500)
    for _ in range(2):
        registry.faults = [fault]
        assert [call("GET", "/v2/").status for _ in range(3)] == [200, 500, 200]


@pytest.mark.parametrize(
    "fields, message",
    [
        ({}, "the fault has no effect"),
        ({"on": "blob put", "drop": True, "reset": True}, "drop and reset cannot be combined"),
        ({"on": "blub get", "drop": True}, "no operation matches"),
        ({"on": "blob grab", "drop": True}, "no operation matches"),
        ({"drop": True, "status": 500}, "closed before the status is sent"),
        ({"response_bytes": 3, "delay": 1}, "need drop or reset"),
        ({"request_bytes": 3, "delay": 1}, "request_bytes alone"),
        ({"after": True, "delay": 1}, "after alone"),
        ({"body": "x", "delay": 1}, "without a status"),
    ],
)
def test_invalid_faults(fields, message):
    with pytest.raises(InvalidValueError, match=message):
        Fault(**fields)


def test_a_file_of_faults(tmp_path):
    path = tmp_path / "faults.json"
    script = [
        {"on": "upload put", "nth": 1, "drop": True, "after": True},
        {"on": "* get", "nth": [2, 3], "status": 503, "headers": {"Retry-After": "1", "Date": None}, "body": "x"},
        {"delay": 0.05},
    ]
    path.write_text(json.dumps({"faults": script}))
    assert read_faults(path) == [
        Fault("upload put", nth=1, drop=True, after=True),
        Fault("* get", nth=(2, 3), status=503, headers={"Retry-After": "1", "Date": None}, body="x"),
        Fault(delay=0.05),
    ]


@pytest.mark.parametrize(
    "text, message",
    [
        ("[]", "cannot read the faults"),
        ("{", "cannot read the faults"),
        ("{}", "no list of faults"),
        ('{"faults": [3]}', r"faults\[0\]: a fault is not an object"),
        (
            '{"faults": [{"delay": 1}, {"drap": true}]}',
            r"faults\[1\]: a fault has no field 'drap'; the fields are on, ",
        ),
        ('{"faults": [{"drop": "yes"}]}', "a fault's drop is 'yes'; write true or false"),
        ('{"faults": [{"status": true}]}', "a fault's status is True; write a number"),
        ('{"faults": [{"drop": true, "nth": ["1"]}]}', "nth is not a list of numbers"),
        ('{"faults": [{"headers": {"A": 1}}]}', "headers are not strings"),
        ('{"faults": [{}]}', r"faults\[0\]: invalid fault on '\*': the fault has no effect"),
    ],
)
def test_invalid_files_of_faults(tmp_path, text, message):
    path = tmp_path / "faults.json"
    path.write_text(text)
    with pytest.raises(InvalidValueError, match=message) as error:
        read_faults(path)
    assert str(path) in str(error.value)
    with pytest.raises(InvalidValueError, match="cannot read the faults"):
        read_faults(tmp_path / "missing.json")


@pytest.mark.parametrize(
    "sent, status",
    [
        (b"nonsense\r\n\r\n", b"400"),
        (b"GET /v2/ HTTP/1.1\r\nContent-Length: many\r\n\r\n", b"400"),
        (b"GET /v2/ HTTP/1.1\r\n" + b"A: b\r\n" * 200 + b"\r\n", b"400"),
        (b"GET /" + b"a" * 70000 + b" HTTP/1.1\r\n\r\n", b"400"),
        (b"GET /v2/ HTTP/1.0\r\n\r\n", b"200"),
    ],
)
def test_malformed_requests(registry, sent, status):
    found, end = talk(registry, sent)
    assert found.split(b" ")[1] == status and end == "fin"


def test_expect_100_continue(registry, call, helpers):
    target = helpers.with_digest(call.start("a"), b"later")
    host, port = registry.host.split(":")
    with socket.create_connection((host, int(port)), timeout=30) as sock:
        head = f"PUT {target} HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n"
        sock.sendall(head.encode())
        assert sock.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        sock.sendall(b"later")
        assert sock.recv(1000).startswith(b"HTTP/1.1 201 ")


HOSTILE = [
    b"GET http://[x/v2/ HTTP/1.1\r\n\r\n",
    b"PUT /v2/a/manifests/x HTTP/1.1\r\nContent-Length: \xb2\r\n\r\n",
    b"PUT /v2/a/manifests/x HTTP/1.1\r\nContent-Length: " + b"9" * 5000 + b"\r\n\r\n",
    b"PUT /v2/a/manifests/x HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n-5\r\nhello",
    b"PUT /v2/a/manifests/x HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n" + b"f" * 5000 + b"\r\nx",
    b"GET /v2/a/tags/list?n=%C2%B2 HTTP/1.1\r\n\r\n",
    b"GET /v2/a/tags/list?n=" + b"9" * 5000 + b" HTTP/1.1\r\n\r\n",
    b"DELETE /v2/a/manifests/%2e%2e HTTP/1.1\r\n\r\n",
    b"GET /v2/a%00b/manifests/x HTTP/1.1\r\n\r\n",
    b"GET /v2/../../etc/manifests/passwd HTTP/1.1\r\n\r\n",
    b"GET /v2/a/blobs/uploads/%00?_state=%ff%fe HTTP/1.1\r\n\r\n",
    b"GET /v2/a/blobs/uploads/x?_state=" + b"W1tb" * 10_000 + b" HTTP/1.1\r\n\r\n",
    b"GET /v2/a/blobs/sha256:" + b"0" * 64 + b" HTTP/1.1\r\nRange: bytes=" + b"9" * 5000 + b"-\r\n\r\n",
    b"GET /storage/../a%00/sha256:" + b"0" * 64 + b"?X-Signature=c2lnbmVk HTTP/1.1\r\n\r\n",
    b"GET /v2/ HTTP/1.1\r\nAuthorization: Basic \xff\xff\r\n\r\n",
    b"POST /token HTTP/1.1\r\nContent-Length: 4\r\n\r\n\xff&=%\xff",
    b"POST /v2/a/blobs/uploads/?mount=%00&from=../.. HTTP/1.1\r\n\r\n",
    b"PATCH /v2/a/blobs/uploads/ HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc",
]


@pytest.mark.parametrize("auth", [None, BasicAuth([User("a", "b")]), TokenAuth()], ids=["open", "basic", "token"])
def test_hostile_requests_are_answered(registry_factory, tmp_path, monkeypatch, auth):
    crashes = []
    monkeypatch.setattr(threading, "excepthook", crashes.append)
    registry = registry_factory(tmp_path / "data", auth=auth)
    for sent in HOSTILE:
        found, _ = talk(registry, sent.replace(b"\r\n", b"\r\nConnection: close\r\n", 1))
        status = int(found.split(b" ")[1]) if found else 0
        # An invalid chunk ends the connection. A registry without users ignores Authorization.
        fine = b"chunked" in sent or b"mount" in sent or (auth is None and b"Authorization" in sent)
        assert 400 <= status < 500 or fine, (sent[:80], found[:200])
    assert crashes == []
    assert registry.repositories() in ([], ["a"])


def test_a_repository_of_invalid_manifests_has_no_referrers(registry, call, helpers):
    for raw in (b"no JSON", b"[]", b'{"subject": 3, "config": "x"}'):
        registry.put_manifest("a", raw, helpers.MANIFEST)
    answer = call("GET", f"/v2/a/referrers/{helpers.digest(b'x')}")
    assert (answer.status, answer.json["manifests"]) == (200, [])


def test_many_clients_at_once(registry_factory, tmp_path, helpers):
    for storage in ("memory", tmp_path / "data"):
        registry = registry_factory(storage)
        errors = []

        def work(number, registry=registry, errors=errors):
            try:
                call = helpers.Client(registry.host)
                for n in range(5):
                    call.push(f"r{number % 3}", bytes([n]) * 100_000)
                    call.push(f"r{number % 3}", bytes([n, number]) * 1000)
            except Exception as error:
                errors.append(error)

        threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert errors == []
        found = set().union(*(registry.blobs(f"r{n}") for n in range(3)))
        assert len(found) == 5 + 8 * 5
