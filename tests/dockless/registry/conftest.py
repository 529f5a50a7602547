"""Images of random bytes, a clock that does not wait, and clients without settings of this machine."""

import io
import os
import random

import pytest
from manual_clock import ManualClock

from dockless.oci import media_types
from dockless.oci.descriptor import Descriptor
from dockless.oci.digest import Digest
from dockless.oci.manifest import make_index, make_manifest
from dockless.oci.platform import Platform
from dockless.registry import RegistryClient


class Memory:
    """Blobs in memory, as a BlobSource."""

    def __init__(self):
        self.blobs = {}

    def add(self, data, media_type=media_types.OCI_LAYER):
        digest = Digest.of(data)
        self.blobs[digest] = data
        return Descriptor(media_type, digest, len(data))

    def open(self, descriptor):
        return io.BytesIO(self.blobs[descriptor.digest])


class Image:
    """A manifest or index, and the source of its blobs."""

    def __init__(self, root, source):
        self.root = root
        self.source = source
        source.blobs[root.digest] = root.raw

    @property
    def digest(self):
        return self.root.digest


def make_image(seed, *sizes):
    source = Memory()
    bytes_of = random.Random(seed)
    layers = [
        source.add(bytes_of.randbytes(size) if hasattr(bytes_of, "randbytes") else os.urandom(size)) for size in sizes
    ]
    config = source.add(b'{"os":"linux","architecture":"amd64","seed":%d}' % seed, media_types.OCI_CONFIG)
    return Image(make_manifest(config, layers), source)


def make_multi_platform(seed, *sizes):
    """An index of two images that share their layers but the last."""
    source = Memory()
    children = []
    for n, architecture in enumerate(("amd64", "arm64")):
        one = make_image(seed, *sizes)
        config = source.add(b'{"os":"linux","architecture":"%s"}' % architecture.encode(), media_types.OCI_CONFIG)
        own = source.add(b"layer of %d" % n)
        manifest = make_manifest(config, [*one.root.layers, own])
        for layer in one.root.layers:
            source.blobs[layer.digest] = one.source.blobs[layer.digest]
        source.blobs[manifest.digest] = manifest.raw
        children.append(manifest.descriptor._replace(platform=Platform("linux", architecture)))
    return Image(make_index(children), source)


@pytest.fixture
def image():
    return make_image(1, 200_000, 3000, 10)


@pytest.fixture
def make():
    """`make(seed, *sizes)` makes an image with layers of these sizes."""
    return make_image


@pytest.fixture
def multi_platform():
    return make_multi_platform(2, 5000, 10)


@pytest.fixture
def manual():
    return ManualClock()


@pytest.fixture
def environ(tmp_path):
    """An environment with an empty home directory, without credentials, proxies and CAs of this machine."""
    (tmp_path / "home").mkdir()
    return {"HOME": str(tmp_path / "home"), "PATH": os.environ["PATH"]}


@pytest.fixture
def connect(environ, manual):
    """`connect(host, **options)` returns a RegistryClient whose clock does not wait."""
    made = []

    def connect(host, **options):
        client = RegistryClient(host, **{"environ": environ, "clock": manual.clock(), **options})
        made.append(client)
        return client

    yield connect
    for client in made:
        client.close()


@pytest.fixture
def holds():
    """`holds(registry, repository, image, *tags)` checks that the registry has the complete image under the tags."""

    def holds(registry, repository, image, *tags):
        for tag in tags:
            assert registry.tags(repository).get(tag) == image.digest
        assert registry.manifest(repository, image.digest).raw == image.root.raw
        for digest, data in image.source.blobs.items():
            if digest in registry.manifests(repository):
                assert registry.manifest(repository, digest).raw == data
            else:
                assert registry.blob(repository, digest) == data

    return holds


@pytest.fixture
def keep():
    """`keep(registry, repository, image, tag)` stores an image without a request."""

    def keep(registry, repository, image, tag):
        for data in image.source.blobs.values():
            registry.put_blob(repository, data)
        registry.put_manifest(repository, image.root.raw, image.root.media_type, tag)

    return keep


@pytest.fixture
def path(request, tmp_path):
    """The path of a file with the DATA of the test module."""
    (tmp_path / "blob").write_bytes(request.module.DATA)
    return tmp_path / "blob"
