"""The command is killed or interrupted, or the registry is killed, in each phase."""

import signal

import pytest
from fault_bench import BIG, OLD, SIZES
from fault_proxy import AFTER, BEFORE, Place, Trouble
from fault_run import Case

HALF = SIZES[BIG] // 2
KILLED = -signal.SIGKILL


def as_it_was(run, result):
    assert run.named_now() == OLD.manifest.digest


def killed(on, at=BEFORE, nth=1, number=signal.SIGKILL, **more):
    """The command gets the signal and ends before the exchange continues."""
    status = KILLED if number == signal.SIGKILL else 128 + number
    trouble = Trouble(on=on, nth=nth, at=at, hook=lambda run: run.send_signal(number), **more)
    pull = on in ("manifest get", "blob get")
    check = None if on == "manifest put" and at == AFTER else as_it_was
    return Case((trouble,), kill=status, pull=pull, check=check)


def registry_killed(on, at=BEFORE, nth=1, **more):
    """The registry is killed, and restarted before the next request."""
    trouble = Trouble(on=on, nth=nth, at=at, hook=lambda run: run.restart_registry(), **more)
    return Case((trouble,), own_registry=True, pull=on in ("manifest get", "blob get"))


def down_for_a_while(run, pauses):
    if pauses == 3:
        run.start_registry()


CASES = {
    "killed at the first word": killed("ping get"),
    "killed at the check of the tag": killed("manifest get"),
    "killed before a session is opened": killed("upload post"),
    "killed when a session was opened": killed("upload post", AFTER),
    "killed before the big blob": killed("upload put", digest=BIG),
    "killed in the middle of the big blob": killed("upload put", Place("request", HALF), digest=BIG),
    "killed when the big blob was stored": killed("upload put", AFTER, digest=BIG),
    "killed before the tag": killed("manifest put"),
    "killed in the middle of the manifest": killed("manifest put", Place("request", 200)),
    "killed when the tag had moved": killed("manifest put", AFTER),
    "stopped by SIGTERM when a session was opened": killed("upload post", AFTER, number=signal.SIGTERM),
    "stopped by SIGTERM in the middle of the big blob": killed(
        "upload put", Place("request", HALF), number=signal.SIGTERM, digest=BIG
    ),
    "stopped by SIGINT in the middle of the big blob": killed(
        "upload put", Place("request", HALF), number=signal.SIGINT, digest=BIG
    ),
    "stopped by SIGINT before the tag": killed("manifest put", number=signal.SIGINT),
    "stopped by SIGTERM when the tag had moved": killed("manifest put", AFTER, number=signal.SIGTERM),
    "pull: killed at the manifest": killed("manifest get"),
    "pull: killed in the middle of a blob": killed("blob get", Place("reply", HALF), reference=BIG),
    "pull: stopped by SIGINT in the middle of a blob": killed(
        "blob get", Place("reply", HALF), number=signal.SIGINT, reference=BIG
    ),
    "pull: stopped by SIGTERM before a blob": killed("blob get", number=signal.SIGTERM, reference=BIG),
    "registry killed at the first word": registry_killed("ping get"),
    "registry killed at the check of the tag": registry_killed("manifest get"),
    "registry killed before a session": registry_killed("upload post"),
    "registry killed when a session was opened": registry_killed("upload post", AFTER),
    "registry killed in the middle of the big blob": registry_killed("upload put", Place("request", HALF), digest=BIG),
    "registry killed when the big blob was stored": registry_killed("upload put", AFTER, digest=BIG),
    "registry killed before the tag": registry_killed("manifest put"),
    "registry killed when the tag had moved": registry_killed("manifest put", AFTER),
    "pull: registry killed at the manifest": registry_killed("manifest get"),
    "pull: registry killed at a blob": registry_killed("blob get", reference=BIG),
    "registry down for three pauses": Case(
        (Trouble(on="upload put", nth=1, digest=BIG, hook=lambda run: run.kill_registry()),),
        own_registry=True,
        on_sleep=down_for_a_while,
    ),
    "registry down for good": Case(
        (Trouble(on="manifest put", nth=1, hook=lambda run: run.kill_registry()),),
        own_registry=True,
        error="PUT .*/manifests/v1: ",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_run(name, judged):
    judged(name, CASES[name])
