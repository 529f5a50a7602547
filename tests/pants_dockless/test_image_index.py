"""`image_index`: one reference for images of several platforms, each with its own content."""

import json

import pytest
from made_images import make_image
from pants.core.goals.publish import PublishProcesses
from pants.engine.addresses import Address, Addresses
from pants.engine.rules import QueryRule
from pants.engine.target import Dependencies, DependenciesRequest
from pants.testutil.rule_runner import mock_console
from pants_backend import make_backend

from dockless.lockfile import Lockfile, lock_base
from dockless.oci import media_types as mt
from dockless.oci.reference import Reference
from dockless.testing import Registry
from pants_dockless.field_sets import ImageIndexFieldSet, PushImageFieldSet
from pants_dockless.goals.publish import PublishImageIndexFieldSet, PublishImageIndexRequest
from pants_dockless.goals.push import PushGoal

FILES = {
    "app/amd64.txt": "amd64" * 1000,
    "app/arm64.txt": "arm64" * 1000,
    "app/shared.txt": "shared" * 1000,
    "app/BUILD": """
file(name="server-amd64", source="amd64.txt")
file(name="server-arm64", source="arm64.txt")
file(name="shared-file", source="shared.txt")
image_layer(name="shared", dependencies=[":shared-file"])
container_image(
    name="amd64", platforms=["linux/amd64"], layers=[":shared"], contents={"/server": ":server-amd64"}, skip_push=True
)
container_image(
    name="arm64", platforms=["linux/arm64"], layers=[":shared"], contents={"/server": ":server-arm64"}, skip_push=True
)
image_index(name="index", images=[":amd64", ":arm64"], image_tags=["1"], repository="team/{name}")
push_image(name="push", image=":index", registries=["mirror.example"])
container_image(
    name="many",
    platforms=parametrize(amd64=["linux/amd64"], arm64=["linux/arm64"]),
    env={"X": "1"},
    skip_push=True,
)
""",
}


@pytest.fixture(scope="module")
def backend():
    """One engine for all tests."""
    return make_backend([QueryRule(Addresses, [DependenciesRequest])])


@pytest.fixture
def packaged(backend):
    backend.set_options([], env_inherit={"PATH"})
    backend.write_files(FILES)

    def call(address="app:index"):
        """Return the metadata of an index, and its blobs by digest."""
        files = backend.files(backend.package(address, ImageIndexFieldSet))
        path, name = address.split(":")
        metadata = json.loads(files[f"{path}/{name}.json"])
        return metadata, {"sha256:" + p.rsplit("/", 1)[1]: data for p, data in files.items() if "/blobs/" in p}

    return call


def test_each_platform_has_its_own_content(backend, packaged):
    metadata, blobs = packaged()
    index = json.loads(blobs[metadata["digest"]])
    assert metadata["address"] == "app:index"
    assert metadata["media_type"] == index["mediaType"] == mt.OCI_INDEX
    assert metadata["platforms"] == ["linux/amd64", "linux/arm64"]
    assert [child["platform"]["architecture"] for child in index["manifests"]] == ["amd64", "arm64"]
    images = [backend.description(f"app:{name}") for name in ("amd64", "arm64")]
    assert [child["digest"] for child in index["manifests"]] == [image["digest"] for image in images]
    lower, upper = ({layer["digest"] for layer in image["layers"]} for image in images)
    assert {layer["digest"] for layer in metadata["layers"]} == lower | upper and len(lower & upper) == 1
    assert metadata["size"] == sum(map(len, blobs.values()))
    assert len(blobs) == 3 + 1 + 2 + 2


def test_order_and_annotations(backend, packaged):
    first, _ = packaged()
    text = FILES["app/BUILD"].replace('[":amd64", ":arm64"]', '[":arm64", ":amd64"], annotations={"a": "b"}')
    backend.write_files({"app/BUILD": text})
    metadata, blobs = packaged()
    index = json.loads(blobs[metadata["digest"]])
    assert metadata["platforms"] == ["linux/arm64", "linux/amd64"]
    assert index["annotations"] == {"a": "b"}
    assert metadata["digest"] != first["digest"]


