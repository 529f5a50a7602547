"""Blobs as request bodies."""

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
from dockless.registry.upload_body import BLOCK_SIZE
from dockless.testing import Fault, Registry
from dockless.testing.tls import make_certificate, server_context

DATA = os.urandom(3 * BLOCK_SIZE + 12345)
BLOB = Descriptor(media_types.OCI_LAYER, Digest.of(DATA), len(DATA))


@pytest.mark.parametrize("kind", ["a buffered file", "a file", "memory", "a gzip reader"])
def test_any_reader_is_sent(kind, path, connect):
    packed = path.with_suffix(".gz")
    packed.write_bytes(gzip.compress(DATA, 1))
    opener = {
        "a buffered file": partial(open, path, "rb"),
        "a file": partial(open, path, "rb", buffering=0),
        "memory": lambda: io.BytesIO(DATA),
        # The file descriptor is that of the compressed file.
        "a gzip reader": partial(gzip.open, packed),
    }[kind]
    moved = []
    with Registry() as registry:
        connect(registry.host).ensure_blob("app", BLOB, Opens(opener), on_bytes=moved.append)
        assert registry.blob("app", BLOB.digest) == DATA
    assert sum(moved) == len(DATA) and max(moved) <= BLOCK_SIZE


def test_a_file_is_sent_from_its_position(path, connect, monkeypatch):
    monkeypatch.setattr("dockless.registry.uploader.CHUNK_SIZE", BLOCK_SIZE)
    with Registry() as registry:
        registry.faults = [Fault("upload put", nth=1, request_bytes=BLOCK_SIZE + 5000, reset=True)]
        connect(registry.host).ensure_blob("app", BLOB, Opens(partial(open, path, "rb")))
        assert registry.blob("app", BLOB.digest) == DATA
        again = [request for request in registry.requests if request.operation in ("upload patch", "upload put")][1]
        assert not again.headers.get("Content-Range", "0-").startswith("0-")


@pytest.mark.parametrize("tls", [False, True])
@pytest.mark.parametrize("size", [0, 5, BLOCK_SIZE, len(DATA) - 1])
def test_a_file_that_is_too_short(size, tls, path, tmp_path, connect):
    path.write_bytes(DATA[:size])
    authority = make_certificate(tmp_path) if tls else None
    with Registry(tls=server_context(tmp_path) if tls else None) as registry:
        client = connect(registry.host, ca_file=str(authority) if tls else None)
        with pytest.raises(
            LayoutError, match=f"{BLOB.digest} to be pushed is damaged: it has {size} bytes, not {len(DATA)}"
        ):
            client.ensure_blob("app", BLOB, Opens(partial(open, path, "rb")))
        assert not registry.blobs("app")
