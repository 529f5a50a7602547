import json
import stat
from pathlib import Path

import pytest
from pants.core.goals import publish as publish_goal
from pants.core.goals.publish import PublishProcesses
from pants.engine.fs import DigestContents

from pants_dockless.field_sets import ContainerImageFieldSet, PushImageFieldSet
from pants_dockless.goals.publish import (
    PublishContainerImageFieldSet,
    PublishContainerImageRequest,
    PublishPushImageFieldSet,
    PublishPushImageRequest,
)

REGISTRIES = {
    "one": {"address": "one.example:5000", "default": True, "extra_image_tags": ["stable"]},
    "two": {"address": "two.example", "repository": "mirror/{target_repository}", "insecure": True},
    "off": {"address": "off.example", "skip_push": True},
}


def build(fields: str) -> dict:
    return {
        "app/f.txt": "f",
        "app/BUILD": f"""
file(name="f", source="f.txt")
container_image(name="image", dependencies=[":f"], {fields})
push_image(name="push", image=":image", registries=["@two"], repository="{{parent_directory}}{{directory}}/{{name}}")
""",
    }


@pytest.fixture
def publish(backend):
    def run(address: str = "image", registries: dict = REGISTRIES, **env: str) -> PublishProcesses:
        backend.set_options([f"--dockless-registries={registries!r}"], env=env, env_inherit={"PATH"})
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


def test_one_process_pushes_all_tags(backend, publish):
    backend.write_files(build('image_tags=["1", "2"]'))
    (published,) = publish()
    assert published.names == tuple(f"one.example:5000/image:{tag}" for tag in ("1", "2", "stable"))
    assert published.description.startswith("one.example:5000/image@sha256:")
    push = plan(backend, published)
    assert (push["registry"], push["repository"], push["tags"]) == ("one.example:5000", "image", ["1", "2", "stable"])
    assert push["insecure"] is False
    assert published.data["digest"] == backend.description("app:image")["digest"]
    assert published.data["target"].spec == "app:image"


def test_repository_of_a_registry_takes_precedence(backend, publish):
    backend.write_files(build('registries=["@two", "two.example"], repository="team/x"'))
    (published,) = publish()
    assert published.names == ("two.example/mirror/team/x:latest",)
    assert plan(backend, published)["insecure"] is True


def test_copy_foreign_layers(backend, publish):
    backend.write_files(build(""))
    (published,) = publish()
    assert plan(backend, published)["copy_foreign_layers"] is False
    backend.write_files(build("copy_foreign_layers=True"))
    (published,) = publish()
    assert plan(backend, published)["copy_foreign_layers"] is True


def test_push_image(backend, publish):
    backend.write_files(build(""))
    (published,) = publish("push")
    assert published.names == ("two.example/mirror/app/push:latest",)
    assert published.data["target"].spec == "app:push"


def test_skip_push(backend, publish):
    backend.write_files(build('registries=["@off", "@one"]'))
    off, one = publish()
    assert off.process is None and "skip_push" in off.description
    assert one.process is not None
    backend.write_files(build("skip_push=True"))
    (skipped,) = publish()
    assert skipped.process is None
    assert skipped.description == "(by `skip_push` on app:image)"
    (skipped,) = publish(registries={})
    assert skipped.process is None


@pytest.mark.parametrize("address", ["image", "push"])
def test_skip_push_before_packaging(backend, address):
    """In Pants 2.32 and later. Earlier releases package targets with `skip_push`."""
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
        return publish_kind.create(target).check_skip_request(package_kind.create(target))

    assert check(False) is None
    request = check(True)
    if not hasattr(publish_goal, "CheckSkipResult"):
        assert request is None
        return
    (skipped,) = backend.request(publish_goal.CheckSkipResult, [request]).skipped_packages
    assert skipped.names == (f"app:{address}",)
    assert (skipped.process, skipped.description) == (None, f"(by `skip_push` on app:{address})")
    assert skipped.data["publisher"] == "dockless"


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
def test_values_that_would_have_no_effect(backend, publish, fields, message):
    backend.write_files(build(fields))
    own = {"address": "own.example", "repository": "mirror/{name}"}
    assert backend.error_line(lambda: publish(registries={**REGISTRIES, "own": own})) == message


def test_an_address_may_be_the_alias_of_another_registry(backend, publish):
    backend.write_files(build('registries=["localhost"]'))
    registries = {"localhost": {"address": "one.example"}, "other": {"address": "localhost"}, "two": REGISTRIES["two"]}
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


def test_conflicting_references(backend):
    """Two targets may publish the same image to a reference. Two images are an error before anything is pushed."""
    backend.write_files({"app/f.txt": "f", "app/BUILD": TWO_IMAGES})
    options = [f"--dockless-registries={REGISTRIES!r}"]

    def published(*names):
        backend.set_options(options, env_inherit={"PATH"})
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
            f"two different images would be published to one.example:5000/acme/app:{tag}: both {names} publish to this "
            "reference; change the tags or the repository of one of the targets"
        )
        with pytest.raises(Exception, match=f"app:{second}: field `image_tags`: {message}"):
            published(first, second)


@pytest.mark.parametrize("order", [["@a", "@b"], ["@b", "@a"]])
def test_two_aliases_of_the_same_repository(backend, publish, order):
    registries = {
        "a": {"address": "one.example", "insecure": True},
        "b": {"address": "one.example", "skip_push": True, "extra_image_tags": ["b"]},
    }
    backend.write_files(build(f"registries={order!r}"))
    (published,) = publish(registries=registries)
    assert sorted(published.names) == ["one.example/image:b", "one.example/image:latest"]
    assert plan(backend, published)["insecure"] is True
