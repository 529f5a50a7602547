"""The goal `publish`: for each destination of an image, a process that pushes the image with all its tags."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Union

from pants.core.goals.package import PackageFieldSet
from pants.core.goals.publish import (
    PublishFieldSet,
    PublishOutputData,
    PublishPackages,
    PublishProcesses,
    PublishRequest,
)
from pants.core.util_rules.adhoc_binaries import PythonBuildStandaloneBinary
from pants.engine.env_vars import EnvironmentVarsRequest
from pants.engine.fs import AddPrefix, CreateDigest, MergeDigests
from pants.engine.process import InteractiveProcess
from pants.engine.rules import Rule, collect_rules, rule
from pants.engine.unions import UnionRule

from pants_dockless import _compat
from pants_dockless._compat import RunId
from pants_dockless.errors import TargetError
from pants_dockless.subsystem import Dockless
from pants_dockless.target_types import (
    ContainerImageDependenciesField,
    CopyForeignLayersField,
    ImageField,
    RegistriesField,
    SkipPushField,
)
from pants_dockless.util_rules.built_image import BuiltImage, image_artifact
from pants_dockless.util_rules.destinations import Destination
from pants_dockless.util_rules.private_environment import private_environment_of_run
from pants_dockless.util_rules.processes import ENV_VARS, interactive_argv, registry_program
from pants_dockless.util_rules.publish_conflicts import check_conflicts

_PROGRAM = "push_image.py"


class PublishContainerImageRequest(PublishRequest["PublishContainerImageFieldSet"]):
    """A request to publish a `container_image`."""


class PublishPushImageRequest(PublishRequest["PublishPushImageFieldSet"]):
    """A request to publish a `push_image`."""


@dataclass(frozen=True)
class _PublishImageFieldSet(PublishFieldSet[Any]):
    registries: RegistriesField
    skip_push: SkipPushField
    copy_foreign_layers: CopyForeignLayersField

    def check_skip_request(self, package_fs: PackageFieldSet) -> Any:
        """Return the request that Pants 2.32 and later answer before they package the target."""
        return _compat.skip_publish_request(self, package_fs) if self.skip_push.value else None

    def get_output_data(self) -> PublishOutputData:
        """Return the data for `publish --output` that is the same for all destinations."""
        return PublishOutputData({"publisher": "dockless", **super().get_output_data()})


@dataclass(frozen=True)
class PublishContainerImageFieldSet(_PublishImageFieldSet):
    """The fields that `publish` reads from a `container_image`."""

    publish_request_type = PublishContainerImageRequest
    required_fields = (ContainerImageDependenciesField, RegistriesField)


@dataclass(frozen=True)
class PublishPushImageFieldSet(_PublishImageFieldSet):
    """The fields that `publish` reads from a `push_image`."""

    publish_request_type = PublishPushImageRequest
    required_fields = (ImageField, RegistriesField)


# Before the rules: Pants 2.17 analyzes the functions that a rule calls when the rule is defined.
async def _publish(
    request: PublishRequest[Any], python: PythonBuildStandaloneBinary, options: Dockless, run: RunId
) -> PublishProcesses:
    field_set: _PublishImageFieldSet = request.field_set
    artifact = image_artifact(*request.packages)
    image, destinations = artifact.image, artifact.destinations
    if field_set.skip_push.value:
        reason = f"(by `skip_push` on {field_set.address})"
        return PublishProcesses(
            [_skipped(field_set, image, destination, reason) for destination in destinations]
            or [PublishPackages((str(field_set.address),), None, reason)]
        )
    if not destinations:
        raise TargetError(
            field_set.address,
            field_set.registries.alias,
            "no destination to publish to",
            cause="the field names no registry, and no entry of [dockless.registries] has `default = true`",
            hint="add a registry to the field or set `skip_push=True`",
        )
    environment = await _compat.environment_vars(EnvironmentVarsRequest((*ENV_VARS, *options.env_vars)))
    layout = await _compat.add_prefix(AddPrefix(image.layout, "image"))
    packages = []
    for destination in destinations:
        if destination.skip_push:
            reason = f"(by `skip_push` of the registry {destination.registry})"
            packages.append(_skipped(field_set, image, destination, reason))
            continue
        check_conflicts(run, destination.references, field_set.address, str(image.digest))
        plan = _plan(field_set, image, destination, options)
        program = registry_program(_PROGRAM, plan, private_environment_of_run(run, environment))
        program_digest = await _compat.create_digest(CreateDigest(program))
        packages.append(
            PublishPackages(
                names=destination.references,
                process=InteractiveProcess(
                    interactive_argv(python, _PROGRAM),
                    input_digest=await _compat.merge_digests(MergeDigests((layout, program_digest))),
                ),
                description=f"{destination.registry}/{destination.repository}@{image.digest}",
                data=_output_data(field_set, image, destination),
            )
        )
    return PublishProcesses(packages)


@rule
async def publish_container_image(
    request: PublishContainerImageRequest, python: PythonBuildStandaloneBinary, options: Dockless, run: RunId
) -> PublishProcesses:
    """Return the processes that push the image of a `container_image`."""
    return await _publish(request, python, options, run)


@rule
async def publish_push_image(
    request: PublishPushImageRequest, python: PythonBuildStandaloneBinary, options: Dockless, run: RunId
) -> PublishProcesses:
    """Return the processes that push the image of a `push_image`."""
    return await _publish(request, python, options, run)


def _skipped(
    field_set: _PublishImageFieldSet, image: BuiltImage, destination: Destination, reason: str
) -> PublishPackages:
    return PublishPackages(destination.references, None, reason, _output_data(field_set, image, destination))


def _output_data(field_set: _PublishImageFieldSet, image: BuiltImage, destination: Destination) -> PublishOutputData:
    """Return the data for `publish --output`."""
    return PublishOutputData(
        {
            **field_set.get_output_data(),
            "references": destination.references,
            "registry": destination.registry,
            "repository": destination.repository,
            "tags": destination.tags,
            "digest": str(image.digest),
            "media_type": image.media_type,
            "size": image.size,
        }
    )


def _plan(
    field_set: _PublishImageFieldSet, image: BuiltImage, destination: Destination, options: Dockless
) -> dict[str, Any]:
    """Return the arguments of the program that pushes the image."""
    insecure_registries = options.insecure_registries()
    return {
        "address": str(field_set.address),
        "layout": "image",
        "registry": destination.registry,
        "repository": destination.repository,
        "tags": destination.tags,
        "insecure": destination.insecure,
        "jobs": options.jobs,
        "copy_foreign_layers": field_set.copy_foreign_layers.value,
        # The layers that are not in the layout.
        "remote": [
            {
                "digest": layer.digest,
                "registry": layer.registry,
                "repository": layer.repository,
                "insecure": layer.registry in insecure_registries,
            }
            for layer in image.remote_layers
        ],
    }


def rules() -> Iterable[Union[Rule, UnionRule]]:
    """Return the rules of this module."""
    return [
        *collect_rules(),
        *_compat.skip_publish_rules(),
        *PublishContainerImageFieldSet.rules(),
        *PublishPushImageFieldSet.rules(),
    ]
