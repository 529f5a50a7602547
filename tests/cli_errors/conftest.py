"""Bad inputs and the error messages of the command.

Each test is marked with its row of the table of bad inputs (B01 to B78). `test_every_row` checks that none is missing.
"""

import os
import re
from pathlib import Path

import pytest
from made_images import layout_of, make_image
from manual_clock import ManualClock
from the_command import dockless, isolated_directory, start

from dockless.testing import Registry

__all__ = ["dockless", "isolated_directory", "start"]

_PROXIES_AND_CAS = (
    *("http_proxy", "https_proxy", "all_proxy", "no_proxy"),
    *("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"),
    *("REQUESTS_CA_BUNDLE", "SSL_CERT_FILE", "SOURCE_DATE_EPOCH"),
)


def pytest_configure(config):
    config.addinivalue_line("markers", "row(name): the row of the table of bad inputs that a test belongs to")


@pytest.fixture(autouse=True)
def manual(monkeypatch):
    """A clock that does not wait, and no proxies or CAs of this machine."""
    for name in _PROXIES_AND_CAS:
        monkeypatch.delenv(name, raising=False)
    found = ManualClock()
    monkeypatch.setattr("dockless.registry.client.Clock", found.clock)
    return found


@pytest.fixture(scope="module")
def module_registry():
    with Registry() as found:
        yield found


@pytest.fixture
def registry(module_registry):
    """One registry for the tests of a file. Each test uses its own repositories."""
    module_registry.faults = ()
    module_registry.reset_requests()
    return module_registry


@pytest.fixture
def repository(registry, tmp_path):
    """The repository of this test: `HOST/NAME`."""
    return f"{registry.host}/{re.sub('[^a-z0-9]+', '-', tmp_path.name.lower()).strip('-')}"


@pytest.fixture
def image(tmp_path):
    """An image that is also in the layout `base`."""
    found = make_image(b"one", b"two")
    layout_of(tmp_path / "base", found.manifest.descriptor, blobs=found.blobs, names=["v1"])
    return found


@pytest.fixture
def keep(registry):
    """`keep(repository, image, tag)` stores an image in the registry without a request."""

    def keep(repository, image, tag):
        for data in image.blobs.values():
            registry.put_blob(repository, data)
        registry.put_manifest(repository, image.manifest.raw, image.manifest.media_type, tag)

    return keep


def _repository(request) -> str:
    """Return the repository in the path of a request; empty for the ping."""
    return re.sub("/(blobs|manifests|tags|referrers)/.*", "", request.path[len("/v2/") :])


@pytest.fixture
def refused(dockless, registry, tmp_path):
    """`refused(*argv)` runs a command that must fail and returns its error line.

    The command must not change files or the registry. Without `writes`, it must send only GET and HEAD requests.
    """

    def call(*argv, status=1, writes=False):
        registry.reset_requests()
        before = _files(tmp_path), _names(registry)
        result = dockless(*argv, "-q")
        assert result.status == status, result
        assert result.out == ""
        (line,) = result.err.splitlines()
        assert line.isprintable()
        assert (_files(tmp_path), _names(registry)) == before
        # An aborted upload of an earlier test may be recorded late. Each test has a repository of its own.
        own = [request for request in registry.requests if any(_repository(request) in str(each) for each in argv)]
        assert writes or {request.method for request in own} <= {"GET", "HEAD"}
        begin = "dockless: error: "
        assert line.startswith(begin if status == 1 else "dockless"), line
        return line[len(begin) :] if status == 1 else line

    return call


@pytest.fixture
def works(dockless):
    """`works(*argv)` runs a command that must succeed and returns its JSON output."""

    def call(*argv):
        result = dockless(*argv, "--json", "-q")
        assert (result.status, result.err) == (0, ""), result
        return result.json

    return call


def _files(directory):
    """Return the paths below a directory, each with the attributes that a change of the file would change."""
    found = {}
    for path, directories, files in os.walk(directory):
        for name in (*directories, *files):
            state = os.lstat(os.path.join(path, name))
            found[Path(path, name)] = (state.st_mode, state.st_ino, state.st_size, state.st_mtime_ns)
    for path, state in found.items():
        # A temporary file changes the size and the time of its directory.
        if path.is_dir():
            found[path] = state[:2]
    return found


def _names(registry):
    return {
        name: (registry.tags(name), set(registry.manifests(name)))
        for name in registry.repositories()
        if registry.manifests(name)
    }
