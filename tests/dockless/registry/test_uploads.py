"""Uploads of blobs: check, mount, single request, chunks, resumption."""

import io
import os
import stat
import threading
import time

import pytest
from one_opener import Opens

from dockless.errors import DocklessError, LayoutError
from dockless.oci.descriptor import Descriptor
from dockless.oci.digest import Digest
from dockless.registry import push
from dockless.registry.errors import ProtocolError, ResponseError
from dockless.testing import PROFILES, Fault, Registry

MIB = 1 << 20


@pytest.fixture
def chunks(monkeypatch):
    """Sets the chunk size to 64 KiB."""
    monkeypatch.setattr("dockless.registry.uploader.CHUNK_SIZE", 64 * 1024)


@pytest.fixture
def blob(image):
    """The descriptor of the blob of 200,000 bytes in `image`."""
    return image.root.layers[0]


def operations(registry):
    return [request.operation for request in registry.requests if request.path != "/v2/"]


def received(registry, repository="app"):
    return sum(request.received for request in registry.requests if request.repository == repository)


def test_checked_and_then_sent_in_one_request(connect, image, blob):
    with Registry() as registry:
        assert connect(registry.host).ensure_blob("app", blob, image.source) == ("sent", blob.size)
        assert operations(registry) == ["blob head", "upload post", "upload put"]
        registry.reset_requests()
        assert connect(registry.host).ensure_blob("app", blob, image.source) == ("present", 0)
        assert operations(registry) == ["blob head"]


