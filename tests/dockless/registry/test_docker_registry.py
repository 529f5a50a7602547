"""Debian's docker-registry: without and with users, with TLS, and with killed pushes."""

import base64
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from real_tools import ROOT, DockerRegistry, need, run

from dockless.errors import RegistryError
from dockless.layout.oci_layout_writer import write_layout
from dockless.oci.digest import Digest
from dockless.oci.manifest import make_index
from dockless.registry import Credentials, RegistryBlobSource, RegistryClient, push
from dockless.registry.errors import ResponseError, UnauthorizedError


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    registry = DockerRegistry(tmp_path_factory.mktemp("plain"))
    yield registry
    registry.stop()


@pytest.fixture(scope="module")
def guarded(tmp_path_factory):
    need("htpasswd")
    directory = tmp_path_factory.mktemp("guarded")
    (directory / "htpasswd").write_text(run("htpasswd", "-Bbn", "ann", "s3cret:with:colons").out)
    registry = DockerRegistry(directory, f"auth: {{htpasswd: {{realm: here, path: {directory}/htpasswd}}}}\n")
    yield registry
    registry.stop()


LEAF = """subjectAltName=DNS:localhost
extendedKeyUsage=serverAuth
subjectKeyIdentifier=hash
authorityKeyIdentifier=keyid
"""


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    """A directory with a CA and its certificate for localhost, made by openssl."""
    need("openssl")
    directory = tmp_path_factory.mktemp("ca")
    key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
    ca = ("-keyout", "ca.key", "-out", "ca.crt", "-subj", "/CN=test-ca", "-days", "30")
    # CPython 3.13 checks strictly (RFC 5280): a CA needs keyUsage, and a certificate the key identifier of its issuer.
    says = ("-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=critical,keyCertSign,cRLSign")
    run("openssl", "req", "-x509", *key, *ca, *says, cwd=directory)
    run("openssl", "req", *key, "-keyout", "srv.key", "-out", "srv.csr", "-subj", "/CN=localhost", cwd=directory)
    (directory / "ext").write_text(LEAF)
    signing = ("-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial", "-days", "30", "-extfile", "ext")
    run("openssl", "x509", "-req", "-in", "srv.csr", *signing, "-out", "srv.crt", cwd=directory)
    return directory


@pytest.fixture(scope="module")
def secure(tmp_path_factory, authority):
    directory = tmp_path_factory.mktemp("secure")
    registry = DockerRegistry(directory, http=f", tls: {{certificate: {authority}/srv.crt, key: {authority}/srv.key}}")
    registry.host = registry.host.replace("127.0.0.1", "localhost")
    yield registry
    registry.stop()


def test_push_pull_and_push_again(plain, connect, multi_platform):
    first = connect(plain.host)
    pushed = push(multi_platform.root, multi_platform.source, first, "app", ["v1", "v1", "latest"])
    assert pushed.digest == multi_platform.digest
    assert pushed.references == (f"{plain.host}/app:v1", f"{plain.host}/app:latest")
    assert (pushed.blobs_sent, pushed.blobs_present) == (6, 0)
    assert sorted(first.tags("app")) == ["latest", "v1"]
    found = first.get_manifest("app", "v1")
    assert found.raw == multi_platform.root.raw
    content = RegistryBlobSource(first, "app")
    for child in found.parse("app").manifests:
        with content.open(child) as file:
            assert file.read() == multi_platform.source.blobs[child.digest]

    plain.forget()
    push(multi_platform.root, multi_platform.source, connect(plain.host), "app", ["v1"])
    assert plain.requests() == ["GET /v2/", "GET /v2/app/manifests/v1"]

    again = connect(plain.host)
    plain.forget()
    mount_from = {blob: ["app"] for blob in multi_platform.source.blobs}
    moved = push(multi_platform.root, multi_platform.source, again, "other/place", ["v1"], mount_from=mount_from)
    assert (moved.blobs_sent, moved.blobs_mounted) == (0, 6)
    assert not [line for line in plain.requests() if line.startswith(("PATCH", "PUT")) and "/blobs/" in line]


