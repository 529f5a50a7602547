"""All targets of the backend and their fields. This module calls no rules."""

import re
from collections.abc import Mapping
from typing import Any, Optional, Union

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
from pants.util.strutil import help_text, softwrap

from dockless.errors import printable
from pants_dockless._compat import EnvironmentField
from pants_dockless.subsystem import ALL_DEFAULT_REGISTRIES

# Strings that cannot be the first component of an address: a host with a port, and well-known registries.
_REGISTRY = re.compile(
    r"[^/:]+:[0-9]+/|(?:localhost|docker\.io|ghcr\.io|quay\.io|mcr\.microsoft\.com|public\.ecr\.aws|registry\.k8s\.io"
    r"|(?:[^/]+\.)?gcr\.io|[^/]+\.(?:pkg\.dev|azurecr\.io|amazonaws\.com))/"
)

_PLACEHOLDERS = softwrap(
    """
    The value may contain the placeholders `{name}` (the name of the target), `{directory}` (the name of the
    directory that contains the BUILD file), `{parent_directory}` (the name of its parent directory), `{full_directory}`
    (the path of the directory, relative to the build root) and `{pants.hash}` (the 64 hexadecimal digits of the image's
    digest).
    """
)


def single_address(field: type[SpecialCasedDependencies], raw_value: Any, address: Address) -> Optional[tuple[str]]:
    """Return the value of a field that is one string as a sequence, which SpecialCasedDependencies expects."""
    if raw_value is not None and not isinstance(raw_value, str):
        raise InvalidFieldTypeException(address, field.alias, raw_value, expected_type="a string")
    return None if raw_value is None else (raw_value,)


# -- The content of a layer: fields of `image_layer` and `container_image` --


class ContentDependenciesField(Dependencies):
    """The `dependencies` of a target that builds a layer."""

    help = help_text(
        """
        Addresses of the files, resources and packages (such as `pex_binary` or `archive`) in the layer.

        A file keeps its path relative to the build root, and a package has its output path. Use `strip_prefix` to
        remove leading directories from these paths, and `directory` to set the directory of the image that contains
        them.

        The dependencies of files, resources and `target` targets are included. The dependencies of packages are not:
        the package itself contains what it needs.

        Example:

            image_layer(
                name="config",
                dependencies=[":config_files"],
                strip_prefix="src/app",
                directory="/etc/app",
            )
        """
    )


class ImageLayerDependenciesField(ContentDependenciesField):
    """The `dependencies` of an `image_layer`."""


class ContainerImageDependenciesField(ContentDependenciesField):
    """The `dependencies` of a `container_image`: the content of a layer on top of those in `layers`."""


class ContentsField(SpecialCasedDependencies):
    """A dictionary of path -> address. The value is a sequence of `PATH <- ADDRESS`, the form that Pants expects."""

    alias = "contents"
    help = help_text(
        """
        A dictionary of absolute path in the image -> address of the content at that path.

        If the path ends with a slash, it is a directory that receives all files of the address. Files keep their paths
        relative to their BUILD file, and a package keeps its file name. Otherwise, the path is the path of a file, and
        the address must provide exactly one file.

        The fields `directory` and `strip_prefix` do not apply to `contents`.

        Example:

            image_layer(
                name="app",
                contents={
                    "/app/server": ":server",
                    "/etc/app/": ":config_files",
                },
            )
        """
    )

    @classmethod
    def compute_value(  # type: ignore[override]
        cls, raw_value: Optional[Mapping[str, str]], address: Address
    ) -> Optional[tuple[str, ...]]:
        """Check the dictionary and convert each entry to `PATH <- ADDRESS`."""
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
        """The path and the address of each entry, as written in the BUILD file."""
        return tuple((path, address) for path, _, address in (item.rpartition(" <- ") for item in self.value or ()))

    def to_unparsed_address_inputs(self) -> UnparsedAddressInputs:
        """Return the addresses of all entries."""
        return self.inputs_of(*(address for _, address in self.pairs))

    def inputs_of(self, *addresses: str) -> UnparsedAddressInputs:
        """Return these addresses as addresses of the field."""
        return UnparsedAddressInputs(
            addresses,
            owning_address=self.address,
            description_of_origin=f"the `{self.alias}` from the target {self.address}",
        )


