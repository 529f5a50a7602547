"""Pushes of images: what the registries lack, and the processes that send it."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Optional

from pants.engine.addresses import Address
from pants.engine.env_vars import EnvironmentVarsRequest
from pants.engine.fs import CreateDigest, MergeDigests
from pants.engine.process import InteractiveProcess, Process, ProcessCacheScope
from pants.util.frozendict import FrozenDict

from pants_dockless import _compat
from pants_dockless._compat import RunId
from pants_dockless.errors import TargetError
from pants_dockless.subsystem import Dockless
from pants_dockless.target_types import CopyForeignLayersField, RegistriesField
from pants_dockless.util_rules.built_image import BuiltImage, ImageArtifact
from pants_dockless.util_rules.destinations import Destination
from pants_dockless.util_rules.layer_process import layer_trees
from pants_dockless.util_rules.private_environment import directory_of_run, private_environment_of_run
from pants_dockless.util_rules.processes import ENV_VARS, interactive_argv, registry_program, run_registry_client

_PROGRAM = "push_images.py"
_MODULES = ("push_progress.py",)
CHECK, DRY_RUN, _PUSH = "check", "dry-run", "push"


@dataclass(frozen=True)
class Push:
    """A push of an image to a destination. `address` is that of the target that names the destination."""

    address: Address
    image: BuiltImage
    destination: Destination
    copy_foreign_layers: bool = False

    @property
    def description(self) -> str:
        """The destination with the digest of the image."""
        return f"{self.destination.registry}/{self.destination.repository}@{self.image.digest}"


@dataclass(frozen=True)
class PushState:
    """What a registry has of an image.

    error        the error of the registry; empty if there was none
    is_complete  whether all tags refer to the image
    tags         the digest that each tag refers to, or None
    missing      the digests and sizes of the blobs that have to be sent
    mounts       the digests and sizes of the blobs that were mounted; in a dry run, those to mount
    known        for each blob, whether the repository has the blob
    """

    error: str = ""
    is_complete: bool = False
    tags: Mapping[str, Optional[str]] = FrozenDict()
    missing: Mapping[str, int] = FrozenDict()
    mounts: Mapping[str, int] = FrozenDict()
    known: Mapping[str, bool] = FrozenDict()

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> "PushState":
        """Return the state in the output of the program."""
        if "error" in document:
            return cls(document["error"])
        return cls(
            "", document["complete"], document["tags"], document["missing"], document["mounts"], document["known"]
        )


def find_pushes(
    address: Address, artifact: ImageArtifact, copy_foreign_layers: CopyForeignLayersField
) -> tuple[tuple[Push, ...], tuple[Destination, ...]]:
    """Return the pushes of an image, and the destinations that are skipped by `skip_push` of their registries.

    Raises TargetError if there is no destination.
    """
    if not artifact.destinations:
        raise TargetError(
            address,
            RegistriesField.alias,
            "no destination to publish to",
            cause="the field names no registry, and no entry of [dockless.registries] has `default = true`",
            hint="add a registry to the field or set `skip_push=True`",
        )
    pushes = tuple(
        Push(address, artifact.image, destination, copy_foreign_layers.value)
        for destination in artifact.destinations
        if not destination.skip_push
    )
    return pushes, tuple(destination for destination in artifact.destinations if destination.skip_push)


async def check_pushes(
    pushes: tuple[Push, ...],
    action: str,
    options: Dockless,
    run: RunId,
) -> tuple[PushState, ...]:
    """Ask the registries what they have of the images, in one process that reads no layer.

    `action` is CHECK, which mounts blobs of other repositories, or DRY_RUN, which changes nothing.
    """
    names = sorted({push.description for push in pushes})
    output = await run_registry_client(
        None,
        f"Ask the registry about {names[0]}" if len(names) == 1 else f"Ask registries about {len(names)} images",
        _PROGRAM,
        _plan(action, pushes, options, run),
        options,
        modules=_MODULES,
        input_digest=await _compat.merge_digests(MergeDigests(push.image.documents for push in pushes)),
    )
    return tuple(PushState.from_json(document) for document in json.loads(output.stdout))


async def push_process(
    pushes: tuple[Push, ...],
    states: tuple[PushState, ...],
    options: Dockless,
    run: RunId,
    *,
    results: str = "",
) -> InteractiveProcess:
    """Return the process that pushes images. Its sandbox has only the layers that the registries lack.

    `results` is the path of the file that the process writes its results to.
    """
    environment = await _compat.environment_vars(EnvironmentVarsRequest((*ENV_VARS, *options.env_vars)))
    plan = {**_plan(_PUSH, pushes, options, run, states), "results": results}
    program = registry_program(_PROGRAM, plan, private_environment_of_run(run, environment), _MODULES)
    layers = {
        layer.built.descriptor.digest: layer
        for push, state in zip(pushes, states)
        for layer in push.image.layers
        if str(layer.built.descriptor.digest) in state.missing
    }
    documents = (push.image.documents for push in pushes)
    trees = (await _compat.create_digest(CreateDigest(program)), *documents, *await layer_trees(tuple(layers.values())))
    return InteractiveProcess(interactive_argv(_PROGRAM), input_digest=await _compat.merge_digests(MergeDigests(trees)))


def background_process(process: InteractiveProcess, description: str) -> Process:
    """Return `process` as one that Pants does not run in the foreground."""
    argv = tuple(argument.replace("{chroot}/", "") for argument in process.process.argv)
    return replace(process.process, argv=argv, description=description, cache_scope=ProcessCacheScope.PER_SESSION)


def blobs_to_send(pushes: Sequence[Push], states: Sequence[PushState]) -> dict[tuple[str, str], int]:
    """Return the size of each blob to send, by registry and digest.

    A blob that several repositories of a registry lack is sent once, and mounted into the others.
    """
    return {
        (push.destination.registry, digest): size
        for push, state in zip(pushes, states)
        for digest, size in state.missing.items()
    }


def message_process(text: str, exit_code: int) -> InteractiveProcess:
    """Return a process that prints `text` to stderr and exits."""
    return InteractiveProcess(("/bin/sh", "-c", 'printf "%s\\n" "$1" >&2; exit "$2"', "sh", text, str(exit_code)))


def _plan(
    action: str, pushes: tuple[Push, ...], options: Dockless, run: RunId, states: tuple[PushState, ...] = ()
) -> dict[str, Any]:
    """Return the arguments of the program."""
    insecure = {push.destination.registry for push in pushes if push.destination.insecure}
    return {
        "action": action,
        "jobs": options.jobs,
        "insecure": sorted(insecure | options.insecure_registries()),
        "results": "",
        "connection_failures": directory_of_run(run),
        "send": sum(blobs_to_send(pushes, states).values()),
        "images": [_image(push, state) for push, state in zip(pushes, states or [PushState()] * len(pushes))],
    }


def _image(push: Push, state: PushState) -> dict[str, Any]:
    image, destination = push.image, push.destination
    return {
        "address": str(push.address),
        "digest": image.digest,
        "media_type": image.media_type,
        "document_size": image.document_size,
        "registry": destination.registry,
        "repository": destination.repository,
        "tags": destination.tags,
        "copy_foreign_layers": push.copy_foreign_layers,
        "known": dict(state.known),
        "mounted": len(state.mounts),
        # Repositories of the registry that may have a layer.
        "mounts": {
            digest: [repository for registry, repository in places if registry == destination.registry]
            for digest, places in image.published_layers.items()
        },
        # The layers that are only in a registry.
        "remote": [
            {"digest": layer.digest, "registry": layer.registry, "repository": layer.repository}
            for layer in image.remote_layers
        ],
    }
