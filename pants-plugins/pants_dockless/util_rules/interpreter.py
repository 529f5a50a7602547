"""The interpreter of cached processes, under a name that is the same on every machine.

Pants' own `PythonBuildStandaloneBinary` is the absolute path of the interpreter that runs Pants. In the arguments of a
process it would make the cache key depend on the checkout and the user.
"""

import os
import sys
import sysconfig
from dataclasses import dataclass

from pants.core.util_rules.adhoc_binaries import PythonBuildStandaloneBinary
from pants.engine.fs import FileContent
from pants.engine.process import Process, ProcessCacheScope
from pants.engine.rules import collect_rules, rule
from pants.util.frozendict import FrozenDict
from pants.util.logging import LogLevel

from pants_dockless import _compat

TOOLS = "__dockless"
_LAUNCHER = "python.sh"
_CACHE = FrozenDict({"dockless_python": ".dockless-python"})
_VERSION = f"{sys.version_info[0]}.{sys.version_info[1]}"
# Compiled packages are inputs of the processes: they fit one version of CPython on one platform.
_LINK = f".dockless-python/{sys.implementation.cache_tag}-{sysconfig.get_platform()}/python"

# The link is replaced atomically, because other runs of Pants share it.
_MAKE_LINK = """
if [ -x "$1" ] && [ "$(readlink "$2")" != "$1" ]; then
  mkdir -p "${2%/*}" && rm -f "$2.$$" && ln -s "$1" "$2.$$" && mv -f "$2.$$" "$2"
fi
"""

# A remote worker may never have run the process that makes the link.
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
    """How cached processes run CPython: the first arguments, and the named caches that these refer to.

    `argv` refers to files of the tree that is mounted at `TOOLS`; `launcher` is one of them.
    """

    argv: tuple[str, ...]
    append_only_caches: FrozenDict[str, str]


def launcher() -> FileContent:
    """Return the script that `SharedPython.argv` starts, for the tree at `TOOLS`."""
    return FileContent(_LAUNCHER, _LAUNCH.encode())


@rule(desc="Find the interpreter of cached processes", level=LogLevel.DEBUG)
async def share_python(python: PythonBuildStandaloneBinary) -> SharedPython:
    if not os.path.isabs(python.path):
        # In a Docker or remote environment Pants installs an interpreter under a relative path.
        return SharedPython((python.path,), PythonBuildStandaloneBinary.APPEND_ONLY_CACHES)
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
    return SharedPython(("/bin/sh", f"{TOOLS}/{_LAUNCHER}"), _CACHE)


def rules() -> list:
    return [*collect_rules()]
