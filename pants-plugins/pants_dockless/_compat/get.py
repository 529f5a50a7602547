"""The helpers over `Get`, for Pants up to 2.28."""

from typing import Any

from pants.core.goals.package import BuiltPackage, EnvironmentAwarePackageRequest
from pants.engine.addresses import UnparsedAddressInputs
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
from pants.engine.internals.selectors import Get
from pants.engine.process import FallibleProcessResult, Process
from pants.engine.target import (
    DependenciesRequest,
    FieldSetsPerTarget,
    FieldSetsPerTargetRequest,
    HydratedSources,
    HydrateSourcesRequest,
    Targets,
)

from pants_dockless._compat.coroutines import closing_all


async def create_digest(request: CreateDigest) -> Digest:
    return await Get(Digest, CreateDigest, request)


async def merge_digests(request: MergeDigests) -> Digest:
    return await Get(Digest, MergeDigests, request)


async def add_prefix(request: AddPrefix) -> Digest:
    return await Get(Digest, AddPrefix, request)


async def snapshot(digest: Digest) -> Snapshot:
    return await Get(Snapshot, Digest, digest)


async def digest_contents(digest: Digest) -> DigestContents:
    return await Get(DigestContents, Digest, digest)


async def digest_entries(digest: Digest) -> DigestEntries:
    return await Get(DigestEntries, Digest, digest)


async def path_globs(request: PathGlobs) -> Digest:
    return await Get(Digest, PathGlobs, request)


async def run_process(process: Process) -> FallibleProcessResult:
    """Runs to the end, whatever the exit code: what a process says of its failure is for the caller to word."""
    return await Get(FallibleProcessResult, Process, process)


async def resolve_targets(request: UnparsedAddressInputs) -> Targets:
    return await Get(Targets, UnparsedAddressInputs, request)


async def resolve_dependencies(request: DependenciesRequest) -> Targets:
    return await Get(Targets, DependenciesRequest, request)


async def hydrate_sources(request: HydrateSourcesRequest) -> HydratedSources:
    return await Get(HydratedSources, HydrateSourcesRequest, request)


async def field_sets_per_target(request: FieldSetsPerTargetRequest) -> FieldSetsPerTarget:
    return await Get(FieldSetsPerTarget, FieldSetsPerTargetRequest, request)


async def build_package(request: EnvironmentAwarePackageRequest) -> BuiltPackage:
    return await Get(BuiltPackage, EnvironmentAwarePackageRequest, request)


async def environment_vars(request: EnvironmentVarsRequest) -> EnvironmentVars:
    return await Get(EnvironmentVars, EnvironmentVarsRequest, request)


class _Round:
    """What the engine takes as one round of parallel requests."""

    def __init__(self, requests: Any) -> None:
        self.requests = requests

    def __await__(self) -> Any:
        return (yield self.requests)


async def concurrently(*coroutines: Any) -> tuple:
    """Runs coroutines (or one iterable of them) side by side, as the function of this name does in later Pants.

    `MultiGet` takes only `Get`s. So each coroutine is run up to what it asks of the engine, all that they ask is asked
    in one round, and each goes on with its own answer, until all have returned.
    """
    with closing_all(coroutines) as todo:
        return await _run_in_rounds(todo)


async def _run_in_rounds(todo: tuple) -> tuple:
    results: list = [None] * len(todo)
    waiting: list = []

    def advance(n: int, answer: Any) -> None:
        try:
            waiting.append((n, todo[n].send(answer)))
        except StopIteration as returned:
            results[n] = returned.value

    for n in range(len(todo)):
        advance(n, None)
    while waiting:
        asked, waiting = waiting, []
        flat: list = []
        for _, wanted in asked:
            flat.extend(wanted if isinstance(wanted, (tuple, list)) else (wanted,))
        answers = iter(await _Round(tuple(flat)))
        for n, wanted in asked:
            if isinstance(wanted, (tuple, list)):
                advance(n, tuple(next(answers) for _ in wanted))
            else:
                advance(n, next(answers))
    return tuple(results)
