import json
import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path
from typing import Optional

import pytest
from pants.core.goals import publish as publish_goal
from pants.core.goals.publish import PublishProcesses
from pants.engine.fs import EMPTY_DIGEST, DigestContents
from pants.testutil.rule_runner import mock_console

from dockless.testing import Registry
from pants_dockless.field_sets import ContainerImageFieldSet, PushImageFieldSet
from pants_dockless.goals.publish import (
    PublishContainerImageFieldSet,
    PublishContainerImageRequest,
    PublishPushImageFieldSet,
    PublishPushImageRequest,
)

# The places of smaller blobs are not kept.
CONTENT = os.urandom(100_000).hex()


@pytest.fixture
def one():
    with Registry() as registry:
        yield registry


@pytest.fixture
def two():
    with Registry() as registry:
        yield registry


@pytest.fixture
def registries(one, two) -> dict:
    return {
        "one": {"address": one.host, "default": True, "extra_image_tags": ["stable"]},
        "two": {"address": two.host, "repository": "mirror/{target_repository}", "insecure": True},
        "off": {"address": "off.example", "skip_push": True},
    }


def build(fields: str) -> dict:
    return {
        "app/f.txt": CONTENT,
        "app/BUILD": f"""
file(name="f", source="f.txt")
container_image(name="image", dependencies=[":f"], {fields})
push_image(name="push", image=":image", registries=["@two"], repository="{{parent_directory}}{{directory}}/{{name}}")
""",
    }


@pytest.fixture
def publish(backend, registries, tmp_path):
    own = registries

    def run(
        address: str = "image", registries: Optional[dict] = None, same_run: bool = False, **env: str
    ) -> PublishProcesses:
        option = own if registries is None else registries
        # Earlier pushes of the user are not known.
        env = {"HOME": str(tmp_path), **env}
        if not same_run:
            backend.set_options([f"--dockless-registries={option!r}"], env=env, env_inherit={"PATH"})
        if address == "image":
            package = backend.package("app:image")
            field_set = PublishContainerImageFieldSet.create(backend.get_target(package_address("image")))
            request = PublishContainerImageRequest(field_set, (package,))
        else:
            package = backend.package("app:push", PushImageFieldSet)
            field_set = PublishPushImageFieldSet.create(backend.get_target(package_address("push")))
            request = PublishPushImageRequest(field_set, (package,))
        return backend.request(PublishProcesses, [request])

    return run


def package_address(name: str):
    from pants.engine.addresses import Address

    return Address("app", target_name=name)


def plan(backend, published) -> dict:
    files = backend.request(DigestContents, [published.process.process.input_digest])
    return json.loads(next(file.content for file in files if file.path == "plan.json"))


def pushed_image(backend, published) -> dict:
    (image,) = plan(backend, published)["images"]
    return image


def layers_in_sandbox(backend, published) -> list:
    files = backend.request(DigestContents, [published.process.process.input_digest])
    return [len(file.content) for file in files if file.path.startswith("blobs/") and file.content[:2] == b"\x1f\x8b"]


def test_one_process_pushes_all_tags(backend, publish, one):
    backend.write_files(build('image_tags=["1", "2"]'))
    (published,) = publish()
    assert published.names == tuple(f"{one.host}/image:{tag}" for tag in ("1", "2", "stable"))
    assert published.description.startswith(f"{one.host}/image@sha256:")
    image = pushed_image(backend, published)
    assert (image["registry"], image["repository"], image["tags"]) == (one.host, "image", ["1", "2", "stable"])
    assert len(layers_in_sandbox(backend, published)) == 1
    assert published.data["digest"] == backend.description("app:image")["digest"]
    assert published.data["target"].spec == "app:image"


def test_repository_of_a_registry_takes_precedence(backend, publish, two):
    backend.write_files(build(f'registries=["@two", "{two.host}"], repository="team/x"'))
    (published,) = publish()
    assert published.names == (f"{two.host}/mirror/team/x:latest",)
    assert plan(backend, published)["insecure"] == [two.host]


def test_copy_foreign_layers(backend, publish):
    backend.write_files(build(""))
    (published,) = publish()
    assert pushed_image(backend, published)["copy_foreign_layers"] is False
    backend.write_files(build("copy_foreign_layers=True"))
    (published,) = publish()
    assert pushed_image(backend, published)["copy_foreign_layers"] is True


