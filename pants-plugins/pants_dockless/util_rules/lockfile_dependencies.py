"""The lockfile of base images in the dependency graph, for `dependents` and `--changed-since`.

The lockfile is a target that no BUILD file contains, as the lockfiles of Python are. Each `base_image` depends on this
target; with `--changed-since`, only a `base_image` whose entry has changed.
"""

import json
import os
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Optional, Union

from pants.engine.addresses import Address
from pants.engine.rules import Rule, collect_rules, rule
from pants.engine.target import FieldSet, InferDependenciesRequest, InferredDependencies
from pants.engine.unions import UnionRule
from pants.vcs.changed import Changed

from dockless.errors import DocklessError
from dockless.oci.reference import Reference
from pants_dockless._compat.synthetic_targets import SyntheticAddressMaps, SyntheticTargetsRequest, TargetAdaptor
from pants_dockless.subsystem import Dockless
from pants_dockless.target_types import BaseImageDependenciesField, ReferenceField
from pants_dockless.util_rules.base_images import RESOLVE, read_optional_file
from pants_dockless.util_rules.git import run_git

_TARGET_NAME = f"_{RESOLVE}_lockfile"


@dataclass(frozen=True)
class LockfileTargetRequest(SyntheticTargetsRequest):
    """A request for the target of the lockfile."""

    path: str = SyntheticTargetsRequest.SINGLE_REQUEST_FOR_ALL_TARGETS


@rule
async def lockfile_target(request: LockfileTargetRequest, options: Dockless) -> SyntheticAddressMaps:
    """Return the target of the lockfile, if the lockfile exists."""
    if await read_optional_file(options.lockfile) is None:
        return SyntheticAddressMaps()
    directory, name = os.path.split(options.lockfile)
    target = TargetAdaptor(
        "_lockfile", _TARGET_NAME, __description_of_origin__="the option `[dockless].lockfile`", source=name
    )
    return SyntheticAddressMaps.for_targets_request(
        request, [(os.path.join(directory, "BUILD.base-images-lockfile"), (target,))]
    )


@dataclass(frozen=True)
class BaseImageFieldSet(FieldSet):
    """The fields of a `base_image`."""

    required_fields = (BaseImageDependenciesField, ReferenceField)

    reference: ReferenceField


class InferLockfileDependency(InferDependenciesRequest[BaseImageFieldSet]):
    """A request for the dependencies of a `base_image`."""

    infer_from = BaseImageFieldSet


# Before the rule: Pants 2.17 analyzes the functions that a rule calls when the rule is defined.
async def _is_unchanged(content: bytes, path: str, reference: str, since: str) -> bool:
    """Return whether the entry of a base is the same as in the commit that Pants compares with."""
    commit = await run_git("merge-base", since, "HEAD")
    old = await run_git("show", f"{commit.decode().strip()}:./{path}") if commit else None
    old_entries, entries = _entries(old or b""), _entries(content)
    try:
        key = str(Reference.parse(reference))
    except DocklessError:
        return False
    return old_entries is not None and entries is not None and old_entries.get(key) == entries.get(key)


def _entries(content: bytes) -> Optional[dict[str, Any]]:
    """Return the entries of a lockfile, or None if it is invalid. The documents in the entries are not checked."""
    try:
        entries = json.loads(content)["bases"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    return entries if isinstance(entries, dict) else None


@rule
async def infer_lockfile_dependency(
    request: InferLockfileDependency, options: Dockless, changed: Changed
) -> InferredDependencies:
    """Return the lockfile, unless `--changed-since` is given and the entry of the base has not changed."""
    content = await read_optional_file(options.lockfile)
    if content is None:
        return InferredDependencies([])
    if changed.since and not changed.diffspec:
        reference = request.field_set.reference.value or ""
        if await _is_unchanged(content, options.lockfile, reference, changed.since):
            return InferredDependencies([])
    return InferredDependencies([Address(os.path.dirname(options.lockfile), target_name=_TARGET_NAME)])


def rules() -> Iterable[Union[Rule, UnionRule]]:
    """Return the rules of this module."""
    return [
        *collect_rules(),
        UnionRule(InferDependenciesRequest, InferLockfileDependency),
        UnionRule(SyntheticTargetsRequest, LockfileTargetRequest),
    ]
