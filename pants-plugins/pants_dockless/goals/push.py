"""The goal `push`: pushes all selected images in one process, which asks the registries first."""

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Optional, Union

from pants.core.goals.package import EnvironmentAwarePackageRequest, PackageFieldSet
from pants.engine.console import Console
from pants.engine.environment import EnvironmentName
from pants.engine.goal import Goal, GoalSubsystem
from pants.engine.rules import Rule, collect_rules, goal_rule
from pants.engine.target import FieldSet, NoApplicableTargetsBehavior, Target, TargetRootsToFieldSetsRequest
from pants.engine.unions import UnionMembership, UnionRule, union
from pants.option.global_options import GlobalOptions
from pants.option.option_types import BoolOption, StrOption

from dockless._atomic import atomic_file
from dockless.errors import LayoutError
from pants_dockless import _compat
from pants_dockless._compat import RunId
from pants_dockless.errors import print_line
from pants_dockless.field_sets import PushImageFieldSet
from pants_dockless.subsystem import Dockless
from pants_dockless.target_types import (
    ContainerImageDependenciesField,
    CopyForeignLayersField,
    ImageField,
    ImagesField,
    RegistriesField,
    SkipPushField,
)
from pants_dockless.util_rules.built_image import ImageArtifact, build_field_set, image_artifact
from pants_dockless.util_rules.destinations import Destination
from pants_dockless.util_rules.private_environment import directory_of_run
from pants_dockless.util_rules.publish_conflicts import check_conflicts
from pants_dockless.util_rules.publish_options import skip_reason
from pants_dockless.util_rules.push import (
    CHECK,
    DRY_RUN,
    Push,
    PushState,
    background_process,
    check_pushes,
    find_pushes,
    push_process,
)
from pants_dockless.util_rules.push_report import dry_run_lines, output_data, planned_transfer, transfer_summary


@union(in_scope_types=[EnvironmentName])
@dataclass(frozen=True)
class PushFieldSet(FieldSet):
    """The fields that `push` reads from a target."""

    skip_push: SkipPushField
    copy_foreign_layers: CopyForeignLayersField


@dataclass(frozen=True)
class PushContainerImageFieldSet(PushFieldSet):
    """The fields of a `container_image`."""

    required_fields = (ContainerImageDependenciesField, RegistriesField)


@dataclass(frozen=True)
class PushImageIndexFieldSet(PushFieldSet):
    """The fields of an `image_index`."""

    required_fields = (ImagesField, RegistriesField)


@dataclass(frozen=True)
class PushPushImageFieldSet(PushFieldSet):
    """The fields of a `push_image`."""

    required_fields = (ImageField, RegistriesField)


class PushSubsystem(GoalSubsystem):
    """The options of the goal."""

    name = "push"
    help = "Push container images: all selected images in one process, and each layer once to a registry."

    @classmethod
    def activated(cls, union_membership: UnionMembership) -> bool:
        """Return whether a backend has targets for the goal."""
        return PushFieldSet in union_membership

    dry_run = BoolOption(
        default=False,
        help="Print what would be pushed: the tags that would move, and the requests and bytes. Nothing is changed.",
    )
    output = StrOption(default=None, help="The file for the results as JSON, in the form of `publish --output`.")


class PushGoal(Goal):
    """The goal `push`."""

    subsystem_cls = PushSubsystem
    environment_behavior = Goal.EnvironmentBehavior.LOCAL_ONLY


# Before the goal: Pants 2.17 analyzes the functions that a rule calls when the rule is defined.
async def _push(
    console: Console,
    pushes: tuple[Push, ...],
    states: tuple[PushState, ...],
    options: Dockless,
    run: RunId,
    is_remote: bool,
) -> tuple[list[Optional[str]], list[Optional[Mapping[str, int]]]]:
    """Push the images that are not complete. Return the error of each image, or None, and what was transferred."""
    errors: list[Optional[str]] = [state.error or None for state in states]
    transfers = [planned_transfer(push, state) if state.is_complete else None for push, state in zip(pushes, states)]
    pending = [n for n, state in enumerate(states) if not state.is_complete and not state.error]
    if not pending:
        return errors, transfers
    results = os.path.join(directory_of_run(run), "results.json")
    process = await push_process(
        tuple(pushes[n] for n in pending), tuple(states[n] for n in pending), options, run, results=results
    )
    if is_remote:
        # Pants runs no process in the foreground then.
        result: Any = await _compat.run_local_process(background_process(process, "Push images"))
        for line in result.stderr.decode(errors="replace").splitlines():
            print_line(console, line)
    else:
        result = await _compat.run_interactive(process)
    try:
        with open(results) as file:
            documents: list[dict[str, Any]] = json.load(file)
    except FileNotFoundError:
        documents = [{"error": f"the process that pushes images ended with status {result.exit_code}"}] * len(pending)
    for n, document in zip(pending, documents):
        errors[n] = document.get("error")
        transfers[n] = None if errors[n] else document
    return errors, transfers


