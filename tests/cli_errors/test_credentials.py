"""B49 to B60: credentials and their errors."""

import base64
import io
import json
import os
from functools import partial
from unittest.mock import Mock

import pytest
from credential_files import install_helper
from rows import case, row
from urllib3 import HTTPResponse

from dockless.registry.auth.credential_helpers import ask_helper
from dockless.testing import BasicAuth, Registry, TokenAuth, User

pytestmark = pytest.mark.usefixtures("image")

SECRET = "S3CR3T-Kanary"
USERS = [User("ann", SECRET), User("bob", SECRET, actions="pull"), User("änn", "pässwörd"), User("col", "a:b:c")]
USERS += [User("long", "x" * 10_000)]


@pytest.fixture(scope="module")
def module_registry():
    with Registry(auth=BasicAuth(USERS)) as found:
        yield found


@pytest.fixture
def config(tmp_path):
    """`config(content)` writes Docker's config file (bytes, or a value as JSON) and returns its path."""

    def write(content):
        path = tmp_path / "home/.docker/config.json"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
        return path

    return write


@pytest.fixture
def helper(tmp_path, monkeypatch):
    """`helper(name, script)` installs a credential helper, a shell script."""
    directory = tmp_path / "bin"
    directory.mkdir()
    monkeypatch.setenv("PATH", f"{directory}:{os.environ['PATH']}")
    return partial(install_helper, directory)


@pytest.fixture
def push_fails(refused, registry):
    """`push_fails()` returns the error line. Only requests of authentication are sent, and no secret is printed."""

    def call(*arguments, registry=registry):
        line = refused("copy", "oci:base", f"{registry.host}/app:1", *arguments)
        assert SECRET not in line and base64.b64encode(SECRET.encode()).decode() not in line
        return line

    return call


def packed(text):
    return base64.b64encode(text.encode()).decode()


def entry(host, user_and_password):
    return {"auths": {host: {"auth": packed(user_and_password)}}}


def no_credentials_error(registry, tmp_path, docker="absent"):
    """Return the error of a push without credentials."""
    looked = (
        f"{tmp_path}/home/.config/containers/auth.json (absent), {tmp_path}/home/.docker/config.json ({docker}), "
        f"{tmp_path}/home/.dockercfg (absent)"
    )
    return (
        f"GET {registry.url}/v2/app/manifests/1: 401: UNAUTHORIZED authentication required; "
        f"no credentials were found; looked in {looked}; "
        f"log in to {registry.host} as a user who is allowed to do this"
    )


@pytest.mark.parametrize(
    "content",
    [case("B49", "empty file", b""), case("B49", "empty object", b"{}"), case("B49", "bom", b"\xef\xbb\xbf{}")],
)
def test_files_without_credentials(push_fails, registry, config, tmp_path, content):
    config(content)
    assert push_fails() == no_credentials_error(registry, tmp_path, f"no entry for {registry.host}")


@pytest.mark.parametrize(
    "content, why",
    [
        case("B49", "no JSON", b'{"auths": "S3CR3T-Kanary', "it is not JSON"),
        case("B49", "array", b'["S3CR3T-Kanary"]', "it is not a JSON object"),
        case("B49", "deep", b"[" * 100_000, "it is not JSON"),
        case("B49", "auths", b'{"auths": ["x"]}', "auths and credHelpers must be objects, and credsStore a string"),
    ],
)
def test_files_that_are_broken(push_fails, config, content, why):
    path = config(content)
    assert push_fails() == f"cannot use {path}: {why}; fix the file, or run `docker login` again"


@row("B49")
def test_a_directory_and_an_unreadable_file(push_fails, config, tmp_path, monkeypatch):
    path = config(b"{}")
    really = open

    def refuse(name, *args, **options):
        if str(name) == str(path):
            raise PermissionError(13, "Permission denied", name)
        return really(name, *args, **options)

    # Root can read all files, so the file system cannot refuse access.
    with monkeypatch.context() as patched:
        patched.setattr("builtins.open", refuse)
        assert push_fails() == f"cannot use {path}: Permission denied; fix the file, or run `docker login` again"
    path.unlink()
    path.mkdir()
    assert push_fails() == f"cannot use {path}: Is a directory; fix the file, or run `docker login` again"


@pytest.mark.parametrize(
    "auth, why",
    [
        case("B50", "no base64", "S3CR3T*Kanary", "its auth is not base64"),
        case("B50", "no colon", packed(SECRET), "its auth contains no colon"),
        case("B50", "no UTF-8", base64.b64encode(b"ann:\xff").decode(), "its auth is not UTF-8"),
    ],
)
def test_entries_that_are_broken(push_fails, works, registry, config, auth, why):
    path = config({"auths": {registry.host: {"auth": auth}}})
    assert push_fails() == f"cannot use the entry in {path} (auths of {registry.host}): {why}; log in again"
    # Another registry's broken entry has no effect.
    config({"auths": {"reg.example": {"auth": auth}, **entry(registry.host, f"ann:{SECRET}")["auths"]}})
    works("copy", "oci:base", f"{registry.host}/b50:1")


