"""Google's registries: their host names, their credentials, and expired tokens."""

import datetime
import json
import os
import subprocess
import sys
from pathlib import Path

import google.auth
import google.auth.credentials
import google.auth.exceptions
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from http_sessions import http_session
from proxy_server import http_proxy
from raw_server import raw_server

import dockless
from dockless.errors import CredentialsError
from dockless.registry import find_credentials
from dockless.registry.auth.google import GoogleCredentialProvider, is_google
from dockless.testing import BasicAuth, Registry, User


class Faked(google.auth.credentials.Credentials):
    """Credentials of google-auth that get a token without a request."""

    def __init__(self, name, fails=""):
        super().__init__()
        self.name, self.fails, self.fetched = name, fails, 0

    def refresh(self, request):
        if self.fails:
            raise google.auth.exceptions.RefreshError(self.fails)
        self.fetched += 1
        self.token = f"ya29.{self.name}.{self.fetched}"
        self.expiry = datetime.datetime.now(datetime.timezone.utc).replace(tzinfo=None) + datetime.timedelta(hours=1)


@pytest.fixture
def default(monkeypatch):
    """`default(found)`: Application Default Credentials; an exception is raised."""

    def be(found):
        def default(scopes, request):
            assert scopes == ["https://www.googleapis.com/auth/cloud-platform"]
            if isinstance(found, Exception):
                raise found
            return found, "project"

        monkeypatch.setattr(google.auth, "default", default)

    return be


@pytest.mark.parametrize(
    "host", ["gcr.io", "eu.gcr.io", "marketplace.gcr.io", "europe-west4-docker.pkg.dev", "gcr.io:443", "x.pkg.dev:443"]
)
def test_hosts_of_google(host, default, environ):
    assert is_google(host)
    default(Faked("adc"))
    found = find_credentials(host, environ=environ).credentials
    assert (found.username, found.password) == ("oauth2accesstoken", "ya29.adc.1")


@pytest.mark.parametrize(
    "host",
    ["evilgcr.io", "gcr.io.evil.com", "pkg.dev", "evilpkg.dev", "pkg.dev.evil.com", "gcr.io:444", "gcr.iox", "k8s.io"],
)
def test_hosts_of_others(host, default, environ):
    assert not is_google(host)
    default(AssertionError("asked"))
    assert find_credentials(host, environ=environ).credentials is None


def test_a_config_file_takes_precedence_over_google_credentials(default, environ, tmp_path):
    default(AssertionError("asked"))
    path = tmp_path / "auth.json"
    path.write_text(json.dumps({"auths": {"gcr.io": {"username": "_json_key", "password": '{\n "a": 1\n}'}}}))
    found = find_credentials("gcr.io", auth_file=str(path), environ=environ).credentials
    # The key file of a service account is a password of several lines.
    assert (found.username, found.password) == ("_json_key", '{\n "a": 1\n}')


def test_missing_default_credentials_are_listed(default, environ):
    default(google.auth.exceptions.DefaultCredentialsError("none"))
    found = find_credentials("gcr.io", environ=environ)
    assert found.credentials is None
    assert found.searched[-1] == "Google's Application Default Credentials (none)"


def test_a_fetch_that_fails_is_one_line(default, environ):
    default(Faked("adc", fails="reauth needed\n\x1b[31m"))
    with pytest.raises(CredentialsError) as caught:
        find_credentials("gcr.io", environ=environ)
    text = str(caught.value)
    assert text.startswith("Google's Application Default Credentials gave no token: reauth needed")
    assert text.endswith("run `gcloud auth application-default login`") and text.isprintable()


def test_several_projects_with_several_accounts_at_once():
    given = {
        "gcr.io/one": GoogleCredentialProvider(Faked("one"), "one"),
        "gcr.io/two": GoogleCredentialProvider(Faked("two"), "two"),
    }
    for project in ("one", "two"):
        found = find_credentials("gcr.io", f"{project}/app", given=given, environ={"HOME": "/nonexistent"})
        assert found.credentials.password == f"ya29.{project}.1"


