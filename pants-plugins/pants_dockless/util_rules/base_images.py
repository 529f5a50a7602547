"""What images stand on: pinned bases out of the lockfile, or other images of the repository."""

from dataclasses import dataclass
from typing import Any, Optional

from pants.base.glob_match_error_behavior import GlobMatchErrorBehavior
from pants.engine.addresses import Address
from pants.engine.fs import PathGlobs

from dockless.errors import DocklessError
from dockless.lockfile import LockedBase, Lockfile
from dockless.oci.image_documents import ImageDocuments
from dockless.oci.platform import Platform
from dockless.oci.reference import Reference
from pants_dockless import _compat
from pants_dockless.errors import TargetError
from pants_dockless.subsystem import Dockless
from pants_dockless.target_types import BaseField, ReferenceField

RESOLVE = "base-images"
COMMAND = f"pants generate-lockfiles --resolve={RESOLVE}"


@dataclass(frozen=True)
class RemoteLayer:
    """A layer that is in no tree of ours: its digest, and where it is. Only foreign layers have urls."""

    digest: str
    size: int
    registry: str
    repository: str
    urls: tuple[str, ...] = ()


@dataclass(frozen=True)
class Base:
    """A base for one platform: its documents and what of its layers is elsewhere."""

    documents: ImageDocuments
    name: str
    digest: str
    remote: tuple[RemoteLayer, ...]


def parse_platforms(address: Address, alias: str, values: Optional[tuple], options: Dockless) -> tuple[Platform, ...]:
    """The platforms that a field or else the option names. Raises TargetError."""
    try:
        found = tuple(Platform.parse(text) for text in values or options.platforms)
    except DocklessError as error:
        raise TargetError.of(address, alias if values else "[dockless].platforms", error) from None
    twice = next((p for p in found if found.count(p) > 1), None)
    if twice is not None or not found:
        raise TargetError(address, alias, f"{twice} stands twice" if twice else "there is no platform")
    return found


async def read_lockfile(options: Dockless) -> Lockfile:
    """The lockfile; empty where there is none. Raises InvalidDocumentError for one that was damaged."""
    digest = await _compat.path_globs(
        PathGlobs([options.lockfile], glob_match_error_behavior=GlobMatchErrorBehavior.ignore)
    )
    contents = await _compat.digest_contents(digest)
    return Lockfile.from_bytes(contents[0].content, options.lockfile) if contents else Lockfile({})


async def locked_base(field: Any, address: Address, reference: str, options: Dockless) -> LockedBase:
    """The entry of a reference that the field of a target names. Raises TargetError that says how to get one."""
    try:
        lockfile = await read_lockfile(options)
        return lockfile.base(Reference.parse(reference), options.lockfile, COMMAND)
    except DocklessError as error:
        raise TargetError.of(address, field.alias, error) from None


def base_for(locked: LockedBase, platform: Platform, field: Any, address: Address) -> Base:
    """A locked base for one platform. Raises TargetError that lists those which there are."""
    try:
        image = locked.image(platform)
        documents = image.documents
    except DocklessError as error:
        error.hint = f"run `{COMMAND}`"
        raise TargetError.of(address, field.alias, error) from None
    reference = locked.reference
    return Base(
        documents,
        str(reference._replace(digest=None)),
        locked.digest,
        tuple(
            RemoteLayer(
                str(layer.digest),
                layer.size,
                reference.registry,
                reference.repository,
                layer.urls if layer.is_foreign else (),
            )
            for layer in image.manifest.layers
        ),
    )


async def reference_of(field: BaseField, address: Address) -> str:
    """The reference that `base` names, itself or through a `base_image`; empty for an image of the repository."""
    if field.reference:
        return field.reference
    targets = await _compat.resolve_targets(field.to_unparsed_address_inputs())
    target = targets[0]
    return target[ReferenceField].value if target.has_field(ReferenceField) else ""
