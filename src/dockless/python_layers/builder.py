"""Builds the layer of several distributions."""

from __future__ import annotations

import os
import shutil
from typing import Any, NamedTuple

from dockless.errors import LayerError
from dockless.layer.builder import BuiltLayer, build_layer
from dockless.layer.spec import LayerSpec, Listing, Source
from dockless.python_layers.bytecode import Compiler, compile_files
from dockless.python_layers.distribution import Distribution
from dockless.python_layers.normalize import normalize
from dockless.python_layers.paths import APPLICATION, ROOT

_SCRATCH = "distributions"


class MemberSpec(NamedTuple):
    """A distribution of a layer: the path of its zip file or directory, and the files that it does not provide."""

    path: str
    name: str
    omitted: tuple[str, ...] = ()


class PythonLayerSpec(NamedTuple):
    """A layer of distributions, or of an application.

    `members` are the distributions, and the sources of `layer` the modules of the application. With
    `compiler`, the layer contains the bytecode of all modules.
    """

    members: tuple[MemberSpec, ...] = ()
    layer: LayerSpec = LayerSpec()
    compiler: Compiler | None = None

    def to_json(self) -> dict[str, Any]:
        """Return plain data for `from_json`."""
        return {
            "members": [list(member) for member in self.members],
            "layer": self.layer.to_json(),
            "compiler": list(self.compiler) if self.compiler else None,
        }

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> PythonLayerSpec:
        """Return the spec that `to_json` described."""
        members = tuple(MemberSpec(path, name, tuple(omitted)) for path, name, omitted in value["members"])
        compiler = Compiler(*value["compiler"]) if value["compiler"] else None
        return cls(members, LayerSpec.from_json(value["layer"]), compiler)


def build_python_layer(
    spec: PythonLayerSpec, directory: str, scratch: str, *, threads: int | None = None
) -> BuiltLayer:
    """Build a layer into `directory`; see `build_layer`. The files are unpacked to a directory below `scratch`.

    Raises LayerError.
    """
    root = os.path.join(scratch, _SCRATCH)
    provided: set[str] = set()
    sources = []
    try:
        for source in spec.layer.sources:
            assert source.listing is not None
            sources.append(source)
            if spec.compiler:
                compiled = compile_files(source.path, APPLICATION, source.listing.files, spec.compiler)
                listing = source.listing._replace(files=(*source.listing.files, *compiled))
                sources[-1] = source._replace(listing=listing)
        for n, member in enumerate(spec.members):
            unpacked = os.path.join(root, str(n))
            distribution = _normalize(member, unpacked)
            listing = _listing(distribution, provided.union(member.omitted))
            provided.update(listing.files)
            if spec.compiler:
                compiled = compile_files(unpacked, ROOT, listing.files, spec.compiler)
                listing = listing._replace(files=(*listing.files, *compiled))
                provided.update(compiled)
            sources.append(Source(unpacked, ROOT, origin=member.name, listing=listing))
        return build_layer(spec.layer._replace(sources=tuple(sources)), directory, threads=threads)
    finally:
        shutil.rmtree(root, ignore_errors=True)


def _normalize(member: MemberSpec, unpacked: str) -> Distribution:
    try:
        return normalize(member.path, unpacked)
    except LayerError as error:
        raise LayerError(f"{member.name}: {error.problem}", cause=error.cause, hint=error.hint) from error


def _listing(distribution: Distribution, without: set[str]) -> Listing:
    """Return the files of a distribution, apart from those that another one of the layer provides."""
    files = [file for file in distribution.files if file.path not in without]
    return Listing(tuple(file.path for file in files), tuple(file.path for file in files if file.executable))
