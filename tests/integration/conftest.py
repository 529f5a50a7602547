"""Real Pants, real registries, real runtimes: each is gone when its test is."""

import os
import shutil
import tempfile
from pathlib import Path

import pytest
from real_tools import Checkout, DockerRegistry, Done, need, run


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
    caches = tmp_path / "empty caches"
    caches.mkdir()
    made = Checkout(tmp_path / "another place", caches)
    yield made
    made.close()


CONTAINERS_CONF = """
[containers]
default_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]
netns = "none"
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
runtime = "runc"
"""


@pytest.fixture
def podman():
    """podman with storage of its own: podman("run", ...)."""
    need("podman", "runc")
    # podman refuses a runroot of more than 50 characters.
    folder = Path(tempfile.mkdtemp(prefix="podman-"))
    config = folder / "containers.conf"
    config.write_text(CONTAINERS_CONF)
    env = {**os.environ, "CONTAINERS_CONF": str(config)}
    storage = ("--root", folder / "storage", "--runroot", folder / "run", "--storage-driver", "vfs")

    def podman(*args: str, ok: bool = True) -> Done:
        return run("podman", *storage, *args, env=env, ok=ok)

    yield podman
    podman("rm", "--all", "--force")
    podman("rmi", "--all", "--force")
    shutil.rmtree(folder, ignore_errors=True)
