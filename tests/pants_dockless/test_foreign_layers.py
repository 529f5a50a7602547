"""Foreign layers of a base in the programs that push images and download layers, which run as Pants runs them."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from made_images import make_image
from push_plans import push_plan

import pants_dockless
from dockless.layout.oci_layout_writer import write_layout
from dockless.testing import Registry
from pants_dockless.util_rules.processes import import_roots

SANDBOX = Path(pants_dockless.__file__).parent / "scripts"


@pytest.fixture
def image(web):
    """An image whose first layer is foreign: neither a layout nor the registry of the base contains the layer."""
    image = make_image(b"windows", b"own", urls=[f"{web.url}/gone", f"{web.url}/layer"])
    web.files["/layer"] = image.blobs[image.manifest.layers[0].digest]
    return image


@pytest.fixture
def run(tmp_path):
    def run(program, plan):
        path = tmp_path / "plan.json"
        path.write_text(json.dumps({"import_from": import_roots(), **plan}))
        return subprocess.run(
            (sys.executable, "-I", "-S", str(SANDBOX / program), str(path)),
            cwd=tmp_path,
            capture_output=True,
            text=True,
            env={"HOME": str(tmp_path)},
            check=False,
        )

    return run


def host_of(web):
    return web.url.partition("://")[2]


@pytest.fixture
def publish(run, tmp_path, image):
    """publish(registry, copy) pushes the image, whose base is in the same registry."""
    foreign, *held = image.manifest.layers
    blobs = [image.manifest.descriptor, image.manifest.config, *held]
    write_layout(str(tmp_path), [image.manifest.descriptor], blobs, image.blobs)
    remote = {"digest": foreign.digest, "repository": "base"}

    def publish(registry, copy, *insecure):
        remote_layers = [{**remote, "registry": registry.host}]
        plan = push_plan(registry, image.manifest.descriptor, copy_foreign_layers=copy, remote=remote_layers)
        return run("push_images.py", {**plan, "insecure": insecure})

    return publish


def test_foreign_layers_are_pushed_only_with_copy_foreign_layers(publish, image, web):
    foreign = image.manifest.layers[0].digest
    with Registry() as registry:
        done = publish(registry, False)
        assert done.returncode == 0, done.stderr
        assert foreign not in registry.blobs("app")
        assert web.requests == []
        # The tag already exists, but the foreign layer is missing.
        done = publish(registry, True, host_of(web))
        assert done.returncode == 0, done.stderr
        assert registry.blob("app", foreign) == image.blobs[foreign]
        assert registry.manifest("app", "1").raw == image.manifest.raw
    assert [path for path, _ in web.requests] == ["/gone", "/layer"]
    assert not any("authorization" in map(str.lower, headers) for _, headers in web.requests)


def test_missing_foreign_layer_fails_before_the_tag_is_created(publish, image, web):
    del web.files["/layer"]
    with Registry() as registry:
        done = publish(registry, True, host_of(web))
        assert done.returncode == 1
        assert done.stderr.startswith(
            f"error: app:image: cannot download the foreign layer {image.manifest.layers[0].digest}: "
        )
        assert "copy_foreign_layers=False" in done.stderr
        assert done.stderr.count("\n") == 1
        assert registry.tags("app") == {}


def test_port_of_this_machine_that_no_option_names(publish, web):
    with Registry() as registry:
        done = publish(registry, True)
        assert done.returncode == 1 and "is an address in a private network" in done.stderr
        assert web.requests == [] and registry.tags("app") == {}


@pytest.mark.parametrize("damaged", [False, True])
def test_foreign_layers_are_downloaded_for_archives_and_verified(run, image, web, tmp_path, damaged):
    layer = image.manifest.layers[0]
    if damaged:
        web.files["/layer"] = b"x" * layer.size
    (tmp_path / "cache").mkdir()
    with Registry() as registry:
        registry.put_blob("base", b"something else")
        wanted = {
            "digest": layer.digest,
            "size": layer.size,
            "urls": layer.urls,
            "registry": registry.host,
            "repository": "base",
        }
        done = run(
            "fetch_layers.py",
            {"insecure": [host_of(web)], "layers": [wanted], "cache": "cache", "blobs": "blobs/sha256"},
        )
    kept = [*(tmp_path / "cache").iterdir(), *(tmp_path / "blobs/sha256").iterdir()]
    if damaged:
        assert done.returncode == 1
        assert done.stderr.startswith(f"error: the blob {layer.digest} is damaged") and done.stderr.count("\n") == 1
        assert kept == []
    else:
        assert done.returncode == 0, done.stderr
        assert [path.read_bytes() for path in kept] == [image.blobs[layer.digest]] * 2


def test_layer_that_is_listed_twice_is_downloaded_once(run, tmp_path):
    """Two repositories of a registry may have the same layer."""
    (tmp_path / "cache").mkdir()
    with Registry() as registry:
        digest = registry.put_blob("one", b"layer")
        layers = [
            {
                "digest": digest,
                "size": 5,
                "urls": [],
                "registry": registry.host,
                "repository": repository,
            }
            for repository in ("one", "two")
        ]
        result = run("fetch_layers.py", {"insecure": [], "layers": layers, "cache": "cache", "blobs": "blobs/sha256"})
    assert (result.returncode, result.stderr) == (0, "")
    assert [path.read_bytes() for path in (tmp_path / "blobs/sha256").iterdir()] == [b"layer"]
