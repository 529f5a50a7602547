"""testprojects/digests.lock with the interpreters that do not run the whole suite.

`./run-tests` makes an environment with the library's dependencies for each interpreter on PATH or under pyenv.
"""

import os
import shutil
import subprocess

import pytest
from digest_lock import CASES
from digest_run import ROOT, compare_with_lock


def is_at_hand(version: str) -> bool:
    """Whether requirements/venv.sh finds a CPython of that version."""
    script = 'root="$1"; source "$root/requirements/venv.sh"; installed_python "$2"'
    return not subprocess.run(["bash", "-c", script, "bash", ROOT, version], stdout=subprocess.DEVNULL).returncode


@pytest.mark.parametrize("version", ["3.10", "3.11", "3.12", "3.14"])
def test_other_interpreters_make_the_digests_of_the_lock(version, tmp_path, measured):
    python = ROOT / f".cache/library-{version}/bin/python"
    if not shutil.which(python):
        if is_at_hand(version) and os.environ.get("CI") == "true":
            pytest.fail(f"CPython {version} is at hand, but ./run-tests did not make {python}")
        pytest.skip(f"NOT TESTED: {python} is missing; ./run-tests makes it where CPython {version} is at hand")
    last = compare_with_lock([str(python)], "--directory", str(tmp_path), cases=len(CASES))
    assert f"CPython {version}." in last
    measured(f"digests.lock: {last}")
