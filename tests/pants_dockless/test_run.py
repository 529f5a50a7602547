"""The goal `run`: the request, and the program that loads an image into a container runtime and runs it."""

import json
import stat
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import fake_runtime
import pytest
from made_images import layout_of, make_image
from pants.core.goals.run import RunRequest
from pants.engine.addresses import Address
from pants.engine.fs import DigestContents
from pants.engine.rules import QueryRule
from pants_backend import make_backend

import pants_dockless
from dockless.oci.descriptor import Descriptor
from dockless.registry import RegistryClient, push
from dockless.testing import Registry
from pants_dockless.goals.run import RunImageFieldSet, RunImageIndexFieldSet
from pants_dockless.util_rules.processes import import_roots

SCRIPTS = Path(pants_dockless.__file__).parent / "scripts"


class Runtime(NamedTuple):
    directory: Path

    @property
    def calls(self) -> list:
        path = self.directory / "calls"
        return path.read_text().splitlines() if path.exists() else []


@pytest.fixture
def runtime(tmp_path):
    """make(name) puts a fake runtime on PATH."""
    directory = tmp_path / "bin"
    (directory / "layers").mkdir(parents=True)

    def make(name="docker"):
        path = directory / name
        path.write_text(f"#!{sys.executable} -IS\n{Path(fake_runtime.__file__).read_text()}")
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
        return Runtime(directory)

    return make


