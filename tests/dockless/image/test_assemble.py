import json

import pytest

from dockless.errors import InvalidDocumentError, InvalidValueError
from dockless.mutate.assemble import assemble_image
from dockless.mutate.config_edit import ConfigEdit
from dockless.oci import media_types
from dockless.oci.descriptor import Descriptor
from dockless.oci.digest import Digest
from dockless.oci.image_documents import ImageDocuments, ImageLayer
from dockless.oci.manifest import Manifest
from dockless.oci.platform import Platform

OCI_GZIP = f"{media_types.OCI_LAYER}+gzip"
OWN = ImageLayer(Descriptor(OCI_GZIP, Digest.of(b"own"), 3), Digest.of(b"own!"))
LINUX = Platform("linux", "amd64")


def test_from_scratch():
    image = assemble_image(Platform("linux", "arm64"), [OWN], ConfigEdit(cmd=("x",)))
    assert image.manifest.media_type == media_types.OCI_MANIFEST
    assert image.platform == Platform("linux", "arm64")
    assert image.config.diff_ids == (OWN.diff_id,)
    assert len(image.config.history) == 1
    assert image.layers == (OWN,)
    assert ImageDocuments.read(image.manifest, image.config_bytes, "image") == image


def test_a_docker_base_keeps_its_format_and_layers(make_base):
    base = make_base({"config": {}})
    image = assemble_image(LINUX, [OWN], ConfigEdit(), base=base)
    assert image.manifest.media_type == media_types.DOCKER_MANIFEST
    assert image.manifest.config.media_type == media_types.DOCKER_CONFIG
    assert image.manifest.layers[:2] == base.manifest.layers
    assert image.manifest.layers[2].media_type == media_types.DOCKER_LAYER_GZIP


def test_an_image_without_changes_has_the_bytes_of_its_base(make_base):
    base = make_base({"config": {}, "x": 1})
    assert assemble_image(LINUX, [], ConfigEdit(), base=base) is base
    assert assemble_image(None, [], ConfigEdit(), base=base, image_format="docker") is base


@pytest.mark.parametrize(("docker", "target"), [(True, "oci"), (False, "docker")])
def test_another_format_converts_every_type(make_base, docker, target):
    image = assemble_image(
        LINUX, [OWN], ConfigEdit(), base=make_base({"config": {}}, docker=docker), image_format=target
    )
    kinds = {layer.media_type for layer in image.manifest.layers}
    assert kinds == {OCI_GZIP if target == "oci" else media_types.DOCKER_LAYER_GZIP}
    assert image.image_format == target


def test_a_type_without_a_counterpart_is_refused(make_base):
    strange = Descriptor("application/vnd.oci.image.layer.v1.tar+gzip+encrypted", Digest.of(b"s"), 1)
    with pytest.raises(InvalidValueError, match="a docker image cannot have a layer with the media type .*encrypted'"):
        assemble_image(LINUX, [ImageLayer(strange, Digest.of(b"s!"))], ConfigEdit(), image_format="docker")


def test_foreign_layers_keep_their_urls_through_a_conversion(make_base):
    foreign = Descriptor(
        "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", Digest.of(b"f"), 1, urls=("https://example.com/f",)
    )
    image = assemble_image(LINUX, [ImageLayer(foreign, Digest.of(b"f!"))], ConfigEdit())
    assert image.manifest.layers[0].media_type == "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip"
    assert image.manifest.layers[0].urls == foreign.urls


def test_unknown_keys_of_both_documents_stay(make_base):
    base = make_base({"config": {"OnBuild": ["X"], "y": 2}, "container": "z"}, annotations={"a": "1"}, unknown={"k": 1})
    image = assemble_image(LINUX, [OWN], ConfigEdit(env={"A": "1"}), base=base, annotations={"b": "2"})
    assert image.manifest.json["unknown"] == {"k": 1}
    assert image.manifest.json["annotations"] == {"a": "1", "b": "2"}
    assert image.config.document["container"] == "z"
    assert image.config.document["config"] == {"OnBuild": ["X"], "y": 2, "Env": ["A=1"]}


def test_the_subject_of_the_base_is_removed(make_base):
    subject = {"mediaType": media_types.OCI_MANIFEST, "digest": str(Digest.of(b"s")), "size": 1}
    image = assemble_image(LINUX, [OWN], ConfigEdit(), base=make_base({}, docker=False, subject=subject))
    assert "subject" not in image.manifest.json


