"""Pushes on a machine that starts empty, with real Pants and a remote cache: layers of the registry are not read."""

import random
import time
from pathlib import Path

import pytest
from counting_proxy import CountingProxy
from pants_output import ONLY_DOCKLESS, error_line, started_processes
from real_tools import Checkout
from remote_services import BuildGrid

from dockless.testing import Registry

SIZE = 20_000_000
IMAGES = 10
BUILD = """
file(name="large", source="large.bin")
image_layer(name="layer", dependencies=[":large"])
""" + "".join(f'container_image(name="app{n}", layers=[":layer"], env={{"N": "{n}"}})\n' for n in range(IMAGES))
DEFER = "--cache-content-behavior=defer"


def add_images(checkout: Checkout) -> None:
    directory = checkout.root / "fleet"
    directory.mkdir()
    (directory / "BUILD").write_text(BUILD)
    (directory / "large.bin").write_bytes(random.Random(1).randbytes(SIZE))


@pytest.fixture(scope="module")
def machine(tmp_path_factory, checkout):
    """machine(name) returns a checkout with empty caches. All have one daemon of Pants."""
    add_images(checkout)
    return lambda name: checkout.with_caches(tmp_path_factory.mktemp(f"caches-of-{name}"))


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    service = BuildGrid(tmp_path_factory.mktemp("buildgrid"))
    yield service
    service.stop()


@pytest.fixture(scope="module")
def registry():
    with Registry() as found:
        yield found


def push(checkout: Checkout, goal: str, registry: Registry, *options: str, **arguments):
    registries = {"r": {"address": registry.host, "default": True}}
    option = f"--dockless-registries={registries!r}"
    return checkout.pants(option, *options, goal, "fleet::", **ONLY_DOCKLESS, **arguments)


def bytes_sent(requests) -> int:
    return sum(int(request.headers.get("Content-Length", 0)) for request in requests)


@pytest.fixture(scope="module")
def pushed(machine, cache, registry, measured):
    """The first machine fills the remote cache and the registry."""
    push(machine("first-machine"), "push", registry, *cache.options, "--session-end-tasks-timeout=60")
    requests = registry.requests
    sent = bytes_sent(requests)
    measured(f"push of {IMAGES} images on a layer of {SIZE} bytes: {sent} bytes in {len(requests)} requests")
    assert sent < 1.1 * SIZE


@pytest.mark.parametrize("goal", ["push", "publish"])
def test_an_unchanged_push_on_an_empty_machine_downloads_no_layer(goal, pushed, machine, cache, registry, measured):
    checkout = machine(f"{goal}-machine")
    registry.reset_requests()
    with CountingProxy(cache.port) as proxy:
        address = f"--remote-store-address=grpc://127.0.0.1:{proxy.port}"
        begin = time.monotonic()
        done = push(checkout, goal, registry, *cache.options[:2], address, DEFER)
        measured(
            f"{goal} of {IMAGES} unchanged images on an empty machine: {proxy.received} bytes from the cache, "
            f"{len(registry.requests)} requests to the registry, {len(started_processes(done))} processes, "
            f"{time.monotonic() - begin:.1f} s"
        )
        assert proxy.received < 100_000
    heads = [request.operation for request in registry.requests if request.operation != "ping get"]
    assert heads == ["manifest get"] * IMAGES
    assert len(registry.requests) == IMAGES + (1 if goal == "push" else IMAGES)


def test_layers_that_are_not_stored(machine, pushed, cache, registry, measured):
    """With `cache_layers = false`, the cache gets no layer, and a registry that lacks a layer gets the same layer."""
    checkout = machine("machine-without-layers")
    options = ("--no-dockless-cache-layers",)
    store = Path(checkout.env["PANTS_LOCAL_STORE_DIR"])
    with CountingProxy(cache.port) as proxy:
        address = f"--remote-store-address=grpc://127.0.0.1:{proxy.port}"
        done = push(checkout, "push", registry, *cache.options[:2], address, *options)
        assert done.err.count("already present (") == IMAGES
        assert proxy.sent < 100_000
    size = sum(path.stat().st_size for path in store.rglob("*") if path.is_file())
    measured(f"unchanged push without cached layers: {proxy.sent} bytes to the cache, {size} bytes in the local store")
    with Registry() as empty:
        push(checkout, "push", empty, *options)
        assert empty.tags("app0") == registry.tags("app0")
        assert bytes_sent(empty.requests) < 1.1 * SIZE, [
            (request.operation, request.path, request.status, request.headers.get("Content-Length"))
            for request in empty.requests
            if int(request.headers.get("Content-Length", 0)) > 10000
        ]


def test_a_cache_that_dies_after_the_hit(machine, pushed, cache, measured):
    """The error names the option that helps, no incomplete layout is left, and the option helps."""
    checkout = machine("unlucky-machine")
    with Registry() as empty:
        with CountingProxy(cache.port) as proxy:
            address = f"--remote-store-address=grpc://127.0.0.1:{proxy.port}"
            options = (*cache.options[:2], address, DEFER)
            push(checkout, "push", empty, *options, "--push-dry-run")
        done = push(checkout, "push", empty, *options, ok=False)
        assert done.code == 1
        assert empty.tags("app0") == {}
        line = error_line(done, "fleet:layer")
        assert line.endswith(
            "run the command again with --cache-content-behavior=fetch, which builds the missing layers"
        )
        measured(f"a cache that dies after the hit: {line}")
        done = checkout.pants(*options, "package", "fleet:app0", ok=False, **ONLY_DOCKLESS)
        error_line(done, "fleet:layer")
        assert not (checkout.root / "dist").exists()
        push(checkout, "push", empty, "--cache-content-behavior=fetch")
        assert len(empty.repositories()) == IMAGES
