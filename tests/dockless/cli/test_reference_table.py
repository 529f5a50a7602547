"""docs/reference-table.md cannot rot: its rows are all there, and what they name exists."""

import argparse
import re
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
COUNTS = {"I": 32, "F": 10, "P": 12, "C": 9, "R": 18, "A": 12, "S": 8}


def test_every_row_is_there_once():
    assert [row[0] for row in ROWS] == [f"{kind}{n}" for kind, count in COUNTS.items() for n in range(1, count + 1)]
    assert all(len(row) == 4 and all(row) for row in ROWS)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_the_test_exists(row):
    file, test = re.fullmatch(r"`(\S+\.py)::(\w+)`", row[3]).groups()
    assert re.search(rf"^ *def {test}\(", (ROOT / "tests/dockless" / file).read_text(), re.MULTILINE), row[3]


def options():
    """The options of each command, and of all of them together."""
    parser = make_parser()
    (commands,) = (a.choices for a in parser._actions if isinstance(a, argparse._SubParsersAction))
    found = {name: {o for a in command._actions for o in a.option_strings} for name, command in commands.items()}
    return {**found, "": set().union(*found.values())}


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_what_it_names_exists(row):
    known = options()
    for code in re.findall(r"`([^`]+)`", row[2]):
        if code.startswith("dockless "):
            command, *rest = code.split()[1:]
            assert set(rest) <= known[command], code
        elif code.startswith("-"):
            assert code in known[""], code
        elif match := re.match(r"([A-Z]\w+)(?:\.(\w+))?$", code):
            if code.isupper() or "/" in code:
                continue
            value = getattr(dockless, match[1])
            assert match[2] is None or hasattr(value, match[2]), code
        elif match := re.match(r"([a-z_]+)(?:=\w+)?$", code):
            words = {"latest", "google", "auths", "progress", "jobs", "credentials", "tags", "raw", "created"}
            fields = set(LayerSpec._fields) | set(dockless.Image.with_config.__annotations__)
            assert match[1] in words | fields or match[1] == "credsstore", code


def test_links_lead_to_recipes():
    for target in re.findall(r"\]\((cookbook\.md)(?:#([^)]+))?\)", PAGE):
        page = (ROOT / "docs" / target[0]).read_text()
        assert not target[1] or f"#{target[1]})" in page