def test_a_refused_token_is_fetched_again(connect, image, keep):
    """A token is valid for an hour or may be revoked. A longer push continues with a new token."""
    account = GoogleCredentialProvider(Faked("adc"), "adc")
    users = [User("oauth2accesstoken", "ya29.adc.2")]
    with Registry(auth=BasicAuth(users)) as registry:
        keep(registry, "app", image, "v1")
        client = connect(registry.host, credentials=account)
        assert client.get_manifest("app", "v1").digest == image.digest
        # The refused token was sent once.
        assert [r.status for r in registry.requests if r.operation == "manifest get"] == [401, 200]


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (None, "No such file or directory"),
        ("", "the file is not the JSON key of a service account"),
        ("S3CR3T-Kanary", "the file is not the JSON key of a service account"),
        (
            '{"type": "authorized_user", "private_key": "S3CR3T-Kanary"}',
            "the file is not the JSON key of a service account",
        ),
    ],
)
def test_invalid_key_files(content, why, tmp_path):
    path = tmp_path / "key.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(CredentialsError) as caught:
        GoogleCredentialProvider.from_key_file(str(path))
    assert str(caught.value) == f"cannot use {path}: {why}; give the path of a key file in JSON format"


@pytest.fixture
def key_file(tmp_path):
    """`key_file(token_uri)` writes the key of a service account whose tokens are requested at the URL."""

    def write(token_uri):
        private = rsa.generate_private_key(public_exponent=65537, key_size=2048).private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        account = {"type": "service_account", "client_email": "a@example.com", "private_key": private.decode()}
        path = tmp_path / "key.json"
        path.write_text(json.dumps({**account, "token_uri": token_uri, "project_id": "p"}))
        return str(path)

    return write


def token_server(connection):
    """Responds to each request with an access token."""
    data = connection.recv(65536)
    while b"\r\n\r\n" not in data or b"assertion=" not in data:
        data += connection.recv(65536)
    body = b'{"access_token": "ya29.real", "expires_in": 3600, "token_type": "Bearer"}'
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body)
    connection.sendall(head + body)


@pytest.mark.parametrize("through_proxy", [False, True])
def test_tokens_are_requested_through_our_session(through_proxy, key_file, monkeypatch, environ):
    monkeypatch.setattr("dockless.registry.http.proxies.is_loopback", lambda host: False)
    # By default, requests would read this entry and the variable below.
    netrc = f"{environ['HOME']}/netrc"
    with open(netrc, "w") as file:
        file.write("default login ann password S3CR3T-Kanary\n")
    monkeypatch.setenv("NETRC", netrc)
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    with raw_server(token_server) as host, http_proxy() as proxy:
        variables = {"HTTP_PROXY": f"http://{proxy.address}"} if through_proxy else {}
        with http_session(**variables) as session:
            found = GoogleCredentialProvider.from_key_file(key_file(f"http://{host}/token"))
            provider = GoogleCredentialProvider(found._credentials, "the key", session)
            assert provider.credentials().password == "ya29.real"
        assert [head.split()[1] for head in proxy.requests] == ([f"http://{host}/token"] if through_proxy else [])
        assert "S3CR3T" not in "".join(proxy.requests)


def test_a_token_server_that_cannot_be_reached_is_reported_without_its_query(key_file, monkeypatch):
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    provider = GoogleCredentialProvider.from_key_file(key_file("http://127.0.0.1:9/token?key=S3CR3T-Kanary"))
    with pytest.raises(CredentialsError) as caught:
        provider.credentials()
    text = str(caught.value)
    assert "POST http://127.0.0.1:9/token?key=...: connection refused" in text
    assert "S3CR3T" not in text and "Max retries" not in text


def test_google_auth_is_imported_without_warnings():
    program = (
        "from dockless.registry.auth.google import _import_google_auth, _new_request;"
        "_import_google_auth(); _new_request(None)"
    )
    path = os.pathsep.join((str(Path(dockless.__file__).parents[1]), os.environ.get("PYTHONPATH", "")))
    found = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (found.returncode, found.stderr) == (0, "")
