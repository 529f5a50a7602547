"""Attacks by a registry, a token server, a store, a proxy or an image. Each table has a row for each attack.

A row names the attack, its input and its outcome. A test looks at what the hostile party received (no credentials, no
request at all), not only at the error. No test needs more than loopback.
"""

import os
import re
import resource

import pytest
from manual_clock import ManualClock

from dockless.registry import Credentials, RegistryClient, RetryPolicy

USER, PASSWORD = "ann", "canary-password"
CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


@pytest.fixture
def environ(tmp_path):
    """An environment with an empty home: no credentials, proxies or CAs of this machine."""
    (tmp_path / "home").mkdir()
    return {"HOME": str(tmp_path / "home"), "PATH": os.environ["PATH"]}


@pytest.fixture
def connect(environ):
    """`connect(host, **options of RegistryClient)`: a client with a password, whose pauses take no time."""
    clients = []

    def connect(host, **options):
        defaults = {
            "credentials": Credentials(USER, PASSWORD),
            "environ": environ,
            "clock": ManualClock().clock(),
            "retry": RetryPolicy(attempts=2),
        }
        clients.append(RegistryClient(host, **{**defaults, **options}))
        return clients[-1]

    yield connect
    for client in clients:
        client.close()


@pytest.fixture
def clean():
    """`clean(error)`: the error is one line, without control characters and without the password."""

    def clean(error):
        text = str(error)
        assert text and not CONTROLS.search(text), text
        assert PASSWORD not in text
        assert len(text) < 4000
        return text

    return clean


@pytest.fixture
def memory():
    """The number of KiB by which the memory of this process has ever grown during the test."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
