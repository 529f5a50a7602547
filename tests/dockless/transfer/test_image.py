import json

import pytest
from made_images import layout_of, make_image, tar_of

from dockless import (
    Image,
    ImageIndex,
    InlineFile,
    InvalidDocumentError,
    InvalidValueError,
    Layer,
    LayerError,
    RegistryAccess,
    RegistryError,
)
from dockless.layout.oci_layout import OciLayout
from dockless.testing import Registry

HELLO = Layer.from_files({"/etc/motd": InlineFile("hi\n", mode=0o600)})


def layer(text):
    return Layer.from_files({"/f": InlineFile(text)})


def digests(image):
    return [found.descriptor.digest for found in image.layers]


def gets(registry):
    return [str(r) for r in registry.requests if r.operation == "blob get"]


def test_only_manifest_and_config_are_read(registry, image, push):
    push(registry, "base", "1", image)
    found = Image.from_registry(f"{registry.host}/base:1")
    assert found.digest == image.manifest.digest
    assert found.env == {"PATH": "/bin"} and str(found.platform) == "linux/amd64"
    assert len(gets(registry)) == 1, "the config"


def test_an_image_on_a_base_saved_under_two_tags(registry, image, push):
    push(registry, "base", "1", image)
    built = (
        Image.from_registry(f"{registry.host}/base:1")
        .add_layer(HELLO)
        .with_config(working_dir="/app", cmd=["python", "main.py"], env={"PORT": "8080"})
    )
    digest = built.digest
    registry.reset_requests()
    pushed = built.save(f"{registry.host}/app", tags=["1.2.3", "latest"])
    assert pushed.digest == digest == registry.manifest("app", "1.2.3").digest
    assert pushed.references == (f"{registry.host}/app:1.2.3", f"{registry.host}/app:latest")
    assert (pushed.blobs_mounted, pushed.blobs_sent) == (2, 2)
    assert gets(registry) == [], "no byte of the base came to us"
    config = json.loads(registry.blob("app", json.loads(registry.manifest("app", "latest").raw)["config"]["digest"]))
    assert config["config"] == {"Env": ["PATH=/bin", "PORT=8080"], "WorkingDir": "/app", "Cmd": ["python", "main.py"]}
    assert len(config["history"]) == len(config["rootfs"]["diff_ids"]) == 3


def test_saving_again_sends_nothing(registry):
    built = Image.scratch().add_layer(HELLO).with_config(env={"A": "1"})
    first = built.save(f"{registry.host}/app:1")
    registry.reset_requests()
    second = built.save(f"{registry.host}/app:1")
    assert (first.digest, second.bytes_sent) == (second.digest, 0)
    assert {r.operation for r in registry.requests} - {"ping get"} == {"manifest get"}


def test_the_default_tag(registry):
    assert Image.scratch().save(f"{registry.host}/app").references == (f"{registry.host}/app:latest",)
    assert Image.scratch().save(f"{registry.host}/app:own").references == (f"{registry.host}/app:own",)


def test_several_destinations(tmp_path, registry, other):
    built = Image.scratch().add_layer(HELLO)
    pushed = built.save(f"{registry.host}/a", f"{other.host}/b", f"oci:{tmp_path}/l", tags=["1"])
    assert pushed.references == (f"{registry.host}/a:1", f"{other.host}/b:1", f"oci:{tmp_path}/l:1")
    with pytest.raises(InvalidValueError, match="name a destination"):
        built.save()


def test_a_base_in_another_registry_crosses_once_and_only_if_missing(registry, other, image, push):
    push(registry, "base", "1", image)
    base = Image.from_registry(f"{registry.host}/base:1")
    base.add_layer(layer("1")).save(f"{other.host}/app:1")
    assert len(gets(registry)) == 3
    registry.reset_requests()
    base.add_layer(layer("2")).save(f"{other.host}/app:2")
    assert gets(registry) == []


def test_images_are_values(image, registry, push):
    push(registry, "base", "1", image)
    base = Image.from_registry(f"{registry.host}/base:1")
    before = base.digest
    one = base.add_layer(layer("1"))
    base.add_layer(layer("2")).with_config(user="1").remove_layer(digests(base)[0])
    assert base.digest == before
    assert one == base.add_layer(layer("1")) and hash(one) == hash(base.add_layer(layer("1")))
    one.config["config"]["Env"].append("X=1")
    assert one.env == {"PATH": "/bin"}
    with pytest.raises(AttributeError):
        base.anything = 1


