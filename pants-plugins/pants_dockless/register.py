"""Entry point of the backend: Pants reads its target types and rules here."""

from collections.abc import Iterable
from typing import Any

from pants.engine.target import Target

from pants_dockless.goals import generate_lockfiles, package, publish, push, run, test
from pants_dockless.target_types import (
    BaseImageTarget,
    ContainerImageTarget,
    ImageIndexTarget,
    ImageLayerTarget,
    ImageTestTarget,
    PushImageTarget,
)
from pants_dockless.util_rules import image_index, image_layer, interpreter, lockfile_dependencies


def target_types() -> Iterable[type[Target]]:
    """Return the target types of the backend."""
    return [
        BaseImageTarget,
        ContainerImageTarget,
        ImageIndexTarget,
        ImageLayerTarget,
        ImageTestTarget,
        PushImageTarget,
    ]


def rules() -> Iterable[Any]:
    """Return the rules of the backend."""
    return [
        *interpreter.rules(),
        *image_index.rules(),
        *image_layer.rules(),
        *generate_lockfiles.rules(),
        *lockfile_dependencies.rules(),
        *package.rules(),
        *publish.rules(),
        *push.rules(),
        *run.rules(),
        *test.rules(),
    ]
