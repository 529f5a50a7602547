"""Timeouts, the minimum rate, pauses, and the number of concurrent requests."""

import threading
import time

import pytest
from raw_server import raw_server
from requests import ReadTimeout

from dockless._concurrency import CancelledError
from dockless.errors import RegistryError
from dockless.registry import Clock, RegistryBlobSource, RetryPolicy, push
from dockless.registry.errors import ProtocolError, RegistryConnectionError
from dockless.registry.http.minimum_rate import MinimumRate, TransferTooSlowError
from dockless.registry.http.response import parse_retry_after
from dockless.registry.registry_session import RegistrySession
from dockless.registry.retry import Attempts, Retrier
from dockless.testing import Fault, Registry


def test_a_silent_server(connect, monkeypatch):
    """Every wait has a timeout. The manual clock makes the pauses between attempts."""
    monkeypatch.setattr("dockless.registry.http.session.READ_TIMEOUT", 0.2)
    with Registry() as registry:
        registry.faults = [Fault("manifest", delay=1.0)]
        with pytest.raises(RegistryError, match="the response timed out"):
            connect(registry.host, retry=RetryPolicy(attempts=2)).head_manifest("app", "v1")


def test_minimum_rate():
    """The minimum is 1 KiB per second over a minute of waiting."""
    rate = MinimumRate()
    for _ in range(300):
        rate.check(1024, 1.0, "x")
    rate = MinimumRate()
    for _ in range(59):
        rate.check(1000, 1.0, "x")
    with pytest.raises(TransferTooSlowError, match="x was transferred at less than 1 KiB per second for a minute"):
        rate.check(1000, 1.0, "x")
    # Pauses on the side of the client do not count.
    rate = MinimumRate()
    for _ in range(10_000):
        rate.check(10, 0.001, "x")


def test_a_trickling_response_is_aborted(connect):
    """One byte at a time, each before the timeout of a read."""

    class Time:
        value = 0.0

    def answer(connection):
        while b"\r\n\r\n" not in connection.recv(65536):
            pass
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 100000\r\n\r\n")
        for _ in range(200):
            Time.value += 5.0
            connection.sendall(b" ")
            time.sleep(0.002)

    clock = Clock(lambda: Time.value, lambda: Time.value, lambda seconds: None, lambda: 0.5)
    with raw_server(answer) as host:
        client = connect(host, clock=clock, retry=RetryPolicy(attempts=1))
        with pytest.raises(RegistryError, match="less than 1 KiB per second"):
            client._session.request("GET", "/v2/", (), expect=(200,)).read(1 << 20, "it")


@pytest.mark.parametrize("jobs", [1, 3])
def test_no_more_requests_in_flight_than_jobs(jobs, connect, make):
    """Counted by the registry during a push of many blobs."""
    image = make(21, *range(1000, 1030))
    most, now, lock = [0], [0], threading.Lock()
    with Registry() as registry:
        client = connect(registry.host, jobs=jobs)
        send = client._session._http._session.send

        def counted(*args, **kwargs):
            with lock:
                now[0] += 1
                most[0] = max(most[0], now[0])
            try:
                return send(*args, **kwargs)
            finally:
                with lock:
                    now[0] -= 1

        client._session._http._session.send = counted
        push(image.root, image.source, client, "app", ["v1"])
    assert most[0] == jobs


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("7", 7.0),
        (" 7 ", 7.0),
        ("0", 0.0),
        ("Thu, 01 Jan 1970 00:17:00 GMT", 20.0),
        ("Thu, 01 Jan 1970 00:00:00 GMT", None),
        ("-5", None),
        ("1.5", None),
        ("soon", None),
        ("", None),
        ("9" * 30, 999999999.0),
        ("Thu, 99 Foo 1970", None),
    ],
)
def test_retry_after_is_parsed(text, seconds, manual):
    assert parse_retry_after(text, manual.clock()) == seconds


@pytest.mark.parametrize(("seconds", "waits"), [("20", True), ("60", True), ("61", False), ("86400", False)])
def test_retry_after_is_obeyed_up_to_a_minute(seconds, waits, connect, image, keep, manual):
    with Registry() as registry:
        keep(registry, "app", image, "v1")
        registry.faults = [Fault("manifest", nth=1, status=429, headers={"Retry-After": seconds})]
        client = connect(registry.host)
        if waits:
            client.get_manifest("app", "v1")
            assert manual.sleeps == [float(seconds)]
        else:
            with pytest.raises(RegistryError, match=f"asks to wait {seconds} s; try again after that"):
                client.get_manifest("app", "v1")
            assert manual.sleeps == []


