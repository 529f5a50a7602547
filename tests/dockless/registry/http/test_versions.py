"""The tests run with the versions that pyproject.toml allows for requests, urllib3 and google-auth."""

import os
import re
from importlib.metadata import version
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[4]
PACKAGES = ("google-auth", "requests", "urllib3")


def lower_bound(package):
    found = re.search(rf'^  "{package}>=([0-9.]+),<[0-9]+",$', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    return found[1]


@pytest.mark.parametrize("package", PACKAGES)
def test_the_oldest_versions_are_the_lower_bounds(package):
    pinned = re.search(rf"^{package}==([0-9.]+)", (ROOT / "requirements/http-oldest.txt").read_text(), re.MULTILINE)
    assert as_numbers(pinned[1]) == as_numbers(lower_bound(package))


@pytest.mark.parametrize("package", PACKAGES)
def test_the_version_that_this_run_is_meant_for_is_installed(package):
    if "EXPECT_OLDEST_HTTP" in os.environ:
        assert as_numbers(version(package)) == as_numbers(lower_bound(package))
    else:
        assert as_numbers(version(package)) >= as_numbers(lower_bound(package))


def as_numbers(text):
    """Return a version as numbers: `2.2` and `2.2.0` are equal."""
    numbers = [int(part) for part in text.split(".")]
    return numbers + [0] * (3 - len(numbers))