def test_push_image(backend, publish, two):
    backend.write_files(build(""))
    (published,) = publish("push")
    assert published.names == (f"{two.host}/mirror/app/push:latest",)
    assert published.data["target"].spec == "app:push"


def run(backend, published) -> tuple:
    """Run the process of `publish`; return the exit code, and the output."""
    with mock_console(backend.options_bootstrapper) as (_, reader):
        result = backend.run_interactive_process(published.process)
        return result.exit_code, reader.get_stderr()


def test_an_image_that_exists_is_not_read(backend, publish, one):
    backend.write_files(build(""))
    (published,) = publish()
    code, output = run(backend, published)
    assert (code, output.count("2 blobs sent")) == (0, 1), output
    size = sum(one.blobs("image").values())
    assert dict(published.data["transfer"]) == {"sent": 2, "bytes": size, "mounted": 0, "present": 0}
    one.reset_requests()
    (again,) = publish()
    assert sorted(request.operation for request in one.requests) == ["manifest get"] * 2 + ["ping get"]
    process = getattr(again.process, "process", again.process)
    assert process.input_digest == EMPTY_DIGEST
    assert f"{one.host}/image@{again.data['digest']}: already present" in process.argv
    assert dict(again.data["transfer"]) == {"sent": 0, "bytes": 0, "mounted": 0, "present": 2}


def test_only_missing_layers_are_in_the_sandbox(backend, publish, one):
    """The second image has the layer of the first one, which the registry mounts before a process has the layer."""
    backend.write_files(build(""))
    (first,) = publish()
    assert len(layers_in_sandbox(backend, first)) == 1
    run(backend, first)
    one.reset_requests()
    (second,) = publish("push", {"two": {"address": one.host}})
    assert layers_in_sandbox(backend, second) == []
    code, output = run(backend, second)
    assert (code, "1 blob sent" in output, ", 1 mounted, 0 already present" in output) == (0, True, True), output
    assert dict(second.data["transfer"]) == {**second.data["transfer"], "sent": 1, "mounted": 1, "present": 0}
    # The config, which is too small for the record of places, is sent again.
    assert sum(len(request.body) for request in one.requests) < 10_000
    assert one.tags("app/push")["latest"] == first.data["digest"]


def test_mount_from_the_repository_of_the_image(backend, publish, one, monkeypatch, tmp_path):
    """On a machine that never pushed the image, a push_image mounts the layers of the container_image."""
    backend.write_files(build('repository="base/app"'))
    (first,) = publish()
    run(backend, first)
    shutil.rmtree(tmp_path / ".cache")
    (second,) = publish("push", {"one": {"address": one.host, "default": True}, "two": {"address": one.host}})
    assert pushed_image(backend, second)["mounts"] == {
        digest: ["base/app"] for digest in pushed_image(backend, second)["mounts"]
    }
    assert layers_in_sandbox(backend, second) == []


def test_a_registry_that_refuses_connections(backend, publish, registries):
    """Another image of the run fails with the same message, without another attempt."""
    with Registry() as stopped:
        host = stopped.host
    down = {"one": {"address": host, "default": True}, "two": {"address": host}}
    backend.write_files(build(""))
    first = run(backend, publish("image", down)[0])
    cause = f"GET http://{host}/v2/: connection refused; check the port, and that the registry is running\n"
    assert first == (1, f"error: app:image: {cause}")
    with Registry(port=int(host.rpartition(":")[2])) as started:
        second = run(backend, publish("push", same_run=True)[0])
        assert second == (1, f"error: app:push: {cause}")
        assert started.requests == []
        assert run(backend, publish("push", down)[0])[0] == 0


def test_skip_push(backend, publish):
    backend.write_files(build('registries=["@off", "@one"]'))
    off, pushed = publish()
    assert off.process is None and "skip_push" in off.description
    assert pushed.process is not None
    backend.write_files(build("skip_push=True"))
    (skipped,) = publish()
    assert skipped.process is None
    assert skipped.description == "(by `skip_push` on app:image)"
    (skipped,) = publish(registries={})
    assert skipped.process is None


