"""A real Docker engine and a real containerd, each with its own directory and socket. Both require root."""

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Callable

import pytest
from real_tools import ProgramResult, need, run
from waiting import wait_until

# The machine may not allow to raise limits.
_LIMITS = {name: {"Name": name, "Hard": 1024, "Soft": 1024} for name in ("nofile", "nproc")}
_CONTAINERD = """
version = 2
root = "{directory}/root"
state = "{directory}/state"
disabled_plugins = ["io.containerd.grpc.v1.cri"]
[grpc]
  address = "{directory}/containerd.sock"
[ttrpc]
  address = "{directory}/ttrpc.sock"
"""


class Engine:
    """A daemon that runs. `env` makes its client `program` connect to it."""

    def __init__(self, program: str, env: dict[str, str]) -> None:
        self.program = program
        self.env = {**os.environ, **env}

    def __call__(self, *arguments: str, ok: bool = True) -> ProgramResult:
        return run(self.program, *arguments, env=self.env, ok=ok)


@contextmanager
def docker_engine() -> Iterator[Engine]:
    """Runs dockerd. Containers have no network except that of the host."""
    need("dockerd", "docker", "containerd", "runc")
    # Not `tmp_path`: the path of a socket has at most 107 characters.
    directory = Path(tempfile.mkdtemp(prefix="dl-"))
    config = {
        "data-root": f"{directory}/data",
        "exec-root": f"{directory}/exec",
        "pidfile": f"{directory}/pid",
        "hosts": [f"unix://{directory}/docker.sock"],
        "bridge": "none",
        "iptables": False,
        "storage-driver": "vfs",
        "default-ulimits": _LIMITS,
    }
    (directory / "daemon.json").write_text(json.dumps(config))
    (directory / "config").mkdir()
    env = {"DOCKER_HOST": config["hosts"][0], "DOCKER_CONFIG": f"{directory}/config"}
    engine = Engine("docker", env)
    with _daemon(directory, ["dockerd", "--config-file", f"{directory}/daemon.json"], lambda: _docker_answers(engine)):
        yield engine
        # dockerd would wait 10 seconds for the containers that Pants started.
        if running := engine("ps", "--quiet").out.split():
            engine("kill", *running)


@contextmanager
def containerd() -> Iterator[Engine]:
    """Runs containerd."""
    need("containerd", "ctr", "runc")
    directory = Path(tempfile.mkdtemp(prefix="dl-"))
    (directory / "config.toml").write_text(_CONTAINERD.format(directory=directory))
    engine = Engine("ctr", {"CONTAINERD_ADDRESS": f"{directory}/containerd.sock"})
    command = ["containerd", "--config", f"{directory}/config.toml"]
    with _daemon(directory, command, lambda: engine("version", ok=False).code == 0):
        yield engine


def _docker_answers(engine: Engine) -> bool:
    return engine("version", ok=False).code == 0


@contextmanager
def _daemon(directory: Path, command: list[str], is_ready: Callable[[], bool]) -> Iterator[None]:
    with open(directory / "log", "wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)

    def is_running() -> bool:
        return process.poll() is None

    try:
        if not wait_until(lambda: not is_running() or is_ready(), f"the start of {command[0]}") or not is_running():
            text = (directory / "log").read_text(errors="replace")[-1500:]
            if os.environ.get("CI") == "true":
                pytest.fail(f"{command[0]} did not start: {text}")
            pytest.skip(f"NOT TESTED, {command[0]} did not start: {text}")
        yield
    finally:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(30)
        _unmount(directory)
        shutil.rmtree(directory, ignore_errors=True)


def _unmount(directory: Path) -> None:
    """Unmounts what a daemon left, the innermost first."""
    mounts = [line.split(" ")[1] for line in Path("/proc/self/mounts").read_text().splitlines()]
    for path in sorted((path for path in mounts if path.startswith(f"{directory}/")), reverse=True):
        run("umount", "--lazy", path, ok=False)
