"""Runs of the command against a real registry behind a proxy with faults. `fault_run` checks the results."""

import contextlib

import pytest
from fault_bench import Bench
from fault_run import Run


@pytest.fixture(scope="session")
def bench(tmp_path_factory):
    with contextlib.ExitStack() as leave:
        yield Bench(tmp_path_factory.mktemp("bench"), leave)


@pytest.fixture
def judged(bench, tmp_path, monkeypatch):
    """`judged(name, case)` runs a case and checks the result."""
    with contextlib.ExitStack() as leave:
        yield lambda name, case: Run(bench, case, name, tmp_path, monkeypatch, leave).go()