@pytest.mark.parametrize("address", ["image", "push"])
def test_options_that_skip_or_forbid_to_publish(backend, publish, registries, address):
    backend.write_files(build(""))

    def published(*options):
        backend.set_options([f"--dockless-registries={registries!r}", *options], env_inherit={"PATH", "HOME"})
        return publish(address, same_run=True)

    (skipped,) = published("--dockless-skip-push", "--no-dockless-allow-publish")
    assert (skipped.process, skipped.description) == (None, "(by the option `[dockless].skip_push`)")
    assert skipped.names
    assert backend.error_line(lambda: published("--no-dockless-allow-publish")) == (
        f"app:{address}: option `[dockless].allow_publish`: the option is false, so that no image is published; "
        "publish in CI, or add --dockless-allow-publish"
    )
    # What a target skips is not an error.
    backend.write_files(build("skip_push=True"))
    if address == "image":
        (skipped,) = published("--no-dockless-allow-publish")
        assert skipped.description == "(by `skip_push` on app:image)"


@pytest.mark.parametrize("address", ["image", "push"])
def test_skip_push_before_packaging(backend, address):
    """In Pants 2.32 and later. Earlier releases package targets that they skip."""
    publish_kind, package_kind = {
        "image": (PublishContainerImageFieldSet, ContainerImageFieldSet),
        "push": (PublishPushImageFieldSet, PushImageFieldSet),
    }[address]

    def check(fields):
        backend.write_files(
            {
                "app/BUILD": f'container_image(name="image", skip_push={fields})\n'
                f'push_image(name="push", image=":image", skip_push={fields})\n'
            }
        )
        target = backend.get_target(package_address(address))
        request = publish_kind.create(target).check_skip_request(package_kind.create(target))
        return request and backend.request(publish_goal.CheckSkipResult, [request]).skipped_packages

    if not hasattr(publish_goal, "CheckSkipResult"):
        assert check(True) is None
        return
    assert check(False) == ()
    (skipped,) = check(True)
    assert skipped.names == (f"app:{address}",)
    assert (skipped.process, skipped.description) == (None, f"(by `skip_push` on app:{address})")
    assert skipped.data["publisher"] == "dockless"
    backend.set_options(["--dockless-skip-push"], env_inherit={"PATH"})
    (skipped,) = check(False)
    assert skipped.description == "(by the option `[dockless].skip_push`)"
    backend.set_options(["--no-dockless-allow-publish"], env_inherit={"PATH"})
    assert "option `[dockless].allow_publish`" in backend.error_line(lambda: check(False))


def test_no_destination(backend, publish):
    backend.write_files(build(""))
    line = backend.error_line(lambda: publish(registries={}))
    assert line.startswith("app:image: field `registries`: no destination to publish to")
    assert "\n" not in line


@pytest.mark.parametrize(
    "registries, message",
    [
        ({"x": "y"}, "app:image: option `[dockless.registries.x]`: 'y' is not a table"),
        ({"x": {}}, "app:image: option `[dockless.registries.x]`: the key `address` is missing"),
        (
            {"x": {"address": "a.b", "secure": True}},
            "app:image: option `[dockless.registries.x]`: unknown key `secure`; the known keys are address, ",
        ),
        ({"x": {"address": "a.b", "default": "yes"}}, "`[dockless.registries.x].default`: 'yes' is not true or false"),
        (
            {"x": {"address": "a.b", "extra_image_tags": [1]}},
            "`[dockless.registries.x].extra_image_tags`: [1] is not a list of strings",
        ),
        (
            {"x": {"address": "http://a.b"}},
            "option `[dockless.registries.x].address`: invalid registry 'http://a.b'; remove http://",
        ),
        ({"x": {"address": "a.b", "default": True, "repository": "A"}}, "[dockless.registries.x].repository"),
    ],
)
def test_invalid_registry_options(backend, publish, registries, message):
    backend.write_files(build(""))
    line = backend.error_line(lambda: publish(registries=registries))
    assert message in line
    assert "\n" not in line


@pytest.mark.parametrize(
    "fields, message",
    [
        (
            'registries=["two"]',
            "app:image: field `registries`: 'two' is an address, not an alias; to use the registry with the alias "
            "`two`, write @two",
        ),
        # The registry has a repository of its own.
        (
            'registries=["@own"], repository="Acme/App"',
            "app:image: field `repository`: invalid repository 'Acme/App'; write it in lower case: acme/app",
        ),
    ],
)
def test_values_that_would_have_no_effect(backend, publish, registries, fields, message):
    backend.write_files(build(fields))
    own = {"address": "own.example", "repository": "mirror/{name}"}
    assert backend.error_line(lambda: publish(registries={**registries, "own": own})) == message


