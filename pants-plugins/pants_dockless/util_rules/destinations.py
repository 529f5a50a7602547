"""Where an image is pushed to: the push fields and the options, made into references."""

from collections.abc import Iterator
from dataclasses import dataclass

from pants.engine.addresses import Address
from pants.util.value_interpolation import InterpolationContext, InterpolationError

from dockless.errors import InvalidValueError
from dockless.oci.digest import Digest as ContentDigest
from dockless.oci.reference import Reference, check_repository, check_tag
from pants_dockless.errors import TargetError
from pants_dockless.subsystem import Dockless, RegistryOptions
from pants_dockless.target_types import ImageTagsField, RegistriesField, RepositoryField


@dataclass(frozen=True)
class Destination:
    """One repository and the tags that the image gets there."""

    registry: str
    repository: str
    tags: tuple[str, ...]
    insecure: bool
    skip_push: bool

    @property
    def references(self) -> tuple[str, ...]:
        return tuple(str(Reference(self.registry, self.repository, tag)) for tag in self.tags)


def find_destinations(
    address: Address,
    registries: RegistriesField,
    repository: RepositoryField,
    image_tags: ImageTagsField,
    options: Dockless,
    digest: ContentDigest,
) -> tuple[Destination, ...]:
    """All destinations that the push fields of a target name, for an image of this digest. Raises TargetError."""
    try:
        options.check()
        named = tuple(dict.fromkeys(options.registries(*(registries.value or ()))))
    except InvalidValueError as error:
        raise TargetError.of(address, registries.alias, error) from None
    context = _placeholders(address, options.default_repository, repository, digest)
    found = {}
    for registry in named:
        place = (registry.address, _repository(address, context, registry, repository, options))
        # Two aliases may stand for one repository: then it is one push, with the tags of both.
        before = found.get(place)
        tags = (*(before.tags if before else ()), *_tags(address, context, registry, image_tags))
        tags = tuple(dict.fromkeys(tags))
        if not tags:
            raise TargetError(address, image_tags.alias, "there is no tag", hint="write at least one tag")
        insecure = registry.insecure or bool(before and before.insecure)
        skip_push = registry.skip_push and (before is None or before.skip_push)
        found[place] = Destination(*place, tags, insecure, skip_push)
    return tuple(found.values())


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
        where, template = f"[dockless.registries.{registry.alias}].repository", registry.repository
    elif field.value is not None:
        where, template = field.alias, field.value
    else:
        where, template = "[dockless].default_repository", options.default_repository
    return _checked(address, where, template, context, check_repository)


def _tags(
    address: Address, context: InterpolationContext, registry: RegistryOptions, field: ImageTagsField
) -> Iterator[str]:
    for tag in field.value or ():
        yield _checked(address, field.alias, tag, context, check_tag)
    for tag in registry.extra_image_tags:
        yield _checked(address, f"[dockless.registries.{registry.alias}].extra_image_tags", tag, context, check_tag)


def _checked(address: Address, where: str, template: str, context: InterpolationContext, check) -> str:
    source = InterpolationContext.TextSource(options_scope=where)
    try:
        return check(context.format(template, source=source))
    except InvalidValueError as error:
        raise TargetError.of(address, where, error) from None
    except (InterpolationError, ValueError, IndexError, AttributeError) as error:
        # Pants words a wrong placeholder on several lines; the last says what is wrong and what there is.
        said = str(error).strip().splitlines()[-1] if str(error).strip() else "it cannot be formatted"
        raise TargetError(address, where, f"invalid value {template!r}", cause=said) from None
