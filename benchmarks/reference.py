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
from pushes import DOCKER, HEADER, MB, Side, alone, compare, make_layout

DRIVER = Path(__file__).with_name("reference_driver.js")
# Version 3.2.0, the last one, does not load without cross-spawn, which it does not ask for.
PACKAGES = ("container-image-builder@3.2.0", "cross-spawn@6.0.5")
DOCKLESS = [sys.executable, "-m", "dockless"]
# It copies only between repositories of two namespaces, so that no two here share theirs.
BASE = "{registry}/base/image:1"
APP = "{registry}/team/app:1"
OTHER = "{registry}/other/app:1"


def install(folder: Path) -> bool:
    """Install the reference into `folder`, unless it is there. Returns whether it is there."""
    for program in ("node", "npm"):
        if not shutil.which(program):
            print(f"NOT MEASURED, not installed: {program}, and with it container-image-builder")
            return False
    if not (folder / "node_modules/container-image-builder").is_dir():
        folder.mkdir(parents=True, exist_ok=True)
        command = ["npm", "install", "--no-audit", "--no-fund", "--silent", *PACKAGES]
        if subprocess.run(command, cwd=folder, check=False).returncode:
            print("NOT MEASURED: npm cannot install container-image-builder")
            return False
    return True


def make_files(folder: Path, count: int, size: int) -> None:
    """`count` files of `size` bytes; of each four kB one is random, three are text."""
    folder.mkdir()
    chance = random.Random(count)
    words = [b"%x " % chance.getrandbits(chance.randint(4, 32)) for _ in range(3000)]
    text = b"".join(chance.choices(words, k=300_000))
    for number in range(count):
        with open(folder / f"file-{number}.txt", "wb") as file:
            while (left := size - file.tell()) > 0:
                start = chance.randrange(len(text) - 3072)
                file.write((text[start : start + 3072] + chance.getrandbits(8192).to_bytes(1024, "little"))[:left])


class Sides:
    """The commands of both, ready for `compare`."""

    def __init__(self, base: Path, reference: bool) -> None:
        self._base = [*DOCKLESS, "copy", f"oci:{base}", BASE]
        self._reference = reference

    def build(self, folder: Path, again: bool = False) -> dict:
        return self._both(
            [*DOCKLESS, "build", APP, "--base", BASE, "--add", f"{folder}:/app"],
            ["node", str(DRIVER), "build", str(folder), BASE, APP],
            again,
        )

    def copy(self, folder: Path) -> dict:
        built = self.build(folder)
        copied = self._both([*DOCKLESS, "copy", APP, OTHER], ["node", str(DRIVER), "copy", APP, OTHER], False)
        return {name: Side(side.command, (self._base, built[name].command)) for name, side in copied.items()}

    def _both(self, ours: list, theirs: list, again: bool) -> dict:
        commands = {"dockless": ours, **({"reference": theirs} if self._reference else {})}
        return {name: Side(each, (self._base, each) if again else (self._base,)) for name, each in commands.items()}


def start_up(folder: Path, runs: int, reference: bool) -> None:
    """Measure programs that do nothing. The least of several runs counts, because everything else adds to it."""
    print(f"\nstart; target: `dockless --version` under 0.06 s of CPU (load {load():.1f})")
    commands = {"dockless --version": [*DOCKLESS, "--version"]}
    if reference:
        commands["require('container-image-builder')"] = ["node", "-e", "require('container-image-builder')"]
    for name, command in commands.items():
        cost = min(measure(command, str(folder)) for _ in range(max(runs, 5)))
        print(f"{name:36}{cost.cpu:8.3f} s of CPU{cost.rss:9.0f} MB", flush=True)


def main() -> None:
    cases = ("start", "tiny", "files", "file", "again", "copy")
    parser = argparse.ArgumentParser(prog="benchmarks/reference")
    parser.add_argument("--npm", default=os.path.join(tempfile.gettempdir(), "dockless-benchmark-npm"))
    parser.add_argument("--only", default=",".join(cases), help="default: all, %(default)s")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--small", action="store_true")
    options = parser.parse_args()
    print(f"{HEADER}\nOf all: a third of the reference's memory.")
    npm = Path(options.npm)
    reference = install(npm)
    with tempfile.TemporaryDirectory(prefix="dockless-reference-") as scratch:
        folder = Path(scratch)
        alone(scratch)
        if reference:
            (folder / "node_modules").symlink_to(npm / "node_modules")
        make_layout(folder / "base", 1, MB, DOCKER)
        make_files(folder / "tiny", 20, 1000)
        make_files(folder / "files", 2000, 4096)
        make_files(folder / "file", 1, (20 if options.small else 200) * MB)
        sides = Sides(folder / "base", reference)
        chosen = options.only.split(",")
        if "start" in chosen:
            start_up(folder, options.runs, reference)
        tables = {
            "tiny": ("build and push 20 files of 1 kB", "under 0.4 s of CPU", sides.build(folder / "tiny")),
            "files": ("build and push 2,000 files of 4 KiB", "half its CPU", sides.build(folder / "files")),
            "file": ("build and push a file of 200 MB", "no more CPU", sides.build(folder / "file")),
            "again": ("the same once more", "no uploads", sides.build(folder / "file", again=True)),
            "copy": ("copy that to another repository", "no uploads", sides.copy(folder / "file")),
        }
        for name, (title, target, found) in tables.items():
            if name in chosen:
                compare(title, target, found, folder, options.runs)


if __name__ == "__main__":
    main()
