"""Which distribution provides each path: conflicts of distributions, and application modules that are hidden.

Without these checks, the order of the layers would decide without notice.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from dockless.errors import LayerError
from dockless.python_layers.distribution import Distribution, DistributionFile, normalized_name
from dockless.python_layers.paths import SITE_PACKAGES

_MODULE_SUFFIXES = (".py", ".so", ".pyd")


def omitted_files(distributions: Iterable[Distribution], owners: Mapping[str, str]) -> dict[str, tuple[str, ...]]:
    """Return the paths that distributions do not provide, because `owners` gives them to another distribution.

    `owners` maps paths relative to the virtual environment, or with a trailing slash directories, to the name of the
    distribution that provides them. Raises LayerError if two distributions have different files for one path and
    `owners` has no owner for the path, and for an owner that has no effect.
    """
    unused = set(owners)
    providers: dict[str, list[tuple[str, DistributionFile]]] = {}
    directories: dict[str, str] = {}
    for distribution in sorted(distributions):
        for file in distribution.files:
            providers.setdefault(file.path, []).append((distribution.name, file))
            parent = file.path.rpartition("/")[0]
            while parent and parent not in directories:
                directories[parent] = distribution.name
                parent = parent.rpartition("/")[0]
    omitted: dict[str, list[str]] = {}
    for path, files in sorted(providers.items()):
        (name, file), *others = files
        if path in directories:
            raise LayerError(
                f"/opt/venv/{path} is a file of the distribution {name} and a directory of {directories[path]}"
            )
        other = next((provider for provider, other in others if other != file), None)
        if other is None:
            continue
        owner = _owner(path, owners, unused)
        provided = dict(files).get(owner)
        if provided is None:
            raise LayerError(
                f"the distributions {name} and {other} have different files at /opt/venv/{path}",
                hint=f'name the distribution that provides the file: {{"/opt/venv/{path}": "{name}"}}',
            )
        for provider, file in files:
            if file != provided:
                omitted.setdefault(provider, []).append(path)
    for path in sorted(unused):
        raise LayerError(f"no two distributions have different files at /opt/venv/{path}", hint="remove the entry")
    return {name: tuple(paths) for name, paths in sorted(omitted.items())}


def _owner(path: str, owners: Mapping[str, str], unused: set[str]) -> str:
    """Return the owner in `owners` with the longest matching path, or an empty string."""
    matching = [key for key in owners if key == path or (key.endswith("/") and path.startswith(key))]
    if not matching:
        return ""
    key = max(matching, key=len)
    unused.discard(key)
    return normalized_name(owners[key])


def hidden_modules(application: Iterable[str], distributions: Iterable[Distribution]) -> list[str]:
    """Return a warning for each top-level module of the application that a distribution hides.

    `application` has the paths of the application's files, relative to the directory of the application. site-packages
    precedes this directory in `sys.path`. Directories without `__init__.py` in both are a namespace package.
    """
    own = _top_level(application)
    warnings = []
    for distribution in sorted(distributions):
        prefix = f"{SITE_PACKAGES}/"
        paths = (file.path[len(prefix) :] for file in distribution.files if file.path.startswith(prefix))
        for module, is_package in sorted(_top_level(paths).items()):
            if module in own and (is_package or own[module]):
                warnings.append(
                    f"the application and the distribution {distribution.name} both have a top-level module "
                    f"{module!r}: the module of the distribution is imported; rename the module of the application"
                    if is_package
                    else f"the module {module!r} of the application hides the namespace package of the distribution "
                    f"{distribution.name}; rename the module of the application"
                )
    return warnings


def _top_level(paths: Iterable[str]) -> dict[str, bool]:
    """Return the top-level modules of paths: name -> whether it is a module or a package with `__init__.py`."""
    modules: dict[str, bool] = {}
    for path in paths:
        top, slash, rest = path.partition("/")
        if slash:
            if top.isidentifier() and path.endswith(_MODULE_SUFFIXES):
                is_package = rest.partition(".")[0] == "__init__" and "/" not in rest
                modules[top] = modules.get(top, False) or is_package
        elif path.endswith(_MODULE_SUFFIXES):
            modules[path.partition(".")[0]] = True
    return modules
