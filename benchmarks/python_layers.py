"""The bytes, layers and requests of a push of a Python service after a change, for several ways to make layers.

    benchmarks/python-layers    # prints the table of docs/python.md

The wheels of benchmarks/python/*.txt are downloaded from PyPI to `.cache/python-layers` (about 100 MB) for CPython 3.11
on x86-64. All layers are compressed as Dockless compresses them, also those of the other ways.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

from python_bytecode import print_table

from dockless import copy_image
from dockless.layer import BuiltLayer, InlineFile, Layer, LayerSpec, build_layer
from dockless.python_layers.builder import MemberSpec, PythonLayerSpec, build_python_layer
from dockless.python_layers.distribution import WheelName
from dockless.python_layers.grouping import Candidate, GroupingRule, group
from dockless.python_layers.interpreter import Interpreter
from dockless.python_layers.normalize import normalize
from dockless.python_layers.venv import venv_layer
from dockless.testing import Registry

ROOT = Path(__file__).resolve().parents[1]
PEX = "pex==2.97.1"
Wheels = dict[str, Path]


class Blob(NamedTuple):
    """A layer. The blobs are in the directory `blobs/sha256` of an OCI layout."""

    digest: str
    size: int
    diff_id: str

    @classmethod
    def of(cls, built: BuiltLayer) -> Blob:
        return cls(str(built.descriptor.digest), built.descriptor.size, str(built.diff_id))


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
    return Blob.of(built)


def venv(directory: str) -> Blob:
    return Blob.of(build_layer(venv_layer(Interpreter.parse("/usr/bin/python3.11"), "gzip"), directory))


def application(directory: str, text: str) -> Blob:
    built = Layer.from_files({"/opt/venv/app/main.py": InlineFile(text)}).build(directory)
    return Blob.of(built)


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
    return Blob.of(built)


def push(blobs: Iterable[Blob], layout: Path, registry: Registry) -> int:
    """Push an image with these layers, and return the number of requests."""

    def document(media_type: str, value: dict[str, object]) -> dict[str, object]:
        data = json.dumps(value).encode()
        digest = hashlib.sha256(data).hexdigest()
        (layout / "blobs/sha256" / digest).write_bytes(data)
        return {"mediaType": media_type, "digest": f"sha256:{digest}", "size": len(data)}

    oci = "application/vnd.oci.image"
    layers = sorted(blobs)
    rootfs = {"type": "layers", "diff_ids": [blob.diff_id for blob in layers]}
    config = document(f"{oci}.config.v1+json", {"os": "linux", "architecture": "amd64", "rootfs": rootfs})
    described = [{"mediaType": f"{oci}.layer.v1.tar+gzip", "digest": b.digest, "size": b.size} for b in layers]
    manifest = {"schemaVersion": 2, "mediaType": f"{oci}.manifest.v1+json", "config": config, "layers": described}
    index = {"schemaVersion": 2, "manifests": [document(f"{oci}.manifest.v1+json", manifest)]}
    (layout / "index.json").write_text(json.dumps(index))
    (layout / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    registry.reset_requests()
    copy_image(f"oci:{layout}", f"{registry.host}/service:latest")
    return len(registry.requests)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cache", type=Path, default=ROOT / ".cache/python-layers")
    parser.add_argument("--bytecode", nargs=2, metavar="PYTHON", help="compare where bytecode can be instead")
    arguments = parser.parse_args()
    cache = arguments.cache
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
    if arguments.bytecode:
        services = {"": wheels, **{name: changed for name, (changed, _) in list(changes.items())[1:]}}
        print_table(services, recommended, tuple(arguments.bytecode))
        return
    print(f"{len(wheels)} distributions; {common} of the {len(second)} of the second service are the same.\n")
    print("| layers | number | all bytes | " + " | ".join(changes) + " |")
    print("| --- | ---: | ---: |" + " ---: |" * len(changes))
    with tempfile.TemporaryDirectory() as root:
        layout = Path(root)
        (layout / "blobs/sha256").mkdir(parents=True)
        directory = str(layout / "blobs/sha256")
        rows: dict[str, Callable[[Wheels, str], set[Blob]]] = {
            "a PEX file": lambda w, text: {single_pex(w, cache, directory, text)},
        }
        built: dict[tuple[Path, ...], Blob] = {}

        def blobs(rule: Callable[[Wheels], list[list[Path]]], w: Wheels, text: str) -> set[Blob]:
            keys = [tuple(members) for members in rule(w)]
            for key in keys:
                if key not in built:
                    built[key] = layer(key, directory)
            return {application(directory, text), venv(directory), *(built[key] for key in keys)}

        for label, rule in RULES.items():
            rows[label] = lambda w, text, rule=rule: blobs(rule, w, text)  # type: ignore[misc]
        for label, row in rows.items():
            before = row(wheels, "print()\n")
            images = [row(changed, text) for changed, text in changes.values()]
            with Registry() as registry:
                first = push(before, layout, registry)
            cells = [str(len(before)), f"{sum(blob.size for blob in before):,}; {first} req."]
            for image in images:
                with Registry() as registry:
                    push(before, layout, registry)
                    requests = push(image, layout, registry)
                new = image - before
                cells.append(f"{sum(blob.size for blob in new):,} ({len(new)}); {requests} req.")
            print(f"| {label} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
