"""The helpers over rules called by name, for Pants from 2.29."""

from typing import Any

from pants.core.goals.package import (
    BuiltPackage,
    EnvironmentAwarePackageRequest,
    environment_aware_package,
)
from pants.core.util_rules.env_vars import environment_vars_subset
from pants.engine import intrinsics, rules
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
from pants.engine.internals import graph
from pants.engine.intrinsics import execute_process
from pants.engine.process import FallibleProcessResult, Process
from pants.engine.rules import implicitly
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
    return await intrinsics.create_digest(request)


async def merge_digests(request: MergeDigests) -> Digest:
    return await intrinsics.merge_digests(request)


async def add_prefix(request: AddPrefix) -> Digest:
    return await intrinsics.add_prefix(request)


async def snapshot(digest: Digest) -> Snapshot:
    return await intrinsics.digest_to_snapshot(digest)


async def digest_contents(digest: Digest) -> DigestContents:
    return await intrinsics.get_digest_contents(digest)


async def digest_entries(digest: Digest) -> DigestEntries:
    return await intrinsics.get_digest_entries(digest)


async def path_globs(request: PathGlobs) -> Digest:
    return await intrinsics.path_globs_to_digest(request)


async def run_process(process: Process) -> FallibleProcessResult:
    """Runs to the end, whatever the exit code: what a process says of its failure is for the caller to word."""
    return await execute_process(process, **implicitly())


async def resolve_targets(request: UnparsedAddressInputs) -> Targets:
    return await graph.resolve_targets(**implicitly({request: UnparsedAddressInputs}))


async def resolve_dependencies(request: DependenciesRequest) -> Targets:
    return await graph.resolve_targets(**implicitly({request: DependenciesRequest}))


async def hydrate_sources(request: HydrateSourcesRequest) -> HydratedSources:
    return await graph.hydrate_sources(request, **implicitly())


async def field_sets_per_target(request: FieldSetsPerTargetRequest) -> FieldSetsPerTarget:
    return await graph.find_valid_field_sets(request, **implicitly())


async def build_package(request: EnvironmentAwarePackageRequest) -> BuiltPackage:
    return await environment_aware_package(request)


async def environment_vars(request: EnvironmentVarsRequest) -> EnvironmentVars:
    return await environment_vars_subset(request, **implicitly())


async def concurrently(*coroutines: Any) -> tuple:
    """Runs coroutines (or one iterable of them) side by side. When one fails, the others are closed."""
    with closing_all(coroutines) as todo:
        return await rules.concurrently(todo)
