"""The fields that say where an image is pushed to: the docker backend's names."""

from pants.engine.target import BoolField, StringField, StringSequenceField
from pants.util.strutil import help_text

from pants_dockless.subsystem import ALL_DEFAULT_REGISTRIES

_PLACEHOLDERS = """
It may hold placeholders: {name} (the target's name), {directory} and {parent_directory} (the last two parts of the path
to the BUILD file), {full_directory} (the whole path) and {pants.hash} (the 64 digits of the image's digest).
"""


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


class CopyForeignLayersField(BoolField):
    alias = "copy_foreign_layers"
    default = False
    help = help_text(
        """
        Whether `publish` pushes the base's foreign (non-distributable) layers too, from the base's registry or else
        from the first of their urls that works, without credentials. By default they are left where they are.
        """
    )


PUSH_FIELDS = (RegistriesField, RepositoryField, ImageTagsField, SkipPushField, CopyForeignLayersField)
