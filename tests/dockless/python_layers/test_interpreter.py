"""The interpreter of a base, and the tags of wheels."""

import pytest

from dockless.errors import InvalidValueError, LayerError
from dockless.oci.platform import Platform
from dockless.python_layers.interpreter import Interpreter, check_wheel, find_interpreter

AMD64, ARM64 = Platform.parse("linux/amd64"), Platform.parse("linux/arm64")


@pytest.mark.parametrize(
    ("labels", "env", "entrypoint", "path"),
    [
        ({"dockless.python": "/opt/py/bin/python3.12"}, {}, [], "/opt/py/bin/python3.12"),
        ({}, {"PATH": "/usr/local/bin:/usr/bin", "PYTHON_VERSION": "3.12.4"}, [], "/usr/local/bin/python3.12"),
        ({}, {"PATH": "/opt/app-root/bin:/usr/local/bin", "PYTHON_VERSION": "3.12"}, [], None),
        ({}, {"PATH": "/usr/local/bin"}, [], None),
        ({}, {"PYTHON_VERSION": "3.12.4"}, [], None),
        ({}, {}, ["/usr/bin/python3.11"], "/usr/bin/python3.11"),
        ({}, {}, ["/usr/bin/python3"], None),
        ({}, {}, ["python3.11"], None),
        ({}, {}, [], None),
    ],
)
def test_the_config_names_the_interpreter(labels, env, entrypoint, path):
    found = find_interpreter(labels, env, entrypoint)
    assert (found and found.path) == path


def test_an_invalid_label_is_an_error():
    with pytest.raises(InvalidValueError, match="is not the path of an interpreter"):
        find_interpreter({"dockless.python": "python3"}, {}, [])


@pytest.mark.parametrize("path", ["/usr/bin/python3", "python3.12", "/usr/bin/../python3.12", "/usr/bin/python2.7", ""])
def test_invalid_paths(path):
    with pytest.raises(InvalidValueError):
        Interpreter.parse(path)


@pytest.mark.parametrize(
    ("file_name", "version", "platform", "works"),
    [
        ("a-1.0-py3-none-any.whl", "3.12", AMD64, True),
        ("a-1.0-py2.py3-none-any.whl", "3.12", AMD64, True),
        ("a-1.0-py2-none-any.whl", "3.12", AMD64, False),
        ("a-1.0-py311-none-any.whl", "3.12", AMD64, True),
        ("a-1.0-py313-none-any.whl", "3.12", AMD64, False),
        ("a-1.0-cp312-cp312-manylinux_2_17_x86_64.manylinux2014_x86_64.whl", "3.12", AMD64, True),
        ("a-1.0-cp312-cp312-manylinux_2_17_x86_64.whl", "3.11", AMD64, False),
        ("a-1.0-cp312-cp312-manylinux_2_17_x86_64.whl", "3.12", ARM64, False),
        ("a-1.0-cp312-cp312-manylinux_2_17_aarch64.whl", "3.12", ARM64, True),
        ("a-1.0-cp39-abi3-manylinux2014_x86_64.whl", "3.12", AMD64, True),
        ("a-1.0-cp313-abi3-manylinux2014_x86_64.whl", "3.12", AMD64, False),
        ("a-1.0-cp313-cp313t-manylinux2014_x86_64.whl", "3.13", AMD64, False),
        ("a-1.0-cp311-none-any.whl", "3.12", AMD64, False),
        ("a-1.0-py3-none-manylinux2014_x86_64.whl", "3.12", AMD64, True),
        ("a-1.0-cp312-cp312-linux_x86_64.whl", "3.12", AMD64, True),
        ("a-1.0-cp312-cp312-musllinux_1_2_x86_64.whl", "3.12", AMD64, True),
        ("a-1.0-cp312-cp312-macosx_11_0_arm64.whl", "3.12", ARM64, False),
    ],
)
def test_tags_of_wheels(file_name, version, platform, works):
    interpreter = Interpreter.parse(f"/usr/bin/python{version}")
    if works:
        check_wheel(file_name, interpreter, platform)
    else:
        with pytest.raises(LayerError, match=file_name.replace(".", r"\.")):
            check_wheel(file_name, interpreter, platform)


@pytest.mark.parametrize("name", ["a.zip", "a-1.0.whl", "a-1.0-py3--any.whl"])
def test_other_files_are_not_wheels(name):
    with pytest.raises(LayerError, match="is not the file name of a wheel"):
        check_wheel(name, Interpreter.parse("/usr/bin/python3.9"), AMD64)
