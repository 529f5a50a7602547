"""The texts for users, collected from the code: help, errors, warnings and results.

    .cache/test-3.9/bin/python tests/testlib/messages.py            # exit status 1 and a diff if the file differs
    .cache/test-3.9/bin/python tests/testlib/messages.py --write    # replaces the file

A change of wording is a change of one file, tests/dockless/cli/messages.golden, which can be read as a whole.
"""

from __future__ import annotations

import argparse
import ast
import difflib
import re
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
GOLDEN = ROOT / "tests/dockless/cli/messages.golden"
# Packages, from the command downwards, whose texts are in the file.
PACKAGES = ("cli", "image", "transfer", "registry", "registry/auth", "registry/http", "testing")
# Two words, or a word and a value: not the formats of lines, nor media types.
_SENTENCE = re.compile(r"[a-z'] .*[a-z}]|\} .*[a-z]{2}", re.DOTALL)


def collect() -> str:
    """Return the content that the golden file must have."""
    help_lines = list(_help())
    known = {
        part.strip().replace(" (repeatable)", "") for line in help_lines for part in (line, line.partition(": ")[2])
    }
    known |= {part.strip() for line in help_lines for part in line.splitlines()}
    lines = help_lines
    for package in PACKAGES:
        for path in sorted((ROOT / "src/dockless" / package).glob("*.py")):
            texts = [text for text in _texts(path) if not known.issuperset(map(str.strip, text.splitlines()))]
            if texts:
                lines += [f"# dockless.{package.replace('/', '.')}.{path.stem}", *texts, ""]
    return "\n".join(lines)


def _help() -> Iterator[str]:
    """Yield the help of each command, independent of how an interpreter's argparse arranges it."""
    from dockless.cli.parser import make_parser

    top = make_parser()
    (commands,) = (action for action in top._actions if isinstance(action, argparse._SubParsersAction))
    shown: set[str] = set()
    for parser in (top, *commands.choices.values()):
        yield f"# {parser.prog} --help"
        for text in (parser.usage, parser.description):
            if text:
                yield text.rstrip("\n").replace("\n\n", "\n")
        for line in _options(parser):
            # An option that several commands have is shown with the first of them.
            if not line.startswith("-") or line not in shown:
                yield line
            shown.add(line)
        yield str(parser.epilog).rstrip("\n")
        yield ""


def _options(parser: argparse.ArgumentParser) -> Iterator[str]:
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for choice in action._choices_actions:
                yield f"{choice.dest}: {choice.help}"
        else:
            name = " ".join([", ".join(action.option_strings), str(action.metavar or "")]).strip()
            yield f"{name}: {action.help}"


def _texts(path: Path) -> Iterator[str]:
    """Yield the literals of a module that are sentences: all that have a space, other than docstrings."""
    tree = ast.parse(path.read_text())
    docstrings = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef))
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    parts = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values}
    literals = [
        node
        for node in ast.walk(tree)
        if isinstance(node, (ast.JoinedStr, ast.Constant)) and id(node) not in docstrings | parts
    ]
    for node in sorted(literals, key=lambda node: (node.lineno, node.col_offset)):
        text = _text(node)
        if _SENTENCE.search(text):
            yield text.strip().replace("\n\n", "\n")


def _text(node: ast.expr) -> str:
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else ""
    if isinstance(node, ast.JoinedStr):
        return "".join(_text(part) for part in node.values)
    return "{}"


def main() -> int:
    sys.path.insert(0, str(ROOT / "src"))
    if "--write" in sys.argv[1:]:
        GOLDEN.write_text(collect())
        return 0
    lines = list(difflib.unified_diff(GOLDEN.read_text().splitlines(), collect().splitlines(), "golden", "code", n=0))
    print(*lines, sep="\n")
    return 1 if lines else 0


if __name__ == "__main__":
    sys.exit(main())
