"""The command `benchmarks/fleet`: many images on one layer, each with a file of its own."""

import argparse
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from measure import load, measure
from registries import DockerRegistry
from wire import Wire

ROOT = Path(__file__).resolve().parents[1]
MB = 1_000_000
HEADER = """\
Each run has a docker-registry on loopback with an empty store. First all images are pushed (changed), then again
(unchanged), then after a change of the file of one image (one changed). Wall: the whole command. CPU: the command and
its children, with that of pantsd. Requests: of the registry's access log. MB: what the clients sent."""
CONFIG = """\
[GLOBAL]
backend_packages = ["pants_dockless"]
pythonpath = ["{root}/src", "{root}/pants-plugins"]
[anonymous-telemetry]
enabled = false
"""
SCENARIOS = ("changed", "unchanged", "one changed")
CLICK = os.sysconf("SC_CLK_TCK")


class Row(NamedTuple):
    """What one command needed: seconds of wall time and CPU, requests, and MB that were sent."""

    wall: float
    cpu: float
    requests: int
    sent: float


class Project:
    """A repository with `images` images on a layer of `size` bytes. The content depends on `seed`."""

    def __init__(self, directory: Path, images: int, size: int, seed: int) -> None:
        self.directory = directory
        self.images = images
        self._random = random.Random(seed)
        (directory / "pants.toml").write_text(CONFIG.format(root=ROOT))
        (directory / "shared.bin").write_bytes(self._random.randbytes(size))
        build = ['file(name="shared", source="shared.bin")', 'image_layer(name="layer", dependencies=[":shared"])']
        for n in range(images):
            self.change(n)
            build.append(f'file(name="file{n}", source="file{n}.txt")')
            build.append(f'container_image(name="app{n}", layers=[":layer"], dependencies=[":file{n}"])')
        (directory / "BUILD").write_text("\n".join(build) + "\n")

    def change(self, n: int) -> None:
        """Change the file of the image `n`."""
        (self.directory / f"file{n}.txt").write_text(str(self._random.random()))

    def pants(self, *arguments: str) -> list:
        """Return the command that runs Pants in the project."""
        return [str(ROOT / ".venv/bin/pants"), "--no-dynamic-ui", *arguments]

    def daemon_cpu(self) -> float:
        """Return the seconds of CPU that pantsd and its processes used."""
        total = 0.0
        for path in self.directory.glob(".pids/*/pantsd/pid"):
            fields = Path(f"/proc/{path.read_text().strip()}/stat").read_text().rpartition(")")[2].split()
            total += sum(map(int, fields[11:15])) / CLICK
        return total


def commands(project: Project, address: str) -> dict:
    """Return the command of each tool. skopeo and crane push what `pants package` wrote, which is not measured."""
    registries = f"--dockless-registries={{'r': {{'address': '{address}', 'default': True}}}}"
    names = [f"app{n}" for n in range(project.images)]
    loop = "for n in {}; do {} || exit 1; done".format(" ".join(names), "{}")
    skopeo = f"skopeo copy -q --dest-tls-verify=false oci:dist/$n docker://{address}/$n:latest"
    crane = f"crane push dist/$n {address}/$n:latest >/dev/null 2>&1"
    return {
        "pants push": project.pants(registries, "push", "::"),
        "pants publish": project.pants(registries, "publish", "::"),
        "skopeo": ["bash", "-c", loop.format(skopeo)],
        "crane": ["bash", "-c", loop.format(crane)],
    }


def run(tool: str, project: Project, found: dict) -> None:
    """Run all scenarios with one tool, and add the rows to `found`."""
    with DockerRegistry() as registry, Wire(registry.port) as wire:
        for scenario in SCENARIOS:
            if scenario == "one changed":
                project.change(0)
            if not tool.startswith("pants"):
                subprocess.run(project.pants("package", "::"), cwd=project.directory, check=True, capture_output=True)
            requests, sent, cpu = len(registry.requests()), wire.sent, project.daemon_cpu()
            begin = time.monotonic()
            cost = measure(commands(project, wire.address)[tool], str(project.directory))
            found.setdefault((tool, scenario), []).append(
                Row(
                    time.monotonic() - begin,
                    cost.cpu + project.daemon_cpu() - cpu,
                    len(registry.requests()) - requests,
                    (wire.sent - sent) / MB,
                )
            )


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(prog="benchmarks/fleet")
    parser.add_argument("--images", type=int, default=100)
    parser.add_argument("--layer", type=float, default=20, metavar="MB")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--tools", default="pants push,pants publish,skopeo,crane")
    options = parser.parse_args()
    print(HEADER)
    tools = []
    for tool in options.tools.split(","):
        if tool.startswith("pants") or shutil.which(tool):
            tools.append(tool)
        else:
            print(f"NOT MEASURED, not installed: {tool}")
    found: dict = {}
    with tempfile.TemporaryDirectory(prefix="dockless-fleet-") as directory:
        # The pushes of the benchmark must not know of each other, nor of those of the user.
        os.environ["XDG_CACHE_HOME"] = f"{directory}/cache"
        for number in range(options.runs):
            path = Path(directory, str(number))
            path.mkdir()
            project = Project(path, options.images, int(options.layer * MB), number)
            # The first run starts pantsd and builds the layers.
            subprocess.run(project.pants("package", "::"), cwd=path, check=True, capture_output=True)
            try:
                for tool in tools:
                    run(tool, project, found)
            finally:
                for pid in path.glob(".pids/*/pantsd/pid"):
                    os.kill(int(pid.read_text()), 15)
    print(f"\n{options.images} images on a layer of {options.layer:g} MB, {options.runs} runs, load {load():.1f}")
    print(f"{'tool':<16}{'scenario':<14}{'wall s':>8}{'CPU s':>8}{'requests':>10}{'MB':>8}")
    for (tool, scenario), rows in found.items():
        wall, cpu, requests, sent = (statistics.median(values) for values in zip(*rows))
        print(f"{tool:<16}{scenario:<14}{wall:>8.1f}{cpu:>8.1f}{requests:>10.0f}{sent:>8.2f}")


if __name__ == "__main__":
    sys.exit(main())
