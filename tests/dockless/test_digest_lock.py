"""testprojects/digests.lock: digests that are equal on every machine, interpreter and checkout.

tests/testlib/digest_lock.py writes the file; tests/reproducibility builds the cases with other
interpreters and on other processors.
"""

import json
import os
import shutil
import sys
from pathlib import Path

import digest_lock
import pytest
from digest_cases import UnsuitableFileSystemError, Workspace
from digest_run import ROOT, compare_with_lock

LOCKED = digest_lock.read_lock()
COUNT = len(digest_lock.CASES)


@pytest.mark.parametrize("kind, name", digest_lock.CASES)
def test_digests_are_those_of_the_lock(kind, name, tmp_path):
    try:
        built = digest_lock.build(kind, name, str(tmp_path))
    except UnsuitableFileSystemError as error:
        if os.environ.get("CI") == "true":
            raise
        pytest.skip(f"NOT TESTED: {error}")
    assert built == LOCKED[kind][name]


def test_the_lock_has_the_cases_and_nothing_else():
    assert sorted((kind, name) for kind in LOCKED for name in LOCKED[kind]) == sorted(digest_lock.CASES)
    written = json.loads(digest_lock.LOCK.read_text())
    assert digest_lock.LOCK.read_text() == json.dumps(written, indent=2, sort_keys=True) + "\n"


def test_hello_has_the_digest_that_pants_gives_it():
    """The literal is also in tests/integration/test_hello.py."""
    expected = "sha256:676a50b686169b83ad3f23df46f4b3681b6331c42bc250400cc81d7801f3b5b7"
    assert LOCKED["images"]["hello"]["digest"] == expected


@pytest.fixture
def memory(tmp_path):
    """A directory in memory if possible, because that file system lists names in another order."""
    if not os.access("/dev/shm", os.W_OK):
        yield tmp_path
        return
    made = Path("/dev/shm") / f"dockless-{os.getpid()}"
    made.mkdir()
    yield made
    shutil.rmtree(made)


def test_another_machine_makes_the_same_digests(tmp_path, memory):
    """Another checkout, working directory, umask, time zone, hash seed and file system; no threads; other inodes."""
    checkout = tmp_path / "another pl\u00e4ce"
    ignored = shutil.ignore_patterns("__pycache__")
    for directory in ("src/dockless", "tests/testlib", "testprojects"):
        shutil.copytree(ROOT / directory, checkout / directory, ignore=ignored)
    env = {"TZ": "Asia/Kathmandu", "LC_ALL": "C", "LANGUAGE": "tr", "PYTHONHASHSEED": "3", "HOME": "/nonexistent"}
    options = ("--directory", str(memory), "--threads", "0", "--reverse", "--disturb")
    compare_with_lock([sys.executable], *options, cases=COUNT, checkout=checkout, cwd=Path("/"), env=env, umask=0o077)


def test_more_threads_and_another_hash_seed_change_no_digest(memory):
    env = {"PYTHONHASHSEED": "4294967295", "TZ": "America/St_Johns"}
    compare_with_lock([sys.executable], "--directory", str(memory), "--threads", "5", cases=COUNT, env=env)


def test_the_encoding_of_the_file_system_changes_no_digest(memory):
    env = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    compare_with_lock([sys.executable], "--directory", str(memory), cases=COUNT, env=env)


def test_listings_replace_what_the_file_system_says(memory):
    """A sandbox whose file system has wrong modes, no symlinks and no empty directories gives the same digests."""
    compare_with_lock([sys.executable], "--directory", str(memory), "--listed", cases=COUNT)


def test_a_difference_is_named_and_is_an_error(monkeypatch, tmp_path, capsys):
    lock = tmp_path / "digests.lock"
    right = LOCKED["layers"]["empty"]
    monkeypatch.setattr(digest_lock, "LOCK", lock)
    monkeypatch.setattr(digest_lock, "CASES", [("layers", "empty"), ("layers", "executables")])
    digest_lock.write_lock(
        {"layers": {"empty": {**right, "digest": "sha256:0"}}, "images": {"gone": {"digest": "sha256:1"}}}
    )
    before = lock.read_text()
    assert digest_lock.main([]) == 1
    *lines, last = capsys.readouterr().out.splitlines()
    assert lines == [
        "images gone: no longer a case",
        f"layers empty: the digest is {right['digest']}, in the lock sha256:0",
        "layers executables: not in the lock",
    ]
    assert last.startswith("3 cases, 3 differences ")
    assert lock.read_text() == before
    assert digest_lock.main(["--write"]) == 0
    assert digest_lock.main([]) == 0
    assert digest_lock.read_lock()["layers"]["empty"] == right


def test_a_compressor_that_is_missing_is_an_error_and_writes_nothing(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(digest_lock, "LOCK", tmp_path / "digests.lock")
    monkeypatch.setitem(sys.modules, "zstandard", None)
    assert digest_lock.main(["--write"]) == 1
    assert "zstd needs the package zstandard, which is not installed" in capsys.readouterr().err
    assert not digest_lock.LOCK.exists()


def test_a_file_system_that_changes_names_is_an_error(monkeypatch, tmp_path):
    monkeypatch.setattr(os, "walk", lambda root: [(root, [], [b"readme"])])
    with pytest.raises(UnsuitableFileSystemError, match="does not keep the names"):
        Workspace(str(tmp_path)).write({"README": b""})
