"""A password and a netrc entry do not occur in requests to other hosts, logs, errors and arguments."""

import base64
import contextlib
import json
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from credential_files import forms, write_netrc
from waiting import wait_until
from web_server import web_server

from dockless.errors import DocklessError
from dockless.oci.descriptor import Descriptor
from dockless.oci.digest import Digest
from dockless.registry import Credentials, RegistryBlobSource, push
from dockless.testing import PROFILES, BasicAuth, Fault, Registry, TokenAuth, User

SOURCES = Path(__file__).resolve().parents[4] / "src"
SECRET = "S3CR3T-Kanary"
NETRC = "N3TRC-Kanary"
ANN = Credentials("ann", SECRET, source="the test")


def family(pid):
    """Yield the process IDs of a process and its running descendants."""
    yield pid
    with contextlib.suppress(OSError):
        for children in Path(f"/proc/{pid}/task").glob("*/children"):
            for child in children.read_text().split():
                yield from family(int(child))


def leaks(text):
    return [form for secret in (SECRET, NETRC) for form in forms(secret) if form in text]


def everything(request):
    return f"{request.path} {request.query} {request.headers} {request.body!r}"


@pytest.fixture
def netrc(environ, monkeypatch):
    """A ~/.netrc, also named by NETRC, with a password for every host."""
    path = write_netrc(environ["HOME"], NETRC)
    monkeypatch.setenv("HOME", environ["HOME"])
    monkeypatch.setenv("NETRC", str(path))
    environ["NETRC"] = str(path)


@pytest.fixture
def logged(caplog):
    caplog.set_level("DEBUG")
    return lambda: " ".join(f"{record.getMessage()} {record.args}" for record in caplog.records)


def test_the_search_finds_encoded_secrets():
    for prefix in ("", "x", "xy", "ann:", "other-user:"):
        text = base64.b64encode(f"{prefix}{SECRET}tail".encode()).decode()
        assert leaks(text), prefix
    assert leaks(f"x{NETRC}y") and not leaks("S3CR3T")


@pytest.mark.parametrize("auth", [BasicAuth([User("ann", SECRET)]), TokenAuth([User("ann", SECRET)], anonymous="")])
def test_a_push_and_a_pull(auth, netrc, logged, connect, image):
    """Blobs are served by another origin (another port), and the netrc file has entries for both."""
    profile = PROFILES["strict"]._replace(blob_redirect=307)
    with Registry(auth=auth, profile=profile) as registry:
        client = connect(registry.host, credentials=ANN)
        push(image.root, image.source, client, "app", ["v1"])
        content = RegistryBlobSource(client, "app")
        for layer in image.root.layers:
            with content.open(layer) as file:
                assert file.read() == image.source.blobs[layer.digest]
        own = int(registry.host.rpartition(":")[2])
        elsewhere = [request for request in registry.requests if request.listener != own]
        assert elsewhere
        for request in elsewhere:
            assert request.headers["Authorization"] is None and not leaks(everything(request))
        text = "".join(map(everything, registry.requests))
        assert NETRC not in text and not any(form in text for form in forms(NETRC))
        # With token authentication, only the token server gets the password.
        if isinstance(auth, TokenAuth):
            others = [everything(request) for request in registry.requests if request.operation != "token get"]
            assert not leaks("".join(others))
    assert "PUT" in logged() and not leaks(logged())


@pytest.mark.parametrize("where", ["blob get", "upload post", "upload put", "manifest get"])
def test_a_redirect_to_another_host(where, netrc, logged, connect, image):
    """By a redirect or by the Location of an upload. The other host responds with a challenge."""
    with web_server() as server, Registry(auth=TokenAuth([User("ann", SECRET)], anonymous="")) as registry:
        if where == "upload post":
            fault = Fault(on=where, headers={"Location": server.url + "{path}"})
        else:
            fault = Fault(on=where, status=307, headers={"Location": server.url + "{path}"})
        seen = []
        handler = server.RequestHandlerClass

        def refuse(self):
            seen.append(f"{self.requestline} {self.headers}")
            self.rfile.read(int(self.headers["Content-Length"] or 0))
            self.send_response(401)
            self.send_header("WWW-Authenticate", f'Bearer realm="{server.url}/token",service="x"')
            self.send_header("Content-Length", "0")
            self.end_headers()

        for method in ("GET", "HEAD", "PUT", "PATCH", "POST"):
            setattr(handler, f"do_{method}", refuse)
        registry.faults = [fault]
        client = connect(registry.host, credentials=ANN, jobs=1)
        with pytest.raises(DocklessError) as caught:
            if where.endswith("get"):
                client.get_manifest("app", "v1") if where.startswith("manifest") else RegistryBlobSource(
                    client, "app"
                ).open(image.root.layers[0])
            else:
                push(image.root, image.source, client, "app", ["v1"])
        assert "no credentials were sent" in str(caught.value)
        assert seen and not leaks("".join(seen))
        assert not any("Authorization:" in text for text in seen)
        assert not any("/token" in text.split()[1] for text in seen)
        assert not leaks(str(caught.value)) and not leaks(logged())


