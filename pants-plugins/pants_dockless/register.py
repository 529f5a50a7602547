"""What Pants loads."""

from pants_dockless.goals import lock, package, publish
from pants_dockless.rules import tools
from pants_dockless.target_types import BaseImageTarget, ContainerImageTarget, ImageLayerTarget, PushImageTarget


def target_types() -> list:
    return [BaseImageTarget, ContainerImageTarget, ImageLayerTarget, PushImageTarget]


def rules() -> list:
    return [*tools.rules(), *lock.rules(), *package.rules(), *publish.rules()]
