"""What Pants loads."""

from pants_dockless.goals import package, publish
from pants_dockless.rules import tools
from pants_dockless.target_types import ContainerImageTarget, ImageLayerTarget, PushImageTarget


def target_types() -> list:
    return [ContainerImageTarget, ImageLayerTarget, PushImageTarget]


def rules() -> list:
    return [*tools.rules(), *package.rules(), *publish.rules()]
