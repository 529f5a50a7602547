"""The bytes that a push of a Python service sends after a change, for several ways to make layers.

    benchmarks/python-layers    # prints the table of docs/python.md

The wheels of benchmarks/python/*.txt are downloaded from PyPI to `.cache/python-layers` (about 100 MB) for CPython 3.11
on x86-64. All layers are compressed as Dockless compresses them, also those of the other ways.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

from dockless.layer import InlineFile, Layer, LayerSpec
from dockless.python_layers.builder import MemberSpec, PythonLayerSpec, build_python_layer
from dockless.python_layers.distribution import WheelName
from dockless.python_layers.grouping import Candidate, GroupingRule, group
from dockless.python_layers.normalize import normalize

ROOT = Path(__file__).resolve().parents[1]
PEX = "pex==2.97.1"
Wheels = dict[str, Path]


class Blob(NamedTuple):
    digest: str
    size: int


def download(directory: Path, name: str, *, constraints: Wheels | None = None) -> Wheels:
    """Return the wheels of benchmarks/python/NAME.txt, which are downloaded once."""
    target = directory / name
    if not target.exists():
        pins = directory / "constraints.txt"
        names = map(WheelName.parse, sorted(path.name for path in (constraints or {}).values()))
        pins.write_text("".join(f"{wheel.name}=={wheel.version}\n" for wheel in names))
        platforms = ("manylinux_2_28_x86_64", "manylinux_2_17_x86_64", "manylinux2014_x86_64")
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--only-binary=:all:", "--python-version=3.11"]
        command += [f"--platform={platform}" for platform in platforms]
        command += ["--no-deps"] if name in ("small", "big") else ["-c", str(pins)]
        with tempfile.TemporaryDirectory(dir=directory) as downloaded:
            requirements = ROOT / f"benchmarks/python/{name}.txt"
            subprocess.run([*command, "-d", downloaded, "-r", requirements], check=True)
            os.chmod(downloaded, 0o755)
            os.rename(downloaded, target)
            os.mkdir(downloaded)
    return {WheelName.parse(path.name).name: path for path in sorted(target.glob("*.whl"))}


def layer(members: Iterable[Path], directory: str) -> Blob:
    specs = tuple(MemberSpec(str(path), path.name) for path in members)
    built = build_python_layer(PythonLayerSpec(specs, LayerSpec()), directory, directory)
    return Blob(str(built.descriptor.digest), built.descriptor.size)


def application(directory: str, text: str) -> Blob:
    built = Layer.from_files({"/opt/venv/app/main.py": InlineFile(text)}).build(directory)
    return Blob(str(built.descriptor.digest), built.descriptor.size)


def recommended(wheels: Wheels) -> list[list[Path]]:
    candidates = [
        Candidate(name, normalize(str(path)).size, WheelName.parse(path.name).is_pure) for name, path in wheels.items()
    ]
    return [[wheels[name] for name in found.names] for found in group(candidates, GroupingRule())]


RULES: dict[str, Callable[[Wheels], list[list[Path]]]] = {
    "one layer of distributions (two PEX files)": lambda wheels: [[wheels[name] for name in sorted(wheels)]],
    "a layer per distribution": lambda wheels: [[wheels[name]] for name in sorted(wheels)],
    "**`python_layers`**": recommended,
}


def single_pex(wheels: Wheels, cache: Path, directory: str, text: str) -> Blob:
    """Return the layer of a PEX file, as pex writes the file."""
    site = cache / "pex"
    if not site.exists():
        subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", "--target", site, PEX], check=True)
    with tempfile.TemporaryDirectory() as scratch:
        sources = Path(scratch, "sources")
        sources.mkdir()
        (sources / "main.py").write_text(text)
        file = Path(scratch, "service.pex")
        command = [
            sys.executable,
            "-m",
            "pex",
            "--no-pypi",
            "--intransitive",
            "-D",
            sources,
            "-o",
            file,
            *wheels.values(),
        ]
        env = {**os.environ, "PYTHONPATH": str(site), "PEX_ROOT": str(cache / "pex-root")}
        subprocess.run(command, check=True, env=env, stdout=subprocess.DEVNULL)
        assert zipfile.is_zipfile(file)
        built = Layer.from_files({"/app/service.pex": file}).build(directory)
    return Blob(str(built.descriptor.digest), built.descriptor.size)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cache", type=Path, default=ROOT / ".cache/python-layers")
    cache = parser.parse_args().cache
    cache.mkdir(parents=True, exist_ok=True)
    wheels = download(cache, "service")
    changes = {
        "first-party line": (wheels, "print('changed')\n"),
        "small dependency": ({**wheels, **download(cache, "small")}, "print()\n"),
        "big dependency": ({**wheels, **download(cache, "big")}, "print()\n"),
        "second service": (download(cache, "second", constraints=wheels), "print('second')\n"),
    }
    second = changes["second service"][0]
    common = len({path.name for path in wheels.values()} & {path.name for path in second.values()})
    print(f"{len(wheels)} distributions; {common} of the {len(second)} of the second service are the same.\n")
    print("| layers | number | all bytes | " + " | ".join(changes) + " |")
    print("| --- | ---: | ---: |" + " ---: |" * len(changes))
    with tempfile.TemporaryDirectory() as directory:
        rows: dict[str, Callable[[Wheels, str], set[Blob]]] = {
            "a PEX file": lambda w, text: {single_pex(w, cache, directory, text)},
        }
        built: dict[tuple[Path, ...], Blob] = {}

        def blobs(rule: Callable[[Wheels], list[list[Path]]], w: Wheels, text: str) -> set[Blob]:
            keys = [tuple(members) for members in rule(w)]
            for key in keys:
                if key not in built:
                    built[key] = layer(key, directory)
            return {application(directory, text), *(built[key] for key in keys)}

        for label, rule in RULES.items():
            rows[label] = lambda w, text, rule=rule: blobs(rule, w, text)  # type: ignore[misc]
        for label, row in rows.items():
            before = row(wheels, "print()\n")
            cells = [str(len(before)), f"{sum(blob.size for blob in before):,}"]
            for changed, text in changes.values():
                new = row(changed, text) - before
                cells.append(f"{sum(blob.size for blob in new):,} ({len(new)})")
            print(f"| {label} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
