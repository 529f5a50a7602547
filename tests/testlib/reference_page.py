"""The reference page of the public API, made from the signatures and docstrings of `dockless`.

.cache/test-3.9/bin/python tests/testlib/reference_page.py --write    # replaces docs/reference.md
"""

from __future__ import annotations

import ast
import inspect
import sys
import textwrap
import typing
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs/reference.md"
_INTRODUCTION = """\
# Reference

The public API of the library: the names that `import dockless` provides. Other modules may change in any release. This
page is generated from the docstrings. The [cookbook](cookbook.md) shows the API in use.

All errors are a `DocklessError`. Sizes are in bytes.
"""
_GROUPS = {
    "Images": ("Image", "ImageIndex", "ImageLayer"),
    "Layers": ("Layer", "LayerSpec", "Source", "InlineFile", "Buildable", "BuiltLayer"),
    "Copy and verify": ("copy_image", "verify_image", "VerifyResult", "PrefetchResult", "PushResult"),
    "Locations and registries": ("Location", "Reference", "RegistryAccess", "Credentials", "RetryPolicy"),
    "Progress": ("Progress", "ProgressEvent"),
    "Errors": (
        *("DocklessError", "InvalidValueError", "InvalidDocumentError", "LayerError", "LayoutError", "RegistryError"),
        "CredentialsError",
    ),
}
_REST = "Registry client and data of the specifications"


def render() -> str:
    """Return the content that docs/reference.md must have."""
    import dockless

    groups = {title: [name for name in names if name in dockless.__all__] for title, names in _GROUPS.items()}
    grouped = {name for names in groups.values() for name in names}
    groups[_REST] = [name for name in dockless.__all__ if name not in grouped]
    lines = [_INTRODUCTION]
    for title, names in groups.items():
        lines.append(f"## {title}\n")
        for name in names:
            lines += [*_entry(name, getattr(dockless, name)), ""]
    return "\n".join(lines).rstrip("\n") + "\n"


def _entry(name: str, value: object) -> Iterator[str]:
    yield f"### {name}\n"
    if typing.get_origin(value):
        yield f"A type: `{_alias(value)}`"
        return
    if inspect.isfunction(value):
        yield f"```python\n{_signature(name, value)}\n```\n"
        yield _text(value)
        return
    if not issubclass(typing.cast(type, value), BaseException) and _has_constructor(typing.cast(type, value)):
        yield f"```python\n{_signature(name, value)}\n```\n"
    yield _text(value)
    for member, found in vars(value).items():
        function = getattr(found, "__func__", found)
        if member.startswith("_"):
            continue
        if isinstance(found, property):
            yield f"\n- `{member}`: {_text(found)}"
        elif inspect.isfunction(function):
            yield f"\n```python\n{_signature(f'{name}.{member}', function)}\n```\n"
            yield _text(function)


def _alias(value: object) -> str:
    """Return a type as it is written, the same on every interpreter."""
    # Not `isinstance`: other packages may replace typing.ForwardRef.
    forward: str | None = getattr(value, "__forward_arg__", None)
    if forward is not None:
        return forward
    if isinstance(value, list):
        return f"[{', '.join(map(_alias, value))}]"
    arguments = typing.get_args(value)
    if typing.get_origin(value) is typing.Union:
        return " | ".join(map(_alias, arguments))
    name = "None" if value is type(None) else getattr(value, "__name__", None) or str(value).rpartition(".")[2]
    if not arguments:
        return name
    return f"{typing.get_origin(value).__name__}[{', '.join(map(_alias, arguments))}]"


def _has_constructor(kind: type) -> bool:
    return "Protocol" not in {base.__name__ for base in kind.__mro__} and kind.__name__ != "Image"


def _text(value: object) -> str:
    return inspect.getdoc(value) or ""


def _signature(name: str, value: object) -> str:
    """Return a call as it is written, independent of how an interpreter shows types."""
    function = inspect.signature(typing.cast(typing.Callable[..., object], value))
    fields = field_types(value) if inspect.isclass(value) else {}
    parts, star = [], False
    for parameter in function.parameters.values():
        if parameter.name in ("self", "cls", "_cls"):
            continue
        if parameter.kind is parameter.KEYWORD_ONLY and not star:
            parts.append("*")
        star = star or parameter.kind in (parameter.KEYWORD_ONLY, parameter.VAR_POSITIONAL)
        prefix = {parameter.VAR_POSITIONAL: "*", parameter.VAR_KEYWORD: "**"}.get(parameter.kind, "")
        text = prefix + parameter.name
        if parameter.annotation is not parameter.empty:
            text += f": {fields.get(parameter.name) or _type(parameter.annotation)}"
        if parameter.default is not parameter.empty:
            default = getattr(parameter.default, "__name__", None) or repr(parameter.default)
            text += f" = {default}" if ":" in text else f"={default}"
        parts.append(text)
    returned = function.return_annotation
    end = "" if returned is function.empty or inspect.isclass(value) else f" -> {_type(returned)}"
    line = f"{name}({', '.join(parts)}){end}"
    return line if len(line) <= 100 else f"{name}(\n" + "".join(f"    {part},\n" for part in parts) + f"){end}"


def field_types(kind: type) -> dict[str, str]:
    """Return the types of a class's fields as its source has them: other packages may rewrite those of a NamedTuple."""
    (node,) = ast.parse(textwrap.dedent(inspect.getsource(kind))).body
    assert isinstance(node, ast.ClassDef)
    return {
        ast.unparse(item.target): ast.unparse(item.annotation) for item in node.body if isinstance(item, ast.AnnAssign)
    }


def _type(annotation: object) -> str:
    if isinstance(annotation, str):
        return annotation
    # A forward reference, or a class.
    return getattr(annotation, "__forward_arg__", None) or getattr(annotation, "__name__", str(annotation))


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT / "src"))
    if "--write" in sys.argv[1:]:
        PAGE.write_text(render())