def test_delete(plain, connect, make):
    image = make(41, 10)
    client = connect(plain.host)
    push(image.root, image.source, client, "gone", ["v1"])
    client.delete_manifest("gone", image.digest)
    assert client.head_manifest("gone", "v1") is None
    config = image.root.config.digest
    client.delete_blob("gone", config)
    assert not client.blob_exists("gone", config)
    with pytest.raises(ResponseError, match="404"):
        client.delete_blob("gone", config)


def test_referrers_by_tag(plain, connect, make):
    subject, note = make(42, 10), make(43, 20)
    client = connect(plain.host)
    push(subject.root, subject.source, client, "ref", ["v1"])
    push(note.root, note.source, client, "ref", [])
    assert client.referrers("ref", subject.digest) == ()
    index = make_index([note.root.descriptor._replace(artifact_type="a/b")])
    client.put_manifest("ref", subject.digest.replace(":", "-"), index.raw, index.media_type)
    assert [found.digest for found in client.referrers("ref", subject.digest, "a/b")] == [note.digest]
    assert client.referrers("ref", subject.digest, "c/d") == ()


def test_five_clients_that_add_referrers_at_once_lose_no_entry(plain, connect, environ, make):
    """docker-registry has no referrers API: each client writes the index under the tag that stands for the subject."""
    subject = make(45, 10)
    push(subject.root, subject.source, connect(plain.host), "many", ["v1"])
    kinds = {f"application/x{n}" for n in range(5)}
    start = threading.Barrier(len(kinds))

    def add(kind):
        document = {**subject.root.json, "artifactType": kind, "subject": subject.root.descriptor.to_json()}
        raw = json.dumps(document).encode()
        with RegistryClient(plain.host, environ=environ) as client:
            start.wait(30)
            client.put_manifest("many", Digest.of(raw), raw, subject.root.media_type)

    with ThreadPoolExecutor(len(kinds)) as threads:
        list(threads.map(add, kinds))
    found = connect(plain.host).referrers("many", subject.digest)
    assert sorted(referrer.artifact_type for referrer in found) == sorted(kinds)


def test_credentials_of_a_config_file(guarded, connect, environ, image):
    auth = base64.b64encode(b"ann:s3cret:with:colons").decode()
    path = os.path.join(environ["HOME"], ".docker/config.json")
    os.makedirs(os.path.dirname(path))
    with open(path, "w") as file:
        json.dump({"auths": {guarded.host: {"auth": auth}}}, file)
    assert push(image.root, image.source, connect(guarded.host), "app", ["v1"]).blobs_sent == 4
    assert path in connect(guarded.host).explain_auth()


def test_wrong_password(guarded, connect, image):
    client = connect(guarded.host, credentials=Credentials("ann", "S3CR3T-Kanary", source="the test"))
    guarded.forget()
    with pytest.raises(UnauthorizedError) as caught:
        push(image.root, image.source, client, "wrong", ["v1"])
    text = str(caught.value)
    assert "401" in text and "the test as user ann" in text and guarded.host in text and "Kanary" not in text
    assert len(guarded.requests()) == 2


def test_push_without_credentials(guarded, connect, image, environ):
    with pytest.raises(UnauthorizedError, match=r"no credentials were found; looked in .*/\.docker/config\.json"):
        push(image.root, image.source, connect(guarded.host), "nobody", ["v1"])


def test_private_ca(secure, authority, connect, environ, image):
    with pytest.raises(RegistryError, match="is not signed by a trusted CA; pass the CA's certificate with --ca-file"):
        push(image.root, image.source, connect(secure.host), "app", ["v1"])
    push(image.root, image.source, connect(secure.host, ca_file=str(authority / "ca.crt")), "app", ["v1"])
    push(image.root, image.source, connect(secure.host, insecure=True), "app", ["v2"])
    variable = {**environ, "SSL_CERT_FILE": str(authority / "ca.crt")}
    assert connect(secure.host, environ=variable).head_manifest("app", "v2") == image.digest
    directory = os.path.join(environ["HOME"], ".config/containers/certs.d", secure.host)
    os.makedirs(directory)
    os.symlink(authority / "ca.crt", os.path.join(directory, "ca.crt"))
    assert connect(secure.host).head_manifest("app", "v1") == image.digest


