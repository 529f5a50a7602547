"""Real registries for fault runs, their content, and the images that are pushed to them."""

import hashlib
import http.client
import json
import random
import time
from typing import NamedTuple

from fault_proxy import Stranger
from made_images import make_image
from real_tools import DockerRegistry, need, run
from token_server import Account, TokenServer

from dockless.oci.manifest import make_index
from dockless.oci.platform import Platform
from dockless.testing import make_certificate, server_context

SECRET = "S3CR3T-Kanary"
NETRC = "N3TRC-Kanary"
IDENTITY = "1D3NT1TY-Kanary"


def _random(seed, size):
    return random.Random(seed).randbytes(size)


OLD = make_image(b"old")
# Faults corrupt bytes of the annotation, so that the manifest is still JSON.
NEW = make_image(_random(1, 300_000), _random(2, 5000), b"0123456789", manifest={"annotations": {"note": "n" * 500}})
THIRD = make_image(b"third", _random(3, 2000))
BIG, MIDDLE, SMALL = (layer.digest for layer in NEW.manifest.layers)
CONFIG = NEW.manifest.config.digest
SIZES = {blob.digest: blob.size for blob in (*NEW.manifest.layers, NEW.manifest.config)}


class Indexed(NamedTuple):
    """An index of two images with common layers."""

    index: object
    blobs: dict


def _indexed():
    arm = make_image(_random(2, 5000), b"for arm", architecture="arm64")
    children = [
        image.manifest.descriptor._replace(platform=Platform("linux", name))
        for image, name in ((NEW, "amd64"), (arm, "arm64"))
    ]
    index = make_index(children)
    return Indexed(index, {**NEW.blobs, **arm.blobs, index.digest: index.raw})


INDEXED = _indexed()


class Store:
    """The content of a registry, read through a docker-registry without users on the same storage."""

    def __init__(self, registry, data):
        self.host = registry.host
        self.data = data

    def ask(self, method, path, body=None, headers=None):
        connection = http.client.HTTPConnection(self.host, timeout=30)
        try:
            connection.request(method, path, body, headers or {})
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read()
        finally:
            connection.close()

    def put_blob(self, repository, data):
        status, headers, _ = self.ask("POST", f"/v2/{repository}/blobs/uploads/", b"")
        assert status == 202
        location = headers["Location"].split(self.host, 1)[1]
        status, _, message = self.ask("PUT", f"{location}&digest={digest_of(data)}", data)
        assert status == 201, message

    def put(self, repository, image, tag):
        for blob in image.all_blobs[:-1]:
            self.put_blob(repository, image.blobs[blob.digest])
        kind = {"Content-Type": image.manifest.media_type}
        status, _, message = self.ask("PUT", f"/v2/{repository}/manifests/{tag}", image.manifest.raw, kind)
        assert status == 201, message

    def delete(self, repository, kind, digest):
        status, _, message = self.ask("DELETE", f"/v2/{repository}/{kind}/{digest}")
        assert status in (202, 404), message

    def manifest(self, repository, reference):
        """Returns the bytes of a manifest, or None."""
        accept = {"Accept": "application/vnd.oci.image.manifest.v1+json, application/vnd.oci.image.index.v1+json"}
        status, _, raw = self.ask("GET", f"/v2/{repository}/manifests/{reference}", None, accept)
        return raw if status == 200 else None

    def blob(self, repository, digest):
        status, _, data = self.ask("GET", f"/v2/{repository}/blobs/{digest}")
        return data if status == 200 else None

    def sessions(self, repository):
        """Returns the directories of the open upload sessions."""
        directory = self.data / "docker/registry/v2/repositories" / repository / "_uploads"
        return sorted(directory.iterdir()) if directory.exists() else []

    def check_complete(self, repository, raw):
        """Checks that the blobs of the manifest `raw` exist and match their digests."""
        document = json.loads(raw)
        for child in document.get("manifests", []):
            found = self.manifest(repository, child["digest"])
            assert found is not None and digest_of(found) == child["digest"], child
            self.check_complete(repository, found)
        for blob in [*document.get("layers", []), *([document["config"]] if "config" in document else [])]:
            found = self.blob(repository, blob["digest"])
            assert found is not None and digest_of(found) == blob["digest"], blob


def digest_of(data):
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


class Bench:
    """Registries with one storage: `plain`, `basic` (a password file) and `token`. `stranger` is an unrelated host."""

    def __init__(self, directory, leave):
        need("htpasswd", "openssl")
        self.directory = directory
        self.data = directory / "data"
        accounts = {
            "ann": Account(SECRET, {"*": "pull,push,delete"}, IDENTITY),
            "reader": Account(SECRET, {"*": "pull"}),
        }
        self.tokens = leave.enter_context(TokenServer(directory, accounts))
        self.stranger = leave.enter_context(Stranger())
        (directory / "htpasswd").write_text(run("htpasswd", "-Bbn", "-C", "4", "ann", SECRET).out)
        self._auth = {
            "plain": "",
            "basic": f"auth: {{htpasswd: {{realm: here, path: {directory}/htpasswd}}}}\n",
            "token": self.tokens.registry_auth,
        }
        self.registries = {kind: self.registry(kind) for kind in self._auth}
        for registry in self.registries.values():
            leave.callback(registry.stop)
        self.store = Store(self.registries["plain"], self.data)
        self.ca = make_certificate(directory)
        self.tls = server_context(directory)

    def registry(self, kind):
        """Starts another docker-registry with the same storage."""
        directory = self.directory / f"{kind}-{time.monotonic_ns()}"
        directory.mkdir()
        return DockerRegistry(directory, self._auth[kind], data=self.data)
