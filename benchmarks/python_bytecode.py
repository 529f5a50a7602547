"""Where bytecode is: in the layer of its distribution, or in one beside. The bytes that a push sends after a change.

benchmarks/python-layers --bytecode PYTHON OTHER_PYTHON    # two releases of CPython 3.11
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Callable

from dockless.layer import LayerSpec, build_layer
from dockless.layer.spec import Listing, Source
from dockless.python_layers.bytecode import Compiler, compile_files
from dockless.python_layers.normalize import normalize
from dockless.python_layers.paths import ROOT

Wheels = Mapping[str, Path]


class Compiled:
    """Unpacked wheels with the bytecode of one interpreter."""

    def __init__(self, directory: Path, python: str) -> None:
        self.directory = directory
        self.compiler = Compiler(python, "3.11", python)
        self._found: dict[Path, tuple[str, tuple[str, ...], tuple[str, ...], tuple[str, ...]]] = {}

    def sources(self, wheels: Iterable[Path]) -> tuple[list[Source], list[Source]]:
        """Return the sources of the files of wheels, and those of their bytecode."""
        files, bytecode = [], []
        for wheel in wheels:
            if wheel not in self._found:
                root = str(self.directory / str(len(self._found)))
                found = normalize(str(wheel), root)
                paths = tuple(file.path for file in found.files)
                executables = tuple(file.path for file in found.files if file.executable)
                self._found[wheel] = (root, paths, executables, compile_files(root, ROOT, paths, self.compiler))
            root, paths, executables, compiled = self._found[wheel]
            files.append(Source(root, ROOT, origin=wheel.name, listing=Listing(paths, executables)))
            bytecode.append(Source(root, ROOT, origin=wheel.name, listing=Listing(compiled)))
        return files, bytecode


def print_table(
    services: Mapping[str, Wheels], rule: Callable[[Wheels], list[list[Path]]], pythons: tuple[str, str]
) -> None:
    """Print a table of the bytes and layers after a change. The first service is the one that changes."""
    with tempfile.TemporaryDirectory() as root:
        blobs = os.path.join(root, "blobs")
        os.mkdir(blobs)
        compiled = []
        for number, python in enumerate(pythons):
            directory = Path(root, str(number))
            directory.mkdir()
            compiled.append(Compiled(directory, python))

        def build(*sources: Source) -> tuple[str, int]:
            built = build_layer(LayerSpec(tuple(sources)), blobs)
            return str(built.descriptor.digest), built.descriptor.size

        def inside(wheels: Wheels, by: Compiled) -> set[tuple[str, int]]:
            return {build(*files, *bytecode) for files, bytecode in map(by.sources, rule(wheels))}

        def beside(wheels: Wheels, by: Compiled) -> set[tuple[str, int]]:
            parts = [part for pair in map(by.sources, rule(wheels)) for part in pair]
            return {build(*part) for part in parts if any(source.listing and source.listing.files for source in part)}

        first, *others = services.values()
        print(
            "| bytecode | number | all bytes | " + " | ".join([*list(services)[1:], "other release of CPython"]) + " |"
        )
        print("| --- | ---: | ---: |" + " ---: |" * len(services))
        for label, layers in (("in the layer of its distribution", inside), ("in a layer beside", beside)):
            before = layers(first, compiled[0])
            cells = [str(len(before)), f"{sum(size for _, size in before):,}"]
            for after in (*(layers(other, compiled[0]) for other in others), layers(first, compiled[1])):
                new = after - before
                cells.append(f"{sum(size for _, size in new):,} ({len(new)})")
            print(f"| {label} | {' | '.join(cells)} |", flush=True)
