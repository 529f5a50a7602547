"""The goal `generate-lockfiles`: pins base images. No other rule resolves tags."""

import json
import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Union

from pants.core.goals.generate_lockfiles import (
    GenerateLockfile,
    GenerateLockfileResult,
    KnownUserResolveNames,
    KnownUserResolveNamesRequest,
    RequestedUserResolveNames,
    UserGenerateLockfiles,
)
from pants.engine.fs import CreateDigest, FileContent
from pants.engine.rules import Rule, collect_rules, rule
from pants.engine.target import AllTargets, Target
from pants.engine.unions import UnionRule
from pants.util.logging import LogLevel

from dockless.errors import DocklessError, InvalidValueError
from dockless.oci.reference import Reference
from pants_dockless import _compat
from pants_dockless.errors import TargetError, log_warning
from pants_dockless.subsystem import Dockless
from pants_dockless.target_types import BaseField, BasePlatformsField, PlatformsField, ReferenceField
from pants_dockless.util_rules.base_images import RESOLVE, parse_platforms, read_optional_file
from pants_dockless.util_rules.processes import run_registry_client

logger = logging.getLogger(__name__)

_PROGRAM = "lock_bases.py"
_OLD = "old.lock"
_NEW = "new.lock"


class KnownBaseImagesRequest(KnownUserResolveNamesRequest):
    """A request for the name of the resolve."""


class RequestedBaseImages(RequestedUserResolveNames):
    """A request for the base images to pin."""


@dataclass(frozen=True)
class BaseToLock:
    """A reference, the platforms to pin, and the targets and fields that use the reference."""

    reference: str
    platforms: tuple[str, ...]
    used_by: str


@dataclass(frozen=True)
class LockBaseImages(GenerateLockfile):
    """A request to write the lockfile."""

    bases: tuple[BaseToLock, ...]


@rule
async def known_base_images(_: KnownBaseImagesRequest) -> KnownUserResolveNames:
    """Declare the resolve `base-images`."""
    return KnownUserResolveNames((RESOLVE,), "[dockless].lockfile", RequestedBaseImages)


@rule
async def requested_base_images(
    _: RequestedBaseImages, all_targets: AllTargets, options: Dockless
) -> UserGenerateLockfiles:
    """Collect the references of all targets in the repository. Raises TargetError."""
    platforms: dict[str, set[str]] = {}
    used_by: dict[str, set[str]] = {}
    for target, field, text in _references(all_targets):
        try:
            reference = str(Reference.parse(text))
        except DocklessError as error:
            raise TargetError.from_error(target.address, field, error) from None
        platforms_field = target[BasePlatformsField if target.has_field(BasePlatformsField) else PlatformsField]
        target_platforms = parse_platforms(target.address, platforms_field.alias, platforms_field.value, options)
        platforms.setdefault(reference, set()).update(map(str, target_platforms))
        used_by.setdefault(reference, set()).add(f"{target.address}: field `{field}`")
    if not platforms:
        return UserGenerateLockfiles(())
    bases = tuple(
        BaseToLock(reference, tuple(sorted(platforms[reference])), ", ".join(sorted(used_by[reference])))
        for reference in sorted(platforms)
    )
    return UserGenerateLockfiles(
        (LockBaseImages(resolve_name=RESOLVE, lockfile_dest=options.lockfile, diff=False, bases=bases),)
    )


def _references(targets: Iterable[Target]) -> Iterator[tuple[Target, str, str]]:
    """Return the targets that use an image of a registry, the alias of the field, and the reference."""
    for target in targets:
        if target.has_field(ReferenceField):
            yield target, ReferenceField.alias, target[ReferenceField].value or ""
        elif target.has_field(BaseField) and target[BaseField].reference:
            yield target, BaseField.alias, target[BaseField].reference


@rule(desc="Pin base images", level=LogLevel.INFO)
async def lock_base_images(request: LockBaseImages, options: Dockless) -> GenerateLockfileResult:
    """Write the lockfile: the manifest and the config of each base image."""
    old = await read_optional_file(request.lockfile_dest)
    insecure_registries = options.insecure_registries()
    plan = {
        "bases": [
            {
                "reference": base.reference,
                "platforms": base.platforms,
                "used_by": base.used_by,
                "insecure": Reference.parse(base.reference).registry in insecure_registries,
            }
            for base in request.bases
        ],
        "old": _OLD if old is not None else None,
        "new": _NEW,
        "update": _updated_references(options),
    }
    output = await run_registry_client(
        None,
        "Pin base images",
        _PROGRAM,
        plan,
        options,
        inputs=(FileContent(_OLD, old),) if old is not None else (),
        output_files=(_NEW,),
    )
    for notice in json.loads(output.stdout):
        log_warning(logger, notice)
    files = await _compat.digest_contents(output.digest)
    if not files:
        raise DocklessError("the lockfile was not written", hint="run the command again")
    digest = await _compat.create_digest(CreateDigest([FileContent(request.lockfile_dest, files[0].content)]))
    return GenerateLockfileResult(digest, RESOLVE, request.lockfile_dest)


def _updated_references(options: Dockless) -> list[str]:
    """Return the references in `[dockless].update_bases`. Raises InvalidValueError."""
    references = []
    for text in options.update_bases:
        try:
            references.append(str(Reference.parse(text)))
        except InvalidValueError as error:
            raise InvalidValueError(
                f"option `[dockless].update_bases`: {error.problem}", cause=error.cause, hint=error.hint
            ) from None
    return references


def rules() -> Iterable[Union[Rule, UnionRule]]:
    """Return the rules of this module."""
    return [
        *collect_rules(),
        UnionRule(GenerateLockfile, LockBaseImages),
        UnionRule(KnownUserResolveNamesRequest, KnownBaseImagesRequest),
        UnionRule(RequestedUserResolveNames, RequestedBaseImages),
    ]
