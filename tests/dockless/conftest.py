"""What became of each test: docs/reference-table.md names tests that must pass."""

import re
from collections import defaultdict

import pytest

_NODE = re.compile(r"tests/(?:dockless/)?(?P<file>.+?\.py)::(?:\w+::)*(?P<test>\w+)")
_OUTCOMES = defaultdict(set)


def pytest_runtest_logreport(report):
    found = _NODE.match(report.nodeid)
    if found and (report.when == "call" or report.outcome != "passed"):
        _OUTCOMES[f"{found['file']}::{found['test']}"].add(report.outcome)


def pytest_collection_modifyitems(items):
    # It looks back at the others.
    items.sort(key=lambda item: item.name == "test_the_tests_that_it_names_passed")


@pytest.fixture
def outcomes():
    """`room/test_file.py::test_name` -> what its runs in this session came to: passed, failed, skipped."""
    return _OUTCOMES
