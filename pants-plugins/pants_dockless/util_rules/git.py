"""Runs git in the build root. The results are never cached: no rule depends on the files of a git repository."""

from typing import Optional

from pants.base.build_environment import get_buildroot
from pants.engine.env_vars import EnvironmentVarsRequest
from pants.engine.process import Process, ProcessCacheScope
from pants.util.logging import LogLevel

from pants_dockless import _compat

_ENV_VARS = ("PATH", "HOME", "XDG_CONFIG_HOME", "GIT_DIR", "GIT_WORK_TREE", "GIT_CEILING_DIRECTORIES")


async def run_git(*arguments: str) -> Optional[bytes]:
    """Return the output of git in the build root, or None if git fails or does not exist."""
    environment = await _compat.environment_vars(EnvironmentVarsRequest(_ENV_VARS))
    result = await _compat.run_local_process(
        Process(
            ("/bin/sh", "-c", 'exec git -C "$0" "$@"', get_buildroot(), *arguments),
            env={**environment, "LC_ALL": "C"},
            description=f"Run git {arguments[0]}",
            level=LogLevel.DEBUG,
            cache_scope=ProcessCacheScope.PER_SESSION,
        )
    )
    return result.stdout if result.exit_code == 0 else None