def test_layers_keep_the_order_they_were_added_in():
    big = Layer.from_files({"/big": InlineFile(b"x" * 3_000_000)})
    built = Image.scratch().add_layer(big)
    for n in range(5):
        built = built.add_layer(layer(str(n)))
    again = Image.scratch().add_layer(big)
    for n in range(5):
        again = again.add_layer(layer(str(n)))
    assert digests(built) == digests(again) and built.layers[0].descriptor.size > 1000


def test_a_layer_is_removed_and_replaced(registry):
    built = Image.scratch()
    for n in "abc":
        built = built.add_layer(layer(n), created_by=f"layer {n}")
    without = built.remove_layer(digests(built)[1])
    assert digests(without) == [digests(built)[0], digests(built)[2]]
    assert [h["created_by"] for h in without.config["history"]] == ["layer a", "layer c"]
    replaced = built.replace_layer(digests(built)[1], layer("new"), created_by="layer new")
    assert [h["created_by"] for h in replaced.config["history"]] == ["layer a", "layer new", "layer c"]
    assert digests(replaced)[::2] == digests(built)[::2] and digests(replaced)[1] != digests(built)[1]
    assert replaced.config["rootfs"]["diff_ids"][1] == replaced.layers[1].diff_id
    replaced.save(f"{registry.host}/app")
    with pytest.raises(InvalidValueError, match="no layer"):
        built.remove_layer("sha256:" + "0" * 64)


def test_a_remote_layer_by_digest(registry, other, image, push):
    push(registry, "base", "1", image)
    found = image.documents.layers[0]
    values = (found.descriptor.digest, found.diff_id, found.descriptor.size)
    built = Image.scratch().add_remote_layer(*values, repository=f"{registry.host}/base")
    built.save(f"{other.host}/app")
    assert found.descriptor.digest in other.blobs("app")
    # The destination already has the layer, so no source is needed.
    assert Image.scratch().add_remote_layer(*values).save(f"{registry.host}/base:2").blobs_present == 1
    with pytest.raises(Exception, match="no source is known for the blob"):
        Image.scratch().add_remote_layer(*values).save(f"{other.host}/third")
    with pytest.raises(InvalidValueError, match="size"):
        Image.scratch().add_remote_layer(values[0], values[1], -1)


def test_raw_access_to_the_config():
    built = Image.scratch().with_config(raw={"author": "me", "config": {"OnBuild": ["RUN x"]}})
    assert built.config["author"] == "me" and built.config["config"]["OnBuild"] == ["RUN x"]
    assert "OnBuild" not in built.with_config(raw={"config": {"OnBuild": None}}).config["config"]


def test_text_instead_of_a_list():
    with pytest.raises(InvalidValueError, match="cmd is a string, not a list"):
        Image.scratch().with_config(cmd="python main.py")


def test_annotations_and_format():
    built = Image.scratch().add_layer(HELLO).with_annotations({"a": "b"})
    assert json.loads(built.manifest_bytes)["annotations"] == {"a": "b"}
    docker = built.with_format("docker")
    assert b"application/vnd.docker" in docker.manifest_bytes and docker.layers[0].diff_id == built.layers[0].diff_id


def test_rebase_builds_no_layer(registry, push):
    old, new = make_image(b"old"), make_image(b"new", b"newer")
    push(registry, "base", "old", old)
    push(registry, "base", "new", new)
    bases = [Image.from_registry(f"{registry.host}/base:{tag}") for tag in ("old", "new")]
    rebased = bases[0].add_layer(HELLO).rebase(*bases)
    assert digests(rebased)[:2] == digests(bases[1])
    assert rebased == bases[1].add_layer(HELLO)
    assert rebased.save(f"{registry.host}/app").blobs_mounted == 2


def test_from_a_layout_and_archives(tmp_path, image):
    layout_of(tmp_path / "l", image.manifest.descriptor, blobs=image.blobs, names=["v1"])
    found = Image.from_layout(str(tmp_path / "l"), "v1")
    assert found.digest == image.manifest.digest
    found.save(f"oci-archive:{tmp_path}/o.tar", f"docker-archive:{tmp_path}/d.tar:app:1")
    assert Image.from_archive(str(tmp_path / "o.tar")).digest == found.digest
    loaded = Image.from_archive(str(tmp_path / "d.tar"), "app:1")
    assert loaded.config == found.config
    loaded.add_layer(HELLO).save(f"oci:{tmp_path}/n:x")
    assert len(OciLayout(str(tmp_path / "n")).manifest(OciLayout(str(tmp_path / "n")).root()).layers) == 3


