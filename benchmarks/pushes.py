"""Measures pushes of several tools to Debian's docker-registry, in turn, each to a new registry."""

import contextlib
import gzip
import hashlib
import json
import os
import random
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

from measure import load, measure, median
from registries import DockerRegistry
from wire import Wire

import dockless
from dockless import copy_image

HEADER = """\
Each run has its own docker-registry on loopback with an empty store. x: the ratio to Dockless. requests: the number of
requests in the registry's access log. uploads: the requests with bytes of blobs. MB sent: the bytes that the client
sent. These three columns come from a separate run through a proxy that counts."""
MB = 1_000_000


class Side(NamedTuple):
    """The command of a tool, and commands that run before it and are not measured.

    `{registry}` in an argument stands for the address of the registry.
    """

    command: list
    before: tuple = ()


class _Pushes:
    def __init__(self, side: Side, directory: Path, certificates: str, delay: float) -> None:
        self._side = side
        self._directory = directory
        self._certificates = certificates
        self._delay = delay
        self.costs = []
        self.requests = []
        self.sent = 0

    def run(self) -> None:
        self.costs.append(self._push(self._delay, counted=False))

    def count(self) -> None:
        self._push(0.0, counted=True)

    def _push(self, delay: float, counted: bool):
        with contextlib.ExitStack() as stack:
            registry = stack.enter_context(DockerRegistry(self._certificates))
            for command in self._side.before:
                self._once(command, registry.address)
            before = len(registry.requests())
            if not (delay or counted):
                return self._once(self._side.command, registry.address)
            wire = stack.enter_context(Wire(registry.port, delay))
            cost = self._once(self._side.command, wire.address)
            self.requests, self.sent = registry.requests()[before:], wire.sent
            return cost

    def _once(self, command: list, address: str):
        return measure([part.replace("{registry}", address) for part in command], str(self._directory))


def compare(
    title: str, target: str, sides: dict, directory: Path, runs: int, *, certificates: str = "", delay: float = 0.0
) -> None:
    """Run all of `sides` (name -> Side, Dockless first) in turn, `runs` times, and print the medians."""
    pushes_by_name = {name: _Pushes(side, directory, certificates, delay) for name, side in sides.items()}
    for _ in range(runs):
        for pushes in pushes_by_name.values():
            pushes.run()
    for pushes in pushes_by_name.values():
        pushes.count()
    print(f"\n{title}; target: {target} (load {load():.1f})")
    print(f"{'':12}{'CPU s':>8}{'x':>7}{'wall s':>9}{'x':>7}{'RSS MB':>9}{'requests':>10}{'uploads':>9}{'MB sent':>10}")
    own = median(next(iter(pushes_by_name.values())).costs)
    for name, pushes in pushes_by_name.items():
        cost = median(pushes.costs)
        uploads = [
            line for line in pushes.requests if line.startswith(("PATCH ", "PUT ")) and "/blobs/uploads/" in line
        ]
        print(
            f"{name:12}{cost.cpu:8.3f}{cost.cpu / own.cpu:7.2f}{cost.wall:9.3f}{cost.wall / own.wall:7.2f}"
            f"{cost.rss:9.0f}{len(pushes.requests):10}{len(uploads):9}{pushes.sent / MB:10.3f}",
            flush=True,
        )


def from_a_program(layout: Path, crane: Side, directory: Path, runs: int) -> None:
    """Measure a push by a program that has imported the library, which excludes the start of a command."""
    # The first run, which imports modules, is not measured.
    walls, others = [], []
    for run in range(runs + 1):
        with DockerRegistry("") as registry:
            begin = time.monotonic()
            copy_image(f"oci:{layout}", f"{registry.address}/team/app:1")
            walls += [time.monotonic() - begin] if run else []
        with DockerRegistry("") as registry:
            command = [part.replace("{registry}", registry.address) for part in crane.command]
            others += [measure(command, str(directory)).wall] if run else []
    own, other = statistics.median(walls), statistics.median(others)
    print(f"from a program: {own:.3f} s of wall, crane {other:.3f} (x {other / own:.2f})", flush=True)


def present(sides: dict) -> dict:
    """Return the sides whose program is installed, and print the names of the others."""
    for name, side in sides.items():
        if not shutil.which(side.command[0]):
            print(f"NOT MEASURED, not installed: {name}")
    return {name: side for name, side in sides.items() if shutil.which(side.command[0])}


def isolate(home: str) -> None:
    """Hide the credentials, settings and CAs of this machine from the programs that are started.

    The sources are compiled first, as those of an installed program are. Exits if docker-registry is not installed.
    """
    if not shutil.which("docker-registry"):
        sys.exit("docker-registry is not installed")
    variables = "DOCKER_CONFIG REGISTRY_AUTH_FILE XDG_RUNTIME_DIR XDG_CONFIG_HOME REQUESTS_CA_BUNDLE SSL_CERT_FILE"
    for name in variables.split():
        os.environ.pop(name, None)
    os.environ["HOME"] = home
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    subprocess.run([sys.executable, "-m", "compileall", "-q", os.path.dirname(dockless.__file__)], check=True)


OCI = ("vnd.oci.image.manifest.v1+json", "vnd.oci.image.config.v1+json", "vnd.oci.image.layer.v1.tar+gzip")
DOCKER = (
    "vnd.docker.distribution.manifest.v2+json",
    "vnd.docker.container.image.v1+json",
    "vnd.docker.image.rootfs.diff.tar.gzip",
)


def make_layout(directory: Path, layers: int, size: int, types: tuple = OCI) -> None:
    """Write an OCI layout with one image. Its layers are gzip of random bytes that are the same in every run."""
    blobs = directory / "blobs/sha256"
    blobs.mkdir(parents=True)

    def put(data: bytes, kind: str) -> dict:
        digest = hashlib.sha256(data).hexdigest()
        (blobs / digest).write_bytes(data)
        return {"mediaType": f"application/{kind}", "digest": f"sha256:{digest}", "size": len(data)}

    listed, diff_ids = [], []
    generator = random.Random(layers * size)
    for _ in range(layers):
        data = generator.getrandbits(8 * size).to_bytes(size, "little")
        diff_ids.append(f"sha256:{hashlib.sha256(data).hexdigest()}")
        listed.append(put(gzip.compress(data, 0, mtime=0), types[2]))
    config = {"architecture": "amd64", "os": "linux", "config": {"Env": ["PATH=/bin"]}}
    config["rootfs"] = {"type": "layers", "diff_ids": diff_ids}
    manifest = {"schemaVersion": 2, "mediaType": f"application/{types[0]}"}
    manifest.update(config=put(json.dumps(config).encode(), types[1]), layers=listed)
    root = put(json.dumps(manifest).encode(), types[0])
    (directory / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [root]}))
    (directory / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
