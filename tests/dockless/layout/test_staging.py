import os
import signal
import subprocess
import sys
from types import SimpleNamespace

import pytest

from dockless._atomic import _prefix, atomic_file, remove_stale, temporary_directory
from dockless.errors import LayoutError

WRITER = """\
import sys
from types import SimpleNamespace
from dockless._atomic import atomic_file, temporary_directory
kind, path = sys.argv[1:]
with temporary_directory(path) if kind == "directory" else atomic_file(path + "/out.tar") as staged:
    if kind == "directory":
        open(staged[0] + "/blob", "w").close()
    print("begun", flush=True)
    sys.stdin.read()
"""


class Writer:
    """Another process that is writing."""

    def __init__(self, kind, directory):
        command = [sys.executable, "-c", WRITER, kind, str(directory)]
        env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        self.process = subprocess.Popen(command, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert self.process.stdout.readline() == b"begun\n"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()


def names(directory):
    return sorted(path.name for path in directory.iterdir())


def test_the_file_gets_its_name_when_it_is_complete(tmp_path):
    with atomic_file(str(tmp_path / "deep/a")) as file:
        file.write(b"new")
        assert "a" not in names(tmp_path / "deep")
    assert (tmp_path / "deep/a").read_bytes() == b"new" and names(tmp_path / "deep") == ["a"]


def test_a_failure_keeps_the_previous_file(tmp_path):
    (tmp_path / "a").write_text("old")
    with pytest.raises(KeyboardInterrupt), atomic_file(str(tmp_path / "a")) as file:
        file.write(b"new")
        raise KeyboardInterrupt
    assert (tmp_path / "a").read_text() == "old" and names(tmp_path) == ["a"]


def test_the_destination_is_a_directory(tmp_path):
    with pytest.raises(LayoutError, match=f"cannot write {tmp_path}: it is a directory"), atomic_file(str(tmp_path)):
        pass


def test_devices_and_fifos_are_not_replaced(tmp_path):
    os.mkfifo(tmp_path / "fifo")
    for path in (str(tmp_path / "fifo"), "/dev/null"):
        with pytest.raises(LayoutError, match=f"cannot write {path}: it is not a regular file"), atomic_file(path):
            pass
    assert names(tmp_path) == ["fifo"]


def test_the_target_of_a_symlink_is_written(tmp_path):
    (tmp_path / "link").symlink_to("there/a")
    (tmp_path / "there").mkdir()
    for content in (b"one", b"two"):
        with atomic_file(str(tmp_path / "link")) as file:
            file.write(content)
        assert (tmp_path / "there/a").read_bytes() == content and (tmp_path / "link").is_symlink()


def test_permissions_follow_the_umask(tmp_path):
    before = os.umask(0o027)
    try:
        with atomic_file(str(tmp_path / "a")):
            pass
    finally:
        os.umask(before)
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o640


def test_a_directory_is_kept_by_renaming_it(tmp_path):
    with temporary_directory(str(tmp_path)) as (gone, _):
        (tmp_path / gone / "x").write_text("x")
    with temporary_directory(str(tmp_path)) as (kept, _):
        os.replace(kept, tmp_path / "kept")
    assert names(tmp_path) == ["kept"]


@pytest.mark.parametrize("left", ["file", "directory"])
@pytest.mark.parametrize("next_one", ["file", "directory"])
def test_temporaries_of_a_killed_writer_are_removed(tmp_path, left, next_one):
    with Writer(left, tmp_path) as writer:
        writer.process.send_signal(signal.SIGKILL)
        writer.process.wait()
        assert len(names(tmp_path)) == 1
        with Writer(next_one, tmp_path):
            assert len(names(tmp_path)) == 1


@pytest.mark.parametrize("kind", ["file", "directory"])
def test_temporaries_in_use_are_kept(tmp_path, kind):
    with Writer(kind, tmp_path) as other:
        temporaries = names(tmp_path)
        with atomic_file(str(tmp_path / "mine")), temporary_directory(str(tmp_path)):
            assert len(names(tmp_path)) == 3
        assert names(tmp_path) == [*temporaries, "mine"]
        other.process.stdin.close()
        assert other.process.wait() == 0
    assert names(tmp_path) == (["mine", "out.tar"] if kind == "file" else ["mine"])


def test_nothing_else_is_removed_and_no_link_is_followed(tmp_path):
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "x").write_text("x")
    link = f"{_prefix()}link"
    (tmp_path / link).symlink_to(precious)
    os.mkfifo(tmp_path / ".dockless-other")
    with atomic_file(str(tmp_path / "a")):
        pass
    assert names(tmp_path) == [".dockless-other", link, "a", "precious"]
    assert names(precious) == ["x"]


def test_temporaries_of_another_machine_are_kept(tmp_path, monkeypatch):
    """A lock on a directory of NFS is visible on one machine only."""
    with temporary_directory(str(tmp_path)) as (theirs, _):
        monkeypatch.setattr("os.uname", lambda: SimpleNamespace(nodename="another"))
        monkeypatch.setattr("fcntl.flock", lambda *_: None)
        remove_stale(str(tmp_path))
        assert os.path.isdir(theirs)
