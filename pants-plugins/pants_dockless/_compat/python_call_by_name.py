"""The functions of `_compat.python` on rules that are called by name, for Pants 2.29 and later."""

# Types are checked with the oldest supported version of Pants, in which rules cannot be called by name.
# mypy: disable-error-code="attr-defined, call-arg, no-any-return, misc, arg-type"

from pants.backend.python.goals.package_pex_binary import PexBinaryFieldSet, package_pex_binary
from pants.backend.python.util_rules import pex as pex_rules
from pants.backend.python.util_rules.interpreter_constraints import InterpreterConstraints
from pants.backend.python.util_rules.pex import Pex, PexRequest
from pants.backend.python.util_rules.pex_from_targets import (
    ChosenPythonResolve,
    ChosenPythonResolveRequest,
    InterpreterConstraintsRequest,
    PexFromTargetsRequest,
    choose_python_resolve,
    create_pex_from_targets,
    interpreter_constraints_for_targets,
)
from pants.backend.python.util_rules.python_sources import (
    PythonSourceFilesRequest,
    StrippedPythonSourceFiles,
    prepare_python_sources,
    strip_python_sources,
)
from pants.engine.internals import graph
from pants.engine.rules import implicitly
from pants.engine.target import TransitiveTargets, TransitiveTargetsRequest

# pex copies the wheels instead of installing them.
PEX_ARGUMENTS: tuple[str, ...] = ("--no-pre-install-wheels",)
# From a PEX of a lockfile in the format of pip, pex can copy the wheels only if that PEX has wheels, too.
LOCKFILE_PEX_ARGUMENTS: tuple[str, ...] = PEX_ARGUMENTS


async def request_of_pex_binary(field_set: PexBinaryFieldSet) -> PexFromTargetsRequest:
    """Return the request for the PEX of a `pex_binary`."""
    request = await package_pex_binary(field_set, **implicitly())
    return request.request


async def pex_from_targets(request: PexFromTargetsRequest) -> Pex:
    """Return the PEX of targets."""
    pex_request = await create_pex_from_targets(request, **implicitly())
    return await pex_rules.create_pex(pex_request, **implicitly())


async def create_pex(request: PexRequest) -> Pex:
    """Return a PEX."""
    return await pex_rules.create_pex(request, **implicitly())


async def interpreter_constraints(request: InterpreterConstraintsRequest) -> InterpreterConstraints:
    """Return the interpreter constraints of targets and their dependencies."""
    return await interpreter_constraints_for_targets(request, **implicitly())


async def choose_resolve(request: ChosenPythonResolveRequest) -> ChosenPythonResolve:
    """Return the resolve of targets."""
    return await choose_python_resolve(request, **implicitly())


async def transitive_targets(request: TransitiveTargetsRequest) -> TransitiveTargets:
    """Return targets and their dependencies."""
    return await graph.transitive_targets(request, **implicitly())


async def stripped_sources(request: PythonSourceFilesRequest) -> StrippedPythonSourceFiles:
    """Return the source files of targets without their source roots."""
    sources = await prepare_python_sources(request, **implicitly())
    return await strip_python_sources(sources)
