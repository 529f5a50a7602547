"""The requests of an upload session, one by one, and parts of blobs."""

import pytest

from dockless.errors import InvalidValueError, RegistryError
from dockless.oci.digest import Digest
from dockless.testing import PROFILES, Fault, Registry

DATA = b"0123456789" * 5
DIGEST = Digest.of(DATA)


def test_chunk_by_chunk(connect):
    with Registry() as registry:
        upload = connect(registry.host).open_upload("app")
        assert upload.uploaded_bytes() == 0
        assert upload.send(DATA[:20], 0, 20) == 20
        before = upload.location
        assert upload.send(DATA[20:40], 20, 20) == 40
        assert upload.location != before and upload.uploaded_bytes() == 40
        assert upload.commit(DIGEST, DATA[40:], 40, 10).status == 201
        assert registry.blob("app", DIGEST) == DATA


def test_a_chunk_out_of_order_is_refused_by_the_registry(connect):
    with Registry() as registry:
        upload = connect(registry.host).open_upload("app")
        with pytest.raises(RegistryError, match="PATCH .*: 416"):
            upload.send(DATA[20:], 20, 30)


def test_cancelled(connect):
    with Registry() as registry:
        client = connect(registry.host)
        upload = client.open_upload("app")
        upload.cancel()
        with pytest.raises(RegistryError, match="404"):
            upload.uploaded_bytes()
        assert registry.blobs("app") == {}


def test_mounted_or_opened(connect):
    with Registry() as registry:
        registry.put_blob("base", DATA)
        client = connect(registry.host)
        assert client.open_upload("app", mount=DIGEST, source="base") is None
        assert client.blob_exists("app", DIGEST)
        upload = client.open_upload("other", mount=DIGEST, source="nowhere")
        upload.commit(DIGEST, DATA, 0, len(DATA))
        assert registry.blob("other", DIGEST) == DATA
        with pytest.raises(InvalidValueError):
            client.open_upload("app", mount=DIGEST, source="../base")


def test_the_minimum_chunk_length(connect):
    profile = PROFILES["strict"]._replace(chunk_minimum=100_000, chunk_minimum_told=True)
    with Registry(profile=profile) as registry:
        assert connect(registry.host).open_upload("app").chunk_minimum == 100_000


@pytest.mark.parametrize("message", ["", "x", "-5", "5 MiB"])
def test_an_invalid_minimum_chunk_length(message, connect):
    with Registry() as registry:
        registry.faults = [Fault(on="upload post", headers={"OCI-Chunk-Min-Length": message})]
        assert connect(registry.host).open_upload("app").chunk_minimum == 0


@pytest.mark.parametrize(
    ("start", "stop", "status", "expected"),
    [(0, None, 200, DATA), (10, None, 206, DATA[10:]), (0, 10, 206, DATA[:10]), (5, 25, 206, DATA[5:25])],
)
def test_parts_of_a_blob(start, stop, status, expected, connect):
    with Registry() as registry:
        registry.put_blob("app", DATA)
        answer = connect(registry.host).get_blob("app", DIGEST, start, stop)
        assert (answer.status, answer.read(1000, "the blob")) == (status, expected)


def test_sizes(connect):
    with Registry() as registry:
        registry.put_blob("app", DATA)
        registry.put_blob("app", b"")
        client = connect(registry.host)
        assert client.blob_size("app", DIGEST) == 50
        assert client.blob_size("app", Digest.of(b"")) == 0
        assert client.blob_size("app", Digest.of(b"x")) is None
        registry.faults = [Fault(on="blob head", headers={"Content-Length": "0"})]
        assert client.blob_size("app", DIGEST) == -1
