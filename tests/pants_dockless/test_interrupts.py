"""Signals to the program that `publish` runs in the foreground: they never cause a traceback."""

import os
import signal
import time
from pathlib import Path

import pytest
from made_images import make_image
from push_plans import push_plan, start_push
from waiting import wait_until

from dockless.layout.oci_layout_writer import write_layout
from dockless.testing import Fault, Registry

# Seconds since the start of the program: the shell, the start of CPython, the imports and the push.
MOMENTS = [n / 100 for n in (0, 0.5, 1, 1.5, 2, 3, 4, 5, 7, 10, 13, 16, 20, 25, 30, 40)]


@pytest.fixture
def start(tmp_path):
    """start(registry) starts a push as Pants does."""
    image = make_image(*(os.urandom(100_000) for _ in range(5)))
    blobs = [image.manifest.descriptor, image.manifest.config, *image.manifest.layers]
    write_layout(str(tmp_path), [image.manifest.descriptor], blobs, image.blobs)
    return lambda registry: start_push(tmp_path, push_plan(registry, image.manifest.descriptor))


@pytest.mark.parametrize("number, status", [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_push_exits_on_signals_without_traceback(start, number, status):
    def interrupt(registry, wait):
        process = start(registry)
        wait()
        os.killpg(process.pid, number)
        output, _ = process.communicate(timeout=60)
        assert "Traceback" not in output and "Exception ignored" not in output and "Error" not in output
        return process.returncode

    for moment in MOMENTS:
        with Registry() as registry:
            # The shell and CPython are killed by the signal; a complete push exits with status 0.
            assert interrupt(registry, lambda moment=moment: time.sleep(moment)) in (status, -number, 0), moment
    with Registry(faults=[Fault("ping get", delay=60)]) as registry:
        assert interrupt(registry, lambda: wait_until(lambda: registry.requests)) == status


def test_environment_file_is_deleted_after_reading(start, tmp_path):
    with Registry() as registry:
        process = start(registry)
        output, _ = process.communicate(timeout=60)
        assert process.returncode == 0, output
        assert set(registry.tags("app")) == {"1"}
    assert not Path(tmp_path / "environment.json").exists()
