"""For Pants 2.29 and later: the rule that calls the rules of plugins for a request for tags."""

# Types are checked with the oldest supported version of Pants, which does not have this argument of `rule`.
# mypy: disable-error-code="call-overload"

from collections.abc import Iterable
from typing import Union

from pants.engine.environment import EnvironmentName
from pants.engine.rules import Rule, collect_rules, rule
from pants.engine.unions import UnionRule

from pants_dockless.image_tags import ImageTags, ImageTagsRequest


@rule(polymorphic=True)
async def find_image_tags(request: ImageTagsRequest, environment: EnvironmentName) -> ImageTags:
    """Return the tags of a plugin. Pants replaces this rule by that of the member of the union."""
    raise NotImplementedError


def image_tags_rules() -> Iterable[Union[Rule, UnionRule]]:
    """Return the rules of this module."""
    return collect_rules()
