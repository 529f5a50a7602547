"""SECURITY.md: each promise names tests that exist."""

import ast
import re
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parent
PAGE = (TESTS.parent / "SECURITY.md").read_text()
ROWS = [line.strip("| ").split(" | ") for line in PAGE.splitlines() if line.startswith("| ") and "`" in line]


def names_of(path: Path) -> set:
    """Return the test functions of a module, also those of its classes."""
    nodes = ast.walk(ast.parse(path.read_text()))
    return {node.name for node in nodes if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")}


def test_every_promise_has_a_row():
    table = PAGE.partition("## Promises")[2].partition("## Not promised")[0]
    assert len(ROWS) == len([line for line in table.splitlines() if line.startswith("| ")]) - 2 > 20


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0][:40])
def test_the_tests_exist(row):
    promise, audience, shown_by = row
    assert promise.endswith(".") and audience
    for cell in shown_by.split(", "):
        match = re.fullmatch(r"`(\S+\.py)(?:::(\w+))?`", cell)
        assert match, cell
        names = names_of(TESTS / match[1])
        assert match[2] in names if match[2] else names, cell
