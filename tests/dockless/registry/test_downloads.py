"""Downloads of blobs: verification, resumption, and responses that do not match the request."""

import gzip
import tracemalloc
import zlib

import pytest

from dockless.errors import DocklessError, RegistryError
from dockless.oci import media_types
from dockless.oci.descriptor import Descriptor
from dockless.oci.digest import Digest
from dockless.registry import RegistryBlobSource
from dockless.registry.errors import ProtocolError, ResponseError
from dockless.registry.retry import classify
from dockless.testing import PROFILES, Fault, Registry

MIB = 1 << 20
DATA = bytes(range(256)) * 12288  # 3 MiB
DIGEST = Digest.of(DATA)
BLOB = Descriptor(media_types.OCI_LAYER, DIGEST, len(DATA))


@pytest.fixture
def registry():
    with Registry() as registry:
        registry.put_blob("app", DATA)
        yield registry


@pytest.fixture
def fetch(registry, connect):
    """`fetch()` returns the bytes of the blob, read in pieces as by a copy."""

    def fetch(descriptor=BLOB, content=None):
        content = content or RegistryBlobSource(connect(registry.host), "app")
        found = bytearray()
        with content.open(descriptor) as file:
            while piece := file.read(100_000):
                found += piece
        return bytes(found)

    return fetch


def gets(registry):
    return [request for request in registry.requests if request.operation == "blob get"]


def test_read_and_verified(registry, fetch):
    assert fetch() == DATA
    assert len(gets(registry)) == 1


@pytest.mark.parametrize("profile", PROFILES)
def test_from_every_registry(profile, connect):
    """Some registries redirect to a store that refuses credentials."""
    with Registry(profile=profile, repositories=["app"]) as registry:
        registry.put_blob("app", DATA)
        with RegistryBlobSource(connect(registry.host), "app").open(BLOB) as file:
            assert file.read() == DATA


@pytest.mark.parametrize("how", ["drop", "reset"])
def test_a_broken_download_is_resumed(how, registry, fetch):
    registry.faults = [Fault("blob get", nth=(1, 2), response_bytes=MIB, **{how: True})]
    assert fetch() == DATA
    ranges = [request.headers["Range"] for request in gets(registry)]
    # Bytes in the socket buffers may be lost when the connection is reset.
    assert ranges[0] is None and len(ranges) == 3 and all(r.endswith("-") for r in ranges[1:])
    if how == "drop":
        assert ranges[1:] == [f"bytes={MIB}-", f"bytes={2 * MIB}-"]


def test_a_registry_without_ranges(registry, fetch):
    """The response is 200 with the whole blob. The bytes that were already received are skipped."""
    whole = {"status": 200, "body": DATA}
    registry.faults = [
        Fault("blob get", nth=1, response_bytes=MIB, drop=True),
        Fault("blob get", nth=2, **whole),
    ]
    assert fetch() == DATA


@pytest.mark.parametrize(
    "message", ["bytes 0-{end}/{size}", "bytes {at}-{at}/{size}", "bytes x", "", "bytes {at}-{end}/{size}, 5-6"]
)
def test_a_part_that_was_not_requested(message, registry, fetch):
    value = message.format(at=MIB, end=len(DATA) - 1, size=len(DATA))
    registry.faults = [
        Fault("blob get", nth=1, response_bytes=MIB, drop=True),
        Fault("blob get", nth=(2, 3, 4, 5, 6, 7), headers={"Content-Range": value}),
    ]
    # The whole blob is requested instead, without a range.
    assert fetch() == DATA
    assert [bool(request.headers["Range"]) for request in gets(registry)] == [False, True, False]


def test_a_refused_range(registry, fetch):
    """The whole blob is requested then. The body of a 416 is not awaited: docker-registry sends none."""
    registry.faults = [
        Fault("blob get", nth=1, response_bytes=MIB, drop=True),
        Fault("blob get", nth=2, status=416, headers={"Content-Length": "5000000"}),
    ]
    assert fetch() == DATA
    assert [request.headers["Range"] for request in gets(registry)] == [None, f"bytes={MIB}-", None]
    registry.faults = [
        Fault("blob get", nth=1, response_bytes=MIB, drop=True),
        Fault("blob get", nth=(2, 3, 4, 5), status=416),
    ]
    registry.reset_requests()
    with pytest.raises(ResponseError, match="416"):
        fetch()
    assert len(gets(registry)) == 5


