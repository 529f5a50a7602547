"""Fixtures and hooks of all tests, and the rules that let each test run concurrently with all others.

`./run-tests` runs pytest several times. Two runs are concurrent, each with several workers of pytest-xdist.
The tests of one file run on one worker, one after the other (`--dist loadfile`); different files run concurrently.
Do not keep large values in a module: make them in the test. Each worker imports all modules of its run, and CPython 3.9
starts a program more slowly the more memory its process has.
`pytest` without `-n` runs all tests in one process.

- A service (registry, proxy, daemon) listens on a port that the system chooses (port 0) and keeps its files below
  `tmp_path` or `tmp_path_factory`, which differ for each worker. Nothing is written to the checkout, to the home
  directory or to a fixed path below /tmp.
- A fixture of module scope is set up once for each file, and a fixture of session scope once for each worker. Workers
  share only directories whose users lock them, such as the store of Pants; see `caches` in integration/conftest.py.
- Modules with the fixture `checkout` use one checkout and one daemon of Pants for each worker, one after the other. The
  files and variables that a module changes are restored. A module that needs another daemon makes a `Checkout`.
- A fixture stops the processes that it started, also after a failure. `Checkout.close` waits for the end of the daemon
  of Pants.
- For a port that refuses connections, bind a socket without listening and keep it open for the whole test. A
  program that cannot choose a port gets one from `real_tools.free_port`.
- Other tests use the processor and start processes. A test waits until it observes a state (`waiting.wait_until`), or
  injects a clock. A timeout only ends a test that hangs, and is 20 seconds or more. A test that lists processes lists
  only descendants of its own process.
- Names of parametrized tests are the same in every process: they contain no time, no random bytes, and do not depend on
  the order of a set.
"""

import signal

import pytest
from hypothesis import HealthCheck, settings

# The duration of an example depends on the load of the machine.
settings.register_profile("suite", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("suite")

MEASURED = pytest.StashKey[list]()


def pytest_configure():
    # `./run-tests` ends its runs by SIGTERM: fixtures then stop their processes, as after Ctrl-C.
    signal.signal(signal.SIGTERM, signal.default_int_handler)


@pytest.fixture(scope="session")
def measured(pytestconfig):
    """measured("subject: numbers") adds a line that is printed after the tests."""
    return pytestconfig.stash.setdefault(MEASURED, []).append


# The pytest of Pants 2.17 does not support `wrapper=True`.
@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    report = (yield).get_result()
    lines = item.config.stash.get(MEASURED, [])
    # Reports also arrive from workers.
    report.user_properties += [("measured", line) for line in lines]
    lines.clear()


def pytest_terminal_summary(terminalreporter):
    reports = [report for reports in terminalreporter.stats.values() for report in reports]
    properties = [found for report in reports for found in getattr(report, "user_properties", ())]
    lines = [value for name, value in properties if name == "measured"]
    if lines:
        terminalreporter.section("measured")
    for line in lines:
        terminalreporter.write_line(line)


def pytest_make_parametrize_id(val, argname):
    """Shortens the ids of long values, because the name of a test is part of every report."""
    if isinstance(val, (str, bytes)) and len(val) > 300:
        return f"{argname}-{val[:40]!a}-{len(val)}"
    return None
