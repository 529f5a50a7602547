"""The goal `test`: structure tests of images, in a sandbox and without a container runtime."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any, Union

from pants.core.goals.test import TestFieldSet, TestRequest, TestResult, TestSubsystem
from pants.engine.fs import AddPrefix, CreateDigest, Digest, FileContent, MergeDigests
from pants.engine.process import ProcessCacheScope
from pants.engine.rules import Rule, collect_rules, rule
from pants.engine.target import HydrateSourcesRequest
from pants.engine.unions import UnionRule
from pants.option.option_types import SkipOption
from pants.option.subsystem import Subsystem
from pants.util.logging import LogLevel

from dockless.errors import DocklessError
from dockless.structure_test.checks import compile_pattern, parse_size
from dockless.structure_test.yaml_file import parse_tests
from pants_dockless import _compat
from pants_dockless.errors import TargetError
from pants_dockless.subsystem import Dockless
from pants_dockless.target_types import (
    CommandsField,
    ForbiddenPathsField,
    ImageTestSourcesField,
    MaxSizeField,
    OsReleaseField,
    TestedImageField,
)
from pants_dockless.util_rules.built_image import BuiltImage, find_image
from pants_dockless.util_rules.export import complete_layout
from pants_dockless.util_rules.interpreter import SharedPython
from pants_dockless.util_rules.processes import builder_process
from pants_dockless.util_rules.tools import TEST_IMAGE, image_tester

_PLAN = "plan.json"
_LAYOUT = "image"
_FILES = "files"


class StructureTest(Subsystem):
    """The options of the section `[structure-test]`."""

    options_scope = "structure-test"
    name = "structure-test"
    help = "Structure tests of container images."

    skip = SkipOption("test")


@dataclass(frozen=True)
class ImageTestFieldSet(TestFieldSet):
    """The fields that `test` reads from an `image_test`."""

    required_fields = (TestedImageField, ImageTestSourcesField)

    sources: ImageTestSourcesField
    image: TestedImageField
    commands: CommandsField
    forbidden_paths: ForbiddenPathsField
    max_size: MaxSizeField
    os_release: OsReleaseField


class ImageTestRequest(TestRequest):
    """A request to test an image."""

    tool_subsystem = StructureTest  # type: ignore[assignment]
    field_set_type = ImageTestFieldSet


# Before the rule: Pants 2.17 analyzes the functions that a rule calls when the rule is defined.
def _fields(field_set: ImageTestFieldSet) -> dict[str, Any]:
    """Return the values of the fields that are checks. Raises TargetError."""
    name = field_set.max_size.alias
    try:
        size = parse_size(field_set.max_size.value) if field_set.max_size.value is not None else None
        name = field_set.os_release.alias
        for pattern in (field_set.os_release.value or {}).values():
            compile_pattern(pattern)
    except DocklessError as error:
        raise TargetError.from_error(field_set.address, name, error) from None
    fields = {
        "commands": field_set.commands.value or (),
        "forbidden_paths": field_set.forbidden_paths.value or (),
        "max_size": size,
        "os_release": dict(field_set.os_release.value or {}),
    }
    if not field_set.sources.value and size is None and not any(fields.values()):
        raise TargetError(
            field_set.address, None, "the target has no checks", hint="add files to `sources` or set another field"
        )
    return fields


def _check_sources(field: ImageTestSourcesField, files: Iterable[str]) -> None:
    """Raise TargetError for a name or a pattern without a file. Pants only warns, and no check would run."""
    found = [PurePath(path).relative_to(field.address.spec_path) for path in files]
    for glob in field.value or ():
        if not glob.startswith("!") and not any(path == PurePath(glob) for path in found):
            is_pattern = any(character in glob for character in "*?[{")
            if not is_pattern or not found:
                problem = f"no file matches {glob!r}" if is_pattern else f"the file {glob!r} does not exist"
                raise TargetError(field.address, field.alias, problem, hint="write the file, or change the field")


def _needs_files(contents: Iterable[FileContent], fields: dict[str, Any]) -> bool:
    """Return whether a check reads layers. The process reports the errors in files."""
    try:
        checks = [check for file in contents for check in parse_tests(file.content, file.path)]
    except DocklessError:
        return False
    names = ("commands", "forbidden_paths", "os_release")
    return any(fields[name] for name in names) or any(check.needs_files for check in checks)


async def _layout(
    field_set: ImageTestFieldSet,
    image: BuiltImage,
    contents: Iterable[FileContent],
    fields: dict[str, Any],
    options: Dockless,
) -> Digest:
    """Return the layout of the image below the directory `image`, without layers if no check needs files."""
    if _needs_files(contents, fields):
        layout = await complete_layout(field_set.address, image, options, download=False)
    else:
        layout = await _compat.merge_digests(MergeDigests((image.documents, image.layout_files)))
    return await _compat.add_prefix(AddPrefix(layout, _LAYOUT))


@rule(desc="Test container image", level=LogLevel.DEBUG)
async def test_image(
    batch: ImageTestRequest.Batch,  # type: ignore[type-arg]
    subsystem: TestSubsystem,
    python: SharedPython,
    options: Dockless,
) -> TestResult:
    """Run the checks of an `image_test`. All checks of a target are one process, which Pants caches."""
    field_set: ImageTestFieldSet = batch.single_element
    address = field_set.address
    fields = _fields(field_set)
    image = await find_image(field_set.image, "use the address of a container_image or an image_index")
    sources = await _compat.hydrate_sources(HydrateSourcesRequest(field_set.sources))
    _check_sources(field_set.sources, sources.snapshot.files)
    contents = await _compat.digest_contents(sources.snapshot.digest)
    layout = await _layout(field_set, image, contents, fields, options)
    plan = {
        "address": str(address),
        "layout": _LAYOUT,
        "files": [{"path": file.path, "name": f"{_FILES}/{n}"} for n, file in enumerate(contents)],
        "fields": fields,
    }
    files = [FileContent(f"{_FILES}/{n}", file.content) for n, file in enumerate(contents)]
    inputs = await _compat.create_digest(CreateDigest([FileContent(_PLAN, json.dumps(plan).encode()), *files]))
    result = await _compat.run_process(
        builder_process(
            f"Test the image {image.digest} with {address}",
            python,
            await image_tester(),
            (TEST_IMAGE, _PLAN),
            await _compat.merge_digests(MergeDigests((inputs, layout))),
            cache_scope=ProcessCacheScope.PER_SESSION if subsystem.force else ProcessCacheScope.SUCCESSFUL,
        )
    )
    return _compat.test_result(result, address, subsystem.output)


def rules() -> Iterable[Union[Rule, UnionRule]]:
    """Return the rules of this module."""
    return [*collect_rules(), *ImageTestRequest.rules()]
