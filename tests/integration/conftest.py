"""Real Pants, real registries, real runtimes: each is gone when its test is."""

import shlex
from functools import partial

import pytest
from pants_command import VARIABLE, is_another_pants, pants_command
from real_tools import Checkout, DockerRegistry, containers_storage, need, run

MEASURED = pytest.StashKey[list]()


@pytest.fixture(scope="session")
def measured(request):
    """Adds a line to those that are printed after the tests: measured("what: numbers")."""
    return request.config.stash.setdefault(MEASURED, []).append


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    lines = item.config.stash.get(MEASURED, [])
    # A report also comes back from a worker of pytest-xdist.
    report.user_properties += [("measured", line) for line in lines]
    lines.clear()
    return report


def pytest_terminal_summary(terminalreporter):
    reports = [report for reports in terminalreporter.stats.values() for report in reports]
    properties = [found for report in reports for found in getattr(report, "user_properties", ())]
    lines = [value for name, value in properties if name == "measured"]
    if lines:
        terminalreporter.section("measured")
    for line in lines:
        terminalreporter.write_line(line)


def pytest_report_header():
    named = f" (named by {VARIABLE})" if is_another_pants() else ""
    return f"integration tests run Pants by: {shlex.join(pants_command())}{named}"


@pytest.fixture
def docker_registry(tmp_path):
    folder = tmp_path / "docker-registry"
    folder.mkdir()
    registry = DockerRegistry(folder)
    yield registry
    registry.stop()


@pytest.fixture
def locked_registry(tmp_path):
    """A docker-registry that asks for alice's password."""
    need("htpasswd")
    folder = tmp_path / "locked-registry"
    folder.mkdir()
    run("htpasswd", "-Bbc", folder / "htpasswd", "alice", "s3cret")
    registry = DockerRegistry(folder, f"auth: {{htpasswd: {{realm: r, path: {folder}/htpasswd}}}}\n")
    yield registry
    registry.stop()


@pytest.fixture(scope="session")
def caches(tmp_path_factory):
    return tmp_path_factory.mktemp("caches")


@pytest.fixture(scope="module")
def checkout(tmp_path_factory, caches):
    """One checkout and one pantsd for the tests of a module."""
    made = Checkout(tmp_path_factory.mktemp("checkout"), caches)
    yield made
    made.close()


@pytest.fixture
def another_checkout(tmp_path):
    """A second checkout at another path, with empty caches."""
    # Pants itself cannot start its programs for plugins, which another Pants has here, from a path with a space.
    caches = tmp_path / ("empty_caches" if is_another_pants() else "empty caches")
    caches.mkdir()
    made = Checkout(tmp_path / "another place", caches)
    yield made
    made.close()


@pytest.fixture
def podman():
    """podman with storage of its own: podman("run", ...)."""
    with containers_storage("podman", "runc") as storage:
        yield partial(storage, "podman")
