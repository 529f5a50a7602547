"""Each of the 78 rows of the table of bad inputs has a test."""

import ast
from pathlib import Path


def rows_of(path):
    """Return the rows that a file's tests are marked with: `@row("B13")`, and `case("B13", ...)` in parameters."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("row", "case"):
            first = node.args[0]
            # case(*("B13", ...), ...) avoids lines that are too long.
            if isinstance(first, ast.Starred):
                first = first.value.elts[0]
            yield first.value


def test_no_row_is_missing():
    found = {name for path in Path(__file__).parent.glob("test_*.py") for name in rows_of(path)}
    assert found == {f"B{n:02}" for n in range(1, 79)}