class DirectoryField(StringField):
    """The directory of the image that contains the dependencies."""

    alias = "directory"
    value: str
    default = "/"
    help = help_text(
        """
        The absolute path of the directory in the image that contains the files of `dependencies`. For example, with
        `directory="/app"` the file `src/server.py` has the path `/app/src/server.py`. The field has no effect on
        `contents`.
        """
    )


class StripPrefixField(StringField):
    """Leading directories to remove from the paths of the dependencies."""

    alias = "strip_prefix"
    help = help_text(
        """
        Leading directories to remove from the paths of `dependencies`, such as `src/python`. A dependency whose paths
        do not begin with the prefix keeps its paths, but at least one dependency must have the prefix.
        """
    )


class CompressionField(StringField):
    """The compression of the layer."""

    alias = "compression"
    help = help_text(
        """
        The compression of the layer, with an optional level, as in `gzip:6`:

          - `gzip`: gzip with several members.
          - `gzip-single`: gzip with one member, for programs that read only the first member.
          - `zstd`: Zstandard.
          - `none`: no compression.

        The default is `[dockless].default_compression`. `gzip-single` and `zstd` require the extras `gzip-single` and
        `zstd` of the distribution `dockless`.
        """
    )


LAYER_FIELDS = (ContentsField, DirectoryField, StripPrefixField, CompressionField)


# -- The entries of a layer: fields of `image_layer` alone --


class IgnoresField(StringSequenceField):
    """Patterns of files to exclude."""

    alias = "ignores"
    help = help_text(
        """
        Patterns of files to exclude from the layer. The patterns have the syntax of `.gitignore` files and are relative
        to the build root.

        Example:

            ignores=["*.pyc", "/src/app/tmp/", "!keep.pyc"]
        """
    )


class IgnoreFilesField(StringSequenceField):
    """Names of files that contain patterns of files to exclude."""

    alias = "ignore_files"
    help = help_text(
        """
        Names, without a directory, of files with patterns of files to exclude, such as `[".dockerignore"]`. The
        patterns have the syntax of `.gitignore` files. They apply to the directory that contains the file and to its
        subdirectories.
        """
    )


class KeepIgnoreFilesField(BoolField):
    """Whether the layer contains the ignore files."""

    alias = "keep_ignore_files"
    default = True
    help = "If true, the layer contains the files that `ignore_files` names."


class ModesField(DictStringToStringField):
    """Modes of files and directories, by pattern."""

    alias = "modes"
    help = help_text(
        """
        A dictionary of pattern -> octal mode. The patterns have the syntax of `.gitignore` files and match paths in the
        image. If several patterns match a path, the longest pattern applies. A pattern that matches no path is an
        error.

        By default, the mode of a directory or an executable file is 0755, and the mode of any other file is 0644.

        Example:

            modes={"/app/bin/*": "0755", "*.key": "0600"}
        """
    )


class OwnerField(StringField):
    """The owner of all entries that come from dependencies and contents."""

    alias = "owner"
    value: str
    default = "0:0"
    help = (
        "The owner of everything in `dependencies` and `contents`: a numeric user ID and group ID, as in `1000:1000`."
    )


class OwnersField(DictStringToStringField):
    """Owners of files and directories, by pattern."""

    alias = "owners"
    help = help_text(
        """
        A dictionary of pattern -> owner, for paths whose owner differs from the field `owner`. Patterns have the same
        syntax and precedence as in the field `modes`.

        Example:

            owners={"/var/lib/app": "1000:1000"}
        """
    )


class SymlinksField(DictStringToStringField):
    """Symbolic links to create."""

    alias = "symlinks"
    help = help_text(
        """
        Symbolic links to create: a dictionary of absolute path in the image -> target of the link.

        Example:

            symlinks={"/usr/local/bin/app": "/app/server"}
        """
    )


class InlineFilesField(DictStringToStringField):
    """Files to create from text in the BUILD file."""

    alias = "inline_files"
    help = help_text(
        r"""
        Files to create: a dictionary of absolute path in the image -> text. The mode of these files is 0644 unless the
        field `modes` sets another mode.

        Example:

            inline_files={"/etc/app/version": "1.2.3\n"}
        """
    )


