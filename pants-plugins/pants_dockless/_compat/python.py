"""The rules of Pants' Python backend, which `pants_dockless.python` calls. See `_compat`."""

from packaging.version import Version
from pants.version import PANTS_SEMVER

if Version("2.29.0.dev0") <= PANTS_SEMVER:
    from pants_dockless._compat.python_call_by_name import (
        LOCKFILE_PEX_ARGUMENTS,
        PEX_ARGUMENTS,
        choose_resolve,
        create_pex,
        interpreter_constraints,
        pex_from_targets,
        request_of_pex_binary,
        stripped_sources,
        transitive_targets,
    )
else:
    from pants_dockless._compat.python_get import (
        LOCKFILE_PEX_ARGUMENTS,
        PEX_ARGUMENTS,
        choose_resolve,
        create_pex,
        interpreter_constraints,
        pex_from_targets,
        request_of_pex_binary,
        stripped_sources,
        transitive_targets,
    )

__all__ = [
    "LOCKFILE_PEX_ARGUMENTS",
    "PEX_ARGUMENTS",
    "choose_resolve",
    "create_pex",
    "interpreter_constraints",
    "pex_from_targets",
    "request_of_pex_binary",
    "stripped_sources",
    "transitive_targets",
]
