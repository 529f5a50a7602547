"""The rule that assigns distributions to layers.

The layer of a distribution depends on its own name, size and tags, not on the other distributions of an image.
Therefore images with some distributions in common have layers in common, and a new version changes one layer. Only an
image with more layers than the budget is an exception.

The constants are part of the format of images: another value changes the digests of images with Python layers.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import NamedTuple

from dockless._units import format_count
from dockless.errors import InvalidValueError

# The version of the rule. A change of the rule needs another number and a line under Digests in CHANGELOG.md.
RULE_VERSION = 1


class GroupingRule(NamedTuple):
    """The parameters of the rule.

    own_layer_size  a distribution with this many bytes, unpacked, has a layer of its own
    buckets         the number of layers for other pure distributions, and for other platform-specific ones
    budget          the maximum number of layers; if it is exceeded, `own_layer_size` is doubled
    """

    own_layer_size: int = 4 << 20
    buckets: int = 8
    budget: int = 40

    def check(self) -> None:
        """Raise InvalidValueError for values that no set of distributions can satisfy."""
        if self.own_layer_size < 1:
            raise InvalidValueError(f"{self.own_layer_size} is not a positive number of bytes", field="own_layer_size")
        if not 1 <= self.buckets <= 64:
            raise InvalidValueError(f"{self.buckets} is not a number of buckets", hint="write 1 to 64", field="buckets")
        if self.budget < 2 * self.buckets:
            raise InvalidValueError(
                f"a budget of {format_count(self.budget, 'layer')} is too small",
                cause=f"there may be {2 * self.buckets} buckets: pure and platform-specific distributions are apart",
                hint=f"write at least {2 * self.buckets}",
                field="budget",
            )


class Candidate(NamedTuple):
    """A distribution to assign to a layer.

    `size` is the sum of its normalized files in bytes, without bytecode. `is_reproducible` is false for a distribution
    that was built from sources on this machine.
    """

    name: str
    size: int
    is_pure: bool
    is_reproducible: bool = True


class LayerGroup(NamedTuple):
    """The distributions of a layer, sorted by name."""

    label: str
    names: tuple[str, ...]


def group(candidates: Iterable[Candidate], rule: GroupingRule) -> tuple[LayerGroup, ...]:
    """Return the layers of distributions, from the lowest to the highest. Raises InvalidValueError.

    The order is: distributions with their own layer by name, platform-specific buckets, pure buckets, distributions
    that were built on this machine.
    """
    rule.check()
    candidates = sorted(candidates)
    shared = [candidate for candidate in candidates if candidate.is_reproducible]
    built = tuple(candidate.name for candidate in candidates if not candidate.is_reproducible)
    limit = rule.own_layer_size
    groups = _groups(shared, limit, rule.buckets)
    while len(groups) > rule.budget:
        limit *= 2
        groups = _groups(shared, limit, rule.buckets)
    return (*groups, LayerGroup("built from sources", built)) if built else groups


def _groups(candidates: Iterable[Candidate], limit: int, buckets: int) -> tuple[LayerGroup, ...]:
    members: dict[tuple[int, str, int], list[str]] = {}
    for candidate in candidates:
        key = (0, candidate.name, 0) if candidate.size >= limit else _bucket(candidate, buckets)
        members.setdefault(key, []).append(candidate.name)
    return tuple(
        LayerGroup(f"{label} {number}" if rank else label, tuple(names))
        for (rank, label, number), names in sorted(members.items())
    )


def _bucket(candidate: Candidate, buckets: int) -> tuple[int, str, int]:
    number = hashlib.sha256(candidate.name.encode()).digest()[0] % buckets
    return (2, "pure", number) if candidate.is_pure else (1, "platform", number)