def test_removed_layers_go_with_diff_id_and_history(make_base):
    history = [{"created_by": "lower"}, {"created_by": "ENV", "empty_layer": True}, {"created_by": "upper"}]
    base = make_base({"history": history})
    image = assemble_image(LINUX, [OWN], ConfigEdit(), base=base, remove_layers=[Digest.of(b"lower")])
    assert [layer.descriptor.digest for layer in image.layers] == [Digest.of(b"upper"), Digest.of(b"own")]
    assert image.config.diff_ids == (Digest.of(b"upper!"), Digest.of(b"own!"))
    assert [entry["created_by"] for entry in image.config.history] == ["ENV", "upper", "dockless"]


def test_a_layer_is_removed_by_its_diff_id_at_any_position(make_base):
    base = make_base({}, layers=("twice", "other", "twice"))
    image = assemble_image(LINUX, [], ConfigEdit(), base=base, remove_layers=[Digest.of(b"twice!")])
    assert [layer.descriptor.digest for layer in image.layers] == [Digest.of(b"other")]


def test_removing_a_missing_layer_is_an_error(make_base):
    with pytest.raises(InvalidValueError, match=f"to remove: the layers are {Digest.of(b'lower')}"):
        assemble_image(LINUX, [], ConfigEdit(), base=make_base({}), remove_layers=[Digest.of(b"no")])


def test_layers_stay_in_the_order_they_were_given(make_base):
    names = [f"layer{n}" for n in range(20)]
    layers = [ImageLayer(Descriptor(OCI_GZIP, Digest.of(n.encode()), 1), Digest.of(n.encode())) for n in names]
    assert assemble_image(LINUX, layers, ConfigEdit()).layers == tuple(layers)


@pytest.mark.parametrize("config", [{}, {"config": None}, {"config": {}}, {"config": {"Env": None}}])
def test_a_base_without_env(make_base, config):
    image = assemble_image(LINUX, [], ConfigEdit(env={"A": "1"}), base=make_base(config))
    assert image.config.document["config"]["Env"] == ["A=1"]


def test_another_platform_than_the_bases(make_base):
    with pytest.raises(InvalidValueError, match="the base is for linux/amd64, not for linux/arm64"):
        assemble_image(Platform("linux", "arm64"), [OWN], ConfigEdit(), base=make_base({}))


def test_created_is_a_constant_by_default(make_base):
    base = make_base({"created": "2024-05-06T07:08:09.1Z"})
    assert assemble_image(LINUX, [OWN], ConfigEdit(), base=base).config.document["created"] == "1970-01-01T00:00:00Z"
    dated = assemble_image(LINUX, [OWN], ConfigEdit(created="2024-01-31T12:00:00Z"), base=base).config.document
    assert dated["created"] == dated["history"][-1]["created"] == "2024-01-31T12:00:00Z"


def test_size_counts_each_blob_once(make_base):
    base = make_base({}, layers=("same", "same"))
    assert base.size == len("same") + len(base.config_bytes) + len(base.manifest.raw)


def test_an_index_lists_the_platform_with_its_features(make_base):
    base = make_base({"os": "windows", "os.version": "10.0.1", "os.features": ["win32k"]})
    assert base.descriptor.to_json()["platform"] == {
        "os": "windows",
        "architecture": "amd64",
        "os.version": "10.0.1",
        "os.features": ["win32k"],
    }


def test_documents_that_do_not_fit_together(make_base):
    base = make_base({})
    with pytest.raises(
        InvalidDocumentError, match=r"does not match the manifest: the manifest says sha256:.* the config has"
    ):
        ImageDocuments.read(base.manifest, base.config_bytes + b" ", "base")
    with pytest.raises(InvalidDocumentError, match="its manifest has 2 layers, its config 1 diff ID"):
        make_base({"rootfs": {"type": "layers", "diff_ids": [str(Digest.of(b"x"))]}})


def test_an_artifact_is_not_an_image():
    config = b"{}"
    raw = json.dumps(
        {
            "schemaVersion": 2,
            "config": {"mediaType": "application/vnd.cncf.helm.config.v1+json", "digest": Digest.of(config), "size": 2},
            "layers": [],
        }
    ).encode()
    with pytest.raises(InvalidDocumentError, match=r"an artifact, not an image: .*helm"):
        ImageDocuments.read(Manifest.from_bytes(raw, "chart"), config, "chart")


def test_an_unknown_format():
    with pytest.raises(InvalidValueError, match="write oci or docker"):
        assemble_image(LINUX, [], ConfigEdit(), image_format="v1")
