"""The functions of `_compat.python` on `Get`, for Pants 2.28 and earlier."""

from pants.backend.python.goals.package_pex_binary import PexBinaryFieldSet, PexFromTargetsRequestForBuiltPackage
from pants.backend.python.util_rules.interpreter_constraints import InterpreterConstraints
from pants.backend.python.util_rules.pex import Pex, PexRequest
from pants.backend.python.util_rules.pex_from_targets import (
    ChosenPythonResolve,
    ChosenPythonResolveRequest,
    InterpreterConstraintsRequest,
    PexFromTargetsRequest,
)
from pants.backend.python.util_rules.python_sources import (
    PythonSourceFiles,
    PythonSourceFilesRequest,
    StrippedPythonSourceFiles,
)
from pants.engine.internals.selectors import Get
from pants.engine.target import TransitiveTargets, TransitiveTargetsRequest

# This release of pex installs all wheels. Compressing them again takes most of the time of a build. A PEX that is not
# compressed leaves directories in the cache of pex with which later builds of packed PEX files fail, therefore Dockless
# has another cache inside the named cache of Pants.
PEX_ARGUMENTS: tuple[str, ...] = ("--no-compress", "--pex-root=.cache/pex_root/dockless")
LOCKFILE_PEX_ARGUMENTS: tuple[str, ...] = ()


async def request_of_pex_binary(field_set: PexBinaryFieldSet) -> PexFromTargetsRequest:
    """Return the request for the PEX of a `pex_binary`."""
    request = await Get(PexFromTargetsRequestForBuiltPackage, PexBinaryFieldSet, field_set)
    return request.request


async def pex_from_targets(request: PexFromTargetsRequest) -> Pex:
    """Return the PEX of targets."""
    return await Get(Pex, PexFromTargetsRequest, request)


async def create_pex(request: PexRequest) -> Pex:
    """Return a PEX."""
    return await Get(Pex, PexRequest, request)


async def interpreter_constraints(request: InterpreterConstraintsRequest) -> InterpreterConstraints:
    """Return the interpreter constraints of targets and their dependencies."""
    return await Get(InterpreterConstraints, InterpreterConstraintsRequest, request)


async def choose_resolve(request: ChosenPythonResolveRequest) -> ChosenPythonResolve:
    """Return the resolve of targets."""
    return await Get(ChosenPythonResolve, ChosenPythonResolveRequest, request)


async def transitive_targets(request: TransitiveTargetsRequest) -> TransitiveTargets:
    """Return targets and their dependencies."""
    return await Get(TransitiveTargets, TransitiveTargetsRequest, request)


async def stripped_sources(request: PythonSourceFilesRequest) -> StrippedPythonSourceFiles:
    """Return the source files of targets without their source roots."""
    sources = await Get(PythonSourceFiles, PythonSourceFilesRequest, request)
    return await Get(StrippedPythonSourceFiles, PythonSourceFiles, sources)
