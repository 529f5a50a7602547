"""The texts that users read are those of messages.golden, where a change of wording is one diff."""

from messages import GOLDEN, collect


def test_texts_are_those_of_the_golden_file():
    assert collect() == GOLDEN.read_text(), "run: python tests/testlib/messages.py --write"
