"""The benchmarks run with the installed tools. Their results are not checked."""

import os
import re
import socket
import sys
import threading
import time
from pathlib import Path

import pytest
from real_tools import ROOT, need, run


def benchmark(name: str, *arguments: str, path: str = "") -> list[str]:
    env = {**os.environ, "PYTHON": sys.executable, **({"PATH": path} if path else {})}
    return run(str(ROOT / "benchmarks" / name), "--runs", "1", *arguments, env=env).out.splitlines()


@pytest.mark.parametrize(("case", "requests", "uploads"), [("tls", "20", "5"), ("again", "2", "0")])
def test_pushes(case: str, requests: str, uploads: str) -> None:
    need("docker-registry", "openssl")
    *_, row = benchmark("push", "--small", "--only", case, "--tools", "dockless")
    name, *_, requested, sent, megabytes = row.split()
    assert (name, requested, sent) == ("dockless", requests, uploads)
    assert (float(megabytes) > 20) == (case == "tls")


def test_missing_tools_are_named(tmp_path: Path) -> None:
    need("docker-registry", "openssl")
    for program in ("docker-registry", "openssl", "bash", "dirname", "env"):
        found = next(p for directory in os.environ["PATH"].split(":") if (p := Path(directory, program)).is_file())
        (tmp_path / program).symlink_to(found)
    lines = benchmark("reference", "--npm", str(tmp_path / "npm"), "--only", "start,tiny", path=str(tmp_path))
    assert "NOT MEASURED, not installed: node, which container-image-builder needs" in lines
    assert [line.split()[0] for line in lines if re.match("dockless|reference", line)] == ["dockless", "dockless"]
    lines = benchmark("push", "--small", "--only", "again", path=str(tmp_path))
    assert [line for line in lines if "NOT" in line] == [
        "NOT MEASURED, not installed: crane",
        "NOT MEASURED, not installed: skopeo",
    ]


def test_the_measured_connection_counts_and_delays(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bytes arrive in order in both directions, and not before the delay."""
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    from wire import Wire

    sent = os.urandom(1_000_000)
    with socket.create_server(("127.0.0.1", 0)) as server:

        def echo() -> None:
            peer, _ = server.accept()
            with peer:
                while data := peer.recv(65536):
                    peer.sendall(data)

        echoing = threading.Thread(target=echo)
        echoing.start()
        with Wire(server.getsockname()[1], delay=0.05) as connection:
            host, port = connection.address.split(":")
            begin = time.monotonic()
            with socket.create_connection((host, int(port))) as client:
                sending = threading.Thread(target=client.sendall, args=(sent,))
                sending.start()
                got = client.recv(65536)
                first = time.monotonic() - begin
                while len(got) < len(sent):
                    got += client.recv(65536)
                sending.join()
            echoing.join()
        assert got == sent and connection.sent == len(sent) and first >= 0.1
