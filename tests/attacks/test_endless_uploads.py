"""A registry that takes a few bytes of each chunk is not sent chunks forever."""

import io

import pytest

from dockless.oci.descriptor import Descriptor
from dockless.oci.digest import Digest
from dockless.registry import RetryPolicy
from dockless.registry.blob_locations import BlobLocations
from dockless.registry.clock import Clock
from dockless.registry.errors import ProtocolError, ResponseError
from dockless.registry.mount_sources import MountSources
from dockless.registry.retry import Retrier
from dockless.registry.upload_state import UploadState
from dockless.registry.uploader import BlobUploader

DATA = bytes(3_000_000)


class Session:
    """An upload session that takes `step` bytes of each chunk, and refuses requests with the whole blob."""

    location = ""
    chunk_minimum = 0

    def __init__(self, step):
        self.step = step
        self.sent = 0
        self.taken = 0

    def open(self, **_):
        self.location = "https://registry.example/session"
        return False

    def uploaded_bytes(self):
        return self.taken

    def send(self, body, start, length, **_):
        with body() as part:
            while data := part.read(1 << 16):
                self.sent += len(data)
        self.taken = start + min(self.step, length)
        return self.taken

    def commit(self, *_):
        raise ResponseError("PUT", "https://registry.example/session", 413)

    def cancel(self):
        self.location = ""


class Api:
    registry = "registry.example"
    base_url = "https://registry.example"
    put_refuses_content = False

    def __init__(self, session):
        self.session = session

    def upload_session(self, _):
        return self.session

    def head_blob(self, *_, **__):
        return None


class Source:
    def open(self, _):
        return io.BytesIO(DATA)


@pytest.mark.parametrize("step", [1, 2, 1000, 20_000])
def test_a_registry_that_takes_a_few_bytes_of_each_chunk(step):
    session = Session(step)
    api = Api(session)
    blob = Descriptor("application/octet-stream", Digest.of(DATA), len(DATA))
    uploader = BlobUploader(
        api,
        Retrier(RetryPolicy(), Clock(sleep=lambda _: None)),
        UploadState({}),
        "app",
        blob,
        Source(),
        mounts=MountSources(BlobLocations({}), lambda: api.base_url),
    )
    with pytest.raises((ProtocolError, ResponseError)):
        uploader.run(check_first=True, resume=True)
    assert session.sent < 20 * len(DATA)
