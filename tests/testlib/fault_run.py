"""One fault run: the command with faults between it and a real registry, and checks of all effects."""

import base64
import contextlib
import dataclasses
import functools
import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from typing import Callable

from credential_files import forms, write_netrc
from fault_bench import IDENTITY, INDEXED, NETRC, NEW, OLD, SECRET, SIZES, digest_of
from fault_proxy import FaultProxy
from made_images import layout_of
from real_tools import ROOT
from the_command import CommandResult

from dockless.cli import main
from dockless.registry.clock import Clock
from dockless.testing.message import BrokenBodyError

# Whose password may be found in basic authentication.
USERS = ("ann", "reader")


@dataclasses.dataclass(frozen=True)
class Case:
    """The faults of a run, and the expected result.

    `troubles` are faults of the registry, `at_tokens` those of the token server. In their headers, {stranger} is the
    URL of the unrelated host and {realm} that of the token server. Their hooks are called with the Run, as is
    `prepare` before the command; `check` is called after the command with the Run and the result. `mount`: the image
    comes from another repository of the registry. `error`: a pattern of the expected error; if empty, the command
    must succeed. `kill`: the command runs in a separate process, which must end with this status. `most`: the maximum
    number of equal requests. `jobs`: that of the command. `last`: the digests that the tag may have after a successful
    command (default: that of the image). `on_sleep` is called with the Run and the number of the pause.
    """

    troubles: tuple = ()
    error: str = ""
    auth: str = "token"
    user: str = "ann"
    pull: bool = False
    by_digest: bool = False
    mount: bool = False
    index: bool = False
    https: bool = False
    own_registry: bool = False
    broken_connections: dict = dataclasses.field(default_factory=dict)
    at_tokens: tuple = ()
    prepare: Callable = None
    check: Callable = None
    on_sleep: Callable = None
    kill: int = 0
    most: int = 8
    jobs: int = 4
    last: tuple = ()