def test_certificate_of_another_name(secure, authority, connect):
    client = connect(secure.host.replace("localhost", "127.0.0.1"), ca_file=str(authority / "ca.crt"))
    with pytest.raises(RegistryError, match=r"certificate is not for 127\.0\.0\.1"):
        client.ping()


_PUSH = """
import sys
sys.path.insert(0, {source!r})
from dockless.layout.oci_layout import OciLayout
from dockless.registry import RegistryClient, push
layout = OciLayout({layout!r})
with RegistryClient({host!r}, jobs=2) as client:
    push(layout.manifest(layout.root()), layout, client, "killed", ["v1"])
"""


class Killing(threading.Thread):
    """Forwards connections to a registry, and kills `victim` when the nth request begins."""

    victim: subprocess.Popen

    def __init__(self, target, nth):
        super().__init__(daemon=True)
        self.target, self.nth = target, nth
        self.count = 0
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.host = f"127.0.0.1:{self.listener.getsockname()[1]}"
        self.lock = threading.Lock()

    def run(self):
        with contextlib.suppress(OSError):
            while True:
                client, _ = self.listener.accept()
                threading.Thread(target=self.pump, args=(client,), daemon=True).start()

    def pump(self, client):
        host, port = self.target.rsplit(":", 1)
        with contextlib.suppress(OSError), client, socket.create_connection((host, int(port))) as server:
            threading.Thread(target=self.copy, args=(server, client), daemon=True).start()
            while data := client.recv(65536):
                if data.split(b" ", 1)[0] in (b"GET", b"HEAD", b"POST", b"PUT", b"PATCH"):
                    with self.lock:
                        self.count += 1
                        if self.count == self.nth:
                            self.victim.kill()
                            return
                server.sendall(data)

    def copy(self, server, client):
        with contextlib.suppress(OSError):
            while data := server.recv(65536):
                client.sendall(data)


def test_a_push_that_was_killed_at_any_request_is_completed_by_the_next(plain, connect, environ, make, tmp_path):
    """SIGKILL before the nth request arrives. The next push sends no stored blob, and the tag is correct."""
    image = make(44, 2_000_000, 40_000, 10)
    layout = str(tmp_path / "layout")
    named = image.root.descriptor
    blobs = [*image.root.layers, image.root.config]
    write_layout(layout, [named], [named, *blobs], image.source)
    n = 0
    while True:
        n += 1
        proxy = Killing(plain.host, n)
        proxy.start()
        script = _PUSH.format(source=str(ROOT / "src"), layout=layout, host=proxy.host)
        proxy.victim = subprocess.Popen([sys.executable, "-c", script], env=environ)
        code = proxy.victim.wait(60)
        proxy.listener.close()
        client = connect(plain.host)
        tagged = client.head_manifest("killed", "v1")
        stored = [blob.digest for blob in blobs if client.blob_exists("killed", blob.digest)]
        events = []
        pushed = push(image.root, image.source, connect(plain.host), "killed", ["v1"], progress=events.append)
        assert client.get_manifest("killed", "v1").raw == image.root.raw
        if code == 0:
            break
        assert code == -signal.SIGKILL
        # The last requests of a push only check what is stored.
        assert tagged is None or (tagged == image.digest and not pushed.blobs_sent)
        # A request that was in flight may have completed since.
        assert pushed.blobs_sent <= 4 - len(stored)
        # Not from the access log, where the last request of the killed push may appear late.
        assert not {event.descriptor.digest for event in events if event.kind == "sent"}.intersection(stored)
        client.delete_manifest("killed", image.digest)
        for blob in blobs:
            client.delete_blob("killed", blob.digest)
    assert n > 12
