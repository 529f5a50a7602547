import hashlib
import http.client
import json
import ssl
from pathlib import Path
from typing import NamedTuple

import pytest

from dockless.testing.fixtures import registry, registry_factory  # noqa: F401 - fixtures of this directory

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar"


class Answer(NamedTuple):
    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def code(self):
        return json.loads(self.body)["errors"][0]["code"]

    @property
    def json(self):
        return json.loads(self.body)


class Client:
    """Sends requests to one host, each on a new connection by default, without redirects and authentication."""

    def __init__(self, host, ca=None):
        self.host = host
        self.context = ssl.create_default_context(cafile=ca) if ca else None

    def connect(self):
        if self.context:
            return http.client.HTTPSConnection(self.host, timeout=30, context=self.context)
        return http.client.HTTPConnection(self.host, timeout=30)

    def __call__(self, method, target, body=None, connection=None, **headers):
        """Sends a request. In names of headers, `_` stands for `-`. The target may be a URL of this host."""
        target = target.split(self.host, 1)[-1] if "://" in target else target
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        if body is not None and "Content-Type" not in headers:
            headers["Content-Type"] = "application/octet-stream"
        used = connection or self.connect()
        try:
            used.request(method, target, body, headers)
            found = used.getresponse()
            return Answer(found.status, found.headers, found.read())
        finally:
            if connection is None:
                used.close()

    def start(self, repository):
        """Opens an upload session and returns its Location."""
        answer = self("POST", f"/v2/{repository}/blobs/uploads/")
        assert answer.status == 202
        return answer.headers["Location"]

    def push(self, repository, data):
        answer = self("PUT", with_digest(self.start(repository), data), data)
        assert answer.status == 201
        return digest(data)

    def put_manifest(self, repository, reference, raw, media_type=MANIFEST):
        return self("PUT", f"/v2/{repository}/manifests/{reference}", raw, Content_Type=media_type)


def digest(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


def with_digest(location, data):
    return f"{location}{'&' if '?' in location else '?'}digest={digest(data)}"


def descriptor(data, media_type):
    return {"mediaType": media_type, "digest": digest(data), "size": len(data)}


def make_manifest(config, *layers, **more):
    document = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": descriptor(config, CONFIG),
        "layers": [descriptor(layer, LAYER) for layer in layers],
        **more,
    }
    return json.dumps(document).encode()


class Helpers:
    """Helpers for the tests of this directory."""

    MANIFEST, CONFIG, LAYER = MANIFEST, CONFIG, LAYER
    INDEX = "application/vnd.oci.image.index.v1+json"
    Client = Client
    digest = staticmethod(digest)
    with_digest = staticmethod(with_digest)
    descriptor = staticmethod(descriptor)
    make_manifest = staticmethod(make_manifest)


@pytest.fixture(scope="session")
def helpers():
    return Helpers


@pytest.fixture(params=["memory", "directory"])
def served(request, registry_factory, tmp_path):  # noqa: F811
    """A registry with the profile `strict`, with each storage."""
    return registry_factory("memory" if request.param == "memory" else tmp_path / "registry")


@pytest.fixture
def call(served):
    return Client(served.host)


@pytest.fixture(scope="session")
def layout(tmp_path_factory):
    """A small image in an OCI layout, made by umoci."""
    from real_tools import need, run

    need("umoci")
    directory: Path = tmp_path_factory.mktemp("layout")
    (directory / "file").write_text("hello\n")
    run("umoci", "init", "--layout", str(directory / "image"))
    run("umoci", "new", "--image", f"{directory}/image:latest")
    run("umoci", "insert", "--image", f"{directory}/image:latest", str(directory / "file"), "/file")
    # umoci keeps the blobs of the previous image.
    run("umoci", "gc", "--layout", str(directory / "image"))
    return directory / "image"
