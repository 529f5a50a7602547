"""`dockless copy` with several images."""

import json
import os
import socket
import time
from contextlib import ExitStack

import pytest
from made_images import layout_of, make_image

from dockless.registry import RegistryClient
from dockless.testing import Registry, make_certificate, server_context

SHARED = os.urandom(300_000)


@pytest.fixture
def images(tmp_path):
    """Three layouts: the images share one layer."""
    made = [make_image(SHARED, b"own %d" % n) for n in range(3)]
    for n, image in enumerate(made):
        layout_of(tmp_path / f"image{n}", image.manifest.descriptor, blobs=image.blobs)
    return made


def operands(host, count=3):
    return [operand for n in range(count) for operand in (f"oci:image{n}", f"{host}/team/app{n}:1")]


def test_a_shared_layer_is_sent_once(dockless, registry, images):
    said = dockless("copy", *operands(registry.host))
    assert said.status == 0, said.err
    assert said.err.splitlines()[-1] == "3 of 3 images copied"
    references = [f"{registry.host}/team/app{n}:1@{image.manifest.digest}" for n, image in enumerate(images)]
    assert sorted(said.out.splitlines()) == references
    sent = sum(len(request.body) for request in registry.requests if request.operation == "upload put")
    assert sent < len(SHARED) + 10_000


def test_images_that_exist_cost_one_request_each(dockless, registry, images):
    dockless("copy", *operands(registry.host))
    registry.reset_requests()
    assert dockless("copy", *operands(registry.host)).status == 0
    assert sorted(request.operation for request in registry.requests) == ["manifest get"] * 3 + ["ping get"]


def test_json_lists_the_images(dockless, registry, images):
    document = dockless("copy", "--json", *operands(registry.host, 2)).json
    assert [(image["source"], image["destination"]) for image in document["images"]] == [
        ("oci:image0", f"{registry.host}/team/app0:1"),
        ("oci:image1", f"{registry.host}/team/app1:1"),
    ]
    assert [image["digest"] for image in document["images"]] == [image.manifest.digest for image in images[:2]]


def test_a_failure_does_not_stop_the_others(dockless, registry, images):
    said = dockless("copy", "oci:missing", f"{registry.host}/a:1", *operands(registry.host))
    assert said.status == 1
    assert next(line for line in said.err.splitlines() if "error" in line).startswith(
        f"dockless: error: oci:missing to {registry.host}/a:1: missing is not an OCI layout"
    )
    assert said.err.splitlines()[-1] == "3 of 4 images copied"
    assert registry.manifest("team/app2", "1").digest == images[2].manifest.digest
    document = json.loads(
        dockless("copy", "--json", "oci:missing", f"{registry.host}/a:1", *operands(registry.host)).out
    )
    assert ["error" in image for image in document["images"]] == [True, False, False, False]


@pytest.mark.parametrize("failure", ["refused", "certificate", "unknown host"])
def test_a_registry_that_cannot_be_reached_fails_the_other_images_at_once(
    dockless, images, registry, tmp_path, failure
):
    with ExitStack() as stack:
        if failure == "certificate":
            make_certificate(tmp_path)
            host = stack.enter_context(Registry(tls=server_context(tmp_path))).host
        elif failure == "refused":
            closed = stack.enter_context(socket.socket())
            closed.bind(("127.0.0.1", 0))
            host = f"127.0.0.1:{closed.getsockname()[1]}"
        else:
            host = "does-not-exist.invalid:5000"
        many = [operand for n in range(40) for operand in ("oci:image0", f"{host}/app{n}:1")]
        begin = time.monotonic()
        said = dockless("copy", "--jobs", "2", *many, *operands(registry.host))
    errors = {line.split(":1: ", 1)[1] for line in said.err.splitlines() if "error" in line}
    assert len(errors) == 1, said.err
    assert said.err.splitlines()[-1] == "3 of 43 images copied"
    # Four attempts take about 2 s for two images at a time. Those of all images would take 40 s.
    assert time.monotonic() - begin < 20


@pytest.mark.parametrize(
    "arguments, error",
    [
        (("oci:a", "localhost:1/a", "oci:b"), "the source oci:b has no destination"),
        (("oci:a", "localhost:1/a:1", "oci:b", "localhost:1/a:1"), "two images would be saved to localhost:1/a:1"),
        (("oci:a", "oci-archive:x.tar:a", "oci:b", "oci-archive:./x.tar:b"), "two images would be saved to"),
    ],
)
def test_invalid_operands(dockless, arguments, error):
    said = dockless("copy", *arguments)
    assert said.status in (1, 2)
    assert error in said.err.splitlines()[-1]


def test_a_blob_of_an_earlier_run_is_mounted(dockless, registry, images):
    """The command remembers where it pushed a blob; a registry that no longer has the blob gets it again."""
    dockless("copy", "oci:image0", f"{registry.host}/team/app0:1")
    registry.reset_requests()
    said = dockless("copy", "oci:image1", f"{registry.host}/other/app1:1")
    assert "1 mounted" in said.err.splitlines()[-1], said.err
    assert sum(len(request.body) for request in registry.requests) < 10_000
    shared = images[2].manifest.layers[0].digest
    with RegistryClient(registry.host) as client:
        for repository in ("team/app0", "other/app1"):
            client.delete_blob(repository, shared)
    said = dockless("copy", "oci:image2", f"{registry.host}/third/app2:1")
    assert (said.status, said.err.splitlines()[-1]) == (0, "3 blobs sent (300.7 kB), 0 mounted, 0 already present")
