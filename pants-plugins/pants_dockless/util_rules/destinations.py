"""Destinations of an image: the repositories and tags that the fields and options of a target name."""

from dataclasses import dataclass
from typing import Optional

from pants.engine.target import Target
from pants.engine.unions import UnionMembership

from dockless.errors import InvalidValueError
from dockless.oci.digest import Digest as ContentDigest
from dockless.oci.reference import Reference, check_repository, check_tag
from pants_dockless.errors import TargetError
from pants_dockless.subsystem import Dockless, RegistryOptions
from pants_dockless.target_types import ImageTagFilesField, ImageTagsField, RegistriesField, RepositoryField
from pants_dockless.util_rules.image_tags import find_tags
from pants_dockless.util_rules.placeholders import OutsideValues, Placeholders, Template, find_outside_values

_DEFAULT_REPOSITORY = "[dockless].default_repository"


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


async def find_destinations(
    target: Target,
    options: Dockless,
    unions: UnionMembership,
    digest: ContentDigest,
    *,
    image: Optional[Target] = None,
) -> tuple[Destination, ...]:
    """Return the destinations of an image with the digest `digest`. Raises TargetError.

    `image` is the image of a `push_image`, whose repository and tags apply where the target has none.
    """
    address = target.address
    try:
        options.check()
    except InvalidValueError as error:
        raise TargetError.from_error(address, None, error) from None
    field = target[RegistriesField]
    try:
        registries = tuple(dict.fromkeys(options.registries(*(field.value or ()))))
    except InvalidValueError as error:
        raise TargetError.from_error(address, field.alias, error) from None
    repository_target = target if image is None or target[RepositoryField].value is not None else image
    tags_target = target if image is None or _has_tags(target) else image
    tags = await find_tags(tags_target, options, unions)
    repositories = [options.default_repository, repository_target[RepositoryField].value or ""]
    extra_tags = [text for registry in registries for text in (registry.repository, *registry.extra_image_tags)]
    outside = await find_outside_values([*repositories, *extra_tags, *(tag.text for tag in tags)])
    names = _Repositories.create(repository_target, options, digest, outside)
    tag_placeholders = Placeholders(tags_target.address, digest, outside)
    destinations: dict[tuple[str, str], Destination] = {}
    for registry in registries:
        key = (registry.address, names.repository(registry))
        # Two aliases may name the same repository: the image is pushed once, with the tags of both.
        previous = destinations.get(key)
        source = f"[dockless.registries.{registry.alias}].extra_image_tags"
        templates = (*tags, *(Template(source, text) for text in registry.extra_image_tags))
        own_tags = (tag_placeholders.replace(template, check_tag) for template in templates)
        all_tags = tuple(dict.fromkeys((*(previous.tags if previous else ()), *own_tags)))
        if not all_tags:
            if tags_target[ImageTagFilesField].value:
                problem, hint = "the files contain no tag", "write at least one tag into one of them"
                raise TargetError(address, ImageTagFilesField.alias, problem, hint=hint)
            raise TargetError(address, ImageTagsField.alias, "no tag is given", hint="add at least one tag")
        destinations[key] = Destination(
            *key,
            all_tags,
            insecure=registry.insecure or bool(previous and previous.insecure),
            skip_push=registry.skip_push and (previous is None or previous.skip_push),
        )
    return tuple(destinations.values())


def _has_tags(target: Target) -> bool:
    return target[ImageTagsField].value is not None or target[ImageTagFilesField].value is not None


@dataclass(frozen=True)
class _Repositories:
    """The repositories of a target in all registries."""

    placeholders: Placeholders
    field_value: Optional[str]
    default_repository: str

    @classmethod
    def create(
        cls, target: Target, options: Dockless, digest: ContentDigest, outside: OutsideValues
    ) -> "_Repositories":
        """Check the field also if the options of each registry replace its value. Raises TargetError."""
        placeholders = Placeholders(target.address, digest, outside)
        field = target[RepositoryField]
        value = None
        if field.value is not None:
            value = placeholders.replace(Template(field.alias, field.value), check_repository)
        return cls(placeholders, value, options.default_repository)

    def repository(self, registry: RegistryOptions) -> str:
        """Return the repository in a registry. Raises TargetError, which names the field or option that is wrong."""
        text = registry.repository
        if not text:
            return self._of_target()
        more = {}
        if "{target_repository" in text:
            more["target_repository"] = self._of_target()
        if "{default_repository" in text:
            more["default_repository"] = self._default()
        template = Template(f"[dockless.registries.{registry.alias}].repository", text)
        return self.placeholders.replace(template, check_repository, more)

    def _of_target(self) -> str:
        return self._default() if self.field_value is None else self.field_value

    def _default(self) -> str:
        return self.placeholders.replace(Template(_DEFAULT_REPOSITORY, self.default_repository), check_repository)
