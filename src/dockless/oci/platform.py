"""Platforms (`os/architecture[/variant]`) and their normal form."""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from dockless.errors import InvalidDocumentError, InvalidValueError, printable

# containerd's normalisation (its package `platforms`), so that what we choose is what a runtime would choose.
_OS = {"macos": "darwin"}
_ARCHITECTURES = {
    "i386": ("386", ""),
    "x86_64": ("amd64", ""),
    "x86-64": ("amd64", ""),
    "aarch64": ("arm64", ""),
    "armhf": ("arm", "v7"),
    "armel": ("arm", "v6"),
}
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
    """Where an image runs. `os` and `architecture` are Go's GOOS and GOARCH (image spec, config.md)."""

    os: str
    architecture: str
    variant: str = ""
    os_version: str = ""

    @classmethod
    def parse(cls, text: str) -> Platform:
        """`linux/amd64`, `linux/arm64/v8`, `linux/x86_64`... in normal form.

        Raises InvalidValueError for anything else.
        """
        parts = text.split("/") if isinstance(text, str) else []
        if not 2 <= len(parts) <= 3 or not all(_COMPONENT.match(part) for part in parts):
            raise InvalidValueError(
                f"invalid platform {printable(str(text), 100)!r}", hint="write os/architecture, such as linux/amd64"
            )
        found = cls(*parts).normalized()
        if found.os not in _KNOWN_OS or found.architecture not in _KNOWN_ARCHITECTURES:
            raise InvalidValueError(
                f"unknown platform {printable(text, 100)!r}",
                hint="write os/architecture in Go's names, such as linux/amd64 or linux/arm64",
            )
        return found

    @classmethod
    def from_json(cls, found: Any, what: str) -> Platform:
        """The `platform` object of a descriptor, or the same keys of a config, as they are written there.

        Raises InvalidDocumentError, which names it `what`.
        """
        if not isinstance(found, dict):
            raise InvalidDocumentError(f"{what} has a platform that is not an object")
        values = [found.get(key) or "" for key in ("os", "architecture", "variant", "os.version")]
        if not all(isinstance(value, str) for value in values):
            raise InvalidDocumentError(f"{what} has a platform whose values are not strings")
        return cls(*values)

    def to_json(self) -> dict[str, Any]:
        """As it stands in a descriptor or a config."""
        pairs = zip(("os", "architecture", "variant", "os.version"), self)
        return {key: value for key, value in pairs if value}

    def normalized(self) -> Platform:
        """Lower case, aliases resolved, default variants dropped or set: arm64/v8 is arm64, arm is arm/v7."""
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

    def matches(self, wanted: Platform | None) -> bool:
        """Whether an image of this platform serves `wanted` (None: any); an os version counts only if asked for."""
        if wanted is None:
            return True
        mine, other = self.normalized(), wanted.normalized()
        return mine[:3] == other[:3] and other.os_version in ("", mine.os_version)

    def __str__(self) -> str:
        return "/".join(part for part in self[:3] if part)


DEFAULT_PLATFORM = Platform("linux", "amd64")