def test_pauses_grow_with_jitter_and_end(manual):
    policy = RetryPolicy(attempts=8)
    retries = Attempts(policy, manual.clock())
    error = ProtocolError("x", reason="truncated blob")
    with pytest.raises(ProtocolError):
        while True:
            retries.wait(error)
    # With a random number that is always one half, each pause is three quarters of the maximum.
    assert manual.sleeps == [0.375, 0.75, 1.5, 3.0, 6.0, 12.0, 22.5]


def test_the_budget_ends_the_retries(manual):
    retries = Attempts(RetryPolicy(attempts=1000), manual.clock())
    error = ProtocolError("x", reason="truncated blob")
    with pytest.raises(ProtocolError):
        while True:
            retries.wait(error)
    assert sum(manual.sleeps) <= 300.0


def test_pauses_with_many_attempts(manual):
    retries = Attempts(RetryPolicy(attempts=1_000_000, budget=1e6), manual.clock())
    with pytest.raises(ProtocolError):
        while True:
            retries.wait(ProtocolError("x", reason="truncated blob"))
    assert len(manual.sleeps) > 30_000 and max(manual.sleeps) == 22.5


class Silence:
    """Replaces the sending of requests whose paths contain `path`: no response arrives within the timeouts."""

    def __init__(self, client, manual, path):
        self.timeouts = []
        self._session, self._manual, self._path = client._session._http._session, manual, path
        self._send, self._session.send = self._session.send, self.send

    def send(self, request, *, timeout, **options):
        if self._path not in request.url:
            return self._send(request, timeout=timeout, **options)
        _, read = timeout if isinstance(timeout, tuple) else (0, timeout.read_timeout)
        if callable(getattr(request.body, "read", None)):
            while request.body.read(1 << 20):
                pass
        self.timeouts.append(read)
        self._manual.time += read
        raise ReadTimeout(request=request) from TimeoutError("timed out")


@pytest.mark.parametrize("budget", [300.0, 150.0, 20.0, 1.0])
def test_a_manifest_without_a_response_is_given_up_in_time(budget, connect, image, manual):
    """All attempts, their pauses, and the question whether the tag was moved anyway."""
    with Registry() as registry:
        client = connect(registry.host, retry=RetryPolicy(budget=budget))
        for digest, data in image.source.blobs.items():
            if digest != image.digest:
                registry.put_blob("app", data)
        silence, begin = Silence(client, manual, "/manifests/"), manual.time
        with pytest.raises(RegistryError, match="PUT .*: the response timed out"):
            push(image.root, image.source, client, "app", ["v1"], known=dict.fromkeys(image.source.blobs, True))
    assert 0.9 * budget <= manual.time - begin <= budget + 1
    # No attempt is shorter than necessary.
    assert silence.timeouts[0] == min(60.0, 0.95 * budget)


def test_a_retry_time_is_used_to_its_end(connect, manual):
    """The last pause is shortened, so that there is an attempt at the end."""
    retries = Attempts(RetryPolicy(attempts=1000, budget=100.0), manual.clock())
    begin = manual.time
    with pytest.raises(ProtocolError):
        while True:
            retries.wait(ProtocolError("x", reason="truncated blob"))
    assert 90.0 <= manual.time - begin <= 100.0


def test_a_retry_time_of_0_is_one_attempt_with_all_its_time(connect, manual):
    client = connect("127.0.0.1:1", retry=RetryPolicy(attempts=1000, budget=0.0))
    client._session._scheme = "http"
    silence = Silence(client, manual, "/manifests/")
    with pytest.raises(RegistryError, match="the response timed out"):
        client.get_manifest("app", "v1")
    assert silence.timeouts == [60.0]


def test_hosts_that_cannot_be_reached_are_retried_for_the_retry_time(manual):
    policy = RetryPolicy(attempts=1000, attempts_to_connect=1000, budget=100.0)
    for retries in (Attempts(policy, manual.clock()), Attempts(RetryPolicy(), manual.clock())):
        with pytest.raises(RegistryConnectionError):
            while True:
                retries.wait(RegistryConnectionError("x", reason="refused"))
    assert 90.0 <= sum(manual.sleeps[:-3]) <= 100.0 and manual.sleeps[-3:] == [0.375, 0.75, 1.5]


