"""The example repository testprojects/shop: the commands of its README, in a repository of its own."""

import json
import tarfile
import urllib.request
from contextlib import suppress
from types import SimpleNamespace

import pytest
from real_tools import ROOT, Checkout, DockerRegistry, containers_storage, free_port, need, run
from waiting import wait_until

README = (ROOT / "testprojects/shop/README.md").read_text()
TAG = (ROOT / "testprojects/shop/VERSION").read_text().strip()
PRODUCT = "4006381333931"
OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@pytest.fixture(scope="module")
def shop(tmp_path_factory, caches):
    """The example repository after `package`, `test` and `push`, its two registries, and the storage of podman."""
    need("aarch64-linux-gnu-gcc", "apt-get", "dpkg-deb", "gcc", "git", "python3.11")
    checkout = Checkout(tmp_path_factory.mktemp("checkout"), caches, own_targets=True, default_pex=True)
    checkout.root /= "testprojects/shop"
    pants_toml = checkout.root / "pants.toml"
    text = pants_toml.read_text()
    registries = []
    with containers_storage("podman", "runc") as storage:
        try:
            for port in ("5000", "5001"):
                registries.append(DockerRegistry(tmp_path_factory.mktemp("registry")))
                assert f"localhost:{port}" in text
                text = text.replace(f"localhost:{port}", registries[-1].host)
            pants_toml.write_text(text)
            git(checkout, "init", "--quiet")
            git(checkout, "add", "--all")
            git(checkout, "commit", "--quiet", "--message=first")
            made = SimpleNamespace(checkout=checkout, registries=registries, storage=storage)
            pants(made, "package ::")
            made.tested = pants(made, "test ::").err
            pants(made, "push ::")
            yield made
        finally:
            checkout.close()
            for registry in registries:
                registry.stop()


def git(checkout, *arguments):
    run("git", "-c", "user.name=a", "-c", "user.email=a@example.com", *arguments, cwd=checkout.root)


def pants(shop, command, *options):
    """Runs a command of the README."""
    assert f"../../pants {command}\n" in README
    return shop.checkout.pants("--python-bootstrap-search-path=['<PATH>']", *options, *command.split())


def description(shop, path):
    return shop.checkout.description(f"{path}.json")


def repositories(registry):
    with OPENER.open(f"http://{registry.host}/v2/_catalog", timeout=30) as answer:
        return json.load(answer)["repositories"]


def test_package_and_test(shop):
    """The services have the layers of their base and of bottle in common, and the structure test passes."""
    orders, storefront, base = (
        [layer["digest"] for layer in description(shop, path)["layers"]]
        for path in ("services.orders/image", "services.storefront/image", "base/python")
    )
    assert orders[:2] == storefront[:2] == base
    assert len({*orders} & {*storefront}) == 4
    assert "services/orders:image_test succeeded" in shop.tested


def test_push_to_two_registries(shop):
    main, mirror = shop.registries
    assert repositories(main) == [f"shop/{name}" for name in ("ean", "orders", "site", "storefront")]
    assert repositories(mirror) == ["shop/site"]
    for name, registry in (("image", main), ("mirror", mirror)):
        assert description(shop, f"site/{name}")["references"] == [f"{registry.host}/shop/site:{TAG}"]


def test_a_change_sends_one_layer(shop):
    source = shop.checkout.root / "services/orders/orders.py"
    text = source.read_text()
    shop.registries[0].forget()
    try:
        source.write_text(text.replace("There is no", "The shop has no"))
        pants(shop, "--changed-since=HEAD --changed-dependents=transitive push", "--push-output=pushed.json")
    finally:
        source.write_text(text)
    (pushed,) = json.loads((shop.checkout.root / "pushed.json").read_text())
    assert pushed["names"] == [f"{shop.registries[0].host}/shop/orders:{TAG}"]
    # The layer of the application, and the config.
    assert pushed["transfer"]["sent"] == 2 and pushed["transfer"]["bytes"] < 8_000
    assert {request.split("/")[3] for request in shop.registries[0].requests() if "/shop/" in request} == {"orders"}


def test_the_program_runs_on_both_platforms(shop, tmp_path):
    need("qemu-aarch64")
    podman = tmp_path / "podman"
    config = f"CONTAINERS_CONF={shop.storage.env['CONTAINERS_CONF']}"
    podman.write_text(f'#!/bin/sh\nexec env {config} podman {" ".join(shop.storage.storage)} "$@"\n')
    podman.chmod(0o755)
    done = pants(shop, f"run tools/ean:index -- {PRODUCT[:-1]}", f"--dockless-runtime={podman}")
    assert done.out == f"{PRODUCT[-1]}\n"

    (layer,) = description(shop, "tools.ean/arm64")["layers"]
    blob = shop.checkout.root / "dist/tools.ean/arm64/blobs/sha256" / layer["digest"].partition(":")[2]
    with tarfile.open(blob) as archive:
        archive.extract("ean", tmp_path)
    assert run("qemu-aarch64", tmp_path / "ean", PRODUCT[:-1]).out == f"{PRODUCT[-1]}\n"


def test_a_service_answers(shop):
    command = "--env PORT=8080 localhost:5000/shop/storefront:1.4.0"
    assert f"podman run --rm --network=host --tls-verify=false {command}\n" in README
    reference = f"{shop.registries[0].host}/shop/storefront:{TAG}"
    port = free_port()
    options = ("--detach", "--network=host", "--tls-verify=false", "--read-only", f"--env=PORT={port}")
    name = shop.storage("podman", "run", *options, reference).out.strip().splitlines()[-1]

    def answer():
        with suppress(OSError), OPENER.open(f"http://127.0.0.1:{port}/products/{PRODUCT}", timeout=30) as response:
            return response.read()

    try:
        assert wait_until(answer, "the answer of the service") == b"pen 1.20\n"
    finally:
        shop.storage("podman", "rm", "--force", "--time=0", name)
