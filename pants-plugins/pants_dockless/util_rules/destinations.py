"""Destinations of an image: the repositories and tags that the fields and options of a target name."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from pants.engine.addresses import Address
from pants.util.value_interpolation import InterpolationContext

from dockless.errors import InvalidValueError
from dockless.oci.digest import Digest as ContentDigest
from dockless.oci.reference import Reference, check_repository, check_tag
from pants_dockless.errors import TargetError
from pants_dockless.subsystem import Dockless, RegistryOptions
from pants_dockless.target_types import ImageTagsField, RegistriesField, RepositoryField


@dataclass(frozen=True)
class Destination:
    """A repository, and the tags of the image in this repository."""

    registry: str
    repository: str
    tags: tuple[str, ...]
    insecure: bool
    skip_push: bool

    @property
    def references(self) -> tuple[str, ...]:
        """A reference for each tag."""
        return tuple(str(Reference(self.registry, self.repository, tag)) for tag in self.tags)


def find_destinations(
    address: Address,
    registries: RegistriesField,
    repository: RepositoryField,
    image_tags: ImageTagsField,
    options: Dockless,
    digest: ContentDigest,
) -> tuple[Destination, ...]:
    """Return the destinations of an image with the digest `digest`. Raises TargetError."""
    try:
        options.check()
    except InvalidValueError as error:
        raise TargetError.from_error(address, None, error) from None
    try:
        registry_options = tuple(dict.fromkeys(options.registries(*(registries.value or ()))))
    except InvalidValueError as error:
        raise TargetError.from_error(address, registries.alias, error) from None
    context = _placeholders(address, options.default_repository, repository, digest)
    if repository.value is not None:
        # Also a value that the options of each registry replace.
        _interpolate(address, repository.alias, repository.value, context, check_repository)
    destinations: dict[tuple[str, str], Destination] = {}
    for registry in registry_options:
        key = (registry.address, _repository(address, context, registry, repository, options))
        # Two aliases may name the same repository: the image is pushed once, with the tags of both.
        previous = destinations.get(key)
        tags = (*(previous.tags if previous else ()), *_tags(address, context, registry, image_tags))
        if not tags:
            raise TargetError(address, image_tags.alias, "no tag is given", hint="add at least one tag")
        destinations[key] = Destination(
            *key,
            tuple(dict.fromkeys(tags)),
            insecure=registry.insecure or bool(previous and previous.insecure),
            skip_push=registry.skip_push and (previous is None or previous.skip_push),
        )
    return tuple(destinations.values())


def _placeholders(
    address: Address, default_repository: str, repository: RepositoryField, digest: ContentDigest
) -> InterpolationContext:
    parts = address.spec_path.split("/")
    return InterpolationContext.from_dict(
        {
            "name": address.target_name,
            "directory": parts[-1],
            "parent_directory": parts[-2] if len(parts) > 1 else "",
            "full_directory": address.spec_path,
            "default_repository": default_repository,
            "target_repository": repository.value or default_repository,
            "pants": {"hash": digest.hex},
        }
    )


def _repository(
    address: Address,
    context: InterpolationContext,
    registry: RegistryOptions,
    field: RepositoryField,
    options: Dockless,
) -> str:
    if registry.repository:
        source, template = f"[dockless.registries.{registry.alias}].repository", registry.repository
    elif field.value is not None:
        source, template = field.alias, field.value
    else:
        source, template = "[dockless].default_repository", options.default_repository
    return _interpolate(address, source, template, context, check_repository)


def _tags(
    address: Address, context: InterpolationContext, registry: RegistryOptions, field: ImageTagsField
) -> Iterator[str]:
    for tag in field.value or ():
        yield _interpolate(address, field.alias, tag, context, check_tag)
    for tag in registry.extra_image_tags:
        source = f"[dockless.registries.{registry.alias}].extra_image_tags"
        yield _interpolate(address, source, tag, context, check_tag)


def _interpolate(
    address: Address, source: str, template: str, context: InterpolationContext, check: Callable[[str], str]
) -> str:
    """Replace the placeholders in the value of the field or option `source`, and check the result."""
    try:
        return check(context.format(template, source=InterpolationContext.TextSource(options_scope=source)))
    except InvalidValueError as error:
        raise TargetError.from_error(address, source, error) from None
    except (ValueError, TypeError, IndexError, AttributeError) as error:
        # Pants describes an unknown placeholder in several lines. The last line names the known placeholders.
        lines = str(error).strip().splitlines()
        cause = lines[-1] if lines else "a placeholder cannot be formatted"
        raise TargetError(address, source, f"invalid value {template!r}", cause=cause) from None
