"""The program that pushes images is interrupted, or a registry fails for some images: each tag is complete or old."""

import json
import os
import signal
import subprocess

import pytest
from made_images import layout_of, make_image
from push_plans import push_plan
from waiting import wait_until

from dockless.oci.digest import Digest
from dockless.oci.manifest import Manifest
from dockless.registry import RegistryClient, push
from dockless.testing import Fault, Registry
from pants_dockless.util_rules.processes import interactive_argv, registry_program

SHARED = os.urandom(200_000)
COUNT = 8
PROGRAM = "push_images.py"


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
        environment = tmp_path / "environment.json"
        environment.write_text(json.dumps({"HOME": str(tmp_path)}))
        plans = [
            push_plan(registry, image.manifest.descriptor, repository=f"app{n}", address=f"app:app{n}")
            for n, image in enumerate(images)
        ]
        plan = {**plans[0], "images": [each["images"][0] for each in plans], "results": str(tmp_path / "results.json")}
        for file in registry_program(PROGRAM, plan, str(environment), ("push_progress.py",)):
            (tmp_path / file.path).write_bytes(file.content)
        return subprocess.Popen(
            [argument.replace("{chroot}", str(tmp_path)) for argument in interactive_argv(PROGRAM)],
            cwd=tmp_path,
            env={},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

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


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("operation", ["upload post", "upload put", "manifest put"])
@pytest.mark.parametrize("count", [1, 4])
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
