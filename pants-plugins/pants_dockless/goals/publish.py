"""`pants publish`: one process pushes an image to one repository, under all its tags."""

from dataclasses import dataclass
from typing import Any

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
from pants.engine.fs import AddPrefix, CreateDigest, FileContent, MergeDigests
from pants.engine.internals.session import RunId
from pants.engine.process import InteractiveProcess
from pants.engine.rules import collect_rules, rule

from pants_dockless import _compat
from pants_dockless.errors import TargetError
from pants_dockless.goals.package import ImageArtifact
from pants_dockless.subsystem import Dockless
from pants_dockless.target_types import (
    CopyForeignLayersField,
    ImageContentField,
    ImageField,
    ImageTagsField,
    RegistriesField,
    RepositoryField,
    SkipPushField,
)
from pants_dockless.util_rules.destinations import Destination
from pants_dockless.util_rules.image import BuiltImage
from pants_dockless.util_rules.private_environment import private_environment_of_run
from pants_dockless.util_rules.processes import ENV_VARS, interactive_argv, registry_program
from pants_dockless.util_rules.publish_conflicts import claim

_PROGRAM = "push_image.py"


class PublishImageRequest(PublishRequest):
    pass


class PublishPushRequest(PublishRequest):
    pass


@dataclass(frozen=True)
class PublishImageFieldSet(PublishFieldSet):
    """A `container_image`, pushed by its own push fields."""

    publish_request_type = PublishImageRequest
    required_fields = (ImageContentField, RegistriesField)

    registries: RegistriesField
    repository: RepositoryField
    image_tags: ImageTagsField
    skip_push: SkipPushField
    copy_foreign_layers: CopyForeignLayersField

    def check_skip_request(self, package_fs: PackageFieldSet) -> Any:
        """Pants from 2.32 on calls this before it packages the target."""
        return _compat.skip_publish_request(self, package_fs) if self.skip_push.value else None

    def get_output_data(self) -> PublishOutputData:
        return PublishOutputData({"publisher": "dockless", **super().get_output_data()})


@dataclass(frozen=True)
class PublishPushFieldSet(PublishImageFieldSet):
    """A `push_image`."""

    publish_request_type = PublishPushRequest
    required_fields = (ImageField, RegistriesField)


async def publish_artifact(
    request: PublishRequest, python: PythonBuildStandaloneBinary, options: Dockless, run: RunId
) -> PublishProcesses:
    field_set = request.field_set
    artifact = next(a for package in request.packages for a in package.artifacts if isinstance(a, ImageArtifact))
    image = artifact.image
    if field_set.skip_push.value:
        return PublishProcesses(
            [_skipped(field_set, image, d, f"(by `skip_push` on {field_set.address})") for d in artifact.destinations]
            or [PublishPackages((str(field_set.address),), None, f"(by `skip_push` on {field_set.address})")]
        )
    if not artifact.destinations:
        raise TargetError(
            field_set.address,
            field_set.registries.alias,
            "there is nowhere to publish to",
            cause="the field names no registry and no entry of [dockless.registries] has `default = true`",
            hint="name a registry in the field or set `skip_push=True`",
        )
    environment = await _compat.environment_vars(EnvironmentVarsRequest((*ENV_VARS, *options.env_vars)))
    layout = await _compat.add_prefix(AddPrefix(image.layout, "image"))
    published = []
    for destination in artifact.destinations:
        if destination.skip_push:
            published.append(
                _skipped(field_set, image, destination, f"(by `skip_push` of the registry {destination.registry})")
            )
            continue
        claim(run, destination.references, field_set.address, str(image.digest))
        path = private_environment_of_run(run, environment)
        plan = await _compat.create_digest(CreateDigest(_program(field_set, image, destination, options, path)))
        published.append(
            PublishPackages(
                names=destination.references,
                process=InteractiveProcess(
                    interactive_argv(python, _PROGRAM),
                    input_digest=await _compat.merge_digests(MergeDigests((layout, plan))),
                ),
                description=f"{destination.registry}/{destination.repository}@{image.digest}",
                data=_output(field_set, image, destination),
            )
        )
    return PublishProcesses(published)


@rule
async def publish_container_image(
    request: PublishImageRequest, python: PythonBuildStandaloneBinary, options: Dockless, run: RunId
) -> PublishProcesses:
    return await publish_artifact(request, python, options, run)


@rule
async def publish_push_image(
    request: PublishPushRequest, python: PythonBuildStandaloneBinary, options: Dockless, run: RunId
) -> PublishProcesses:
    return await publish_artifact(request, python, options, run)


def _skipped(field_set: Any, image: BuiltImage, destination: Destination, reason: str) -> PublishPackages:
    return PublishPackages(destination.references, None, reason, _output(field_set, image, destination))


def _output(field_set: Any, image: BuiltImage, destination: Destination) -> PublishOutputData:
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


def _program(
    field_set: Any, image: BuiltImage, destination: Destination, options: Dockless, environment: str
) -> tuple[FileContent, ...]:
    plan: dict[str, Any] = {
        "address": str(field_set.address),
        "layout": "image",
        "registry": destination.registry,
        "repository": destination.repository,
        "tags": destination.tags,
        "insecure": destination.insecure,
        "jobs": options.jobs,
        "copy_foreign_layers": field_set.copy_foreign_layers.value,
        # Layers that are in no tree of ours, and where they are.
        "remote": [
            {
                "digest": layer.digest,
                "registry": layer.registry,
                "repository": layer.repository,
                "insecure": options.is_insecure(layer.registry),
            }
            for layer in image.remote
        ],
    }
    return registry_program(_PROGRAM, plan, environment)


def rules() -> list:
    return [
        *collect_rules(),
        *_compat.skip_publish_rules(),
        *PublishImageFieldSet.rules(),
        *PublishPushFieldSet.rules(),
    ]
