"""One fault run: the command meets troubles on its way to a real registry, and everything about it is judged."""

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

from fault_bench import IDENTITY, INDEXED, NETRC, NEW, OLD, SECRET, SIZES, digest_of
from fault_proxy import FaultProxy
from made_images import layout_of
from real_tools import ROOT
from the_command import Said

from dockless.cli import main
from dockless.registry.clock import Clock
from dockless.testing.message import BrokenBodyError


@dataclasses.dataclass(frozen=True)
class Case:
    """What goes wrong, and what is to come of it.

    `troubles` strike the registry's requests, `at_tokens` those of the token server; in their headers {stranger} is the
    stranger's url and {realm} the token server's. Their hooks are called with the Run, as is `prepare` before the
    command, and `check` after it with what it said, too. `mount`: the image comes from another repository of the
    registry. `error` (a pattern): the command fails with that; without, it survives. `kill`: it runs in a process of
    its own and ends with this status. `most`: how often one thing is asked for at most. `last`: what the tag may name
    after a command that survives; by default the image. `on_sleep` is called with the Run and the number of the pause.
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
    last: tuple = ()


class Run:
    """A repository of its own for one case, its proxy, and a home with credentials and a netrc."""

    def __init__(self, bench, case, name, folder, patch, leave):
        self.bench, self.case, self.store = bench, case, bench.store
        self.repository = repository_of(name)
        self.folder, self.patch = folder, patch
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
        return [form for secret in (SECRET, NETRC, IDENTITY) for form in forms(secret)] + self.tokens.issued

    def _prepare_home(self, patch):
        home = self.folder / "home"
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
        patch.chdir(self.folder)
        patch.setattr("dockless.registry.client.Clock", self.clock)
        patch.setattr("dockless.registry.uploader.CHUNK_SIZE", 64 * 1024)
        patch.setattr("dockless.registry.uploader.MIN_SIZE", 64 * 1024)
        netrc = home / ".netrc"
        machines = [f"machine {host} login ann password {NETRC}\n" for host in ("127.0.0.1", "localhost")]
        netrc.write_text("".join(machines) + f"default login ann password {NETRC}\n")
        netrc.chmod(0o600)
        self.log_in(self.case.user, SECRET)

    def log_in(self, user, password="", **entry):
        """What the auth file says of the registry."""
        if user:
            entry["auth"] = base64.b64encode(f"{user}:{password}".encode()).decode()
        (self.folder / "home/.docker").mkdir(exist_ok=True)
        auths = {self.host: entry} if self.case.auth != "plain" else {}
        (self.folder / "home/.docker/config.json").write_text(json.dumps({"auths": auths}))

    # What troubles do

    def clock(self):
        return Clock(lambda: time.monotonic() + self.slept, lambda: time.time() + self.slept, self._sleep, lambda: 0.5)

    def _sleep(self, seconds):
        with self.lock:
            self.sleeps.append(seconds)
            self.slept += seconds
            if self.case.on_sleep:
                self.case.on_sleep(self, len(self.sleeps))

    def restart_registry(self):
        """SIGKILL, which ends its connections, and another on the same storage."""
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
        """Somebody else pushes an image to the same tag, straight to the registry; returns the process."""
        folder = self.folder / "home" / image.manifest.digest.hex
        layout_of(folder, image.manifest.descriptor, blobs=image.blobs)
        argv = [sys.executable, "-m", "dockless", "copy", f"oci:{folder}", f"{self.store.host}/{self.repository}:v1"]
        return subprocess.Popen(argv, env=self.env, stdout=subprocess.DEVNULL)

    def lose_sessions(self):
        for folder in self.store.sessions(self.repository):
            # Another thread may lose it at the same time.
            shutil.rmtree(folder, ignore_errors=True)

    def send_signal(self, number):
        """Sends it to the command, and waits until that has ended; its connection is at an end, too."""
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
        there = f"oci:{self.folder}/new"
        name = f"{self.host}/{self.repository}@{self.image.digest}" if self.case.by_digest else self.name
        if self.case.mount:
            there = f"{self.host}/{self.repository}/base:v1"
        argv = ["copy", name, f"oci:{self.folder}/out:v1"] if self.case.pull else ["copy", there, name]
        argv += ["--all-platforms"] if self.case.index else []
        return argv + (["--ca-file", str(self.bench.ca)] if self.case.https else [])

    def command(self):
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            status = main(self.argv)
        return Said(status, out.getvalue(), err.getvalue())

    def start(self):
        """The command in a process of its own."""
        pipe = subprocess.PIPE
        argv = [sys.executable, "-m", "dockless", *self.argv]
        self.process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=pipe, stderr=pipe, env=self.env)

    def ended(self):
        out, err = self.process.communicate(timeout=60)
        return Said(self.process.returncode, out.decode(), err.decode())

    def go(self):
        """The case, from its preparation to the second run."""
        self.prepare()
        self.proxy.faults = self._bound(self.case.troubles)
        self.proxy.broken_connections = dict(self.case.broken_connections)
        self.tokens.faults = self._bound(self.case.at_tokens)
        if self.case.prepare:
            self.case.prepare(self)
        if self.case.kill:
            self.start()
            said = self.ended()
        else:
            said = self.command()
        assert self.failures == []
        self.judge_words(said)
        for server in (self.proxy, self.tokens):
            assert all(fault in server.struck for fault in server.faults), f"not met: {server.faults}\n{said}"
        self.judge_wire()
        self.judge_tag(survived=said.status == 0)
        if self.case.check:
            self.case.check(self, said)
        self.run_again(said)

    def prepare(self):
        layout_of(self.folder / "new", self.image.descriptor, blobs=self.blobs, names=["v1"])
        if self.case.pull:
            self.store.put(self.repository, NEW, "v1")
            layout_of(self.folder / "out", OLD.manifest.descriptor, blobs=OLD.blobs, names=["v1"])
        else:
            self.store.put(self.repository, OLD, "v1")
        if self.case.mount:
            self.store.put(f"{self.repository}/base", NEW, "v1")

    def judge_words(self, said):
        text = f"{said}\n{self.sleeps}"
        case = self.case
        if case.kill:
            assert said.status == case.kill, text
        else:
            assert said.status == (1 if case.error else 0), text
        assert "Traceback" not in said.err and "should not happen" not in said.err, text
        assert not [secret for secret in self.secrets if secret in said.out + said.err], text
        lines = said.err.splitlines()
        assert all(line.isprintable() for line in lines), text
        complaints = [line for line in lines if "error" in line]
        if case.error:
            assert complaints == lines[-1:] and lines[-1].startswith("dockless: error: "), text
            assert re.search(case.error, lines[-1]), text
            hosts = [self.host, self.repository]
            assert any(host in lines[-1] for host in hosts), text
            assert said.out == ""
        elif not case.kill:
            assert not complaints, text
            destination = f"oci:{self.folder}/out:v1" if case.pull else self.name
            assert said.out == f"{destination}@{self.image.digest}\n", text
        left = [path for path in (self.folder / "home").rglob("*") if path.is_file() and path.name != ".netrc"]
        left = [path.read_bytes().decode("latin-1") for path in left if path.name != "config.json"]
        assert not [secret for secret in self.secrets for text in left if secret in text]

    def judge_wire(self):
        log = self.proxy.requests
        assert not [request for request in [*log, *self.tokens.requests] if _has(request, forms(NETRC))]
        if self.case.auth == "token":
            # The password is for the token server alone.
            assert not [request for request in log if _has(request, [*forms(SECRET), *forms(IDENTITY)])]
        strange = self.stranger.requests
        assert not [request for request in strange if request.headers["Authorization"] or _has(request, self.secrets)]
        asked = Counter(
            (r.operation, r.reference if r.operation[:6] != "upload" else r.query.get("digest")) for r in log
        )
        asked.update((request.operation, "token server") for request in self.tokens.requests)
        # A day of waiting is a day of somebody's build.
        assert all(pause <= 60 for pause in self.sleeps) and sum(self.sleeps) <= 300 * len(SIZES)
        for (operation, what), count in asked.items():
            one_for_each_blob = operation.startswith("upload") and what is None
            assert count <= self.case.most * (len(SIZES) if one_for_each_blob else 1), (operation, what, count)

    def named_now(self):
        """What v1 names at the destination, with all that is under it."""
        if self.case.pull:
            return self._in_layout()
        raw = self.store.manifest(self.repository, "v1")
        self.store.check_complete(self.repository, raw)
        return digest_of(raw)

    def judge_tag(self, survived):
        new, old = self.image.digest, OLD.manifest.digest
        assert self.named_now() in ((self.case.last or (new,)) if survived else (old, new))
        if self.case.pull:
            assert sorted(path.name for path in self.folder.iterdir()) == ["home", "new", "out"]

    def _in_layout(self):
        """What v1 is in the layout; everything under it is there."""
        (root,) = json.loads((self.folder / "out/index.json").read_text())["manifests"]
        assert root["annotations"] == {"org.opencontainers.image.ref.name": "v1"}
        blobs = self.folder / "out/blobs/sha256"
        for path in blobs.iterdir():
            assert digest_of(path.read_bytes()) == f"sha256:{path.name}"
        others = {path.name for path in (self.folder / "out").iterdir()} - {"blobs", "index.json", "oci-layout"}
        # Nobody clears up after SIGKILL but the next who writes there.
        killed = self.killed and not self.again
        assert all(name.startswith(".dockless-") for name in others) if killed else not others
        manifest = json.loads((blobs / root["digest"][7:]).read_text())
        for blob in (manifest["config"], *manifest["layers"]):
            assert (blobs / blob["digest"][7:]).stat().st_size == blob["size"]
        return root["digest"]

    def run_again(self, first):
        """Without the troubles it succeeds, and sends nothing that is there."""
        self.again = True
        for server in (self.proxy, self.tokens, self.stranger):
            server.restore()
        if self.registry.process.poll() is not None:
            self.start_registry()
        self.log_in("ann", SECRET)
        missing = {digest for digest in self._blobs_below() if self.store.blob(self.repository, digest) is None}
        there = digest_of(self.store.manifest(self.repository, "v1")) == self.image.digest
        said = self.command()
        assert (said.status, f"@{self.image.digest}\n" in said.out) == (0, True), f"{first}\nthen {said}"
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
        manifests = (
            [NEW.manifest]
            if not self.case.index
            else [json.loads(self.blobs[child.digest]) for child in self.image.manifests]
        )
        if not self.case.index:
            return SIZES
        return {blob["digest"] for found in manifests for blob in (found["config"], *found["layers"])}


def repository_of(name):
    """Where the case of this name pushes to."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")


def forms(secret):
    """As it would be found: bare, and in base64 at any offset."""
    shifted = [base64.b64encode(b" " * n + secret.encode())[4:-4].decode() for n in range(3)]
    return [secret, *shifted, *(base64.b64encode(f"{u}:{secret}".encode()).decode() for u in ("ann", "reader"))]


def _has(request, secrets):
    text = f"{request.path} {request.query} {request.headers} {request.body!r}"
    return any(secret in text for secret in secrets)
