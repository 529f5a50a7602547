"""Services of the Remote Execution API on loopback ports: BuildGrid as a cache, buildbox-casd as a cache with workers.

`./run-tests` puts their programs under `.cache`. A service holds its data in a directory of the test.
"""

import json
import os
import shlex
import signal
import socket
import subprocess
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple, Optional

from real_tools import ROOT, free_port, need, run

BUILDGRID = ROOT / ".cache/buildgrid/bin"
BUILDBOX = ROOT / ".cache/buildbox"
TESTLIB = Path(__file__).resolve().parent

BUILDGRID_CONFIG = """
server:
  - !channel {{address: "127.0.0.1:{port}", insecure-mode: true}}
storages:
  - !disk-storage &cas {{path: {directory}}}
caches:
  - !lru-action-cache &results
    storage: *cas
    max-cached-refs: 1024
    allow-updates: true
    cache-failed-actions: false
instances:
  - name: ""
    services: [!action-cache {{cache: *results}}, !cas {{storage: *cas}}, !bytestream {{storage: *cas}}]
thread-pool-size: 100
"""


class InputFile(NamedTuple):
    """A file of an input root. `digest` is the hexadecimal SHA-256 of its content."""

    digest: str
    executable: bool


class RemoteAction(NamedTuple):
    """An Action and its Command. `inputs` is None if the service does not have the input root."""

    digest: str
    arguments: tuple[str, ...]
    environment: dict[str, str]
    outputs: tuple[str, ...]
    inputs: Optional[dict[str, InputFile]]


class RemoteService:
    """A running service. Each subclass starts a program in its constructor."""

    def __init__(self, directory: Path, port: int, argv: Iterable[object]) -> None:
        self.directory = directory
        self.port = port
        self.address = f"grpc://127.0.0.1:{port}"
        self.log = directory / "log"
        self._argv = [str(argument) for argument in argv]
        self._start()

    def _start(self) -> None:
        with open(self.log, "wb") as log:
            # A new process group, so that the children of the service end with the service.
            self._process = subprocess.Popen(
                self._argv,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        try:
            self._wait_until_listening()
        except BaseException:
            self.stop()
            raise

    @property
    def options(self) -> tuple[str, ...]:
        """The options of Pants that make the service its remote cache."""
        return ("--remote-cache-read", "--remote-cache-write", f"--remote-store-address={self.address}")

    def actions(self) -> list[RemoteAction]:
        """Returns the Actions of the service, in the order of their digests."""
        return [
            RemoteAction(
                action["digest"],
                tuple(action["arguments"]),
                action["environment"],
                tuple(action["outputs"]),
                None
                if action["inputs"] is None
                else {path: InputFile(*file) for path, file in action["inputs"].items()},
            )
            for action in json.loads(self._tool("list-actions", self._objects))
        ]

    def read_blob(self, digest: str) -> bytes:
        """Returns the content of a blob by the hexadecimal SHA-256."""
        return (self._objects / digest[:2] / digest[2:]).read_bytes()

    def drop_outputs(self, digest: str) -> None:
        """Makes the cached result of the Action that wrote the blob `digest` one without files and directories."""
        self._tool("drop-outputs", self._objects, self.address.removeprefix("grpc://"), digest)

    def stop(self) -> None:
        self._process.terminate()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(10)
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait(10)

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """Stops the service, and starts it again on the same port at the end of the context."""
        self.stop()
        try:
            yield
        finally:
            self._start()

    @property
    def _objects(self) -> Path:
        return self.directory / "cas/objects"

    def _tool(self, *arguments: object) -> str:
        return run(BUILDGRID / "python", TESTLIB / "remote_protocol.py", *arguments, env={"PATH": os.defpath}).out

    def _wait_until_listening(self) -> None:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and self._process.poll() is None:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            except OSError:
                time.sleep(0.05)
        raise AssertionError(f"{type(self).__name__} did not start: {self.log.read_text(errors='replace')}")


class BuildGrid(RemoteService):
    """BuildGrid as a remote cache: blobs on disk, results in memory. The service executes nothing."""

    def __init__(self, directory: Path) -> None:
        need(str(BUILDGRID / "bgd"))
        port = free_port()
        config = directory / "buildgrid.yml"
        config.write_text(BUILDGRID_CONFIG.format(port=port, directory=directory))
        super().__init__(directory, port, [BUILDGRID / "bgd", "server", "start", config])


class FaultyCache(RemoteService):
    """A cache with faults in front of another cache."""

    def __init__(self, directory: Path, upstream: RemoteService) -> None:
        self._fault_file = directory / "fault"
        self.set_fault("")
        port = free_port()
        argv = [BUILDGRID / "python", TESTLIB / "faulty_cache.py", port, upstream.port, self._fault_file]
        super().__init__(directory, port, argv)

    def set_fault(self, name: str) -> None:
        """Sets the fault of the following calls, a name in faulty_cache.py. An empty name means no fault."""
        self._fault_file.write_text(name)


class BuildboxCasd(RemoteService):
    """buildbox-casd as cache, scheduler and worker. A job runs in a sandbox of bubblewrap, with no network.

    A job sees the directories of the machine that programs and libraries are in, and `prefixes` read-only, at the same
    paths. `CACHES_PATH` is the directory of its append-only caches.
    """

    CACHES_PATH = "/named-caches"

    def __init__(self, directory: Path, prefixes: Iterable[Path]) -> None:
        need(str(BUILDBOX / "buildbox-casd"), str(BUILDBOX / "buildbox-run"), str(BUILDGRID / "python"), "bwrap")
        self._lose_outputs = directory / "lose-outputs"
        runner = directory / "runner"
        command = [BUILDGRID / "python", TESTLIB / "buildbox_runner.py", BUILDBOX / "buildbox-run", self._lose_outputs]
        runner.write_text(f'#!/bin/sh\nexec {shlex.join(map(str, command))} "$@"\n')
        runner.chmod(0o755)
        caches = directory / "named-caches"
        caches.mkdir()
        # On a merged /usr, the targets of the symlinks /lib, /bin and others are mounted instead of the symlinks.
        mounts = {path: path.resolve() for path in map(Path, ("/usr", "/bin", "/lib", "/lib64")) if path.exists()}
        mounts.update({path: path for path in prefixes if not path.is_relative_to("/usr")})
        port = free_port()
        super().__init__(
            directory,
            port,
            [
                BUILDBOX / "buildbox-casd",
                f"--bind=127.0.0.1:{port}",
                f"--buildbox-run={runner}",
                "--jobs=2",
                *(f"--runner-arg=--ro-bind-mount={source}:{path}" for path, source in mounts.items()),
                f"--runner-arg=--bind-mount={caches}:{self.CACHES_PATH}",
                directory.resolve(),
            ],
        )

    @property
    def execution_options(self) -> tuple[str, ...]:
        """The options of Pants that make the service run its processes."""
        return (
            *self.options,
            "--remote-execution",
            f"--remote-execution-address={self.address}",
            f"--remote-execution-append-only-caches-base-path={self.CACHES_PATH}",
        )

    def lose_outputs(self) -> None:
        """Makes the worker return results without files and directories, as one that does not know a field does."""
        self._lose_outputs.touch()
