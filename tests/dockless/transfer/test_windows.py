"""Images for Windows: layers for Linux are refused, and `verify` reports them."""

import gzip
import json

import pytest
from made_images import image_with_layer, layout_of, tar_of
from verification import problems_of

from dockless import Image, InlineFile, Layer
from dockless.cli import main
from dockless.errors import InvalidValueError, LayerError
from dockless.mutate.assemble import assemble_image
from dockless.mutate.config_edit import ConfigEdit
from dockless.oci.platform import Platform

WINDOWS_TAR = tar_of({"Files/Windows/System32/config/SYSTEM": b"x", "Hives/System_Delta": b"y"})


@pytest.fixture
def base(tmp_path):
    """The location of a base for Windows."""
    image = image_with_layer(WINDOWS_TAR, os="windows", **{"os.version": "10.0.20348.1"})
    return f"oci:{layout_of(tmp_path / 'base', image.manifest.descriptor, blobs=image.blobs)}"


def layer(**options):
    return Layer.from_files({"/app/x": InlineFile(b"x")}, **options)


def test_a_base_for_windows_is_valid_and_its_config_can_be_edited(tmp_path, base):
    assert problems_of(base) == ""
    edited = Image.load(base).with_config(cmd=["cmd.exe"], env={"A": "1"}).with_annotations({"a": "b"})
    edited.save(f"oci:{tmp_path}/edited")
    assert problems_of(f"oci:{tmp_path}/edited") == ""
    assert edited.config["os.version"] == "10.0.20348.1"


def test_layers_for_linux_are_refused(tmp_path, base):
    image = Image.load(base)
    reason = "cannot add a layer to an image for Windows: layers are built for Linux.*; add a layer that"
    for new in (layer(), layer(compression="none"), Layer.from_files({}, whiteouts=["/Files/x"])):
        with pytest.raises(InvalidValueError, match=reason):
            image.add_layer(new)
        with pytest.raises(InvalidValueError, match=reason):
            image.replace_layer(image.layers[0].diff_id, new)


@pytest.mark.parametrize("platform", ["windows/amd64", "windows/arm64", "Windows/x86_64"])
def test_an_image_for_windows_needs_a_base(platform):
    with pytest.raises(InvalidValueError, match="cannot make an image for Windows without a base.*name a base"):
        Image.scratch(platform)
    with pytest.raises(InvalidValueError, match="without a base"):
        assemble_image(Platform.parse(platform), [], ConfigEdit())


def test_an_archive_of_a_layer_for_windows(tmp_path, base):
    (tmp_path / "good.tar").write_bytes(tar_of({"Files/app.exe": b"x", "Hives/Software_Delta": b""}))
    (tmp_path / "linux.tar.gz").write_bytes(gzip.compress(tar_of({"app/main": b"x"})))
    (tmp_path / "empty.tar").write_bytes(bytes(1024))
    image = Image.load(base).add_layer(Layer.from_tarball(tmp_path / "good.tar"))
    image.save(f"oci:{tmp_path}/l")
    assert problems_of(f"oci:{tmp_path}/l") == ""
    with pytest.raises(LayerError, match="the layer of an image for Windows contains the path 'app/main'"):
        image.add_layer(Layer.from_tarball(tmp_path / "linux.tar.gz"))
    with pytest.raises(LayerError, match="neither the directory Files nor the directory Hives"):
        image.add_layer(Layer.from_tarball(tmp_path / "empty.tar"))
    assert Image.scratch("linux/amd64").add_layer(Layer.from_tarball(tmp_path / "linux.tar.gz")).layers


@pytest.mark.parametrize(
    "arguments",
    [
        ["--base", "BASE", "--add", "SOURCE:/app/"],
        ["--base", "BASE", "--whiteout", "/x"],
        ["--base", "BASE", "--platform", "windows/amd64", "--add", "SOURCE:/Files/app/"],
        ["--platform", "windows/amd64", "--add", "SOURCE:/app/"],
        ["--platform", "windows/amd64", "--add", "SOURCE:/Files/app/", "--format", "docker"],
        ["--platform", "windows/amd64"],
    ],
)
@pytest.mark.parametrize("kind", ["oci", "oci-archive", "docker-archive"])
def test_build_leaves_nothing(tmp_path, base, capsys, arguments, kind):
    (tmp_path / "f").write_text("x")
    known = sorted(path.name for path in tmp_path.iterdir())
    words = [word.replace("BASE", base).replace("SOURCE", str(tmp_path / "f")) for word in arguments]
    assert main(["build", f"{kind}:{tmp_path}/out", *words]) == 1
    assert "image for Windows" in capsys.readouterr().err
    assert sorted(path.name for path in tmp_path.iterdir()) == known


def test_verify_reports_layers_for_linux(tmp_path):
    for n, config in enumerate([{"os": "windows"}, {"os": "Windows"}, {"os": "windows", "os.version": "10.0.1"}]):
        image = image_with_layer(tar_of({"app/main": b"x", "etc/passwd": b""}), **config)
        location = f"oci:{layout_of(tmp_path / str(n), image.manifest.descriptor, blobs=image.blobs)}"
        lines = problems_of(location).splitlines()
        assert "of an image for Windows contains the path 'app/main', which is not in Files or Hives" in lines[0]
        assert "has neither the directory Files nor the directory Hives" in lines[2]
    image = image_with_layer(tar_of({"app/main": b"x"}))
    assert problems_of(f"oci:{layout_of(tmp_path / 'linux', image.manifest.descriptor, blobs=image.blobs)}") == ""


def test_verify_reports_a_docker_archive_for_windows(tmp_path):
    tar = tar_of({"app/main": b"x"})
    image = image_with_layer(tar, os="windows")
    listed = [{"Config": "c.json", "RepoTags": ["app:1"], "Layers": ["l.tar"]}]
    files = {"manifest.json": json.dumps(listed).encode(), "c.json": image.documents.config_bytes, "l.tar": tar}
    (tmp_path / "a").write_bytes(tar_of(files))
    assert "not in Files or Hives" in problems_of(f"docker-archive:{tmp_path}/a")
