"""Compatibility layer over the two generations of the Pants rule API: `Get` and call-by-name.

Rules call the coroutine functions of this module, as in `await _compat.run_process(process)`. Two modules implement
them, with the same names and signatures. The version of Pants selects the module. Catching ImportError instead would
select the wrong module without notice when an import fails for another reason.

Everything that depends on the version of Pants, or that Pants defines in `pants.engine.internals`, is in this package.
"""

from collections.abc import Iterable
from typing import Any, Union

from packaging.version import Version
from pants.core.goals.package import PackageFieldSet
from pants.core.goals.test import ShowOutput, TestResult
from pants.engine.addresses import Address
from pants.engine.internals.native_engine import ProcessExecutionEnvironment
from pants.engine.internals.session import RunId
from pants.engine.process import FallibleProcessResult
from pants.engine.rules import Rule
from pants.engine.unions import UnionRule
from pants.version import PANTS_SEMVER

# In 2.27 and earlier, the module has another name.
if Version("2.28.0.dev2") <= PANTS_SEMVER:
    from pants.core.environments.target_types import EnvironmentField  # type: ignore[import-not-found]
else:
    from pants.core.util_rules.environments import EnvironmentField

# In 2.29 and later, every rule that is used here can be called by name. In 2.32 and later, `Get` does not exist.
if Version("2.29.0.dev0") <= PANTS_SEMVER:
    from pants_dockless._compat.call_by_name import (
        add_prefix,
        addresses_of_specs,
        build_package,
        concurrently,
        create_digest,
        digest_contents,
        digest_entries,
        environment_vars,
        field_sets_of_roots,
        field_sets_per_target,
        hydrate_sources,
        is_requested,
        merge_digests,
        path_globs,
        plugin_image_tags,
        resolve_dependencies,
        resolve_targets,
        run_interactive,
        run_local_process,
        run_process,
        run_process_in,
        snapshot,
    )
else:
    from pants_dockless._compat.get import (
        add_prefix,
        addresses_of_specs,
        build_package,
        concurrently,
        create_digest,
        digest_contents,
        digest_entries,
        environment_vars,
        field_sets_of_roots,
        field_sets_per_target,
        hydrate_sources,
        is_requested,
        merge_digests,
        path_globs,
        plugin_image_tags,
        resolve_dependencies,
        resolve_targets,
        run_interactive,
        run_local_process,
        run_process,
        run_process_in,
        snapshot,
    )

if Version("2.29.0.dev0") <= PANTS_SEMVER:
    from pants_dockless._compat.image_tags import image_tags_rules
else:

    def image_tags_rules() -> Iterable[Union[Rule, UnionRule]]:
        """Return no rules: a request with `Get` needs none."""
        return []


def test_result(result: FallibleProcessResult, address: Address, output: ShowOutput) -> TestResult:
    """Return the result of a test from that of its process. Newer releases expect one result for each attempt."""
    results: Any = (result,) if "process_results" in TestResult.__dataclass_fields__ else result
    return TestResult.from_fallible_process_result(results, address, output)


# Whether the goal `publish` accepts processes that it runs concurrently, in the background.
PUBLISH_RUNS_BACKGROUND_PROCESSES = Version("2.32.0.dev0") <= PANTS_SEMVER

# Pants 2.32 and later request whether to skip a target before they package the target.
if Version("2.32.0.dev0") <= PANTS_SEMVER:
    from pants_dockless._compat.publish import skip_publish_request, skip_publish_rules
else:

    def skip_publish_request(publish_field_set: Any, package_field_set: PackageFieldSet) -> Any:
        """Return None, because this release has no such request."""
        return None

    def skip_publish_rules() -> Iterable[Union[Rule, UnionRule]]:
        """Return no rules."""
        return []


__all__ = [
    "PUBLISH_RUNS_BACKGROUND_PROCESSES",
    "EnvironmentField",
    "ProcessExecutionEnvironment",
    "RunId",
    "add_prefix",
    "addresses_of_specs",
    "build_package",
    "concurrently",
    "create_digest",
    "digest_contents",
    "digest_entries",
    "environment_vars",
    "field_sets_of_roots",
    "field_sets_per_target",
    "hydrate_sources",
    "image_tags_rules",
    "is_requested",
    "merge_digests",
    "path_globs",
    "plugin_image_tags",
    "resolve_dependencies",
    "resolve_targets",
    "run_interactive",
    "run_local_process",
    "run_process",
    "run_process_in",
    "skip_publish_request",
    "skip_publish_rules",
    "snapshot",
    "test_result",
]
