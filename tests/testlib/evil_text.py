"""Text that terminals and CI services act on, and a check that printed text contains none of it."""

import re

# Each does something of its own: starts a line, controls a terminal, reorders or hides text, or is a command.
PARTS = (
    "\nOWNED",
    "\r::error::x",
    "\x1b[2J",
    "\x1b]0;owned\x07",
    "\x9b2J",
    "\x85",
    "\x0b\x0c\x1c",
    "\u2028::warning::x\u2029",
    "\u202a\u202e\u202c",
    "\u2066\u2069",
    "\u200e\u200f\u061c",
    "\u200b\u00ad\ufeff\U000e0041",
    "\x7f",
    "##[error]x",
    "###[x]",
    "##vso[task.complete]x",
    "##teamcity[x]",
)
EVIL = "a" + "".join(PARTS)
# As a whole line or at its start.
COMMAND = "::add-mask::x"
# Without what HTTP does not allow in a header: the end of a line.
IN_HEADER = "a\x1b]0;owned\x07\x9b2J\x7f##[error]x##vso[task.complete]x"

_MARK = re.compile(r"##[A-Za-z]*\[")


def assert_harmless(text: str) -> None:
    """Assert that no line of `text` begins with a stranger's text or is a command, and that all characters are seen."""
    for line in text.split("\n"):
        assert line.isprintable(), ascii(line)
        assert not _MARK.search(line), line
        assert not line.lstrip(" ").startswith(("::", "OWNED")), line
