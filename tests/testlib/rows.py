"""Rows of the table of bad inputs, as marks of tests and parameters."""

import pytest

row = pytest.mark.row


def case(name, description, *values):
    """Returns a parameter of the row `name`. `description` distinguishes the parameters of a row."""
    return pytest.param(*values, id=f"{name}-{description}", marks=row(name))
