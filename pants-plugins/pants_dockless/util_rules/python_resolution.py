"""The distributions of an application as packed PEX files, and the error for a wheel that is missing."""

import re

from pants.backend.python.target_types import PexLayout
from pants.backend.python.util_rules.interpreter_constraints import InterpreterConstraints
from pants.backend.python.util_rules.pex import CompletePlatforms, Pex, PexRequest
from pants.backend.python.util_rules.pex_from_targets import ChosenPythonResolveRequest, PexFromTargetsRequest
from pants.backend.python.util_rules.pex_requirements import EntireLockfile
from pants.engine.process import ProcessExecutionFailure

from dockless.python_layers.interpreter import Interpreter
from pants_dockless._compat import python as pants_python
from pants_dockless.errors import TargetError
from pants_dockless.field_sets import PythonLayersFieldSet

_PEX = "distributions.pex"
_LOCAL_PEX = "local.pex"
# What pex prints for a lockfile in its own format, and what pip prints.
_MISSING = (
    re.compile(
        r"^ *[0-9]+\.\) (?P<name>\S+) (?P<version>\S+) \(via: .*\) does not have any compatible artifacts", re.M
    ),
    re.compile(r"No matching distribution found for (?P<name>[\w.-]+)(?:\[[^\]]*\])?(?P<version>[^\s;]*)"),
    re.compile(r"No pre-built wheel was available for (?P<name>\S+) (?P<version>\S+?)\.?$", re.M),
)


async def third_party_pex(
    field_set: PythonLayersFieldSet, request: PexFromTargetsRequest, interpreter: Interpreter
) -> Pex:
    """Return a packed PEX with the third-party distributions, whose name and content depend on nothing else.

    Raises TargetError if a distribution has no wheel for the platform of the image.
    """
    try:
        if field_set.python_entire_resolve.value:
            return await _entire_pex(field_set, request)
        return await _packed_pex(request, _PEX, include_requirements=request.include_requirements)
    except ProcessExecutionFailure as error:
        missing = _missing_distributions(error.stderr.decode("utf-8", "replace"))
        if not missing:
            raise
        raise TargetError(
            field_set.address,
            "python_layers",
            f"no wheel of {', '.join(missing)} works with CPython {interpreter.version} on {field_set.platform}",
            cause="the lockfile or the package index has files for other platforms or versions only",
            hint="use versions that have such wheels, publish wheels of your own, or remove the platform from "
            "`platforms` of the image",
        ) from None


def _missing_distributions(output: str) -> list[str]:
    """Return the distributions without a wheel that the output of pex names, such as `numpy 2.0.2`."""
    found = {
        f"{match['name']} {match['version'].lstrip('=')}".rstrip()
        for pattern in _MISSING
        for match in pattern.finditer(output)
    }
    return sorted(found)


async def local_pex(request: PexFromTargetsRequest) -> Pex:
    """Return a packed PEX with the `python_distribution`s of the repository."""
    return await _packed_pex(request, _LOCAL_PEX, include_local_dists=True)


async def _entire_pex(field_set: PythonLayersFieldSet, request: PexFromTargetsRequest) -> Pex:
    resolve = await pants_python.choose_resolve(ChosenPythonResolveRequest(request.addresses))
    return await pants_python.create_pex(
        PexRequest(
            output_filename=_PEX,
            internal_only=False,
            layout=PexLayout.PACKED,
            requirements=EntireLockfile(resolve.lockfile),
            interpreter_constraints=request.hardcoded_interpreter_constraints or InterpreterConstraints(),
            complete_platforms=request.complete_platforms,
            additional_args=pants_python.PEX_ARGUMENTS,
            description=f"Resolve the distributions of {field_set.address}",
        )
    )


async def _packed_pex(
    request: PexFromTargetsRequest, name: str, *, include_requirements: bool = False, include_local_dists: bool = False
) -> Pex:
    return await pants_python.pex_from_targets(
        PexFromTargetsRequest(
            request.addresses,
            output_filename=name,
            internal_only=False,
            layout=PexLayout.PACKED,
            # The wheels of the repository are built for the machine that builds.
            complete_platforms=CompletePlatforms() if include_local_dists else request.complete_platforms,
            hardcoded_interpreter_constraints=request.hardcoded_interpreter_constraints,
            include_source_files=False,
            include_requirements=include_requirements,
            include_local_dists=include_local_dists,
            additional_args=pants_python.PEX_ARGUMENTS,
            additional_lockfile_args=pants_python.LOCKFILE_PEX_ARGUMENTS,
        )
    )
