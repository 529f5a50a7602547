"""The options of the section `[dockless]`."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pants.option.option_types import BoolOption, DictOption, IntOption, ShellStrListOption, StrListOption, StrOption
from pants.option.subsystem import Subsystem
from pants.util.strutil import softwrap

from dockless._concurrency import check_jobs
from dockless.errors import InvalidValueError
from dockless.oci.reference import check_registry
from pants_dockless.runtime_options import RuntimeOptions

ALL_DEFAULT_REGISTRIES = "<all default registries>"
_REGISTRY_KEYS: dict[str, type] = {
    "address": str,
    "default": bool,
    "repository": str,
    "skip_push": bool,
    "extra_image_tags": list,
    "insecure": bool,
}


_KINDS = {str: "a string", bool: "true or false", list: "a list of strings"}


def _invalid(option: str, problem: str, hint: str) -> InvalidValueError:
    return InvalidValueError(f"option `{option}`: {problem}", hint=hint)


@dataclass(frozen=True)
class RegistryOptions:
    """An entry of `[dockless].registries`, or a registry that a BUILD file names by its address."""

    address: str
    alias: str = ""
    default: bool = False
    repository: str = ""
    skip_push: bool = False
    extra_image_tags: tuple[str, ...] = ()
    insecure: bool = False

    @classmethod
    def from_option(cls, alias: str, entry: Any) -> "RegistryOptions":
        """Check an entry of `[dockless].registries`. Raises InvalidValueError."""
        section = f"[dockless.registries.{alias}]"
        if not isinstance(entry, dict):
            raise _invalid(section, f"{entry!r:.100} is not a table", 'write {address = "host:port"}')
        for key, value in entry.items():
            if key not in _REGISTRY_KEYS:
                raise _invalid(section, f"unknown key `{key}`", f"the known keys are {', '.join(_REGISTRY_KEYS)}")
            if not isinstance(value, _REGISTRY_KEYS[key]):
                expected = _KINDS[_REGISTRY_KEYS[key]]
                raise _invalid(f"{section}.{key}", f"{value!r:.100} is not {expected}", f"write {expected}")
        if "address" not in entry:
            raise _invalid(section, "the key `address` is missing", 'write address = "host:port"')
        tags = entry.get("extra_image_tags", [])
        if not all(isinstance(tag, str) for tag in tags):
            raise _invalid(
                f"{section}.extra_image_tags", f"{tags!r:.100} is not a list of strings", "write a list of strings"
            )
        try:
            address = check_registry(entry["address"])
        except InvalidValueError as error:
            raise _invalid(f"{section}.address", error.problem, error.hint) from None
        return cls(
            address=address,
            alias=alias,
            default=entry.get("default", alias == "default"),
            repository=entry.get("repository", ""),
            skip_push=entry.get("skip_push", False),
            extra_image_tags=tuple(tags),
            insecure=entry.get("insecure", False),
        )


class Dockless(RuntimeOptions, Subsystem):
    """The options of the section `[dockless]`."""

    options_scope = "dockless"
    help = "Options for building and publishing container images without Docker."

    _registries = DictOption[Any](
        help=softwrap(
            f"""
            The registries that images are published to. Each registry is a table:

                [dockless.registries.main]
                address = "registry.example.com:443"
                default = false
                repository = "team/{{name}}"
                skip_push = false
                extra_image_tags = ["latest"]
                insecure = false

            Only `address` is required. A target refers to a registry by its alias, as in `@main`, by its address, or by
            `{ALL_DEFAULT_REGISTRIES}`, which means all registries with `default = true` and the registry with the
            alias `default`.

            `repository` overrides the repository of each target that is pushed to the registry. In addition to the
            placeholders of `default_repository`, the value may contain `{{target_repository}}` (the repository of the
            target) and `{{default_repository}}` (the value of that option).

            If `skip_push` is true, `publish` does not push to the registry. `extra_image_tags` are pushed in addition
            to the tags of each target, and may contain the placeholders of the field `image_tags`.

            If `insecure` is true, plain HTTP and TLS certificates that cannot be verified are accepted. Plain HTTP is
            always accepted for loopback addresses. Foreign layers in a private network must be at such a registry.
            """
        ),
        fromfile=True,
    )
    default_repository = StrOption(
        default="{name}",
        help=softwrap(
            """
            The repository of images that do not set the `repository` field, such as `{parent_directory}/{name}`. The
            value may contain the placeholders of this field.
            """
        ),
    )
    default_image_tags = StrListOption(
        default=["latest"],
        help=softwrap(
            """
            The tags of images that set neither `image_tags` nor `image_tag_files`. The values may contain the
            placeholders of `image_tags`.
            """
        ),
    )
    skip_push = BoolOption(
        default=False,
        help="If true, `publish` and `push` skip all images, as if each target had `skip_push=True`.",
    )
    allow_publish = BoolOption(
        default=True,
        help=softwrap(
            """
            If false, `publish` and `push` of an image are an error. Set the option to false in `pants.toml` and to true
            in the configuration of CI, so that images are only pushed from CI. `push --dry-run` is always possible.
            """
        ),
    )
    default_compression = StrOption(
        default="gzip",
        help=softwrap(
            """
            The compression of layers that do not set the `compression` field: one of the values of this field, such as
            `gzip` or `zstd:3`.
            """
        ),
    )
    lockfile = StrOption(
        default="base_images.lock",
        help=softwrap(
            """
            The path of the lockfile that pins base images, relative to the build root. The command
            `generate-lockfiles --resolve=base-images` writes the lockfile.
            """
        ),
    )
    update_bases = StrListOption(
        default=[],
        help=softwrap(
            """
            The references that `generate-lockfiles --resolve=base-images` resolves again, written as in the BUILD
            files. All other bases keep their pins. By default, all bases are resolved again.
            """
        ),
    )
    platforms = StrListOption(
        default=["linux/amd64"],
        help=softwrap(
            """
            The platforms of images and base images that do not set the `platforms` field, such as `linux/amd64` and
            `linux/arm64/v8`.
            """
        ),
    )
    jobs = IntOption(
        default=4,
        help="The maximum number of concurrent requests to each registry, and of images at a time: 1 to 64.",
    )
    cache_layers = BoolOption(
        default=True,
        help=softwrap(
            """
            Whether Pants stores the content of layers in its local store and in the remote cache. If false, Pants
            stores only the digest and the size of each layer, and builds the layer again when a registry lacks it or
            `package` writes it. That is faster, and needs less space, where images are pushed with `push` or packaged
            with `output="metadata"`, and slower where every run writes layouts or archives.
            """
        ),
    )
    env_vars = ShellStrListOption(
        default=[],
        help=softwrap(
            """
            Additional environment variables for programs that connect to registries. Entries are strings in the form
            `ENV_VAR=value` to use explicitly, or just `ENV_VAR` to copy the value of a variable in Pants's own
            environment.

            The usual variables of Docker, Podman, proxies, CA bundles, Google Cloud and AWS are always passed. Add the
            variables that your credential helpers need.
            """
        ),
    )

    def registries(self, *names: str) -> Iterator[RegistryOptions]:
        """Return the registries for names in a `registries` field: aliases and addresses. Raises InvalidValueError."""
        configured = self._configured_registries()
        for name in names:
            if name == ALL_DEFAULT_REGISTRIES:
                yield from sorted((r for r in configured if r.default), key=lambda r: (r.address, r.alias))
            elif name.startswith("@"):
                matching = [r for r in configured if r.alias == name[1:]]
                if not matching:
                    aliases = ", ".join(sorted(f"@{r.alias}" for r in configured))
                    raise InvalidValueError(
                        f"unknown registry {name}",
                        cause=f"[dockless].registries defines {aliases or 'no registry'}",
                        hint=f"add [dockless.registries.{name[1:]}] to pants.toml or use another registry",
                    )
                yield from matching
            else:
                address = check_registry(name)
                if any(r.alias == name for r in configured) and not any(r.address == address for r in configured):
                    raise InvalidValueError(
                        f"{name!r} is an address, not an alias",
                        hint=f"to use the registry with the alias `{name}`, write @{name}",
                    )
                yield next((r for r in configured if r.address == address), RegistryOptions(address))

    def insecure_registries(self) -> frozenset[str]:
        """Return the addresses for which an entry allows plain HTTP and unverified TLS. Raises InvalidValueError."""
        return frozenset(registry.address for registry in self._configured_registries() if registry.insecure)

    def _configured_registries(self) -> list[RegistryOptions]:
        return [RegistryOptions.from_option(alias, entry) for alias, entry in self._registries.items()]

    def check(self) -> None:
        """Raise InvalidValueError if an option has a value that no target can be built with."""
        try:
            check_jobs(self.jobs)
        except InvalidValueError as error:
            raise _invalid("[dockless].jobs", f"the value is {self.jobs}", error.hint) from None
        self._configured_registries()
