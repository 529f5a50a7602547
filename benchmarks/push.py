"""The command `benchmarks/push`."""

import argparse
import contextlib
import gzip
import hashlib
import json
import os
import random
import shutil
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple, Optional

from measure import load, measure, median
from registries import DockerRegistry
from wire import Wire

from dockless.testing.tls import make_certificate

HEADER = """\
Each run has a docker-registry of its own, on loopback, with an empty store; all tools have their defaults (Dockless 4
jobs). x: the multiple of Dockless. Requests are those of the registry's access log, MB those that the client sent, of
one further run. Targets: nowhere more requests or bytes than crane, and 2 requests for an unchanged image."""


class Case(NamedTuple):
    """One table. `layers` of `size` bytes each; `delay` in seconds, each way; `again`: it is there already."""

    title: str
    target: str
    layers: int
    size: int
    tls: bool = False
    delay: float = 0.0
    again: bool = False
    jobs: int = 0


MB = 1_000_000
CASES = {
    "http": Case("200 MB in 4 layers, http", "wall at most crane's", 4, 50 * MB),
    "tls": Case("200 MB in 4 layers, TLS", "CPU at most 1.3 times crane's", 4, 50 * MB, tls=True),
    "many": Case("200 layers of 50 KB", "none of its own", 200, 50_000),
    "again": Case("200 MB in 4 layers, unchanged", "2 requests, no bytes of blobs", 4, 50 * MB, again=True),
    "far": Case("200 layers of 50 KB, round trips of 50 ms", "wall less than crane's", 200, 50_000, delay=0.025),
    "parallel": Case("800 MB in 8 layers, --jobs 8", "memory under 60 MB, of any size", 8, 100 * MB, jobs=8),
}


def tools(case: Case) -> dict:
    """Name -> the command that pushes the layout `{layout}` to `{to}`; None where a program is missing."""
    jobs = ["--jobs", str(case.jobs)] if case.jobs else []
    insecure = [] if case.tls else ["--dest-tls-verify=false"]
    return {
        "dockless": [sys.executable, "-m", "dockless", "copy", "oci:{layout}", "{to}", *jobs],
        "crane": ["crane", "push", "{layout}", "{to}"] if shutil.which("crane") else None,
        "skopeo": ["skopeo", "copy", *insecure, "oci:{layout}", "docker://{to}"] if shutil.which("skopeo") else None,
    }


def make_layout(folder: Path, layers: int, size: int) -> None:
    """An OCI layout of one image, whose layers are gzip of random bytes."""
    blobs = folder / "blobs/sha256"
    blobs.mkdir(parents=True)

    def put(data: bytes, kind: str) -> dict:
        digest = hashlib.sha256(data).hexdigest()
        (blobs / digest).write_bytes(data)
        return {"mediaType": f"application/vnd.oci.image.{kind}", "digest": f"sha256:{digest}", "size": len(data)}

    listed, diff_ids = [], []
    chance = random.Random(layers * size)
    for _ in range(layers):
        data = chance.getrandbits(8 * size).to_bytes(size, "little")
        diff_ids.append(f"sha256:{hashlib.sha256(data).hexdigest()}")
        listed.append(put(gzip.compress(data, 0, mtime=0), "layer.v1.tar+gzip"))
    rootfs = {"type": "layers", "diff_ids": diff_ids}
    config = json.dumps({"architecture": "amd64", "os": "linux", "rootfs": rootfs}).encode()
    manifest = {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json"}
    manifest.update(config=put(config, "config.v1+json"), layers=listed)
    root = put(json.dumps(manifest).encode(), "manifest.v1+json")
    (folder / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [root]}))
    (folder / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')


class Pushes:
    """What one tool's pushes of a case cost."""

    def __init__(self, case: Case, command: list, layout: Path, certificates: Path) -> None:
        self._case = case
        self._command = command
        self._layout = layout
        self._certificates = certificates
        self.costs = []
        self.requests = 0
        self.sent = 0

    def run(self) -> None:
        """One measured push."""
        self.costs.append(self._push(self._case.delay)[0])

    def count(self) -> None:
        """One push of which requests and bytes are counted."""
        _, self.requests, self.sent = self._push(0.0, through_wire=True)

    def _push(self, delay: float, through_wire: bool = False) -> tuple:
        with contextlib.ExitStack() as stack:
            registry = stack.enter_context(DockerRegistry(str(self._certificates) if self._case.tls else ""))
            if self._case.again:
                self._once(registry.address)
            before = len(registry.requests())
            wire: Optional[Wire] = None
            if delay or through_wire:
                wire = stack.enter_context(Wire(registry.port, delay))
            cost = self._once(wire.address if wire else registry.address)
            return cost, len(registry.requests()) - before, wire.sent if wire else 0

    def _once(self, address: str):
        to = f"{address}/team/app:1"
        return measure([part.format(layout=self._layout, to=to) for part in self._command], str(self._layout.parent))


def table(case: Case, layout: Path, certificates: Path, runs: int, only: list) -> None:
    found = {}
    for name, command in tools(case).items():
        if command and (not only or name in only):
            found[name] = Pushes(case, command, layout, certificates)
    for _ in range(runs):
        for pushes in found.values():
            pushes.run()
    for pushes in found.values():
        pushes.count()
    print(f"\n{case.title}; target: {case.target} (load {load():.1f})")
    print(f"{'':12}{'CPU s':>8}{'x':>7}{'wall s':>9}{'x':>7}{'RSS MB':>9}{'requests':>10}{'MB sent':>10}")
    ours = median(next(iter(found.values())).costs)
    for name, pushes in found.items():
        cost = median(pushes.costs)
        print(
            f"{name:12}{cost.cpu:8.3f}{cost.cpu / ours.cpu:7.2f}{cost.wall:9.3f}{cost.wall / ours.wall:7.2f}"
            f"{cost.rss:9.0f}{pushes.requests:10}{pushes.sent / MB:10.3f}",
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(prog="benchmarks/push")
    parser.add_argument("--only", default="", help=f"some of {','.join(CASES)}")
    parser.add_argument("--tools", default="", help="some of dockless,crane,skopeo")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--small", action="store_true")
    options = parser.parse_args()
    if not shutil.which("docker-registry"):
        sys.exit("docker-registry is not installed: nothing to push to")
    print(HEADER)
    for name, command in tools(CASES["http"]).items():
        if command is None:
            print(f"NOT MEASURED, not installed: {name}")
    with tempfile.TemporaryDirectory(prefix="dockless-push-") as scratch:
        folder = Path(scratch)
        # No credentials, settings or CAs of this machine.
        for name in ("DOCKER_CONFIG", "REGISTRY_AUTH_FILE", "XDG_RUNTIME_DIR", "XDG_CONFIG_HOME", "REQUESTS_CA_BUNDLE"):
            os.environ.pop(name, None)
        os.environ["HOME"] = scratch
        certificates = folder / "tls"
        certificates.mkdir()
        authority = make_certificate(certificates)
        for name in options.only.split(",") if options.only else CASES:
            case = CASES[name]
            if options.small:
                case = case._replace(size=case.size // 10)
            layout = folder / f"{case.layers}-{case.size}"
            if not layout.exists():
                make_layout(layout, case.layers, case.size)
            if case.tls:
                os.environ["SSL_CERT_FILE"] = str(authority)
            else:
                os.environ.pop("SSL_CERT_FILE", None)
            table(case, layout, certificates, options.runs, [tool for tool in options.tools.split(",") if tool])


if __name__ == "__main__":
    main()
