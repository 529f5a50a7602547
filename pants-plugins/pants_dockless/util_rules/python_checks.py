"""Checks of the distributions of an application, before a layer is built."""

import logging
from collections.abc import Iterable, Sequence

from dockless.errors import DocklessError
from dockless.oci.platform import Platform
from dockless.python_layers.distribution import Distribution
from dockless.python_layers.interpreter import Interpreter, check_wheel
from dockless.python_layers.ownership import hidden_modules, omitted_files
from dockless.python_layers.paths import ROOT, SITE_PACKAGES
from pants_dockless import _compat
from pants_dockless.errors import TargetError, log_warning
from pants_dockless.field_sets import PythonLayersFieldSet
from pants_dockless.python_subsystem import DocklessPython
from pants_dockless.util_rules.python_application import Application
from pants_dockless.util_rules.python_distributions import PackedDistribution

logger = logging.getLogger(__name__)


async def check_distributions(
    field_set: PythonLayersFieldSet,
    application: Application,
    interpreter: Interpreter,
    packed: Sequence[PackedDistribution],
    local: Sequence[PackedDistribution],
    options: DocklessPython,
) -> dict[str, tuple[str, ...]]:
    """Check the distributions before a layer is built, and return the files that they do not provide.

    `local` are those of the repository. Raises TargetError.
    """
    address = field_set.address
    packed = (*packed, *local)
    names = [one.wheel.name for one in packed]
    duplicate = next((name for name in names if names.count(name) > 1), None)
    if duplicate:
        raise TargetError(
            address,
            field_set.dependencies.alias,
            f"the application has several distributions of {duplicate}",
            cause=", ".join(one.wheel.file_name for one in packed if one.wheel.name == duplicate),
            hint="a python_distribution of the repository must not have the name of a requirement",
        )
    built = [one.wheel.file_name for one in packed if not one.wheel.is_reproducible]
    if built and not options.allow_built_distributions:
        raise TargetError(
            address,
            "[dockless-python].allow_built_distributions",
            f"the application has distributions that are built from sources: {', '.join(built)}",
            hint="use versions that have wheels for this platform, or publish wheels of your own",
        )
    if built:
        log_warning(
            logger,
            f"{address}: the distributions {', '.join(built)} are built from sources: their bytes, and the digest of "
            "the image, may differ between builds. They have a layer of their own",
        )
    distributions = [one.distribution for one in packed]
    if application.script and not any(
        file.path == f"bin/{application.script}" for distribution in distributions for file in distribution.files
    ):
        raise TargetError(
            address,
            "python_layers",
            f"no distribution of the application has the script {application.script!r} of the pex_binary",
            hint="add the requirement with the script to the dependencies of the pex_binary",
        )
    try:
        for one in packed:
            check_wheel(one.wheel.file_name, interpreter, Platform.parse(field_set.platform))
    except DocklessError as error:
        raise TargetError.from_error(address, field_set.python.alias, error) from None
    sources = await _compat.snapshot(application.sources)
    provided = modules_of(local)
    for warning in hidden_modules((file for file in sources.files if file not in provided), distributions):
        log_warning(logger, f"{address}: {warning}")
    return _omitted(field_set, distributions)


def modules_of(packed: Iterable[PackedDistribution]) -> frozenset[str]:
    """Return the paths of the files of distributions in site-packages, relative to this directory."""
    files = (file.path for one in packed for file in one.distribution.files)
    return frozenset(path[len(SITE_PACKAGES) + 1 :] for path in files if path.startswith(f"{SITE_PACKAGES}/"))


def _omitted(field_set: PythonLayersFieldSet, distributions: Sequence[Distribution]) -> dict[str, tuple[str, ...]]:
    field = field_set.python_file_owners
    owners: dict[str, str] = {}
    for path, owner in (field.value or {}).items():
        if not path.startswith(f"{ROOT}/"):
            raise TargetError(field_set.address, field.alias, f"the path {path!r} is not below {ROOT}")
        owners[path[len(ROOT) + 1 :]] = owner
    try:
        return omitted_files(distributions, owners)
    except DocklessError as error:
        raise TargetError.from_error(field_set.address, field.alias, error) from None
