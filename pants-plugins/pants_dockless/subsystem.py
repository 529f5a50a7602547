"""The options `[dockless]`."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pants.option.option_types import DictOption, IntOption, ShellStrListOption, StrListOption, StrOption
from pants.option.subsystem import Subsystem
from pants.util.strutil import help_text

from dockless.errors import InvalidValueError
from dockless.oci.reference import check_registry

ALL_DEFAULT_REGISTRIES = "<all default registries>"
_KEYS = {
    "address": str,
    "default": bool,
    "repository": str,
    "skip_push": bool,
    "extra_image_tags": list,
    "insecure": bool,
}


@dataclass(frozen=True)
class RegistryOptions:
    """One entry of `[dockless].registries`, or a registry written out in a BUILD file."""

    address: str
    alias: str = ""
    default: bool = False
    repository: str = ""
    skip_push: bool = False
    extra_image_tags: tuple = ()
    insecure: bool = False

    @classmethod
    def from_option(cls, alias: str, found: Any) -> "RegistryOptions":
        where = f"[dockless.registries.{alias}]"
        if not isinstance(found, dict):
            raise InvalidValueError(f"{where} is not a table", hint='write it as {address = "host:port"}')
        for key, value in found.items():
            if key not in _KEYS:
                raise InvalidValueError(f"{where} has the unknown key `{key}`", hint=f"known are {', '.join(_KEYS)}")
            if not isinstance(value, _KEYS[key]):
                raise InvalidValueError(f"{where}.{key} must be a {_KEYS[key].__name__}", cause=f"it is {value!r}")
        if "address" not in found:
            raise InvalidValueError(f"{where} has no `address`", hint='write address = "host:port"')
        tags = found.get("extra_image_tags", [])
        if not all(isinstance(tag, str) for tag in tags):
            raise InvalidValueError(f"{where}.extra_image_tags must be a list of strings", cause=f"it is {tags!r}")
        try:
            address = check_registry(found["address"])
        except InvalidValueError as error:
            raise InvalidValueError(f"{where}.address: {error.problem}", hint=error.hint) from None
        return cls(
            address=address,
            alias=alias,
            default=found.get("default", alias == "default"),
            repository=found.get("repository", ""),
            skip_push=found.get("skip_push", False),
            extra_image_tags=tuple(tags),
            insecure=found.get("insecure", False),
        )


class Dockless(Subsystem):
    options_scope = "dockless"
    help = "Container images without Docker."

    _registries = DictOption[Any](
        help=help_text(
            f"""
            The registries that images are published to. Each entry:

                [dockless.registries.my-alias]
                address = "registry.example.com:443"
                default = false
                repository = "team/{{name}}"
                skip_push = false
                extra_image_tags = ["latest"]
                insecure = false

            Targets name a registry by `@my-alias`, by its address, or as `{ALL_DEFAULT_REGISTRIES}`, which stands for
            those that have `default = true` or the alias `default`. `repository` outranks a target's own, which it can
            name as `{{target_repository}}`. `insecure` allows plain http and unverified TLS; loopback addresses need no
            such permission for plain http.
            """
        ),
        fromfile=True,
    )
    default_repository = StrOption(
        default="{name}",
        help=help_text(
            """
            The repository of an image whose target names none. It may hold {name} (the target's), {directory} and
            {parent_directory} (the last two parts of the path to its BUILD file) and {full_directory} (all of them).
            """
        ),
    )
    default_compression = StrOption(
        default="gzip",
        help="How layers are compressed whose target does not say: `gzip`, `gzip-single`, `zstd` or `none`, "
        "with a level as in `gzip:6`.",
    )
    lockfile = StrOption(
        default="base_images.lock",
        help="The file in which base images are pinned. `generate-lockfiles --resolve=base-images` writes it.",
    )
    update_bases = StrListOption(
        default=[],
        help="With `generate-lockfiles`: only these references, as BUILD files have them, are looked up again; "
        "the others stay as they are pinned. None: all are.",
    )
    platforms = StrListOption(
        default=["linux/amd64"], help="The platforms of images and bases whose targets do not say."
    )
    jobs = IntOption(default=4, help="How many blobs one publish uploads at the same time.")
    env_vars = ShellStrListOption(
        default=[],
        help=help_text(
            """
            More environment variables that publishing may read, as NAME or NAME=value: those of your credential
            helpers. It reads the usual ones of docker, podman, proxies, CA bundles, Google and AWS without being told.
            """
        ),
    )

    def registries(self, *names: str) -> Iterator[RegistryOptions]:
        """The registries that a target's `registries` field names. Raises InvalidValueError."""
        configured = [RegistryOptions.from_option(alias, found) for alias, found in self._registries.items()]
        for name in names:
            if name == ALL_DEFAULT_REGISTRIES:
                yield from sorted((r for r in configured if r.default), key=lambda r: (r.address, r.alias))
            elif name.startswith("@"):
                found = [r for r in configured if r.alias == name[1:]]
                if not found:
                    there = ", ".join(sorted(f"@{r.alias}" for r in configured)) or "none"
                    raise InvalidValueError(
                        f"there is no registry {name}",
                        cause=f"[dockless].registries has {there}",
                        hint=f"add [dockless.registries.{name[1:]}] to pants.toml or name another",
                    )
                yield from found
            else:
                address = check_registry(name)
                yield next((r for r in configured if r.address == address), RegistryOptions(address))

    def is_insecure(self, address: str) -> bool:
        """Whether plain http and unverified TLS are allowed for a registry. Raises InvalidValueError."""
        return next(self.registries(address)).insecure

    def check(self) -> None:
        """Raises InvalidValueError for options that no target can work with."""
        if self.jobs < 1:
            raise InvalidValueError(f"[dockless].jobs must be 1 or more, it is {self.jobs}")