@goal_rule
async def push_images(
    console: Console,
    subsystem: PushSubsystem,
    options: Dockless,
    run: RunId,
    global_options: GlobalOptions,
) -> PushGoal:
    """Build and push the selected images."""
    found = await _compat.field_sets_of_roots(
        TargetRootsToFieldSetsRequest(
            PushFieldSet,
            goal_description="the `push` goal",
            no_applicable_targets_behavior=NoApplicableTargetsBehavior.error,
        )
    )
    selected: list[PushFieldSet] = [field_set for field_sets in found.mapping.values() for field_set in field_sets]
    reasons = {
        field_set.address: skip_reason(field_set.address, field_set.skip_push, options, dry_run=subsystem.dry_run)
        for field_set in selected
    }
    wanted = [field_set for field_set in selected if not reasons[field_set.address]]
    targets = {target.address: target for target in found.mapping}
    packages = await _compat.concurrently(
        _compat.build_package(EnvironmentAwarePackageRequest(_package_field_set(targets[field_set.address])))
        for field_set in wanted
    )
    artifacts = [image_artifact(package) for package in packages]
    pushes, skipped = _find_pushes(wanted, artifacts, run)
    for field_set in selected:
        reason = reasons[field_set.address]
        if reason:
            print_line(console, f"{console.sigil_skipped()} {field_set.address} skipped {reason}.")
    for destination in skipped:
        for reference in destination.references:
            print_line(console, f"{console.sigil_skipped()} {reference} skipped (by `skip_push` of the registry).")
    action = DRY_RUN if subsystem.dry_run else CHECK
    states = await check_pushes(pushes, action, options, run) if pushes else ()
    if subsystem.dry_run:
        for line in dry_run_lines(pushes, states):
            print_line(console, line, to_stdout=True)
        return PushGoal(exit_code=int(any(state.error for state in states)))
    errors, transfers = await _push(
        console, pushes, states, options, run, bool(global_options.options.remote_execution)
    )
    for push, state, error in zip(pushes, states, errors):
        status = "failed" if error else "already present" if state.is_complete else "pushed"
        sigil = console.sigil_failed() if error else console.sigil_succeeded()
        print_line(console, f"{sigil} {', '.join(push.destination.references)} {status} ({push.image.digest}).")
        if error and state.error:
            print_line(console, f"error: {push.address}: {error}")
    if pushes:
        print_line(console, f"{transfer_summary(transfers)}.")
    images = "1 image is in its" if len(pushes) == 1 else f"{len(pushes)} images are in their"
    print_line(console, f"{errors.count(None)} of {images} registries.")
    is_written = _write_output(console, subsystem.output, output_data(pushes, states, errors, transfers))
    return PushGoal(exit_code=int(any(errors) or not is_written))


def _write_output(console: Console, path: Optional[str], data: list[dict[str, Any]]) -> bool:
    """Write the data for `--output`, and return whether that was possible."""
    if not path:
        return True
    try:
        with atomic_file(path) as file:
            file.write(json.dumps(data, indent=2, sort_keys=True).encode())
    except LayoutError as error:
        print_line(console, f"error: option [push].output: {error}")
        return False
    return True


def _package_field_set(target: Target) -> PackageFieldSet:
    return PushImageFieldSet.create(target) if target.has_field(ImageField) else build_field_set(target)


def _find_pushes(
    field_sets: list[PushFieldSet], artifacts: list[ImageArtifact], run: RunId
) -> tuple[tuple[Push, ...], tuple[Destination, ...]]:
    """Return the pushes to all destinations, and the destinations that are skipped. Raises TargetError."""
    pushes: list[Push] = []
    skipped: list[Destination] = []
    for field_set, artifact in zip(field_sets, artifacts):
        own_pushes, own_skipped = find_pushes(field_set.address, artifact, field_set.copy_foreign_layers)
        for push in own_pushes:
            check_conflicts(run, push.destination.references, push.address, str(push.image.digest))
        pushes.extend(own_pushes)
        skipped.extend(own_skipped)
    return tuple(pushes), tuple(skipped)


def rules() -> Iterable[Union[Rule, UnionRule]]:
    """Return the rules of this module."""
    return [
        *collect_rules(),
        UnionRule(PushFieldSet, PushContainerImageFieldSet),
        UnionRule(PushFieldSet, PushImageIndexFieldSet),
        UnionRule(PushFieldSet, PushPushImageFieldSet),
    ]
