"""The lockfile of base images in the dependency graph, for `dependents` and `--changed-since`.

The lockfile is a target that no BUILD file contains, as the lockfiles of Python are. Each `base_image` depends on this
target; with `--changed-since` or `--changed-diffspec`, only a `base_image` whose entry has changed.
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


@dataclass(frozen=True)
class ChangedEntries:
    """The keys of the entries that the selected commits change, or None if all entries count as changed."""

    keys: Optional[frozenset[str]]

    def __contains__(self, reference: str) -> bool:
        try:
            return self.keys is None or str(Reference.parse(reference)) in self.keys
        except DocklessError:
            return True


# Before the rule: Pants 2.17 analyzes the functions that a rule calls when the rule is defined.
async def _content_since(path: str, since: str) -> bytes:
    """Return the lockfile of the commit that Pants compares with; empty if that commit has no lockfile."""
    commit = await run_git("merge-base", since, "HEAD")
    return (commit and await run_git("show", f"{commit.decode().strip()}:./{path}")) or b""


async def _contents_of_diffspec(path: str, diffspec: str) -> Optional[tuple[bytes, bytes]]:
    """Return the lockfile before and after the commits of `--changed-diffspec`, or None if git fails.

    The command is the one that Pants lists the changed files with.
    """
    diff = await run_git("diff-tree", "--no-commit-id", "-r", diffspec, "--", path)
    if diff is None:
        return None
    if not diff:
        return b"", b""
    _, _, old, new, *_ = diff.decode().split()  # modes, blobs, status, path
    return (await run_git("cat-file", "blob", old)) or b"", (await run_git("cat-file", "blob", new)) or b""


def _entries(content: bytes) -> Optional[dict[str, Any]]:
    """Return the entries of a lockfile, or None if it is invalid. The documents in the entries are not checked."""
    try:
        entries = json.loads(content)["bases"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    return entries if isinstance(entries, dict) else None


@rule
async def find_changed_entries(options: Dockless, changed: Changed) -> ChangedEntries:
    """Return the entries that differ between the commits of `--changed-since` or `--changed-diffspec`."""
    if changed.diffspec:
        contents = await _contents_of_diffspec(options.lockfile, changed.diffspec)
    elif changed.since:
        old_content = await _content_since(options.lockfile, changed.since)
        contents = old_content, (await read_optional_file(options.lockfile)) or b""
    else:
        return ChangedEntries(None)
    if contents is None:
        return ChangedEntries(None)
    old_content, content = contents
    if old_content == content:
        return ChangedEntries(frozenset())
    old, new = _entries(old_content), _entries(content)
    if old is None or new is None:
        return ChangedEntries(None)
    return ChangedEntries(frozenset(key for key in {*old, *new} if old.get(key) != new.get(key)))


@rule
async def infer_lockfile_dependency(
    request: InferLockfileDependency, options: Dockless, changed_entries: ChangedEntries
) -> InferredDependencies:
    """Return the lockfile, unless changes are selected and the entry of the base has not changed."""
    if (request.field_set.reference.value or "") not in changed_entries:
        return InferredDependencies([])
    if await read_optional_file(options.lockfile) is None:
        return InferredDependencies([])
    return InferredDependencies([Address(os.path.dirname(options.lockfile), target_name=_TARGET_NAME)])


def rules() -> Iterable[Union[Rule, UnionRule]]:
    """Return the rules of this module."""
    return [
        *collect_rules(),
        UnionRule(InferDependenciesRequest, InferLockfileDependency),
        UnionRule(SyntheticTargetsRequest, LockfileTargetRequest),
    ]