def test_a_part_that_is_shorter_than_requested(registry, fetch, manual):
    """Each response has a limited number of bytes. The next part is requested without a pause."""
    part = 100_000
    starts = range(MIB, len(DATA), part)
    registry.faults = [Fault("blob get", nth=1, response_bytes=MIB, drop=True)] + [
        Fault(
            "blob get",
            nth=n,
            status=206,
            body=DATA[start : start + part],
            headers={"Content-Range": f"bytes {start}-{min(start + part, len(DATA)) - 1}/{len(DATA)}"},
        )
        for n, start in enumerate(starts, 2)
    ]
    assert fetch() == DATA
    assert len(gets(registry)) == 1 + len(starts) and len(manual.sleeps) == 1


@pytest.mark.parametrize("times", [1, 2])
def test_a_damaged_blob(times, registry, connect):
    """Reading to the end fails. A new attempt succeeds after the fault has ended."""
    registry.faults = [Fault("blob get", nth=tuple(range(1, times + 1)), corrupt=7)]
    content = RegistryBlobSource(connect(registry.host), "app")
    for attempt in range(times):
        with pytest.raises(ProtocolError, match=f"{DIGEST} .* is damaged: its digest is sha256:") as caught:
            content.open(BLOB).read()
        assert classify(caught.value).retryable == (attempt == 0)
    with content.open(BLOB) as file:
        assert file.read() == DATA


@pytest.mark.parametrize("size", [0, 1, len(DATA) - 1, len(DATA) + 1, 2**62])
def test_another_size_than_in_the_manifest(size, registry, fetch):
    """The error is raised before a byte is read."""
    with pytest.raises(ProtocolError, match=f"has the wrong size: {len(DATA)} bytes, not {size}"):
        fetch(BLOB._replace(size=size))


def test_without_content_length_the_size_of_the_manifest_applies(registry, fetch):
    """An endless response is read up to the known size. A short response is an error."""
    registry.faults = [Fault("blob get", status=200, body=DATA + b"x" * MIB, headers={"Content-Length": None})]
    assert fetch() == DATA
    registry.faults = [Fault("blob get", status=200, body=DATA[:-5], headers={"Content-Length": None})]
    with pytest.raises(RegistryError, match=f"truncated: {len(DATA) - 5} of {len(DATA)} bytes received"):
        fetch()


@pytest.mark.parametrize("encoding", ["gzip", "x-gzip", "deflate", "br", "aws-chunked", "gzip, gzip"])
@pytest.mark.parametrize("length", [{}, {"Content-Length": None}], ids=["length", "no length"])
@pytest.mark.parametrize("content", [DATA, gzip.compress(DATA)], ids=["tar", "gzip"])
def test_a_claimed_encoding(encoding, length, content, registry, fetch):
    """The digest of the bytes is right, so the header is wrong."""
    registry.put_blob("app", content)
    registry.faults = [Fault("blob get", headers={"Content-Encoding": encoding, **length})]
    kind = media_types.OCI_LAYER + ("" if content is DATA else "+gzip")
    assert fetch(Descriptor(kind, Digest.of(content), len(content))) == content
    assert all(request.headers["Accept-Encoding"] == "identity" for request in registry.requests)


@pytest.mark.parametrize(("encoding", "compress"), [("gzip", gzip.compress), ("deflate", zlib.compress)])
@pytest.mark.parametrize("length", [{}, {"Content-Length": None}], ids=["length", "no length"])
@pytest.mark.parametrize("content", [DATA, gzip.compress(DATA)], ids=["tar", "gzip"])
def test_a_real_encoding(encoding, compress, length, content, registry, fetch):
    """A proxy compressed the body, although the request does not permit that."""
    registry.put_blob("app", content)
    body = compress(content)
    registry.faults = [Fault("blob get", status=200, body=body, headers={"Content-Encoding": encoding, **length})]
    kind = media_types.OCI_LAYER + ("" if content is DATA else "+gzip")
    assert fetch(Descriptor(kind, Digest.of(content), len(content))) == content


def test_an_encoding_of_other_content(registry, fetch):
    registry.faults = [
        Fault("blob get", status=200, body=gzip.compress(DATA[:-1] + b"x"), headers={"Content-Encoding": "gzip"})
    ]
    with pytest.raises(ProtocolError, match="is damaged: its digest is sha256:"):
        fetch()


def test_an_encoding_that_is_cut(registry, fetch, manual):
    """The response cannot be resumed: its bytes are not those of the blob."""
    body = gzip.compress(DATA)
    cut = Fault(
        "blob get", nth=1, status=200, body=body, headers={"Content-Encoding": "gzip"}, response_bytes=5000, drop=True
    )
    registry.faults = [cut]
    assert fetch() == DATA
    assert len(gets(registry)) == 2


