"""What tools' pushes to Debian's docker-registry cost: measured in turn, each with a registry of its own."""

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
Each run has a docker-registry on loopback and a store of its own. x: the multiple of Dockless. Requests are those of
the registry's access log, uploads those of them that carry bytes of blobs, MB what the client sent: all three of a run
of its own, through a proxy that counts."""
MB = 1_000_000


class Side(NamedTuple):
    """One tool's command, in which `{registry}` stands for an address, and what is run before it, not measured."""

    command: list
    before: tuple = ()


class _Pushes:
    def __init__(self, side: Side, folder: Path, certificates: str, delay: float) -> None:
        self._side = side
        self._folder = folder
        self._certificates = certificates
        self._delay = delay
        self.costs = []
        self.asked = []
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
            self.asked, self.sent = registry.requests()[before:], wire.sent
            return cost

    def _once(self, command: list, address: str):
        return measure([part.replace("{registry}", address) for part in command], str(self._folder))


def compare(
    title: str, target: str, sides: dict, folder: Path, runs: int, *, certificates: str = "", delay: float = 0.0
) -> None:
    """Run all of `sides` (name -> Side, ours first) `runs` times in turn, and print their medians."""
    found = {name: _Pushes(side, folder, certificates, delay) for name, side in sides.items()}
    for _ in range(runs):
        for pushes in found.values():
            pushes.run()
    for pushes in found.values():
        pushes.count()
    print(f"\n{title}; target: {target} (load {load():.1f})")
    print(f"{'':12}{'CPU s':>8}{'x':>7}{'wall s':>9}{'x':>7}{'RSS MB':>9}{'requests':>10}{'uploads':>9}{'MB sent':>10}")
    ours = median(next(iter(found.values())).costs)
    for name, pushes in found.items():
        cost = median(pushes.costs)
        uploads = [line for line in pushes.asked if line.startswith(("PATCH ", "PUT ")) and "/blobs/uploads/" in line]
        print(
            f"{name:12}{cost.cpu:8.3f}{cost.cpu / ours.cpu:7.2f}{cost.wall:9.3f}{cost.wall / ours.wall:7.2f}"
            f"{cost.rss:9.0f}{len(pushes.asked):10}{len(uploads):9}{pushes.sent / MB:10.3f}",
            flush=True,
        )


def from_a_program(layout: Path, crane: Side, folder: Path, runs: int) -> None:
    """Measure the library in a program that has imported it: the time without the start of a command."""
    # Once before, for the imports.
    walls, others = [], []
    for run in range(runs + 1):
        with DockerRegistry("") as registry:
            begin = time.monotonic()
            copy_image(f"oci:{layout}", f"{registry.address}/team/app:1")
            walls += [time.monotonic() - begin] if run else []
        with DockerRegistry("") as registry:
            command = [part.replace("{registry}", registry.address) for part in crane.command]
            others += [measure(command, str(folder)).wall] if run else []
    ours, theirs = statistics.median(walls), statistics.median(others)
    print(f"from a program: {ours:.3f} s of wall, crane {theirs:.3f} (x {theirs / ours:.2f})", flush=True)


def present(sides: dict) -> dict:
    """Those whose program is installed; the others are named as not measured."""
    for name, side in sides.items():
        if not shutil.which(side.command[0]):
            print(f"NOT MEASURED, not installed: {name}")
    return {name: side for name, side in sides.items() if shutil.which(side.command[0])}


def alone(home: str) -> None:
    """Hide the credentials, settings and CAs of this machine from the programs that are started, or exit.

    Sources that nobody has compiled would be compiled at every start, as those of no installed program are.
    """
    if not shutil.which("docker-registry"):
        sys.exit("docker-registry is not installed: there is nothing to push to")
    unwanted = "DOCKER_CONFIG REGISTRY_AUTH_FILE XDG_RUNTIME_DIR XDG_CONFIG_HOME REQUESTS_CA_BUNDLE SSL_CERT_FILE"
    for name in unwanted.split():
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


def make_layout(folder: Path, layers: int, size: int, types: tuple = OCI) -> None:
    """Return an OCI layout of one image, whose layers are gzip of the same random bytes every time."""
    blobs = folder / "blobs/sha256"
    blobs.mkdir(parents=True)

    def put(data: bytes, kind: str) -> dict:
        digest = hashlib.sha256(data).hexdigest()
        (blobs / digest).write_bytes(data)
        return {"mediaType": f"application/{kind}", "digest": f"sha256:{digest}", "size": len(data)}

    listed, diff_ids = [], []
    chance = random.Random(layers * size)
    for _ in range(layers):
        data = chance.getrandbits(8 * size).to_bytes(size, "little")
        diff_ids.append(f"sha256:{hashlib.sha256(data).hexdigest()}")
        listed.append(put(gzip.compress(data, 0, mtime=0), types[2]))
    config = {"architecture": "amd64", "os": "linux", "config": {"Env": ["PATH=/bin"]}}
    config["rootfs"] = {"type": "layers", "diff_ids": diff_ids}
    manifest = {"schemaVersion": 2, "mediaType": f"application/{types[0]}"}
    manifest.update(config=put(json.dumps(config).encode(), types[1]), layers=listed)
    root = put(json.dumps(manifest).encode(), types[0])
    (folder / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [root]}))
    (folder / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