def test_an_image_with_several_platforms_in_an_index(backend, packaged):
    backend.write_files(
        {
            "b/BUILD": 'container_image(name="two", platforms=["linux/arm64", "linux/s390x"])\n'
            'image_index(name="index", images=["app:amd64", ":two"])\n'
        }
    )
    assert packaged("b:index")[0]["platforms"] == ["linux/amd64", "linux/arm64", "linux/s390x"]


def test_parametrized_platforms(backend, packaged):
    backend.write_files(
        {"b/BUILD": 'image_index(name="index", images=["app:many@platforms=amd64", "app:many@platforms=arm64"])\n'}
    )
    metadata, _ = packaged("b:index")
    assert metadata["platforms"] == ["linux/amd64", "linux/arm64"]
    # The address without parameters means all images, in the order of the parameters.
    backend.write_files({"b/BUILD": 'image_index(name="index", images=["app:many"])\n'})
    assert packaged("b:index")[0]["digest"] == metadata["digest"]
    text = FILES["app/BUILD"].replace(
        'amd64=["linux/amd64"], arm64=["linux/arm64"]', 'b=["linux/arm64"], a=["linux/amd64"]'
    )
    assert text != FILES["app/BUILD"]
    backend.write_files({"app/BUILD": text})
    assert packaged("b:index")[0]["platforms"] == ["linux/arm64", "linux/amd64"]


def test_dependencies_are_the_images(backend, packaged):
    backend.write_files({"b/BUILD": 'image_index(name="index", images=["app:many", "app:amd64"])\n'})
    target = backend.get_target(Address("b", target_name="index"))
    dependencies = backend.request(Addresses, [DependenciesRequest(target[Dependencies])])
    assert [each.spec for each in dependencies] == [
        "app:amd64",
        "app:many@platforms=amd64",
        "app:many@platforms=arm64",
    ]


def test_other_targets_take_one_of_several_parametrizations(backend, packaged):
    """Two images would have the same reference. The error lists the addresses."""
    message = (
        "b:x: field `{}`: app:many has parameters, so that it means 2 images; write one of app:many@platforms=amd64, "
        "app:many@platforms=arm64, or the address of an image_index"
    )
    backend.write_files({"b/BUILD": 'push_image(name="x", image="app:many", registries=["mirror.example"])\n'})
    line = backend.error_line(lambda: backend.package("b:x", PushImageFieldSet))
    assert line == message.format("image")
    backend.write_files({"b/BUILD": 'container_image(name="x", base="app:many")\n'})
    assert backend.error_line(lambda: backend.package("b:x")) == message.format("base")


def test_a_base_of_another_image(backend, packaged):
    backend.write_files(
        {"b/BUILD": 'container_image(name="x", base="app:index", platforms=["linux/arm64"], cmd=["x"])'}
    )
    metadata = backend.description("b:x")
    arm64 = backend.description("app:arm64")
    assert [layer["digest"] for layer in metadata["layers"]] == [layer["digest"] for layer in arm64["layers"]]


@pytest.mark.parametrize("output", ["oci-archive", "metadata"])
def test_other_outputs(backend, packaged, output):
    digest = packaged()[0]["digest"]
    backend.write_files(
        {"app/BUILD": FILES["app/BUILD"].replace('[":amd64", ":arm64"],', f'[":amd64", ":arm64"], output="{output}",')}
    )
    files = backend.files(backend.package("app:index", ImageIndexFieldSet))
    assert sorted(files) == ["app/index.json", *(["app/index.tar"] if output == "oci-archive" else [])]
    assert json.loads(files["app/index.json"])["digest"] == digest


def test_base_layers_stay_in_the_registry(backend, packaged):
    base = make_image(b"base")
    reference = Reference.parse("reg.example/base:1")
    locked = lock_base(reference, [], base.manifest, lambda descriptor: base.blobs[descriptor.digest])
    backend.write_files(
        {
            "base_images.lock": Lockfile.of([locked]).to_bytes().decode(),
            "b/BUILD": 'base_image(name="base", reference="reg.example/base:1")\n'
            'container_image(name="amd64", base=":base", env={"A": "b"})\n'
            'image_index(name="index", images=[":amd64", "app:arm64"])\n',
        }
    )
    metadata, blobs = packaged("b:index")
    layer = next(layer for layer in metadata["layers"] if layer.get("source"))
    assert layer["source"] == "reg.example/base" and layer["digest"] not in blobs


