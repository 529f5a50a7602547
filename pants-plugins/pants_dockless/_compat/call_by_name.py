"""The functions of `_compat` on rules that are called by name, for Pants 2.29 and later."""

# Types are checked with the oldest supported version of Pants, which does not have these modules.
# mypy: disable-error-code="import-not-found, attr-defined, no-any-return, call-arg"

from collections.abc import Iterable
from typing import Any

from pants.base.specs import RawSpecsWithoutFileOwners
from pants.core.goals.package import (
    BuiltPackage,
    EnvironmentAwarePackageRequest,
    environment_aware_package,
)
from pants.core.util_rules.misc import extract_keep_sandboxes
from pants.engine import intrinsics, rules
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
from pants.engine.internals import graph
from pants.engine.internals.native_engine import ProcessExecutionEnvironment
from pants.engine.internals.specs_rules import (
    addresses_from_raw_specs_without_file_owners,
    find_valid_field_sets_for_target_roots,
)
from pants.engine.intrinsics import execute_process, run_interactive_process
from pants.engine.platform import Platform
from pants.engine.process import FallibleProcessResult, InteractiveProcess, InteractiveProcessResult, Process
from pants.engine.rules import implicitly
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
from pants_dockless._compat.image_tags import find_image_tags
from pants_dockless._compat.user_environment import user_environment
from pants_dockless.image_tags import ImageTags, ImageTagsRequest


async def create_digest(request: CreateDigest) -> Digest:
    """Return the digest of a tree with these files, symbolic links and directories."""
    return await intrinsics.create_digest(request)


async def merge_digests(request: MergeDigests) -> Digest:
    """Return the digest of the union of these trees."""
    return await intrinsics.merge_digests(request)


async def add_prefix(request: AddPrefix) -> Digest:
    """Return the digest of a tree that contains another tree in a directory."""
    return await intrinsics.add_prefix(request)


async def snapshot(digest: Digest) -> Snapshot:
    """Return the paths of the files and directories of a tree."""
    return await intrinsics.digest_to_snapshot(digest)


async def digest_contents(digest: Digest) -> DigestContents:
    """Return the files of a tree with their content."""
    return await intrinsics.get_digest_contents(digest)


async def digest_entries(digest: Digest) -> DigestEntries:
    """Return the files, symbolic links and directories of a tree, without content."""
    return await intrinsics.get_digest_entries(digest)


async def path_globs(request: PathGlobs) -> Digest:
    """Return the digest of the files in the repository that match globs."""
    return await intrinsics.path_globs_to_digest(request)


async def run_process(process: Process) -> FallibleProcessResult:
    """Run a process. A non-zero exit code is not an error: the caller reports it."""
    return await execute_process(process, **implicitly())


async def run_local_process(process: Process) -> FallibleProcessResult:
    """Run a process on this machine, whatever the environment of the rule is."""
    keep_sandboxes = await extract_keep_sandboxes(**implicitly())
    environment = ProcessExecutionEnvironment(
        environment_name=None,
        platform=Platform.create_for_localhost().value,
        docker_image=None,
        remote_execution=False,
        remote_execution_extra_platform_properties=[],
        execute_in_workspace=False,
        keep_sandboxes=keep_sandboxes.value,
    )
    return await run_process_in(environment, process)


async def run_process_in(environment: ProcessExecutionEnvironment, process: Process) -> FallibleProcessResult:
    """Run a process in an environment, whatever the environment of the rule is."""
    return await execute_process(process, environment)


async def run_interactive(process: InteractiveProcess) -> InteractiveProcessResult:
    """Run a process in the foreground. Only goals can do this."""
    return await run_interactive_process(process)


async def field_sets_of_roots(request: TargetRootsToFieldSetsRequest[Any]) -> TargetRootsToFieldSets[Any]:
    """Return the field sets that apply to the targets on the command line."""
    return await find_valid_field_sets_for_target_roots(request, **implicitly())


async def resolve_targets(request: UnparsedAddressInputs) -> Targets:
    """Return the targets with these addresses. Target generators are replaced by their targets."""
    return await graph.resolve_targets(**implicitly({request: UnparsedAddressInputs}))


async def addresses_of_specs(request: RawSpecsWithoutFileOwners) -> Addresses:
    """Return the addresses that specs match. A target with parameters is replaced by all of its parametrizations."""
    return await addresses_from_raw_specs_without_file_owners(request, **implicitly())


async def resolve_dependencies(request: DependenciesRequest) -> Targets:
    """Return the direct dependencies of a target."""
    return await graph.resolve_targets(**implicitly({request: DependenciesRequest}))


async def hydrate_sources(request: HydrateSourcesRequest) -> HydratedSources:
    """Return the source files of a target."""
    return await graph.hydrate_sources(request, **implicitly())


async def field_sets_per_target(request: FieldSetsPerTargetRequest[Any]) -> FieldSetsPerTarget[Any]:
    """Return the field sets that apply to each target."""
    return await graph.find_valid_field_sets(request, **implicitly())


async def build_package(request: EnvironmentAwarePackageRequest) -> BuiltPackage:
    """Return the result of packaging a target."""
    return await environment_aware_package(request)


async def plugin_image_tags(request: ImageTagsRequest) -> ImageTags:
    """Return the tags that a plugin adds to an image."""
    return await find_image_tags(**implicitly({request: ImageTagsRequest}))


async def environment_vars(request: EnvironmentVarsRequest) -> EnvironmentVars:
    """Return the environment variables of the user that a request names.

    Not those of `EnvironmentVars`: with remote execution, they are the variables of the worker.
    """
    return user_environment(await intrinsics.session_values(), request)


async def is_requested(goal: str) -> bool:
    """Return whether the user requested a goal. The rule that calls this function is performed in every run."""
    session_values = await intrinsics.session_values()
    return (session_values.get(CurrentExecutingGoals) or CurrentExecutingGoals()).is_running(goal)


async def concurrently(coroutines: Iterable[Any]) -> tuple[Any, ...]:
    """Run coroutines concurrently. If one fails, the others are closed."""
    with closing_all(coroutines) as opened:
        return await rules.concurrently(opened)
