"""The interpreter of cached processes, with a path that is the same on every machine.

On this machine, `PythonBuildStandaloneBinary` of Pants has the absolute path of the interpreter that runs Pants. In the
arguments of a process, this path would make the cache key depend on the machine and the user.
"""

import os
import sys
import sysconfig
from collections.abc import Iterable
from dataclasses import dataclass

from pants.core.util_rules.adhoc_binaries import PythonBuildStandaloneBinary
from pants.engine.fs import FileContent
from pants.engine.process import Process, ProcessCacheScope
from pants.engine.rules import Rule, collect_rules, rule
from pants.util.frozendict import FrozenDict
from pants.util.logging import LogLevel

from pants_dockless import _compat

TOOLS = "__dockless"
_LAUNCHER = "python.sh"
_CACHE = FrozenDict({"dockless_python": ".dockless-python"})
_VERSION = f"{sys.version_info[0]}.{sys.version_info[1]}"
# Compiled packages are inputs of the processes, and require one version of CPython on one platform.
_LINK = f".dockless-python/{sys.implementation.cache_tag}-{sysconfig.get_platform()}/python"

# The link is replaced atomically, because several runs of Pants may use it at the same time.
_MAKE_LINK = """
if [ -x "$1" ] && [ "$(readlink "$2")" != "$1" ]; then
  mkdir -p "${2%/*}" && rm -f "$2.$$" && ln -s "$1" "$2.$$" && mv -f "$2.$$" "$2"
fi
"""

# The process that creates the link may not have run on a remote worker.
_LAUNCH = f"""#!/bin/sh
if [ -x {_LINK} ]; then
  exec {_LINK} "$@"
fi
PATH="${{PATH:-/usr/local/bin:/usr/bin:/bin}}"
if command -v python{_VERSION} >/dev/null; then
  exec python{_VERSION} "$@"
fi
echo "error: no CPython {_VERSION} on this worker: install python{_VERSION} in a directory of PATH" >&2
exit 1
"""


@dataclass(frozen=True)
class SharedPython:
    """The first arguments of cached processes that run CPython, and the named caches that these arguments refer to.

    `argv` refers to the file that `launcher` returns, in the tree at the path `TOOLS`. `environment` is the environment
    that has this interpreter. The processes run there, also when a rule in another environment starts them.
    """

    argv: tuple[str, ...]
    append_only_caches: FrozenDict[str, str]
    environment: _compat.ProcessExecutionEnvironment


def launcher() -> FileContent:
    """Return the shell script that `SharedPython.argv` runs."""
    return FileContent(_LAUNCHER, _LAUNCH.encode())


@rule(desc="Find the interpreter of cached processes", level=LogLevel.DEBUG)
async def share_python(
    python: PythonBuildStandaloneBinary, environment: _compat.ProcessExecutionEnvironment
) -> SharedPython:
    """Create a link to the interpreter at a path that does not depend on the machine."""
    if python.path != sys.executable:
        # In a Docker or remote environment, Pants installs an interpreter. Its path is relative, or absolute in later
        # releases of Pants, and does not depend on this machine.
        return SharedPython((python.path,), PythonBuildStandaloneBinary.APPEND_ONLY_CACHES, environment)
    await _compat.run_process(
        Process(
            argv=("/bin/sh", "-c", _MAKE_LINK, "sh", os.path.realpath(python.path), _LINK),
            env={"PATH": "/usr/local/bin:/usr/bin:/bin"},
            append_only_caches=_CACHE,
            description="Link the interpreter of cached processes",
            cache_scope=ProcessCacheScope.PER_SESSION,
            level=LogLevel.DEBUG,
        )
    )
    return SharedPython(("/bin/sh", f"{TOOLS}/{_LAUNCHER}"), _CACHE, environment)


def rules() -> Iterable[Rule]:
    """Return the rules of this module."""
    return collect_rules()