def test_sending_a_body_is_no_time_without_progress(connect, manual, make):
    """A body that moves is not interrupted: the wait for the response is as long as without a body."""
    image = make(5, 3 << 20)
    (blob,) = image.root.layers
    with Registry(repositories=["app"]) as registry:
        client = connect(registry.host, retry=RetryPolicy(budget=30.0))
        silence = Silence(client, manual, "digest=")
        with pytest.raises(RegistryError, match="the response timed out"):
            client.ensure_blob("app", blob, image.source, on_bytes=lambda n: setattr(manual, "time", manual.time + 100))
    assert 30.0 <= silence.timeouts[0] <= 31.0


def test_time_between_reads_does_not_count(connect, manual, image, keep):
    """A reader of a blob that is used slowly has the same time for its attempts."""
    with Registry() as registry:
        keep(registry, "app", image, "v1")
        registry.faults = [Fault("blob get", nth=1, response_bytes=100_000, drop=True)]
        buffered = RegistryBlobSource(connect(registry.host), "app").open(image.root.layers[0])
        reader = buffered.raw
        assert len(reader.read(10)) == 10
        manual.time += 1000
        assert len(reader.read(300_000)) + 10 < 200_000
        while reader.read(300_000):
            pass
    assert manual.sleeps


def test_interruptions_while_others_succeed_are_not_counted(manual):
    """But not without a limit, and other errors are counted as usual."""
    retrier = Retrier(RetryPolicy(), manual.clock())
    retries, other = retrier.attempts(), retrier.attempts()
    with pytest.raises(RegistryConnectionError):
        while True:
            other.progressed()
            retries.wait(RegistryConnectionError("x"))
    assert len(manual.sleeps) == 23 and max(manual.sleeps) == 0.375
    manual.sleeps.clear()
    retries = retrier.attempts()
    with pytest.raises(ProtocolError):
        while True:
            other.progressed()
            retries.wait(ProtocolError("x", reason="truncated blob"))
    assert len(manual.sleeps) == 5


def test_a_stale_connection_is_no_attempt(manual):
    """One after the other is: a server that closes all connections must not be asked forever."""
    retries = Attempts(RetryPolicy(), manual.clock())
    with pytest.raises(RegistryConnectionError):
        while True:
            retries.wait(RegistryConnectionError("x", is_stale=True))
    assert len(manual.sleeps) == 5
    retries.progressed()
    retries.wait(RegistryConnectionError("x", is_stale=True))
    assert len(manual.sleeps) == 5


def test_permanent_errors_are_not_retried(manual):
    with pytest.raises(ProtocolError):
        Attempts(RetryPolicy(), manual.clock()).wait(ProtocolError("x"))
    assert manual.sleeps == []


def test_a_pause_ends_when_the_work_is_stopped():
    stop = threading.Event()
    threading.Timer(0.05, stop.set).start()
    began = time.monotonic()
    with pytest.raises(CancelledError):
        Attempts(RetryPolicy(base=60.0, cap=60.0), Clock(), stop=stop).wait(ProtocolError("x", reason="truncated blob"))
    assert time.monotonic() - began < 20


def test_concurrent_pings_share_one_failure(connect, monkeypatch):
    """Otherwise, each of four threads would wait for a host that does not respond."""
    schemes, pinging = [], threading.Event()

    def greeted(self, scheme):
        schemes.append(scheme)
        pinging.set()
        time.sleep(0.3)
        raise RegistryConnectionError("no", reason="certificate")

    monkeypatch.setattr(RegistrySession, "_ping_scheme", greeted)
    client, failures = connect("reg.example", clock=Clock()), []

    def greet():
        try:
            client._session.ping()
        except RegistryError as error:
            failures.append(error)

    threads = [threading.Thread(target=greet) for _ in range(4)]
    threads[0].start()
    pinging.wait(10)
    for thread in threads[1:]:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(failures) == 4 and schemes == ["https"]


def test_a_stopped_transfer_is_cancelled(manual):
    stop = threading.Event()
    retries = Attempts(RetryPolicy(), manual.clock(), stop=stop)
    stop.set()
    with pytest.raises(CancelledError):
        retries.wait(ProtocolError("x", reason="truncated blob"))
    with pytest.raises(CancelledError):
        retries.check()