class Run:
    """One case with its own repository, proxy, and home directory with credentials and a netrc file."""

    def __init__(self, bench, case, name, directory, patch, leave):
        self.bench, self.case, self.store = bench, case, bench.store
        self.repository = repository_of(name)
        self.directory, self.patch = directory, patch
        self.failures = []
        self.sleeps = []
        self.slept = 0.0
        self.lock = threading.Lock()
        self.process = None
        self.again = False
        self.image = INDEXED.index if case.index else NEW.manifest
        self.blobs = INDEXED.blobs if case.index else NEW.blobs
        self.tokens, self.stranger = bench.tokens, bench.stranger
        self.tokens.restore()
        self.stranger.restore()
        if case.own_registry:
            self.registry = bench.registry(case.auth)
            leave.callback(lambda: self.registry.stop())
        else:
            self.registry = bench.registries[case.auth]
        tokens = self.tokens if case.auth == "token" else None
        tls = bench.tls if case.https else None
        self.proxy = leave.enter_context(FaultProxy(self.registry.host, tokens=tokens, tls=tls))
        self._prepare_home(patch)

    @property
    def host(self):
        return self.proxy.host

    @property
    def name(self):
        return f"{self.host}/{self.repository}:v1"

    @property
    def killed(self):
        return self.case.kill == -signal.SIGKILL

    @property
    def secrets(self):
        return [form for secret in (SECRET, NETRC, IDENTITY) for form in forms(secret, USERS)] + self.tokens.issued

    def _prepare_home(self, patch):
        home = self.directory / "home"
        home.mkdir()
        self.env = {"HOME": str(home), "PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT / "src"), "LANG": "C.UTF-8"}
        for variable in list(os.environ):
            if (
                variable.startswith(("DOCKER", "REGISTRY_AUTH", "XDG_", "SSL_", "REQUESTS_"))
                or "proxy" in variable.lower()
            ):
                patch.delenv(variable)
        for variable, value in self.env.items():
            if variable != "PYTHONPATH":
                patch.setenv(variable, value)
        patch.chdir(self.directory)
        patch.setattr("dockless.registry.client.Clock", self.clock)
        patch.setattr("dockless.registry.uploader.CHUNK_SIZE", 64 * 1024)
        patch.setattr("dockless.registry.uploader.MIN_SIZE", 64 * 1024)
        write_netrc(home, NETRC)
        self.log_in(self.case.user, SECRET)

    def log_in(self, user, password="", **entry):
        """Writes the entry of the registry in the config file."""
        if user:
            entry["auth"] = base64.b64encode(f"{user}:{password}".encode()).decode()
        (self.directory / "home/.docker").mkdir(exist_ok=True)
        auths = {self.host: entry} if self.case.auth != "plain" else {}
        (self.directory / "home/.docker/config.json").write_text(json.dumps({"auths": auths}))

    # Effects of faults

    def clock(self):
        return Clock(lambda: time.monotonic() + self.slept, lambda: time.time() + self.slept, self._sleep, lambda: 0.5)

    def _sleep(self, seconds):
        with self.lock:
            self.sleeps.append(seconds)
            self.slept += seconds
            if self.case.on_sleep:
                self.case.on_sleep(self, len(self.sleeps))

    def restart_registry(self):
        """Kills the registry, and starts another with the same storage."""
        self.proxy.up.clear()
        self.kill_registry()
        self.start_registry()
        self.proxy.up.set()
        raise BrokenBodyError("the registry is gone")

    def kill_registry(self):
        self.registry.process.kill()
        self.registry.process.wait()

    def start_registry(self):
        self.registry = self.bench.registry(self.case.auth)
        self.proxy.target = self.registry.host

    def other_push(self, image):
        """Starts a concurrent push of an image to the same tag, without the proxy, and returns the process."""
        directory = self.directory / "home" / image.manifest.digest.hex
        layout_of(directory, image.manifest.descriptor, blobs=image.blobs)
        argv = [sys.executable, "-m", "dockless", "copy", f"oci:{directory}", f"{self.store.host}/{self.repository}:v1"]
        return subprocess.Popen(argv, env=self.env, stdout=subprocess.DEVNULL)

    def lose_sessions(self):
        for directory in self.store.sessions(self.repository):
            # Another thread may remove the session at the same time.
            shutil.rmtree(directory, ignore_errors=True)

    def send_signal(self, number):
        """Sends a signal to the command, waits for its end, and ends the connection."""
        self.process.send_signal(number)
        self.process.wait(10)
        raise BrokenBodyError("the client is gone")

    def _bound(self, troubles):
        def changed(value):
            if not isinstance(value, str):
                return value and [changed(one) for one in value]
            return value.replace("{stranger}", self.stranger.url).replace("{realm}", self.proxy.realm)

        found = []
        for trouble in troubles:
            headers = {name: changed(value) for name, value in trouble.headers.items()}
            trouble = dataclasses.replace(trouble, headers=headers)
            if getattr(trouble, "hook", None):
                trouble = dataclasses.replace(trouble, hook=functools.partial(self._call, trouble.hook))
            found.append(trouble)
        return found

    def _call(self, hook):
        try:
            hook(self)
        except BrokenBodyError:
            raise
        except Exception as error:
            self.failures.append(error)
            raise

    # The two runs

    @property
    def argv(self):
        there = f"oci:{self.directory}/new"
        name = f"{self.host}/{self.repository}@{self.image.digest}" if self.case.by_digest else self.name
        if self.case.mount:
            there = f"{self.host}/{self.repository}/base:v1"
        argv = ["copy", name, f"oci:{self.directory}/out:v1"] if self.case.pull else ["copy", there, name]
        argv += ["--jobs", str(self.case.jobs)]
        argv += ["--all-platforms"] if self.case.index else []
        return argv + (["--ca-file", str(self.bench.ca)] if self.case.https else [])

    def command(self):
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            status = main(self.argv)
        return CommandResult(status, out.getvalue(), err.getvalue())

    def start(self):
        """Starts the command in a separate process."""
        pipe = subprocess.PIPE
        argv = [sys.executable, "-m", "dockless", *self.argv]
        self.process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=pipe, stderr=pipe, env=self.env)

    def ended(self):
        out, err = self.process.communicate(timeout=60)
        return CommandResult(self.process.returncode, out.decode(), err.decode())

    def go(self):
        """Runs the case, from its preparation to the second run."""
        self.prepare()
        self.proxy.faults = self._bound(self.case.troubles)
        self.proxy.broken_connections = dict(self.case.broken_connections)
        self.tokens.faults = self._bound(self.case.at_tokens)
        if self.case.prepare:
            self.case.prepare(self)
        if self.case.kill:
            self.start()
            result = self.ended()
        else:
            result = self.command()
        assert self.failures == []
        self.judge_output(result)
        for server in (self.proxy, self.tokens):
            assert all(fault in server.struck for fault in server.faults), f"not met: {server.faults}\n{result}"
        self.judge_requests()
        self.judge_tag(survived=result.status == 0)
        if self.case.check:
            self.case.check(self, result)
        self.run_again(result)

    def prepare(self):
        layout_of(self.directory / "new", self.image.descriptor, blobs=self.blobs, names=["v1"])
        if self.case.pull:
            self.store.put(self.repository, NEW, "v1")
            layout_of(self.directory / "out", OLD.manifest.descriptor, blobs=OLD.blobs, names=["v1"])
        else:
            self.store.put(self.repository, OLD, "v1")
        if self.case.mount:
            self.store.put(f"{self.repository}/base", NEW, "v1")

    def judge_output(self, result):
        text = f"{result}\n{self.sleeps}"
        case = self.case
        if case.kill:
            assert result.status == case.kill, text
        else:
            assert result.status == (1 if case.error else 0), text
        assert "Traceback" not in result.err and "should not happen" not in result.err, text
        assert not [secret for secret in self.secrets if secret in result.out + result.err], text
        lines = result.err.splitlines()
        assert all(line.isprintable() for line in lines), text
        complaints = [line for line in lines if "error" in line]
        if case.error:
            assert complaints == lines[-1:] and lines[-1].startswith("dockless: error: "), text
            assert re.search(case.error, lines[-1]), text
            hosts = [self.host, self.repository]
            assert any(host in lines[-1] for host in hosts), text
            assert result.out == ""
        elif not case.kill:
            assert not complaints, text
            destination = f"oci:{self.directory}/out:v1" if case.pull else self.name
            assert result.out == f"{destination}@{self.image.digest}\n", text
        left = [path for path in (self.directory / "home").rglob("*") if path.is_file() and path.name != ".netrc"]
        left = [path.read_bytes().decode("latin-1") for path in left if path.name != "config.json"]
        assert not [secret for secret in self.secrets for text in left if secret in text]

    def judge_requests(self):
        log = self.proxy.requests
        assert not [request for request in [*log, *self.tokens.requests] if _has(request, forms(NETRC, USERS))]
        if self.case.auth == "token":
            # Only the token server gets the password.
            assert not [request for request in log if _has(request, [*forms(SECRET, USERS), *forms(IDENTITY, USERS)])]
        strange = self.stranger.requests
        assert not [request for request in strange if request.headers["Authorization"] or _has(request, self.secrets)]
        counts = Counter(
            (r.operation, r.reference if r.operation[:6] != "upload" else r.query.get("digest")) for r in log
        )
        counts.update((request.operation, "token server") for request in self.tokens.requests)
        # No pause may be so long.
        assert all(pause <= 60 for pause in self.sleeps) and sum(self.sleeps) <= 300 * len(SIZES)
        for (operation, subject), count in counts.items():
            one_for_each_blob = operation.startswith("upload") and subject is None
            assert count <= self.case.most * (len(SIZES) if one_for_each_blob else 1), (operation, subject, count)

    def named_now(self):
        """Returns the digest of v1 at the destination, after a check of its content."""
        if self.case.pull:
            return self._in_layout()
        raw = self.store.manifest(self.repository, "v1")
        self.store.check_complete(self.repository, raw)
        return digest_of(raw)

    def judge_tag(self, survived):
        new, old = self.image.digest, OLD.manifest.digest
        assert self.named_now() in ((self.case.last or (new,)) if survived else (old, new))
        if self.case.pull:
            assert sorted(path.name for path in self.directory.iterdir()) == ["home", "new", "out"]

    def _in_layout(self):
        """Returns the digest of v1 in the layout, after a check of its content."""
        (root,) = json.loads((self.directory / "out/index.json").read_text())["manifests"]
        assert root["annotations"] == {"org.opencontainers.image.ref.name": "v1"}
        blobs = self.directory / "out/blobs/sha256"
        for path in blobs.iterdir():
            assert digest_of(path.read_bytes()) == f"sha256:{path.name}"
        others = {path.name for path in (self.directory / "out").iterdir()} - {"blobs", "index.json", "oci-layout"}
        # After SIGKILL, only the next write to the directory removes temporary files.
        killed = self.killed and not self.again
        assert all(name.startswith(".dockless-") for name in others) if killed else not others
        manifest = json.loads((blobs / root["digest"][7:]).read_text())
        for blob in (manifest["config"], *manifest["layers"]):
            assert (blobs / blob["digest"][7:]).stat().st_size == blob["size"]
        return root["digest"]

    def run_again(self, first):
        """Checks that a run without faults succeeds and sends no existing blob."""
        self.again = True
        for server in (self.proxy, self.tokens, self.stranger):
            server.restore()
        if self.registry.process.poll() is not None:
            self.start_registry()
        self.log_in("ann", SECRET)
        missing = {digest for digest in self._blobs_below() if self.store.blob(self.repository, digest) is None}
        there = digest_of(self.store.manifest(self.repository, "v1")) == self.image.digest
        result = self.command()
        assert (result.status, f"@{self.image.digest}\n" in result.out) == (0, True), f"{first}\nthen {result}"
        assert self.named_now() == self.image.digest
        if not self.case.pull:
            uploads = [
                request for request in self.proxy.requests if request.operation in ("upload put", "upload patch")
            ]
            sent = sum(request.received for request in uploads)
            assert sent <= sum(len(self.blobs[digest]) for digest in missing), (sent, missing)
            assert {request.query.get("digest") for request in uploads} <= {*missing, None}
            if there:
                assert {request.method for request in self.proxy.requests} <= {"GET", "HEAD"}

    def _blobs_below(self):
        if not self.case.index:
            return set(SIZES)
        manifests = [json.loads(self.blobs[child.digest]) for child in self.image.manifests]
        return {blob["digest"] for found in manifests for blob in (found["config"], *found["layers"])}


def repository_of(name):
    """Returns the repository of the case with this name."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")


def _has(request, secrets):
    text = f"{request.path} {request.query} {request.headers} {request.body!r}"
    return any(secret in text for secret in secrets)