def test_a_decompression_bomb(registry, fetch):
    """No more is decompressed than the size of the blob."""
    bomb = gzip.compress(DATA + bytes(64 * MIB), 1)
    registry.faults = [Fault("blob get", status=200, body=bomb, headers={"Content-Encoding": "gzip"})]
    tracemalloc.start()
    try:
        assert fetch() == DATA
        assert tracemalloc.get_traced_memory()[1] < 20 * MIB
    finally:
        tracemalloc.stop()


def test_a_document_that_is_a_decompression_bomb(registry, connect):
    bomb = gzip.compress(bytes(16 * MIB), 1)
    registry.faults = [Fault("manifest get", status=200, body=bomb, headers={"Content-Encoding": "gzip"})]
    with pytest.raises(ProtocolError, match="is too large: more than 4194304 bytes"):
        connect(registry.host).get_manifest("app", "v1")


def test_memory_does_not_grow_with_the_blob(registry, connect):
    big = DATA * 10
    registry.put_blob("app", big)
    content = RegistryBlobSource(connect(registry.host), "app")
    descriptor = Descriptor(media_types.OCI_LAYER, Digest.of(big), len(big))
    tracemalloc.start()
    try:
        with content.open(descriptor) as file:
            while file.read(65536):
                pass
        assert tracemalloc.get_traced_memory()[1] < 8 * MIB
    finally:
        tracemalloc.stop()


def test_a_missing_blob_is_an_error_of_open(registry, connect):
    other = Descriptor(media_types.OCI_LAYER, Digest.of(b"x"), 1)
    with pytest.raises(ResponseError, match=f"GET .*/v2/app/blobs/{other.digest}: 404: BLOB_UNKNOWN"):
        RegistryBlobSource(connect(registry.host), "app").open(other)


def test_failures_with_progress_are_not_limited(registry, fetch):
    """More failures than attempts are allowed if each attempt makes progress."""
    big = DATA * 6
    registry.put_blob("app", big)
    registry.faults = [Fault("blob get", nth=tuple(range(1, 13)), response_bytes=MIB + 100_000, drop=True)]
    assert fetch(Descriptor(media_types.OCI_LAYER, Digest.of(big), len(big))) == big


def test_failures_without_progress_are_limited(registry, fetch, manual):
    registry.faults = [Fault("blob get", response_bytes=0, drop=True)]
    with pytest.raises(DocklessError):
        fetch()
    assert len(gets(registry)) < 10 and sum(manual.sleeps) < 300


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ("sha256:" + "0" * 64, "does not have the digest that the registry names"),
        ("sha512:x", None),
        ("nonsense", None),
    ],
)
def test_the_digest_header_of_a_manifest_is_verified(header, message, connect, image, keep):
    with Registry() as registry:
        keep(registry, "app", image, "v1")
        registry.faults = [Fault("manifest get", headers={"Docker-Content-Digest": header})]
        client = connect(registry.host)
        if message is None:
            assert client.get_manifest("app", "v1").digest == image.digest
            return
        with pytest.raises(ProtocolError, match=message):
            client.get_manifest("app", "v1")
        assert len([r for r in registry.requests if r.operation == "manifest get"]) == 2


def test_a_pinned_manifest_with_another_digest(connect, image, make, keep):
    """Also if the header is forged to match (GHSA-qv35-3gw6-8q4j)."""
    other = make(77, 5)
    with Registry() as registry:
        keep(registry, "app", image, "v1")
        registry.faults = [
            Fault(
                "manifest get",
                status=200,
                body=other.root.raw,
                headers={"Docker-Content-Digest": str(image.digest), "Content-Type": media_types.OCI_MANIFEST},
            )
        ]
        with pytest.raises(ProtocolError, match=f"requested the digest {image.digest}, received {other.digest}"):
            connect(registry.host).get_manifest("app", image.digest)


@pytest.mark.parametrize("has_length", [True, False])
def test_an_endless_manifest(has_length, connect):
    with Registry() as registry:
        length = {} if has_length else {"Content-Length": None}
        registry.faults = [Fault("manifest get", status=200, body=b" " * (5 * MIB), headers=length)]
        with pytest.raises(ProtocolError, match="the manifest v1 at .* is too large: .*more than 4194304"):
            connect(registry.host).get_manifest("app", "v1")
