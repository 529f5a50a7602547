"""Blobs as the bodies of requests: over plain http those of files go without being read."""

import gzip
import io
import os
from functools import partial

import pytest
from one_opener import Opens

from dockless.errors import LayoutError
from dockless.oci import media_types
from dockless.oci.descriptor import Descriptor
from dockless.oci.digest import Digest
from dockless.registry.upload_body import BLOCK
from dockless.testing import Fault, Registry
from dockless.testing.tls import make_certificate, server_context

DATA = os.urandom(3 * BLOCK + 12345)
BLOB = Descriptor(media_types.OCI_LAYER, Digest.of(DATA), len(DATA))


@pytest.fixture
def path(tmp_path):
    (tmp_path / "blob").write_bytes(DATA)
    return tmp_path / "blob"


@pytest.fixture
def by_kernel(monkeypatch):
    """How many bytes went by sendfile."""
    counts = []
    sendfile = os.sendfile

    def counted(*args):
        counts.append(sendfile(*args))
        return counts[-1]

    monkeypatch.setattr(os, "sendfile", counted)
    return counts


def sources(path):
    packed = path.with_suffix(".gz")
    packed.write_bytes(gzip.compress(DATA, 1))
    return {
        "a buffered file": (lambda: open(path, "rb"), True),
        "a file": (lambda: open(path, "rb", buffering=0), True),
        "memory": (lambda: io.BytesIO(DATA), False),
        # It has the descriptor of a file that holds something else.
        "a reader of gzip": (lambda: gzip.open(packed), False),
    }


@pytest.mark.parametrize("name", ["a buffered file", "a file", "memory", "a reader of gzip"])
def test_what_goes_by_the_kernel(name, path, connect, by_kernel):
    opener, plain = sources(path)[name]
    moved = []
    with Registry() as registry:
        connect(registry.host).ensure_blob("app", BLOB, Opens(opener), moved=moved.append)
        assert registry.blob("app", BLOB.digest) == DATA
    assert sum(by_kernel) == (len(DATA) if plain else 0)
    assert sum(moved) == len(DATA) and max(moved) <= BLOCK


def test_tls_reads_what_it_encrypts(path, tmp_path, connect, by_kernel):
    authority = make_certificate(tmp_path)
    with Registry(tls=server_context(tmp_path)) as registry:
        connect(registry.host, ca_file=str(authority)).ensure_blob("app", BLOB, Opens(partial(open, path, "rb")))
        assert registry.blob("app", BLOB.digest) == DATA
    assert by_kernel == []


def test_a_file_is_taken_up_in_its_middle(path, connect, by_kernel, monkeypatch):
    monkeypatch.setattr("dockless.registry.uploader.CHUNK", BLOCK)
    with Registry() as registry:
        registry.faults = [Fault("upload put", nth=1, request_bytes=BLOCK + 5000, reset=True)]
        connect(registry.host).ensure_blob("app", BLOB, Opens(partial(open, path, "rb")))
        assert registry.blob("app", BLOB.digest) == DATA
        again = [request for request in registry.requests if request.operation in ("upload patch", "upload put")][1]
        assert not again.headers.get("Content-Range", "0-").startswith("0-")


@pytest.mark.parametrize("tls", [False, True])
@pytest.mark.parametrize("size", [0, 5, BLOCK, len(DATA) - 1])
def test_a_file_that_is_too_short(size, tls, path, tmp_path, connect):
    path.write_bytes(DATA[:size])
    authority = make_certificate(tmp_path) if tls else None
    with Registry(tls=server_context(tmp_path) if tls else None) as registry:
        client = connect(registry.host, ca_file=str(authority) if tls else None)
        with pytest.raises(LayoutError, match=f"{BLOB.digest} to be pushed ends {len(DATA) - size} bytes early"):
            client.ensure_blob("app", BLOB, Opens(partial(open, path, "rb")))
        assert not registry.blobs("app")
