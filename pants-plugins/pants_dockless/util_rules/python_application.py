"""The Python application of an image: its targets, its distributions as a PEX, and its source files."""

import dataclasses
import json
from dataclasses import dataclass
from typing import Any, Optional

from pants.backend.python.goals.package_pex_binary import PexBinaryFieldSet
from pants.backend.python.subsystems.setup import PythonSetup
from pants.backend.python.target_types import (
    ConsoleScript,
    EntryPoint,
    PythonProvidesField,
    PythonSourceField,
)
from pants.backend.python.util_rules.interpreter_constraints import InterpreterConstraints
from pants.backend.python.util_rules.pex import CompletePlatforms, Pex
from pants.backend.python.util_rules.pex_from_targets import (
    ChosenPythonResolveRequest,
    InterpreterConstraintsRequest,
    PexFromTargetsRequest,
)
from pants.backend.python.util_rules.python_sources import PythonSourceFilesRequest
from pants.engine.addresses import Address, Addresses
from pants.engine.fs import EMPTY_DIGEST, Digest
from pants.engine.platform import Platform as HostPlatform
from pants.engine.target import DependenciesRequest, TransitiveTargetsRequest
from pants.util.frozendict import FrozenDict

from dockless.python_layers.interpreter import Interpreter
from pants_dockless import _compat
from pants_dockless._compat import python as pants_python
from pants_dockless.errors import TargetError
from pants_dockless.field_sets import PythonLayersFieldSet
from pants_dockless.util_rules.python_resolution import local_pex, third_party_pex

_MACHINES = {"x86_64": "amd64", "arm64": "arm64", "aarch64": "arm64"}


@dataclass(frozen=True)
class Application:
    """A Python application for one platform.

    targets        the dependencies of the image that are the application
    distributions  a packed PEX with the third-party distributions
    local          a packed PEX with the `python_distribution`s of the repository, if there are any
    sources        a tree with the first-party files, without source roots
    entry_point    `module` or `module:function`, or an empty string
    script         the name of a console script, or an empty string
    lockfile       the path of the lockfile, or an empty string
    """

    targets: tuple[Address, ...]
    distributions: Pex
    local: Optional[Pex]
    sources: Digest
    entry_point: str
    script: str
    arguments: tuple[str, ...]
    env: FrozenDict[str, str]
    lockfile: str


async def find_application(
    field_set: PythonLayersFieldSet, interpreter: Interpreter, python_setup: PythonSetup, host: HostPlatform
) -> Application:
    """Return the application in `dependencies` of an image. Raises TargetError."""
    request = await _request(field_set)
    request = await _for_platform(field_set, request, interpreter, python_setup, host)
    closure = await pants_python.transitive_targets(TransitiveTargetsRequest(request.addresses))
    has_local = any(target.has_field(PythonProvidesField) for target in closure.closure)
    lockfile = ""
    if python_setup.enable_resolves:
        resolve = await pants_python.choose_resolve(ChosenPythonResolveRequest(request.addresses))
        lockfile = resolve.lockfile.url
    sources = EMPTY_DIGEST
    if request.include_source_files:
        stripped = await pants_python.stripped_sources(PythonSourceFilesRequest(closure.closure))
        sources = stripped.stripped_source_files.snapshot.digest
    script = request.main.name if isinstance(request.main, ConsoleScript) else ""
    return Application(
        targets=request.addresses,
        distributions=await third_party_pex(field_set, request, interpreter),
        local=await local_pex(request) if has_local else None,
        sources=sources,
        entry_point=_entry_point(field_set, request),
        script=script,
        arguments=request.inject_args,
        env=request.inject_env,
        lockfile=lockfile,
    )


async def _request(field_set: PythonLayersFieldSet) -> PexFromTargetsRequest:
    """Return the request for a PEX of the application: that of the `pex_binary`, or one for Python sources."""
    targets = await _compat.resolve_dependencies(DependenciesRequest(field_set.dependencies))
    binaries = [target for target in targets if PexBinaryFieldSet.is_applicable(target)]
    sources = [target for target in targets if target.has_field(PythonSourceField)]
    if len(binaries) > 1:
        raise _error(
            field_set,
            f"`dependencies` have {len(binaries)} targets of the type `pex_binary`; only one can be the application",
            cause=", ".join(str(target.address) for target in binaries),
            hint="keep one of them, and add the others to `contents` as files, or write python_layers=False",
        )
    if not binaries and not sources:
        raise _error(
            field_set,
            "`dependencies` have neither a pex_binary nor Python sources",
            hint="add the address of the application to `dependencies`, or remove the field",
        )
    addresses = Addresses(target.address for target in (*binaries, *sources))
    if not binaries:
        return PexFromTargetsRequest(addresses, output_filename="application.pex", internal_only=False)
    request = await pants_python.request_of_pex_binary(PexBinaryFieldSet.create(binaries[0]))
    return dataclasses.replace(request, addresses=addresses)


