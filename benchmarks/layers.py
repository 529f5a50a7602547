"""The command `benchmarks/layers`."""

import argparse
import os
import random
import shutil
import subprocess
import sys
import sysconfig
import tempfile

from measure import load, measure, median

DOCKLESS = """
import sys
from dockless.layer import LayerSpec, Source, build_layer
build_layer(LayerSpec((Source(sys.argv[1], "/app"),), compression=sys.argv[3]), sys.argv[2])
"""
TARFILE = """
import gzip, hashlib, sys, tarfile
inside, outside = hashlib.sha256(), hashlib.sha256()
class Hashed:
    def __init__(self, sink, digest): self.sink, self.digest = sink, digest
    def write(self, data): self.digest.update(data); return self.sink.write(data)
    def flush(self): pass
with open(sys.argv[2], "wb") as file:
    with gzip.GzipFile(fileobj=Hashed(file, outside), mode="wb", compresslevel=int(sys.argv[3]), mtime=0) as packed:
        with tarfile.open(fileobj=Hashed(packed, inside), mode="w|") as tar:
            tar.add(sys.argv[1], "app")
"""
# The minimum work of a layer builder, in one thread: reading, libdeflate, both digests and writing.
MINIMUM = """
import hashlib, os, sys
from dockless.layer.compression.libdeflate import Compressor
compressor, inside, outside = Compressor(1), hashlib.sha256(), hashlib.sha256()
block = bytearray(1 << 20); view = memoryview(block); at = 0
def put(data):
    inside.update(data); packed = compressor.gzip(data); outside.update(packed); sink.write(packed)
with open(sys.argv[2], "wb", buffering=0) as sink:
    for directory, _, names in os.walk(sys.argv[1]):
        for name in names:
            fd = os.open(os.path.join(directory, name), os.O_RDONLY)
            while n := os.readv(fd, [view[at:]]):
                at += n
                if at == 1 << 20:
                    put(view); at = 0
            os.close(fd)
    if at:
        put(view[:at])
"""
SHELL_TAR = 'tar --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner --format=ustar -C "$1" -cf - .'
DIGESTS = "tee >(openssl dgst -sha256 >/dev/null)"


def peers(out: str) -> dict:
    """Return the commands of all builders: name -> arguments, or None if a program is not installed.

    `{}` in an argument stands for the directory of the input.
    """

    def if_installed(programs: str, *argv: str):
        return list(argv) if all(map(shutil.which, programs.split())) else None

    def shell(text: str):
        return ("bash", "-c", text, "bash", "{}", f"{out}/peer")

    image = f"{out}/umoci"
    return {
        "dockless gzip": [sys.executable, "-c", DOCKLESS, "{}", out, "gzip"],
        "dockless zstd": [sys.executable, "-c", DOCKLESS, "{}", out, "zstd"],
        "C kernels alone": [sys.executable, "-c", MINIMUM, "{}", f"{out}/peer"],
        "tar + crane append": if_installed(
            "crane tar",
            *shell(f"{SHELL_TAR} > $2.tar && crane append --oci-empty-base -f $2.tar -t x/y:z -o $2"),
        ),
        "tar + pigz -1, digests": if_installed(
            "tar pigz openssl", *shell(f"{SHELL_TAR} | {DIGESTS} | pigz -1n | {DIGESTS} >$2")
        ),
        "tar + gzip -1, digests": if_installed(
            "tar gzip openssl", *shell(f"{SHELL_TAR} | {DIGESTS} | gzip -1n | {DIGESTS} >$2")
        ),
        "umoci insert": if_installed(
            "umoci",
            *shell(
                f"rm -rf {image}; umoci init --layout {image} && umoci new --image {image}:x && "
                f'umoci insert --image {image}:x "$1" /app'
            ),
        ),
        "buildah": if_installed(
            "buildah",
            *shell(
                'b="buildah --storage-driver vfs"; c=$($b from scratch) && $b copy -q $c "$1" /app && '
                "$b commit -q --timestamp 0 $c oci:$2.oci && "
                "$b rm $c"
            ),
        ),
        "tarfile + gzip 1": [sys.executable, "-c", TARFILE, "{}", f"{out}/peer", "1"],
    }


