"""Builds the layers of a Python application."""

import json
import logging
from collections.abc import Coroutine, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Optional, Union

from pants.backend.python.subsystems.setup import PythonSetup
from pants.core.goals.package import BuiltPackage, PackageFieldSet
from pants.engine.fs import EMPTY_DIGEST, AddPrefix, CreateDigest, Digest, FileContent, MergeDigests
from pants.engine.platform import Platform as HostPlatform
from pants.engine.rules import Rule, collect_rules, rule
from pants.engine.unions import UnionRule
from pants.option.global_options import GlobalOptions
from pants.util.logging import LogLevel

from dockless.errors import DocklessError
from dockless.layer.spec import LayerSpec, Source
from dockless.python_layers.builder import MemberSpec, PythonLayerSpec
from dockless.python_layers.bytecode import Compiler
from dockless.python_layers.grouping import Candidate, GroupingRule, group
from dockless.python_layers.interpreter import Interpreter
from dockless.python_layers.paths import APPLICATION
from dockless.python_layers.venv import entry_command, main_script, venv_layer
from pants_dockless import _compat
from pants_dockless.errors import TargetError, log_warning
from pants_dockless.field_sets import PythonLayersFieldSet
from pants_dockless.python_subsystem import DocklessPython
from pants_dockless.subsystem import Dockless
from pants_dockless.util_rules.interpreter import SharedPython
from pants_dockless.util_rules.layer import BuildContext, list_tree
from pants_dockless.util_rules.layer_process import SPEC, LayerProcess, run_layer_process
from pants_dockless.util_rules.python_application import Application, find_application
from pants_dockless.util_rules.python_checks import check_distributions, modules_of
from pants_dockless.util_rules.python_compiler import find_compiler
from pants_dockless.util_rules.python_distributions import (
    PackedDistribution,
    distribution_files,
    distribution_path,
    read_distributions,
)
from pants_dockless.util_rules.python_image import PythonApplication, PythonLayer
from pants_dockless.util_rules.tools import BUILD_PYTHON_LAYER, python_layer_builder

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Build:
    """What all layers of an application are built with."""

    field_set: PythonLayersFieldSet
    context: BuildContext
    compiler: Optional[Compiler]

    @property
    def compression(self) -> str:
        return self.field_set.compression.value or self.context.default_compression


def _distribution_layers(
    build: _Build,
    packed: Sequence[PackedDistribution],
    omitted: Mapping[str, tuple[str, ...]],
    rule: GroupingRule,
) -> list[Coroutine[Any, Any, PythonLayer]]:
    """Return coroutines that build the layers of third-party distributions."""
    by_name = {one.wheel.name: one for one in packed}
    groups = group(
        (Candidate(one.wheel.name, one.distribution.size, one.is_pure, one.wheel.is_reproducible) for one in packed),
        rule,
    )
    return [_layer_of(build, group.label, [by_name[name] for name in group.names], omitted) for group in groups]


async def _layer_of(
    build: _Build, label: str, packed: Sequence[PackedDistribution], omitted: Mapping[str, tuple[str, ...]]
) -> PythonLayer:
    members = tuple(
        MemberSpec(distribution_path(one), one.wheel.name, omitted.get(one.wheel.name, ())) for one in packed
    )
    spec = PythonLayerSpec(members, LayerSpec(compression=build.compression), build.compiler)
    inputs = await _compat.create_digest(CreateDigest([_spec_file(spec), *distribution_files(packed)]))
    content = label if len(packed) > 1 else f"{packed[0].wheel.name} {packed[0].wheel.version}"
    return await _run(build, content, inputs, label, packed)


async def _venv_layer(build: _Build, interpreter: Interpreter) -> PythonLayer:
    spec = PythonLayerSpec(layer=venv_layer(interpreter, build.compression))
    inputs = await _compat.create_digest(CreateDigest([_spec_file(spec)]))
    return await _run(build, f"the virtual environment of {interpreter.path}", inputs, "virtual environment", ())


