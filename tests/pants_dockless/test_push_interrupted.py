"""The program that pushes images is interrupted, or a registry fails for some images: each tag is complete or old."""

import json
import os
import signal
import subprocess

import pytest
from made_images import layout_of, make_image
from push_plans import ask_first, push_plan, start_push
from waiting import wait_until

from dockless.oci.digest import Digest
from dockless.oci.manifest import Manifest
from dockless.registry import RegistryClient, push
from dockless.testing import Fault, Registry

SHARED = os.urandom(200_000)
COUNT = 8


@pytest.fixture
def registry():
    """A registry that has an old image in each repository."""
    with Registry() as found:
        old = make_image(b"old", SHARED[:1000])
        with RegistryClient(found.host) as client:
            for n in range(COUNT):
                push(old.manifest, old.blobs, client, f"app{n}", ["1"])
        found.reset_requests()
        yield found


@pytest.fixture
def images(tmp_path):
    made = [make_image(SHARED, os.urandom(20_000)) for _ in range(COUNT)]
    for n, image in enumerate(made):
        layout_of(tmp_path / f"layout{n}", image.manifest.descriptor, blobs=image.blobs)
        (tmp_path / "blobs/sha256").mkdir(parents=True, exist_ok=True)
        for path in (tmp_path / f"layout{n}/blobs/sha256").iterdir():
            path.replace(tmp_path / "blobs/sha256" / path.name)
    return made


@pytest.fixture
def start(tmp_path, images, registry):
    def run() -> subprocess.Popen:
        plans = [
            push_plan(registry, image.manifest.descriptor, repository=f"app{n}", address=f"app:app{n}")
            for n, image in enumerate(images)
        ]
        plan = {**plans[0], "images": [each["images"][0] for each in plans], "results": str(tmp_path / "results.json")}
        return start_push(tmp_path, ask_first(tmp_path, plan))

    return run


def check_tags(registry: Registry, images: list) -> int:
    """Check that each tag refers to the old or the new image, with all its blobs. Return the number of new images."""
    new = 0
    for n, image in enumerate(images):
        stored = registry.manifest(f"app{n}", "1")
        manifest = Manifest.from_bytes(stored.raw, "the stored manifest", media_type=stored.media_type)
        blobs = registry.blobs(f"app{n}")
        assert all(blob.digest in blobs for blob in (manifest.config, *manifest.layers))
        new += Digest.of(stored.raw) == image.manifest.digest
    return new


@pytest.mark.parametrize(
    "number, count", [(signal.SIGKILL, 1), (signal.SIGKILL, 4), (signal.SIGINT, 1), (signal.SIGTERM, 4)]
)
@pytest.mark.parametrize("operation", ["upload post", "upload put", "manifest put"])
def test_an_interrupted_push(start, registry, images, number, operation, count):
    # The registry is slow, so that the signal arrives while images are pushed.
    registry.faults = [Fault(on=operation, delay=0.05)]
    process = start()
    wait_until(lambda: sum(request.operation == operation for request in registry.requests) >= count)
    os.killpg(process.pid, number)
    output, _ = process.communicate(timeout=60)
    assert process.returncode in (-number, 128 + number, 0), output
    assert "Traceback" not in output
    registry.faults = []
    complete = check_tags(registry, images)

    stored = {digest for n in range(COUNT) for digest in registry.blobs(f"app{n}")}
    blobs = {digest: data for image in images for digest, data in image.blobs.items()}
    missing = sum(len(data) for digest, data in blobs.items() if digest not in stored)
    registry.reset_requests()
    process = start()
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 0, output
    assert check_tags(registry, images) == COUNT >= complete
    sent = sum(
        int(request.headers["Content-Length"]) for request in registry.requests if request.operation == "upload put"
    )
    assert sent <= missing


def test_a_registry_that_fails_for_some_images(start, registry, images, tmp_path):
    registry.faults = [Fault(on="manifest put", repository="app[135]", status=403)]
    process = start()
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 1
    assert output.count("error: app:app") == 3, output
    assert check_tags(registry, images) == COUNT - 3
    results = json.loads((tmp_path / "results.json").read_text())
    assert ["error" in result for result in results] == [n in (1, 3, 5) for n in range(COUNT)]
    registry.faults = []
    registry.reset_requests()
    assert start().wait(60) == 0
    assert check_tags(registry, images) == COUNT
    assert not [request for request in registry.requests if request.operation == "upload put"]


def test_a_blob_that_an_interrupted_push_stored_is_mounted(registry, images, tmp_path):
    with RegistryClient(registry.host) as client:
        push(images[7].manifest, images[7].blobs, client, "app7", [])
    registry.reset_requests()
    plans = [
        push_plan(registry, images[n].manifest.descriptor, repository=f"app{n}", address=f"app:app{n}") for n in (0, 7)
    ]
    # The home directory is another one, so that only the plan tells where the blobs are.
    plan = ask_first(tmp_path, {**plans[0], "images": [plan["images"][0] for plan in plans]})
    output, _ = start_push(tmp_path, plan).communicate(timeout=60)
    sent = [request for request in registry.requests if request.operation == "upload put"]
    assert sum(int(request.headers["Content-Length"]) for request in sent) < len(SHARED)
    lines = output.splitlines()
    assert len(lines) == 2 and all("already present" in line for line in lines), output
