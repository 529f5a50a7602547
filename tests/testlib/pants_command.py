"""Which Pants the integration tests run: the one of `./pants`, or another that DOCKLESS_TEST_PANTS names."""

import hashlib
import json
import os
import re
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from itertools import chain
from pathlib import Path

from locks import locked

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).resolve().parents[2]
VARIABLE = "DOCKLESS_TEST_PANTS"
_PEX_CLI = "pex-cli"


def pants_command() -> tuple[str, ...]:
    """Returns the command that runs Pants in the current directory."""
    other = shlex.split(os.environ.get(VARIABLE, ""))
    return tuple(other) or (str(ROOT / ".venv/bin/pants"),)


def is_another_pants() -> bool:
    return bool(os.environ.get(VARIABLE))


def pants_settings(directory: Path, env: Mapping[str, str], *, default_pex: bool = False) -> dict[str, str]:
    """Returns the environment variables of settings that the tests add to those of a repository.

    Pants uses a local pex command instead of a download: the version that pants.2.17.toml names or, with `default_pex`
    and for another Pants, the version that Pants was released with. Another Pants has the packages that Dockless needs
    installed as plugins: `.venv` has them already. Files are written to `directory`.
    """
    another_version = _wanted_pex(directory, env) if is_another_pants() else ""
    version = another_version or (_default_pex() if default_pex else _pinned_pex())
    pex = _pex(version)
    data = pex.read_bytes()
    plugins = f"[GLOBAL]\nplugins = {json.dumps(dockless_packages())}\n" if is_another_pants() else ""
    config = directory / "pants.toml"
    config.write_text(f'{plugins}[python-bootstrap]\nsearch_path = ["{Path(sys.base_prefix) / "bin"}"]\n')
    known = f"v{version}|linux_x86_64|{hashlib.sha256(data).hexdigest()}|{len(data)}"
    return {
        "PANTS_CONFIG_FILES": str(config),
        "PANTS_PEX_CLI_VERSION": f"v{version}",
        "PANTS_PEX_CLI_URL_TEMPLATE": f"file://{pex}",
        "PANTS_PEX_CLI_KNOWN_VERSIONS": json.dumps([known]),
    }


def _default_pex() -> str:
    """Returns the version of pex that Pants 2.17.1 was released with."""
    found = re.search("pex==([^ ;]+)", (ROOT / "requirements/pants.txt").read_text())
    assert found
    return found[1]


def _pinned_pex() -> str:
    """Returns the version of pex that builds this repository with `./pants`."""
    return tomllib.loads((ROOT / "pants.2.17.toml").read_text())[_PEX_CLI]["version"].lstrip("v")


def _wanted_pex(directory: Path, env: Mapping[str, str]) -> str:
    """Returns the version of pex that this Pants was released with, from its help."""
    empty = directory / "empty"
    empty.mkdir()
    (empty / "pants.toml").write_text("[GLOBAL]\n")
    command = [*pants_command(), "--no-pantsd", "--backend-packages=pants.backend.python", "help-all"]
    result = subprocess.run(command, cwd=empty, env=env, stdin=subprocess.DEVNULL, capture_output=True, timeout=600)
    if result.returncode:
        raise AssertionError(f"{VARIABLE}: {shlex.join(command)} failed: {result.stderr.decode(errors='replace')}")
    scope = json.loads(result.stdout)["scope_to_help_info"][_PEX_CLI]
    (version,) = [o["default"] for o in (*scope["basic"], *scope["advanced"]) if o["config_key"] == "version"]
    return version.lstrip("v")


def _pex(version: str) -> Path:
    """Returns the path of pex as one executable file, made once for each version."""
    pex = ROOT / f".cache/pex/pex-{version}"
    pex.parent.mkdir(parents=True, exist_ok=True)
    with locked(pex.parent), tempfile.TemporaryDirectory(dir=pex.parent) as directory:
        if pex.exists():
            return pex
        site = f"{directory}/site"
        install = ["pip", "--disable-pip-version-check", "install", "--quiet", "--target", site, f"pex=={version}"]
        subprocess.run([sys.executable, "-m", *install], check=True)
        pack = ["pex", f"pex=={version}", "-c", "pex", "--python-shebang", "/usr/bin/env python3", "--venv"]
        subprocess.run(
            [sys.executable, "-m", *pack, "-o", f"{directory}/pex"], env={**os.environ, "PYTHONPATH": site}, check=True
        )
        os.replace(f"{directory}/pex", pex)
    return pex


def dockless_packages() -> list[str]:
    """Returns the requirements of Dockless in pyproject.toml, with all extras."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return [*project["dependencies"], *chain.from_iterable(project["optional-dependencies"].values())]


def registries_option(host: str) -> str:
    """Returns the option of Pants that makes `host` the default registry."""
    return f'--dockless-registries={{"test": {{"address": "{host}", "default": True}}}}'
