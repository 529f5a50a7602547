"""Fixtures that run the command in this process or in a separate process. A conftest imports them."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest
from credential_files import use_home

from dockless.cli import main

SOURCES = Path(__file__).resolve().parents[2] / "src"


class CommandResult(NamedTuple):
    status: int
    out: str
    err: str

    @property
    def json(self):
        return json.loads(self.out)


@pytest.fixture(autouse=True)
def isolated_directory(tmp_path, monkeypatch):
    home = tmp_path / "home"
    home.mkdir()
    use_home(monkeypatch, home)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def dockless(capfdbinary):
    """`dockless(*arguments)` runs the command in this process."""

    def call(*arguments):
        capfdbinary.readouterr()
        try:
            status = main([str(argument) for argument in arguments])
        except SystemExit as end:
            status = end.code
        out, err = capfdbinary.readouterr()
        return CommandResult(status, out.decode(), err.decode())

    return call


@pytest.fixture
def start():
    """`start(*arguments)` starts the command in a separate process."""
    running = []

    def begin(*arguments, **options):
        process = subprocess.Popen(
            [sys.executable, "-m", "dockless", *map(str, arguments)],
            stdin=options.pop("stdin", subprocess.DEVNULL),
            stdout=options.pop("stdout", subprocess.PIPE),
            stderr=options.pop("stderr", subprocess.PIPE),
            env={**os.environ, "PYTHONPATH": str(SOURCES), **options.pop("env", {})},
            **options,
        )
        running.append(process)
        return process

    yield begin
    for process in running:
        if process.poll() is None:
            process.kill()
        process.communicate()
