"""The layout of a Python application in an image.

/opt/venv/site-packages/...                       distributions; no path has a version
/opt/venv/bin/SCRIPT                              in the layer of the distribution
/opt/venv/app/...                                 the application
/opt/venv/pyvenv.cfg                              the layer of the virtual environment, which alone depends on the
/opt/venv/bin/python                              path and the version of the interpreter
/opt/venv/lib/pythonX.Y/site-packages             a symlink to /opt/venv/site-packages
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterable

from dockless.errors import LayerError
from dockless.layer.spec import InlineFile, LayerSpec
from dockless.oci.image_config import DEFAULT_PATH
from dockless.python_layers.entry_points import script_text
from dockless.python_layers.interpreter import Interpreter
from dockless.python_layers.paths import APPLICATION, ROOT

# A script of this name runs an entry point with a function.
MAIN_SCRIPT = f"{ROOT}/bin/__main__"


def venv_layer(interpreter: Interpreter, compression: str) -> LayerSpec:
    """Return the layer that makes /opt/venv a virtual environment (PEP 405) of an interpreter."""
    directory = posixpath.dirname(interpreter.path)
    config = f"home = {directory}\ninclude-system-site-packages = false\nversion = {interpreter.version}\n"
    return LayerSpec(
        inline_files={
            f"{ROOT}/pyvenv.cfg": InlineFile(config),
            f"{ROOT}/site-packages/_dockless_app.pth": InlineFile(f"{APPLICATION}\n"),
        },
        symlinks={
            f"{ROOT}/bin/python": interpreter.path,
            f"{ROOT}/bin/python3": "python",
            f"{ROOT}/lib/python{interpreter.version}/site-packages": "../../site-packages",
        },
        compression=compression,
    )


def venv_environment(path: str | None, *, has_bytecode: bool) -> dict[str, str]:
    """Return the environment variables of an image. `path` is the value of `PATH` in the base, or None."""
    env = {"PATH": f"{ROOT}/bin:{path or DEFAULT_PATH}", "VIRTUAL_ENV": ROOT, "PYTHONUNBUFFERED": "1"}
    # Otherwise the interpreter writes bytecode to the file system of the container at each start.
    return env if has_bytecode else {**env, "PYTHONDONTWRITEBYTECODE": "1"}


def entry_command(entry_point: str, script: str, arguments: Iterable[str] = ()) -> tuple[str, ...]:
    """Return the entrypoint of an image that runs an entry point (`module` or `module:function`) or a script."""
    if script:
        return (f"{ROOT}/bin/{script}", *arguments)
    if ":" in entry_point:
        return (MAIN_SCRIPT, *arguments)
    return (f"{ROOT}/bin/python", "-m", entry_point, *arguments)


def main_script(entry_point: str) -> dict[str, InlineFile]:
    """Return the file that an entry point with a function needs in the layer of the application. Raises LayerError."""
    if ":" not in entry_point:
        return {}
    try:
        return {MAIN_SCRIPT: InlineFile(script_text(entry_point), 0o755)}
    except LayerError as error:
        raise LayerError(f"entry point {entry_point!r:.200}: {error.problem}", hint=error.hint) from None
