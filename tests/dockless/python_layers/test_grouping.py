"""The rule that assigns distributions to layers."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dockless.errors import InvalidValueError
from dockless.python_layers.grouping import Candidate, GroupingRule, LayerGroup, group

MIB = 1 << 20
names = st.from_regex(r"[a-z][a-z0-9]{0,6}(-[a-z0-9]{1,4})?", fullmatch=True)
candidates = st.lists(
    st.builds(Candidate, names, st.integers(0, 12 * MIB), st.booleans(), st.booleans()),
    unique_by=lambda candidate: candidate.name,
    max_size=30,
)


def test_the_assignment_is_a_literal():
    """The rule is part of the format: another assignment changes the digests of images."""
    assert group(
        [
            Candidate("numpy", 60 * MIB, False),
            Candidate("idna", 300_000, True),
            Candidate("certifi", 4 * MIB, True),
            Candidate("click", 4 * MIB - 1, True),
            Candidate("greenlet", MIB, False),
            Candidate("requests", MIB, True),
            Candidate("urllib3", MIB, True),
            Candidate("local", MIB, True, is_reproducible=False),
        ],
        GroupingRule(),
    ) == (
        LayerGroup("certifi", ("certifi",)),
        LayerGroup("numpy", ("numpy",)),
        LayerGroup("platform 5", ("greenlet",)),
        LayerGroup("pure 4", ("requests",)),
        LayerGroup("pure 5", ("click",)),
        LayerGroup("pure 6", ("idna", "urllib3")),
        LayerGroup("built from sources", ("local",)),
    )


@settings(max_examples=60, deadline=None)
@given(candidates, st.randoms(use_true_random=False))
def test_each_distribution_is_in_one_layer_in_any_order(items, random):
    groups = group(items, GroupingRule())
    assert sorted(name for found in groups for name in found.names) == sorted(item.name for item in items)
    assert all(list(found.names) == sorted(found.names) for found in groups)
    random.shuffle(items)
    assert group(items, GroupingRule()) == groups


@settings(max_examples=60, deadline=None)
@given(candidates, st.integers(0, 29))
def test_one_distribution_changes_one_layer(items, n):
    """Also a distribution that is added: the others keep their layers."""
    before = set(group(items, GroupingRule(budget=100)))
    after = set(group(items[:n] + items[n + 1 :], GroupingRule(budget=100)))
    assert len(before - after) == (n < len(items))
    assert len(after - before) <= 1


@settings(max_examples=30, deadline=None)
@given(st.lists(names, unique=True, min_size=17, max_size=40), st.integers(4, 20))
def test_the_budget_is_kept(all_names, budget):
    items = [Candidate(name, (n + 1) * MIB, n % 2 == 0) for n, name in enumerate(all_names)]
    assert len(group(items, GroupingRule(MIB, 2, budget))) <= budget


@pytest.mark.parametrize(
    ("rule", "problem"),
    [
        (GroupingRule(budget=15), "a budget of 15 layers is too small"),
        (GroupingRule(buckets=0), "0 is not a number of buckets"),
        (GroupingRule(own_layer_size=0), "0 is not a positive number of bytes"),
    ],
)
def test_invalid_rules_are_refused(rule, problem):
    with pytest.raises(InvalidValueError, match=problem):
        group([], rule)
