"""The content of a directory is kept after the end of the process, also after a kill."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from waiting import wait_until

import dockless
from dockless.errors import InvalidValueError
from dockless.testing import Registry

DATA = b"some bytes"
SERVE = "import sys; from dockless.testing.serve import serve; sys.exit(serve('127.0.0.1:0', sys.argv[1], faults=()))"


def test_content_survives_a_restart(tmp_path, helpers):
    with Registry(tmp_path) as registry:
        call = helpers.Client(registry.host)
        call.push("a/b", b"{}")
        raw = helpers.make_manifest(b"{}")
        assert call.put_manifest("a/b", "v1", raw).status == 201
        location = call("PATCH", call.start("a/b"), DATA).headers["Location"]
    with Registry(tmp_path) as registry:
        call = helpers.Client(registry.host)
        assert registry.repositories() == ["a/b"]
        assert registry.tags("a/b") == {"v1": helpers.digest(raw)}
        assert registry.manifest("a/b", "v1") == (raw, helpers.MANIFEST)
        assert registry.blobs("a/b") == {helpers.digest(b"{}"): 2}
        # The session continues at its offset.
        assert call("GET", location).headers["Range"] == f"0-{len(DATA) - 1}"
        more = call("PATCH", location, b"more", Content_Range=f"{len(DATA)}-{len(DATA) + 3}")
        whole = DATA + b"more"
        assert call("PUT", helpers.with_digest(more.headers["Location"], whole), b"").status == 201
    # The names of files are those of an OCI layout.
    assert (tmp_path / "blobs" / "sha256" / helpers.digest(whole)[7:]).read_bytes() == whole
    assert list((tmp_path / "uploads").iterdir()) == list((tmp_path / "temporary").iterdir()) == []


def test_the_same_port_and_content_after_stop_and_start(helpers):
    with Registry() as registry:
        host = registry.host
        helpers.Client(host).push("a", DATA)
        registry.stop()
        with pytest.raises(OSError):
            helpers.Client(host)("GET", "/v2/")
        registry.start()
        assert registry.host == host
        assert helpers.Client(host)("GET", f"/v2/a/blobs/{helpers.digest(DATA)}").body == DATA


def test_unnamed_content_is_removed(tmp_path, helpers):
    with Registry(tmp_path) as registry:
        call = helpers.Client(registry.host)
        digest = call.push("a", DATA)
        call("POST", f"/v2/b/blobs/uploads/?mount={digest}&from=a")
        path = tmp_path / "blobs" / "sha256" / digest[7:]
        call("DELETE", f"/v2/a/blobs/{digest}")
        assert path.exists()
        call("DELETE", f"/v2/b/blobs/{digest}")
        assert not path.exists()


def test_a_directory_with_other_files_is_refused(tmp_path):
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(InvalidValueError, match="not empty and does not contain a registry"):
        Registry(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_memory_does_not_grow_with_blobs(tmp_path, helpers):
    """A push and a pull of 96 MiB increase the peak memory of the process by a fraction of that."""
    with _Server(tmp_path) as (process, host):
        call = helpers.Client(host)
        data = os.urandom(1 << 20)
        before = _peak(process.pid)
        blob = data * 96
        call.push("a", blob)
        assert call("GET", f"/v2/a/blobs/{helpers.digest(blob)}").body == blob
        assert _peak(process.pid) - before < 24 << 10


def test_a_kill_leaves_no_partial_blob(tmp_path, helpers):
    """After a kill during an upload, no partial file has the name of a blob, and the session continues."""
    blob = os.urandom(1 << 20) * 8
    with _Server(tmp_path) as (process, host):
        call = helpers.Client(host)
        location = call.start("a")
        connection = call.connect()
        connection.putrequest("PATCH", location)
        connection.putheader("Content-Length", str(len(blob)))
        connection.endheaders()
        connection.send(blob[: 3 << 20])
        wait_until(lambda: any(path.stat().st_size >= 3 << 20 for path in tmp_path.glob("uploads/*/data")))
        process.send_signal(signal.SIGKILL)
        process.wait()
        connection.close()
    assert list((tmp_path / "blobs" / "sha256").iterdir()) == []
    with Registry(tmp_path) as registry:
        call = helpers.Client(registry.host)
        status = call("GET", location)
        start = int(status.headers["Range"].split("-")[1]) + 1
        assert start == 3 << 20
        done = call("PUT", helpers.with_digest(status.headers["Location"], blob), blob[start:])
        assert done.status == 201
        assert registry.blobs("a") == {helpers.digest(blob): len(blob)}


class _Server:
    """A registry in a separate process."""

    def __init__(self, directory):
        environment = {**os.environ, "PYTHONPATH": str(Path(dockless.__file__).parents[1])}
        self.process = subprocess.Popen(
            [sys.executable, "-c", SERVE, str(directory)], stdout=subprocess.PIPE, env=environment
        )

    def __enter__(self):
        return self.process, self.process.stdout.readline().decode().split("http://")[1].split(" ")[0]

    def __exit__(self, *error):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()


def _peak(pid):
    """Return the peak memory of the process in KiB."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1])
    raise AssertionError("no VmHWM")
