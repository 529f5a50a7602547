"""A remote cache that fails (real Pants, BuildGrid, a proxy with faults): the image is built, with the same digest."""

import random
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import NamedTuple

import pytest
from pants_command import is_another_pants
from pants_output import ONLY_DOCKLESS, started_processes
from real_tools import Checkout
from remote_services import BuildGrid, FaultyCache

# Larger than the messages of gRPC, so that the layer is a stream of several messages.
SIZE = 5_000_000
BUILD = """
file(name="data", source="data.bin")
container_image(name="image", dependencies=[":data"])
"""


class Machine(NamedTuple):
    """A machine whose daemon of Pants keeps running, because each test has other content."""

    checkout: Checkout
    options: tuple[str, ...]

    def package(self, seed, *options):
        """Packages the image with the content of `seed`. Returns the result and the image's digest."""
        root = self.checkout.root
        directory = root / "rows"
        directory.mkdir(exist_ok=True)
        (directory / "BUILD").write_text(BUILD)
        (directory / "data.bin").write_bytes(random.Random(seed).randbytes(SIZE))
        (root / "dist/rows/image.json").unlink(missing_ok=True)
        done = self.checkout.pants(*self.options, *options, "package", "rows:image", **ONLY_DOCKLESS)
        return done, self.checkout.description("rows/image.json")["digest"]


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    service = BuildGrid(tmp_path_factory.mktemp("buildgrid"))
    yield service
    service.stop()


@pytest.fixture(scope="module")
def faulty(tmp_path_factory, cache):
    service = FaultyCache(tmp_path_factory.mktemp("faulty"), cache)
    yield service
    service.stop()


@pytest.fixture(scope="module")
def first(tmp_path_factory, checkout, cache):
    options = (*cache.options, "--session-end-tasks-timeout=60")
    return Machine(checkout.with_caches(tmp_path_factory.mktemp("caches-of-first")), options)


@pytest.fixture(scope="module")
def second(tmp_path_factory, faulty):
    checkout = Checkout(tmp_path_factory.mktemp("second"), tmp_path_factory.mktemp("caches-of-second"))
    yield Machine(checkout, faulty.options)
    checkout.close()


def test_no_fault(first, second, faulty):
    _, expected = first.package(0)
    faulty.set_fault("")
    done, digest = second.package(0)
    assert digest == expected
    assert started_processes(done) == []


@pytest.mark.parametrize(
    ("fault", "warning"),
    [
        ("unavailable", "the cache is in maintenance"),
        ("garbage", "failed to decode Protobuf message"),
        ("flipped", "Remote CAS gave wrong digest"),
        ("missing", "was not in remote"),
        ("interrupted", "the cache was stopped"),
        ("missing layers", ""),
        ("silent", ""),
    ],
)
def test_a_failing_cache(fault, warning, first, second, faulty):
    _, expected = first.package(fault)
    faulty.set_fault(fault)
    done, digest = second.package(fault)
    assert digest == expected
    assert warning in done.err
    assert len(started_processes(done)) == 1


def test_no_cache_listens(first, second, faulty):
    _, expected = first.package("stopped")
    with faulty.stopped():
        done, digest = second.package("stopped")
    assert digest == expected
    # Later releases of Pants do not write the cause.
    assert ("client error (Connect)" if is_another_pants() else "Connection refused") in done.err
    assert len(started_processes(done)) == 1


def test_another_server_listens(first, second, faulty):
    _, expected = first.package("HTTP/1.1")
    with faulty.stopped(), ThreadingHTTPServer(("127.0.0.1", faulty.port), BaseHTTPRequestHandler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        try:
            done, digest = second.package("HTTP/1.1")
        finally:
            server.shutdown()
    assert digest == expected
    assert "Failed to read from remote cache" in done.err
    assert len(started_processes(done)) == 1


def test_layers_that_are_deleted_after_the_hit(first, second, faulty):
    """With `defer`, Pants reads a layer when the layout is written, and builds the layer again if it is missing."""
    _, expected = first.package("deleted")
    faulty.set_fault("missing layers")
    done, digest = second.package("deleted", "--cache-content-behavior=defer")
    assert digest == expected
    built_by_rule = "Starting: Build the layer of rows:image again" in done.err
    # Pants 2.27 to 2.31 do not build the layer again.
    assert "missing digest" in done.err or (is_another_pants() and built_by_rule)
    assert len(started_processes(done)) == 1
    layers = list((second.checkout.root / "dist/rows/image/blobs/sha256").iterdir())
    assert max(path.stat().st_size for path in layers) > SIZE


def test_an_upload_that_does_not_end_in_time(first, second, faulty):
    """Pants waits `session_end_tasks_timeout`, by default 3 seconds, and drops the upload without a message."""
    faulty.set_fault("slow uplink")
    done, digest = second.package("slow")
    assert "[WARN]" not in done.err
    built, expected = first.package("slow")
    assert digest == expected
    assert len(started_processes(built)) == 1
