"""The distributions of a PEX: each is described by one process, whose key is the distribution alone."""

import json
import os
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote, urlsplit

from pants.engine.addresses import Address
from pants.engine.fs import CreateDigest, Digest, FileDigest, FileEntry

from dockless.errors import LayerError
from dockless.python_layers.distribution import Distribution, WheelName
from pants_dockless import _compat
from pants_dockless.errors import TargetError
from pants_dockless.util_rules.base_images import read_optional_file
from pants_dockless.util_rules.interpreter import SharedPython
from pants_dockless.util_rules.processes import run_builder
from pants_dockless.util_rules.python_image import PythonDistribution
from pants_dockless.util_rules.tools import DESCRIBE_DISTRIBUTION, distribution_reader

_FILE = "distribution.zip"


@dataclass(frozen=True)
class PackedDistribution:
    """A distribution of a packed PEX. `description` is the JSON of a `Distribution`."""

    wheel: PythonDistribution
    is_pure: bool
    file: FileDigest
    description: bytes

    @property
    def distribution(self) -> Distribution:
        """The normalized distribution."""
        return Distribution.from_json(json.loads(self.description))


async def read_distributions(
    address: Address, pex: Digest, python: SharedPython, lockfile: str = ""
) -> tuple[PackedDistribution, ...]:
    """Return the distributions of a packed PEX, sorted by name. Raises TargetError."""
    entries = await _compat.digest_entries(pex)
    files: dict[str, FileEntry] = {}
    for entry in entries:
        directory, name = os.path.split(entry.path)
        if isinstance(entry, FileEntry) and os.path.basename(directory) == ".deps":
            files[name] = entry
    artifacts = await _locked_artifacts(lockfile) if lockfile and files else {}
    tools = await distribution_reader()
    return tuple(
        sorted(
            await _compat.concurrently(
                _read(address, name, entry.file_digest, tools, python, artifacts) for name, entry in files.items()
            ),
            key=lambda packed: packed.wheel.name,
        )
    )


async def _read(
    address: Address, file_name: str, file: FileDigest, tools: Digest, python: SharedPython, artifacts: dict[str, str]
) -> PackedDistribution:
    try:
        wheel = WheelName.parse(file_name)
    except LayerError as error:
        raise TargetError.from_error(address, None, error) from None
    output = await run_builder(
        address,
        f"Describe the distribution {file_name}",
        python,
        tools,
        (DESCRIBE_DISTRIBUTION, _FILE),
        await _compat.create_digest(CreateDigest([FileEntry(_FILE, file)])),
    )
    # A platform tag without a policy is that of a wheel that was built on this machine (PEP 513).
    is_local = any(tag.startswith("linux_") for tag in wheel.platforms)
    project_is_locked = f"{wheel.name}/" in artifacts
    return PackedDistribution(
        PythonDistribution(
            wheel.name,
            wheel.version,
            file_name,
            source=artifacts.get(file_name, ""),
            is_reproducible=file_name in artifacts or not (is_local or project_is_locked),
        ),
        wheel.is_pure,
        file,
        output.stdout,
    )


async def _locked_artifacts(path: str) -> dict[str, str]:
    """Return the wheels of a lockfile of pex: file name -> URL. For each project, there is a key `NAME/`.

    Other formats have no artifacts, so that only the tags of a wheel tell whether the wheel was built here.
    """
    content = await read_optional_file(path)
    if content is None:
        return {}
    lines = content.decode("utf-8", "replace").splitlines()
    try:
        document: Any = json.loads("\n".join(line for line in lines if not line.lstrip().startswith("//")))
        requirements = [
            requirement for resolve in document["locked_resolves"] for requirement in resolve["locked_requirements"]
        ]
        artifacts = {f"{requirement['project_name']}/": "" for requirement in requirements}
        for requirement in requirements:
            for artifact in requirement["artifacts"]:
                url = urlsplit(artifact["url"])
                name = unquote(url.path).rpartition("/")[2]
                if name.endswith(".whl"):
                    # Never the credentials or the query of a URL.
                    location = url.netloc.rpartition("@")[2]
                    artifacts[name] = url._replace(netloc=location, query="", fragment="").geturl()
    except (ValueError, KeyError, TypeError):
        return {}
    return artifacts


def distribution_files(packed: Iterable[PackedDistribution]) -> list[FileEntry]:
    """Return the files of distributions as inputs of a process that builds a layer."""
    return [FileEntry(distribution_path(one), one.file) for one in packed]


def distribution_path(packed: PackedDistribution) -> str:
    """Return the path of a distribution in the sandbox of the process that builds a layer."""
    return f"in/{packed.wheel.name}.zip"
