"""All targets of the backend and their fields. No engine calls."""

import re
from collections.abc import Mapping
from typing import Any, Optional

from pants.core.goals.package import OutputPathField
from pants.engine.addresses import Address, UnparsedAddressInputs
from pants.engine.target import (
    COMMON_TARGET_FIELDS,
    BoolField,
    Dependencies,
    DictStringToStringField,
    InvalidFieldException,
    InvalidFieldTypeException,
    SpecialCasedDependencies,
    StringField,
    StringSequenceField,
    Target,
)
from pants.util.strutil import help_text

from pants_dockless.subsystem import ALL_DEFAULT_REGISTRIES

# What is no folder's name: a host with a port, and the registries that most images come from.
_REGISTRY = re.compile(
    r"[^/:]+:[0-9]+/|(?:localhost|docker\.io|ghcr\.io|quay\.io|mcr\.microsoft\.com|public\.ecr\.aws|registry\.k8s\.io"
    r"|(?:[^/]+\.)?gcr\.io|[^/]+\.(?:pkg\.dev|azurecr\.io|amazonaws\.com))/"
)


def one_string(field: Any, raw_value: Any, address: Address) -> Optional[tuple[str, ...]]:
    """The value of a field that is one string, as the sequence that SpecialCasedDependencies is."""
    if raw_value is not None and not isinstance(raw_value, str):
        raise InvalidFieldTypeException(address, field.alias, raw_value, expected_type="one string")
    return None if raw_value is None else (raw_value,)


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


class BaseField(SpecialCasedDependencies):
    """One address or one reference; only an address is a dependency."""

    alias = "base"
    help = help_text(
        """
        What the image stands on: the address of a `base_image` or of another `container_image`, or a reference with a
        digest (`registry/repository@sha256:...`). Nothing: from scratch. Bases of registries are pinned in the lockfile
        `[dockless].lockfile`, which `generate-lockfiles --resolve=base-images` writes.
        """
    )

    @classmethod
    def compute_value(cls, raw_value: Any, address: Address) -> Optional[tuple[str, ...]]:
        value = super().compute_value(one_string(cls, raw_value, address), address)
        if value and "@sha256:" not in value[0] and _REGISTRY.match(value[0]):
            raise InvalidFieldException(
                f"{address}: field `base`: {value[0]!r} is a reference without a digest; declare "
                f"`base_image(reference={value[0]!r})` and name that, or write registry/repository@sha256:..."
            )
        return value

    @property
    def reference(self) -> str:
        """The reference, where the field is one, else empty."""
        return self.value[0] if self.value and "@sha256:" in self.value[0] else ""

    def to_unparsed_address_inputs(self) -> UnparsedAddressInputs:
        return UnparsedAddressInputs(
            () if self.reference else self.value or (),
            owning_address=self.address,
            description_of_origin=f"the `{self.alias}` from the target {self.address}",
        )


class RemoveLayersField(StringSequenceField):
    alias = "remove_layers"
    help = "Digests of layers of the base (of the blob or of what is inside) that the image leaves out."


class ReferenceField(StringField):
    alias = "reference"
    required = True
    help = "Where the image is: `registry/repository:tag`, as `docker pull` takes it; with or without a digest."


class BasePlatformsField(StringSequenceField):
    alias = "platforms"
    help = 'The platforms to pin, such as `["linux/amd64"]`. `[dockless].platforms` by default.'


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


class LayersField(SpecialCasedDependencies):
    alias = "layers"
    help = "Addresses of `image_layer` targets, lowest first. What `dependencies` gives is a layer on top of them."


class PlatformsField(StringSequenceField):
    alias = "platforms"
    help = help_text(
        """
        The platforms of the image, such as `["linux/amd64", "linux/arm64"]`. More than one makes an index of one image
        each, on the base's image for that platform and with the same layers. `[dockless].platforms` by default.
        """
    )


class FormatField(StringField):
    alias = "format"
    valid_choices = ("oci", "docker")
    help = "The family of media types, `oci` or `docker`. As the base has it by default, else `oci`."


class AnnotationsField(DictStringToStringField):
    alias = "annotations"
    help = "Annotations of the image's manifest."


class HealthcheckField(StringSequenceField):
    alias = "healthcheck"
    help = 'How a runtime tells whether the program is well: `["CMD", "/app/health"]`, `["CMD-SHELL", "..."]`.'


class OutputField(StringField):
    alias = "output"
    valid_choices = ("oci-layout", "oci-archive", "docker-archive", "metadata")
    default = "oci-layout"
    help = help_text(
        """
        What `package` writes beside the `.json` file: an OCI layout (a folder), an archive for `podman load`
        (`oci-archive`) or `docker load` (`docker-archive`), or nothing (`metadata`). Archives hold the layers of the
        base too, which are fetched for them.
        """
    )


class IncludeBaseLayersField(BoolField):
    alias = "include_base_layers"
    default = False
    help = "Whether the OCI layout that `package` writes holds the layers of the base too, which are fetched for it."


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


class ExposedPortsField(StringSequenceField):
    alias = "exposed_ports"
    help = 'Ports that the program listens on, such as `["8080/tcp"]`.'


class VolumesField(StringSequenceField):
    alias = "volumes"
    help = "Folders that whoever runs the image is to mount something on, absolute."


class StopSignalField(StringField):
    alias = "stop_signal"
    help = "The signal that asks the program to stop, such as `SIGTERM`."


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
        BaseField,
        RemoveLayersField,
        PlatformsField,
        FormatField,
        AnnotationsField,
        EntrypointField,
        CmdField,
        EnvField,
        WorkdirField,
        UserField,
        LabelsField,
        ExposedPortsField,
        VolumesField,
        StopSignalField,
        HealthcheckField,
        OutputField,
        IncludeBaseLayersField,
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
        return super().compute_value(one_string(cls, raw_value, address), address)


class PushImageTarget(Target):
    alias = "push_image"
    core_fields = (*COMMON_TARGET_FIELDS, ImageField, OutputPathField, *PUSH_FIELDS)
    help = help_text(
        """
        Another destination for an image. `publish` pushes to it; `package` writes its plan, a `.json` file with the
        image's digest and the references.
        """
    )


class BaseImageTarget(Target):
    alias = "base_image"
    core_fields = (*COMMON_TARGET_FIELDS, ReferenceField, BasePlatformsField)
    help = help_text(
        """
        An image of a registry to put others on. Its manifest and config are pinned in the lockfile
        `[dockless].lockfile`, so that packaging needs no network.
        """
    )