@pytest.mark.parametrize(
    "auth",
    [
        case("B50", "colons", packed("col:a:b:c")),
        case("B50", "UTF-8", packed("änn:pässwörd")),
        case("B50", "newline", packed(f"ann:{SECRET}") + "\n"),
        case("B50", "unpadded", packed(f"ann:{SECRET}").rstrip("=")),
        case("B58", "10 KB", packed("long:" + "x" * 10_000)),
    ],
)
def test_entries_that_work(works, registry, config, image, auth):
    config({"auths": {registry.host: {"auth": auth}}})
    works("copy", "oci:base", f"{registry.host}/b50:2", "--force-upload")
    assert registry.tags("b50")["2"] == image.manifest.digest


@pytest.mark.parametrize(
    "key, name",
    [
        case("B51", "url", "https://127.0.0.1:PORT/v1/", "127.0.0.1"),
        case("B51", "http", "http://127.0.0.1:PORT", "127.0.0.1"),
        case("B51", "slash", "127.0.0.1:PORT/", "127.0.0.1"),
        case("B51", "upper case", "LOCALHOST:PORT", "localhost"),
    ],
)
def test_keys_that_mean_the_host(works, registry, config, key, name):
    port = registry.host.split(":")[1]
    config(entry(key.replace("PORT", port), f"ann:{SECRET}"))
    works("copy", "oci:base", f"{name}:{port}/b51:1", "--force-upload")


@row("B51")
def test_port_443_is_the_port_of_a_host_without_one(dockless, config, monkeypatch):
    requests = []

    def send(self, request, **_):
        requests.append((request.url, request.headers.get("Authorization")))
        raw = HTTPResponse(io.BytesIO(), {"WWW-Authenticate": 'Basic realm="x"'}, status=401, preload_content=False)
        return Mock(status_code=401, raw=raw, request=request)

    monkeypatch.setattr("requests.Session.send", send)
    config(entry("reg.example:443", f"ann:{SECRET}"))
    assert dockless("tags", "reg.example/app").status == 1
    assert requests[-1] == ("https://reg.example/v2/app/tags/list", "Basic " + packed(f"ann:{SECRET}"))


@row("B52")
def test_variables_that_name_missing_files(push_fails, registry, tmp_path, monkeypatch):
    monkeypatch.setenv("REGISTRY_AUTH_FILE", "/nope/auth.json")
    message = (
        "cannot use /nope/auth.json (named by REGISTRY_AUTH_FILE): No such file or directory; "
        "fix the file, or run `docker login` again"
    )
    assert push_fails() == message
    assert push_fails("--auth-file", "gone.json") == "the auth file gone.json does not exist; check the path"
    monkeypatch.delenv("REGISTRY_AUTH_FILE")
    monkeypatch.setenv("DOCKER_CONFIG", "/nope")
    assert push_fails() == no_credentials_error(registry, tmp_path).replace(
        f"{tmp_path}/home/.docker/config.json", "/nope/config.json"
    )


@pytest.mark.parametrize(
    "script, why",
    [
        case("B53", "says why", "echo 'the vault is sealed'; exit 1", "exit status 1: the vault is sealed"),
        case("B53", "says nothing", "exit 3", "exit status 3: no output"),
        case("B53", "escapes", "printf 'a\\033[31mred'; exit 1", r"exit status 1: a\x1b[31mred"),
        case("B53", "a secret", f'echo \'{{"Secret": "{SECRET}"}}\'; exit 1', "exit status 1: (output not shown)"),
        case("B53", "no JSON", f"echo {SECRET}", "the output is not JSON"),
        case("B53", "100 MB", f"yes {SECRET} | head -c 100000000", "the output is larger than 1048576 bytes"),
    ],
)
def test_helpers_that_fail(push_fails, registry, config, helper, script, why):
    helper("bad", script)
    config({"credsStore": "bad"})
    assert push_fails() == f"the credential helper docker-credential-bad failed for {registry.host}: {why}"


@row("B53")
def test_helpers_that_cannot_run(push_fails, registry, config, helper):
    helper("plain", "echo", mode=0o644)
    for name in ("absent", "plain"):
        config({"credHelpers": {registry.host: name}})
        assert push_fails() == (
            f"the credential helper docker-credential-{name} failed for {registry.host}: "
            f"docker-credential-{name} is not on PATH ({os.environ['PATH']}); "
            "install the helper, or remove it from the config file"
        )


