"""Google's registries: whose they are, whose token goes where, and what becomes of one that ends."""

import datetime
import json

import google.auth
import google.auth.credentials
import google.auth.exceptions
import pytest

from dockless.errors import CredentialsError
from dockless.registry import find_credentials
from dockless.registry.auth.google import GoogleAccount, is_google
from dockless.testing import BasicAuth, Registry, User


class Faked(google.auth.credentials.Credentials):
    """google-auth's own base class: only the fetching of a token is replaced."""

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
        def default(scopes):
            assert scopes == ["https://www.googleapis.com/auth/cloud-platform"]
            if isinstance(found, Exception):
                raise found
            return found, "project"

        monkeypatch.setattr(google.auth, "default", default)

    return be


@pytest.mark.parametrize(
    "host", ["gcr.io", "eu.gcr.io", "marketplace.gcr.io", "europe-west4-docker.pkg.dev", "gcr.io:443", "x.pkg.dev:443"]
)
def test_googles(host, default, environ):
    assert is_google(host)
    default(Faked("adc"))
    found = find_credentials(host, environ=environ).credentials
    assert (found.username, found.password) == ("oauth2accesstoken", "ya29.adc.1")


@pytest.mark.parametrize(
    "host",
    ["evilgcr.io", "gcr.io.evil.com", "pkg.dev", "evilpkg.dev", "pkg.dev.evil.com", "gcr.io:444", "gcr.iox", "k8s.io"],
)
def test_not_googles(host, default, environ):
    assert not is_google(host)
    default(AssertionError("asked"))
    assert find_credentials(host, environ=environ).credentials is None


def test_a_config_file_outranks_it(default, environ, tmp_path):
    default(AssertionError("asked"))
    path = tmp_path / "auth.json"
    path.write_text(json.dumps({"auths": {"gcr.io": {"username": "_json_key", "password": '{\n "a": 1\n}'}}}))
    found = find_credentials("gcr.io", auth_file=str(path), environ=environ).credentials
    # A service account's key file is a password with lines.
    assert (found.username, found.password) == ("_json_key", '{\n "a": 1\n}')


def test_nobody_is_told(default, environ):
    default(google.auth.exceptions.DefaultCredentialsError("none"))
    found = find_credentials("gcr.io", environ=environ)
    assert found.credentials is None
    assert found.tried[-1] == "Google's Application Default Credentials (none)"


def test_a_fetch_that_fails_is_one_line(default, environ):
    default(Faked("adc", fails="reauth needed\n\x1b[31m"))
    with pytest.raises(CredentialsError) as caught:
        find_credentials("gcr.io", environ=environ)
    text = str(caught.value)
    assert text.startswith("Google's Application Default Credentials gave no token: reauth needed")
    assert text.endswith("run `gcloud auth application-default login`") and text.isprintable()


def test_several_projects_with_several_accounts_at_once():
    given = {"gcr.io/one": GoogleAccount(Faked("one"), "one"), "gcr.io/two": GoogleAccount(Faked("two"), "two")}
    for project in ("one", "two"):
        found = find_credentials("gcr.io", f"{project}/app", given=given, environ={"HOME": "/nonexistent"})
        assert found.credentials.password == f"ya29.{project}.1"


def test_a_token_that_is_refused_is_fetched_anew(connect, image, keep):
    """It ends after an hour, or is revoked: a push of a day goes on."""
    account = GoogleAccount(Faked("adc"), "adc")
    users = [User("oauth2accesstoken", "ya29.adc.2")]
    with Registry(auth=BasicAuth(users)) as registry:
        keep(registry, "app", image, "v1")
        client = connect(registry.host, credentials=account)
        assert client.get_manifest("app", "v1").digest == image.digest
        # The first, which the registry does not take, was tried once.
        assert [r.status for r in registry.requests if r.operation == "manifest get"] == [401, 200]


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (None, "No such file or directory"),
        ("", "it is no service account's key"),
        ("S3CR3T-Kanary", "it is no service account's key"),
        ('{"type": "authorized_user", "private_key": "S3CR3T-Kanary"}', "it is no service account's key"),
    ],
)
def test_key_files_that_are_none(content, why, tmp_path):
    path = tmp_path / "key.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(CredentialsError) as caught:
        GoogleAccount.of_key_file(str(path))
    assert str(caught.value) == f"cannot use {path}: {why}; name a key file of JSON"
