"""What `import dockless` gives: all of it there, documented, and nothing else."""

import inspect
import pydoc
import subprocess
import sys

import pytest

import dockless
from dockless import errors


def test_every_name_is_there_and_no_other():
    assert set(dockless._HOMES) == set(dockless.__all__)
    assert dockless.__all__ == sorted(dockless.__all__)
    assert dir(dockless) == sorted([*dockless.__all__, "__version__"])
    for name in dockless.__all__:
        assert getattr(dockless, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'Nope'"):
        dockless.Nope  # noqa: B018


def documented():
    for name in dockless.__all__:
        value = getattr(dockless, name)
        yield name, value
        if inspect.isclass(value):
            for method, found in vars(value).items():
                found = getattr(found, "__func__", found)
                if not method.startswith("_") and inspect.isfunction(found):
                    yield f"{name}.{method}", found


# A name says all of these.
SELF_EVIDENT = {"to_json", "explain"}


@pytest.mark.parametrize("name", [name for name, _ in documented()])
def test_docstrings(name):
    value = dict(documented())[name]
    if name.split(".")[-1] not in SELF_EVIDENT:
        text = inspect.getdoc(value)
        assert text and text != "str(object='') -> str" and len(text) > 10, f"{name} has no docstring of its own"


@pytest.mark.parametrize("name", ["Image", "Index", "Access", "copy_image", "verify_image"])
def test_arguments_are_typed(name):
    value = getattr(dockless, name)
    functions = (
        [
            getattr(f, "__func__", f)
            for m, f in vars(value).items()
            if not m.startswith("_") and callable(getattr(f, "__func__", f))
        ]
        if inspect.isclass(value)
        else [value]
    )
    for function in functions:
        parameters = [p for p in inspect.signature(function).parameters if p not in ("self", "cls")]
        assert set(parameters) <= set(function.__annotations__), function
        assert "return" in function.__annotations__, function


def test_unknown_arguments_are_refused():
    with pytest.raises(TypeError, match="auth"):
        dockless.Image.from_registry("localhost:1/a", auth={})
    with pytest.raises(TypeError, match="ignore"):
        dockless.Layer.from_files({}, ignore=["*.pyc"])
    with pytest.raises(TypeError):
        dockless.Image.scratch().save("oci:never", ["a", "tag"], retries=3)


def test_errors_are_one_hierarchy():
    for name, value in vars(errors).items():
        if inspect.isclass(value) and issubclass(value, Exception) and value.__module__ == "dockless.errors":
            assert issubclass(value, dockless.DocklessError) and name in dockless.__all__
    error = dockless.LayoutError("cannot read x", cause="it is gone", hint="make it")
    assert str(error) == "cannot read x: it is gone; make it"
    assert (error.problem, error.cause, error.hint) == ("cannot read x", "it is gone", "make it")


def test_help_is_a_manual():
    text = pydoc.render_doc(dockless, renderer=pydoc.plaintext)
    assert "Image.from_registry" in text and "OCI image spec" in text
    image = pydoc.render_doc(dockless.Image, renderer=pydoc.plaintext)
    for method in (
        "add_layer",
        "add_remote_layer",
        "remove_layer",
        "replace_layer",
        "with_config",
        "rebase",
        "save",
        "sync",
    ):
        assert f"{method}(" in image
    assert "Raises" in image


def test_the_layer_builder_needs_only_its_own_files(tmp_path):
    """As in a sandbox: `src/dockless/*.py`, `src/dockless/layer/`, the compressor, and nothing else."""
    from pathlib import Path
    from shutil import copy, copytree

    import deflate

    source = Path(dockless.__file__).parent
    (tmp_path / "dockless").mkdir()
    for file in source.glob("*.py"):
        copy(file, tmp_path / "dockless")
    copytree(source / "layer", tmp_path / "dockless/layer")
    compressor = Path(deflate.__file__)
    for part in compressor.parent.glob("deflate*") if compressor.stem != "__init__" else [compressor.parent]:
        if part.suffix != ".dist-info":
            (copytree if part.is_dir() else copy)(part, tmp_path / part.name)
    for libraries in compressor.parents[compressor.stem == "__init__"].glob("deflate.libs"):
        copytree(libraries, tmp_path / "deflate.libs", dirs_exist_ok=True)
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); from dockless.layer import LayerSpec, InlineFile, build_layer;"
        "print(build_layer(LayerSpec(inline_files={'/a': InlineFile('x')}), sys.argv[1]).entries)"
    )
    done = subprocess.run([sys.executable, "-I", "-S", "-c", code, str(tmp_path)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "1"
