"""`pants generate-lockfiles --resolve=base-images`: pins the bases. The one goal that asks registries for them."""

import json
import logging
from dataclasses import dataclass

from pants.base.glob_match_error_behavior import GlobMatchErrorBehavior
from pants.core.goals.generate_lockfiles import (
    GenerateLockfile,
    GenerateLockfileResult,
    KnownUserResolveNames,
    KnownUserResolveNamesRequest,
    RequestedUserResolveNames,
    UserGenerateLockfiles,
)
from pants.core.util_rules.adhoc_binaries import PythonBuildStandaloneBinary
from pants.engine.fs import CreateDigest, FileContent, PathGlobs
from pants.engine.rules import collect_rules, rule
from pants.engine.target import AllTargets
from pants.engine.unions import UnionRule
from pants.util.logging import LogLevel

from dockless.errors import DocklessError
from dockless.oci.reference import Reference
from pants_dockless import _compat
from pants_dockless.errors import TargetError
from pants_dockless.subsystem import Dockless
from pants_dockless.target_types import BaseField, BasePlatformsField, PlatformsField, ReferenceField
from pants_dockless.util_rules.base_images import RESOLVE, parse_platforms
from pants_dockless.util_rules.processes import run_registry_client

logger = logging.getLogger(__name__)

_PROGRAM = "lock_bases.py"
_OLD = "old.lock"
_NEW = "new.lock"


class KnownBaseImagesRequest(KnownUserResolveNamesRequest):
    pass


class RequestedBaseImages(RequestedUserResolveNames):
    pass


@dataclass(frozen=True)
class LockBaseImages(GenerateLockfile):
    """`wanted`: each reference, the platforms to pin of it, and the targets and fields that name it."""

    wanted: tuple[tuple[str, tuple[str, ...], str], ...]


@rule
async def known_base_images(_: KnownBaseImagesRequest, options: Dockless) -> KnownUserResolveNames:
    return KnownUserResolveNames((RESOLVE,), "[dockless].lockfile", RequestedBaseImages)


@rule
async def requested_base_images(
    _: RequestedBaseImages, all_targets: AllTargets, options: Dockless
) -> UserGenerateLockfiles:
    wanted, named = {}, {}
    for target in all_targets:
        if target.has_field(ReferenceField):
            field, platforms = target[ReferenceField], target[BasePlatformsField]
            text = field.value
        elif target.has_field(BaseField) and target[BaseField].reference:
            field, platforms = target[BaseField], target[PlatformsField]
            text = target[BaseField].reference
        else:
            continue
        try:
            reference = str(Reference.parse(text))
        except DocklessError as error:
            raise TargetError.of(target.address, field.alias, error) from None
        found = parse_platforms(target.address, platforms.alias, platforms.value, options)
        wanted.setdefault(reference, set()).update(map(str, found))
        named.setdefault(reference, []).append(f"{target.address}: field `{field.alias}`")
    if not wanted:
        return UserGenerateLockfiles(())
    bases = tuple(
        (reference, tuple(sorted(platforms)), ", ".join(sorted(named[reference])))
        for reference, platforms in sorted(wanted.items())
    )
    return UserGenerateLockfiles(
        (LockBaseImages(resolve_name=RESOLVE, lockfile_dest=options.lockfile, diff=False, wanted=bases),)
    )


@rule(desc="Pin base images", level=LogLevel.INFO)
async def lock_base_images(
    request: LockBaseImages, python: PythonBuildStandaloneBinary, options: Dockless
) -> GenerateLockfileResult:
    old = await _compat.digest_contents(
        await _compat.path_globs(
            PathGlobs([request.lockfile_dest], glob_match_error_behavior=GlobMatchErrorBehavior.ignore)
        )
    )
    plan = {
        "bases": [
            {
                "reference": reference,
                "platforms": platforms,
                "named": named,
                "insecure": options.is_insecure(Reference.parse(reference).registry),
            }
            for reference, platforms, named in request.wanted
        ],
        "old": _OLD if old else None,
        "new": _NEW,
        "update": [str(Reference.parse(reference)) for reference in options.update_bases],
    }
    # What a tag names is not a function of anything that Pants knows: the program is never cached.
    output = await run_registry_client(
        None,
        "Pin base images",
        python,
        _PROGRAM,
        plan,
        options,
        inputs=(FileContent(_OLD, old[0].content),) if old else (),
        output_files=(_NEW,),
    )
    for notice in json.loads(output.stdout):
        logger.warning(notice)
    made = await _compat.digest_contents(output.digest)
    if not made:
        raise DocklessError("the lockfile was not written", hint="run the command again without --remote-execution")
    digest = await _compat.create_digest(CreateDigest([FileContent(request.lockfile_dest, made[0].content)]))
    return GenerateLockfileResult(digest, RESOLVE, request.lockfile_dest)


def rules() -> list:
    return [
        *collect_rules(),
        UnionRule(GenerateLockfile, LockBaseImages),
        UnionRule(KnownUserResolveNamesRequest, KnownBaseImagesRequest),
        UnionRule(RequestedUserResolveNames, RequestedBaseImages),
    ]