def test_a_redirect_to_the_same_host_with_another_scheme(tmp_path, connect, image):
    """CVE-2018-18074: a redirect from https to http on one host is not followed."""
    from dockless.testing import make_certificate, server_context

    ca = make_certificate(tmp_path)
    with Registry() as plain, Registry(tls=server_context(tmp_path), auth=BasicAuth([User("ann", SECRET)])) as secure:
        secure.faults = [Fault(on="manifest get", status=307, headers={"Location": f"http://{plain.host}{{path}}"})]
        with pytest.raises(DocklessError, match="downgrades from https to http"):
            connect(secure.host, credentials=ANN, ca_file=str(ca)).get_manifest("app", "v1")
        assert plain.requests == []


def test_a_signed_url_is_not_shown(connect, logged):
    """The query of a presigned URL is a credential."""
    digest = Digest.of(b"x")
    with web_server() as server, Registry() as registry:
        registry.faults = [
            Fault(on="blob get", status=307, headers={"Location": f"{server.url}/b?X-Amz-Signature={SECRET}&Expires=5"})
        ]
        with pytest.raises(DocklessError) as caught:
            RegistryBlobSource(connect(registry.host), "app").open(Descriptor("a/b", digest, 1))
        assert "/b?X-Amz-Signature=...&Expires=..." in str(caught.value)
        assert not leaks(str(caught.value)) and not leaks(logged())


def test_cookies_are_not_kept(connect, image, keep):
    """Cookies do not depend on the port, so another registry on the host would get them."""
    with Registry() as registry, Registry() as other:
        keep(registry, "app", image, "v1")
        keep(other, "app", image, "v1")
        registry.faults = [Fault(on="*", headers={"Set-Cookie": f"session={SECRET}; Path=/"})]
        client = connect(registry.host)
        client.get_manifest("app", "v1")
        client.get_manifest("app", "v1")
        assert not any(request.headers["Cookie"] for request in registry.requests)


def test_no_credential_is_shown_by_its_repr():
    for credentials in (
        ANN,
        Credentials(identity_token=SECRET),
        Credentials(registry_token=SECRET),
    ):
        assert SECRET not in repr(credentials) + str(credentials) + f"{credentials}"


@pytest.mark.parametrize("outcome", ["pushed", "refused", "broken"])
def test_the_command_with_verbose_and_debug(outcome, netrc, environ, tmp_path):
    """Checks stdout, stderr with a traceback, and the arguments of all processes. A helper has the secret."""
    programs = tmp_path / "bin"
    programs.mkdir()
    answer = json.dumps({"Username": "ann", "Secret": SECRET})
    keeper = programs / "docker-credential-keep"
    keeper.write_text(f"#!/bin/sh\ncat >/dev/null\nsleep 0.3\necho '{answer}'\n")
    keeper.chmod(0o755)
    users = [User("ann", SECRET if outcome == "pushed" else "another")]
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree/file").write_text("hello")
    with Registry(auth=TokenAuth(users, anonymous="")) as registry:
        if outcome == "broken":
            registry.faults = [Fault(on="token get", status=500, body=f"no token for {registry.host}")]
        config = Path(environ["HOME"]) / ".docker/config.json"
        config.parent.mkdir()
        config.write_text(json.dumps({"credHelpers": {registry.host: "keep"}}))
        argv = [sys.executable, "-m", "dockless", "build", "--add", f"{tmp_path}/tree:/app"]
        argv += [f"{registry.host}/app:v1", "--verbose", "--debug", "--explain-auth"]
        env = {**environ, "PATH": f"{programs}:{environ['PATH']}", "PYTHONPATH": str(SOURCES)}
        output = tmp_path / "output"
        with open(output, "wb") as file:
            process = subprocess.Popen(argv, env=env, stdin=subprocess.DEVNULL, stdout=file, stderr=file)
        arguments = set()
        done = threading.Event()

        def watch():
            while not done.wait(0.005):
                for pid in family(process.pid):
                    with contextlib.suppress(OSError):
                        arguments.add(Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace"))

        watcher = threading.Thread(target=watch)
        watcher.start()
        try:
            if outcome == "broken":
                # The credentials were sent and the response was logged. The command would now retry.
                wait_until(lambda: "no token for" in output.read_text())
                process.terminate()
            process.wait(timeout=100)
        finally:
            process.kill()
            done.set()
            watcher.join()
        text = output.read_text()
        assert (process.returncode == 0) == (outcome == "pushed")
        assert "docker-credential-keep" in text and not leaks(text), text
        assert any("docker-credential-keep\0get" in line for line in arguments) or outcome == "broken"
        assert arguments and not [line for line in arguments if leaks(line)]
        left = [path for path in Path(environ["HOME"]).rglob("*") if path.is_file() and path.name != ".netrc"]
        assert not [path for path in left if leaks(path.read_bytes().decode(errors="replace"))]
