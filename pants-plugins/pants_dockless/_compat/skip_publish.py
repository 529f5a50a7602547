"""Skipping a publish before anything is packaged, which Pants from 2.32 on asks for."""

from typing import Any

from pants.core.goals.package import PackageFieldSet
from pants.core.goals.publish import CheckSkipRequest, CheckSkipResult
from pants.engine.rules import collect_rules, rule
from pants.engine.unions import UnionRule


class SkipPushRequest(CheckSkipRequest):
    """Made only for targets with `skip_push`."""


def skip_publish_request(publish_field_set: Any, package_field_set: PackageFieldSet) -> SkipPushRequest:
    return SkipPushRequest(publish_fs=publish_field_set, package_fs=package_field_set)


@rule
async def skip_publish(request: SkipPushRequest) -> CheckSkipResult:
    # What it would be called in a registry may depend on the digest, which is known when it is packaged.
    return CheckSkipResult.skip(
        names=(str(request.address),),
        description=f"(by `{request.publish_fs.skip_push.alias}` on {request.address})",
        data=request.publish_fs.get_output_data(),
    )


def skip_publish_rules() -> list:
    return [*collect_rules(), UnionRule(CheckSkipRequest, SkipPushRequest)]
