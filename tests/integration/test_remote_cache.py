"""Two machines with a remote cache (real Pants and BuildGrid): the second machine uses all results of the first."""

import re
import shutil
import time

import pytest
from other_machine import OtherMachine
from pants_output import ONLY_DOCKLESS, counters, error_line, started_processes
from remote_project import HELLO, HELLO_DIGEST, SIZES_DIGEST, add_sizes, digests, machine_names
from remote_services import BuildGrid

TARGETS = (HELLO, "sizes:image", "sizes:archive")
# The layers of testprojects/hello, that of sizes, and the archive.
CACHED_PROCESSES = 4
DIGESTS = {
    "testprojects.hello/image.json": HELLO_DIGEST,
    "sizes/image.json": SIZES_DIGEST,
    "sizes/archive.json": SIZES_DIGEST,
}


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    service = BuildGrid(tmp_path_factory.mktemp("buildgrid"))
    yield service
    service.stop()


@pytest.fixture(scope="module")
def filled(tmp_path_factory, checkout, cache, measured):
    """The first machine, after the run that filled the cache."""
    checkout = checkout.with_caches(tmp_path_factory.mktemp("caches-of-the-first-machine"))
    add_sizes(checkout)
    begin = time.monotonic()
    done = checkout.pants(
        *cache.options,
        "--stats-log",
        "--session-end-tasks-timeout=60",
        "package",
        *TARGETS,
        "sizes:lost",
        **ONLY_DOCKLESS,
    )
    counted = counters(done)
    assert counted["remote_cache_requests"] == counted["remote_cache_write_successes"] == CACHED_PROCESSES + 1, counted
    assert "remote_cache_requests_cached" not in counted
    measured(
        f"remote cache, first machine: 0 of {counted['remote_cache_requests']} hits, "
        f"{counted['local_execution_requests']} processes, {time.monotonic() - begin:.1f} s"
    )
    return checkout


@pytest.fixture(scope="module")
def other_machine(filled):
    machine = OtherMachine()
    add_sizes(machine)
    machine.give_to_user()
    yield machine
    machine.close()


def package(machine: OtherMachine, cache: BuildGrid, measured, name: str):
    """Packages the targets on the second machine, with an empty store, and checks that all results are cache hits."""
    shutil.rmtree(machine.root / "dist", ignore_errors=True)
    begin = time.monotonic()
    done = machine.pants(*cache.options, "--stats-log", "package", *TARGETS, umask=0o077, **ONLY_DOCKLESS)
    counted = counters(done)
    hits = counted.get("remote_cache_requests_cached", 0)
    measured(
        f"remote cache, {name}: {hits} of {counted['remote_cache_requests']} hits, "
        f"{counted.get('local_execution_requests', 0)} processes, {time.monotonic() - begin:.1f} s"
    )
    assert started_processes(done) == []
    assert hits == counted["remote_cache_requests"] == CACHED_PROCESSES, counted


@pytest.fixture(scope="module")
def packaged(other_machine, cache, measured):
    """The second machine, after it packaged the targets that the first machine had built."""
    package(other_machine, cache, measured, "second machine")
    return other_machine


def test_the_digests_are_the_same_literals_on_both_machines(filled, packaged):
    """A change of the literals changes every image of every user and needs an entry in CHANGELOG.md."""
    assert digests(filled, DIGESTS) == DIGESTS
    assert digests(packaged, DIGESTS) == DIGESTS
    layers = packaged.description("sizes/image.json")["layers"]
    blob = f"dist/sizes/image/blobs/sha256/{layers[0]['digest'][7:]}"
    assert (packaged.root / blob).read_bytes() == (filled.root / blob).read_bytes()


def test_commands_contain_no_path_of_a_machine(filled, packaged, cache):
    """All results were cache hits, so both machines have the same Actions."""
    actions = cache.actions()
    assert len(actions) == CACHED_PROCESSES + 1
    names = [*machine_names(filled), *machine_names(packaged), str(packaged.directory), "nobody"]
    for action in actions:
        texts = [*action.arguments, *action.environment, *action.environment.values(), *action.outputs]
        assert not [(text, name) for text in texts for name in names if name in text]
        assert [argument for argument in action.arguments if argument.startswith("/")] == ["/bin/sh"]


def test_an_edit_of_a_module_that_layers_do_not_import_rebuilds_no_layer(packaged, cache, measured, monkeypatch):
    for module in ("lockfile.py", "registry/client.py", "cli/build.py"):
        path = packaged.root / "src/dockless" / module
        path.write_text(f"{path.read_text()}\nEDITED = True\n")
    store = packaged.directory / "caches/another store"
    monkeypatch.setitem(packaged.env, "PANTS_LOCAL_STORE_DIR", str(store))
    package(packaged, cache, measured, "second machine after an edit")
    assert digests(packaged, DIGESTS) == DIGESTS


def test_a_result_without_its_blob_is_an_error(filled, packaged, cache):
    layers = filled.description("sizes/lost.json")["layers"]
    cache.drop_outputs(layers[0]["digest"][7:])
    done = packaged.pants(*cache.options, "package", "sizes:lost", umask=0o077, ok=False, **ONLY_DOCKLESS)
    assert done.code == 1
    line = error_line(done, "sizes:lost-layer")
    assert layers[0]["digest"] in line
    assert not list((packaged.root / "dist").glob("sizes/lost*"))

    # The error names the options that help. By now, the local cache also has the incomplete result.
    options = [option.replace("NAME", "another") for option in re.findall(r"--[\w=-]+", line)]
    # Later releases of Pants refuse an option together with its opposite.
    others = [option for option in cache.options if option.replace("--", "--no-", 1) not in options]
    packaged.pants(*others, *options, "package", "sizes:lost", umask=0o077, **ONLY_DOCKLESS)
    assert packaged.description("sizes/lost.json")["layers"] == layers
