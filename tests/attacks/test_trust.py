"""TLS: `insecure` and client certificates hold for a host and port; nothing leads from https to http."""

import ssl
import subprocess
from pathlib import Path

import pytest
from host_names import resolve_names
from hostile_server import hostile_server, response
from raw_server import raw_server

from dockless.errors import DocklessError
from dockless.oci import media_types
from dockless.oci.reference import Reference
from dockless.testing import make_certificate, server_context
from dockless.transfer.registry_access import RegistryAccess

INDEX = response(200, {"Content-Type": media_types.OCI_INDEX}, b"{}")


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    """A directory with a CA, a certificate for loopback and one for a client."""
    directory = tmp_path_factory.mktemp("tls")
    make_certificate(directory)
    for command in (
        "req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=ann -keyout client.key -out client.csr",
        "x509 -req -in client.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 30 -out client.crt",
    ):
        subprocess.run(["openssl", *command.split()], cwd=directory, check=True, capture_output=True)
    return directory


def registry(tls, lead):
    """A registry that asks for Basic in plain words, and then answers with `lead(request)`."""

    def answer(request, connection):
        if "authorization" not in request.headers:
            return response(401, {"WWW-Authenticate": 'Basic realm="x"'})
        return lead(request)

    return hostile_server(answer, tls)


def location(lead, other):
    """How the registry leads to another port of its host."""
    url = f"{other.url}/v2/a/b/x"
    if lead == "redirect":
        return lambda request: response(307, {"Location": url})
    if lead == "realm":
        challenge = f'Bearer realm="{url}",service="x"'
        return lambda request: response(401, {"WWW-Authenticate": challenge})
    return lambda request: response(202, {"Location": url})


def do(lead, client):
    if lead == "upload location":
        client.open_upload("a/b").send(b"x", 0, 1)
    else:
        client.get_manifest("a/b", "v1")


@pytest.mark.parametrize("lead", ["redirect", "upload location", "realm"])
def test_insecure_is_not_for_another_port(lead, authority, connect, clean):
    """The same host, with the same unknown certificate."""
    other_server = hostile_server(lambda *_: INDEX, server_context(authority))
    with other_server as other, registry(server_context(authority), location(lead, other)) as server:
        client = connect(server.host, insecure=True)
        with pytest.raises(DocklessError) as caught:
            do(lead, client)
        client.close()
    assert server.authorizations and other.requests == []
    said = clean(caught.value)
    assert "not signed by a trusted CA" in said or lead == "realm"


@pytest.mark.parametrize("listed", [False, True])
def test_insecure_registry_of_another_port(listed, authority, connect):
    """As `--insecure-registry HOST:PORT` of a command that uses several registries."""
    with hostile_server(lambda *_: response(), server_context(authority)) as server:
        other = server.host if listed else "127.0.0.1:1"
        with RegistryAccess(insecure=[other]) as access:
            client = access.client(Reference.parse(f"{server.host}/a/b:1"))
            if listed:
                client.ping()
            else:
                with pytest.raises(DocklessError, match="not signed by a trusted CA"):
                    client.ping()


@pytest.mark.parametrize("lead", ["redirect", "upload location"])
def test_client_certificate_is_not_for_another_port(lead, authority, connect, environ):
    def context():
        made = server_context(authority)
        made.verify_mode = ssl.CERT_OPTIONAL
        made.load_verify_locations(authority / "ca.crt")
        return made

    answer = lambda request, connection: INDEX if request.method == "GET" else response(202)  # noqa: E731
    with hostile_server(answer, context()) as other, registry(context(), location(lead, other)) as server:
        directory = Path(environ["HOME"]) / ".config/containers/certs.d" / server.host
        directory.mkdir(parents=True)
        for name, made in (("client.cert", "client.crt"), ("client.key", "client.key")):
            (directory / name).write_bytes((authority / made).read_bytes())
        client = connect(server.host, ca_file=str(authority / "ca.crt"))
        try:
            do(lead, client)
        except DocklessError:
            assert lead == "upload location"
        client.close()
    assert other.requests and other.authorizations == []
    assert all(server.certificates) and not any(other.certificates)


@pytest.mark.parametrize("lead", ["redirect", "upload location", "realm"])
def test_from_https_to_http(lead, authority, connect, clean):
    other_server = hostile_server(lambda *_: INDEX)
    with other_server as other, registry(server_context(authority), location(lead, other)) as server:
        client = connect(server.host, ca_file=str(authority / "ca.crt"))
        with pytest.raises(DocklessError) as caught:
            do(lead, client)
        client.close()
    assert "downgrades from https to http" in clean(caught.value) and other.requests == []


@pytest.mark.parametrize("insecure", [False, True])
def test_broken_handshake_does_not_lead_to_http(insecure, connect, clean):
    """By someone in the middle, who has no certificate and would like to read the password."""
    received = []

    def answer(connection):
        received.append(connection.recv(65536))

    with raw_server(answer) as host:
        client = connect(host.replace("127.0.0.1", "vm.test"), insecure=insecure, retry=None)
        with pytest.MonkeyPatch.context() as patch:
            resolve_names(patch, {"vm.test": ["127.0.0.1"]})
            with pytest.raises(DocklessError) as caught:
                client.get_manifest("a/b", "v1")
        client.close()
    clean(caught.value)
    # Handshakes, and never a request.
    assert received and all(data[:1] == b"\x16" for data in received)


@pytest.mark.parametrize("ca", ["none", "of somebody else"])
def test_unknown_certificate(ca, authority, tmp_path, connect, clean):
    options = {}
    if ca != "none":
        options = {"ca_file": str(make_certificate(tmp_path))}
    with hostile_server(lambda *_: INDEX, server_context(authority)) as server:
        client = connect(server.host.replace("127.0.0.1", "localhost"), **options)
        with pytest.raises(DocklessError) as caught:
            client.get_manifest("a/b", "v1")
        client.close()
    clean(caught.value)
    assert server.requests == []


@pytest.mark.parametrize("named", ["", "vm.test", "auth.test", "auth.test:1"])
@pytest.mark.parametrize("insecure", [True, False])
def test_certificate_of_a_token_server(named, insecure, authority, clean, environ, monkeypatch):
    """`insecure` is for the registry. The password goes to a token server of an unknown certificate only if named."""
    resolve_names(monkeypatch, {"vm.test": ["127.0.0.1"], "auth.test": ["127.0.0.1"]})
    monkeypatch.setenv("HOME", environ["HOME"])
    token = response(200, {}, b'{"token": "t0ken"}')
    with hostile_server(lambda *_: token, server_context(authority)) as tokens:
        port = tokens.host.partition(":")[2]
        challenge = f'Bearer realm="https://auth.test:{port}/token",service="x"'

        def answer(request, connection):
            return INDEX if request.headers.get("authorization") else response(401, {"WWW-Authenticate": challenge})

        with hostile_server(answer, server_context(authority)) as server:
            registry = server.host.replace("127.0.0.1", "vm.test")
            host = f"{named}:{port}" if named and ":" not in named else named
            hosts = [host] if host else []
            access = (
                RegistryAccess(insecure=True, insecure_hosts=hosts)
                if insecure
                else RegistryAccess(insecure=[registry, *hosts])
            )
            with access:
                client = access.client(Reference.parse(f"{registry}/a/b:1"))
                if named == "auth.test":
                    client.head_manifest("a/b", "v1")
                    assert tokens.requests
                else:
                    with pytest.raises(DocklessError) as caught:
                        client.head_manifest("a/b", "v1")
                    assert "not signed by a trusted CA" in clean(caught.value) and tokens.requests == []