def test_an_address_may_be_the_alias_of_another_registry(backend, publish, two):
    backend.write_files(build('registries=["localhost"]'))
    registries = {
        "localhost": {"address": "one.example"},
        "other": {"address": "localhost"},
        "two": {"address": two.host},
    }
    (published,) = publish(registries=registries)
    assert published.names == ("localhost/image:latest",)


def test_environment_is_only_in_a_private_file(backend, publish):
    backend.write_files(build(""))
    (published,) = publish(AWS_SECRET_ACCESS_KEY="C4n4ry")
    process = published.process.process
    assert not any("C4n4ry" in argument for argument in (*process.argv, *process.env.values()))
    files = backend.request(DigestContents, [process.input_digest])
    assert not any(b"C4n4ry" in file.content for file in files)
    path = Path(plan(backend, published)["environment"])
    assert stat.S_IMODE(path.stat().st_mode) == 0o600 and stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert json.loads(path.read_text())["AWS_SECRET_ACCESS_KEY"] == "C4n4ry"
    # The next run deletes the file if the program has not read it.
    publish()
    assert not path.exists()


TWO_IMAGES = """
file(name="f", source="f.txt")
container_image(name="one", dependencies=[":f"], repository="acme/app", image_tags=["1", "2"])
container_image(name="same", dependencies=[":f"], repository="acme/app", image_tags=["1"])
container_image(name="other", repository="acme/app", image_tags=["2", "3"])
push_image(name="push", image=":other", repository="acme/app", image_tags=["1"])
"""


def test_conflicting_references(backend, registries, one, tmp_path):
    """Two targets may publish the same image to a reference. Two images are an error before anything is pushed."""
    backend.write_files({"app/f.txt": "f", "app/BUILD": TWO_IMAGES})
    options = [f"--dockless-registries={registries!r}"]

    def published(*names):
        backend.set_options(options, env={"HOME": str(tmp_path)}, env_inherit={"PATH"})
        for name in names:
            pushed = name == "push"
            kind, request = (
                (PublishPushImageFieldSet, PublishPushImageRequest)
                if pushed
                else (PublishContainerImageFieldSet, PublishContainerImageRequest)
            )
            package = backend.package(f"app:{name}", *([PushImageFieldSet] if pushed else []))
            field_set = kind.create(backend.get_target(package_address(name)))
            backend.request(PublishProcesses, [request(field_set, (package,))])

    published("one", "same")
    published("other", "push")
    for first, second, tag in (("one", "other", "2"), ("other", "one", "2"), ("same", "push", "1")):
        names = " and ".join(sorted((f"app:{first}", f"app:{second}")))
        message = (
            f"two different images would be published to {one.host}/acme/app:{tag}: both {names} publish to this "
            "reference; change the tags or the repository of one of the targets"
        )
        with pytest.raises(Exception, match=f"app:{second}: field `image_tags`: {message}"):
            published(first, second)


@pytest.mark.parametrize("order", [["@a", "@b"], ["@b", "@a"]])
def test_two_aliases_of_the_same_repository(backend, publish, order, one):
    registries = {
        "a": {"address": one.host, "insecure": True},
        "b": {"address": one.host, "skip_push": True, "extra_image_tags": ["b"]},
    }
    backend.write_files(build(f"registries={order!r}"))
    (published,) = publish(registries=registries)
    assert sorted(published.names) == [f"{one.host}/image:b", f"{one.host}/image:latest"]
    assert plan(backend, published)["insecure"] == [one.host]


KILLED = """
import os, sys
from pants_dockless.util_rules.private_environment import directory_of_run, private_environment_of_run
print(private_environment_of_run(1, {"SECRET": "C4n4ry"}), flush=True)
os.kill(os.getpid(), 9)
"""


def test_the_environment_of_a_killed_pants_is_deleted_by_the_next_one(tmp_path):
    env = {**os.environ, "TMPDIR": str(tmp_path), "PYTHONPATH": os.pathsep.join(sys.path)}
    path = Path(
        subprocess.run(
            [sys.executable, "-c", KILLED], env=env, capture_output=True, text=True, check=False
        ).stdout.strip()
    )
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    code = KILLED.replace("os.kill(os.getpid(), 9)", "")
    assert subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, check=True).stdout
    assert list(tmp_path.iterdir()) == []
