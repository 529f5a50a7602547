"""The one room that knows the generation of Pants' rule API.

Rules are written once, over plain async helpers of this module: `await engine.run_process(...)`. Two modules provide
them, with equal names and signatures. By version and not by which import works: an unrelated ImportError would choose
the wrong half silently.
"""

from typing import Any

from packaging.version import Version
from pants.version import PANTS_SEMVER

# 2.29 is the first release that has every rule called here by name; 2.32 is the first without `Get`.
if Version("2.29.0.dev0") <= PANTS_SEMVER:
    from pants_dockless._compat.call_by_name import (
        add_prefix,
        build_package,
        concurrently,
        create_digest,
        digest_contents,
        digest_entries,
        environment_vars,
        field_sets_per_target,
        hydrate_sources,
        merge_digests,
        path_globs,
        resolve_dependencies,
        resolve_targets,
        run_process,
        snapshot,
    )
else:
    from pants_dockless._compat.get import (
        add_prefix,
        build_package,
        concurrently,
        create_digest,
        digest_contents,
        digest_entries,
        environment_vars,
        field_sets_per_target,
        hydrate_sources,
        merge_digests,
        path_globs,
        resolve_dependencies,
        resolve_targets,
        run_process,
        snapshot,
    )

# 2.32 is the first release that asks whether to publish a target before it packages it.
if Version("2.32.0.dev0") <= PANTS_SEMVER:
    from pants_dockless._compat.skip_publish import skip_publish_request, skip_publish_rules
else:

    def skip_publish_request(publish_field_set: Any, package_field_set: Any) -> Any:
        """Not asked for by this release."""
        return None

    def skip_publish_rules() -> list:
        return []


__all__ = [
    "add_prefix",
    "build_package",
    "concurrently",
    "create_digest",
    "digest_contents",
    "digest_entries",
    "environment_vars",
    "field_sets_per_target",
    "hydrate_sources",
    "merge_digests",
    "path_globs",
    "resolve_dependencies",
    "resolve_targets",
    "run_process",
    "skip_publish_request",
    "skip_publish_rules",
    "snapshot",
]