@pytest.mark.parametrize(
    "fields, message",
    [
        (
            'images=["app:amd64", ":other"]',
            "b:bad: field `images`: both app:amd64 and b:other are for linux/amd64; remove one of the two images, or "
            "change its field `platforms`",
        ),
        (
            'images=["app:shared"]',
            "b:bad: field `images`: the target app:shared has the type `image_layer`, not `container_image`; use the "
            "addresses of container_image targets",
        ),
        ('images=["app:index"]', "b:bad: field `images`: the target app:index has the type `image_index`, not"),
        ("images=[]", "b:bad: field `images`: no image is given; use the addresses of container_image targets"),
        ('images=["app:no_image"]', "The address app:no_image from the `images` from the target b:bad does not exist."),
        ("", "field in target b:bad must be defined."),
        ('images=":a"', "The 'images' field in target b:bad must be an iterable of strings"),
        ('images=["app:amd64"], format="docker"', "b:bad: the image for linux/amd64 has the format oci; build the im"),
        ('images=["app:amd64"], format="x"', "Values for the 'format' field in target b:bad must be one of"),
        ('images=["app:amd64"], annotations={"": "x"}', "b:bad: field `annotations`: the name of an annotation is "),
        ('images=["app:amd64", "app:arm64"], output="docker-archive"', "b:bad: field `output`: a docker-archive con"),
        ('images=["app:amd64"], registries=["x.y"], image_tags=["a b"]', "b:bad: field `image_tags`: invalid tag 'a b"),
    ],
)
def test_invalid_fields(backend, packaged, fields, message):
    backend.write_files(
        {"b/BUILD": f'container_image(name="other", env={{"A": "b"}})\nimage_index(name="bad", {fields})\n'}
    )
    assert message in backend.error_line(lambda: packaged("b:bad"))


def test_an_index_is_not_the_content_of_a_layer(backend, packaged):
    backend.write_files({"b/BUILD": 'container_image(name="bad", dependencies=["app:index"])\n'})
    line = backend.error_line(lambda: backend.package("b:bad"))
    assert line.startswith("b:bad: field `dependencies`: the target app:index has the type `image_index`, which cannot")


def test_publish_and_push_image(backend, packaged, tmp_path):
    digest = packaged()[0]["digest"]
    package = backend.package("app:push", PushImageFieldSet)
    assert json.loads(backend.files(package)["app/push.json"]) == {
        "address": "app:push",
        "digest": digest,
        "references": ["mirror.example/team/index:1"],
    }
    with Registry() as registry:
        options = f"--dockless-registries={{'r': {{'address': '{registry.host}', 'default': True}}}}"
        backend.set_options([options], env={"HOME": str(tmp_path)}, env_inherit={"PATH"})
        field_set = PublishImageIndexFieldSet.create(backend.get_target(Address("app", target_name="index")))
        request = PublishImageIndexRequest(field_set, (backend.package("app:index", ImageIndexFieldSet),))
        (published,) = backend.request(PublishProcesses, [request])
        assert published.names == (f"{registry.host}/team/index:1",)
        assert (published.data["digest"], published.data["media_type"]) == (digest, mt.OCI_INDEX)
        with mock_console(backend.options_bootstrapper):
            assert backend.run_interactive_process(published.process).exit_code == 0
            assert registry.tags("team/index") == {"1": digest}
            # Both images of the index, which are skipped themselves.
            assert len(registry.manifests("team/index")) == 3
            result = backend.run_goal_rule(
                PushGoal,
                global_args=[options],
                args=["app:index", "app:amd64"],
                env={"HOME": str(tmp_path)},
                env_inherit={"PATH"},
            )
        assert result.exit_code == 0
        assert f"{registry.host}/team/index:1 already present ({digest})" in result.stderr
