"""The command `dockless serve`."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import dockless
from dockless.errors import InvalidValueError, RegistryError
from dockless.testing.serve import serve

MAIN = "import sys; from dockless.testing.serve import serve; sys.exit(serve(*eval(sys.argv[1])))"


def start(*args):
    environment = {**os.environ, "PYTHONPATH": str(Path(dockless.__file__).parents[1])}
    return subprocess.Popen(
        [sys.executable, "-c", MAIN, repr(args)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment
    )


@pytest.mark.parametrize("number, status", [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_signals_end_the_server(helpers, tmp_path, number, status):
    data = None if number == signal.SIGINT else str(tmp_path)
    process = start("127.0.0.1:0", data)
    line = process.stdout.readline().decode()
    host = line.split("http://")[1].split(" ")[0]
    assert line == f"dockless: serving a registry on http://{host} ({'in memory' if data is None else f'in {data}'})\n"
    # An open connection does not delay the end.
    call = helpers.Client(host)
    connection = call.connect()
    assert call("GET", "/v2/", connection=connection).status == 200
    process.send_signal(number)
    assert process.wait(30) == status
    connection.close()
    assert process.communicate() == (b"", b"")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_before_the_server_waits(number):
    assert serve("127.0.0.1:0", announce=lambda *_: signal.raise_signal(number)) == 128 + number


def test_ipv6(helpers):
    process = start("[::1]:0")
    try:
        line = process.stdout.readline().decode()
        if not line:
            pytest.skip(f"NOT TESTED, no IPv6 here: {process.stderr.read().decode()[-200:]}")
        host = line.split("http://")[1].split(" ")[0]
        assert host.startswith("[::1]:")
        assert helpers.Client(host)("GET", "/v2/").status == 200
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("listen", ["0.0.0.0:5000", "[::]:5000", "192.0.2.1:80", "example.com:80"])
def test_other_machines_are_not_served(listen):
    with pytest.raises(InvalidValueError, match="cannot listen on"):
        serve(listen)


@pytest.mark.parametrize("listen", ["5000", "127.0.0.1", "127.0.0.1:99999", "::1:5000", "a:b:c"])
def test_invalid_addresses(listen):
    with pytest.raises(InvalidValueError, match="write HOST:PORT with a port from 0 to 65535"):
        serve(listen)


def test_a_port_in_use(registry):
    handlers = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    with pytest.raises(RegistryError, match=rf"cannot listen on {registry.host}.*choose another port"):
        serve(registry.host)
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == handlers


def test_an_address_of_another_machine():
    # TEST-NET-1 (RFC 5737) is never assigned to a host.
    with pytest.raises(RegistryError, match=r"cannot listen on 192\.0\.2\.1:0"):
        serve("192.0.2.1:0", any_address=True)