async def _for_platform(
    field_set: PythonLayersFieldSet,
    request: PexFromTargetsRequest,
    interpreter: Interpreter,
    python_setup: PythonSetup,
    host: HostPlatform,
) -> PexFromTargetsRequest:
    """Return the request for one platform and one version of CPython. Raises TargetError."""
    if request.platforms:
        raise _error(
            field_set, "the pex_binary has the field `platforms`", hint="use `complete_platforms` of the pex_binary"
        )
    constraints = await pants_python.interpreter_constraints(InterpreterConstraintsRequest(request.addresses))
    versions = constraints.partition_into_major_minor_versions(python_setup.interpreter_versions_universe)
    if interpreter.version not in versions:
        raise TargetError(
            field_set.address,
            field_set.python.alias,
            f"the interpreter of the image, {interpreter.path}, does not match the interpreter constraints of the "
            "application",
            cause=f"the constraints {constraints} allow {', '.join(versions)}",
            hint="use a base with another version of CPython, or change `interpreter_constraints`",
        )
    if request.complete_platforms:
        return await _for_complete_platform(field_set, request, interpreter)
    machine = host.value.partition("_")[2]
    if not host.value.startswith("linux_") or field_set.platform != f"linux/{_MACHINES.get(machine, machine)}":
        raise _error(
            field_set,
            f"the distributions for {field_set.platform} cannot be selected on {host.value}",
            hint="add a file for this platform to `complete_platforms` of the pex_binary",
        )
    exact = InterpreterConstraints([f"CPython=={interpreter.version}.*"])
    return dataclasses.replace(request, hardcoded_interpreter_constraints=exact)


async def _for_complete_platform(
    field_set: PythonLayersFieldSet, request: PexFromTargetsRequest, interpreter: Interpreter
) -> PexFromTargetsRequest:
    """Return the request for the file of `complete_platforms` that describes the platform and the interpreter."""
    described = []
    for file in await _compat.digest_contents(request.complete_platforms.digest):
        platform, version = _described_platform(file.content)
        if (platform, version) == (field_set.platform.rpartition("/v")[0] or field_set.platform, interpreter.version):
            one = CompletePlatforms([file.path], digest=request.complete_platforms.digest)
            return dataclasses.replace(request, complete_platforms=one)
        described.append(f"{file.path} is for CPython {version} on {platform}")
    raise _error(
        field_set,
        f"`complete_platforms` of the pex_binary has no file for CPython {interpreter.version} on {field_set.platform}",
        cause=", ".join(described),
        hint="write the file with `pex3 interpreter inspect --markers --tags` on this platform, and add the file to "
        "`complete_platforms`",
    )


def _described_platform(content: bytes) -> tuple[str, str]:
    """Return the platform and the version of CPython that a file of `complete_platforms` describes."""
    try:
        document: Any = json.loads(content)
        environment = document["marker_environment"]
        machine = str(environment["platform_machine"])
        return f"{environment['sys_platform']}/{_MACHINES.get(machine, machine)}", str(environment["python_version"])
    except (ValueError, KeyError, TypeError):
        return "an unknown platform", "of an unknown version"


def _entry_point(field_set: PythonLayersFieldSet, request: PexFromTargetsRequest) -> str:
    main = request.main
    if main is None or isinstance(main, ConsoleScript):
        return ""
    if not isinstance(main, EntryPoint):
        raise _error(
            field_set,
            "the pex_binary has the field `executable`, which cannot be the entrypoint of an image with Python layers",
            hint="use `entry_point` or `script` of the pex_binary, or python_layers=False of the image",
        )
    return f"{main.module}:{main.function}" if main.function else main.module


def _error(field_set: PythonLayersFieldSet, problem: str, *, cause: str = "", hint: str = "") -> TargetError:
    return TargetError(field_set.address, "python_layers", problem, cause=cause, hint=hint)
