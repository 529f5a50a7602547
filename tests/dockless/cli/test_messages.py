"""The texts for users are those of messages.golden, which shows a change of wording as one diff."""

from messages import GOLDEN, collect


def test_texts_are_those_of_the_golden_file():
    assert collect() == GOLDEN.read_text(), "run: python tests/testlib/messages.py --write"
