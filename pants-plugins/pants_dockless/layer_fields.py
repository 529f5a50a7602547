"""The fields of a layer: what goes into it, where, and with which mode and owner."""

from collections.abc import Mapping
from typing import Any, Optional

from pants.engine.addresses import Address, UnparsedAddressInputs
from pants.engine.target import (
    BoolField,
    Dependencies,
    DictStringToStringField,
    InvalidFieldTypeException,
    SpecialCasedDependencies,
    StringField,
    StringSequenceField,
)
from pants.util.strutil import help_text


class ContentField(Dependencies):
    help = help_text(
        """
        What the layer holds: files, resources and packages such as `pex_binary` or `archive`. A file keeps its path
        from the repository's root, a package has its output path; `strip_prefix` takes leading folders away and
        `directory` is put before. Files that these files depend on come along, and so do the dependencies of a plain
        `target`; what a package depends on is inside it.
        """
    )


class LayerContentField(ContentField):
    """Of an `image_layer`, which is a layer and no image."""


class ImageContentField(ContentField):
    """Of a `container_image`: one layer on top of those in `layers`."""


class ContentsField(SpecialCasedDependencies):
    """A dict of path -> address, kept as `PATH <- ADDRESS` so that Pants knows the dependencies."""

    alias = "contents"
    help = help_text(
        """
        Path in the image -> address of what is put there, as in `{"/app/server": ":server", "/etc/app/": ":config"}`.
        With a trailing slash the files go into that folder, with their paths from the folder of their BUILD file, a
        package with the name of its file; without one, the path names the one file that the address gives. `directory`
        and `strip_prefix` do not touch these.
        """
    )

    @classmethod
    def compute_value(cls, raw_value: Any, address: Address) -> Optional[tuple[str, ...]]:
        if raw_value is None:
            return super().compute_value(None, address)
        if not isinstance(raw_value, Mapping) or not all(
            isinstance(x, str) for pair in raw_value.items() for x in pair
        ):
            raise InvalidFieldTypeException(
                address, cls.alias, raw_value, expected_type="a dictionary of path -> address"
            )
        return super().compute_value([f"{path} <- {raw_value[path]}" for path in sorted(raw_value)], address)

    @property
    def pairs(self) -> tuple[tuple[str, str], ...]:
        """Each path and its address, as they were written."""
        return tuple((path, given) for path, _, given in (item.rpartition(" <- ") for item in self.value or ()))

    def to_unparsed_address_inputs(self) -> UnparsedAddressInputs:
        return self.inputs_of(*(given for _, given in self.pairs))

    def inputs_of(self, *given: str) -> UnparsedAddressInputs:
        return UnparsedAddressInputs(
            given,
            owning_address=self.address,
            description_of_origin=f"the `{self.alias}` from the target {self.address}",
        )


class DirectoryField(StringField):
    alias = "directory"
    default = "/"
    help = "The folder of the image under which everything in `dependencies` is put, such as `/app`."


class StripPrefixField(StringField):
    alias = "strip_prefix"
    help = help_text(
        """
        Leading folders to take away from the paths of what `dependencies` gives, such as `src/python`. Packages whose
        path does not begin with it keep their path.
        """
    )


class IgnoresField(StringSequenceField):
    alias = "ignores"
    help = help_text(
        """
        Patterns of files to leave out, as in a .gitignore file, relative to the repository's root: `*.pyc`,
        `/app/tmp/`, `!keep.pyc`.
        """
    )


class IgnoreFilesField(StringSequenceField):
    alias = "ignore_files"
    help = help_text(
        """
        Names of files among the content, such as `.dockerignore`, that hold such patterns for the folder they lie in
        and those below.
        """
    )


class KeepIgnoreFilesField(BoolField):
    alias = "keep_ignore_files"
    default = True
    help = "Whether the files that `ignore_files` names are packed themselves."


class ModesField(DictStringToStringField):
    alias = "modes"
    help = help_text(
        """
        Pattern of paths in the image, as in a .gitignore file -> octal mode of the files that match, such as
        `{"/app/bin/*": "0755", "*.key": "0600"}`. The longest pattern wins, and each must match something. By default a
        file has 0755 if it is executable, else 0644.
        """
    )


class OwnerField(StringField):
    alias = "owner"
    default = "0:0"
    help = "The `uid:gid`, in digits, of everything in the layer that comes from `dependencies` and `contents`."


class OwnersField(DictStringToStringField):
    alias = "owners"
    help = "Pattern of paths in the image, as for `modes` -> `uid:gid`, such as `{'/var/lib/app': '1000:1000'}`."


class SymlinksField(DictStringToStringField):
    alias = "symlinks"
    help = "Symlinks to make: path in the image -> target, such as `{'/usr/local/bin/app': '/app/server'}`."


class InlineFilesField(DictStringToStringField):
    alias = "inline_files"
    help = "Files to make: path in the image -> text. They have mode 0644 unless `modes` says otherwise."


class DirectoriesField(DictStringToStringField):
    alias = "directories"
    help = help_text(
        """
        Folders to make: path in the image -> octal mode, such as `{"/var/cache/app": "0700"}`. Folders that every base
        has, such as /tmp, have an entry in the layer only if they are named here.
        """
    )


class WhiteoutsField(StringSequenceField):
    alias = "whiteouts"
    help = help_text(
        """
        Paths to take away from the layers below. With a trailing slash: all that they have in that folder, which itself
        stays.
        """
    )


class MtimeField(StringField):
    alias = "mtime"
    default = "0"
    help = help_text(
        """
        The modification time of everything in the layer: seconds since 1970, or `"SOURCE_DATE_EPOCH"` for the value of
        that environment variable.
        """
    )

    @classmethod
    def compute_value(cls, raw_value: Any, address: Address) -> Optional[str]:
        number = isinstance(raw_value, int) and not isinstance(raw_value, bool)
        return super().compute_value(str(raw_value) if number else raw_value, address)


class CompressionField(StringField):
    alias = "compression"
    help = help_text(
        """
        How the layer is compressed: `gzip` (the default), `gzip-single` for readers that stop after the first gzip
        member, `zstd` or `none`; with a level as in `gzip:6`. `[dockless].default_compression` by default.
        """
    )


class FollowSymlinksField(BoolField):
    alias = "follow_symlinks"
    default = False
    help = "Whether to pack what a symlink leads to, instead of the symlink."


class HardlinksField(BoolField):
    alias = "hardlinks"
    default = False
    help = "Whether files with the same content, mode and owner are stored once, the others as hard links to it."


PLACE_FIELDS = (ContentsField, DirectoryField, StripPrefixField, CompressionField)
ENTRY_FIELDS = (
    IgnoresField,
    IgnoreFilesField,
    KeepIgnoreFilesField,
    ModesField,
    OwnerField,
    OwnersField,
    SymlinksField,
    InlineFilesField,
    DirectoriesField,
    WhiteoutsField,
    MtimeField,
    FollowSymlinksField,
    HardlinksField,
)
