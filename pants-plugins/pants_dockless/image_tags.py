"""The hook for plugins that add tags to images."""

from dataclasses import dataclass

from pants.engine.collection import Collection
from pants.engine.environment import EnvironmentName
from pants.engine.target import Target
from pants.engine.unions import union


@union(in_scope_types=[EnvironmentName])
@dataclass(frozen=True)
class ImageTagsRequest:
    """A request for additional tags of a `container_image`, an `image_index` or a `push_image`.

    A plugin defines a subclass, a rule from the subclass to ImageTags, and `UnionRule(ImageTagsRequest, Subclass)`.
    """

    target: Target

    @classmethod
    def is_applicable(cls, target: Target) -> bool:
        """Return whether the plugin may have tags for the target."""
        return True


class ImageTags(Collection[str]):
    """Additional tags. They may contain the placeholders of the field `image_tags`."""
