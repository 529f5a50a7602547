"""The command `benchmarks/reference`."""

import argparse
import os
import random
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from measure import load, measure
from pushes import DOCKER, HEADER, MB, Side, compare, isolate, make_layout

DRIVER = Path(__file__).with_name("reference_driver.js")
# Version 3.2.0, the newest, imports cross-spawn, which is not one of its dependencies.
PACKAGES = ("container-image-builder@3.2.0", "cross-spawn@6.0.5")
DOCKLESS = [sys.executable, "-m", "dockless"]
# The reference copies only between repositories of different namespaces.
BASE = "{registry}/base/image:1"
APP = "{registry}/team/app:1"
OTHER = "{registry}/other/app:1"


def install(directory: Path) -> bool:
    """Install the reference in `directory` if it is missing. Return whether it is installed."""
    for program in ("node", "npm"):
        if not shutil.which(program):
            print(f"NOT MEASURED, not installed: {program}, which container-image-builder needs")
            return False
    if not (directory / "node_modules/container-image-builder").is_dir():
        directory.mkdir(parents=True, exist_ok=True)
        command = ["npm", "install", "--no-audit", "--no-fund", "--silent", *PACKAGES]
        if subprocess.run(command, cwd=directory, check=False).returncode:
            print("NOT MEASURED: npm cannot install container-image-builder")
            return False
    return True


def make_files(directory: Path, count: int, size: int) -> None:
    """Write `count` files of `size` bytes: of each 4 KiB, 1 KiB is random and 3 KiB are text."""
    directory.mkdir()
    generator = random.Random(count)
    words = [b"%x " % generator.getrandbits(generator.randint(4, 32)) for _ in range(3000)]
    text = b"".join(generator.choices(words, k=300_000))
    for number in range(count):
        with open(directory / f"file-{number}.txt", "wb") as file:
            while (left := size - file.tell()) > 0:
                start = generator.randrange(len(text) - 3072)
                file.write((text[start : start + 3072] + generator.getrandbits(8192).to_bytes(1024, "little"))[:left])


class Sides:
    """The commands of Dockless and the reference, for `compare`."""

    def __init__(self, base: Path, reference: bool) -> None:
        self._base = [*DOCKLESS, "copy", f"oci:{base}", BASE]
        self._reference = reference

    def build(self, directory: Path, again: bool = False) -> dict:
        return self._both(
            [*DOCKLESS, "build", APP, "--base", BASE, "--add", f"{directory}:/app"],
            ["node", str(DRIVER), "build", str(directory), BASE, APP],
            again,
        )

    def copy(self, directory: Path) -> dict:
        built = self.build(directory)
        copied = self._both([*DOCKLESS, "copy", APP, OTHER], ["node", str(DRIVER), "copy", APP, OTHER], False)
        return {name: Side(side.command, (self._base, built[name].command)) for name, side in copied.items()}

    def _both(self, own: list, reference: list, again: bool) -> dict:
        commands = {"dockless": own, **({"reference": reference} if self._reference else {})}
        return {name: Side(each, (self._base, each) if again else (self._base,)) for name, each in commands.items()}


def start_up(directory: Path, runs: int, reference: bool) -> None:
    """Measure the start of programs. The minimum of several runs is printed, because other processes only add to it."""
    print(f"\nstart; target: `dockless --version` under 0.06 s of CPU (load {load():.1f})")
    commands = {"dockless --version": [*DOCKLESS, "--version"]}
    if reference:
        commands["require('container-image-builder')"] = ["node", "-e", "require('container-image-builder')"]
    for name, command in commands.items():
        cost = min(measure(command, str(directory)) for _ in range(max(runs, 5)))
        print(f"{name:36}{cost.cpu:8.3f} s of CPU{cost.rss:9.0f} MB", flush=True)


def main() -> None:
    cases = ("start", "tiny", "files", "file", "again", "copy")
    parser = argparse.ArgumentParser(prog="benchmarks/reference")
    parser.add_argument("--npm", default=os.path.join(tempfile.gettempdir(), "dockless-benchmark-npm"))
    parser.add_argument("--only", default=",".join(cases), help="default: all, %(default)s")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--small", action="store_true")
    options = parser.parse_args()
    print(f"{HEADER}\nTarget of all cases: a third of the memory of the reference.")
    npm = Path(options.npm)
    reference = install(npm)
    with tempfile.TemporaryDirectory(prefix="dockless-reference-") as scratch:
        directory = Path(scratch)
        isolate(scratch)
        if reference:
            (directory / "node_modules").symlink_to(npm / "node_modules")
        make_layout(directory / "base", 1, MB, DOCKER)
        chosen = options.only.split(",")
        make_files(directory / "tiny", 20, 1000)
        if "files" in chosen:
            make_files(directory / "files", 2000, 4096)
        if {"file", "again", "copy"} & {*chosen}:
            make_files(directory / "file", 1, (20 if options.small else 200) * MB)
        sides = Sides(directory / "base", reference)
        if "start" in chosen:
            start_up(directory, options.runs, reference)
        tables = {
            "tiny": ("build and push 20 files of 1 kB", "under 0.4 s of CPU", sides.build(directory / "tiny")),
            "files": (
                "build and push 2,000 files of 4 KiB",
                "half the CPU of the reference",
                sides.build(directory / "files"),
            ),
            "file": (
                "build and push a file of 200 MB",
                "no more CPU than the reference",
                sides.build(directory / "file"),
            ),
            "again": ("build and push the same file again", "no uploads", sides.build(directory / "file", again=True)),
            "copy": ("copy this image to another repository", "no uploads", sides.copy(directory / "file")),
        }
        for name, (title, target, both) in tables.items():
            if name in chosen:
                compare(title, target, both, directory, options.runs)


if __name__ == "__main__":
    main()
