import gzip
import io
import json
import tarfile

import pytest

from dockless.oci.digest import Digest
from pants_dockless import _compat
from pants_dockless.field_sets import PushImageFieldSet
from pants_dockless.util_rules import layer_process

FILES = {
    "app/a.txt": "a",
    "app/sub/b.sh": "#!/bin/sh\n",
    "app/BUILD": """
files(name="files", sources=["*.txt", "sub/*"])
image_layer(name="layer", dependencies=[":files"], directory="/opt")
container_image(
    name="image",
    dependencies=[":files"],
    directory="/srv",
    layers=[":layer"],
    entrypoint=["/srv/app/sub/b.sh"],
    cmd=["x"],
    env={"B": "2", "A": "1"},
    workdir="/srv",
    user="1000:1000",
    labels={"k": "v"},
    registries=["localhost:5000"],
)
push_image(name="push", image=":image", registries=["reg.example:443"], repository="team/{directory}", image_tags=["1"])
""",
}


def names(layer: bytes) -> list:
    with tarfile.open(fileobj=io.BytesIO(gzip.decompress(layer))) as tar:
        return [member.name for member in tar.getmembers()]


def test_package_writes_layout_and_metadata(backend):
    backend.write_files(FILES)
    files = backend.files(backend.package("app:image"))
    metadata = json.loads(files["app/image.json"])
    assert set(metadata) == {
        *("address", "digest", "config_digest", "media_type", "size", "platforms", "layers", "references"),
    }
    assert metadata["address"] == "app:image"
    assert metadata["platforms"] == ["linux/amd64"]
    assert metadata["references"] == ["localhost:5000/image:latest"]
    for path, data in files.items():
        if "/blobs/" in path:
            assert Digest.of(data).hex == path.rsplit("/", 1)[1]
    manifest = json.loads(files["app/image/blobs/sha256/" + metadata["digest"][7:]])
    config = json.loads(files["app/image/blobs/sha256/" + metadata["config_digest"][7:]])
    assert json.loads(files["app/image/index.json"])["manifests"][0]["digest"] == metadata["digest"]
    assert [layer["digest"] for layer in manifest["layers"]] == [layer["digest"] for layer in metadata["layers"]]
    lower, upper = (files["app/image/blobs/sha256/" + layer["digest"][7:]] for layer in manifest["layers"])
    assert names(lower) == ["opt/app", "opt/app/a.txt", "opt/app/sub", "opt/app/sub/b.sh"]
    assert names(upper) == ["srv/app", "srv/app/a.txt", "srv/app/sub", "srv/app/sub/b.sh"]
    assert config["rootfs"]["diff_ids"] == [
        Digest.of(gzip.decompress(lower)),
        Digest.of(gzip.decompress(upper)),
    ]
    assert config["config"] == {
        "Entrypoint": ["/srv/app/sub/b.sh"],
        "Cmd": ["x"],
        "Env": ["A=1", "B=2"],
        "WorkingDir": "/srv",
        "User": "1000:1000",
        "Labels": {"k": "v"},
    }
    assert len(config["history"]) == 2
    assert config["created"] == "1970-01-01T00:00:00Z"
    assert metadata["size"] == sum(len(data) for path, data in files.items() if "/blobs/" in path)


def test_digest_depends_on_content_and_not_on_destinations(backend):
    backend.write_files(FILES)
    first = backend.description("app:image")
    backend.write_files({"app/BUILD": FILES["app/BUILD"].replace('registries=["localhost:5000"]', 'image_tags=["9"]')})
    retagged = backend.description("app:image")
    assert retagged["digest"] == first["digest"]
    assert retagged["references"] == []
    backend.write_files({"app/a.txt": "other"})
    assert backend.description("app:image")["digest"] != first["digest"]


def test_empty_image(backend):
    backend.write_files({"BUILD": 'container_image(name="none")'})
    metadata = backend.description(":none")
    assert metadata["layers"] == []
    # A literal, because no compressor or other dependency has an influence on the digest.
    assert metadata["digest"] == "sha256:a64bba914792ce6db2b3e44d811f91bc729e70e564385031ab932ed927db1a0b"


