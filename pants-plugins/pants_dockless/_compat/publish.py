"""For Pants 2.32 and later: `publish` skips targets before they are packaged."""

# Types are checked with the oldest supported version of Pants, which does not have these classes.
# mypy: disable-error-code="attr-defined, misc"

from collections.abc import Iterable
from typing import Any, Union

from pants.core.goals.package import PackageFieldSet
from pants.core.goals.publish import CheckSkipRequest, CheckSkipResult
from pants.engine.rules import Rule, collect_rules, rule
from pants.engine.unions import UnionRule

from pants_dockless.subsystem import Dockless


class SkipPushRequest(CheckSkipRequest):
    """A request to skip a target."""


def skip_publish_request(publish_field_set: Any, package_field_set: PackageFieldSet) -> Any:
    """Return the request for a target."""
    return SkipPushRequest(publish_fs=publish_field_set, package_fs=package_field_set)


@rule
async def skip_publish(request: SkipPushRequest, options: Dockless) -> CheckSkipResult:
    """Report the target as skipped, if it is. Its references are not known, because they may contain the digest."""
    reason = request.publish_fs.skip_reason(options)
    if not reason:
        return CheckSkipResult.no_skip()
    return CheckSkipResult.skip(
        names=(str(request.address),), description=reason, data=request.publish_fs.get_output_data()
    )


def skip_publish_rules() -> Iterable[Union[Rule, UnionRule]]:
    """Return the rules of this module."""
    return [*collect_rules(), UnionRule(CheckSkipRequest, SkipPushRequest)]