def test_an_existing_tarball(tmp_path, registry):
    (tmp_path / "t.tar").write_bytes(tar_of({"a": b"x"}))
    built = Image.scratch().add_layer(Layer.from_tarball(tmp_path / "t.tar"))
    built.save(f"{registry.host}/app")
    assert registry.blob("app", digests(built)[0]) == tar_of({"a": b"x"})
    (tmp_path / "t.tar").write_bytes(b"no tar" * 200)
    with pytest.raises(LayerError):
        Image.scratch().add_layer(Layer.from_tarball(tmp_path / "t.tar"))


def test_the_directory_of_a_built_layer_is_removed_with_its_images():
    import gc
    import os

    built = Image.scratch().add_layer(HELLO)
    (directory,) = built._layer_sources.values()
    path, copy = directory.path, built.with_config(user="1")
    del built, directory
    gc.collect()
    assert os.listdir(path) == [digests(copy)[0].hex]
    del copy
    gc.collect()
    assert not os.path.exists(path)


def test_save_uses_the_blobs_that_prefetch_copied(registry, other, image, push):
    push(registry, "base", "1", image)
    base = Image.from_registry(f"{registry.host}/base:1")
    done = base.prefetch(f"{other.host}/app")
    built = base.add_layer(HELLO)
    assert done.result(30).blobs_sent == 2
    pushed = built.save(f"{other.host}/app")
    assert (pushed.blobs_present, pushed.blobs_sent) == (2, 2)
    with pytest.raises(InvalidValueError, match="it is not a registry"):
        base.prefetch("oci:x")


def test_a_failed_prefetch_raises_when_its_result_is_read(registry, image, push):
    push(registry, "base", "1", image)
    base = Image.from_registry(f"{registry.host}/base:1")
    with Registry() as gone:
        host = gone.host
    with pytest.raises(RegistryError):
        base.prefetch(f"{host}/app", access=RegistryAccess()).result(60)


def test_an_index_of_images(registry):
    images = [Image.scratch(f"linux/{name}").add_layer(layer(name)) for name in ("amd64", "arm64")]
    index = ImageIndex(images, annotations={"a": "b"})
    pushed = index.save(f"{registry.host}/app:1")
    assert pushed.digest == index.digest == registry.manifest("app", "1").digest
    assert Image.from_registry(f"{registry.host}/app:1", platform="linux/arm64") == images[1]
    assert index.platform("linux/aarch64") == images[1]
    with pytest.raises(InvalidDocumentError, match="it has linux/amd64, linux/arm64"):
        Image.from_registry(f"{registry.host}/app:1", platform="windows/amd64")
    with pytest.raises(InvalidValueError, match="two images are for linux/amd64"):
        ImageIndex([images[0], images[0]])


@pytest.mark.parametrize("reference", ["Bad Name", "app@sha256:12", "http://x/y"])
def test_bad_references(reference):
    with pytest.raises(InvalidValueError):
        Image.from_registry(reference)


def test_invalid_base_documents(registry, image, push):
    push(registry, "base", "1", image)
    bad = image.manifest.json
    bad["layers"].pop()
    registry.put_manifest("base", json.dumps(bad).encode(), image.manifest.media_type, "short")
    with pytest.raises(InvalidDocumentError, match="its manifest has 1 layer, its config 2 diff IDs"):
        Image.from_registry(f"{registry.host}/base:short")
    bad = {**image.manifest.json, "config": {**image.manifest.json["config"], "size": 200 << 20}}
    registry.put_manifest("base", json.dumps(bad).encode(), image.manifest.media_type, "huge")
    with pytest.raises(InvalidDocumentError, match="has 209715200 bytes: the limit is"):
        Image.from_registry(f"{registry.host}/base:huge")
    v1 = {"schemaVersion": 1, "name": "x", "fsLayers": [], "history": []}
    kind = "application/vnd.docker.distribution.manifest.v1+prettyjws"
    registry.put_manifest("base", json.dumps(v1).encode(), kind, "v1")
    with pytest.raises(InvalidDocumentError, match="Docker schema 1 manifest"):
        Image.from_registry(f"{registry.host}/base:v1")
