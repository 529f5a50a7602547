"""All targets of the backend and their fields. This module calls no rules."""

import re
from collections.abc import Mapping
from typing import Any, Optional, Union

from pants.core.goals.package import OutputPathField
from pants.core.goals.run import RestartableField
from pants.engine.addresses import Address, UnparsedAddressInputs
from pants.engine.target import (
    COMMON_TARGET_FIELDS,
    AsyncFieldMixin,
    BoolField,
    Dependencies,
    DictStringToStringField,
    InvalidFieldException,
    InvalidFieldTypeException,
    MultipleSourcesField,
    SequenceField,
    SpecialCasedDependencies,
    StringField,
    StringSequenceField,
    Target,
    TriBoolField,
)
from pants.util.frozendict import FrozenDict
from pants.util.strutil import help_text, softwrap

from dockless.errors import printable
from pants_dockless._compat import EnvironmentField
from pants_dockless.subsystem import ALL_DEFAULT_REGISTRIES

# Strings that are an address or a reference, such as `python:3.12`.
_MAY_BE_REFERENCE = re.compile(r"[a-z0-9][a-z0-9._/-]*(?::[A-Za-z0-9_][A-Za-z0-9._-]*)?\Z")
# Strings that cannot be the first component of an address: a host with a port, and well-known registries.
_REGISTRY = re.compile(
    r"[^/:]+:[0-9]+/|(?:localhost|docker\.io|ghcr\.io|quay\.io|mcr\.microsoft\.com|public\.ecr\.aws|registry\.k8s\.io"
    r"|(?:[^/]+\.)?gcr\.io|[^/]+\.(?:pkg\.dev|azurecr\.io|amazonaws\.com))/"
)

# Not in the text of a field, because `help_text` joins lines of different indentation.
_PLACEHOLDERS = softwrap(
    """
    The value may contain these placeholders:

      - `{name}`: the name of the target.
      - `{directory}`: the name of the directory that contains the BUILD file.
      - `{parent_directory}`: the name of the parent directory of this directory.
      - `{full_directory}`: the path of the directory, relative to the build root.
      - `{env.NAME}`: an environment variable. `{env.NAME:default}` has a default for a variable that is not set.
      - `{git.commit}`, `{git.short_commit}`: the commit that is checked out, and its first 12 digits.
      - `{pants.hash}`: the 64 hexadecimal digits of the image's digest.
    """
)


class SingleAddressField(SpecialCasedDependencies):
    """One address, in a field type that `dependencies` and `dependents` know. The value is a string."""

    value: Optional[str]  # type: ignore[assignment]

    @classmethod
    def compute_value(cls, raw_value: Optional[str], address: Address) -> Optional[str]:  # type: ignore[override]
        """Check that the value is a string."""
        if raw_value is not None and not isinstance(raw_value, str):
            raise InvalidFieldTypeException(address, cls.alias, raw_value, expected_type="a string")
        # Not the check of SpecialCasedDependencies, whose value is a sequence.
        value: Optional[str] = super(SequenceField, cls).compute_value(raw_value, address)
        return value

    def to_unparsed_address_inputs(self) -> UnparsedAddressInputs:
        """Return the address."""
        return UnparsedAddressInputs(
            () if self.value is None else (self.value,),
            owning_address=self.address,
            description_of_origin=f"the `{self.alias}` from the target {self.address}",
        )


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
    """A dictionary of path -> address."""

    value: Optional[FrozenDict[str, str]]  # type: ignore[assignment]
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
    ) -> Optional[FrozenDict[str, str]]:
        """Check the dictionary."""
        if raw_value is not None:
            if not isinstance(raw_value, Mapping) or not all(
                isinstance(x, str) for pair in raw_value.items() for x in pair
            ):
                raise InvalidFieldTypeException(
                    address, cls.alias, raw_value, expected_type="a dictionary of path -> address"
                )
            raw_value = FrozenDict(raw_value)
        # Not the check of SpecialCasedDependencies, whose value is a sequence.
        value: Optional[FrozenDict[str, str]] = super(SequenceField, cls).compute_value(
            raw_value,
            address,
        )
        return value

    @property
    def pairs(self) -> tuple[tuple[str, str], ...]:
        """The path and the address of each entry, sorted by path."""
        return tuple(sorted((self.value or {}).items()))

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
    """The modification time of all entries: a string or an integer."""

    alias = "mtime"
    value: Union[str, int]  # type: ignore[assignment]
    default = "0"
    help = help_text(
        """
        The modification time of everything in the layer, in seconds since 1970-01-01 UTC. The value
        `"SOURCE_DATE_EPOCH"` means the value of the environment variable with that name.
        """
    )

    @classmethod
    def compute_value(  # type: ignore[override]
        cls, raw_value: Union[str, int, None], address: Address
    ) -> Union[str, int, None]:
        """Accept an integer as well as a string."""
        if isinstance(raw_value, int) and not isinstance(raw_value, bool):
            return raw_value
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