class DirectoriesField(DictStringToStringField):
    """Directories to create."""

    alias = "directories"
    help = help_text(
        """
        Directories to create: a dictionary of absolute path in the image -> octal mode. Directories that every base
        image has, such as `/tmp`, have an entry in the layer only if this field names them.

        Example:

            directories={"/var/cache/app": "0700"}
        """
    )


class WhiteoutsField(StringSequenceField):
    """Paths to remove from lower layers."""

    alias = "whiteouts"
    help = help_text(
        """
        Absolute paths to remove from lower layers. A trailing slash removes the contents of a directory and keeps the
        directory.

        Example:

            whiteouts=["/etc/motd", "/var/cache/apt/"]
        """
    )


class MtimeField(StringField):
    """The modification time of all entries."""

    alias = "mtime"
    value: str
    default = "0"
    help = help_text(
        """
        The modification time of everything in the layer, in seconds since 1970-01-01 UTC. The value
        `"SOURCE_DATE_EPOCH"` means the value of the environment variable with that name.
        """
    )

    @classmethod
    def compute_value(cls, raw_value: Union[str, int, None], address: Address) -> Optional[str]:
        """Accept an integer as well as a string."""
        if isinstance(raw_value, int) and not isinstance(raw_value, bool):
            raw_value = str(raw_value)
        return super().compute_value(raw_value, address)  # type: ignore[arg-type]


class FollowSymlinksField(BoolField):
    """Whether the layer contains the targets of symbolic links."""

    alias = "follow_symlinks"
    default = False
    help = "If true, the layer contains the file or directory that a symbolic link points to instead of the link."


class HardlinksField(BoolField):
    """Whether identical files are stored once."""

    alias = "hardlinks"
    default = False
    help = help_text(
        """
        If true, files with the same content, mode and owner are stored once: the first file contains the data, and the
        other files are hard links to the first file.
        """
    )


