"""Arguments of wrong types: a clear error, never a wrong image."""

import json
import pickle
import tarfile
from datetime import datetime
from pathlib import Path

import pytest

import dockless
from dockless import (
    Digest,
    DocklessError,
    Image,
    InlineFile,
    InvalidValueError,
    Layer,
    LayerError,
    Platform,
    Reference,
    RegistryAccess,
    RegistryError,
    copy_image,
)
from dockless.registry.errors import RegistryConnectionError

SHA = "sha256:" + "a" * 64
IMAGE = Image.scratch()


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"ignores": "*.pyc"}, "`ignores` is not a list of strings"),
        ({"ignores": [1]}, "`ignores` is not a list of strings"),
        ({"ignore_files": ".dockerignore"}, "`ignore_files` is not a list of strings"),
        ({"whiteouts": "/etc/old"}, "`whiteouts` is not a list of strings"),
        ({"modes": {"*.sh": 0o755}}, '`modes` does not map paths to str; write {"*.sh": "0755"}'),
        ({"modes": ["*.sh"]}, "`modes` does not map paths"),
        ({"owner": 1000}, '`owner` is 1000, not a string; write "1000:1000"'),
        ({"owners": {"/a": (1, 2)}}, "`owners` does not map paths"),
        ({"symlinks": ["/a"]}, "`symlinks` does not map paths"),
        ({"directories": ["/a"]}, "`directories` does not map paths"),
        ({"inline_files": {"/a": "text"}}, "`inline_files` does not map paths to InlineFile"),
        ({"compression": None}, "`compression` is None, not a string"),
        ({"mtime": datetime(2024, 1, 1)}, "is not a time; write seconds since 1970"),
    ],
)
def test_fields_of_a_layer(tmp_path, fields, says):
    (tmp_path / "f").write_text("x")
    with pytest.raises(LayerError) as caught:
        Layer.from_files({"/app": tmp_path}, **fields).build(str(tmp_path))
    assert says in str(caught.value)


@pytest.mark.parametrize("file", [InlineFile(5), InlineFile(None), InlineFile("x", "0755")])
def test_inline_files(tmp_path, file):
    """bytes(5) would be five zero bytes."""
    with pytest.raises(LayerError, match="neither a string nor bytes"):
        Layer.from_files({"/f": file}).build(str(tmp_path))


@pytest.mark.parametrize("files", [["src"], "src", {"/app": None}, {"/app": 5.0}])
def test_files(files):
    with pytest.raises(LayerError, match=r"is not a mapping|is not a path on disk"):
        Layer.from_files(files)


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"env": ["A=1"]}, "invalid env: ['A=1'] is not a mapping"),
        ({"env": {"A": 1}}, 'invalid env: 1 is not a string; write "1"'),
        ({"labels": {"a": None}}, "invalid labels: None is not a string"),
        ({"cmd": "ls"}, "cmd is a string, not a list"),
        ({"cmd": ["ls", 1]}, "invalid cmd: 1 is not a string"),
        ({"exposed_ports": [80]}, 'invalid exposed_ports: 80 is not a string; write "80"'),
        ({"volumes": "/data"}, "volumes is a string, not a list; write ['/data']"),
        ({"user": 1000}, "invalid user: 1000 is not a string"),
        ({"working_dir": Path("/app")}, "invalid working_dir: PosixPath('/app') is not a string"),
        ({"created": datetime(2024, 1, 1)}, "invalid created: datetime.datetime"),
        ({"healthcheck": "curl"}, "invalid healthcheck: 'curl' is not a mapping"),
        ({"healthcheck": {"Test": "curl"}}, "the value 'curl' of Test is not a list of strings"),
        ({"healthcheck": {"Test": ["curl"]}}, "the first item is 'curl'; begin with CMD, CMD-SHELL or NONE"),
        ({"healthcheck": {"Interval": "5s"}}, "the value of Interval is '5s'; write nanoseconds"),
        ({"healthcheck": {"Retries": -1}}, "the value of Retries is -1; write a whole number"),
        ({"raw": "x"}, "invalid raw: 'x' is not a mapping"),
        (
            {"raw": {"a": json.loads("[" * 100 + "]" * 100)}},
            "invalid raw: the patch is not JSON: the JSON is nested too deeply",
        ),
    ],
)
def test_fields_of_a_config(fields, says):
    with pytest.raises(InvalidValueError) as caught:
        IMAGE.with_config(**fields)
    assert says in str(caught.value)


