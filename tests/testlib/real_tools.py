"""Real Pants and a real registry for tests, each with its own directories and ports."""

import copy
import filecmp
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple, Optional

import pytest
from locks import locked
from pants_command import is_another_pants, pants_command, pants_settings
from waiting import wait_until

from dockless.layer.ignore import Ignores

ROOT = Path(__file__).resolve().parents[2]


def need(*programs: str) -> None:
    """Skips the test where a program is missing; with CI=true that is a failure."""
    missing = [program for program in programs if not shutil.which(program)]
    if missing and os.environ.get("CI") == "true":
        pytest.fail(f"not installed: {', '.join(missing)}")
    if missing:
        pytest.skip(f"NOT TESTED, not installed: {', '.join(missing)}")


class ProgramResult(NamedTuple):
    code: int
    out: str
    err: str


def run(
    *argv: str, cwd: Optional[Path] = None, env: Optional[dict[str, str]] = None, ok: bool = True, **options: Any
) -> ProgramResult:
    """Runs a program to its end; `options` go to `subprocess.run`. With `ok`, a failure raises AssertionError."""
    done = subprocess.run(
        [str(argument) for argument in argv],
        cwd=cwd,
        env=env,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=600,
        **options,
    )
    found = ProgramResult(done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace"))
    if ok:
        assert found.code == 0, f"{argv}\n{found.out}\n{found.err}"
    return found


def free_port() -> int:
    """Returns a port of 127.0.0.1 for a program that cannot choose one.

    It is below those that the system chooses from: no other socket is given the port before the program listens.
    """
    for port in random.SystemRandom().sample(range(10_000, 30_000), 100):
        with socket.socket() as free, suppress(OSError):
            free.bind(("127.0.0.1", port))
            return port
    raise AssertionError("no free port was found")


# Concurrent programs do not share locks either.
CONTAINERS_CONF = """
[containers]
default_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]
netns = "none"
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
lock_type = "file"
runtime = "runc"
tmp_dir = "{directory}/tmp"
"""


@contextmanager
def containers_storage(*programs: str) -> Iterator[Callable[..., ProgramResult]]:
    """storage("podman", "run", ...) runs podman or buildah with its own storage. Requires both and `programs`."""
    need(*programs)
    # podman refuses a runroot of more than 50 characters.
    directory = Path(tempfile.mkdtemp(prefix="dl-"))
    config = directory / "containers.conf"
    config.write_text(CONTAINERS_CONF.format(directory=directory))
    env = {**os.environ, "CONTAINERS_CONF": str(config)}
    storage = ("--root", directory / "storage", "--runroot", directory / "run", "--storage-driver", "vfs")

    def call(program: str, *args: str, cwd: Optional[Path] = None, ok: bool = True) -> ProgramResult:
        return run(program, *storage, *args, cwd=cwd, env=env, ok=ok)

    # For programs that run podman themselves.
    call.storage, call.env = tuple(map(str, storage)), env
    try:
        yield call
    finally:
        if "podman" in programs:
            call("podman", "rm", "--all", "--force", ok=False)
            call("podman", "rmi", "--all", "--force", ok=False)
        shutil.rmtree(directory, ignore_errors=True)


class DockerRegistry:
    """Debian's docker-registry on a free port, with its access log. `data`: a storage shared with other registries."""

    def __init__(self, directory: Path, extra: str = "", http: str = "", data: Optional[Path] = None) -> None:
        need("docker-registry")
        config = directory / "config.yml"
        config.write_text(
            "version: 0.1\n"
            "log: {level: info}\n"
            f"storage: {{filesystem: {{rootdirectory: {data or directory / 'data'}}}, delete: {{enabled: true}},"
            " maintenance: {uploadpurging: {enabled: false}}}\n"
            f'http: {{addr: "127.0.0.1:0", secret: x{http}}}\n{extra}'
        )
        self.log = directory / "log"
        # With these values, 128 fault tests with their registries take 18 s of CPU, not 25 s.
        env = {**os.environ, "GOGC": "400", "GOMAXPROCS": "1"}
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(
                ["docker-registry", "serve", str(config)], stdout=log, stderr=subprocess.STDOUT, env=env
            )
        try:
            self.host = wait_until(self._listening, "the start of docker-registry")
        except BaseException:
            self.stop()
            raise

    def _listening(self) -> str:
        """Returns the address in the registry's log on which it listens. Empty before it listens."""
        text = self.log.read_text()
        assert self.process.poll() is None, f"docker-registry did not start: {text}"
        return text.split("listening on ")[1].split('"')[0].split(" ")[0].rstrip(",") if "listening on " in text else ""

    def requests(self) -> list[str]:
        """Returns `METHOD PATH` of each request since `forget`."""
        lines = self.log.read_text().splitlines()[getattr(self, "_seen", 0) :]
        return [line.split('"')[1].rsplit(" ", 1)[0] for line in lines if '] "' in line or '- "' in line]

    def forget(self) -> None:
        self._seen = len(self.log.read_text().splitlines())

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(30)


def sources() -> Iterator[str]:
    """Returns the relative paths of the files of this repository, a git checkout or an sdist, without ignored files."""
    ignores = Ignores((), ["/.git", *(ROOT / ".gitignore").read_text().splitlines()], "this repository")
    for directory, directories, files in os.walk(ROOT):
        here = os.path.relpath(directory, ROOT)

        def path_of(name: str, here: str = here) -> str:
            return os.path.normpath(os.path.join(here, name))

        directories[:] = [name for name in directories if not ignores.ignored(os.fsencode(path_of(name)), True)]
        yield from (path_of(name) for name in files if not ignores.ignored(os.fsencode(path_of(name)), False))


# These BUILD files need backends and resolves that most tests do not use.
OWN_TARGETS = frozenset(("BUILD", "build-support/BUILD", "pants-plugins/BUILD", "src/BUILD", "tests/BUILD"))
# The daemon of Pants keeps its process ID, log and sockets there.
DIRECTORIES_OF_PANTS = (".pants.d", ".pids")


class Checkout:
    """A copy of this repository's sources with Pants, which has its own home directory, store and caches."""

    def __init__(self, directory: Path, caches: Path, *, own_targets: bool = False, default_pex: bool = False) -> None:
        """With `own_targets`, the checkout has the BUILD files that build this repository, and their resolves.

        With `default_pex`, Pants uses the version of pex that it was released with, as in the repository of a user.
        """
        self.root = directory
        # Pants is started with these options of `subprocess.run`.
        self.process_options: dict[str, Any] = {}
        self.command = pants_command()
        self._sources = frozenset(path for path in sources() if own_targets or path not in OWN_TARGETS)
        self._write_sources()
        self.env = {
            "PATH": os.environ["PATH"],
            "LANG": "C.UTF-8",
            **_cache_variables(caches),
            # A program must not write to the sources, because the next run hashes them.
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        if not own_targets:
            self.env["PANTS_PYTHON_ENABLE_RESOLVES"] = "false"
        self.env.update(_settings(caches, self.env, default_pex))

    def pants(
        self,
        *args: str,
        pantsd: bool = True,
        ok: bool = True,
        umask: int = 0o022,
        offline: bool = False,
        **env: str,
    ) -> ProgramResult:
        """Runs Pants. With `offline`, Pants runs without a daemon, and no network and no other program is reachable."""
        if offline:
            need("unshare")
        before = os.umask(umask)
        try:
            return run(
                *(("unshare", "-n") if offline else ()),
                *self.command,
                "--pantsd" if pantsd and not offline else "--no-pantsd",
                "--no-dynamic-ui",
                *args,
                cwd=self.root,
                env={**self.env, **env},
                ok=ok,
                **self.process_options,
            )
        finally:
            os.umask(before)

    @contextmanager
    def borrowed(self) -> "Iterator[Checkout]":
        """Yields the same checkout and daemon with variables of its own. Then, all files are as before."""
        borrowed = copy.copy(self)
        borrowed.env = {**self.env}
        try:
            yield borrowed
        finally:
            kept = {self.root / path for path in self._sources}
            kept.update(*(path.parents for path in kept), (self.root / name for name in DIRECTORIES_OF_PANTS))
            _remove_others(self.root, kept)
            self._write_sources()

    def _write_sources(self) -> None:
        """Writes the files that are missing or changed. Pants starts a new daemon after a change of the backend."""
        for path in self._sources:
            copied = self.root / path
            if not copied.is_file() or not filecmp.cmp(ROOT / path, copied, shallow=False):
                copied.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(ROOT / path, copied)

    def with_caches(self, caches: Path) -> "Checkout":
        """Returns the same checkout and daemon with other caches, as on a new machine.

        For other caches, the daemon makes a new scheduler, which takes a fifth of the time of a new daemon.
        """
        machine = copy.copy(self)
        machine.env = {**self.env, **_cache_variables(caches)}
        return machine

    def description(self, path: str) -> dict:
        return json.loads((self.root / "dist" / path).read_text())

    def daemons(self) -> list[int]:
        """The process IDs of pantsd in this checkout."""
        return daemons_of(self.root)

    def close(self) -> None:
        """Ends pantsd, and returns when it is gone."""
        stop_daemons(self.root)


def _remove_others(directory: Path, kept: set[Path]) -> None:
    for path in directory.iterdir():
        if path in kept and path.is_dir() and path.name not in DIRECTORIES_OF_PANTS:
            _remove_others(path, kept)
        elif path not in kept and path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        elif path not in kept:
            path.unlink()


def _settings(caches: Path, env: dict[str, str], default_pex: bool) -> dict[str, str]:
    """Returns the settings of the tests, made once for each directory of caches."""
    made = caches / f"settings{'-of-default-pex' * (default_pex and not is_another_pants())}.json"
    with locked(caches):
        if not made.exists():
            made.write_text(json.dumps(pants_settings(caches, env, default_pex=default_pex)))
        return json.loads(made.read_text())


def _cache_variables(caches: Path) -> dict[str, str]:
    """Returns the variables that make directories in `caches` the home directory, store and caches of Pants."""
    for name in ("home", "sandboxes"):
        (caches / name).mkdir(parents=True, exist_ok=True)
    return {
        "HOME": str(caches / "home"),
        "XDG_CACHE_HOME": str(caches / "xdg"),
        "PANTS_LOCAL_STORE_DIR": str(caches / "store"),
        "PANTS_NAMED_CACHES_DIR": str(caches / "named"),
        "PANTS_LOCAL_EXECUTION_ROOT_DIR": str(caches / "sandboxes"),
    }


def daemons_of(root: Path) -> list[int]:
    """Returns the process IDs of pantsd in a repository. Newer Pants writes them below `.pants.d`."""
    found = [*root.glob(".pids/*/pantsd/pid"), *root.glob(".pants.d/pids/*/pantsd/pid")]
    return [int(path.read_text()) for path in found if path.read_text().strip().isdigit()]


def stop_daemons(root: Path) -> None:
    """Ends pantsd of a repository, and returns when it is gone."""
    daemons = daemons_of(root)
    for signal_number, seconds in ((signal.SIGTERM, 20), (signal.SIGKILL, 20)):
        for daemon in filter(_is_running, daemons):
            with suppress(ProcessLookupError):
                os.kill(daemon, signal_number)
        end = time.monotonic() + seconds
        while any(map(_is_running, daemons)) and time.monotonic() < end:
            time.sleep(0.05)
    assert not any(map(_is_running, daemons)), f"pantsd is still there: {daemons}"


def _is_running(process: int) -> bool:
    """Returns whether a process runs. A zombie does not run."""
    try:
        os.kill(process, 0)
    except OSError:
        return False
    try:
        stat = Path(f"/proc/{process}/stat").read_text()
    except OSError:
        return not Path("/proc/self").exists()
    return stat.rpartition(")")[2].split()[0] != "Z"
