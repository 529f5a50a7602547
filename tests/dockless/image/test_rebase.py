import pytest

from dockless.errors import InvalidValueError
from dockless.mutate.assemble import assemble_image
from dockless.mutate.config_edit import ConfigEdit
from dockless.mutate.rebase import rebase
from dockless.oci import media_types
from dockless.oci.descriptor import Descriptor
from dockless.oci.digest import Digest
from dockless.oci.image_documents import ImageLayer

OWN = ImageLayer(Descriptor(media_types.OCI_LAYER, Digest.of(b"own"), 3), Digest.of(b"own!"))


@pytest.fixture
def bases(make_base):
    old = make_base(
        {
            "config": {"Env": ["PATH=/bin", "V=1"], "Labels": {"v": "1"}, "Cmd": ["sh"], "User": "root"},
            "history": [{"created_by": "old"}, {"created_by": "ENV", "empty_layer": True}, {"created_by": "old2"}],
            "author": "base",
        }
    )
    new = make_base(
        {
            "config": {"Env": ["PATH=/usr/bin", "V=2", "W=1"], "Labels": {"v": "2"}, "Cmd": ["bash"], "User": "root"},
            "history": [{"created_by": "new"}],
            "author": "base2",
        },
        layers=("fresh",),
    )
    return old, new


def test_layers_diff_ids_and_history_change_together(bases):
    old, new = bases
    found = rebase(assemble_image(None, [OWN], ConfigEdit(), base=old), old, new)
    assert [layer.diff_id for layer in found.layers] == [Digest.of(b"fresh!"), OWN.diff_id]
    assert [entry["created_by"] for entry in found.config.history] == ["new", "dockless"]


def test_an_image_without_settings_equals_a_build_on_the_new_base(bases):
    old, new = bases
    found = rebase(assemble_image(None, [OWN], ConfigEdit(), base=old), old, new)
    assert found == assemble_image(None, [OWN], ConfigEdit(), base=new)


def test_settings_of_the_image_are_kept_and_others_follow_the_new_base(bases):
    old, new = bases
    edit = ConfigEdit(env={"V": "mine", "X": "1"}, labels={"l": "1"}, user="7")
    inner = rebase(assemble_image(None, [OWN], edit, base=old), old, new).config.document["config"]
    assert inner["Env"] == ["PATH=/usr/bin", "V=mine", "W=1", "X=1"]
    assert inner["Labels"] == {"v": "2", "l": "1"}
    assert (inner["User"], inner["Cmd"]) == ("7", ["bash"])


def test_entrypoint_and_cmd_are_one_decision(bases):
    old, new = bases
    image = assemble_image(None, [OWN], ConfigEdit(entrypoint=("/app",)), base=old)
    inner = rebase(image, old, new).config.document["config"]
    assert inner["Entrypoint"] == ["/app"] and "Cmd" not in inner


def test_the_image_keeps_its_format(bases, make_base):
    old, _ = bases
    new = make_base({}, docker=False, layers=("fresh",))
    found = rebase(assemble_image(None, [OWN], ConfigEdit(), base=old), old, new)
    assert found.image_format == "docker"
    assert {layer.media_type for layer in found.manifest.layers} == {
        media_types.DOCKER_LAYER_GZIP,
        media_types.DOCKER_LAYER,
    }


def test_an_image_without_a_time_gets_the_epoch(make_base):
    image, old, new = make_base({}, layers=("lower", "own")), make_base({}, layers=("lower",)), make_base({})
    assert "created" not in image.config.document
    assert rebase(image, old, new).config.document["created"] == "1970-01-01T00:00:00Z"


def test_bases_that_do_not_fit(bases, make_base):
    old, new = bases
    image = assemble_image(None, [OWN], ConfigEdit(), base=old)
    with pytest.raises(InvalidValueError, match="is not based on"):
        rebase(image, new, old)
    with pytest.raises(InvalidValueError, match="new base is for linux/arm64"):
        rebase(image, old, make_base({"architecture": "arm64"}))