@pytest.mark.parametrize("annotations", [["a=b"], {"a": 1}, {1: "a"}, {"": "a"}])
def test_annotations(annotations):
    with pytest.raises(InvalidValueError, match="annotation"):
        IMAGE.with_annotations(annotations)
    with pytest.raises(InvalidValueError, match="annotation"):
        dockless.ImageIndex([IMAGE], annotations=annotations)


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: IMAGE.add_layer("src"), "'src' is not a layer; write Layer.from_files"),
        (lambda: IMAGE.replace_layer(SHA, {"/app": "src"}), "is not a layer; write Layer.from_files"),
        (lambda: IMAGE.add_remote_layer(SHA, SHA, 3, urls="http://x/y"), "urls is a string, not a list"),
        (lambda: IMAGE.add_remote_layer(SHA, SHA, 3, urls=["file:///x"]), "is not a valid URL"),
        (lambda: IMAGE.add_remote_layer(SHA, SHA, 3, urls=["https://u:secret@x/y"]), "https://x/y is not a valid URL"),
        (lambda: IMAGE.remove_layer(0), "invalid digest '0'"),
        (lambda: IMAGE.save(Path("out")), "a location must be text, not PosixPath: "),
        (lambda: IMAGE.save(["oci:out"]), "a location must be text, not list"),
        (lambda: IMAGE.save("oci:out", tags="latest"), "tags is a string, not a list; write ['latest']"),
        (lambda: IMAGE.prefetch(None), "a location must be text, not NoneType"),
        (lambda: copy_image(Path("x"), "oci:out"), "a location must be text, not PosixPath"),
        (lambda: Image.load(None), "a location must be text, not NoneType"),
        (lambda: Image.from_registry(Reference.parse("a.example/b")), "is not a reference but a Reference"),
        (lambda: Image.scratch(None), "invalid platform 'None'"),
        (lambda: Platform.parse(("linux", "amd64")), "invalid platform"),
        (lambda: Digest(None), "invalid digest 'None'"),
        (
            lambda: RegistryAccess(credentials={"a.example": ("user", "secret")}),
            "the credentials for a.example must be a `Credentials` object",
        ),
    ],
)
def test_arguments(call, says, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InvalidValueError) as caught:
        call()
    assert says in str(caught.value) and "secret" not in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_the_first_destination_is_not_written_when_the_last_is_wrong(tmp_path):
    with pytest.raises(InvalidValueError, match="invalid tag"):
        IMAGE.save(f"oci:{tmp_path}/first", "a.example/app", tags=["no/tag", "1"])
    with pytest.raises(InvalidValueError, match="invalid repository"):
        IMAGE.save(f"oci:{tmp_path}/first", "a.example/App")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "error",
    [
        LayerError("problem", cause="cause", hint="hint"),
        RegistryConnectionError("problem", cause="cause", hint="hint", reason="refused"),
        RegistryError("problem"),
    ],
)
def test_errors_can_be_pickled(error):
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is type(error) and str(again) == str(error) and vars(again) == vars(error)
    assert isinstance(again, DocklessError)


def test_iterators_are_read_once(tmp_path):
    (tmp_path / "src").mkdir()
    for name in ("a.py", "a.pyc"):
        (tmp_path / "src" / name).write_text("x")
    layer = Layer.from_files({"/app": tmp_path / "src"}, ignores=(line for line in ["*.pyc"]))
    image = Image.scratch().add_layer(layer)
    pushed = image.save(f"oci:{tmp_path}/o", tags=(tag for tag in "ab"))
    assert [reference.rpartition(":")[2] for reference in pushed.references] == ["a", "b"]
    again = copy_image(f"oci:{tmp_path}/o:a", f"oci:{tmp_path}/p", tags=(tag for tag in ["x1", "x2"]))
    assert [reference.rpartition(":")[2] for reference in again.references] == ["x1", "x2"]
    with tarfile.open(tmp_path / "o/blobs/sha256" / image.layers[0].descriptor.digest.hex) as tar:
        assert tar.getnames() == ["app", "app/a.py"]


def test_later_changes_of_arguments_do_not_change_a_layer(tmp_path):
    (tmp_path / "f").write_text("x")
    modes = {"f": "0755"}
    layer = Layer.from_files({"/f": tmp_path / "f"}, modes=modes)
    before = layer.build(str(tmp_path)).descriptor.digest
    modes.clear()
    assert layer.build(str(tmp_path)).descriptor.digest == before


@pytest.mark.parametrize("threads", [-1, "2", 1.5])
def test_threads(tmp_path, threads):
    with pytest.raises(LayerError, match="`threads` is .*; write 0 or more"):
        Layer.from_files({}, directories={"/a": "0755"}).build(str(tmp_path), threads=threads)


@pytest.mark.parametrize("tags", [None, 5, [1]])
def test_invalid_tags(tmp_path, tags):
    with pytest.raises(InvalidValueError, match="not a list of strings"):
        Image.scratch().save(f"oci:{tmp_path}/o", tags=tags)
