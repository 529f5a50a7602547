"""A RuleRunner with the rules and targets of the backend."""

import json
import shutil
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Optional

import pytest
from pants.backend.python.goals import package_dists
from pants.base.build_root import BuildRoot
from pants.core.goals import publish
from pants.core.goals.package import BuiltPackage
from pants.core.goals.publish import PublishProcesses
from pants.core.target_types import (
    ArchiveTarget,
    FilesGeneratorTarget,
    FileTarget,
    GenericTarget,
    RelocatedFiles,
    ResourcesGeneratorTarget,
    ResourceTarget,
)
from pants.core.target_types import rules as core_target_types_rules
from pants.core.util_rules import adhoc_binaries, archive, source_files, system_binaries
from pants.engine.addresses import Address
from pants.engine.fs import DigestContents
from pants.engine.internals.parametrize import Parametrize
from pants.engine.internals.scheduler import ExecutionError
from pants.engine.rules import QueryRule
from pants.testutil.rule_runner import RuleRunner

from pants_dockless import _compat, register
from pants_dockless.field_sets import ContainerImageFieldSet, ImageIndexFieldSet, PushImageFieldSet
from pants_dockless.goals.publish import (
    PublishContainerImageRequest,
    PublishImageIndexRequest,
    PublishPushImageRequest,
)

assert package_dists


class Backend(RuleRunner):
    """A RuleRunner with methods to package images."""

    def reset(self) -> None:
        """Remove all files, and forget results and options, so that the next test begins as with a new Backend.

        A new Backend for each test would cost the solution of the rules, and memory and open files until the end of the
        process, because Pants does not release the store of a RuleRunner.
        """
        for path in Path(self.build_root).iterdir():
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            elif path.name != "BUILDROOT":
                # Later releases of Pants find the root by this file.
                path.unlink()
        Path(self.pants_workdir).mkdir(parents=True)
        BuildRoot().path = self.build_root
        self.scheduler.scheduler.invalidate_all()
        self.extra_session_values = {}
        self.set_options([], env_inherit={"PATH"})

    def package(self, address: str, field_set_type=ContainerImageFieldSet) -> BuiltPackage:
        target = self.get_target(_address(address))
        return self.request(BuiltPackage, [field_set_type.create(target)])

    def files(self, package: BuiltPackage) -> dict:
        return {file.path: file.content for file in self.request(DigestContents, [package.digest])}

    def description(self, address: str) -> dict:
        files = self.files(self.package(address))
        (path,) = [path for path in files if path.endswith(".json") and "/blobs/" not in path and "index" not in path]
        return json.loads(files[path])

    def error_line(self, call) -> str:
        """Return the message of the error that `call` raises."""
        with pytest.raises(ExecutionError) as caught:
            call()
        (error,) = caught.value.wrapped_exceptions
        return str(error)


def _address(text: str) -> Address:
    path, name = text.split(":")
    return Address(path, target_name=name)


def _queries_of_newer_pants() -> list:
    if not hasattr(publish, "CheckSkipResult"):
        return []
    from pants_dockless._compat.publish import SkipPushRequest

    return [QueryRule(publish.CheckSkipResult, [SkipPushRequest])]


def _environment_target() -> type:
    """Return the type `local_environment`, whose module depends on the release of Pants."""
    return import_module(_compat.EnvironmentField.__module__).LocalEnvironmentTarget


def make_backend(
    more_rules: Sequence = (), more_target_types: Sequence = (), objects: Optional[Mapping] = None
) -> Backend:
    """Return a Backend with `more_rules`, such as queries for other products, and with `more_target_types`.

    `objects` are available in BUILD files.
    """
    runner = Backend(
        rules=[
            *register.rules(),
            *core_target_types_rules(),
            *adhoc_binaries.rules(),
            *archive.rules(),
            *source_files.rules(),
            *system_binaries.rules(),
            QueryRule(BuiltPackage, [ContainerImageFieldSet]),
            QueryRule(BuiltPackage, [ImageIndexFieldSet]),
            QueryRule(BuiltPackage, [PushImageFieldSet]),
            QueryRule(PublishProcesses, [PublishContainerImageRequest]),
            QueryRule(PublishProcesses, [PublishImageIndexRequest]),
            QueryRule(PublishProcesses, [PublishPushImageRequest]),
            *_queries_of_newer_pants(),
            *more_rules,
        ],
        target_types=[
            *register.target_types(),
            *more_target_types,
            ArchiveTarget,
            FileTarget,
            FilesGeneratorTarget,
            GenericTarget,
            _environment_target(),
            RelocatedFiles,
            ResourceTarget,
            ResourcesGeneratorTarget,
        ],
        objects={"parametrize": Parametrize, **(objects or {})},
    )
    runner.set_options([], env_inherit={"PATH"})
    return runner