@row("B53")
def test_helpers_that_need_the_end_of_their_input_speak_on_stderr_or_hang(
    dockless, registry, config, helper, monkeypatch
):
    answer = json.dumps({"Username": "ann", "Secret": SECRET})
    helper("loud", f"cat >/dev/null; echo 'touch the key' >&2; echo '{answer}'")
    config({"credsStore": "loud"})
    result = dockless("copy", "oci:base", f"{registry.host}/b53:1", "-q")
    assert (result.status, result.err) == (0, "touch the key\n")
    monkeypatch.setitem(ask_helper.__kwdefaults__, "timeout", 0.3)
    helper("slow", "sleep 300")
    config({"credsStore": "slow"})
    result = dockless("copy", "oci:base", f"{registry.host}/b53:2", "-q")
    assert result.status == 1
    assert result.err == (
        "dockless: error: the credential helper docker-credential-slow failed for "
        f"{registry.host}: no output within 0.3 s\n"
    )


@row("B54")
def test_a_helper_without_credentials_means_anonymous_access(push_fails, works, config, image, helper):
    helper("keep", "echo 'credentials not found in native keychain'; exit 1")
    config({"credsStore": "keep"})
    line = push_fails()
    assert "no credentials were found; looked in " in line and "docker-credential-keep of " in line
    with Registry(auth=TokenAuth(anonymous="pull,push")) as open_to_all:
        works("copy", "oci:base", f"{open_to_all.host}/app:1")
        assert open_to_all.tags("app") == {"1": image.manifest.digest}


@pytest.mark.parametrize("name", [case("B55", name, name) for name in ("../../bin/evil", "a b", "-x", "x;y", ".x", "")])
def test_invalid_helper_names_are_not_run(push_fails, registry, config, name):
    config({"credHelpers": {registry.host: name}})
    if name:
        assert push_fails() == f"{name!r} is not a valid credential helper name; fix `credHelpers` or `credsStore`"
    else:
        # Docker's message for a host without credentials.
        assert "no credentials were found" in push_fails()


@row("B56")
def test_a_broken_helper_of_another_registry_has_no_effect(works, registry, config):
    config({"credHelpers": {"reg.example": "absent"}, **entry(registry.host, f"ann:{SECRET}")})
    works("copy", "oci:base", f"{registry.host}/b56:1")


@row("B57")
def test_an_identity_token_of_a_helper_is_exchanged_by_oauth2(works, config, helper):
    users = [User("ann", "unused", identity_token=SECRET)]
    with Registry(auth=TokenAuth(users, anonymous="")) as registry:
        helper("keep", f"cat >/dev/null; echo '{json.dumps({'Username': '<token>', 'Secret': SECRET})}'")
        config({"credsStore": "keep"})
        works("copy", "oci:base", f"{registry.host}/b57:1")
        (requests,) = [request for request in registry.requests if request.operation.startswith("token")]
        assert requests.method == "POST" and b"grant_type=refresh_token" in requests.body


@pytest.mark.parametrize(
    "secret", [case("B58", "line break", "a\nb"), case("B58", "return", "a\rb"), case("B58", "NUL", "a\0b")]
)
def test_secrets_that_a_header_cannot_contain(push_fails, registry, config, secret):
    path = config({"auths": {registry.host: {"username": "ann", "password": secret + SECRET}}})
    message = f"of {path} (auths of {registry.host}) contains a line break or a NUL byte; store it again without one"
    assert push_fails() == f"the password {message}"
    config({"auths": {registry.host: {"registrytoken": secret + SECRET}}})
    assert push_fails() == f"the registry token {message}"


@pytest.mark.parametrize("kind", [case("B59", "basic", BasicAuth), case("B59", "token", TokenAuth)])
def test_a_wrong_password(push_fails, refused, config, tmp_path, kind):
    with Registry(auth=kind(USERS)) as registry:
        path = config(entry(registry.host, f"ann:wrong-{SECRET}"))
        line = push_fails(registry=registry)
        tries = [r for r in registry.requests if r.headers.get("Authorization", "").startswith("Basic")]
        assert 1 <= len(tries) <= 2
        begin = "GET {}/v2/app/manifests/1: 401" if kind is BasicAuth else "GET {}/token"
        assert line.startswith(begin.format(registry.url))
        assert f"used {path} (auths of {registry.host}) as user ann" in line
        assert f"log in to {registry.host}" in line
        assert registry.repositories() == []


@pytest.mark.parametrize("kind", [case("B60", "basic", BasicAuth), case("B60", "token", TokenAuth)])
def test_a_user_with_pull_rights_only_sends_no_blob(push_fails, dockless, config, kind):
    with Registry(auth=kind(USERS)) as registry:
        path = config(entry(registry.host, f"bob:{SECRET}"))
        result = dockless("copy", "oci:base", f"{registry.host}/app:1", "-q")
        (line,) = result.err.splitlines()
        assert result.status == 1 and SECRET not in line
        status = "403: DENIED requested access to the resource is denied" if kind is BasicAuth else "401"
        assert f"POST {registry.url}/v2/app/blobs/uploads/: {status}" in line
        assert f"used {path} (auths of {registry.host}) as user bob" in line
        assert line.endswith(f"log in to {registry.host} as a user who is allowed to do this")
        assert not any(request.received for request in registry.requests if request.method in ("PUT", "PATCH", "POST"))
        assert registry.tags("app") == {}
