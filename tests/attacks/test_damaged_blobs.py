"""Bytes that do not match their descriptor, in a source or from another host: no reader receives all of them.

The registry of these tests does not compare digests: what it stores is what a client sent to the end.
"""

import io
import itertools
import json
import os
import subprocess
import sys
import urllib.parse
from pathlib import Path

import pytest
import requests
from hostile_server import hostile_server, response

import dockless
import pants_dockless
from dockless.errors import DocklessError
from dockless.layout.oci_layout_writer import write_layout
from dockless.oci import media_types
from dockless.oci.descriptor import Descriptor
from dockless.oci.digest import Digest
from dockless.oci.manifest import make_manifest
from dockless.registry import RegistryBlobSource, RetryPolicy
from dockless.transfer.copy import copy_image
from dockless.transfer.registry_access import RegistryAccess

MIB = 1 << 20
RETRY_NEVER = RetryPolicy(attempts=1)
GOOD = bytes(range(256)) * (12 * MIB // 256)
DESCRIPTOR = Descriptor(media_types.OCI_LAYER, Digest.of(GOOD), len(GOOD))


def changed(data, at):
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


class Careless:
    """A registry that stores what it gets. `stored` maps the digest that a client named to the bytes that it sent."""

    def __init__(self, *, stop_after=(), chunks=True):
        self.stored = {}
        self.uploads = {}
        # How many bytes of a body are read, for each body in turn, before the connection ends.
        self.stop_after = list(stop_after)
        self._numbers = itertools.count()

    def serve(self, connection):
        with connection.makefile("rb") as reader:
            while line := reader.readline():
                method, target, _ = line.decode().split(" ", 2)
                headers = {}
                while (line := reader.readline().decode().rstrip("\r\n")) != "":
                    name, _, value = line.partition(":")
                    headers[name.lower()] = value.strip()
                answer = self._answer(method, urllib.parse.urlsplit(target), headers, reader)
                if answer is None:
                    return
                connection.sendall(answer)

    def _answer(self, method, url, headers, reader):
        length = int(headers.get("content-length") or 0)
        if url.path == "/v2/":
            return response()
        if method == "POST":
            name = f"/upload/{next(self._numbers)}"
            self.uploads[name] = b""
            return response(202, {"Location": name})
        if method in ("PUT", "PATCH") and url.path in self.uploads:
            limit = self.stop_after.pop(0) if self.stop_after and length else length
            data = reader.read(min(limit, length))
            self.uploads[url.path] += data
            if len(data) < length:
                return None
            if method == "PUT":
                self.stored[urllib.parse.parse_qs(url.query)["digest"][0]] = self.uploads.pop(url.path)
                return response(201)
        elif method == "PUT":
            self.stored["manifest"] = reader.read(length)
            return response(201)
        if url.path in self.uploads:
            return response(202, {"Location": url.path, "Range": f"0-{len(self.uploads[url.path]) - 1}"})
        stored = self.stored.get("manifest" if "/manifests/" in url.path else url.path.rpartition("/")[2])
        if method in ("GET", "HEAD") and stored is not None:
            kind = {"Content-Type": "application/vnd.oci.image.manifest.v1+json"}
            return response(200, kind, stored if method == "GET" else b"")
        return response(404)


@pytest.fixture
def careless():
    from raw_server import raw_server

    def careless(**options):
        registry = Careless(**options)
        context = raw_server(registry.serve)
        registry.host = context.__enter__()
        contexts.append(context)
        return registry

    contexts = []
    yield careless
    for context in contexts:
        context.__exit__(None, None, None)


class Source:
    """Gives the nth reader the nth content, the last one to all further ones."""

    def __init__(self, *contents, seekable=True):
        self.contents = list(contents)
        self.seekable = seekable

    def open(self, descriptor):
        content = self.contents.pop(0) if len(self.contents) > 1 else self.contents[0]
        return io.BytesIO(content) if self.seekable else Stream(content)


class Stream(io.BytesIO):
    def seekable(self):
        return False


# name -> a function that makes the content of the source, and what the error says.
DAMAGED = {
    "first byte": (lambda: changed(GOOD, 0), "its digest is"),
    "in the middle": (lambda: changed(GOOD, 5 * MIB), "its digest is"),
    "last byte": (lambda: changed(GOOD, len(GOOD) - 1), "its digest is"),
    "a byte missing": (lambda: GOOD[:-1], f"it has {len(GOOD) - 1} bytes, not {len(GOOD)}"),
    "a byte more": (lambda: GOOD + b"x", f"it has more than {len(GOOD)} bytes"),
    "half": (lambda: GOOD[: 6 * MIB], f"it has {6 * MIB} bytes, not {len(GOOD)}"),
    "nothing": (lambda: b"", f"it has 0 bytes, not {len(GOOD)}"),
    "others of the same size": (lambda: GOOD[::-1], "its digest is"),
}


@pytest.mark.parametrize("seekable", [True, False])
@pytest.mark.parametrize("damage", DAMAGED)
def test_damaged_source(damage, seekable, careless, connect, clean):
    make_content, cause = DAMAGED[damage]
    registry = careless()
    with pytest.raises(DocklessError) as caught:
        connect(registry.host).ensure_blob("a/b", DESCRIPTOR, Source(make_content(), seekable=seekable))
    assert cause in clean(caught.value)
    assert registry.stored == {} and all(len(data) < len(GOOD) for data in registry.uploads.values())


@pytest.mark.parametrize(("size", "content"), [(0, b"x"), (1, b""), (1, b"y"), (1, b"xx"), (3, b"yxx")])
def test_damaged_tiny_source(size, content, careless, connect):
    registry = careless()
    descriptor = Descriptor(media_types.OCI_LAYER, Digest.of(b"x" * size), size)
    with pytest.raises(DocklessError):
        connect(registry.host).ensure_blob("a/b", descriptor, Source(content))
    assert registry.stored == {}
    connect(registry.host).ensure_blob("a/b", descriptor, Source(b"x" * size))
    assert registry.stored == {descriptor.digest: b"x" * size}


# name -> a function that makes the content of the source, where the nth body of a request breaks off, and
# whether the upload succeeds in the end.
INTERRUPTED = {
    "whole": (lambda: GOOD, [5 * MIB], True),
    "whole, twice": (lambda: GOOD, [MIB // 2, 3 * MIB + 7], True),
    "damaged before the break": (lambda: changed(GOOD, 1), [5 * MIB], False),
    "damaged after the break": (lambda: changed(GOOD, 11 * MIB), [5 * MIB], False),
    "damaged at the end": (lambda: changed(GOOD, len(GOOD) - 1), [5 * MIB, MIB], False),
    "broken before the last byte": (lambda: changed(GOOD, 1), [len(GOOD) - 1], False),
}


@pytest.mark.parametrize("seekable", [True, False])
@pytest.mark.parametrize("case", INTERRUPTED)
def test_interrupted_upload(case, seekable, careless, connect):
    """Parts of a blob in several requests: what is committed has one digest."""
    make_content, breaks, is_stored = INTERRUPTED[case]
    registry = careless(stop_after=breaks)
    client = connect(registry.host, retry=None)
    if is_stored:
        client.ensure_blob("a/b", DESCRIPTOR, Source(make_content(), seekable=seekable))
        assert registry.stored == {DESCRIPTOR.digest: GOOD}
    else:
        with pytest.raises(DocklessError, match="is damaged"):
            client.ensure_blob("a/b", DESCRIPTOR, Source(make_content(), seekable=seekable))
        assert registry.stored == {}


@pytest.mark.parametrize("at", [0, 3 * MIB, 5 * MIB + 100])
def test_source_that_is_rewritten_between_parts(at, careless, connect):
    """The registry has the first half of other bytes. The upload begins again, and ends with the right ones."""
    registry = careless(stop_after=[5 * MIB + MIB // 2])
    source = Source(changed(GOOD, at), GOOD, seekable=False)
    connect(registry.host, retry=None).ensure_blob("a/b", DESCRIPTOR, source)
    assert registry.stored == {DESCRIPTOR.digest: GOOD}


def test_upload_continued_by_the_next_process(careless, connect):
    """The next process hashes what it does not send. A damaged source leaves no session to continue."""
    registry = careless(stop_after=[5 * MIB])
    with pytest.raises(DocklessError):
        connect(registry.host, retry=RETRY_NEVER).ensure_blob("a/b", DESCRIPTOR, Source(GOOD))
    with pytest.raises(DocklessError, match="is damaged"):
        connect(registry.host).ensure_blob("a/b", DESCRIPTOR, Source(changed(GOOD, 1)))
    assert registry.stored == {}
    connect(registry.host).ensure_blob("a/b", DESCRIPTOR, Source(GOOD))
    assert registry.stored == {DESCRIPTOR.digest: GOOD}


def test_upload_that_an_earlier_process_sent_to_its_end(careless, connect, environ):
    registry = careless(stop_after=[len(GOOD) - 1, len(GOOD)])
    with pytest.raises(DocklessError):
        connect(registry.host, retry=RETRY_NEVER).ensure_blob("a/b", DESCRIPTOR, Source(GOOD))
    (name,) = registry.uploads
    registry.uploads[name] = GOOD
    with pytest.raises(DocklessError, match="is damaged"):
        connect(registry.host).ensure_blob("a/b", DESCRIPTOR, Source(changed(GOOD, 1)))
    assert registry.stored == {}


def test_registry_as_source(careless, connect):
    """The bytes of one registry, damaged on their way to another, which does not compare digests."""
    damaged = changed(GOOD, 3 * MIB)

    def answer(request, connection):
        return response(200, body=damaged) if "/blobs/" in request.path else response()

    registry = careless()
    with hostile_server(answer) as server:
        client = connect(server.host)
        source = RegistryBlobSource(client, "x/y")
        with pytest.raises(DocklessError, match="is damaged"):
            connect(registry.host, retry=None).ensure_blob("a/b", DESCRIPTOR, source)
        client.close()
    assert registry.stored == {}


# A foreign layer of 10 bytes, whose URL sends without end.

LAYER = b"0123456789"
SENT_AT_MOST = 16 * MIB


@pytest.fixture
def foreign(tmp_path):
    """`foreign(url)`: a layout whose image has a foreign layer of 10 bytes, which only `url` has."""

    def foreign(url, media_type=media_types.FOREIGN_LAYER):
        diff_id = Digest.of(LAYER)
        document = {"os": "linux", "architecture": "amd64", "rootfs": {"type": "layers", "diff_ids": [diff_id]}}
        raw = json.dumps(document).encode()
        config = Descriptor(media_types.OCI_CONFIG, Digest.of(raw), len(raw))
        layer = Descriptor(media_type, Digest.of(LAYER), len(LAYER), (url,))
        manifest = make_manifest(config, [layer])
        blobs = {config.digest: raw, manifest.digest: manifest.raw}
        directory = str(tmp_path / "image")
        write_layout(directory, [manifest.descriptor], [config, manifest.descriptor], Blobs(blobs))
        return directory, layer

    return foreign


class Blobs(dict):
    def open(self, descriptor):
        return io.BytesIO(self[descriptor.digest])


# name -> what the URL sends after its head: a beginning, and what is repeated.
CONTENTS = {
    "other bytes without end": (b"", b"q" * 60_000),
    "the layer, and more without end": (LAYER, b"q" * 60_000),
    "a tar without end": (b"", b"\0" * 51_200),
    "gzip members without end": (b"", b"\x1f\x8b\x08\0\0\0\0\0\0\xff\x03\0\0\0\0\0\0\0\0\0" * 3000),
    "one byte too many": (LAYER + b"q", b""),
    "one byte too few": (LAYER[:-1], b""),
    "other bytes": (b"q" * 10, b""),
}


@pytest.fixture
def web():
    """`web(content)`: a web server that answers every request with it."""

    def web(content):
        begin, piece = CONTENTS[content]

        def answer(request, connection):
            connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n" + begin)
            if piece:
                server.send_endlessly(connection, piece)

        context = hostile_server(answer)
        contexts.append(context)
        server = context.__enter__()
        return server

    contexts = []
    yield web
    for context in contexts:
        context.__exit__(None, None, None)


@pytest.mark.parametrize("content", CONTENTS)
@pytest.mark.parametrize("kind", ["oci", "oci-archive", "docker-archive", "registry"])
def test_foreign_layer(kind, content, web, foreign, careless, tmp_path, clean, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    server = web(content)
    directory, layer = foreign(f"{server.url}/layer")
    registry = careless()
    destination = f"{registry.host}/a/b:1" if kind == "registry" else f"{kind}:{tmp_path / 'copy'}"
    if kind == "docker-archive":
        destination += ":a/b:1"
    with pytest.raises(DocklessError) as caught:
        copy_image(
            f"oci:{directory}", destination, access=RegistryAccess(retry=RETRY_NEVER, insecure_hosts=[server.host])
        )
    clean(caught.value)
    assert server.sent < SENT_AT_MOST and server.requests and server.authorizations == []
    assert layer.digest not in registry.stored and "manifest" not in registry.stored
    assert {path.name for path in tmp_path.iterdir()} <= {"image", ".cache"}


@pytest.mark.parametrize("content", CONTENTS)
def test_foreign_layer_in_the_sandbox(content, web, tmp_path):
    """The program that downloads layers for Pants."""
    server = web(content)
    with hostile_server(lambda request, connection: response(200 if request.path == "/v2/" else 404)) as registry:
        (tmp_path / "cache").mkdir()
        layer = {"digest": Digest.of(LAYER), "size": len(LAYER), "urls": [f"{server.url}/layer"]}
        layer.update(registry=registry.host, repository="a/b")
        plan = {
            "insecure": [server.host],
            "layers": [layer],
            "cache": "cache",
            "blobs": "blobs",
            "import_from": [str(Path(module.__file__).parents[1]) for module in (dockless, requests)],
        }
        (tmp_path / "plan.json").write_text(json.dumps(plan))
        program = Path(pants_dockless.__file__).parent / "scripts/fetch_layers.py"
        done = subprocess.run(
            (sys.executable, "-I", "-S", str(program), "plan.json"),
            cwd=tmp_path,
            capture_output=True,
            text=True,
            env={"HOME": str(tmp_path), "PATH": os.environ["PATH"]},
            check=False,
        )
    assert done.returncode == 1 and done.stderr.startswith("error: ") and done.stderr.count("\n") == 1
    assert server.sent < SENT_AT_MOST and server.authorizations == []
    assert [*(tmp_path / "cache").iterdir(), *(tmp_path / "blobs").iterdir()] == []


# What a URL of a foreign layer may ask for: there are no credentials for it, whoever it is (CVE-2020-15157).
@pytest.mark.parametrize("status", [401, 403, 407])
@pytest.mark.parametrize(
    "challenge", ['Basic realm="x"', 'Bearer realm="{url}/token",service="x",scope="x"', "Negotiate"]
)
def test_foreign_layer_that_wants_credentials(challenge, status, foreign, tmp_path, clean, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "home/.docker").mkdir(parents=True)

    def answer(request, connection):
        name = "Proxy-Authenticate" if status == 407 else "WWW-Authenticate"
        return response(status, {name: challenge.replace("{url}", server.url), "Set-Cookie": "a=b"})

    with hostile_server(answer) as server:
        auths = {"auths": {server.host: {"auth": "YW5uOmNhbmFyeS1wYXNzd29yZA=="}}}
        (tmp_path / "home/.docker/config.json").write_text(json.dumps(auths))
        (tmp_path / "home/.netrc").write_text("machine 127.0.0.1 login ann password canary-password\n")
        (tmp_path / "home/.netrc").chmod(0o600)
        directory, _ = foreign(f"{server.url}/layer")
        with pytest.raises(DocklessError) as caught:
            copy_image(
                f"oci:{directory}", f"oci:{tmp_path / 'copy'}", access=RegistryAccess(insecure_hosts=[server.host])
            )
    assert str(status) in clean(caught.value)
    assert server.asked() == ["GET /layer"] and server.authorizations == []