def test_packages_and_relocated_files(backend):
    backend.write_files(
        {
            **FILES,
            "pkg/BUILD": """
archive(name="tar", format="tar", files=["app:files"])
relocated_files(name="moved", files_targets=["app:files"], src="app", dest="elsewhere")
target(name="all", dependencies=[":tar", ":moved"])
container_image(name="image", dependencies=[":all"])
""",
        }
    )
    files = backend.files(backend.package("pkg:image"))
    (layer,) = json.loads(files["pkg/image.json"])["layers"]
    assert names(files["pkg/image/blobs/sha256/" + layer["digest"][7:]]) == [
        "elsewhere",
        "elsewhere/a.txt",
        "elsewhere/sub",
        "elsewhere/sub/b.sh",
        "pkg",
        "pkg/tar.tar",
    ]


def test_dependencies_of_files_are_included(backend):
    backend.write_files(
        {
            **FILES,
            "more/c.txt": "c",
            "more/BUILD": """
file(name="c", source="c.txt", dependencies=["app/a.txt:files"])
container_image(name="image", dependencies=[":c"])
""",
        }
    )
    files = backend.files(backend.package("more:image"))
    (layer,) = json.loads(files["more/image.json"])["layers"]
    assert names(files["more/image/blobs/sha256/" + layer["digest"][7:]]) == ["app", "app/a.txt", "more", "more/c.txt"]


def test_package_of_push_image(backend):
    backend.write_files(FILES)
    package = backend.package("app:push", PushImageFieldSet)
    assert [artifact.relpath for artifact in package.artifacts] == ["app/push.json"]
    assert json.loads(backend.files(package)["app/push.json"]) == {
        "address": "app:push",
        "digest": backend.description("app:image")["digest"],
        "references": ["reg.example:443/team/app:1"],
    }


@pytest.mark.parametrize(
    "fields, message",
    [
        ('env={"": "x"}', "app:bad: field `env`: the name of an environment variable is empty"),
        ('env={"A=B": "x"}', "app:bad: field `env`: the name of the environment variable 'A=B' contains '='"),
        ('workdir="srv"', "app:bad: field `workdir`: the path 'srv' is not absolute"),
        ('user="a b"', "app:bad: field `user`: 'a b' is not a user"),
        ('user="4294967296"', "app:bad: field `user`: 4294967296 is more than"),
        ('labels={"": "x"}', "app:bad: field `labels`: the name of a label is empty"),
        ('entrypoint=[""]', "app:bad: field `entrypoint`: the name of the program is empty"),
        ('registries=["@nowhere"]', "app:bad: field `registries`: unknown registry @nowhere"),
        (
            'registries=["https://x.y"]',
            "app:bad: field `registries`: invalid registry 'https://x.y'; remove https://",
        ),
        ('registries=["u:hunter2@x.y"]', "app:bad: field `registries`: invalid registry 'x.y'; remove the user"),
        ('registries=["x.y"], repository="Team/App"', "app:bad: field `repository`: invalid repository 'Team/App'"),
        ('registries=["x.y"], repository="{nothing}"', "app:bad: field `repository`: invalid value '{nothing}'"),
        ('registries=["x.y"], repository="{"', "app:bad: field `repository`: invalid "),
        ('registries=["x.y"], image_tags=["a b"]', "app:bad: field `image_tags`: invalid tag 'a b'"),
        ('registries=["x.y"], image_tags=["{pants.nothing}"]', "app:bad: field `image_tags`: invalid value"),
        ('registries=["x.y"], image_tags=["{name[a]}"]', "app:bad: field `image_tags`: invalid value '{name[a]}'"),
        ('registries=["x.y"], image_tags=[]', "app:bad: field `image_tags`: no tag is given"),
        (
            'layers=[":files"]',
            "app:bad: field `layers`: the target app/a.txt:files has the type `file`, not `image_layer`",
        ),
        (
            'dependencies=[":layer"]',
            "app:bad: field `dependencies`: the target app:layer has the type `image_layer`; move the address to `la",
        ),
        (
            'dependencies=[":image"]',
            "app:bad: field `dependencies`: the target app:image has the type `container_image`",
        ),
        ('dependencies=[":push"]', "app:bad: field `dependencies`: the target app:push has the type `push_image`"),
        ('directory="/a/../b", dependencies=[":files"]', "app:bad"),
    ],
)
def test_invalid_image_fields(backend, fields, message):
    backend.write_files({**FILES, "app/BUILD": FILES["app/BUILD"] + f'\ncontainer_image(name="bad", {fields})\n'})
    line = backend.error_line(lambda: backend.package("app:bad"))
    assert message in line
    assert "\n" not in line
    assert "hunter2" not in line


