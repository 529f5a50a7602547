"""Tags of a target: those of its fields, of files, of plugins, and of the option."""

from collections.abc import Iterable, Iterator
from typing import Union

from pants.core.target_types import FileSourceField, ResourceSourceField
from pants.engine.fs import FileContent
from pants.engine.rules import Rule
from pants.engine.target import HydrateSourcesRequest, SourcesField, Target
from pants.engine.unions import UnionMembership, UnionRule

from pants_dockless import _compat
from pants_dockless.errors import TargetError
from pants_dockless.image_tags import ImageTagsRequest
from pants_dockless.subsystem import Dockless
from pants_dockless.target_types import ImageTagFilesField, ImageTagsField
from pants_dockless.util_rules.placeholders import Template

_DEFAULT_IMAGE_TAGS = "[dockless].default_image_tags"


async def find_tags(target: Target, options: Dockless, unions: UnionMembership) -> tuple[Template, ...]:
    """Return the tags of a target, with placeholders. Raises TargetError."""
    field, files = target[ImageTagsField], target[ImageTagFilesField]
    if field.value is None and files.value is None:
        own = [Template(_DEFAULT_IMAGE_TAGS, text) for text in options.default_image_tags]
    else:
        own = [Template(field.alias, text) for text in field.value or ()]
    return (*own, *await _tags_in_files(files), *await _tags_of_plugins(target, unions))


async def _tags_in_files(field: ImageTagFilesField) -> tuple[Template, ...]:
    if not field.value:
        return ()
    targets = await _compat.resolve_targets(field.to_unparsed_address_inputs())
    contents = await _compat.concurrently(_read_files(field, target) for target in targets)
    return tuple(template for files in contents for file in files for template in _lines(field, file))


async def _read_files(field: ImageTagFilesField, target: Target) -> tuple[FileContent, ...]:
    """Return the files of a target, which may be generated."""
    files: tuple[FileContent, ...] = ()
    if target.has_field(SourcesField):
        sources = target.get(SourcesField)
        request = HydrateSourcesRequest(
            sources, for_sources_types=(FileSourceField, ResourceSourceField), enable_codegen=True
        )
        hydrated = await _compat.hydrate_sources(request)
        files = tuple(await _compat.digest_contents(hydrated.snapshot.digest))
    if not files:
        raise TargetError(
            field.address,
            field.alias,
            f"the target {target.address} of the type `{target.alias}` provides no file",
            hint="use the address of a file, a resource or a target that generates files, such as shell_command",
        )
    return files


def _lines(field: ImageTagFilesField, file: FileContent) -> Iterator[Template]:
    """Yield the tags in a file, one for each line. Empty lines and comments are ignored."""
    try:
        lines = file.content.decode().splitlines()
    except UnicodeDecodeError as error:
        raise TargetError(
            field.address, field.alias, f"the file {file.path} is not a text in UTF-8", cause=str(error)
        ) from None
    for number, line in enumerate(lines, 1):
        text = line.strip()
        if text and not text.startswith("#"):
            yield Template(field.alias, text, f"{file.path}:{number}")


async def _tags_of_plugins(target: Target, unions: UnionMembership) -> tuple[Template, ...]:
    requests = [kind for kind in unions.get(ImageTagsRequest) if kind.is_applicable(target)]
    tags = await _compat.concurrently(_compat.plugin_image_tags(kind(target)) for kind in requests)
    return tuple(
        Template(ImageTagsField.alias, text, f"from {kind.__module__}.{kind.__qualname__}")
        for kind, texts in zip(requests, tags)
        for text in texts
    )


def rules() -> Iterable[Union[Rule, UnionRule]]:
    """Return the rules of this module."""
    return _compat.image_tags_rules()