def inputs(parent: str, big: bool) -> dict:
    """Return the directories of the inputs by name. Inputs that do not exist are created."""
    makers = {
        "site-packages": site_packages,
        "stdlib": stdlib,
        "wheel": wheel,
        "20k files": lambda path: small_files(path, 20_000),
        "100k files": lambda path: small_files(path, 100_000),
    }
    if big:
        makers["4 GB"] = one_big_file
    directories = {}
    for name, make in makers.items():
        path = os.path.join(parent, name.replace(" ", "-"))
        if not os.path.isdir(path):
            print(f"Making {name}...", file=sys.stderr)
            make(f"{path}.new")
            os.rename(f"{path}.new", path)
        directories[name] = path
    return directories


def site_packages(path: str) -> None:
    pip = [sys.executable, "-m", "pip", "install", "-q", "--no-compile", "--no-warn-conflicts", "-t", path]
    subprocess.run([*pip, "numpy", "pandas", "scipy", "requests"], check=True)


def stdlib(path: str) -> None:
    ignore = shutil.ignore_patterns("__pycache__", "site-packages", "*.so", "*.a")
    shutil.copytree(sysconfig.get_paths()["stdlib"], path, ignore=ignore, symlinks=True)


def wheel(path: str) -> None:
    pip = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", path]
    subprocess.run([*pip, "scipy"], check=True)


def small_files(path: str, n: int) -> None:
    generator = random.Random(n)
    words = [bytes(generator.choices(b"abcdefghijklmnopqrstuvwxyz", k=generator.randint(2, 9))) for _ in range(3000)]
    for number in range(n):
        directory = os.path.join(path, f"{number % 97}", f"{number % 31}")
        os.makedirs(directory, exist_ok=True)
        size = int(generator.expovariate(1 / 2000))
        with open(os.path.join(directory, f"file-{number}.txt"), "wb") as file:
            file.write(b" ".join(generator.choices(words, k=size // 6 + 1))[:size])


def one_big_file(path: str) -> None:
    os.makedirs(path)
    generator = random.Random(4)
    block = b"".join(b"%d " % generator.randrange(10**6) for _ in range(150_000))[: 1 << 20]
    with open(os.path.join(path, "big"), "wb") as file:
        for _ in range(4096):
            file.write(block)


def main() -> None:
    parser = argparse.ArgumentParser(prog="benchmarks/layers")
    parser.add_argument("--inputs", default=os.path.join(tempfile.gettempdir(), "dockless-benchmark-inputs"))
    parser.add_argument("--only", default="")
    parser.add_argument("--peers", default="", help="names of the first column, separated by semicolons")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--big", action="store_true")
    options = parser.parse_args()
    os.makedirs(options.inputs, exist_ok=True)
    chosen = [name for name in options.only.split(",") if name]
    with tempfile.TemporaryDirectory() as out:
        commands = peers(out)
        for name, argv in commands.items():
            if argv is None:
                print(f"NOT MEASURED, not installed: {name}")
        selected = options.peers.split(";") if options.peers else list(commands)
        for name, directory in inputs(options.inputs, options.big).items():
            if not chosen or name in chosen:
                table(name, directory, {k: v for k, v in commands.items() if v and k in selected}, out, options.runs)


def table(name: str, directory: str, commands: dict, out: str, runs: int) -> None:
    costs = {peer: [] for peer in commands}
    sizes = {}
    for _ in range(runs):
        for peer, argv in commands.items():
            clear(out)
            costs[peer].append(measure([part.replace("{}", directory) for part in argv], out))
            sizes[peer] = written(out)
    own = median(costs["dockless gzip"])
    print(f"\n{name} (load {load():.1f})")
    print(f"{'':24}{'CPU s':>8}{'x':>7}{'wall s':>9}{'x':>7}{'RSS MB':>9}{'out MB':>9}")
    for peer, measured in costs.items():
        cost = median(measured)
        print(
            f"{peer:24}{cost.cpu:8.2f}{cost.cpu / own.cpu:7.2f}{cost.wall:9.2f}{cost.wall / own.wall:7.2f}"
            f"{cost.rss:9.0f}{sizes[peer] / 1e6:9.1f}",
            flush=True,
        )


def clear(out: str) -> None:
    for entry in os.scandir(out):
        shutil.rmtree(entry.path) if entry.is_dir() else os.unlink(entry.path)


def written(out: str) -> int:
    """Return the size of the largest file below `out`: the layer, or the archive that contains the layer."""
    return max((os.path.getsize(os.path.join(d, f)) for d, _, files in os.walk(out) for f in files), default=0)


if __name__ == "__main__":
    main()
