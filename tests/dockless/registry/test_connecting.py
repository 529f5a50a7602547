"""A connect that fails says why."""

import errno
import os
import socket

import pytest

from dockless.errors import RegistryError


@pytest.mark.parametrize(
    ("number", "said", "attempts"),
    [
        (errno.ECONNREFUSED, "connection refused; check the port", 4),
        (errno.EHOSTUNREACH, "No route to host; check the network", 4),
        (errno.ENETUNREACH, "Network is unreachable; check the network", 4),
        (errno.ETIMEDOUT, "no connection in time; check the network", 4),
        (errno.ECONNRESET, "the connection was reset", 6),
    ],
)
def test_the_cause_of_the_system_is_told(number, said, attempts, connect, monkeypatch):
    tried = []

    def refuse(self, address):
        tried.append(address)
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(socket.socket, "connect", refuse)
    with pytest.raises(RegistryError, match=f"GET http://127.0.0.1:9/v2/: {said}"):
        connect("127.0.0.1:9").ping()
    assert len(tried) >= attempts


def test_a_connect_that_hangs(connect, monkeypatch):
    def hang(self, address):
        raise socket.timeout("timed out")

    monkeypatch.setattr(socket.socket, "connect", hang)
    with pytest.raises(RegistryError, match="no connection in time; check the network"):
        connect("127.0.0.1:9").ping()