class BaseField(SingleAddressField):
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
    def compute_value(cls, raw_value: Optional[str], address: Address) -> Optional[str]:  # type: ignore[override]
        """Reject references without a digest."""
        value = super().compute_value(raw_value, address)
        if value and "@sha256:" not in value and _REGISTRY.match(value):
            raise InvalidFieldException(
                printable(
                    f"{address}: field `base`: {value!r} is a reference without a digest; add the target "
                    f"`base_image(reference={value!r})` and use its address, or write "
                    "registry/repository@sha256:...",
                    None,
                )
            )
        return value

    @property
    def reference(self) -> str:
        """The reference, or an empty string if the value is an address."""
        return self.value if self.value and "@sha256:" in self.value else ""

    def to_unparsed_address_inputs(self) -> UnparsedAddressInputs:
        """Return the address, or nothing if the value is a reference."""
        origin = f"the `{self.alias}` from the target {self.address}"
        if self.value is not None and _MAY_BE_REFERENCE.match(self.value):
            # Pants reports addresses that do not exist, with this text.
            origin += f" (for an image of a registry, use the address of a `base_image(reference={self.value!r})`)"
        return UnparsedAddressInputs(
            () if self.reference or self.value is None else (self.value,),
            owning_address=self.address,
            description_of_origin=origin,
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
    help = help_text(
        """
        The ports that the program listens on, in addition to those of the base, such as `["8080/tcp", "8125/udp"]`. The
        default protocol is TCP. `[]` removes the ports of the base.
        """
    )


class VolumesField(StringSequenceField):
    """Volumes in the image config."""

    alias = "volumes"
    help = help_text(
        """
        Absolute paths at which volumes are expected to be mounted, in addition to those of the base, such as
        `["/var/lib/app"]`. `[]` removes the volumes of the base.
        """
    )


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
          - `oci-archive`: a tar file with an OCI image layout, for `podman load` and `docker load`. The loaded image
            has the first reference that the target is pushed to, or else the name of the target.
          - `docker-archive`: a tar file for `docker load`. The loaded image has all references of the target.
          - `metadata`: only the `.json` file.

        Archives contain the layers of the base, which `package` downloads.
        """
    )


class ExtraRunArgsField(StringSequenceField):
    """Arguments of the container runtime."""

    alias = "extra_run_args"
    help = help_text(
        """
        Arguments for the container runtime that the goal `run` adds to those of `[dockless].run_args`. The image does
        not depend on them.

        Example:

            extra_run_args=["--publish=127.0.0.1:8080:80", "--env=DEBUG=1"]
        """
    )


class IncludeBaseLayersField(BoolField):
    """Whether the OCI layout contains the layers of the base."""

    alias = "include_base_layers"
    default = False
    help = "If true, the OCI layout contains the layers of the base, which `package` downloads."


# -- Python applications: fields of `container_image` --


class PythonLayersField(TriBoolField):
    """Whether Python applications in `dependencies` become layers."""

    alias = "python_layers"
    help = help_text(
        """
        If true, the `pex_binary` or the Python sources in `dependencies` are not added as files. Instead, the image
        contains the application as a virtual environment in `/opt/venv`: layers with third-party distributions, and
        above them a layer with first-party code. Images with the same distributions share these layers, and a change of
        first-party code changes one small layer. `entrypoint` and the environment variables `PATH`, `VIRTUAL_ENV` and
        `PYTHONUNBUFFERED` have defaults for the application.

        If false, a `pex_binary` is one file.

        By default, the application becomes layers if the backend `pants_dockless.python` is enabled and `dependencies`
        contain a `pex_binary` or Python sources. The layers require the backends `pants.backend.python` and
        `pants_dockless.python`.

        Example:

            container_image(
                name="image",
                base=":python",
                dependencies=[":server"],  # a pex_binary
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


class BaseImageDependenciesField(Dependencies):
    """The dependencies of a base image: the lockfile, which is inferred. The name hides the field from users."""

    alias = "_dependencies"


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
    help = "\n\n".join(
        (
            softwrap(
                """
                The repository in the registry, such as `team/{name}`. The default is `[dockless].default_repository`;
                for a `push_image`, the repository of its image. The `repository` of an entry of `[dockless].registries`
                takes precedence, but the value must be valid.
                """
            ),
            _PLACEHOLDERS,
        )
    )


class ImageTagsField(StringSequenceField):
    """The tags to push."""

    alias = "image_tags"
    help = "\n\n".join(
        (
            softwrap(
                """
                The tags that `publish` gives to the image, together with those in `image_tag_files`. Tags do not change
                the digest of the image. If neither field is set, the tags are `[dockless].default_image_tags`; for a
                `push_image`, the tags of its image.
                """
            ),
            _PLACEHOLDERS,
            softwrap(
                """
                Example:

                    image_tags=["1.2.3", "{git.short_commit}", "build-{env.BUILD_NUMBER:local}"]
                """
            ),
        )
    )


class ImageTagFilesField(SpecialCasedDependencies):
    """Targets whose files contain tags."""

    alias = "image_tag_files"
    help = help_text(
        """
        Addresses of targets whose files contain further tags, one tag on each line. Empty lines and lines that begin
        with `#` are ignored. A line may contain the placeholders of `image_tags`. The targets may generate the files,
        as `shell_command` does.

        Example:

            file(name="version", source="VERSION")
            container_image(name="image", image_tag_files=[":version"])
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


PUBLISH_FIELDS = (
    RegistriesField,
    RepositoryField,
    ImageTagsField,
    ImageTagFilesField,
    SkipPushField,
    CopyForeignLayersField,
)


class ImagesField(StringSequenceField, AsyncFieldMixin):
    """The images of an index.

    Not a field of the type `SpecialCasedDependencies`: Pants does not resolve the address of a target with parameters
    there. The dependencies are inferred instead.
    """

    alias = "images"
    required = True
    help = help_text(
        """
        Addresses of the `container_image` targets in the index, in this order. Each platform may occur once. For an
        image with several platforms, all of its platforms are in the index. The address of a target with parameters
        means all of its images; `:image@platforms=amd64` means one of them.
        """
    )

    def to_unparsed_address_inputs(self) -> UnparsedAddressInputs:
        """Return the addresses."""
        return UnparsedAddressInputs(
            self.value or (),
            owning_address=self.address,
            description_of_origin=f"the `{self.alias}` from the target {self.address}",
        )


class ImageIndexDependenciesField(Dependencies):
    """The dependencies of an index: its images, which are inferred. The name hides the field from users."""

    alias = "_dependencies"


class ImageField(SingleAddressField):
    """The address of an image."""

    alias = "image"
    required = True
    help = "The address of the `container_image` or the `image_index` to push."


# -- The fields of `image_test` --


class TestedImageField(SingleAddressField):
    """The address of the image that a test checks."""

    __test__ = False

    alias = "image"
    required = True
    help = "The address of the `container_image` or `image_index` to test. Each platform of the image is tested."


class ImageTestSourcesField(MultipleSourcesField):
    """The files with the tests."""

    required = False
    expected_file_extensions = (".yaml", ".yml", ".json")
    help = help_text(
        """
        The files with the tests, in the format of container-structure-test, schema version 2.0.0. The tests
        `fileExistenceTests`, `fileContentTests` and `metadataTest` are supported; tests that need a running container
        are errors.

        Example:

            sources=["structure_test.yaml"]
        """
    )


class CommandsField(StringSequenceField):
    """Commands that the image must have."""

    alias = "commands"
    help = help_text(
        """
        Commands that must exist in the image and be executable: names, which are searched in the `PATH` of the image,
        or absolute paths.

        Example:

            commands=["python3", "/app/server"]
        """
    )


class ForbiddenPathsField(StringSequenceField):
    """Patterns of paths that the image must not have."""

    alias = "forbidden_paths"
    help = help_text(
        """
        Patterns for paths that must not exist in the image, in the format of `.gitignore`. A pattern with a leading
        slash is relative to the root of the image.

        Example:

            forbidden_paths=["*.pem", ".git/", "/srv/app/.ssh"]
        """
    )


class MaxSizeField(StringField):
    """The largest allowed size of the image."""

    alias = "max_size"
    help = help_text(
        """
        The largest allowed size of the image in a registry: the manifest, the config and the compressed layers. The
        units are decimal: `B`, `kB`, `MB`, `GB` and `TB`.

        Example:

            max_size="150 MB"
        """
    )


class OsReleaseField(DictStringToStringField):
    """Expected values of os-release."""

    alias = "os_release"
    help = help_text(
        """
        A dictionary of name -> regular expression for the values in `/etc/os-release`.

        Example:

            os_release={"ID": "^debian$", "VERSION_ID": "^12"}
        """
    )


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
        ExtraRunArgsField,
        RestartableField,
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

    def __init__(self, unhydrated_values: dict[str, Any], address: Address, *args: Any, **kwargs: Any) -> None:  # type: ignore[misc]
        """Raise InvalidFieldException for a field of `image_layer`. The error of Pants would list all valid fields."""
        fields_of_layers = {field.alias for field in IMAGE_LAYER_FIELDS} - {field.alias for field in self.core_fields}
        misplaced = sorted(fields_of_layers.intersection(unhydrated_values))
        if misplaced:
            raise InvalidFieldException(
                f"{address}: field `{misplaced[0]}`: the field belongs to `image_layer`, not to `container_image`; "
                "move the content to an image_layer with this field, and add the address of the image_layer to `layers`"
            )
        super().__init__(unhydrated_values, address, *args, **kwargs)


class ImageIndexTarget(Target):
    """An index of images with different content."""

    alias = "image_index"
    core_fields = (
        *COMMON_TARGET_FIELDS,
        ImagesField,
        ImageIndexDependenciesField,
        EnvironmentField,
        FormatField,
        AnnotationsField,
        OutputField,
        IncludeBaseLayersField,
        ExtraRunArgsField,
        RestartableField,
        OutputPathField,
        *PUBLISH_FIELDS,
    )
    help = help_text(
        """
        An image index: one reference for images of several platforms, each with its own content. From this reference, a
        container runtime pulls the image for its platform. If only the base differs between platforms, a
        `container_image` with several `platforms` is enough.

        Example:

            container_image(
                name="amd64",
                platforms=["linux/amd64"],
                contents={"/app/server": ":server-amd64"},
                skip_push=True,
            )
            container_image(
                name="arm64",
                platforms=["linux/arm64"],
                contents={"/app/server": ":server-arm64"},
                skip_push=True,
            )
            image_index(name="image", images=[":amd64", ":arm64"], image_tags=["1.2.3"])
        """
    )


class PushImageTarget(Target):
    """Another destination of an image."""

    alias = "push_image"
    core_fields = (*COMMON_TARGET_FIELDS, ImageField, OutputPathField, *PUBLISH_FIELDS)
    help = help_text(
        """
        Another destination of a `container_image` or an `image_index`. `publish` pushes the image to this destination.
        `package` writes a `.json` file with the digest of the image and the references.

        Without the field `repository`, the repository is that of the image. Without the fields `image_tags` and
        `image_tag_files`, the tags are those of the image. In fields of this target, `{name}` is the name of this
        target; in those of the image, `{name}` is the name of the image. The field `registries` of the image does not
        apply to this target.

        Example:

            push_image(
                name="mirror",
                image=":image",
                registries=["mirror.example.com:5000"],
                repository="acme/image",
            )
        """
    )


class BaseImageTarget(Target):
    """An image of a registry that other images are based on."""

    alias = "base_image"
    core_fields = (*COMMON_TARGET_FIELDS, BaseImageDependenciesField, ReferenceField, BasePlatformsField)
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


class ImageTestTarget(Target):
    """A structure test of an image."""

    alias = "image_test"
    core_fields = (
        *COMMON_TARGET_FIELDS,
        TestedImageField,
        ImageTestSourcesField,
        CommandsField,
        ForbiddenPathsField,
        MaxSizeField,
        OsReleaseField,
    )
    help = help_text(
        """
        A test of the config and the files of an image, which the goal `test` runs. No container runtime is needed, and
        nothing in the image is executed. The layers of the image's base are downloaded if a test needs files.

        Example:

            image_test(
                name="image_test",
                image=":image",
                sources=["structure_test.yaml"],
                commands=["python3"],
                forbidden_paths=["*.pem", ".git/"],
                max_size="150 MB",
            )
        """
    )
