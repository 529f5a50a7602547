"""Real Pants, registries and runtimes, which end with their tests."""

import os
import shlex
from functools import partial

import pytest
from pants_command import VARIABLE, is_another_pants, pants_command
from real_tools import Checkout, DockerRegistry, containers_storage, need, run


def pytest_report_header():
    named = f" (named by {VARIABLE})" if is_another_pants() else ""
    return f"integration tests run Pants by: {shlex.join(pants_command())}{named}"


@pytest.fixture
def docker_registry(tmp_path):
    directory = tmp_path / "docker-registry"
    directory.mkdir()
    registry = DockerRegistry(directory)
    yield registry
    registry.stop()


@pytest.fixture
def locked_registry(tmp_path):
    """A docker-registry that requires the password of alice."""
    need("htpasswd")
    directory = tmp_path / "locked-registry"
    directory.mkdir()
    run("htpasswd", "-Bbc", directory / "htpasswd", "alice", "s3cret")
    registry = DockerRegistry(directory, f"auth: {{htpasswd: {{realm: r, path: {directory}/htpasswd}}}}\n")
    yield registry
    registry.stop()


@pytest.fixture(scope="session")
def caches(tmp_path_factory):
    """The home directory, store and caches of Pants, which all workers share, so that nothing is built twice."""
    base = tmp_path_factory.getbasetemp()
    directory = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "caches"
    directory.mkdir(exist_ok=True)
    return directory


@pytest.fixture(scope="session")
def checkout_of_the_worker(tmp_path_factory, caches):
    """A checkout whose daemon of Pants all modules of a worker use: the start of a daemon takes 5 s of CPU."""
    made = Checkout(tmp_path_factory.mktemp("checkout"), caches)
    yield made
    made.close()


@pytest.fixture(scope="module")
def checkout(checkout_of_the_worker):
    """A checkout with a Pants daemon for the tests of a module, whose changes of files and variables end with them."""
    with checkout_of_the_worker.borrowed() as borrowed:
        yield borrowed


@pytest.fixture
def another_checkout(tmp_path):
    """A second checkout at another path, with empty caches."""
    # With plugins, Pants cannot start its programs from a path with a space.
    caches = tmp_path / ("empty_caches" if is_another_pants() else "empty caches")
    caches.mkdir()
    made = Checkout(tmp_path / "another place", caches)
    yield made
    made.close()


@pytest.fixture
def podman():
    """`podman("run", ...)` runs podman with its own storage."""
    with containers_storage("podman", "runc") as storage:
        yield partial(storage, "podman")
