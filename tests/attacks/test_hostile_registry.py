"""A registry whose answers are not what was asked for: contents, sizes, digests, documents, heads and pages."""

import io
import json
import time

import pytest
from hostile_server import hostile_server, response
from manual_clock import ManualClock

from dockless.errors import DocklessError
from dockless.oci import media_types
from dockless.oci.descriptor import Descriptor
from dockless.oci.digest import Digest
from dockless.registry import RegistryBlobSource, RetryPolicy

BLOB = b"0123456789"
DIGEST = Digest.of(BLOB)
LAYER = Descriptor(media_types.OCI_LAYER, DIGEST, len(BLOB))


def answering(data, path="/v2/a/b/"):
    """A registry that answers requests below `path` with `data`."""

    def answer(request, connection):
        return data if request.path.startswith(path) else response(200 if request.path == "/v2/" else 404)

    return hostile_server(answer)


def fails(do, server, clean, most=4):
    """`do()` fails with one line. Returns it."""
    with pytest.raises(DocklessError) as caught:
        do()
    assert len([r for r in server.requests if r.path != "/v2/"]) <= most
    return clean(caught.value)


OK = b"HTTP/1.1 200 OK\r\n"
SMUGGLED = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nEVIL"
# name -> the whole answer to a request for a manifest, and what the error says. Each has a pinned digest.
HEADS = {
    "two lengths": (OK + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}x", "a/b"),
    "two lengths in one header": (OK + b"Content-Length: 2, 3\r\n\r\n{}x", "a/b"),
    "negative length": (OK + b"Content-Length: -5\r\nConnection: close\r\n\r\n{}", "a/b"),
    "huge length": (OK + b"Content-Length: 99999999999999999999\r\n\r\n{}", "a/b"),
    "length and chunks": (OK + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n", "a/b"),
    "200 headers": (OK + b"X: a\r\n" * 200 + b"\r\n", "got more than"),
    "header of 200 kB": (OK + b"X: " + b"a" * 200_000 + b"\r\n\r\n", "got more than"),
    "status line of 200 kB": (b"HTTP/1.1 200 " + b"a" * 200_000 + b"\r\n\r\n", "got more than"),
    "5000 times 102": (b"HTTP/1.1 102 X\r\n\r\n" * 5000, "more than 20 informational responses"),
    "gzip without a request for gzip": (
        OK + b"Content-Encoding: gzip\r\nContent-Length: 2\r\n\r\n{}",
        "is another manifest",
    ),
    "HTTP/0.9": (b"{}", "a/b"),
    "HTTP/3": (b"HTTP/3.0 200 OK\r\nContent-Length: 2\r\n\r\n{}", "a/b"),
    "no status": (b"HTTP/1.1\r\n\r\n", "a/b"),
    "status of four digits": (b"HTTP/1.1 2000 OK\r\n\r\n", "a/b"),
    "101": (b"HTTP/1.1 101 Switching Protocols\r\n\r\n", "101"),
    "another answer behind": (response(200, body=b"{}") + SMUGGLED, "is another manifest"),
    "another answer behind chunks": (
        OK + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n" + SMUGGLED,
        "is another manifest",
    ),
    "another answer behind 204": (b"HTTP/1.1 204 X\r\nContent-Length: 50\r\n\r\n" + SMUGGLED, "204"),
}


@pytest.mark.parametrize("head", HEADS)
def test_head(head, connect, clean):
    data, said = HEADS[head]

    def answer(request, connection):
        if request.path == "/v2/":
            return response()
        connection.sendall(data)
        return None if b"Transfer" not in data and b"Content-Length: 2\r\n\r\n" not in data else b""

    with hostile_server(answer) as server:
        client = connect(server.host)
        for _ in range(2):
            # The answer to the first request is never taken for that to the second.
            text = fails(lambda: client.get_manifest("a/b", DIGEST), server, clean, 8)
            assert said in text and "EVIL" not in text
        client.close()


# name -> a function that makes a manifest, its Content-Type, and what the error says.
MANIFESTS = {
    "more than 4 MiB": (lambda: b" " * (4 << 20) + b"{}", media_types.OCI_INDEX, "is too large"),
    "duplicate key": (lambda: b'{"schemaVersion":2,"schemaVersion":2}', media_types.OCI_INDEX, "a/b"),
    "nested lists": (lambda: b"[" * 100_000 + b"]" * 100_000, media_types.OCI_INDEX, "a/b"),
    "nested maps": (lambda: b'{"a":' * 100_000 + b"1" + b"}" * 100_000, media_types.OCI_INDEX, "a/b"),
    "a million lists": (
        lambda: b'{"schemaVersion":2,"manifests":[' + b"[]," * 999_999 + b"[]]}",
        media_types.OCI_INDEX,
        "a/b",
    ),
    "a million digits": (lambda: b'{"schemaVersion":' + b"9" * 1_000_000 + b"}", media_types.OCI_INDEX, "a/b"),
    "1e400": (lambda: b'{"schemaVersion":2,"manifests":[],"x":1e400}', media_types.OCI_INDEX, "a/b"),
    "not UTF-8": (lambda: b'{"schemaVersion":2,"x":"\xff"}', media_types.OCI_INDEX, "a/b"),
    "index with layers": (lambda: b'{"schemaVersion":2,"manifests":[],"layers":[]}', media_types.OCI_INDEX, "a/b"),
    "manifest as an index": (
        lambda: json.dumps({"schemaVersion": 2, "mediaType": media_types.OCI_MANIFEST, "manifests": []}).encode(),
        media_types.OCI_INDEX,
        "a/b",
    ),
    "both": (lambda: b'{"schemaVersion":2,"manifests":[],"layers":[],"config":{}}', "application/json", "a/b"),
    "list": (lambda: b"[]", media_types.OCI_MANIFEST, "a/b"),
    "web page": (lambda: b"<html>", "text/html", "a/b"),
}
SIZES = {"2^63": 2**63, "-1": -1, "1.0": 1.0, "1e3": "1e3", "text": "5", "true": True, "null": None, "10^90": 10**90}
DIGESTS = {
    "path": "../../x",
    "path after the algorithm": "sha256:../../../etc/passwd",
    "upper case": "sha256:" + "A" * 64,
    "63 digits": "sha256:" + "a" * 63,
    "65 digits": "sha256:" + "a" * 65,
    "md5": "md5:" + "a" * 32,
    "line break": "sha256:" + "a" * 64 + "\n",
    "query": "sha256:" + "a" * 64 + "?x",
    "algorithm in upper case": "SHA256:" + "a" * 64,
    "Arabic zeros": "sha256:" + "\u0660" * 64,
    "list": ["sha256:" + "a" * 64],
}


def with_layer(**layer):
    whole = {"mediaType": media_types.OCI_LAYER, "digest": DIGEST, "size": 10, **layer}
    config = {"mediaType": media_types.OCI_CONFIG, "digest": DIGEST, "size": 10}
    document = {"schemaVersion": 2, "mediaType": media_types.OCI_MANIFEST, "config": config, "layers": [whole]}
    return lambda: json.dumps(document).encode(), media_types.OCI_MANIFEST, "a/b"


@pytest.mark.parametrize(
    "manifest",
    [
        *(pytest.param(row, id=name) for name, row in MANIFESTS.items()),
        *(pytest.param(with_layer(size=size), id=f"size {name}") for name, size in SIZES.items()),
        *(pytest.param(with_layer(digest=digest), id=f"digest {name}") for name, digest in DIGESTS.items()),
    ],
)
def test_manifest(manifest, connect, clean, memory):
    make_body, kind, said = manifest
    with answering(response(200, {"Content-Type": kind}, make_body())) as server:
        client = connect(server.host)
        text = fails(lambda: client.get_manifest("a/b", "v1").parse("a/b:v1"), server, clean)
        client.close()
    assert said in text and memory() < 400 << 10


@pytest.mark.parametrize("digest", [name for name in DIGESTS if name != "list"])
def test_digest_of_the_caller_is_checked_before_a_request(digest, connect):
    with answering(response()) as server:
        client = connect(server.host)
        for do in (
            lambda text: client.get_manifest("a/b", text),
            lambda text: client.delete_manifest("a/b", text),
            lambda text: client.get_blob("a/b", Digest(text)),
            lambda text: client.delete_blob("a/b", Digest(text)),
        ):
            with pytest.raises(DocklessError):
                do(DIGESTS[digest])
        client.close()
    assert server.requests == []


@pytest.mark.parametrize("named", ["", DIGEST, Digest.of(b"{}")])
def test_other_manifest_than_the_pinned_one(named, connect, clean):
    """Whatever digest the header names."""
    headers = {"Content-Type": media_types.OCI_INDEX, "Docker-Content-Digest": named}
    with answering(response(200, headers, b"{}")) as server:
        client = connect(server.host)
        assert "another manifest" in fails(lambda: client.get_manifest("a/b", DIGEST), server, clean)
        client.close()


def test_put_that_stores_another_manifest(connect, clean):
    with answering(response(201, {"Docker-Content-Digest": DIGEST})) as server:
        client = connect(server.host)
        put = lambda: client.put_manifest("a/b", "v1", b"{}", media_types.OCI_INDEX)  # noqa: E731
        assert "stored another manifest" in fails(put, server, clean)
        client.close()


# name -> the answer to a request for a blob of ten bytes.
BLOBS = {
    "other bytes": response(200, body=b"x" * 10),
    "longer": response(200, body=BLOB + b"x"),
    "shorter": response(200, body=BLOB[:-1]),
    "size 2^62": OK + b"Content-Length: %d\r\n\r\n" % 2**62,
    "range from the middle": response(206, {"Content-Range": "bytes 5-9/10"}, BLOB[5:]),
    "range without end": response(206, {"Content-Range": "bytes 0-99999999999/10"}, BLOB),
    "no range": response(206, body=BLOB),
    "range of text": response(206, {"Content-Range": "bytes x-y/z"}, BLOB),
    "nothing": response(200),
    "204": b"HTTP/1.1 204 X\r\n\r\n",
}


@pytest.mark.parametrize("blob", BLOBS)
def test_blob(blob, connect, clean):
    def read():
        with RegistryBlobSource(client, "a/b").open(LAYER) as file:
            file.read()

    with answering(BLOBS[blob]) as server:
        client = connect(server.host)
        fails(read, server, clean)
        client.close()


def test_blob_in_parts_of_a_byte(connect, clean):
    """Each part may take a minute to begin: no rate, number of attempts or time was a limit."""
    data = bytes(1000)

    def answer(request, connection):
        if request.target == "/v2/":
            return response(200)
        start = int(request.headers.get("range", "bytes=0-")[len("bytes=") :].partition("-")[0])
        return response(206, {"Content-Range": f"bytes {start}-{start}/{len(data)}"}, data[start : start + 1])

    with hostile_server(answer) as server:
        client = connect(server.host)
        with pytest.raises(DocklessError, match="was sent in another range than requested") as caught:
            RegistryBlobSource(client, "a/b").open(Descriptor(LAYER.media_type, Digest.of(data), len(data))).read()
        clean(caught.value)
        client.close()
    assert len(server.requests) < 10


MIB = 1 << 20
# name -> how a registry with a blob of 24 MiB responds to a request for the bytes from `start`: a head and a body, of
# which 1.5 MiB more are sent each time. If they were progress, each attempt would allow the next one.
INTERRUPTIONS = {
    "ranges are ignored": lambda start, data: (OK + b"Content-Length: %d\r\n\r\n" % len(data), data),
    "ranges are ignored, chunked": lambda start, data: (
        OK + b"Transfer-Encoding: chunked\r\n\r\n%x\r\n" % len(data),
        data,
    ),
    "ranges are ignored, until close": lambda start, data: (OK + b"\r\n", data),
    "ranges are unknown": lambda start, data: (
        (b"HTTP/1.1 416 X\r\nContent-Length: 0\r\n\r\n", b"")
        if start
        else (OK + b"Content-Length: %d\r\n\r\n" % len(data), data)
    ),
    "other ranges": lambda start, data: (
        b"HTTP/1.1 206 X\r\nContent-Range: bytes 0-%d/%d\r\nContent-Length: %d\r\n\r\n"
        % (len(data) - 1, len(data), len(data)),
        data,
    ),
}


@pytest.mark.parametrize("name", INTERRUPTIONS)
def test_blob_that_is_always_interrupted(name, connect, clean):
    data = bytes(24 * MIB)
    sent, reached = [], [0]

    def answer(request, connection):
        if request.target == "/v2/":
            return response(200)
        start = int(request.headers.get("range", "bytes=0-")[len("bytes=") :].partition("-")[0])
        head, body = INTERRUPTIONS[name](start, data)
        if not body:
            return head
        reached[0] = min(reached[0] + 3 * MIB // 2, len(data) - 1)
        connection.sendall(head + body[: reached[0]])
        sent.append(reached[0])
        return None

    with hostile_server(answer) as server:
        client = connect(server.host)
        with pytest.raises(DocklessError) as caught:
            RegistryBlobSource(client, "a/b").open(Descriptor(LAYER.media_type, Digest.of(data), len(data))).read()
        clean(caught.value)
        client.close()
    # The blob once, twice again, and what was on its way when the client gave up.
    assert sum(sent) <= (1 + 2 + 1) * len(data)


def test_blob_of_a_registry_without_ranges_that_is_interrupted_twice(connect):
    data = bytes(range(256)) * 4096 * 3
    ends = iter((len(data) // 2, len(data) - 1, len(data)))

    def answer(request, connection):
        if request.target == "/v2/":
            return response(200)
        connection.sendall(OK + b"Content-Length: %d\r\n\r\n" % len(data) + data[: next(ends)])
        return None

    with hostile_server(answer) as server:
        client = connect(server.host, retry=RetryPolicy())
        blob = Descriptor(LAYER.media_type, Digest.of(data), len(data))
        assert RegistryBlobSource(client, "a/b").open(blob).read() == data
        client.close()


# name -> a Retry-After header, and the seconds that the client waits, if it tries again.
RETRY_AFTER = {
    "400 digits": ("9" * 400, None),
    "1e9": ("1e9", 1),
    "a day": ("86400", None),
    "year 9999": ("Fri, 31 Dec 9999 23:59:59 GMT", None),
    "no date": ("Fri, 99 Foo 2026", 1),
    "negative": ("-5", 1),
    "Arabic digits": ("\u0665", 1),
    "line": ("5, 5", 1),
}


@pytest.mark.parametrize("value", RETRY_AFTER)
def test_retry_after(value, connect, clean):
    text, waits = RETRY_AFTER[value]
    head = f"HTTP/1.1 503 X\r\nRetry-After: {text}\r\nContent-Length: 0\r\n\r\n".encode()
    with answering(head) as server:
        client = connect(server.host, retry=RetryPolicy(attempts=2))
        said = fails(lambda: client.get_manifest("a/b", "v1"), server, clean)
        client.close()
        assert len([r for r in server.requests if "/manifests/" in r.path]) == (2 if waits else 1)
    assert len(said) < 500


# name -> a function that makes the response to a request for tags.
TAGS = {
    "another host": lambda: response(
        200, {"Link": '<http://other.example/v2/a/b/tags/list>; rel="next"'}, b'{"tags":[]}'
    ),
    "itself": lambda: response(200, {"Link": '</v2/a/b/tags/list>; rel="next"'}, b'{"tags":[]}'),
    "file": lambda: response(200, {"Link": '<file:///etc/passwd>; rel="next"'}, b'{"tags":[]}'),
    "metadata": lambda: response(200, {"Link": '<http://169.254.169.254/>; rel="next"'}, b'{"tags":[]}'),
    "bad tag": lambda: response(200, body=b'{"tags":["../../x"]}'),
    "tag with a line break": lambda: response(200, body=b'{"tags":["a\\n::error::x"]}'),
    "tag with an escape": lambda: response(200, body=b'{"tags":["a\\u001b[2J"]}'),
    "no list": lambda: response(200, body=b'{"tags":{"a":1}}'),
    "number": lambda: response(200, body=b'{"tags":[1]}'),
    "9 MiB": lambda: response(200, body=b" " * (9 << 20) + b"{}"),
}


@pytest.mark.parametrize("tags", TAGS)
def test_tags(tags, connect, clean):
    with answering(TAGS[tags]()) as server:
        client = connect(server.host)
        fails(lambda: list(client.tags("a/b")), server, clean)
        client.close()


def test_link_of_8000_angle_brackets(connect):
    with answering(response(200, {"Link": "<" * 8000}, b'{"tags":["v1"]}')) as server:
        client = connect(server.host)
        begin = time.process_time()
        assert list(client.tags("a/b")) == ["v1"]
        assert time.process_time() - begin < 5
        client.close()


def test_pages_without_end(connect, clean):
    page = json.dumps({"tags": ["t" * 128] * 60_000}).encode()

    def answer(request, connection):
        number = int(request.target.partition("?n=")[2] or 0)
        return response(200, {"Link": f'</v2/a/b/tags/list?n={number + 1}>; rel="next"'}, page)

    with hostile_server(answer) as server:
        client = connect(server.host)
        with pytest.raises(DocklessError, match="in more than 67108864 bytes"):
            sum(1 for _ in client.tags("a/b"))
        client.close()
    assert len(server.requests) < 20


def test_millions_of_short_tags(connect, clean):
    """64 MiB of them took 1264 MB in `dockless tags --json`."""
    page = json.dumps({"tags": ["t"] * 400_000}, separators=(",", ":")).encode()

    def answer(request, connection):
        number = int(request.target.partition("?n=")[2] or 0)
        return response(200, {"Link": f'</v2/a/b/tags/list?n={number + 1}>; rel="next"'}, page)

    with hostile_server(answer) as server:
        client = connect(server.host)
        with pytest.raises(DocklessError, match="lists more than 1000000 tags of a/b") as caught:
            sum(1 for _ in client.tags("a/b"))
        clean(caught.value)
        client.close()
    assert len(server.requests) == 4


def test_pages_that_take_a_minute_each(connect, clean):
    """Ten thousand of them would take a week."""
    clock = ManualClock()

    def answer(request, connection):
        clock.time += 59
        number = int(request.target.partition("?n=")[2] or 0)
        return response(200, {"Link": f'</v2/a/b/tags/list?n={number + 1}>; rel="next"'}, b'{"tags":["v1"]}')

    with hostile_server(answer) as server:
        client = connect(server.host, clock=clock.clock())
        with pytest.raises(DocklessError, match="lists the tags of a/b too slowly: it took more than 3600 s") as caught:
            sum(1 for _ in client.tags("a/b"))
        clean(caught.value)
        client.close()
    assert len(server.requests) < 100


CIRCLE = {"itself": "/v2/a/b/manifests/v1", "another": "/v2/a/b/manifests/v2", "relative": "v1"}


@pytest.mark.parametrize("target", CIRCLE)
def test_redirects_in_a_circle(target, connect, clean):
    with answering(response(307, {"Location": CIRCLE[target]})) as server:
        client = connect(server.host)
        assert "redirects more than 10 times" in fails(lambda: client.get_manifest("a/b", "v1"), server, clean, 11)
        client.close()


ERRORS = {
    "escape": "\x1b[2J\x1b]0;owned\x07",
    "C1": "\x9b2J",
    "bidi": "\u202egnp.exe",
    "line": "a\r\n::add-mask::x\n##[error]x",
    "NUL": "a\0b",
    "long": "x" * 60_000,
}


@pytest.mark.parametrize("text", ERRORS)
@pytest.mark.parametrize("form", ["JSON", "plain", "code", "header"])
def test_error_text(form, text, connect, clean):
    error = {"code": ERRORS[text] if form == "code" else "DENIED", "message": ERRORS[text], "detail": ERRORS[text]}
    body = ERRORS[text].encode() if form == "plain" else json.dumps({"errors": [error]}).encode()
    with answering(response(403, {"Content-Type": "text/plain"}, body)) as server:
        client = connect(server.host)
        said = fails(lambda: client.get_manifest("a/b", "v1"), server, clean)
        client.close()
    assert len(said) < 1000


# Where a registry that answered 201 says that a blob is -> a stranger cannot say what the registry has.
@pytest.mark.parametrize("status", [200, 201, 202, 204])
def test_blob_that_a_stranger_claims_to_have_stored(status, connect, clean):
    with hostile_server(lambda *_: response(status, {"Docker-Content-Digest": DIGEST})) as other:

        def answer(request, connection):
            if request.method == "POST":
                return response(202, {"Location": f"{other.url}/u"})
            return response(200 if request.path == "/v2/" else 404)

        with hostile_server(answer) as server:
            client = connect(server.host)
            with pytest.raises(DocklessError, match="did not store the blob"):
                client.ensure_blob("a/b", LAYER, Bytes())
            client.close()
    assert other.requests and other.authorizations == []


class Bytes:
    def open(self, descriptor):
        return io.BytesIO(BLOB)
