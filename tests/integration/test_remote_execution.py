"""Layers built on a remote worker, with real Pants and buildbox-casd: the digests are those of local builds."""

import re
import shlex
import time

import pytest
from environments import environment_options
from pants_command import VARIABLE, is_another_pants, registries_option
from pants_output import counters, error_line
from real_tools import ROOT
from remote_project import HELLO, HELLO_DIGEST, SERVICE, SERVICE_DIGEST, SIZES_DIGEST, add_sizes, digests, machine_names
from remote_services import BuildboxCasd

from dockless import Image, InlineFile, Layer
from dockless.testing import Registry

DIGESTS = {
    "testprojects.hello/image.json": HELLO_DIGEST,
    "testprojects.service/image.json": SERVICE_DIGEST,
    "sizes/image.json": SIZES_DIGEST,
}
# The layers of testprojects/hello and testprojects/service, and that of sizes.
LAYERS = 4

BUILD = """
remote_environment(name="worker")
image_layer(
    name="layer",
    dependencies=["sizes:files"],
    directory="/srv",
    environment=parametrize("__local__", "remote"),
)
container_image(name="local", layers=[":layer@environment=__local__"])
container_image(name="remote", layers=[":layer@environment=remote"])
base_image(name="base", reference="{registry}/base:1")
container_image(name="archive", base=":base", dependencies=["sizes:files"], environment="remote", output="oci-archive")
"""


@pytest.fixture(scope="module")
def worker(tmp_path_factory):
    if is_another_pants():
        pytest.skip(f"NOT TESTED with {VARIABLE}: the worker has the interpreter of ./pants alone")
    venv = (ROOT / ".venv").resolve()
    # Pants runs the pex command by the interpreter and the packages that it was started with.
    service = BuildboxCasd(tmp_path_factory.mktemp("casd"), [venv, (venv / "bin/python").resolve().parent.parent])
    yield service
    service.stop()


@pytest.fixture(scope="module")
def packaged(tmp_path_factory, checkout, worker, measured):
    """A checkout after the run that built all images on the worker."""
    checkout = checkout.with_caches(tmp_path_factory.mktemp("caches"))
    add_sizes(checkout)
    begin = time.monotonic()
    done = checkout.pants(*worker.execution_options, "--stats-log", "package", HELLO, SERVICE, "sizes:image")
    counted = counters(done)
    measured(
        f"remote execution: {counted['remote_execution_success']} processes on the worker, "
        f"{counted.get('local_execution_requests', 0)} here, {time.monotonic() - begin:.1f} s"
    )
    assert "local_execution_requests" not in counted, counted
    return checkout


def test_the_digests_are_those_of_local_builds(packaged):
    assert digests(packaged, DIGESTS) == DIGESTS


def test_neither_the_command_nor_the_inputs_of_a_layer_name_the_machine(packaged, worker):
    layers = [action for action in worker.actions() if any("build_layer.py" in part for part in action.arguments)]
    assert len(layers) == LAYERS
    names = machine_names(packaged)
    for action in layers:
        texts = [*action.arguments, *action.environment, *action.environment.values(), *action.outputs, *action.inputs]
        assert not [(text, name) for text in texts for name in names if name in text]
        for path, file in action.inputs.items():
            content = worker.read_blob(file.digest)
            assert not [name for name in names if name.encode() in content], path


def test_programs_that_connect_to_registries_run_on_this_machine(packaged, worker):
    """The worker has neither a network nor the credentials of the user."""
    with Registry() as registry:
        option = f"--dockless-registries={{'r': {{'address': '{registry.host}', 'default': True}}}}"
        done = packaged.pants(*worker.execution_options, "--stats-log", option, "push", HELLO)
        assert counters(done)["local_execution_requests"] == 2
        assert registry.tags("image") == {"latest": HELLO_DIGEST}


def test_layers_of_a_remote_environment_are_built_on_the_worker(packaged, worker, tmp_path):
    """Without cached layers, each layer is built twice. The programs that need a network are not run on the worker."""
    (packaged.root / "environments").mkdir()
    with Registry() as registry:
        base = Image.scratch().add_layer(Layer.from_files({"/base": InlineFile(b"base")}))
        base.save(f"{registry.host}/base", tags=["1"])
        (packaged.root / "environments/BUILD").write_text(BUILD.format(registry=registry.host))
        options = (
            *worker.execution_options,
            *environment_options(tmp_path, remote="environments:worker"),
            registries_option(registry.host),
            "--no-dockless-cache-layers",
        )
        packaged.pants(*options, "generate-lockfiles", "--resolve=base-images")
        images = [f"environments:{name}" for name in ("local", "remote", "archive")]
        packaged.pants(*options, "package", "push", *images)
        assert registry.tags("local") == registry.tags("remote") == {"latest": SIZES_DIGEST}
        archive = Image.from_archive(f"{packaged.root}/dist/environments/archive.tar")
        assert registry.tags("archive") == {"latest": archive.digest}
    # The other processes of the module run the interpreter of the worker.
    commands = [shlex.join(action.arguments) for action in worker.actions()]
    programs = [name for command in commands for name in re.findall(r"\.python-build-standalone/.*?(\w+\.py)", command)]
    assert sorted(programs) == ["build_layer.py"] * 4 + ["export_image.py"]


def test_a_worker_that_returns_no_output_is_an_error(packaged, worker):
    worker.lose_outputs()
    done = packaged.pants(*worker.execution_options, "package", "sizes:lost", ok=False)
    assert done.code == 1
    error_line(done, "sizes:lost-layer")
    assert "Traceback" not in done.err
    assert not list((packaged.root / "dist").glob("sizes/lost*"))
