"""`pants publish`: one process pushes an image to one repository, under all its tags."""

import json
import os
import sys
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

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
from pants.engine.process import InteractiveProcess
from pants.engine.rules import collect_rules, rule

from pants_dockless import engine
from pants_dockless.errors import TargetError
from pants_dockless.goals.package import ImageArtifact
from pants_dockless.layer_fields import ImageContentField
from pants_dockless.rules.destinations import Destination
from pants_dockless.rules.image import BuiltImage
from pants_dockless.subsystem import Dockless
from pants_dockless.target_types import (
    ImageField,
    ImageTagsField,
    RegistriesField,
    RepositoryField,
    SkipPushField,
)

_MAIN = "push.py"
_PLAN = "push.json"

# What credential stores and helpers, proxies and CA bundles are found by. Only the process that pushes gets them: it is
# never cached.
_ENV_VARS = (
    *("PATH", "HOME", "LANG", "USER", "DBUS_SESSION_BUS_ADDRESS", "GNUPGHOME", "PASSWORD_STORE_DIR"),
    *("DOCKER_CONFIG", "REGISTRY_AUTH_FILE", "XDG_CONFIG_HOME", "XDG_RUNTIME_DIR"),
    *("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"),
    *("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "all_proxy", "no_proxy"),
    *("GOOGLE_APPLICATION_CREDENTIALS", "CLOUDSDK_CONFIG", "CLOUDSDK_CORE_PROJECT", "GOOGLE_CLOUD_PROJECT"),
    *("AWS_PROFILE", "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"),
    *("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_ROLE_ARN", "AWS_WEB_IDENTITY_TOKEN_FILE"),
)


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

    def get_output_data(self) -> PublishOutputData:
        return PublishOutputData({"publisher": "dockless", **super().get_output_data()})


@dataclass(frozen=True)
class PublishPushFieldSet(PublishImageFieldSet):
    """A `push_image`."""

    publish_request_type = PublishPushRequest
    required_fields = (ImageField, RegistriesField)


async def publish_artifact(
    request: PublishRequest, python: PythonBuildStandaloneBinary, options: Dockless
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
    env = await engine.environment_vars(EnvironmentVarsRequest((*_ENV_VARS, *options.env_vars)))
    layout = await engine.add_prefix(AddPrefix(image.layout, "image"))
    published = []
    for destination in artifact.destinations:
        if destination.skip_push:
            published.append(
                _skipped(field_set, image, destination, f"(by `skip_push` of the registry {destination.registry})")
            )
            continue
        plan = await engine.create_digest(CreateDigest(_program(field_set, destination, options)))
        published.append(
            PublishPackages(
                names=destination.references,
                process=InteractiveProcess(
                    (python.path, "-I", f"{{chroot}}/{_MAIN}", f"{{chroot}}/{_PLAN}"),
                    env=env,
                    input_digest=await engine.merge_digests(MergeDigests((layout, plan))),
                ),
                description=f"{destination.registry}/{destination.repository}@{image.digest}",
                data=_output(field_set, image, destination),
            )
        )
    return PublishProcesses(published)


@rule
async def publish_container_image(
    request: PublishImageRequest, python: PythonBuildStandaloneBinary, options: Dockless
) -> PublishProcesses:
    return await publish_artifact(request, python, options)


@rule
async def publish_push_image(
    request: PublishPushRequest, python: PythonBuildStandaloneBinary, options: Dockless
) -> PublishProcesses:
    return await publish_artifact(request, python, options)


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


def _program(field_set: Any, destination: Destination, options: Dockless) -> tuple[FileContent, ...]:
    main = os.path.join(os.path.dirname(os.path.dirname(__file__)), "sandbox", _MAIN)
    with open(main, "rb") as file:
        source = file.read()
    plan: dict[str, Any] = {
        "address": str(field_set.address),
        "layout": "image",
        "registry": destination.registry,
        "repository": destination.repository,
        "tags": destination.tags,
        "insecure": destination.insecure,
        "jobs": options.jobs,
        # The process runs on this machine and is never cached: it may import from where Pants itself does.
        "import_from": _import_roots(),
    }
    return (FileContent(_MAIN, source), FileContent(_PLAN, json.dumps(plan).encode()))


def _import_roots() -> list:
    """The folders that hold the library and what it imports, in the order of sys.path."""
    found = set()
    for package in ("dockless", "requests"):
        spec = find_spec(package)
        if spec is None or not spec.submodule_search_locations:
            raise ModuleNotFoundError(f"the package `{package}` is not installed with {sys.executable}")
        found.update(os.path.dirname(os.path.abspath(place)) for place in spec.submodule_search_locations)
    return [path for path in map(os.path.abspath, sys.path) if path in found]


def rules() -> list:
    return [*collect_rules(), *PublishImageFieldSet.rules(), *PublishPushFieldSet.rules()]
