"""docs/reference-table.md: all rows are present, the names in it exist, and its tests are not skipped."""

import argparse
import ast
import inspect
import re
from functools import cache
from pathlib import Path

import pytest

import dockless
from dockless.cli.parser import make_parser
from dockless.layer import LayerSpec

ROOT = Path(__file__).resolve().parents[3]
PAGE = (ROOT / "docs/reference-table.md").read_text()
ROWS = [
    [cell.strip() for cell in line.strip("| ").split(" | ")]
    for line in PAGE.splitlines()
    if re.match(r"\| [A-Z][0-9]+ ", line)
]
COUNTS = {"I": 32, "F": 10, "P": 12, "C": 9, "R": 18, "A": 12, "S": 8, "W": 16, "T": 38}
# Code in the column "Dockless" that is not a name of Dockless.
FOREIGN = {"$PATH", "*.pkg.dev", "pkg.dev", "/", "HOST/PATH", "auths", "credHelpers", "credsStore", "gcr.io", "latest"}


def shown_by(row):
    cells = row[3].split(", ")
    assert all(re.fullmatch(r"`\S+\.py::\w+`", cell) for cell in cells), row
    return [cell.strip("`") for cell in cells]


def test_every_row_occurs_once():
    assert [row[0] for row in ROWS] == [f"{kind}{n}" for kind, count in COUNTS.items() for n in range(1, count + 1)]
    assert all(len(row) == 4 and all(row) for row in ROWS)


@cache
def collected(file):
    """Return the tests that pytest collects in a file: functions of the module and of its classes."""
    directory = "tests" if file.startswith("packaging/") else "tests/dockless"
    found = set()
    for node in ast.parse((ROOT / directory / file).read_text()).body:
        inner = node.body if isinstance(node, ast.ClassDef) and node.name.startswith("Test") else [node]
        found |= {each.name for each in inner if isinstance(each, ast.FunctionDef)}
    return {name for name in found if name.startswith("test_")}


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_the_tests_exist(row):
    for file, _, test in (named.partition("::") for named in shown_by(row)):
        assert test in collected(file), f"{file}::{test}"


def test_the_listed_tests_are_not_skipped(request):
    """No listed test is marked as skipped or as an expected failure, so a listed test that fails makes the run fail.

    Listed tests may run after this test, or in another process. A missing tool is a failure with CI=true.
    """
    named = {test for row in ROWS for test in shown_by(row)}
    for item in request.session.items:
        file = item.path.relative_to(ROOT / "tests").as_posix().replace("dockless/", "", 1)
        if f"{file}::{item.originalname}" in named:
            assert not {mark.name for mark in item.iter_markers()} & {"skip", "skipif", "xfail"}, item.nodeid


def options():
    """Return the options of each command, and of all commands together."""
    parser = make_parser()
    (commands,) = (a.choices for a in parser._actions if isinstance(a, argparse._SubParsersAction))
    found = {name: {o for a in command._actions for o in a.option_strings} for name, command in commands.items()}
    return {**found, "": set().union(*found.values())}


def named_in(code):
    """Return the object with a name such as `Image.save`, or None if `code` is not such a name."""
    match = re.fullmatch(r"([A-Za-z]\w*)(?:\.(\w+))?", code)
    if not match or match[1] not in dockless.__all__:
        return None
    value = getattr(dockless, match[1])
    return value if match[2] is None else getattr(value, match[2])


def parameters(value):
    """Return the names of the parameters of a callable. Those of `Layer.from_files` include the fields of a layer."""
    if value == dockless.Layer.from_files:
        return set(inspect.signature(value).parameters) | set(LayerSpec._fields)
    return set(inspect.signature(value).parameters) if callable(value) else set()


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_the_names_in_a_row_exist(row):
    known = options()
    spans = [code for code in re.findall(r"`([^`]+)`", row[2]) if code not in FOREIGN]
    arguments = set(LayerSpec._fields) if row[0][0] in "FPC" else set()
    arguments |= {"progress"}.union(*(parameters(named_in(code)) for code in spans if named_in(code)))
    for code in spans:
        if code.startswith("dockless "):
            command, *rest = code.split()[1:]
            assert set(rest) <= known[command], code
        elif code.startswith("-"):
            assert code in known[""], code
        elif code in ("import dockless", "pip install ."):
            continue
        elif named_in(code) is None:
            assert code.partition("=")[0] in arguments, f"{code} is not an argument of a name in the row"


def test_links_refer_to_recipes():
    for target in re.findall(r"\]\((cookbook\.md)(?:#([^)]+))?\)", PAGE):
        page = (ROOT / "docs" / target[0]).read_text()
        assert not target[1] or f"#{target[1]})" in page
