"""Platforms (`os/architecture[/variant]`) and their normal form."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple, TypeVar

from dockless.errors import InvalidDocumentError, InvalidValueError, printable

T = TypeVar("T")

# As containerd normalizes platforms (its package `platforms`), so that Dockless and a runtime choose the same image.
_OS = {"macos": "darwin"}
_ARCHITECTURES = {
    "i386": ("386", ""),
    "x86_64": ("amd64", ""),
    "x86-64": ("amd64", ""),
    "aarch64": ("arm64", ""),
    "armhf": ("arm", "v7"),
    "armel": ("arm", "v6"),
}
# Architectures whose variants are levels: a processor of one level runs programs of lower levels. The value is the
# level of an image without a variant.
_LEVELS = {"amd64": "v1", "arm": "v7"}
_LEVEL = re.compile(r"v([0-9]{1,2})\Z")
# The platform of a config becomes a part of each index that lists the image.
_MAX_VALUE = 255
_COMPONENT = re.compile(r"[A-Za-z0-9_.-]+\Z")
_KNOWN_OS = frozenset(
    [
        "aix",
        "android",
        "darwin",
        "dragonfly",
        "freebsd",
        "illumos",
        "ios",
        "js",
        "linux",
        "netbsd",
        "openbsd",
        "plan9",
        "solaris",
        "wasip1",
        "windows",
    ]
)
_KNOWN_ARCHITECTURES = frozenset(
    [
        "386",
        "amd64",
        "arm",
        "arm64",
        "loong64",
        "mips",
        "mipsle",
        "mips64",
        "mips64le",
        "ppc64",
        "ppc64le",
        "riscv64",
        "s390x",
        "wasm",
    ]
)


class Platform(NamedTuple):
    """The platform of an image. `os` and `architecture` are Go's GOOS and GOARCH (image spec, config.md)."""

    os: str
    architecture: str
    variant: str = ""
    os_version: str = ""

    @classmethod
    def parse(cls, text: str) -> Platform:
        """Parse a platform such as `linux/amd64`, `linux/arm64/v8` or `linux/x86_64`, and normalize it.

        Raises InvalidValueError for a platform that is not valid or not known.
        """
        parts = text.split("/") if isinstance(text, str) else []
        if not 2 <= len(parts) <= 3 or not all(_COMPONENT.match(part) for part in parts):
            raise InvalidValueError(
                f"invalid platform '{printable(str(text), 100)}'", hint="write os/architecture, such as linux/amd64"
            )
        found = cls(*parts).normalized()
        if found.os not in _KNOWN_OS or found.architecture not in _KNOWN_ARCHITECTURES:
            raise InvalidValueError(
                f"unknown platform '{printable(text, 100)}'",
                hint="write os/architecture in Go's names, such as linux/amd64 or linux/arm64",
            )
        return found

    @classmethod
    def from_json(cls, value: Any, label: str) -> Platform:
        """Parse the `platform` object of a descriptor, or the same keys of a config, without normalization.

        Raises InvalidDocumentError, which names the object `label`.
        """
        if not isinstance(value, dict):
            raise InvalidDocumentError(f"{label} has a platform that is not an object")
        found = [value.get(key) for key in ("os", "architecture", "variant", "os.version")]
        values = ["" if item is None else item for item in found]
        if not all(isinstance(item, str) for item in values):
            raise InvalidDocumentError(f"{label} has a platform whose values are not strings")
        if any(len(item) > _MAX_VALUE for item in values):
            raise InvalidDocumentError(f"{label} has a platform with a value of more than {_MAX_VALUE} characters")
        return cls(*values)

    def to_json(self) -> dict[str, Any]:
        """Return the platform as an object of a descriptor or keys of a config."""
        pairs = zip(("os", "architecture", "variant", "os.version"), self)
        return {key: value for key, value in pairs if value}

    def normalized(self) -> Platform:
        """Return the normal form: lower case, aliases resolved, default variants removed or set.

        `arm64/v8` becomes `arm64`, `arm` becomes `arm/v7`.
        """
        os = self.os.lower()
        architecture, variant = self.architecture.lower(), self.variant.lower()
        if architecture in _ARCHITECTURES:
            architecture, implied = _ARCHITECTURES[architecture]
            variant = variant or implied
        if (architecture == "arm64" and variant in ("8", "v8", "v8.0")) or (
            architecture == "amd64" and variant == "v1"
        ):
            variant = ""
        elif architecture == "arm":
            variant = {"": "v7", "5": "v5", "6": "v6", "7": "v7", "8": "v8"}.get(variant, variant)
        return Platform(_OS.get(os, os), architecture, variant, self.os_version)

    @property
    def is_complete(self) -> bool:
        """Whether OS and architecture are known. Configs of artifacts have neither; BuildKit writes `unknown`."""
        return all(part not in ("", "unknown") for part in (self.os, self.architecture))

    def filled(self, default: Platform) -> Platform:
        """Return the platform with the OS and the architecture of `default` where it has none."""
        architecture, variant = (self if self.architecture else default)[1:3]
        return self._replace(os=self.os or default.os, architecture=architecture, variant=variant)

    def matches(self, requested: Platform | None) -> bool:
        """Return whether this is the platform `requested`; None is any platform.

        The OS version is compared only if `requested` has one.
        """
        if requested is None:
            return True
        own, other = self.normalized(), requested.normalized()
        return own[:3] == other[:3] and other.os_version in ("", own.os_version)

    def runs_on(self, requested: Platform | None) -> bool:
        """Return whether an image of this platform can be used for `requested`; None is any platform."""
        return requested is None or self.preference(requested) is not None

    def preference(self, requested: Platform) -> int | None:
        """Return how well an image of this platform suits `requested`: the larger the better, None if it does not run.

        As in containerd, an image for `arm/v6` is used for `arm/v7` if there is none for `arm/v7`, and one for `amd64`
        for `amd64/v2`. Unlike in containerd, the architecture never changes: an image for `386` is not used for
        `amd64`. An OS or architecture that an image does not name is that of `requested`.
        """
        own, other = self.filled(requested).normalized(), requested.normalized()
        if own[:2] != other[:2] or other.os_version not in ("", own.os_version):
            return None
        if not self.os or not self.architecture:
            return -1
        level, limit = _level(own), _level(other)
        if level is None or limit is None:
            return 0 if own.variant == other.variant else None
        return level if level <= limit else None

    def __str__(self) -> str:
        return "/".join(part for part in self[:3] if part)


def to_platform(platform: str | Platform | None) -> Platform | None:
    """Return `platform`, parsed if it is text. Raises InvalidValueError."""
    return platform if platform is None or isinstance(platform, Platform) else Platform.parse(platform)


def _level(platform: Platform) -> int | None:
    """Return the level of a normal platform's variant; None if its variants are not levels."""
    default = _LEVELS.get(platform.architecture)
    found = _LEVEL.match(platform.variant or default) if default else None
    return int(found[1]) if found else None


def choose(items: Iterable[T], platform_of: Callable[[T], Platform], requested: Platform) -> T | None:
    """Return the first of the items that suit `requested` best; None if none does."""
    chosen: tuple[T, int] | None = None
    for item in items:
        preference = platform_of(item).preference(requested)
        if preference is not None and (chosen is None or preference > chosen[1]):
            chosen = item, preference
    return chosen[0] if chosen else None


DEFAULT_PLATFORM = Platform("linux", "amd64")
