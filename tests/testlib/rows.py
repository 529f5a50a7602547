"""Rows of the table of bad inputs, as marks of tests and of their parameters."""

import pytest

row = pytest.mark.row


def case(name, description, *values):
    """A parameter that is of row `name`; `what` tells it from others of that row."""
    return pytest.param(*values, id=f"{name}-{description}", marks=row(name))
