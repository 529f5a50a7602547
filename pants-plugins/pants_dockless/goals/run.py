"""The goal `run`: loads an image into a container runtime of this machine and runs it."""

import platform
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Union

from pants.core.goals.package import EnvironmentAwarePackageRequest
from pants.core.goals.run import RunFieldSet, RunInSandboxBehavior, RunRequest
from pants.engine.fs import CreateDigest, MergeDigests
from pants.engine.rules import Rule, collect_rules, rule
from pants.engine.unions import UnionRule
from pants.util.logging import LogLevel

from dockless.errors import InvalidValueError
from dockless.oci.image_documents import ImageDocuments
from dockless.oci.platform import Platform, choose
from pants_dockless import _compat
from pants_dockless.subsystem import Dockless
from pants_dockless.target_types import ContainerImageDependenciesField, ExtraRunArgsField, ImagesField
from pants_dockless.util_rules.built_image import BuiltImage, build_field_set, image_artifact
from pants_dockless.util_rules.export import archive_names
from pants_dockless.util_rules.image_layer import target_of
from pants_dockless.util_rules.layer_process import layer_trees
from pants_dockless.util_rules.processes import interactive_argv, registry_program

_PROGRAM = "run_image.py"
_MODULES = ("container_runtime.py", "image_server.py")


@dataclass(frozen=True)
class RunImageFieldSet(RunFieldSet):
    """The fields that `run` reads from a `container_image`."""

    required_fields = (ContainerImageDependenciesField, ExtraRunArgsField)
    run_in_sandbox_behavior = RunInSandboxBehavior.NOT_SUPPORTED

    extra_run_args: ExtraRunArgsField


@dataclass(frozen=True)
class RunImageIndexFieldSet(RunFieldSet):
    """The fields that `run` reads from an `image_index`."""

    required_fields = (ImagesField, ExtraRunArgsField)
    run_in_sandbox_behavior = RunInSandboxBehavior.NOT_SUPPORTED

    extra_run_args: ExtraRunArgsField


# Before the rules: Pants 2.17 analyzes the functions that a rule calls when the rule is defined.
def _documents_for_this_machine(image: BuiltImage) -> ImageDocuments:
    """Return the image for the platform of this machine, otherwise the first, which a runtime may emulate."""
    documents = [platform_image.documents for platform_image in image.images]
    try:
        local = Platform.parse(f"linux/{platform.machine()}")
    except InvalidValueError:
        return documents[0]
    return choose(documents, lambda each: each.platform, local) or documents[0]


async def _run_request(field_set: Union[RunImageFieldSet, RunImageIndexFieldSet], options: Dockless) -> RunRequest:
    options.check_runtime()
    target = await target_of(field_set)
    artifact = image_artifact(await _compat.build_package(EnvironmentAwarePackageRequest(build_field_set(target))))
    image = artifact.image
    documents = _documents_for_this_machine(image)
    digests = {layer.digest for layer in documents.manifest.layers}
    remote = [layer for layer in image.remote_layers if layer.digest in digests]
    name = next(iter(archive_names(field_set.address, artifact.destinations)), "image:latest")
    manifest = documents.manifest
    plan = {
        "address": str(field_set.address),
        "runtime": options.runtime,
        "run_args": [*options.run_args, *(field_set.extra_run_args.value or ())],
        "name": name,
        "digest": manifest.digest,
        "media_type": manifest.media_type,
        "document_size": len(manifest.raw),
        "jobs": options.jobs,
        "insecure": sorted({layer.registry for layer in remote} & options.insecure_registries()),
        "remote": [
            {"digest": layer.digest, "registry": layer.registry, "repository": layer.repository} for layer in remote
        ],
    }
    program = await _compat.create_digest(CreateDigest(registry_program(_PROGRAM, plan, None, _MODULES)))
    layers = tuple(layer for layer in image.layers if layer.built.descriptor.digest in digests)
    trees = (program, image.documents, *await layer_trees(layers))
    return RunRequest(digest=await _compat.merge_digests(MergeDigests(trees)), args=interactive_argv(_PROGRAM))


@rule(desc="Prepare container image to run", level=LogLevel.DEBUG)
async def run_image(field_set: RunImageFieldSet, options: Dockless) -> RunRequest:
    """Return the request to run a program that loads and runs the image."""
    return await _run_request(field_set, options)


@rule(desc="Prepare image index to run", level=LogLevel.DEBUG)
async def run_image_index(field_set: RunImageIndexFieldSet, options: Dockless) -> RunRequest:
    """Return the request to run a program that loads and runs the image for this machine."""
    return await _run_request(field_set, options)


def rules() -> Iterable[Union[Rule, UnionRule]]:
    """Return the rules of this module."""
    return [*collect_rules(), *RunImageFieldSet.rules(), *RunImageIndexFieldSet.rules()]
