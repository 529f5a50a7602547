"""Runs of the command against a real registry with something in between; `fault_run` says how they are judged."""

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
    """`judged(name, case)` runs a case and judges it."""
    with contextlib.ExitStack() as leave:
        yield lambda name, case: Run(bench, case, name, tmp_path, monkeypatch, leave).go()
