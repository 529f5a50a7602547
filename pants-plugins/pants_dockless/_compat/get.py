"""The functions of `_compat` on `Get`, for Pants 2.28 and earlier."""

from collections.abc import Generator, Iterable
from typing import Any

from pants.base.specs import RawSpecsWithoutFileOwners
from pants.core.goals.package import BuiltPackage, EnvironmentAwarePackageRequest
from pants.engine.addresses import Addresses, UnparsedAddressInputs
from pants.engine.env_vars import EnvironmentVars, EnvironmentVarsRequest
from pants.engine.fs import (
    AddPrefix,
    CreateDigest,
    Digest,
    DigestContents,
    DigestEntries,
    MergeDigests,
    PathGlobs,
    Snapshot,
)
from pants.engine.goal import CurrentExecutingGoals
from pants.engine.internals.native_engine import ProcessExecutionEnvironment
from pants.engine.internals.selectors import Effect, Get
from pants.engine.internals.session import SessionValues
from pants.engine.platform import Platform
from pants.engine.process import FallibleProcessResult, InteractiveProcess, InteractiveProcessResult, Process
from pants.engine.target import (
    DependenciesRequest,
    FieldSetsPerTarget,
    FieldSetsPerTargetRequest,
    HydratedSources,
    HydrateSourcesRequest,
    TargetRootsToFieldSets,
    TargetRootsToFieldSetsRequest,
    Targets,
)

from pants_dockless._compat.coroutines import closing_all
from pants_dockless._compat.user_environment import user_environment
from pants_dockless.image_tags import ImageTags, ImageTagsRequest


async def create_digest(request: CreateDigest) -> Digest:
    """Return the digest of a tree with these files, symbolic links and directories."""
    return await Get(Digest, CreateDigest, request)


async def merge_digests(request: MergeDigests) -> Digest:
    """Return the digest of the union of these trees."""
    return await Get(Digest, MergeDigests, request)


async def add_prefix(request: AddPrefix) -> Digest:
    """Return the digest of a tree that contains another tree in a directory."""
    return await Get(Digest, AddPrefix, request)


async def snapshot(digest: Digest) -> Snapshot:
    """Return the paths of the files and directories of a tree."""
    return await Get(Snapshot, Digest, digest)


async def digest_contents(digest: Digest) -> DigestContents:
    """Return the files of a tree with their content."""
    return await Get(DigestContents, Digest, digest)


async def digest_entries(digest: Digest) -> DigestEntries:
    """Return the files, symbolic links and directories of a tree, without content."""
    return await Get(DigestEntries, Digest, digest)


async def path_globs(request: PathGlobs) -> Digest:
    """Return the digest of the files in the repository that match globs."""
    return await Get(Digest, PathGlobs, request)


async def run_process(process: Process) -> FallibleProcessResult:
    """Run a process. A non-zero exit code is not an error: the caller reports it."""
    return await Get(FallibleProcessResult, Process, process)


async def run_local_process(process: Process) -> FallibleProcessResult:
    """Run a process on this machine, whatever the environment of the rule is."""
    environment = ProcessExecutionEnvironment(
        environment_name=None,
        platform=Platform.create_for_localhost().value,
        docker_image=None,
        remote_execution=False,
        remote_execution_extra_platform_properties=[],
    )
    return await run_process_in(environment, process)


async def run_process_in(environment: ProcessExecutionEnvironment, process: Process) -> FallibleProcessResult:
    """Run a process in an environment, whatever the environment of the rule is."""
    return await Get(FallibleProcessResult, {process: Process, environment: ProcessExecutionEnvironment})


async def run_interactive(process: InteractiveProcess) -> InteractiveProcessResult:
    """Run a process in the foreground. Only goals can do this."""
    return await Effect(InteractiveProcessResult, InteractiveProcess, process)


async def field_sets_of_roots(request: TargetRootsToFieldSetsRequest[Any]) -> TargetRootsToFieldSets[Any]:
    """Return the field sets that apply to the targets on the command line."""
    return await Get(TargetRootsToFieldSets, TargetRootsToFieldSetsRequest, request)


async def resolve_targets(request: UnparsedAddressInputs) -> Targets:
    """Return the targets with these addresses. Target generators are replaced by their targets."""
    return await Get(Targets, UnparsedAddressInputs, request)


async def addresses_of_specs(request: RawSpecsWithoutFileOwners) -> Addresses:
    """Return the addresses that specs match. A target with parameters is replaced by all of its parametrizations."""
    return await Get(Addresses, RawSpecsWithoutFileOwners, request)


async def resolve_dependencies(request: DependenciesRequest) -> Targets:
    """Return the direct dependencies of a target."""
    return await Get(Targets, DependenciesRequest, request)


async def hydrate_sources(request: HydrateSourcesRequest) -> HydratedSources:
    """Return the source files of a target."""
    return await Get(HydratedSources, HydrateSourcesRequest, request)


async def field_sets_per_target(request: FieldSetsPerTargetRequest[Any]) -> FieldSetsPerTarget[Any]:
    """Return the field sets that apply to each target."""
    return await Get(FieldSetsPerTarget, FieldSetsPerTargetRequest, request)


async def build_package(request: EnvironmentAwarePackageRequest) -> BuiltPackage:
    """Return the result of packaging a target."""
    return await Get(BuiltPackage, EnvironmentAwarePackageRequest, request)


async def plugin_image_tags(request: ImageTagsRequest) -> ImageTags:
    """Return the tags that a plugin adds to an image."""
    return await Get(ImageTags, ImageTagsRequest, request)


async def environment_vars(request: EnvironmentVarsRequest) -> EnvironmentVars:
    """Return the environment variables of the user that a request names.

    Not those of `EnvironmentVars`: with remote execution, they are the variables of the worker.
    """
    session_values = await Get(SessionValues)
    return user_environment(session_values, request)


class _Requests:
    """An awaitable that passes several requests to the engine at once, as `MultiGet` does."""

    def __init__(self, requests: tuple[Any, ...]) -> None:
        self.requests = requests

    def __await__(self) -> Generator[tuple[Any, ...], Any, Any]:
        return (yield self.requests)


async def is_requested(goal: str) -> bool:
    """Return whether the user requested a goal. The rule that calls this function is performed in every run."""
    session_values = await Get(SessionValues)
    return (session_values.get(CurrentExecutingGoals) or CurrentExecutingGoals()).is_running(goal)


async def concurrently(coroutines: Iterable[Any]) -> tuple[Any, ...]:
    """Run coroutines concurrently. If one fails, the others are closed.

    `MultiGet` accepts `Get` objects but no coroutines. Therefore each coroutine runs until it sends a request to the
    engine, the requests of all coroutines are sent together, and each coroutine continues with its own result.
    """
    with closing_all(coroutines) as opened:
        return await _run_in_rounds(opened)


async def _run_in_rounds(coroutines: tuple[Any, ...]) -> tuple[Any, ...]:
    results: list[Any] = [None] * len(coroutines)
    pending: list[tuple[int, Any]] = []

    def advance(n: int, value: Any) -> None:
        try:
            pending.append((n, coroutines[n].send(value)))
        except StopIteration as stop:
            results[n] = stop.value

    for n in range(len(coroutines)):
        advance(n, None)
    while pending:
        current, pending = pending, []
        requests: list[Any] = []
        for _, request in current:
            requests.extend(request if isinstance(request, (tuple, list)) else (request,))
        values = iter(await _Requests(tuple(requests)))
        for n, request in current:
            if isinstance(request, (tuple, list)):
                advance(n, tuple(next(values) for _ in request))
            else:
                advance(n, next(values))
    return tuple(results)
