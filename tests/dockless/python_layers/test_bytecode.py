"""Bytecode of modules, made by the interpreter that runs the test."""

import sys

import pytest

from dockless.errors import LayerError
from dockless.python_layers.builder import PythonLayerSpec
from dockless.python_layers.bytecode import Compiler, compile_files

COMPILER = Compiler(sys.executable, f"{sys.version_info[0]}.{sys.version_info[1]}", "0" * 64)


def test_modules_in_directories_and_at_the_top(tmp_path):
    (tmp_path / "package").mkdir()
    for name in ("top.py", "package/module.py"):
        (tmp_path / name).write_text("x = 1\n")
    (tmp_path / "template.py").write_text("{% not Python %}\n")
    files = ("package/module.py", "template.py", "text.txt", "top.py")
    made = compile_files(str(tmp_path), "/opt/venv/app", files, COMPILER)
    suffix = COMPILER.suffix
    assert made == (f"package/__pycache__/module{suffix}", f"__pycache__/top{suffix}")
    assert all(b"/opt/venv/app" in (tmp_path / path).read_bytes() for path in made)


def test_a_compiler_that_is_missing(tmp_path):
    (tmp_path / "top.py").write_text("x = 1\n")
    with pytest.raises(LayerError, match="cannot run the compiler /none: No such file or directory"):
        compile_files(str(tmp_path), "/opt/venv/app", ["top.py"], COMPILER._replace(path="/none"))


def test_the_identity_of_the_compiler_is_part_of_the_key():
    """Another release at the same path writes other bytecode."""
    specs = [PythonLayerSpec(compiler=COMPILER._replace(sha256=identity)).to_json() for identity in ("1", "2")]
    assert specs[0] != specs[1]
