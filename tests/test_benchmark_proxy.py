"""The proxy of the benchmarks."""

import socket

import pytest
from real_tools import ROOT


def test_connections_to_a_closed_port_are_aborted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    from wire import Wire

    # A port that refuses connections.
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        with Wire(unused.getsockname()[1]) as connection:
            host, port = connection.address.split(":")
            with socket.create_connection((host, int(port)), timeout=20) as client:
                assert client.recv(1) == b""
