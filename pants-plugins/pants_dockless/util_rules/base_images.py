"""Base images of registries: the lockfile that pins them, and their documents and layers."""

from dataclasses import dataclass
from typing import NamedTuple, Optional

from pants.base.glob_match_error_behavior import GlobMatchErrorBehavior
from pants.engine.addresses import Address
from pants.engine.fs import PathGlobs
from pants.engine.target import Target

from dockless.errors import DocklessError, InvalidDocumentError
from dockless.lockfile import LockedBase, Lockfile
from dockless.oci.image_documents import ImageDocuments
from dockless.oci.platform import Platform
from dockless.oci.reference import Reference
from pants_dockless import _compat
from pants_dockless.errors import TargetError
from pants_dockless.subsystem import Dockless
from pants_dockless.target_types import BaseField, BasePlatformsField, ReferenceField
from pants_dockless.util_rules.parametrizations import check_one_parametrization

RESOLVE = "base-images"
_LOCK_COMMAND = f"pants generate-lockfiles --resolve={RESOLVE}"


@dataclass(frozen=True)
class RemoteLayer:
    """A layer of a base that is only in a registry. `size` is in bytes. Only foreign layers have URLs."""

    digest: str
    size: int
    registry: str
    repository: str
    urls: tuple[str, ...] = ()


@dataclass(frozen=True)
class Base:
    """A base image for one platform.

    `name` and `digest` are the reference and the digest for the annotations `org.opencontainers.image.base.*`; both are
    empty for a base in the repository. `remote_layers` are the layers of the base that only a registry has.
    """

    documents: ImageDocuments
    name: str = ""
    digest: str = ""
    remote_layers: tuple[RemoteLayer, ...] = ()


def parse_platforms(
    address: Address, alias: str, values: Optional[tuple[str, ...]], options: Dockless
) -> tuple[Platform, ...]:
    """Return the platforms in a field or, if the field is empty, in `[dockless].platforms`. Raises TargetError."""
    source = alias if values else "[dockless].platforms"
    try:
        platforms = tuple(Platform.parse(text) for text in values or options.platforms)
    except DocklessError as error:
        raise TargetError.from_error(address, source, error) from None
    if not platforms:
        raise TargetError(address, source, "no platform is given", hint="add a platform, such as linux/amd64")
    duplicate = next((platform for platform in platforms if platforms.count(platform) > 1), None)
    if duplicate is not None:
        raise TargetError(address, source, f"duplicate platform {duplicate}", hint="remove one of the two")
    return platforms


async def read_lockfile(options: Dockless) -> Lockfile:
    """Read the lockfile. Raises InvalidDocumentError."""
    hint = f"run `{_LOCK_COMMAND}`"
    content = await read_optional_file(options.lockfile)
    if content is None:
        raise InvalidDocumentError(f"the file {options.lockfile} does not exist", hint=hint)
    try:
        return Lockfile.from_bytes(content, options.lockfile)
    except InvalidDocumentError as error:
        raise InvalidDocumentError(error.problem, cause=error.cause, hint=hint) from None


async def read_optional_file(path: str) -> Optional[bytes]:
    """Return the content of a file in the repository, or None if the file does not exist."""
    digest = await _compat.path_globs(PathGlobs([path], glob_match_error_behavior=GlobMatchErrorBehavior.ignore))
    files = await _compat.digest_contents(digest)
    return files[0].content if files else None


async def find_locked_base(field: BaseField, reference: str, options: Dockless) -> LockedBase:
    """Return the entry of a reference in the lockfile. Raises TargetError."""
    try:
        lockfile = await read_lockfile(options)
        return lockfile.base(Reference.parse(reference), options.lockfile, _LOCK_COMMAND)
    except DocklessError as error:
        raise TargetError.from_error(field.address, field.alias, error) from None


def base_for_platform(
    locked: LockedBase, platform: Platform, field: BaseField, base_image: Optional[Target], options: Dockless
) -> Base:
    """Return a locked base for one platform. Raises TargetError if the platform is not locked.

    `base_image` is the target whose platforms are locked; None if `field` contains the reference.
    """
    hint = _hint_for_platform(locked, platform, base_image, options)
    try:
        image = locked.image(platform)
        hint = f"run `{_LOCK_COMMAND}`"
        documents = image.documents
    except DocklessError as error:
        raise TargetError(field.address, field.alias, error.problem, cause=error.cause, hint=hint) from None
    reference = locked.reference
    return Base(
        documents,
        str(reference._replace(digest=None)),
        str(locked.digest),
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


def _hint_for_platform(locked: LockedBase, platform: Platform, base_image: Optional[Target], options: Dockless) -> str:
    """Return what to do if the platform is not locked."""
    command = f"run `{_LOCK_COMMAND}`"
    if base_image is None:
        return command
    field = base_image[BasePlatformsField]
    declared = parse_platforms(base_image.address, field.alias, field.value, options)
    if any(other.matches(platform) for other in declared):
        return command
    platforms = ", ".join(f'"{each}"' for each in (*declared, platform))
    return f"write platforms=[{platforms}] in the base_image {base_image.address} and {command}"


class BaseReference(NamedTuple):
    """The reference of a base, and the `base_image` that contains the reference."""

    text: str
    base_image: Optional[Target] = None


async def find_reference(field: BaseField) -> Optional[BaseReference]:
    """Return the reference in the field `base` or in the `base_image` that the field names.

    The result is None if the field names another target.
    """
    if field.reference:
        return BaseReference(field.reference)
    await check_one_parametrization(field)
    target = (await _compat.resolve_targets(field.to_unparsed_address_inputs()))[0]
    return BaseReference(target[ReferenceField].value or "", target) if target.has_field(ReferenceField) else None