class Run:
    """Runs the program as Pants does. PATH has only the fake runtimes."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.image = make_image(b"base", b"own")
        self.plan = {
            "runtime": "",
            "run_args": [],
            "name": "app:1",
            "address": "app:image",
            "remote": [],
            "insecure": [],
        }

    def lay_out(self, image, *, without=()):
        self.image = image
        blobs = {digest: data for digest, data in image.blobs.items() if digest not in without}
        layout_of(self.directory / "layout", image.manifest.descriptor, blobs=blobs)
        return self

    def __call__(self, *arguments, plan=None, **env):
        root: Descriptor = self.image.manifest.descriptor
        document = {
            **{"import_from": import_roots(), "jobs": 2, "digest": root.digest, "media_type": root.media_type},
            **{"document_size": root.size, **self.plan, **(plan or {})},
        }
        path = self.directory / "layout/plan.json"
        path.write_text(json.dumps(document))
        return subprocess.run(
            (sys.executable, "-I", "-S", str(SCRIPTS / "run_image.py"), str(path), *arguments),
            cwd=self.directory,
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            env={"PATH": str(self.directory / "bin"), "HOME": str(self.directory), **env},
            check=False,
        )


@pytest.fixture
def run(tmp_path):
    return Run(tmp_path).lay_out(make_image(b"base", b"own"))


@pytest.mark.parametrize(("name", "options"), [("docker", ""), ("podman", " --tls-verify=false")])
def test_an_image_is_loaded_and_run(runtime, run, name, options):
    made = runtime(name)
    done = run("a b", "--flag", plan={"run_args": ["--network=none"]})
    size = sum(layer.size for layer in run.image.manifest.layers)
    assert done.stderr == f"app:1: loaded into {name}, 2 of 2 layers sent ({size} B)\n"
    config = run.image.manifest.config.digest
    assert json.loads(done.stdout) == ["run", "--rm", "--network=none", config, "a b", "--flag"]
    assert done.returncode == 7
    pulled = made.calls[3]
    assert pulled.startswith(f"pull --quiet{options} 127.0.0.1:")
    reference = pulled.split()[-1]
    assert f"tag {reference} app:1" in made.calls
    assert f"rmi {reference}" in made.calls


def test_an_image_that_is_loaded_is_not_loaded_again(runtime, run):
    made = runtime()
    assert run().returncode == 7
    count = len(made.calls)
    again = run("x")
    assert (again.returncode, again.stderr) == (7, "")
    assert [call.split()[0] for call in made.calls[count:]] == ["version", "image", "run"]


def test_only_layers_that_the_runtime_lacks_are_sent(runtime, run):
    made = runtime()
    base, own = run.image.manifest.layers
    (made.directory / "layers" / base.digest).touch()
    assert f"1 of 2 layers sent ({own.size} B)" in run().stderr


def test_layers_of_a_base_are_read_from_the_registry_when_the_runtime_asks(runtime, tmp_path):
    made = runtime()
    image = make_image(b"base", b"own")
    base, _ = image.manifest.layers
    run = Run(tmp_path).lay_out(image, without=(base.digest,))
    with Registry() as registry:
        with RegistryClient(registry.host) as client:
            push(image.manifest, image.blobs, client, "library/base", ["1"])
        registry.reset_requests()
        run.plan["remote"] = [{"digest": base.digest, "registry": registry.host, "repository": "library/base"}]
        assert "2 of 2 layers sent" in run().stderr
        assert [request.path for request in registry.requests if "/blobs/" in request.path] == [
            f"/v2/library/base/blobs/{base.digest}"
        ]
        registry.reset_requests()
        (made.directory / "image").unlink()
        assert "0 of 2 layers sent" in run().stderr
        assert registry.requests == []


def test_a_base_that_cannot_be_read(runtime, tmp_path):
    made = runtime()
    image = make_image(b"base", b"own")
    base, _ = image.manifest.layers
    run = Run(tmp_path).lay_out(image, without=(base.digest,))
    with Registry() as registry:
        run.plan["remote"] = [{"digest": base.digest, "registry": registry.host, "repository": "library/base"}]
        done = run()
    assert (done.returncode, done.stdout) == (1, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"error: app:image: GET http://{registry.host}/v2/library/base/blobs/{base.digest}")
    assert "load" not in {call.split()[0] for call in made.calls}


def test_a_runtime_that_cannot_pull_loads_an_archive(runtime, run):
    made = runtime()
    done = run(FAIL="pull")
    assert (done.returncode, done.stderr) == (7, "app:1: loaded into docker, all layers sent\n")
    assert any(call.startswith("load --quiet --input ") for call in made.calls)
    assert json.loads(done.stdout)[2] == run.image.manifest.config.digest
    assert not list(run.directory.glob("dockless-*"))


@pytest.mark.parametrize(
    ("names", "plan", "env", "message"),
    [
        ((), {}, {}, "no container runtime was found: none of docker, podman, ctr is on PATH; install one of them"),
        (
            ("docker",),
            {},
            {"FAIL": "version"},
            "`docker version` failed: the reason; start the daemon, or install podman",
        ),
        (
            ("docker", "ctr"),
            {},
            {"FAIL": "version"},
            "`docker version` failed: the reason; `ctr version` failed: the reason; start the daemon, or install pod",
        ),
        (
            ("docker",),
            {"runtime": "podman"},
            {},
            "podman is not on PATH; install it, or set [dockless].runtime to another runtime",
        ),
        (
            ("docker",),
            {"runtime": "/missing/podman"},
            {},
            "/missing/podman is not an executable file; install it, or set [dockless].runtime to another runtime",
        ),
        (
            ("docker",),
            {"runtime": "docker"},
            {"FAIL": "version", "FAIL_TEXT": "\x1b[31mCannot connect"},
            r"`docker version` failed: \x1b[31mCannot connect; start the daemon, or set [dockless].runtime to another "
            "runtime",
        ),
        (
            ("docker",),
            {"runtime": "docker"},
            {"FAIL": "version", "FAIL_TEXT": ""},
            "`docker version` failed: exit status 1",
        ),
        (("docker",), {}, {"FAIL": "pull load"}, "`docker load` failed: the reason"),
        (("docker",), {}, {"FAIL": "tag"}, "`docker tag` failed: the reason"),
    ],
)
def test_errors_are_one_line(runtime, run, names, plan, env, message):
    for name in names:
        runtime(name)
    done = run(plan=plan, **env)
    assert (done.returncode, done.stdout) == (1, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"error: app:image: {message}")


def test_the_first_runtime_that_answers_is_used(runtime, run):
    runtime("podman")
    (run.directory / "bin/docker").write_text("#!/bin/sh\nexit 1\n")
    (run.directory / "bin/docker").chmod(0o755)
    assert "loaded into podman" in run().stderr


def test_a_runtime_can_be_named_by_its_path(runtime, run):
    runtime("podman")
    path = str(run.directory / "bin/podman")
    assert run(plan={"runtime": path}, PATH="/nowhere").returncode == 7


# -- The request --

BUILD = """
files(name="files", sources=["a"])
image_layer(name="layer", dependencies=[":files"])
container_image(
    name="image",
    layers=[":layer"],
    platforms=["linux/arm64", "linux/amd64", "linux/s390x"],
    extra_run_args=["--env=A=b"],
)
container_image(name="published", registries=["reg.example"], repository="team/app", image_tags=["1", "2"])
container_image(name="emulated", platforms=["linux/s390x"])
container_image(name="arm", platforms=["linux/arm64"], cmd=["arm"])
container_image(name="intel", platforms=["linux/amd64"], cmd=["intel"])
image_index(name="index", images=[":arm", ":intel"], extra_run_args=["--env=INDEX=1"])
"""


@pytest.fixture(scope="module")
def backend():
    made = make_backend([QueryRule(RunRequest, [kind]) for kind in (RunImageFieldSet, RunImageIndexFieldSet)])
    made.write_files({"app/BUILD": BUILD, "app/a": "a"})
    return made


def request(backend, name: str, *options: str) -> tuple:
    backend.set_options(list(options), env_inherit={"PATH"})
    target = backend.get_target(Address("app", target_name=name))
    kind = RunImageIndexFieldSet if target.alias == "image_index" else RunImageFieldSet
    found = backend.request(RunRequest, [kind.create(target)])
    files = {file.path: file.content for file in backend.request(DigestContents, [found.digest])}
    return found, json.loads(files["plan.json"]), files


def test_the_request_has_the_image_and_the_arguments(backend):
    found, plan, files = request(
        backend, "image", "--dockless-run-args=--rm --publish=80:80", "--dockless-runtime=podman"
    )
    assert found.args[-2:] == ("{chroot}/run_image.py", "{chroot}/plan.json")
    assert dict(found.extra_env) == {}
    assert plan["run_args"] == ["--rm", "--publish=80:80", "--env=A=b"]
    assert (plan["runtime"], plan["name"], plan["address"]) == ("podman", "docker.io/library/image:latest", "app:image")
    manifest = json.loads(files[f"blobs/sha256/{plan['digest'].partition(':')[2]}"])
    assert all(f"blobs/sha256/{layer['digest'].partition(':')[2]}" in files for layer in manifest["layers"])
    # No environment is stored: Pants passes that of the user.
    assert "environment" not in plan


@pytest.mark.parametrize(
    ("machine", "expected"), [("x86_64", "amd64"), ("aarch64", "arm64"), ("riscv64", "arm64"), ("?", "arm64")]
)
def test_the_platform_is_that_of_the_machine(backend, monkeypatch, machine, expected):
    monkeypatch.setattr("pants_dockless.goals.run.platform.machine", lambda: machine)
    # Another option, because Pants does not repeat a rule with the same parameters.
    _, plan, files = request(backend, "image", f"--dockless-run-args=--label={machine.encode().hex()}")
    manifest = json.loads(files[f"blobs/sha256/{plan['digest'].partition(':')[2]}"])
    config = json.loads(files[f"blobs/sha256/{manifest['config']['digest'].partition(':')[2]}"])
    assert config["architecture"] == expected


def test_of_an_image_index_the_image_for_the_machine_is_run(backend, monkeypatch):
    monkeypatch.setattr("pants_dockless.goals.run.platform.machine", lambda: "x86_64")
    _, plan, files = request(backend, "index")
    manifest = json.loads(files[f"blobs/sha256/{plan['digest'].partition(':')[2]}"])
    config = json.loads(files[f"blobs/sha256/{manifest['config']['digest'].partition(':')[2]}"])
    assert config["config"]["Cmd"] == ["intel"]
    assert (plan["name"], plan["run_args"]) == ("docker.io/library/index:latest", ["--env=INDEX=1"])


def test_the_name_is_the_first_reference(backend):
    assert request(backend, "published")[1]["name"] == "reg.example/team/app:1"


def test_an_image_of_another_platform_is_run(backend):
    assert request(backend, "emulated")[1]["name"] == "docker.io/library/emulated:latest"


@pytest.mark.parametrize("value", ["nerdctl", "/usr/bin/crictl", "docker run"])
def test_an_unknown_runtime(backend, value):
    assert backend.error_line(lambda: request(backend, "image", f"--dockless-runtime={value}")) == (
        f"option `[dockless].runtime`: {value!r} is not supported; write docker, podman, ctr or the path of one of them"
    )


@pytest.mark.parametrize("value", ['"--env=A"', "[1]"])
def test_extra_run_args_of_the_wrong_type(value):
    backend = make_backend()
    backend.write_files({"app/BUILD": f'container_image(name="image", extra_run_args={value})'})
    with pytest.raises(Exception) as caught:
        backend.package("app:image")
    assert "The 'extra_run_args' field in target app:image must be an iterable of strings" in str(caught.value)


def test_extra_run_args_do_not_change_the_image():
    backend = make_backend()
    build = 'container_image(name="image", cmd=["a"]%s)'
    digests = set()
    for more in ("", ', extra_run_args=["--env=A"]'):
        backend.write_files({"app/BUILD": build % more})
        digests.add(backend.description("app:image")["digest"])
    assert len(digests) == 1
