"""Options of `[dockless]`, and the environment of the user, for rules that connect to registries."""

import json

import pytest
from pants.core.goals.generate_lockfiles import GenerateLockfileResult
from pants.core.goals.publish import PublishProcesses
from pants.engine.addresses import Address
from pants.engine.fs import DigestContents
from pants.engine.rules import QueryRule
from pants.testutil.option_util import create_subsystem
from pants_backend import make_backend

from dockless.testing import Registry
from pants_dockless.goals.generate_lockfiles import BaseToLock, LockBaseImages
from pants_dockless.goals.publish import PublishContainerImageFieldSet, PublishContainerImageRequest
from pants_dockless.subsystem import Dockless
from pants_dockless.util_rules.base_images import RESOLVE

BUILD = """
file(name="f", source="f.txt")
container_image(name="image", dependencies=[":f"], registries=["REGISTRY"])
"""


def publish_plan(backend) -> dict:
    """Return the plan of the process that pushes the image to an empty registry."""
    with Registry() as registry:
        return _publish_plan(backend, registry.host)


def _publish_plan(backend, host: str) -> dict:
    backend.write_files({"app/f.txt": "f", "app/BUILD": BUILD.replace("REGISTRY", host)})
    field_set = PublishContainerImageFieldSet.create(backend.get_target(Address("app", target_name="image")))
    request = PublishContainerImageRequest(field_set, (backend.package("app:image"),))
    (published,) = backend.request(PublishProcesses, [request])
    files = backend.request(DigestContents, [published.process.process.input_digest])
    return json.loads(next(file.content for file in files if file.path == "plan.json"))


@pytest.mark.parametrize("remote", [False, True])
def test_environment_is_that_of_the_user(backend, remote):
    """With remote execution, the variables of `EnvironmentVars` are those of the worker."""
    options = ["--remote-execution", "--remote-execution-address=grpc://127.0.0.1:1"] if remote else []
    backend.set_options(options, env={"AWS_PROFILE": "mine"}, env_inherit={"PATH"})
    with open(publish_plan(backend)["environment"]) as file:
        assert json.load(file)["AWS_PROFILE"] == "mine"


def test_source_date_epoch_is_that_of_the_user(backend):
    options = ["--remote-execution", "--remote-execution-address=grpc://127.0.0.1:1"]
    backend.set_options(options, env={"SOURCE_DATE_EPOCH": "86400"}, env_inherit={"PATH"})
    text = 'image_layer(name="layer", dependencies=[":f"], mtime="SOURCE_DATE_EPOCH")\n'
    backend.write_files(
        {"app/f.txt": "f", "app/BUILD": BUILD.replace("registries", 'layers=[":layer"], registries') + text}
    )
    assert backend.package("app:image")


@pytest.mark.parametrize("jobs", [0, 65])
def test_jobs_error_does_not_name_a_field(backend, jobs):
    backend.set_options([f"--dockless-jobs={jobs}"], env_inherit={"PATH"})
    line = backend.error_line(lambda: publish_plan(backend))
    assert line == f"app:image: option `[dockless].jobs`: the value is {jobs}; write a number from 1 to 64"


def test_invalid_reference_in_update_bases_names_the_option():
    backend = make_backend([QueryRule(GenerateLockfileResult, [LockBaseImages])])
    backend.set_options(['--dockless-update-bases=["Busy:1"]'], env_inherit={"PATH"})
    bases = (BaseToLock("reg.example/busy:1", ("linux/amd64",), "app:base: field `reference`"),)
    request = LockBaseImages(resolve_name=RESOLVE, lockfile_dest="base_images.lock", diff=False, bases=bases)
    line = backend.error_line(lambda: backend.request(GenerateLockfileResult, [request]))
    assert line == (
        "option `[dockless].update_bases`: invalid repository 'library/Busy'; write it in lower case: library/busy"
    )


def test_registry_is_insecure_if_one_of_its_aliases_is():
    options = create_subsystem(
        Dockless,
        registries={
            "first": {"address": "one.example"},
            "second": {"address": "one.example", "insecure": True},
            "other": {"address": "two.example"},
        },
    )
    assert options.insecure_registries() == {"one.example"}