def test_two_sources_for_one_path(backend):
    backend.write_files(
        {
            **FILES,
            "b/a.txt": "another",
            "b/BUILD": """
file(name="a", source="a.txt")
relocated_files(name="moved", files_targets=[":a"], src="b", dest="app")
container_image(name="image", dependencies=[":moved", "app:files"])
""",
        }
    )
    line = backend.error_line(lambda: backend.package("b:image"))
    assert "b:image" in line and "app/a.txt" in line and "app:files" in line and "b:moved" in line
    assert "\n" not in line


def test_dependency_without_files(backend):
    backend.write_files(
        {
            "a/BUILD": """
files(name="none", sources=["*.nothing"])
relocated_files(name="moved", files_targets=[":none"], src="a", dest="b")
container_image(name="image", dependencies=[":moved"])
"""
        }
    )
    line = backend.error_line(lambda: backend.package("a:image"))
    assert "a:image: field `dependencies`: the target a:moved of the type `relocated_files` provides no file" in line


def test_push_image_of_a_layer(backend):
    backend.write_files({**FILES, "p/BUILD": 'push_image(name="push", image="app:layer")'})
    line = backend.error_line(lambda: backend.package("p:push", PushImageFieldSet))
    assert "p:push: field `image`: the target app:layer has the type `image_layer`, not `container_image`" in line


def test_transitive_excludes_are_rejected(backend):
    """An image must not contain a file that its target excludes."""
    backend.write_files(
        {
            "app/f.txt": "f",
            "app/g.txt": "g",
            "app/BUILD": """
file(name="f", source="f.txt")
file(name="g", source="g.txt", dependencies=[":f"])
container_image(name="image", dependencies=[":g", "!!:f"])
""",
        }
    )
    with pytest.raises(Exception, match="!!"):
        backend.package("app:image")


@pytest.fixture
def deferred(backend, monkeypatch):
    """deferred(error) lets the download of layers fail, and returns the list of processes that build layers then."""
    backend.write_files(FILES)
    backend.set_options(["--cache-content-behavior=defer"], env_inherit={"PATH"})
    built = []
    run_builder = layer_process.run_builder

    def fail(error: str) -> list:
        async def download(process):
            raise Exception(error)

        async def build(address, description, *arguments, **options):
            built.append(description)
            return await run_builder(address, description, *arguments, **options)

        monkeypatch.setattr(_compat, "run_local_process", download)
        monkeypatch.setattr(layer_process, "run_builder", build)
        return built

    return fail


def test_layers_that_the_remote_cache_has_lost_are_built_again(backend, deferred):
    """Pants 2.27 to 2.31 report such an error, and do not build the layers themselves."""
    digest = backend.description("app:image")["digest"]
    backend.scheduler.scheduler.invalidate_all()
    built = deferred("Was not present in either the local or remote store: Digest { ... }")
    assert backend.description("app:image")["digest"] == digest
    again = [description for description in built if description.endswith(" again")]
    assert sorted(again) == ["Build the layer of app:image again", "Build the layer of app:layer again"]


def test_layers_that_cannot_be_downloaded_are_an_error(backend, deferred):
    deferred("no route to the cache")
    assert backend.error_line(lambda: backend.package("app:image")) == (
        "app:layer: cannot download the layers from the remote cache: no route to the cache; run the command again "
        "with --cache-content-behavior=fetch, which builds the missing layers"
    )
