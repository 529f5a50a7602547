"""SOCKS proxies that answer byte by byte: a timeout of each read never ends."""

import time

import pytest
from raw_server import raw_server

from dockless.errors import DocklessError
from dockless.registry import RetryPolicy

LIMIT = 0.3
PAUSE = 0.1

# name -> the scheme of the proxy, what it answers at once to the first bytes, and what it then sends byte by byte.
ANSWERS = {
    "socks5 reply with a long host": ("socks5h", [b"\x05\x00"], b"\x05\x00\x00\x03\xff" + b"a" * 25),
    "socks5 reply with a long host, local names": ("socks5", [b"\x05\x00"], b"\x05\x00\x00\x03\xff" + b"a" * 25),
    "socks5 reply after a password": ("socks5h", [b"\x05\x02", b"\x01\x00"], b"\x05\x00\x00\x03\xff" + b"a" * 25),
    "socks4 reply": ("socks4", [], b"\x00\x5a" + b"\x00" * 6),
    "socks4a reply": ("socks4a", [], b"\x00\x5a" + b"\x00" * 6),
}


@pytest.mark.parametrize("name", ANSWERS)
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_socks(name, scheme, connect, clean, environ, monkeypatch):
    monkeypatch.setattr("dockless.registry.http._urllib3.CONNECT_TIMEOUT", LIMIT)
    monkeypatch.setattr("dockless.registry.http.proxies.is_loopback", lambda host: False)
    socks, at_once, slowly = ANSWERS[name]
    sent = []

    def answer(connection):
        for data in at_once:
            connection.recv(1024)
            connection.sendall(data)
        connection.recv(1024)
        for n in range(len(slowly)):
            connection.sendall(slowly[n : n + 1])
            sent.append(n)
            time.sleep(PAUSE)

    with raw_server(answer) as address:
        variables = {"ALL_PROXY": f"{socks}://ann:canary-password@{address}"}
        client = connect(
            "127.0.0.1:1", insecure=scheme == "http", environ={**environ, **variables}, retry=RetryPolicy(budget=0)
        )
        with pytest.raises(DocklessError) as caught:
            client.get_manifest("a/b", "v1")
    assert "cannot be reached, or refused" in clean(caught.value)
    assert 0 < len(sent) < len(slowly)
