"""The reference page of the targets and fields of the backend, made from their help texts.

.cache/test-3.9/bin/python tests/testlib/field_reference.py --write    # replaces docs/targets.md
"""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs/targets.md"
_INTRODUCTION = """\
# Targets and fields

All targets of the backend and their fields. This page is generated from the help texts, which `pants help TARGET`
prints. `pants help dockless` describes the options. A field without a default is empty. The last line of each target
names the fields that Pants describes.
"""


def render() -> str:
    """Return the content that docs/targets.md must have."""
    from pants_dockless import register

    targets = sorted(register.target_types(), key=lambda target: target.alias)
    owners: dict[tuple[str, str], list[str]] = {}
    fields: dict[tuple[str, str], Any] = {}
    for target in targets:
        for field in _own_fields(target):
            key = (field.alias, _entry(field))
            owners.setdefault(key, []).append(target.alias)
            fields[key] = field
    lines = [_INTRODUCTION, "## Targets\n"]
    for target in targets:
        own = list(_own_fields(target))
        aliases = {field.alias for field in target.core_fields} - {field.alias for field in own}
        # `pants help` hides fields whose names begin with an underscore, too.
        others = sorted(alias for alias in aliases if not alias.startswith("_"))
        lines.append(f"### {target.alias}\n\n{_text(target.help)}\n")
        lines.append(f"Fields: {', '.join(f'`{field.alias}`' for field in own)}.\n")
        lines.append(f"Fields of Pants: {', '.join(f'`{alias}`' for alias in others)}.\n")
    lines.append("## Fields\n")
    for key in sorted(fields):
        names = ", ".join(f"`{alias}`" for alias in owners[key])
        lines.append(f"### {key[0]}\n\nOf {names}. {key[1]}\n")
    return "\n".join(lines).rstrip("\n") + "\n"


def is_own(field: Any) -> bool:
    """Return whether the backend, and not Pants, describes a field."""
    described = next(base for base in field.__mro__ if "help" in vars(base))
    return described.__module__.startswith("pants_dockless")


def _own_fields(target: Any) -> Iterator[Any]:
    return filter(is_own, target.core_fields)


def _entry(field: Any) -> str:
    """Return what the page says about a field, after the names of the targets that have the field."""
    if getattr(field, "required", False):
        about = "Required."
    elif field.default in (None, "", (), {}):
        about = ""
    else:
        about = f"Default: `{json.dumps(field.default, default=list)}`."
    choices = getattr(field, "valid_choices", None)
    if choices:
        about = f"{about} One of {', '.join(f'`{choice}`' for choice in choices)}.".strip()
    return f"{about}\n\n{_text(field.help)}".lstrip()


def _text(help_text: Any) -> str:
    text: str = help_text() if callable(help_text) else help_text
    # A line of a BUILD file or of a lockfile is indented by four spaces, which is code in Markdown.
    return text.strip()


if __name__ == "__main__":
    sys.path[:0] = [str(ROOT / "src"), str(ROOT / "pants-plugins")]
    if sys.argv[1:] == ["--write"]:
        PAGE.write_text(render())
    else:
        sys.exit(PAGE.read_text() != render())
