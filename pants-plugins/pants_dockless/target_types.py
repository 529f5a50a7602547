"""Targets, and the fields of images. No engine calls."""

from typing import Any, Optional

from pants.core.goals.package import OutputPathField
from pants.engine.addresses import Address
from pants.engine.target import (
    COMMON_TARGET_FIELDS,
    BoolField,
    DictStringToStringField,
    InvalidFieldTypeException,
    SpecialCasedDependencies,
    StringField,
    StringSequenceField,
    Target,
)
from pants.util.strutil import help_text

from pants_dockless.layer_fields import ENTRY_FIELDS, PLACE_FIELDS, ImageContentField, LayerContentField
from pants_dockless.subsystem import ALL_DEFAULT_REGISTRIES

_PLACEHOLDERS = """
It may hold placeholders: {name} (the target's name), {directory} and {parent_directory} (the last two parts of the path
to the BUILD file), {full_directory} (the whole path) and {pants.hash} (the 64 digits of the image's digest).
"""


class LayersField(SpecialCasedDependencies):
    alias = "layers"
    help = "Addresses of `image_layer` targets, lowest first. What `dependencies` gives is a layer on top of them."


class EntrypointField(StringSequenceField):
    alias = "entrypoint"
    help = 'The program that the image runs and its first arguments, such as `["/app/server"]`.'


class CmdField(StringSequenceField):
    alias = "cmd"
    help = "Arguments after `entrypoint` (or the program, without one), which whoever runs the image can replace."


class EnvField(DictStringToStringField):
    alias = "env"
    help = 'Environment variables, such as `{"PORT": "8080"}`.'


class WorkdirField(StringField):
    alias = "workdir"
    help = "The folder in which the program starts, absolute."


class UserField(StringField):
    alias = "user"
    help = "The user that the program runs as: `user`, `uid`, `user:group` or `uid:gid`."


class LabelsField(DictStringToStringField):
    alias = "labels"
    help = "Labels in the image's config."


class RegistriesField(StringSequenceField):
    alias = "registries"
    default = (ALL_DEFAULT_REGISTRIES,)
    help = help_text(
        f"""
        Where `publish` pushes to: `@alias` of an entry of `[dockless].registries`, a host with its port, or
        `{ALL_DEFAULT_REGISTRIES}`.
        """
    )


class RepositoryField(StringField):
    alias = "repository"
    help = help_text(
        f"""
        The repository in the registry, such as `team/{{name}}`. `[dockless].default_repository` by default; a
        registry's own `repository` outranks it. {_PLACEHOLDERS}
        """
    )


class ImageTagsField(StringSequenceField):
    alias = "image_tags"
    default = ("latest",)
    help = f"The tags that `publish` gives the image. They are no part of its digest. {_PLACEHOLDERS}"


class SkipPushField(BoolField):
    alias = "skip_push"
    default = False
    help = "Whether `publish` leaves this out."


PUSH_FIELDS = (RegistriesField, RepositoryField, ImageTagsField, SkipPushField)


class ImageLayerTarget(Target):
    alias = "image_layer"
    core_fields = (*COMMON_TARGET_FIELDS, LayerContentField, *PLACE_FIELDS, *ENTRY_FIELDS)
    help = help_text(
        """
        One layer, for the `layers` of any number of images: built once, pushed once. Its bytes depend on the content
        and the paths alone.
        """
    )


class ContainerImageTarget(Target):
    alias = "container_image"
    core_fields = (
        *COMMON_TARGET_FIELDS,
        ImageContentField,
        *PLACE_FIELDS,
        LayersField,
        EntrypointField,
        CmdField,
        EnvField,
        WorkdirField,
        UserField,
        LabelsField,
        OutputPathField,
        *PUSH_FIELDS,
    )
    help = help_text(
        """
        A container image. `package` writes it as an OCI layout, with its digest beside it in a `.json` file; `publish`
        pushes it. The same sources give the same digest on every machine.
        """
    )


class ImageField(SpecialCasedDependencies):
    """One address; a SpecialCasedDependencies all the same, so that `dependencies` and `dependents` know it."""

    alias = "image"
    required = True
    help = "The address of the `container_image` to push."

    @classmethod
    def compute_value(cls, raw_value: Any, address: Address) -> Optional[tuple[str, ...]]:
        if raw_value is not None and not isinstance(raw_value, str):
            raise InvalidFieldTypeException(address, cls.alias, raw_value, expected_type="an address")
        return super().compute_value(None if raw_value is None else (raw_value,), address)


class PushImageTarget(Target):
    alias = "push_image"
    core_fields = (*COMMON_TARGET_FIELDS, ImageField, OutputPathField, *PUSH_FIELDS)
    help = help_text(
        """
        Another destination for an image. `publish` pushes to it; `package` writes its plan, a `.json` file with the
        image's digest and the references.
        """
    )
