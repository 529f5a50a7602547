"""Python applications in images: what `build_image` obtains from the backend `pants_dockless.python`."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, Optional

from pants.core.goals.package import (
    BuiltPackageArtifact,
    EnvironmentAwarePackageRequest,
    PackageFieldSet,
)
from pants.engine.addresses import Address
from pants.engine.target import DependenciesRequest
from pants.engine.unions import UnionMembership
from pants.util.frozendict import FrozenDict

from dockless.errors import InvalidValueError
from dockless.mutate.config_edit import ConfigEdit
from dockless.oci.image_documents import ImageDocuments
from dockless.oci.platform import Platform
from dockless.python_layers.interpreter import LABEL, Interpreter, find_interpreter
from dockless.python_layers.venv import venv_environment
from pants_dockless import _compat
from pants_dockless.errors import TargetError
from pants_dockless.field_sets import ContainerImageFieldSet, PythonLayersFieldSet
from pants_dockless.target_types import PythonField
from pants_dockless.util_rules.image_layer import target_of
from pants_dockless.util_rules.layer_process import Layer

# The types of targets whose Python application is in layers by default. This module is used without Pants' Python
# backend, too.
_APPLICATIONS = ("pex_binary", "python_source")


@dataclass(frozen=True)
class PythonDistribution:
    """A distribution in a layer.

    `source` is the URL from which the lockfile says that the wheel is downloaded, or empty if no lockfile names this
    wheel; `is_reproducible` is false if the wheel was built from sources.
    """

    name: str
    version: str
    file_name: str
    source: str = ""
    is_reproducible: bool = True

    def to_json(self) -> dict[str, Any]:
        """Return the distribution as in `image.json`."""
        return {
            "name": self.name,
            "version": self.version,
            "file": self.file_name,
            **({"source": self.source} if self.source else {}),
            **({} if self.is_reproducible else {"built_from_sources": True}),
        }


@dataclass(frozen=True)
class PythonLayer:
    """A layer of a Python application. `content` says what it is for."""

    layer: Layer
    content: str
    distributions: tuple[PythonDistribution, ...] = ()

    @property
    def digest(self) -> str:
        """The digest of the blob."""
        return str(self.layer.built.descriptor.digest)

    def to_json(self) -> dict[str, Any]:
        """Return the description of the layer as in `image.json`."""
        distributions = [distribution.to_json() for distribution in self.distributions]
        return {"content": self.content, **({"distributions": distributions} if distributions else {})}


@dataclass(frozen=True)
class PythonApplication(BuiltPackageArtifact):
    """The layers of a Python application for one platform, from the lowest to the highest.

    targets       the dependencies that are in these layers
    entrypoint    the entrypoint of the application, if it has one
    env           the environment variables that the application sets
    path          the PATH of the base
    has_bytecode  whether the layers contain bytecode
    """

    layers: tuple[PythonLayer, ...] = ()
    targets: tuple[Address, ...] = ()
    entrypoint: tuple[str, ...] = ()
    env: FrozenDict[str, str] = FrozenDict()  # noqa: RUF009
    path: Optional[str] = None
    has_bytecode: bool = False

    @property
    def built_layers(self) -> tuple[Layer, ...]:
        """The layers."""
        return tuple(layer.layer for layer in self.layers)

    def edited(self, edit: ConfigEdit) -> ConfigEdit:
        """Return `edit` with the defaults of the application."""
        if not self.layers:
            return edit
        env = {**venv_environment(self.path, has_bytecode=self.has_bytecode), **self.env}
        # In an edit, a dollar sign stands for a value of the base.
        defaults = {name: value.replace("$", r"\$") for name, value in env.items()}
        edit = edit._replace(env={**defaults, **(edit.env or {})})
        if edit.entrypoint is None and self.entrypoint:
            edit = edit._replace(entrypoint=self.entrypoint)
        return edit


async def _has_application(field_set: ContainerImageFieldSet, is_enabled: bool) -> bool:
    """Return whether the image has layers of a Python application. The default depends on the backend."""
    if field_set.python_layers.value is not None or not is_enabled:
        return bool(field_set.python_layers.value)
    targets = await _compat.resolve_dependencies(DependenciesRequest(field_set.dependencies))
    return any(target.alias in _APPLICATIONS for target in targets)


async def find_applications(
    field_set: ContainerImageFieldSet,
    platforms: tuple[Platform, ...],
    bases: tuple[Optional[ImageDocuments], ...],
    union_membership: UnionMembership,
) -> tuple[PythonApplication, ...]:
    """Return the Python application of an image for each platform. Those of other images have no layers.

    Raises TargetError.
    """
    members: Iterable[type] = union_membership.get(PackageFieldSet)
    is_enabled = PythonLayersFieldSet in members
    if not await _has_application(field_set, is_enabled):
        if field_set.python.value is not None:
            raise TargetError(
                field_set.address,
                field_set.python.alias,
                "the field has no effect, because the image has no layers of a Python application",
                hint="add a pex_binary to `dependencies` and python_layers=True, or remove the field",
            )
        return (PythonApplication(None),) * len(platforms)
    if not is_enabled:
        raise TargetError(
            field_set.address,
            field_set.python_layers.alias,
            "the backend `pants_dockless.python` is not enabled",
            hint='add "pants.backend.python" and "pants_dockless.python" to [GLOBAL].backend_packages',
        )
    target = await target_of(field_set)
    requests = []
    for platform, base in zip(platforms, bases):
        interpreter = _interpreter(field_set.address, field_set.python, platform, base)
        request = PythonLayersFieldSet.create(target)
        requests.append(replace(request, platform=str(platform), interpreter=interpreter.path))
    packages = await _compat.concurrently(
        _compat.build_package(EnvironmentAwarePackageRequest(request)) for request in requests
    )
    applications = []
    for package, base in zip(packages, bases):
        (application,) = package.artifacts
        assert isinstance(application, PythonApplication)
        applications.append(replace(application, path=base.config.env.get("PATH") if base else None))
    return tuple(applications)


def _interpreter(
    address: Address, field: PythonField, platform: Platform, base: Optional[ImageDocuments]
) -> Interpreter:
    """Return the interpreter that the field or the config of the base names. Raises TargetError."""
    try:
        if field.value is not None:
            return Interpreter.parse(field.value)
        if base is not None:
            config = base.config.document.get("config") or {}
            found = find_interpreter(config.get("Labels") or {}, base.config.env, config.get("Entrypoint") or ())
            if found is not None:
                return found
    except InvalidValueError as error:
        if field.value is not None:
            raise TargetError.from_error(address, field.alias, error) from None
        raise TargetError(
            address, field.alias, f"the label `{LABEL}` of the base: {error.problem}", hint=error.hint
        ) from None
    raise TargetError(
        address,
        field.alias,
        f"the config of the base for {platform} does not name an interpreter" if base else "the image has no base",
        hint="write the absolute path of CPython in the base with the minor version, such as "
        'python="/usr/bin/python3.11", or python_layers=False for a PEX file in one layer',
    )
