"""Every nth request loses its connection: no loop of attempts falls into step with the fault."""

import io
import random
from concurrent.futures import ThreadPoolExecutor

import pytest
from fault_bench import CONFIG, NEW
from fault_proxy import FaultProxy, Trouble
from fault_run import Case
from manual_clock import ManualClock

from dockless.oci.descriptor import Descriptor
from dockless.oci.digest import Digest
from dockless.registry import RegistryBlobSource, RegistryClient

# More requests than any run sends.
MANY = 2000


def every(n, **more):
    return Trouble(nth=tuple(range(n, MANY, n)), **more)


# Each request has a connection of its own: none is repeated because a reused connection was closed.
CLOSED = Trouble(headers={"Connection": "close"})
LOST = every(4, drop=True, after=True)


CHUNKED = Trouble(on="upload put", over=200_000, status=413)


def sends_chunks(run, result):
    assert {request.operation for request in run.proxy.requests} >= {"upload patch"}


def pauses(most):
    def check(run, result):
        assert sum(run.sleeps) < most, run.sleeps

    return check


def periodic(n, *others, how="drop", most=0, **more):
    """A reused connection that dies is no failed attempt: there are few pauses."""
    most = most or (60 if n == 2 else 10)
    return Case((every(n, **{how: True}), *others), **{"auth": "plain", "most": 40, "check": pauses(most), **more})


CASES = {
    # With four threads and n = 2, the last blob may lose six requests in a row, in about one run of 20.
    **{f"push, every request number {n}": periodic(n) for n in range(3, 8)},
    **{f"push by one thread, every request number {n}": periodic(n, jobs=1) for n in range(2, 8)},
    **{
        f"push by one thread, no reuse, every request number {n}": periodic(n, CLOSED, jobs=1, most=30)
        for n in (3, 4, 5)
    },
    **{f"push, no reuse, every request number {n}": periodic(n, CLOSED, most=30) for n in (3, 4)},
    **{f"pull, every request number {n}": periodic(n, pull=True) for n in range(2, 6)},
    "mount, every request number 4": periodic(4, mount=True),
    "index, reset of every request number 4": periodic(4, how="reset", index=True),
    "mount by one thread, every request number 2": periodic(2, mount=True, jobs=1),
    "index by one thread, reset of every request number 2": periodic(2, how="reset", index=True, jobs=1),
    "push with tokens, every request number 4": periodic(4, auth="token"),
    "push by tls, every request number 4": periodic(4, https=True),
    **{
        f"push by {jobs}, status {status} of every request number {n}": Case(
            (every(n, status=status), CLOSED), auth="plain", jobs=jobs, most=60
        )
        for jobs, status, n in ((1, 503, 2), (1, 429, 2), (1, 500, 3), (4, 500, 3))
    },
    "mount by one thread, no reuse, every request number 2": periodic(2, CLOSED, mount=True, jobs=1, check=pauses(250)),
    **{
        f"chunks by one thread, no reuse, {what} of every request number {n}": Case(
            (every(n, **fault), CHUNKED, CLOSED), auth="plain", jobs=1, most=60, check=sends_chunks
        )
        for what, fault in (("loss", {"drop": True}), ("status 503", {"status": 503}))
        for n in (2, 3)
    },
    "push, every answer number 4 is lost": Case((LOST,), auth="plain", most=40, check=pauses(30)),
    "push by one thread, every answer number 4 is lost": Case((LOST,), auth="plain", most=40, jobs=1, check=pauses(30)),
}


@pytest.mark.parametrize("name", CASES)
def test_run(name, judged):
    judged(name, CASES[name])


@pytest.fixture
def connected(bench, monkeypatch, tmp_path):
    """`connected(n, repository)` returns a client of a docker-registry with the fault, which has NEW there as `v1`."""
    made = []

    def connect(n, repository):
        proxy = FaultProxy(bench.registries["plain"].host)
        proxy.faults = [every(n, drop=True)]
        made.append(proxy.__enter__())
        bench.store.put(repository, NEW, "v1")
        clock = ManualClock()
        client = RegistryClient(proxy.host, clock=clock.clock(), environ={"HOME": str(tmp_path)})
        made.append(client)
        return client, clock

    yield connect
    for one in reversed(made):
        one.__exit__(None, None, None)


@pytest.mark.parametrize("n", range(2, 8))
def test_listing_and_reading(n, connected):
    client, clock = connected(n, f"lists-{n}")
    for _ in range(n):
        assert list(client.tags(f"lists-{n}")) == ["v1"]
        assert client.get_manifest(f"lists-{n}", "v1").raw == NEW.manifest.raw
        assert client.referrers(f"lists-{n}", NEW.manifest.digest) == ()
        assert client.blob_exists(f"lists-{n}", CONFIG)
    assert clock.sleeps == []


# With n = 2, the last blob alone fails six times in a row once in 64 runs.
@pytest.mark.parametrize("n", [3, 4])
def test_many_threads(n, connected):
    """Each thread has its own attempts, and all share the fault."""
    client, _ = connected(n, f"threads-{n}")
    source = RegistryBlobSource(client, f"threads-{n}")
    blobs = [*NEW.manifest.layers, NEW.manifest.config]

    def work(seed):
        data = bytes([seed, n]) * 3000
        stored = Descriptor("application/octet-stream", Digest.of(data), len(data))
        for blob in blobs:
            assert source.open(blob).read() == NEW.blobs[blob.digest]
        client.ensure_blob(f"threads-{n}", stored, BytesSource(data))
        assert client.blob_exists(f"threads-{n}", stored.digest)

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(work, range(8)))


@pytest.mark.parametrize("n", [2, 3, 4, 5])
def test_large_blobs(n, connected, bench):
    """More than what the buffers of a connection hold."""
    client, _ = connected(n, f"large-{n}")
    data = random.Random(n).randbytes(9 << 20)
    blob = Descriptor("application/octet-stream", Digest.of(data), len(data))
    client.ensure_blob(f"large-{n}", blob, BytesSource(data))
    assert bench.store.blob(f"large-{n}", blob.digest) == data


class BytesSource:
    def __init__(self, data):
        self._data = data

    def open(self, descriptor):
        return io.BytesIO(self._data)
