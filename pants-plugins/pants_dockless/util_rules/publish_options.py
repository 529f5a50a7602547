"""Whether a target is published: its field `skip_push`, and the options `skip_push` and `allow_publish`."""

from pants.engine.addresses import Address

from pants_dockless.errors import TargetError
from pants_dockless.subsystem import Dockless
from pants_dockless.target_types import SkipPushField


def skip_reason(address: Address, skip_push: SkipPushField, options: Dockless, *, dry_run: bool = False) -> str:
    """Return why the target is skipped, or an empty string.

    Raises TargetError if the target is not skipped, and the options do not allow to publish.
    """
    if skip_push.value:
        return f"(by `{skip_push.alias}` on {address})"
    if options.skip_push:
        return "(by the option `[dockless].skip_push`)"
    if not options.allow_publish and not dry_run:
        raise TargetError(
            address,
            "[dockless].allow_publish",
            "the option is false, so that no image is published",
            hint="publish in CI, or add --dockless-allow-publish",
        )
    return ""
