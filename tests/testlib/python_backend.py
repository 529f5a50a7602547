"""A Backend with Pants' Python backend, whose pex copies given wheels instead of resolving requirements.

The real pex needs several seconds of CPU for each test. tests/integration/test_python.py runs the real pex.
"""

import hashlib
import json
import re
import sys
import tempfile
from pathlib import Path

from made_wheels import made_wheel
from pants.backend.python import target_types_rules
from pants.backend.python.goals import package_dists, package_pex_binary
from pants.backend.python.macros.python_artifact import PythonArtifact
from pants.backend.python.subsystems.setuptools import PythonDistributionFieldSet
from pants.backend.python.target_types import (
    PexBinariesGeneratorTarget,
    PexBinary,
    PythonDistribution,
    PythonRequirementTarget,
    PythonSourcesGeneratorTarget,
    PythonSourceTarget,
)
from pants.backend.python.util_rules import local_dists, pex, pex_from_targets, python_sources
from pants.core.goals.package import BuiltPackage, BuiltPackageArtifact
from pants.core.util_rules import stripped_source_files
from pants.engine.fs import CreateDigest, FileContent
from pants.engine.rules import collect_rules, rule
from pants_backend import Backend, make_backend

from pants_dockless import _compat
from pants_dockless.python import register

VERSION = f"{sys.version_info[0]}.{sys.version_info[1]}"
_PEX = '''\
#!/usr/bin/env python3
"""A pex that copies the wheels of an index for its requirements, and records its arguments."""
import json, os, shutil, sys, tempfile
directory = {directory!r}
arguments = sys.argv[1:]
with open(os.path.join(directory, "runs.txt"), "a") as file:
    file.write(json.dumps(arguments) + "\\n")
if "--version" in arguments:
    sys.exit()
if "--" in arguments:
    # Pants asks for the path of an interpreter.
    os.execv(sys.executable, [sys.executable, *arguments[arguments.index("--") + 1 :]])
output = arguments[arguments.index("--output-file") + 1]
index = {index!r}
platform = next((n for n in ("arm64", "amd64") if any(n in a for a in arguments if a.endswith(".platform.json"))), "")
packed = output if "packed" in arguments else tempfile.mkdtemp()
os.makedirs(packed + "/.deps")
for n, argument in enumerate(arguments):
    if argument.endswith(".whl"):
        shutil.copy(argument, packed + "/.deps")
    elif argument == "--requirements-pex":
        if os.path.isdir(arguments[n + 1]):
            shutil.copytree(arguments[n + 1], packed, dirs_exist_ok=True)
        else:
            shutil.unpack_archive(arguments[n + 1], packed, "zip")
names = [argument for argument in arguments if argument in index]
for name in names or (index if "--lock" in arguments else ()):
    for wheel in index.get(platform + "/" + name, index.get(name, ())):
        if not wheel.endswith(".whl"):
            sys.exit(wheel)
        shutil.copyfile(wheel, packed + "/.deps/" + os.path.basename(wheel))
if packed != output:
    shutil.move(shutil.make_archive(packed, "zip", packed), output)
'''


class PythonBackend(Backend):
    """A Backend; `index` maps requirements to wheels, or to the text of an error of pex."""

    def serve(self, directory: Path, index: dict, *options: str, version: str = VERSION) -> None:
        """Set the options, with a pex that provides `index`."""
        names = {
            name: [str(wheel) for wheel in (wheels if isinstance(wheels, list) else [wheels])]
            for name, wheels in index.items()
        }
        pex = directory / "pex"
        # Pants caches the runs of a program: another index is another program.
        pex.write_text(_PEX.format(directory=str(directory), index=names))
        data = pex.read_bytes()
        self.set_options(
            [
                "--pex-cli-version=v2.100.0",
                f"--pex-cli-url-template=file://{pex}",
                f"--pex-cli-known-versions=['v2.100.0|linux_x86_64|{hashlib.sha256(data).hexdigest()}|{len(data)}']",
                f"--python-bootstrap-search-path=['{Path(sys.base_prefix) / 'bin'}']",
                f"--python-interpreter-constraints=['CPython=={version}.*']",
                "--source-root-patterns=['/']",
                "--no-python-infer-imports",
                "--no-python-enable-lockfile-targets",
                *options,
            ],
            env_inherit={"PATH"},
        )

    @staticmethod
    def runs(directory: Path) -> list:
        """Return the arguments of each run of pex."""
        return [json.loads(line) for line in (directory / "runs.txt").read_text().splitlines()]


@rule
async def package_distribution(field_set: PythonDistributionFieldSet) -> BuiltPackage:
    """Return the wheel of a `python_distribution` without running its build backend."""
    with tempfile.TemporaryDirectory() as directory:
        files = {"app/local.py": "X = 1\n"}
        wheel = made_wheel(Path(directory), "local", files)
        file = FileContent(wheel.name, wheel.read_bytes())
    digest = await _compat.create_digest(CreateDigest([file]))
    return BuiltPackage(digest, (BuiltPackageArtifact(wheel.name),))


def make_python_backend() -> PythonBackend:
    modules = (
        target_types_rules,
        package_dists,
        package_pex_binary,
        local_dists,
        pex,
        pex_from_targets,
        python_sources,
        stripped_source_files,
        register,
    )
    targets = (
        PexBinariesGeneratorTarget,
        PexBinary,
        PythonDistribution,
        PythonRequirementTarget,
        PythonSourcesGeneratorTarget,
        PythonSourceTarget,
    )
    rules = [
        one
        for module in modules
        for one in module.rules()
        if getattr(getattr(one, "func", None), "__name__", "") != "package_python_dist"
    ]
    objects = {"python_artifact": PythonArtifact}
    runner = make_backend([*rules, *collect_rules({"f": package_distribution})], targets, objects)
    runner.__class__ = type("PythonBackend", (PythonBackend,), {})
    return runner


def blob_names(description: dict) -> list:
    """Return what each layer of a description is for."""
    return [re.sub(r" [0-9]+$", "", layer.get("content", "")) for layer in description["layers"]]
