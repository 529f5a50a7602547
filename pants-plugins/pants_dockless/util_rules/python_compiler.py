"""The interpreter that compiles modules to bytecode. Its identity is part of the cache key of layers."""

import json
import logging
from typing import Optional

from pants.engine.process import Process, ProcessCacheScope
from pants.util.logging import LogLevel

from dockless.python_layers.bytecode import Compiler
from dockless.python_layers.interpreter import Interpreter
from pants_dockless import _compat
from pants_dockless.errors import TargetError, log_info
from pants_dockless.field_sets import PythonLayersFieldSet
from pants_dockless.python_subsystem import DocklessPython

logger = logging.getLogger(__name__)

_OPTION = "[dockless-python].compiler"
_DESCRIBE = """
import hashlib, json, sys
with open(sys.executable, "rb") as file:
    executable = hashlib.sha256(file.read()).hexdigest()
identity = hashlib.sha256(f"{executable} {sys.version}".encode()).hexdigest()
print(json.dumps([sys.implementation.name, "%d.%d" % sys.version_info[:2], identity]))
"""


async def find_compiler(
    field_set: PythonLayersFieldSet, interpreter: Interpreter, options: DocklessPython
) -> Optional[Compiler]:
    """Return the compiler that the option names, or None. Raises TargetError if it does not match the interpreter."""
    path = options.compiler
    if path is None:
        log_info(
            logger,
            f"{field_set.address}: the layers have no bytecode, so that the application compiles its modules at each "
            f"start; set `{_OPTION}` to add bytecode",
        )
        return None
    address = field_set.address
    if not path.startswith("/"):
        raise TargetError(address, _OPTION, f"the path {path!r} is not absolute")
    result = await _compat.run_process(
        Process(
            ("/bin/sh", "-c", 'exec "$@"', "sh", path, "-I", "-S", "-c", _DESCRIBE),
            description=f"Identify the compiler {path}",
            cache_scope=ProcessCacheScope.PER_SESSION,
            level=LogLevel.DEBUG,
        )
    )
    if result.exit_code:
        lines = result.stderr.decode(errors="replace").strip().splitlines() or [f"exit status {result.exit_code}"]
        raise TargetError(address, _OPTION, f"cannot run {path}", cause=lines[-1], hint="write the path of a CPython")
    name, version, identity = json.loads(result.stdout)
    if name != "cpython" or version != interpreter.version:
        raise TargetError(
            address,
            _OPTION,
            f"{path} is {name} {version}, and the interpreter of the image is CPython {interpreter.version}",
            hint="the bytecode of another minor version has no effect: use an interpreter of the same minor version",
        )
    return Compiler(path, version, identity)
