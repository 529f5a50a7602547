"""Builds the layers of `image_layer` targets, each in the environment of its target."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Optional, Union

from pants.core.goals.package import (
    BuiltPackage,
    BuiltPackageArtifact,
    EnvironmentAwarePackageRequest,
    PackageFieldSet,
)
from pants.engine.addresses import UnparsedAddressInputs
from pants.engine.fs import EMPTY_DIGEST
from pants.engine.rules import Rule, collect_rules, rule
from pants.engine.target import FieldSet, Target
from pants.engine.unions import UnionRule
from pants.option.global_options import GlobalOptions
from pants.util.logging import LogLevel

from pants_dockless import _compat
from pants_dockless.field_sets import BuildLayerFieldSet
from pants_dockless.subsystem import Dockless
from pants_dockless.util_rules.interpreter import SharedPython
from pants_dockless.util_rules.layer import BuildContext, build_layer
from pants_dockless.util_rules.layer_process import Layer


@dataclass(frozen=True)
class LayerArtifact(BuiltPackageArtifact):
    """The artifact of an `image_layer`. The layer is None if it is empty."""

    layer: Optional[Layer] = None


async def find_image_layer(target: Target) -> Optional[Layer]:
    """Return the layer of an `image_layer`, or None if the layer is empty. Raises TargetError."""
    package = await _compat.build_package(EnvironmentAwarePackageRequest(BuildLayerFieldSet.create(target)))
    (artifact,) = package.artifacts
    assert isinstance(artifact, LayerArtifact)
    return artifact.layer


async def target_of(field_set: FieldSet) -> Target:
    """Return the target of a field set, which has only some of the fields."""
    addresses = UnparsedAddressInputs(
        (field_set.address.spec,), owning_address=None, description_of_origin="the address of the target"
    )
    return (await _compat.resolve_targets(addresses))[0]


@rule(desc="Build image layer", level=LogLevel.DEBUG)
async def build_image_layer(
    field_set: BuildLayerFieldSet, python: SharedPython, options: Dockless, global_options: GlobalOptions
) -> BuiltPackage:
    """Build the layer of an `image_layer` in the environment of the target."""
    context = BuildContext.create(python, options, global_options)
    layer = await build_layer(await target_of(field_set), context)
    return BuiltPackage(EMPTY_DIGEST, (LayerArtifact(None, layer=layer),))


def rules() -> Iterable[Union[Rule, UnionRule]]:
    """Return the rules of this module."""
    return [*collect_rules(), UnionRule(PackageFieldSet, BuildLayerFieldSet)]
