"""What Pants loads."""

from pants_dockless.goals import generate_lockfiles, package, publish
from pants_dockless.target_types import BaseImageTarget, ContainerImageTarget, ImageLayerTarget, PushImageTarget
from pants_dockless.util_rules import interpreter, tools


def target_types() -> list:
    return [BaseImageTarget, ContainerImageTarget, ImageLayerTarget, PushImageTarget]


def rules() -> list:
    return [*interpreter.rules(), *tools.rules(), *generate_lockfiles.rules(), *package.rules(), *publish.rules()]
