"""The public API: complete, documented, and nothing else."""

import inspect
import pydoc
import subprocess
import sys
import typing

import pytest

import dockless
from dockless import errors


def test_the_public_names_are_exactly_those_of_all():
    assert set(dockless._MODULES) == set(dockless.__all__)
    assert dockless.__all__ == sorted(dockless.__all__)
    assert dir(dockless) == sorted([*dockless.__all__, "__version__"])
    for name in dockless.__all__:
        assert getattr(dockless, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'Nope'"):
        dockless.Nope  # noqa: B018


def documented():
    for name in dockless.__all__:
        value = getattr(dockless, name)
        if typing.get_origin(value):
            # A type alias has a comment instead.
            continue
        yield name, value
        if inspect.isclass(value):
            for method, found in vars(value).items():
                found = getattr(found, "__func__", found)
                if not method.startswith("_") and inspect.isfunction(found):
                    yield f"{name}.{method}", found


# These functions raise no error of Dockless for any argument.
HARMLESS = {
    *(
        "BuiltLayer.to_json",
        "RegistryAccess.connection_failure",
        "RegistryAccess.explain",
        "Location.named",
        "Descriptor.to_json",
        "Clock.pause",
        "Digest.of",
        "LayerSpec.to_json",
    ),
    *("Layer.from_spec", "Layer.from_tarball", "Platform.filled", "Platform.matches", "Platform.normalized"),
    *("Platform.preference", "Platform.runs_on", "Platform.to_json"),
}
# The specification or documentation that defines the format or behavior of an object.
SOURCES = {
    "Descriptor": "descriptor.md",
    "Digest": "descriptor.md",
    "Image": "manifest.md",
    "Image.config": "config.md",
    "Image.from_archive": "docker save",
    "Image.from_layout": "image-layout.md",
    "Image.with_annotations": "annotations.md",
    "Image.with_config": "RFC 7396",
    "ImageIndex": "image-index.md",
    "LayerSpec": "layer.md",
    "Layer.from_tarball": "POSIX",
    "Platform": "config.md",
    "Reference": "distribution",
    "RegistryClient.referrers": "distribution spec",
    "RegistryClient.tags": "distribution spec",
    "find_credentials": "config.json",
}


def own_doc(value):
    text = inspect.getdoc(value) or ""
    # Inherited docstrings of NamedTuple, str and Exception do not count.
    return "" if text.startswith(("Alias for field", "str(object", "Create new instance")) else text


@pytest.mark.parametrize("name", [name for name, _ in documented()])
def test_docstrings(name):
    value = dict(documented())[name]
    text = own_doc(value)
    assert len(text) > 10, f"{name} has no docstring of its own"
    home = getattr(dockless, name.partition(".")[0])
    if inspect.isfunction(value) and name not in HARMLESS:
        assert "aises" in text or "raises" in own_doc(home), f"{name} does not say what it raises"


@pytest.mark.parametrize("name", dockless.__all__)
def test_every_property_is_explained(name):
    value = getattr(dockless, name)
    for attribute, found in (vars(value) if inspect.isclass(value) else {}).items():
        if isinstance(found, property) and not attribute.startswith("_"):
            assert own_doc(found), f"{name}.{attribute}"


def test_every_docstring_has_its_source():
    for name in SOURCES:
        value, _, attribute = name.partition(".")
        text = own_doc(getattr(getattr(dockless, value), attribute) if attribute else getattr(dockless, value))
        assert SOURCES[name] in text, name


@pytest.mark.parametrize("name", ["Image", "ImageIndex", "RegistryAccess", "copy_image", "verify_image"])
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
        own = inspect.isclass(value) and issubclass(value, Exception) and value.__module__ == "dockless.errors"
        if own and name == value.__name__:
            assert issubclass(value, dockless.DocklessError) and name in dockless.__all__
    error = dockless.LayoutError("cannot read x", cause="it is gone", hint="make it")
    assert str(error) == "cannot read x: it is gone; make it"
    assert (error.problem, error.cause, error.hint) == ("cannot read x", "it is gone", "make it")


def test_help_contains_every_docstring():
    text = pydoc.render_doc(dockless, renderer=pydoc.plaintext)
    assert "Image.from_registry" in text and "OCI image spec" in text
    lines = {line.strip(" |") for line in text.splitlines()}
    for name, value in documented():
        first = own_doc(value).split("\n")[0]
        assert first in lines, f"help(dockless) lacks {name}"
    for unit in ("Sizes are in bytes", "seconds since 1970", "nanoseconds", "RFC 3339"):
        assert unit in text


def test_the_layer_builder_needs_only_its_own_files(tmp_path):
    """As in a sandbox of Pants: only the packages that make bytes, and the compressor."""
    from pathlib import Path
    from shutil import copy, copytree

    import deflate

    source = Path(dockless.__file__).parent
    (tmp_path / "dockless").mkdir()
    for file in source.glob("*.py"):
        copy(file, tmp_path / "dockless")
    for package in ("layer", "oci", "tar"):
        copytree(source / package, tmp_path / "dockless" / package)
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