IMAGE_LAYER_FIELDS = (
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


# -- Images: fields of `container_image` --


class LayersField(SpecialCasedDependencies):
    """The layers of the image."""

    alias = "layers"
    help = help_text(
        """
        Addresses of `image_layer` targets, from the lowest layer to the highest. The content of `dependencies` and
        `contents` is another layer on top of these layers.
        """
    )


class BaseField(SpecialCasedDependencies):
    """The base of the image: an address or a reference. Only an address is a dependency."""

    alias = "base"
    help = help_text(
        """
        The image that this image is based on: the address of a `base_image` or of another `container_image`, or a
        reference with a digest. By default, the image has no base.

        A reference without a digest is not allowed: declare a `base_image` with this reference, and use its address.
        Base images in registries are pinned in the lockfile `[dockless].lockfile`, which the command
        `generate-lockfiles --resolve=base-images` writes.

        Examples:

            base=":python"
            base="docker.io/library/python@sha256:..."
        """
    )

    @classmethod
    def compute_value(  # type: ignore[override]
        cls, raw_value: Optional[str], address: Address
    ) -> Optional[tuple[str, ...]]:
        """Reject references without a digest."""
        value = super().compute_value(single_address(cls, raw_value, address), address)
        if value and "@sha256:" not in value[0] and _REGISTRY.match(value[0]):
            raise InvalidFieldException(
                printable(
                    f"{address}: field `base`: {value[0]!r} is a reference without a digest; add the target "
                    f"`base_image(reference={value[0]!r})` and use its address, or write "
                    "registry/repository@sha256:...",
                    None,
                )
            )
        return value

    @property
    def reference(self) -> str:
        """The reference, or an empty string if the value is an address."""
        return self.value[0] if self.value and "@sha256:" in self.value[0] else ""

    def to_unparsed_address_inputs(self) -> UnparsedAddressInputs:
        """Return the address, or nothing if the value is a reference."""
        return UnparsedAddressInputs(
            () if self.reference else self.value or (),
            owning_address=self.address,
            description_of_origin=f"the `{self.alias}` from the target {self.address}",
        )


class RemoveLayersField(StringSequenceField):
    """Layers of the base that the image does not contain."""

    alias = "remove_layers"
    help = help_text(
        """
        Layers of the base that the image does not contain, each as the digest of the layer's blob or as a diff ID.

        Example:

            remove_layers=["sha256:..."]
        """
    )


class PlatformsField(StringSequenceField):
    """The platforms of the image."""

    alias = "platforms"
    help = help_text(
        """
        The platforms of the image, such as `["linux/amd64", "linux/arm64"]`. The default is `[dockless].platforms`.

        For several platforms the result is an image index with an image for each platform. Each image is based on the
        base image for its platform. All images have the same additional layers.
        """
    )


class FormatField(StringField):
    """The media types of the image."""

    alias = "format"
    valid_choices = ("oci", "docker")
    help = help_text(
        """
        The media types of the image: `oci` or `docker`. The default is the format of the base, or `oci` if the image
        has no base.
        """
    )


class AnnotationsField(DictStringToStringField):
    """Annotations of the manifest."""

    alias = "annotations"
    help = help_text(
        """
        Annotations of the image manifest.

        Example:

            annotations={"org.opencontainers.image.version": "1.2.3"}
        """
    )


class EntrypointField(StringSequenceField):
    """The entrypoint in the image config."""

    alias = "entrypoint"
    help = 'The program that the image runs, with its first arguments, such as `["/app/server", "/etc/app"]`.'


class CmdField(StringSequenceField):
    """The default arguments in the image config."""

    alias = "cmd"
    help = help_text(
        """
        The default arguments of `entrypoint`. If the image has no `entrypoint`, the first item is the program. The
        arguments of a command such as `podman run` replace `cmd`.
        """
    )


class EnvField(DictStringToStringField):
    """Environment variables in the image config."""

    alias = "env"
    help = help_text(
        """
        Environment variables of the program, in addition to those of the base. `$NAME` and `${NAME}` in a value are
        replaced by the variable of the base, which must exist. `\\$` is a dollar sign.

        Example:

            env={"PORT": "8080", "PATH": "/app/bin:$PATH"}
        """
    )


class WorkdirField(StringField):
    """The working directory in the image config."""

    alias = "workdir"
    help = "The absolute path of the working directory in which the program starts."


class UserField(StringField):
    """The user in the image config."""

    alias = "user"
    help = "The user that runs the program: `user`, `uid`, `user:group` or `uid:gid`, such as `1000:1000`."


class LabelsField(DictStringToStringField):
    """Labels in the image config."""

    alias = "labels"
    help = help_text(
        """
        Labels of the image, in addition to those of the base.

        Example:

            labels={"org.opencontainers.image.source": "https://example.com/acme/app"}
        """
    )


class ExposedPortsField(StringSequenceField):
    """Exposed ports in the image config."""

    alias = "exposed_ports"
    help = 'The ports that the program listens on, such as `["8080/tcp", "8125/udp"]`. The default protocol is TCP.'


class VolumesField(StringSequenceField):
    """Volumes in the image config."""

    alias = "volumes"
    help = 'Absolute paths at which volumes are expected to be mounted, such as `["/var/lib/app"]`.'


class StopSignalField(StringField):
    """The stop signal in the image config."""

    alias = "stop_signal"
    help = "The signal that a container runtime sends to stop the program, such as `SIGTERM`."


class HealthcheckField(StringSequenceField):
    """The health check in the image config."""

    alias = "healthcheck"
    help = help_text(
        """
        The command that a container runtime runs to check the health of the program. The first item is one of:

          - `CMD`, followed by a program and its arguments.
          - `CMD-SHELL`, followed by a command line.
          - `NONE`, without other items: the health check of the base is disabled.

        Example:

            healthcheck=["CMD", "/app/health", "--timeout=1"]
        """
    )


class OutputField(StringField):
    """The form in which `package` writes the image."""

    alias = "output"
    value: str
    valid_choices = ("oci-layout", "oci-archive", "docker-archive", "metadata")
    default = "oci-layout"
    help = help_text(
        """
        The format in which `package` writes the image, in addition to the `.json` file with the metadata:

          - `oci-layout`: a directory with an OCI image layout.
          - `oci-archive`: a tar file with an OCI image layout, for `podman load`.
          - `docker-archive`: a tar file for `docker load`.
          - `metadata`: only the `.json` file.

        Archives contain the layers of the base, which `package` downloads.
        """
    )


class IncludeBaseLayersField(BoolField):
    """Whether the OCI layout contains the layers of the base."""

    alias = "include_base_layers"
    default = False
    help = "If true, the OCI layout contains the layers of the base, which `package` downloads."


# -- Python applications: fields of `container_image` --


class PythonLayersField(BoolField):
    """Whether Python applications in `dependencies` become layers."""

    alias = "python_layers"
    default = False
    help = help_text(
        """
        If true, the `pex_binary` or the Python sources in `dependencies` are not added as files. Instead, the image
        contains the application as a virtual environment in `/opt/venv`: layers with third-party distributions, and
        above them a layer with first-party code. Images with the same distributions share these layers, and a change of
        first-party code changes one small layer. `entrypoint` and the environment variables `PATH`, `VIRTUAL_ENV` and
        `PYTHONUNBUFFERED` have defaults for the application.

        The field requires the backends `pants.backend.python` and `pants_dockless.python`.

        Example:

            container_image(
                name="image",
                base=":python",
                dependencies=[":server"],  # a pex_binary
                python_layers=True,
            )
        """
    )


class PythonField(StringField):
    """The path of the interpreter in the base."""

    alias = "python"
    help = help_text(
        """
        The absolute path of CPython in the base, with the minor version, such as `/usr/local/bin/python3.12`. The path
        must not be a symbolic link to another directory.

        By default, the path is that of the label `dockless.python` of the base, or `/usr/local/bin/python3.X` if the
        base defines `PYTHON_VERSION` and its `PATH` begins with `/usr/local/bin`, or the program of its entrypoint.
        """
    )


class PythonFileOwnersField(DictStringToStringField):
    """Which distributions provide paths that several distributions have."""

    alias = "python_file_owners"
    help = help_text(
        """
        A dictionary of path -> name of a distribution, for paths at which distributions have different files: the file
        of this distribution is in the image. A path that ends with a slash is a directory.

        Example:

            python_file_owners={"/opt/venv/site-packages/README.md": "requests"}
        """
    )


class PythonEntireResolveField(BoolField):
    """Whether the image contains all distributions of the resolve."""

    alias = "python_entire_resolve"
    default = False
    help = help_text(
        """
        If true, the image contains all distributions of the lockfile of the application's resolve, not only those that
        the application depends on. All images of the resolve then share all layers with distributions.
        """
    )


PYTHON_FIELDS = (PythonLayersField, PythonField, PythonFileOwnersField, PythonEntireResolveField)


# -- Base images --


class ReferenceField(StringField):
    """The reference of a base image."""

    alias = "reference"
    required = True
    help = help_text(
        """
        The reference of the image, as in `docker pull`: with a tag, a digest or both.

        Example:

            reference="docker.io/library/python:3.12-slim"
        """
    )


class BasePlatformsField(StringSequenceField):
    """The platforms of a base image to pin."""

    alias = "platforms"
    help = help_text(
        """
        The platforms of the image to pin, such as `["linux/amd64", "linux/arm64"]`. The default is
        `[dockless].platforms`.
        """
    )


# -- Publishing: fields of `container_image` and `push_image` --


class RegistriesField(StringSequenceField):
    """The registries to push to."""

    alias = "registries"
    default = (ALL_DEFAULT_REGISTRIES,)
    help = help_text(
        f"""
        The registries that `publish` pushes the image to. Each item is `@` followed by the alias of an entry of
        `[dockless].registries`, the address of a registry, or `{ALL_DEFAULT_REGISTRIES}`. An item without `@` is never
        an alias.

        Example:

            registries=["@production", "registry.example.com:5000"]
        """
    )


class RepositoryField(StringField):
    """The repository to push to."""

    alias = "repository"
    help = help_text(
        f"""
        The repository in the registry, such as `team/{{name}}`. The default is `[dockless].default_repository`. The
        `repository` of an entry of `[dockless].registries` takes precedence, but the value must be valid.

        {_PLACEHOLDERS}
        """
    )


class ImageTagsField(StringSequenceField):
    """The tags to push."""

    alias = "image_tags"
    default = ("latest",)
    help = help_text(
        f"""
        The tags that `publish` gives to the image. Tags do not change the digest of the image.

        {_PLACEHOLDERS}

        Example:

            image_tags=["1.2.3", "latest"]
        """
    )


class SkipPushField(BoolField):
    """Whether `publish` skips the target."""

    alias = "skip_push"
    default = False
    help = "If true, `publish` does not push this image."


class CopyForeignLayersField(BoolField):
    """Whether `publish` pushes foreign layers."""

    alias = "copy_foreign_layers"
    default = False
    help = help_text(
        """
        If true, `publish` also pushes the foreign (non-distributable) layers of the base. They are downloaded from the
        registry of the base or, if the registry does not have them, without credentials from the URLs in the manifest.
        By default, foreign layers are not pushed: the manifest refers to their URLs.
        """
    )


PUBLISH_FIELDS = (RegistriesField, RepositoryField, ImageTagsField, SkipPushField, CopyForeignLayersField)


class ImageField(SpecialCasedDependencies):
    """The address of an image: one address, in a field type that `dependencies` and `dependents` know."""

    alias = "image"
    required = True
    help = "The address of the `container_image` to push."

    @classmethod
    def compute_value(  # type: ignore[override]
        cls, raw_value: Optional[str], address: Address
    ) -> Optional[tuple[str, ...]]:
        """Convert the address to a sequence."""
        return super().compute_value(single_address(cls, raw_value, address), address)


# -- Targets --


class ImageLayerTarget(Target):
    """A layer that images can share."""

    alias = "image_layer"
    core_fields = (
        *COMMON_TARGET_FIELDS,
        ImageLayerDependenciesField,
        *LAYER_FIELDS,
        *IMAGE_LAYER_FIELDS,
        EnvironmentField,
    )
    help = help_text(
        """
        A layer of container images. Any number of `container_image` targets can use the layer, which is built once and
        pushed to each repository once. The bytes of the layer depend only on its content, its paths and its fields.

        Example:

            image_layer(
                name="settings",
                dependencies=[":config_files"],
                directory="/etc/app",
                modes={"*.key": "0600"},
            )
        """
    )


class ContainerImageTarget(Target):
    """A container image."""

    alias = "container_image"
    core_fields = (
        *COMMON_TARGET_FIELDS,
        ContainerImageDependenciesField,
        *LAYER_FIELDS,
        EnvironmentField,
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
        *PYTHON_FIELDS,
        OutputField,
        IncludeBaseLayersField,
        OutputPathField,
        *PUBLISH_FIELDS,
    )
    help = help_text(
        """
        A container image. `package` writes the image as an OCI image layout, together with a `.json` file that contains
        the digest. `publish` pushes the image to registries. The same sources give the same digest on every machine.

        Example:

            container_image(
                name="image",
                base=":python",
                layers=[":settings"],
                contents={"/app/server": ":server"},
                entrypoint=["/app/server"],
                image_tags=["1.2.3", "latest"],
            )
        """
    )


class PushImageTarget(Target):
    """Another destination of an image."""

    alias = "push_image"
    core_fields = (*COMMON_TARGET_FIELDS, ImageField, OutputPathField, *PUBLISH_FIELDS)
    help = help_text(
        """
        Another destination of a `container_image`. `publish` pushes the image to this destination. `package` writes a
        `.json` file with the digest of the image and the references.

        The fields `registries`, `repository` and `image_tags` of the image do not apply to this target. In
        `repository` and `image_tags`, `{name}` is the name of this target, not of the image.

        Example:

            push_image(
                name="mirror",
                image=":image",
                registries=["mirror.example.com:5000"],
                repository="acme/image",
                image_tags=["1.2.3"],
            )
        """
    )


class BaseImageTarget(Target):
    """An image of a registry that other images are based on."""

    alias = "base_image"
    core_fields = (*COMMON_TARGET_FIELDS, ReferenceField, BasePlatformsField)
    help = help_text(
        """
        An image in a registry that `container_image` targets are based on. The lockfile `[dockless].lockfile` pins the
        manifest and the config of the image, so that `package` does not connect to the registry. This command writes
        the lockfile:

            pants generate-lockfiles --resolve=base-images

        Example:

            base_image(name="python", reference="docker.io/library/python:3.12-slim", platforms=["linux/amd64"])
        """
    )
