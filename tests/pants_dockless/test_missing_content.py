"""Targets that contribute nothing to an image are reported, and fields are shown as they were written."""

import pytest
from pants.backend.docker.target_types import DockerImageTarget
from pants.backend.python.target_types import PythonRequirementTarget, PythonSourceTarget
from pants.engine.addresses import Address
from pants_backend import make_backend

FILES = {
    "app/f.txt": "f",
    "app/g.txt": "g",
    "app/code.py": "",
    "app/BUILD": """
file(name="f", source="f.txt")
python_source(name="code", source="code.py")
python_requirement(name="req", requirements=["requests"])
file(name="with-code", source="g.txt", dependencies=[":code", ":req"])
target(name="good", dependencies=[":f", ":with-code"])
target(name="code-in-group", dependencies=[":f", ":code"])
target(name="req-in-group", dependencies=[":f", ":req"])
target(name="nested", dependencies=[":req-in-group"])
target(name="empty")
""",
}


@pytest.fixture(scope="module")
def backend():
    # Without the rules for these targets: the inference of dependencies downloads pex.
    made = make_backend((), (DockerImageTarget, PythonRequirementTarget, PythonSourceTarget))
    made.write_files(FILES)
    return made


def warnings(caplog) -> list:
    return [record.getMessage() for record in caplog.records if record.name.startswith("pants_dockless")]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (
            "dependencies=[':old']",
            "field `dependencies`: the target b:old has the type `docker_image`, which cannot be the content of a "
            "layer; use the addresses of the files and packages in the image",
        ),
        (
            "layers=[':other']",
            "field `layers`: the target b:other has the type `container_image`, not `image_layer`; write the "
            "address in the field `base`",
        ),
        (
            "base=':old'",
            "field `base`: the target b:old has the type `docker_image`, not `container_image`; use the address of a "
            "base_image or a container_image, or a reference with a digest",
        ),
    ],
)
def test_an_image_in_the_wrong_field(backend, fields, message):
    others = 'docker_image(name="old", instructions=["FROM scratch"])\ncontainer_image(name="other", cmd=["a"])\n'
    backend.write_files({"b/BUILD": f'{others}container_image(name="image", {fields})\n'})
    assert backend.error_line(lambda: backend.package("b:image")) == f"b:image: {message}"


HINT = "depend on files, resources or a package such as pex_binary or archive"


@pytest.mark.parametrize("field", ["dependencies=['app:f', 'app:{}']", "contents={{'/x/': 'app:{}'}}"])
@pytest.mark.parametrize(
    "name, target, kind",
    [
        ("req", "app:req", "python_requirement"),
        ("code", "app:code", "python_source"),
        ("req-in-group", "app:req", "python_requirement"),
        ("code-in-group", "app:code", "python_source"),
        ("nested", "app:req", "python_requirement"),
    ],
)
@pytest.mark.parametrize("image", ["container_image", "image_layer"])
def test_a_target_without_files_is_an_error(backend, tmp_path, image, name, target, kind, field):
    fields = field.format(name)
    layers = 'container_image(name="top", layers=[":image"])\n' if image == "image_layer" else ""
    backend.write_files({"b/BUILD": f'{image}(name="image", {fields})\n{layers}'})
    line = backend.error_line(lambda: backend.package("b:top" if layers else "b:image"))
    alias = fields.partition("=")[0]
    assert line == f"b:image: field `{alias}`: the target {target} of the type `{kind}` provides no file; {HINT}"


def test_dependencies_of_files_are_warnings(backend, caplog):
    backend.write_files({"c/BUILD": 'container_image(name="image", dependencies=["app:good"])'})
    assert len(backend.description("c:image")["layers"]) == 1
    end = "provides no file: it is a dependency of a file in the layer, and is not in the layer"
    assert sorted(warnings(caplog)) == [
        f"c:image: field `dependencies`: the target app:code of the type `python_source` {end}",
        f"c:image: field `dependencies`: the target app:req of the type `python_requirement` {end}",
    ]


@pytest.mark.parametrize(
    "fields, is_empty",
    [("", True), ("dependencies=['app:empty']", True), ("env={'A': 'b'}", True), ("dependencies=['app:f']", False)],
)
def test_an_image_without_content_is_a_warning(backend, caplog, fields, is_empty):
    # Pants builds an unchanged target once.
    backend.write_files({"d/BUILD": f'container_image(name="image", {fields})', "app/g.txt": fields})
    assert backend.package("d:image")
    message = "d:image: the image has no content: it has no base, no layers and no dependencies"
    assert warnings(caplog) == ([message] if is_empty else [])


LAYER_FIELDS = {
    "ignores": ["*.pyc"],
    "ignore_files": [".dockerignore"],
    "keep_ignore_files": False,
    "modes": {"*": "0600"},
    "owner": "1:1",
    "owners": {"*": "1:1"},
    "symlinks": {"/a": "b"},
    "inline_files": {"/a": "b"},
    "directories": {"/a": "0755"},
    "whiteouts": ["/a"],
    "mtime": 1,
    "follow_symlinks": True,
    "hardlinks": True,
}


@pytest.mark.parametrize("field", LAYER_FIELDS)
def test_fields_of_layers_on_an_image(backend, field):
    backend.write_files({"e/BUILD": f'container_image(name="image", {field}={LAYER_FIELDS[field]!r})'})
    assert backend.error_line(lambda: backend.package("e:image")) == (
        f"e:image: field `{field}`: the field belongs to `image_layer`, not to `container_image`; move the content to "
        "an image_layer with this field, and add the address of the image_layer to `layers`"
    )


def test_values_are_shown_as_they_were_written(backend):
    """The goal `peek` prints the values of fields."""
    backend.write_files(
        {
            "peek/BUILD": 'container_image(name="image", base="app:x", contents={"/b/": "app:f", "/a": ":g"})\n'
            'push_image(name="push", image=":image")\n'
            'image_layer(name="layer", mtime=5)\n'
            'image_layer(name="epoch", mtime="SOURCE_DATE_EPOCH")\n'
        }
    )

    def values(name):
        target = backend.get_target(Address("peek", target_name=name))
        return {kind.alias: field.value for kind, field in target.field_values.items()}

    image = values("image")
    assert image["base"] == "app:x"
    assert dict(image["contents"]) == {"/b/": "app:f", "/a": ":g"}
    assert (image["image_tags"], image["image_tag_files"], image["repository"]) == (None, None, None)
    assert values("push")["image"] == ":image"
    assert (values("layer")["mtime"], values("epoch")["mtime"]) == (5, "SOURCE_DATE_EPOCH")
