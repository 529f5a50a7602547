"""Distributions as values: names, tags, and the files that they have in an image."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, NamedTuple

from dockless.errors import LayerError


def normalized_name(name: str) -> str:
    """Return the name of a distribution as PEP 503 normalizes it."""
    return re.sub(r"[-_.]+", "-", name).lower()


class WheelName(NamedTuple):
    """The parts of the file name of a wheel (binary distribution format, "File name convention").

    `name` is normalized. `pythons`, `abis` and `platforms` are the parts of the compressed tag set.
    """

    name: str
    version: str
    pythons: tuple[str, ...]
    abis: tuple[str, ...]
    platforms: tuple[str, ...]

    @classmethod
    def parse(cls, file_name: str) -> WheelName:
        """Parse the file name of a wheel. Raises LayerError."""
        parts = file_name[:-4].split("-") if file_name.endswith(".whl") else []
        if len(parts) not in (5, 6) or not all(parts):
            raise LayerError(
                f"{file_name!r:.200} is not the file name of a wheel",
                hint="the form is NAME-VERSION-PYTHON-ABI-PLATFORM.whl",
            )
        python, abi, platform = (tuple(part.split(".")) for part in parts[-3:])
        return cls(normalized_name(parts[0]), parts[1], python, abi, platform)

    @property
    def is_pure(self) -> bool:
        """Whether the wheel is the same for every platform and ABI."""
        return self.abis == ("none",) and self.platforms == ("any",)


class DistributionFile(NamedTuple):
    """A file of a distribution in an image. `path` is relative to the virtual environment, `size` is in bytes."""

    path: str
    size: int
    sha256: str
    executable: bool = False


class Distribution(NamedTuple):
    """A normalized distribution. `name` is normalized; `files` are sorted by path."""

    name: str
    version: str
    files: tuple[DistributionFile, ...]

    @property
    def size(self) -> int:
        """The size of all files in bytes."""
        return sum(file.size for file in self.files)

    def to_json(self) -> dict[str, Any]:
        """Return plain data for `from_json`."""
        return {"name": self.name, "version": self.version, "files": [list(file) for file in self.files]}

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Distribution:
        """Return the distribution that `to_json` described."""
        files: Sequence[Sequence[Any]] = value["files"]
        return cls(value["name"], value["version"], tuple(DistributionFile(*file) for file in files))