def test_one_client_sends_a_blob_once(connect, image, blob):
    with Registry() as registry:
        client = connect(registry.host, jobs=8)
        results = []
        threads = [
            threading.Thread(target=lambda: results.append(client.ensure_blob("app", blob, image.source)))
            for _ in range(8)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(results) == [("present", 0)] * 7 + [("sent", blob.size)]
        assert received(registry) == blob.size


def test_a_sent_blob_is_mounted_in_other_repositories(connect, image, blob):
    with Registry() as registry:
        client = connect(registry.host)
        client.ensure_blob("app", blob, image.source)
        assert client.ensure_blob("app2", blob, image.source) == ("mounted", 0)


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("known", [[], ["base"], ["nowhere", "base"], ["app", "nowhere"]])
def test_mounted_if_possible(profile, known, connect, image, blob):
    with Registry(profile=profile, repositories=["app", "base"]) as registry:
        registry.put_blob("base", image.source.blobs[blob.digest])
        result = connect(registry.host).ensure_blob("app", blob, image.source, mount_from=known)
        mounted = "base" in known and PROFILES[profile].mount
        assert result.how == ("mounted" if mounted else "sent")
        assert registry.blob("app", blob.digest) == image.source.blobs[blob.digest]


def test_few_mounts_are_tried(connect, image, blob):
    with Registry() as registry:
        mount_from = [f"nowhere{n}" for n in range(20)]
        assert connect(registry.host).ensure_blob("app", blob, image.source, mount_from=mount_from).how == "sent"
        assert len([request for request in registry.requests if request.operation == "upload post"]) == 4


@pytest.mark.parametrize("fault", [{"status": 403}, {"status": 405}, {"status": 500}, {"reset": True}])
def test_a_refused_mount_is_not_an_error(fault, connect, image, blob):
    with Registry() as registry:
        registry.put_blob("base", image.source.blobs[blob.digest])
        registry.faults = [Fault(on="upload post", nth=1 if fault.get("status", 500) < 500 else (1, 2, 3, 4), **fault)]
        result = connect(registry.host).ensure_blob("app", blob, image.source, mount_from=["base"])
        assert result.how == "sent"


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("cut", [1, 70_000, 199_999])
def test_interrupted_uploads_are_completed(profile, cut, connect, image, blob, chunks):
    """Three interruptions, at different bytes, with every profile."""
    with Registry(profile=profile, repositories=["app"]) as registry:
        registry.faults = [Fault(on="upload p[ua]*", nth=(1, 3, 4), request_bytes=cut, reset=True)]
        result = connect(registry.host).ensure_blob("app", blob, image.source)
        assert result.how == "sent"
        assert registry.blob("app", blob.digest) == image.source.blobs[blob.digest]


def test_a_resumed_upload_sends_only_the_rest(connect, image, blob, chunks):
    with Registry() as registry:
        registry.faults = [Fault(on="upload put", nth=1, request_bytes=150_000, reset=True)]
        connect(registry.host).ensure_blob("app", blob, image.source)
        assert received(registry) == blob.size
        assert "upload get" in operations(registry) and operations(registry).count("upload post") == 1


def test_failures_with_progress_are_not_limited(connect, make, chunks, manual):
    """More failures than attempts are allowed if each attempt makes progress."""
    image = make(3, 2 * MIB)
    blob = image.root.layers[0]
    with Registry() as registry:
        registry.faults = [Fault(on="upload p[ua]*", nth=tuple(range(1, 60, 2)), request_bytes=40_000, drop=True)]
        assert connect(registry.host).ensure_blob("app", blob, image.source).how == "sent"
        assert received(registry) < 1.1 * blob.size


def test_chunks_have_the_minimum_length_of_the_registry(connect, make, chunks):
    image = make(4, 400_000)
    profile = PROFILES["strict"]._replace(chunk_minimum=100_000, chunk_minimum_told=True)
    with Registry(profile=profile) as r:
        r.faults = [Fault(on="upload put", nth=1, lose_sessions=True, reset=True)]
        connect(r.host).ensure_blob("app", image.root.layers[0], image.source)
        patched = [request.received for request in r.requests if request.operation == "upload patch"]
        assert patched and min(patched) >= 100_000


def test_no_progress_is_bounded(connect, image, blob, chunks, manual):
    """A registry that always reports fewer bytes than were sent."""
    with Registry() as registry:
        registry.faults = [
            Fault(on="upload put", nth=1, request_bytes=70_000, drop=True),
            Fault(on="upload patch", headers={"Range": "0-1"}),
        ]
        connect(registry.host).ensure_blob("app", blob, image.source)
        assert len(registry.requests) < 40


@pytest.mark.parametrize("empty", ["strict", "docker-registry"])
def test_empty_blob(empty, connect):
    nothing = Descriptor("application/x", Digest.of(b""), 0)
    with Registry(profile=empty) as registry:
        assert connect(registry.host).ensure_blob("app", nothing, Opens(io.BytesIO)) == ("sent", 0)
        assert registry.blob("app", nothing.digest) == b""
        assert not [request for request in registry.requests if "Transfer-Encoding" in request.headers]


@pytest.mark.parametrize("content", [b"short", b"x" * 200_000, b"x" * 300_000])
def test_a_damaged_source(content, connect, image, blob):
    """The error names the source, the upload is not repeated, and nothing is stored."""
    with Registry() as registry:
        with pytest.raises(LayoutError, match=f"{blob.digest} to be pushed (is damaged|ends)"):
            connect(registry.host).ensure_blob("app", blob, Opens(lambda: io.BytesIO(content)))
        assert registry.blobs("app") == {}
        assert operations(registry).count("upload put") <= 1


def test_a_blob_that_was_corrupted_in_transit(connect, image, blob, make):
    """The registry reports a wrong digest, but the source is intact: the blob is sent again from its start."""
    with Registry() as registry:
        body = '{"errors":[{"code":"DIGEST_INVALID","message":"no"}]}'
        registry.faults = [Fault(on="upload put", nth=1, status=400, body=body)]
        assert connect(registry.host).ensure_blob("app", blob, image.source).how == "sent"
        registry.faults = [Fault(on="upload put", status=400, body=body)]
        other = make(8, 1000)
        with pytest.raises(ResponseError, match="DIGEST_INVALID"):
            connect(registry.host).ensure_blob("app", other.root.layers[0], other.source)


def test_an_early_refusal_is_reported(connect, make):
    """An early response is read although the body is not sent completely."""
    image = make(5, 20 * MIB)
    with Registry() as registry:
        registry.faults = [Fault(on="upload put", status=413, request_bytes=10)]
        with pytest.raises(ResponseError, match="413.*refuses uploads of this size"):
            connect(registry.host).ensure_blob("app", image.root.layers[0], image.source)


@pytest.mark.parametrize(
    "odd", [{"headers": {"Docker-Content-Digest": "sha256:" + "0" * 64}}, {"status": 200, "after": True}]
)
def test_an_unexpected_response_is_checked(odd, connect, image, blob, make):
    """The status is not 201, or the digest differs: the blob is checked, and not sent again if it exists."""
    with Registry() as registry:
        registry.faults = [Fault(on="upload put", **odd)]
        assert connect(registry.host).ensure_blob("app", blob, image.source) == ("sent", blob.size)
        registry.faults = [Fault(on="upload put", status=200)]
        other = make(8, 1000)
        with pytest.raises(ProtocolError, match="did not store the blob that was sent"):
            connect(registry.host).ensure_blob("app", other.root.layers[0], other.source)


def test_an_upload_is_resumed_after_the_process_was_killed(connect, make, environ):
    """The next process does not send bytes that the session has. The file with the Location is private to the user."""
    image = make(6, 9 * MIB)
    blob = image.root.layers[0]
    kept = os.path.join(environ["HOME"], ".cache/dockless/uploads")
    with Registry() as registry:
        registry.faults = [
            Fault(on="upload put", request_bytes=8 * MIB, drop=True),
            Fault(on="upload get", status=500),
        ]
        with pytest.raises(DocklessError):
            connect(registry.host).ensure_blob("app", blob, image.source)
        assert stat.S_IMODE(os.stat(kept).st_mode) == 0o700
        assert [stat.S_IMODE(entry.stat().st_mode) for entry in os.scandir(kept)] == [0o600]
        registry.faults = []
        registry.reset_requests()
        assert connect(registry.host).ensure_blob("app", blob, image.source) == ("sent", MIB)
        assert operations(registry) == ["blob head", "upload get", "upload put"]
        assert registry.blob("app", blob.digest) == image.source.blobs[blob.digest]
        assert os.listdir(kept) == []


@pytest.mark.parametrize("defect", ["no json", "old", "elsewhere", "lost"])
def test_a_kept_session_that_is_unusable(defect, connect, make, environ):
    image = make(7, 2 * MIB)
    blob = image.root.layers[0]
    with Registry() as registry:
        registry.faults = [Fault(on="upload p[ua]*", drop=True), Fault(on="upload get", status=500)]
        with pytest.raises(DocklessError):
            connect(registry.host).ensure_blob("app", blob, image.source)
        [entry] = os.scandir(os.path.join(environ["HOME"], ".cache/dockless/uploads"))
        if defect == "no json":
            open(entry.path, "w").close()
        if defect == "old":
            os.utime(entry.path, (time.time() - 90_000, time.time() - 90_000))
        if defect == "elsewhere":
            with open(entry.path, "w") as file:
                file.write('{"location": "http://169.254.169.254/x"}')
        registry.faults = []
        if defect == "lost":
            registry.lose_sessions()
        assert connect(registry.host).ensure_blob("app", blob, image.source) == ("sent", blob.size)


def test_no_directory_for_upload_sessions(connect, make):
    image = make(8, 2 * MIB)
    with Registry() as registry:
        for n, environ in enumerate(({}, {"HOME": "/proc/nothing"}, {"XDG_CACHE_HOME": "relative"})):
            client = connect(registry.host, environ=environ)
            assert client.ensure_blob(f"app{n}", image.root.layers[0], image.source) == ("sent", 2 * MIB)


def test_progress_adds_up(connect, image, blob, chunks):
    """Bytes that must be sent again are subtracted. The sum is the size of the blob."""
    moved, retried = [], []
    with Registry(profile="docker-registry") as registry:
        registry.faults = [Fault(on="upload p[ua]*", nth=(1, 3), request_bytes=90_000, reset=True)]
        connect(registry.host).ensure_blob(
            "app",
            blob,
            image.source,
            on_bytes=moved.append,
            on_retry=lambda error, pause: retried.append((error, pause)),
        )
    assert sum(moved) == blob.size and min(moved) < 0
    assert [pause > 0 for _, pause in retried] == [False, True]


def test_progress_events(connect, image):
    events = []
    with Registry() as registry:
        registry.faults = [Fault(on="upload post", nth=1, status=503)]
        push(image.root, image.source, connect(registry.host), "app", ["v1"], progress=events.append)
    kinds = [event.kind for event in events]
    assert kinds.count("began") == kinds.count("sent") == 4 and kinds.count("retry") == 1 and kinds[-1] == "tagged"
    assert events[-1].reference == f"{registry.host}/app:v1"
    [retry] = [event for event in events if event.kind == "retry"]
    assert "503" in retry.error and retry.pause > 0


@pytest.mark.parametrize("status, code", [(400, "BLOB_UPLOAD_INVALID"), (416, "RANGE_INVALID")])
@pytest.mark.parametrize("nth", [1, 2, (1, 3)])
def test_a_session_lost_between_chunks_does_not_disable_chunks(status, code, nth, chunks, connect, blob, image):
    """A proxy refuses larger requests."""
    with Registry() as registry:
        body = f'{{"errors":[{{"code":"{code}","message":"no"}}]}}'
        registry.faults = [
            Fault("upload put", nth=1, status=413, request_bytes=10),
            Fault("upload patch", nth=nth, status=status, body=body, lose_sessions=True),
        ]
        assert connect(registry.host).ensure_blob("app", blob, image.source).how == "sent"
        assert registry.blob("app", blob.digest) == image.source.blobs[blob.digest]
        assert max(r.received for r in registry.requests if r.operation != "upload put") <= 64 * 1024


@pytest.mark.parametrize("limit", [20, 5, 2, 1])
def test_chunks_are_reduced_if_a_proxy_refuses_them(limit, connect, make, manual):
    """The limits are 1 MiB for nginx by default, 32 for Cloud Run and 100 for Cloudflare."""
    image = make(40, 21 * MIB)
    [layer] = image.root.layers
    with Registry() as registry:
        registry.faults = [Fault("upload *", over=limit * MIB, status=413, request_bytes=10)]
        assert connect(registry.host).ensure_blob("app", layer, image.source).how == "sent"
        assert registry.blob("app", layer.digest) == image.source.blobs[layer.digest]


@pytest.mark.parametrize("size", [0, 10])
def test_a_blob_is_checked_if_every_commit_response_is_lost(size, connect, make):
    """An empty blob may exist although no byte was sent."""
    image = make(41, size)
    [layer] = image.root.layers
    with Registry() as registry:
        registry.faults = [Fault("upload put", after=True, reset=True)]
        assert connect(registry.host).ensure_blob("app", layer, image.source).how == "sent"
        assert operations(registry).count("upload put") == 1


def test_a_blob_is_checked_if_the_commit_of_a_resumed_upload_is_lost(connect, make, chunks):
    image = make(42, 3 * MIB)
    [layer] = image.root.layers
    with Registry() as registry:
        registry.faults = [
            Fault("upload put", nth=1, request_bytes=2 * MIB, reset=True),
            Fault("upload put", nth=2, after=True, reset=True),
        ]
        assert connect(registry.host).ensure_blob("app", layer, image.source).how == "sent"
        assert received(registry) < 3 * MIB + 128 * 1024


def test_a_blob_is_checked_if_the_mount_response_is_lost(connect, image, blob):
    with Registry() as registry:
        registry.put_blob("base", image.source.blobs[blob.digest])
        registry.faults = [Fault("upload post", after=True, reset=True)]
        result = connect(registry.host).ensure_blob("app", blob, image.source, mount_from=["base"])
        assert result == ("mounted", 0) and received(registry) == 0


@pytest.mark.parametrize("name", ["Location", "Docker-Content-Digest", "Range", "Docker-Upload-UUID"])
def test_duplicated_headers(name, connect, image, blob):
    with Registry() as registry:
        client = connect(registry.host)
        true = {"Location": "{path}", "Docker-Content-Digest": str(blob.digest)}.get(name, "0-0")
        registry.faults = [Fault("upload *", headers={name: [true, true]})]
        assert client.ensure_blob("app", blob, image.source) == ("sent", blob.size)
