"""docs/registry-client.md: the program runs, and the numbers are those of the code."""

import re
from pathlib import Path

from dockless.registry import RetryPolicy, retry, upload_state, uploader
from dockless.registry.auth import credential_helpers
from dockless.registry.http import _urllib3, minimum_rate, session
from dockless.testing import BasicAuth, Registry, User

PAGE = (Path(__file__).parents[3] / "docs/registry-client.md").read_text()


def test_the_program_runs(connect, image, keep):
    (program,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    with Registry(auth=BasicAuth([User("ann", "secret")])) as registry:
        keep(registry, "team/app", image, "1.0")
        exec(compile(program, "docs/registry-client.md", "exec"), {"host": registry.host})
        assert registry.tags("team/app") == {"1.0": image.digest}


def test_the_numbers():
    policy = RetryPolicy()
    pauses = [policy.base * 2**n for n in range(policy.attempts - 1)]
    assert f"{policy.attempts} attempts, pauses of up to {', '.join(f'{p:g}' for p in pauses)} s" in PAGE
    assert f"{policy.attempts_to_connect} attempts if the host cannot be reached" in PAGE
    assert f"obeyed up to {policy.longest_wait:g} s" in PAGE
    assert f"in any case after {policy.budget:g} s" in PAGE
    assert f"chunks of {uploader.CHUNK_SIZE >> 20} MiB" in PAGE
    assert f"Timeouts: {_urllib3.CONNECT_TIMEOUT:g} s for a connection, {session.SEND_TIMEOUT:g} s for each" in PAGE
    assert session.READ_TIMEOUT == session.SEND_TIMEOUT
    (rate, unit) = re.search(r"less than (\d+) (KiB) a second for a minute", PAGE).groups()
    assert (int(rate) * {"KiB": 1 << 10}[unit], 60) == (minimum_rate.MIN_RATE, minimum_rate.WINDOW)
    (size,) = re.search(r"blobs of (\d+) MiB or more are stored for a day", PAGE).groups()
    assert (int(size) << 20, 24 * 60 * 60) == (upload_state.MIN_SIZE, upload_state.MAX_AGE)
    assert f"A helper gets {credential_helpers.TIMEOUT:g} s" in PAGE
    (row,) = [line for line in PAGE.splitlines() if line.startswith("| no connection")]
    listed = {int(n) for n in re.findall(r"\b[45]\d\d\b", row)} | set(range(520, 531))
    assert listed == retry.RETRYABLE_STATUS
