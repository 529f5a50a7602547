"""docs/command.md names exactly the options of each command."""

import argparse
import re
from pathlib import Path

import pytest

from dockless.cli.parser import make_parser

PAGE = (Path(__file__).resolve().parents[3] / "docs/command.md").read_text()
(COMMANDS,) = (a.choices for a in make_parser()._actions if isinstance(a, argparse._SubParsersAction))
SECTIONS = {m[1]: m[2] for m in re.finditer(r"^## dockless (\w+).*?\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL)}
(COMMON,) = re.findall(r"^## Common options\n(.*?)(?=^## )", PAGE, re.MULTILINE | re.DOTALL)


def named(text):
    tables = "\n".join(line for line in text.splitlines() if line.startswith("| `"))
    return set(re.findall(r"`(--?[a-z][a-z-]*)", tables))


def test_every_command_has_a_section():
    assert set(SECTIONS) == set(COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_options(command):
    there = {option for action in COMMANDS[command]._actions for option in action.option_strings}
    common = named(COMMON)
    if command in ("serve", "completion"):
        # The page says so in the text above the table.
        common = {option for option in common if option in there}
        assert common == {"--json", "-q", "--quiet", "--debug", "-h", "--help"}
    assert named(SECTIONS[command]) | common == there
