"""Hosts with several addresses, some of which are silent or refuse connections."""

import contextlib
import os
import socket

import pytest

from dockless.registry.http.happy_eyeballs import connect


@contextlib.contextmanager
def silent(address):
    """A port of `address` that does not respond, because the backlog of the listening socket is full."""
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(socket.socket())
        server.bind((address, 0))
        server.listen(0)
        for _ in range(4):
            client = stack.enter_context(socket.socket())
            client.setblocking(False)
            client.connect_ex(server.getsockname())
        yield server.getsockname()[1]


@contextlib.contextmanager
def listening(address, port=0):
    with socket.create_server((address, port)) as server:
        yield server.getsockname()[1]


@pytest.fixture
def resolve(monkeypatch):
    """`resolve(*addresses)` resolves all host names to these addresses."""

    def set_addresses(*addresses):
        def look_up(name, port, **_):
            kinds = [socket.AF_INET6 if ":" in address else socket.AF_INET for address in addresses]
            return [(kind, socket.SOCK_STREAM, 6, "", (address, port)) for kind, address in zip(kinds, addresses)]

        monkeypatch.setattr("socket.getaddrinfo", look_up)

    return set_addresses


@pytest.fixture(autouse=True)
def nothing_left_open():
    before = os.listdir("/proc/self/fd")
    yield
    assert len(os.listdir("/proc/self/fd")) == len(before)


def reached(port, seconds=30.0):
    with contextlib.closing(connect("reg.example", port, seconds)) as sock:
        assert sock.gettimeout() == seconds
        return sock.getpeername()[0]


def test_a_silent_address_does_not_delay_the_next(resolve):
    with silent("127.0.0.1") as port, listening("127.0.0.2", port):
        resolve("127.0.0.1", "127.0.0.2")
        assert reached(port) == "127.0.0.2"


def test_several_silent_addresses_do_not_delay_the_next(resolve):
    with silent("127.0.0.1") as port, listening("127.0.0.9", port):
        resolve(*["127.0.0.1"] * 3, "127.0.0.9")
        assert reached(port) == "127.0.0.9"


def test_the_first_connection_is_used(resolve):
    with listening("127.0.0.1") as port, listening("127.0.0.2", port):
        resolve("127.0.0.1", "127.0.0.2")
        assert reached(port) == "127.0.0.1"


@pytest.mark.parametrize("gone", ["127.0.0.1", "2001:db8::1", "255.255.255.255"])
def test_the_next_address_is_tried_after_an_error(resolve, gone):
    with listening("127.0.0.2") as port:
        resolve(gone, "127.0.0.2")
        assert reached(port) == "127.0.0.2"


def test_all_addresses_share_one_timeout(resolve):
    with silent("127.0.0.1") as port, pytest.raises(TimeoutError):
        resolve(*["127.0.0.1"] * 1000)
        connect("reg.example", port, 0.6)


def test_the_error_if_all_addresses_refuse(resolve):
    with listening("127.0.0.1") as port:
        pass
    resolve("127.0.0.1", "127.0.0.2")
    with pytest.raises(ConnectionRefusedError):
        connect("reg.example", port, 30.0)


def test_address_families_alternate(resolve, monkeypatch):
    tried = []

    def begin(address):
        tried.append(address[4][0])
        raise ConnectionRefusedError

    monkeypatch.setattr("dockless.registry.http.happy_eyeballs._start", begin)
    resolve("2001:db8::1", "2001:db8::2", "2001:db8::3", "192.0.2.1", "192.0.2.2")
    with pytest.raises(ConnectionRefusedError):
        connect("reg.example", 443, 30.0)
    assert tried == ["2001:db8::1", "192.0.2.1", "2001:db8::2", "192.0.2.2", "2001:db8::3"]


@pytest.mark.parametrize("silent_first", [False, True])
def test_a_refusal_is_reported_if_other_addresses_are_silent(resolve, silent_first):
    """The refusal shows that the host exists."""
    with silent("127.0.0.1") as port:
        addresses = ["127.0.0.1", "127.0.0.2"]
        resolve(*(addresses if silent_first else reversed(addresses)))
        with pytest.raises(ConnectionRefusedError):
            connect("reg.example", port, 0.6)