async def _application_layer(
    build: _Build, application: Application, local: Sequence[PackedDistribution]
) -> Optional[PythonLayer]:
    """Build the layer with the first-party files that no local distribution provides."""
    listing = await list_tree(application.sources)
    provided = modules_of(local)
    listing = listing._replace(files=tuple(file for file in listing.files if file not in provided), directories=())
    try:
        files = main_script(application.entry_point)
    except DocklessError as error:
        raise TargetError.from_error(build.field_set.address, "python_layers", error) from None
    if not files and not listing.files:
        return None
    source = Source("in", APPLICATION, origin=f"the sources of {build.field_set.address}", listing=listing)
    layer = LayerSpec((source,) if listing.files else (), inline_files=files, compression=build.compression)
    spec = await _compat.create_digest(CreateDigest([_spec_file(PythonLayerSpec((), layer, build.compiler))]))
    tree = await _compat.add_prefix(AddPrefix(application.sources, "in"))
    inputs = await _compat.merge_digests(MergeDigests((spec, tree)))
    return await _run(build, f"the application of {build.field_set.address}", inputs, "application", ())


def _spec_file(spec: PythonLayerSpec) -> FileContent:
    return FileContent(SPEC, json.dumps(spec.to_json(), sort_keys=True).encode())


async def _run(
    build: _Build, content: str, inputs: Digest, label: str, packed: Sequence[PackedDistribution]
) -> PythonLayer:
    process = LayerProcess(
        build.field_set.address,
        build.context.python,
        await python_layer_builder(build.compression),
        inputs,
        build.context.is_deferred,
        content,
        BUILD_PYTHON_LAYER,
    )
    layer = await run_layer_process(process, keep_blob=build.context.keep_blobs)
    for warning in layer.built.warnings:
        log_warning(logger, f"{build.field_set.address}: {warning}")
    return PythonLayer(layer, label, tuple(one.wheel for one in packed))


# The engine finds the requests of functions that are defined before the rule.
@rule(desc="Build Python layers", level=LogLevel.DEBUG)
async def build_python_layers(
    field_set: PythonLayersFieldSet,
    python: SharedPython,
    options: Dockless,
    python_options: DocklessPython,
    python_setup: PythonSetup,
    global_options: GlobalOptions,
    host: HostPlatform,
) -> BuiltPackage:
    """Build the layers of a Python application for one platform, in the environment of the image."""
    grouping = python_options.rule()
    interpreter = Interpreter.parse(field_set.interpreter)
    compiler = await find_compiler(field_set, interpreter, python_options)
    build = _Build(field_set, BuildContext.create(python, options, global_options), compiler)
    application = await find_application(field_set, interpreter, python_setup, host)
    address = field_set.address
    packed = await read_distributions(address, application.distributions.digest, python, application.lockfile)
    local = await read_distributions(address, application.local.digest, python) if application.local else ()
    omitted = await check_distributions(field_set, application, interpreter, packed, local, python_options)
    layers = await _compat.concurrently(
        (
            *_distribution_layers(build, packed, omitted, grouping),
            *([_layer_of(build, "distributions of the repository", local, omitted)] if local else []),
            _venv_layer(build, interpreter),
            _application_layer(build, application, local),
        )
    )
    command: Sequence[str] = ()
    if application.entry_point or application.script:
        command = entry_command(application.entry_point, application.script, application.arguments)
    artifact = PythonApplication(
        None,
        layers=tuple(layer for layer in layers if layer is not None),
        targets=application.targets,
        entrypoint=tuple(command),
        env=application.env,
        has_bytecode=compiler is not None,
    )
    return BuiltPackage(EMPTY_DIGEST, (artifact,))


def rules() -> Iterable[Union[Rule, UnionRule]]:
    """Return the rules of this module."""
    return [*collect_rules(), UnionRule(PackageFieldSet, PythonLayersFieldSet)]
