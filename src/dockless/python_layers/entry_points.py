"""Scripts that installers write for the entry points of a distribution."""

from __future__ import annotations

import re

from dockless.errors import LayerError

# The interpreter of the virtual environment: no layer of a distribution depends on the interpreter of the base.
SHEBANG = b"#!/opt/venv/bin/python\n"
_GROUPS = ("console_scripts", "gui_scripts")
_OBJECT = re.compile(r"(?P<module>[^\W\d]\w*(?:\.[^\W\d]\w*)*):(?P<attribute>[^\W\d]\w*(?:\.[^\W\d]\w*)*)")
_SCRIPT = """\
import sys

from {module} import {imported}

if __name__ == "__main__":
    sys.exit({attribute}())
"""
# Installers write these scripts with the version of the interpreter in their name.
_VERSIONED = re.compile(r"(?:pip|easy_install)-?[0-9]+(?:\.[0-9]+)?")


def read_scripts(text: str) -> dict[str, str]:
    """Return the scripts of an entry_points.txt: name -> object reference (entry points specification).

    Raises LayerError for a name that is not the name of a file, and for an invalid object reference.
    """
    scripts = {}
    section = ""
    for line in map(str.strip, text.splitlines()):
        if line.startswith("[") and line.endswith("]"):
            section = line[1:-1].strip()
        elif section in _GROUPS and line and line[0] not in "#;":
            name, _, reference = (part.strip() for part in line.partition("="))
            reference = reference.partition("[")[0].strip()
            if name in ("", ".", "..") or "/" in name or "\0" in name:
                raise LayerError(f"entry_points.txt: {name!r:.100} is not the name of a script")
            if not _OBJECT.fullmatch(reference):
                raise LayerError(
                    f"entry_points.txt: {reference!r:.100} is not an object", hint="the form is MODULE:ATTRIBUTE"
                )
            scripts[name] = reference
    return dict(sorted(scripts.items()))


def script_text(reference: str) -> bytes:
    """Return the script that calls an object reference, such as `package.module:main`. Raises LayerError."""
    match = _OBJECT.fullmatch(reference)
    if match is None:
        raise LayerError(f"{reference!r:.100} is not an object", hint="the form is MODULE:ATTRIBUTE")
    attribute = match["attribute"]
    text = _SCRIPT.format(module=match["module"], imported=attribute.partition(".")[0], attribute=attribute)
    return SHEBANG + text.encode()


def is_versioned_script(name: str) -> bool:
    """Return whether installers add a script of this name, such as `pip3.11`, that no entry point declares."""
    return _VERSIONED.fullmatch(name) is not None
