"""A changed entry of the lockfile selects the images on this base, and only these."""

import json
import os
import subprocess

import pytest
from pants.backend.project_info import dependents
from pants.core import target_types
from pants.engine.addresses import Address, Addresses
from pants.engine.rules import QueryRule
from pants.engine.target import Dependencies, DependenciesRequest
from pants.util.frozendict import FrozenDict
from pants.vcs import changed
from pants.vcs.changed import ChangedAddresses, ChangedRequest, DependentsOption
from pants_backend import make_backend

FILES = {
    "app/f.txt": "f",
    "app/BUILD": """
base_image(name="python", reference="python:3.12")
base_image(name="debian", reference="docker.io/library/debian:12")
base_image(name="unlocked", reference="docker.io/library/unlocked:1")
file(name="f", source="f.txt")
container_image(name="service", base=":python", dependencies=[":f"])
container_image(name="above", base=":service")
push_image(name="push", image=":service")
container_image(name="tool", base=":debian")
container_image(name="scratch", dependencies=[":f"])
container_image(name="fixed", base="docker.io/library/debian@sha256:DIGEST")
""".replace("DIGEST", "0" * 64),
}
PYTHON, DEBIAN = "docker.io/library/python:3.12", "docker.io/library/debian:12"


@pytest.fixture(scope="module")
def module_backend():
    return make_backend(
        [
            *changed.rules(),
            *dependents.rules(),
            QueryRule(ChangedAddresses, [ChangedRequest]),
            QueryRule(Addresses, [DependenciesRequest]),
        ],
        # Later releases of Pants have a target for deleted files.
        [target_types.LockfileTarget, *filter(None, [getattr(target_types, "DeletedTarget", None)])],
    )


@pytest.fixture
def backend(module_backend):
    module_backend.reset()
    return module_backend


def git(backend, *arguments):
    names = ["-c", "user.name=x", "-c", "user.email=x@example.com", "-c", "commit.gpgsign=false"]
    command = ["git", "-C", backend.build_root, *names, *arguments]
    subprocess.run(command, check=True, capture_output=True)


def commit(backend):
    git(backend, "add", "--all")
    git(backend, "commit", "--quiet", "--allow-empty", "-m", "x")


def lockfile(**entries) -> str:
    """Return a lockfile: only entries that are used to build an image are checked."""
    return json.dumps({"bases": {PYTHON: {"digest": "p1"}, DEBIAN: {"digest": "d1"}, **entries}})


@pytest.fixture
def selected(backend):
    """selected(lockfile, *options) returns the names of the targets that a change of the lockfile affects."""
    git(backend, "init", "--quiet")
    backend.write_files({**FILES, "base_images.lock": lockfile()})
    commit(backend)

    def call(text, *options):
        if text is not None:
            backend.write_files({"base_images.lock": text})
        backend.set_options(options, env_inherit={"PATH", "HOME"})
        # Later releases of Pants also have the changed lines.
        blocks = {"sources_blocks": FrozenDict()} if "sources_blocks" in ChangedRequest.__dataclass_fields__ else {}
        request = ChangedRequest(sources=("base_images.lock",), dependents=DependentsOption.TRANSITIVE, **blocks)
        addresses = backend.request(ChangedAddresses, [request])
        return {address.target_name for address in addresses} - {"_base-images_lockfile", "__deleted"}

    return call


ON_PYTHON = {"python", "service", "above", "push"}
ON_DEBIAN = {"debian", "tool"}
ALL = ON_PYTHON | ON_DEBIAN | {"unlocked"}


@pytest.mark.parametrize(
    "text, expected",
    [
        (lockfile(**{PYTHON: {"digest": "p2"}}), ON_PYTHON),
        (lockfile(**{DEBIAN: {"digest": "d2"}}), ON_DEBIAN),
        (lockfile(**{PYTHON: {"digest": "p1", "platforms": {}}}), ON_PYTHON),
        (lockfile(other={"digest": "x"}), set()),
        # The file is changed, but no entry is.
        (json.dumps(json.loads(lockfile()), indent=1), set()),
        (json.dumps({"bases": {PYTHON: {"digest": "p1"}}}), ON_DEBIAN),
        ("no JSON", ALL),
        ('{"bases": []}', ALL),
    ],
)
def test_changed_entries(selected, text, expected):
    assert selected(text, "--changed-since=HEAD") == expected


def test_without_selected_changes_all_images_with_a_base_depend_on_the_lockfile(selected):
    assert selected(lockfile()) == ALL


def test_commits_of_a_diffspec(backend, selected):
    """The entries are compared between the commits, not with the files of the checkout."""
    python, debian = lockfile(**{PYTHON: {"digest": "p2"}}), lockfile(**{DEBIAN: {"digest": "d2"}})
    for text in (python, debian, "no JSON"):
        backend.write_files({"base_images.lock": text})
        commit(backend)
    commit(backend)
    assert selected(None, "--changed-diffspec=HEAD~3") == ON_PYTHON
    assert selected(None, "--changed-diffspec=HEAD~2") == ON_PYTHON | ON_DEBIAN
    assert selected(None, "--changed-diffspec=HEAD~4..HEAD~3") == ON_PYTHON
    assert selected(None, "--changed-diffspec=HEAD~4..HEAD~2") == ON_DEBIAN
    assert selected(None, "--changed-diffspec=HEAD~1") == ALL
    assert selected(None, "--changed-diffspec=HEAD") == set()  # the commit does not change the lockfile
    assert selected(None, "--changed-diffspec=nonsense") == ALL
    assert selected(None, "--changed-since=nonsense", "--changed-diffspec=HEAD~3") == ON_PYTHON


def test_comparison_with_the_merge_base(backend, selected):
    """As Pants, which lists the files that were changed since the branch was begun."""
    git(backend, "branch", "main-line")
    assert selected(lockfile(**{PYTHON: {"digest": "p2"}}), "--changed-since=main-line") == ON_PYTHON
    commit(backend)
    git(backend, "checkout", "--quiet", "main-line")
    backend.write_files({"base_images.lock": lockfile(**{DEBIAN: {"digest": "d2"}})})
    commit(backend)
    git(backend, "checkout", "--quiet", "-")
    assert selected(None, "--changed-since=main-line") == ON_PYTHON


def test_a_commit_without_the_lockfile(backend, selected):
    os.unlink(f"{backend.build_root}/base_images.lock")
    commit(backend)
    assert selected(lockfile(), "--changed-since=HEAD") == ALL
    assert selected(None, "--changed-since=nonsense") == ALL


def test_without_a_lockfile_there_is_no_target(backend):
    backend.write_files(FILES)

    def dependencies():
        target = backend.get_target(Address("app", target_name="python"))
        return [each.spec for each in backend.request(Addresses, [DependenciesRequest(target[Dependencies])])]

    assert dependencies() == []
    backend.write_files({"base_images.lock": lockfile()})
    assert dependencies() == ["//:_base-images_lockfile"]
    backend.set_options(["--dockless-lockfile=lock/bases.lock"], env_inherit={"PATH"})
    assert dependencies() == []
    backend.write_files({"lock/bases.lock": lockfile()})
    assert dependencies() == ["lock:_base-images_lockfile"]
