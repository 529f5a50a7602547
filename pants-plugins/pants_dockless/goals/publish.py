"""The goal `publish`: for each destination of an image, a process that pushes the image with all its tags."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Optional, Union

from pants.core.goals.package import PackageFieldSet
from pants.core.goals.publish import (
    PublishFieldSet,
    PublishOutputData,
    PublishPackages,
    PublishProcesses,
    PublishRequest,
)
from pants.engine.rules import Rule, collect_rules, rule
from pants.engine.unions import UnionRule

from pants_dockless import _compat
from pants_dockless._compat import RunId
from pants_dockless.subsystem import Dockless
from pants_dockless.target_types import (
    ContainerImageDependenciesField,
    CopyForeignLayersField,
    ImageField,
    ImagesField,
    RegistriesField,
    SkipPushField,
)
from pants_dockless.util_rules.built_image import BuiltImage, image_artifact
from pants_dockless.util_rules.destinations import Destination
from pants_dockless.util_rules.publish_conflicts import check_conflicts
from pants_dockless.util_rules.publish_options import skip_reason
from pants_dockless.util_rules.push import (
    CHECK,
    Push,
    PushState,
    background_process,
    check_pushes,
    find_pushes,
    message_process,
    push_process,
)
from pants_dockless.util_rules.push_report import destination_data, planned_transfer


class PublishContainerImageRequest(PublishRequest["PublishContainerImageFieldSet"]):
    """A request to publish a `container_image`."""


class PublishImageIndexRequest(PublishRequest["PublishImageIndexFieldSet"]):
    """A request to publish an `image_index`."""


class PublishPushImageRequest(PublishRequest["PublishPushImageFieldSet"]):
    """A request to publish a `push_image`."""


@dataclass(frozen=True)
class _PublishImageFieldSet(PublishFieldSet[Any]):
    registries: RegistriesField
    skip_push: SkipPushField
    copy_foreign_layers: CopyForeignLayersField

    def check_skip_request(self, package_fs: PackageFieldSet) -> Any:
        """Return the request that Pants 2.32 and later answer before they package the target."""
        return _compat.skip_publish_request(self, package_fs)

    def skip_reason(self, options: Dockless) -> str:
        """Return why the target is skipped, or an empty string. See `publish_options.skip_reason`."""
        return skip_reason(self.address, self.skip_push, options)

    def get_output_data(self) -> PublishOutputData:
        """Return the data for `publish --output` that is the same for all destinations."""
        return PublishOutputData({"publisher": "dockless", **super().get_output_data()})


@dataclass(frozen=True)
class PublishContainerImageFieldSet(_PublishImageFieldSet):
    """The fields that `publish` reads from a `container_image`."""

    publish_request_type = PublishContainerImageRequest
    required_fields = (ContainerImageDependenciesField, RegistriesField)


@dataclass(frozen=True)
class PublishImageIndexFieldSet(_PublishImageFieldSet):
    """The fields that `publish` reads from an `image_index`."""

    publish_request_type = PublishImageIndexRequest
    required_fields = (ImagesField, RegistriesField)


@dataclass(frozen=True)
class PublishPushImageFieldSet(_PublishImageFieldSet):
    """The fields that `publish` reads from a `push_image`."""

    publish_request_type = PublishPushImageRequest
    required_fields = (ImageField, RegistriesField)


# Before the rules: Pants 2.17 analyzes the functions that a rule calls when the rule is defined.
async def _publish(request: PublishRequest[Any], options: Dockless, run: RunId) -> PublishProcesses:
    field_set: _PublishImageFieldSet = request.field_set
    artifact = image_artifact(*request.packages)
    image, destinations = artifact.image, artifact.destinations
    reason = field_set.skip_reason(options)
    if reason:
        return PublishProcesses(
            [_skipped(field_set, image, destination, reason) for destination in destinations]
            or [PublishPackages((str(field_set.address),), None, reason)]
        )
    pushes, skipped = find_pushes(field_set.address, artifact, field_set.copy_foreign_layers)
    for push in pushes:
        check_conflicts(run, push.destination.references, field_set.address, str(image.digest))
    states = await check_pushes(pushes, CHECK, options, run) if pushes else ()
    processes = await _compat.concurrently(_process(push, state, options, run) for push, state in zip(pushes, states))
    return PublishProcesses(
        [
            *(
                _skipped(field_set, image, destination, f"(by `skip_push` of the registry {destination.registry})")
                for destination in skipped
            ),
            *(
                PublishPackages(
                    names=push.destination.references,
                    process=process,
                    description=push.description,
                    data=_output_data(field_set, image, push.destination, planned_transfer(push, state)),
                )
                for push, state, process in zip(pushes, states, processes)
            ),
        ]
    )


async def _process(push: Push, state: PushState, options: Dockless, run: RunId) -> Any:
    if state.error:
        return message_process(f"error: {push.address}: {state.error}", 1)
    if state.is_complete:
        text = f"{push.description}: already present"
        process = message_process(text, 0)
        return background_process(process, text) if _compat.PUBLISH_RUNS_BACKGROUND_PROCESSES else process
    return await push_process((push,), (state,), options, run)


@rule
async def publish_container_image(
    request: PublishContainerImageRequest, options: Dockless, run: RunId
) -> PublishProcesses:
    """Return the processes that push the image of a `container_image`."""
    return await _publish(request, options, run)


@rule
async def publish_image_index(request: PublishImageIndexRequest, options: Dockless, run: RunId) -> PublishProcesses:
    """Return the processes that push the index of an `image_index`."""
    return await _publish(request, options, run)


@rule
async def publish_push_image(request: PublishPushImageRequest, options: Dockless, run: RunId) -> PublishProcesses:
    """Return the processes that push the image of a `push_image`."""
    return await _publish(request, options, run)


def _skipped(
    field_set: _PublishImageFieldSet, image: BuiltImage, destination: Destination, reason: str
) -> PublishPackages:
    return PublishPackages(destination.references, None, reason, _output_data(field_set, image, destination))


def _output_data(
    field_set: _PublishImageFieldSet,
    image: BuiltImage,
    destination: Destination,
    transfer: Optional[Mapping[str, int]] = None,
) -> PublishOutputData:
    """Return the data for `publish --output`. Pants needs the data before the push: `transfer` is the plan."""
    return PublishOutputData(
        {
            **field_set.get_output_data(),
            **destination_data(image, destination),
            **({"transfer": transfer} if transfer else {}),
        }
    )


def rules() -> Iterable[Union[Rule, UnionRule]]:
    """Return the rules of this module."""
    return [
        *collect_rules(),
        *_compat.skip_publish_rules(),
        *PublishContainerImageFieldSet.rules(),
        *PublishImageIndexFieldSet.rules(),
        *PublishPushImageFieldSet.rules(),
    ]
