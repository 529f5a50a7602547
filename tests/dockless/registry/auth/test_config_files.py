"""The config files of Docker and Podman: their order, their entries and their errors."""

import base64
import json
import os

import pytest

from dockless.errors import CredentialsError
from dockless.registry import find_credentials

HOST = "reg.example:5000"
SECRET = "S3CR3T-Kanary"


def packed(text, *, padded=True):
    found = base64.b64encode(text.encode() if isinstance(text, str) else text).decode()
    return found if padded else found.rstrip("=")


@pytest.fixture
def home(environ):
    """`home(path, content)` writes a file (text, or a value as JSON) below the home directory and returns its path."""

    def write(path, content):
        full = os.path.join(environ["HOME"], path)
        os.makedirs(os.path.dirname(full), exist_ok=True)
        with open(full, "wb") as file:
            file.write(content if isinstance(content, bytes) else json.dumps(content).encode())
        return full

    return write


def user(name):
    return {"auths": {HOST: {"auth": packed(f"{name}:{SECRET}")}}}


def test_order_of_files(home, environ):
    runtime = os.path.join(environ["HOME"], "run")
    candidates = (
        ("run/containers/auth.json", {"XDG_RUNTIME_DIR": runtime}),
        (".config/containers/auth.json", {}),
        (".docker/config.json", {}),
        (".dockercfg", {}),
    )
    for number, (path, _) in enumerate(candidates):
        content = user(f"user{number}")
        home(path, content["auths"] if path == ".dockercfg" else content)
    env = {**environ, "XDG_RUNTIME_DIR": runtime}
    for number, (path, _) in enumerate(candidates):
        found = find_credentials(HOST, environ=env)
        assert found.credentials.username == f"user{number}"
        assert path in found.credentials.source
        # The files that were read before are listed as files without an entry.
        assert [os.path.basename(tried.split()[0]) for tried in found.searched[:number]] == [
            os.path.basename(before) for before, _ in candidates[:number]
        ]
        os.unlink(os.path.join(env["HOME"], path))
    found = find_credentials(HOST, environ=env)
    assert found.credentials is None and len(found.searched) == 4
    assert all(tried.endswith("(absent)") for tried in found.searched)


def test_files_that_variables_name(home, environ):
    home("xdg/containers/auth.json", user("xdg"))
    home("docker/config.json", user("docker"))
    under = environ["HOME"]
    assert find_credentials(HOST, environ={**environ, "XDG_CONFIG_HOME": f"{under}/xdg"}).credentials.username == "xdg"
    assert (
        find_credentials(HOST, environ={**environ, "DOCKER_CONFIG": f"{under}/docker"}).credentials.username == "docker"
    )


def test_a_named_file_is_the_only_one(home, environ):
    home(".docker/config.json", user("docker"))
    named = home("named.json", {})
    assert find_credentials(HOST, environ={**environ, "REGISTRY_AUTH_FILE": named}).credentials is None
    other = home("other.json", user("other"))
    env = {**environ, "REGISTRY_AUTH_FILE": named}
    assert find_credentials(HOST, auth_file=other, environ=env).credentials.username == "other"


def test_a_named_file_must_exist(environ):
    gone = os.path.join(environ["HOME"], "gone.json")
    with pytest.raises(CredentialsError) as caught:
        find_credentials(HOST, environ={**environ, "REGISTRY_AUTH_FILE": gone})
    assert str(caught.value) == (
        f"cannot use {gone} (named by REGISTRY_AUTH_FILE): No such file or directory; "
        "fix the file, or run `docker login` again"
    )
    with pytest.raises(CredentialsError, match=r"gone\.json \(named by --auth-file\)"):
        find_credentials(HOST, auth_file=gone, environ=environ)


def test_docker_config_without_a_file_is_listed_and_not_an_error(environ):
    gone = os.path.join(environ["HOME"], "gone")
    found = find_credentials(HOST, environ={**environ, "DOCKER_CONFIG": gone})
    assert found.credentials is None
    assert f"{gone}/config.json (absent)" in found.explain()


@pytest.mark.parametrize("content", [b"", b" \n", b"{}", b'{"auths":{}}', b'{"auths":null}', b"\xef\xbb\xbf{}"])
def test_files_without_credentials(content, home, environ):
    path = home(".docker/config.json", content)
    found = find_credentials(HOST, environ=environ)
    assert found.credentials is None and f"{path} (no entry for {HOST})" in found.searched


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b'{"auths": {"x": {"auth": "S3CR3T-Kanary"', "it is not JSON"),
        (b"\xff\xfe{}", "it is not JSON"),
        (b"[" * 100_000, "it is not JSON"),
        (b'["S3CR3T-Kanary"]', "it is not a JSON object"),
        (b'"S3CR3T-Kanary"', "it is not a JSON object"),
        (b'{"auths": ["S3CR3T-Kanary"]}', "auths and credHelpers must be objects, and credsStore a string"),
        (b'{"credHelpers": "S3CR3T-Kanary"}', "auths and credHelpers must be objects, and credsStore a string"),
        (b'{"credsStore": {"a": 1}}', "auths and credHelpers must be objects, and credsStore a string"),
        (b'{"credHelpers": {"a": 1}}', "the values of credHelpers must be strings"),
        (b" " * (4 * 1024 * 1024 + 1), "it is larger than 4194304 bytes"),
    ],
)
def test_files_that_are_broken(content, why, home, environ):
    path = home(".docker/config.json", content)
    with pytest.raises(CredentialsError) as caught:
        find_credentials(HOST, environ=environ)
    assert str(caught.value) == f"cannot use {path}: {why}; fix the file, or run `docker login` again"


def test_a_directory_instead_of_a_file(environ):
    os.makedirs(os.path.join(environ["HOME"], ".docker/config.json"))
    with pytest.raises(CredentialsError, match=r"cannot use .*/\.docker/config\.json: Is a directory"):
        find_credentials(HOST, environ=environ)


def test_an_unreadable_file_is_an_error(home, environ, monkeypatch):
    path = home(".docker/config.json", {})
    really = open

    def refuse(name, *args, **kwargs):
        if name == path:
            raise PermissionError(13, "Permission denied", name)
        return really(name, *args, **kwargs)

    # Root may read all: the file system cannot be made to refuse.
    monkeypatch.setattr("builtins.open", refuse)
    with pytest.raises(CredentialsError, match=r"config\.json: Permission denied; fix the file, or"):
        find_credentials(HOST, environ=environ)


@pytest.mark.parametrize(
    ("entry", "name", "password"),
    [
        ({"auth": packed("ann:a:b:c")}, "ann", "a:b:c"),
        ({"auth": packed("änn:pässwörd")}, "änn", "pässwörd"),
        ({"auth": packed("ann:pw") + "\n"}, "ann", "pw"),
        ({"auth": packed("ann:passw", padded=False)}, "ann", "passw"),
        ({"auth": packed(b"ann:pw\0\0")}, "ann", "pw"),
        ({"auth": packed("ann:")}, "ann", ""),
        ({"username": "ann", "password": "pw"}, "ann", "pw"),
        ({"username": "other", "password": "other", "auth": packed("ann:pw")}, "ann", "pw"),
        ({"auth": packed("ann:" + "x" * 10_000)}, "ann", "x" * 10_000),
    ],
)
def test_entries(entry, name, password, home, environ):
    home(".docker/config.json", {"auths": {HOST: entry}})
    found = find_credentials(HOST, environ=environ).credentials
    assert (found.username, found.password) == (name, password)


def test_tokens_of_entries(home, environ):
    home(".docker/config.json", {"auths": {HOST: {"identitytoken": "idt"}, "b.example": {"registrytoken": "rt"}}})
    assert find_credentials(HOST, environ=environ).credentials.identity_token == "idt"
    assert find_credentials("b.example", environ=environ).credentials.registry_token == "rt"


@pytest.mark.parametrize(
    ("entry", "why"),
    [
        ({"auth": "S3CR3T*Kanary"}, "its auth is not base64"),
        ({"auth": "S3CR3TKanaryÄ"}, "its auth is not base64"),
        ({"auth": packed(SECRET)}, "its auth contains no colon"),
        ({"auth": packed(b"ann:\xff" + SECRET.encode())}, "its auth is not UTF-8"),
        ({"password": [SECRET]}, "its values must be strings"),
        (SECRET, "it is not an object"),
    ],
)
def test_entries_that_are_broken(entry, why, home, environ):
    path = home(".docker/config.json", {"auths": {HOST: entry, "b.example": {"auth": packed("ann:pw")}}})
    with pytest.raises(CredentialsError) as caught:
        find_credentials(HOST, environ=environ)
    assert str(caught.value) == f"cannot use the entry in {path} (auths of {HOST}): {why}; log in again"
    # A push to another registry does not use the entry.
    assert find_credentials("b.example", environ=environ).credentials.username == "ann"


@pytest.mark.parametrize("secret", ["with\nline", "with\rreturn", "with\0nul"])
def test_secrets_that_a_header_cannot_contain(secret, home, environ):
    home(".docker/config.json", {"auths": {HOST: {"username": "ann", "password": f"S3CR3T-Kanary{secret}"}}})
    with pytest.raises(CredentialsError) as caught:
        find_credentials(HOST, environ=environ)
    assert "contains a line break or a NUL byte; store it again without one" in str(caught.value)
    assert "Kanary" not in str(caught.value)


@pytest.mark.parametrize(
    ("key", "host"),
    [
        ("https://reg.example:5000/v1/", HOST),
        ("http://reg.example:5000", HOST),
        ("reg.example:5000/", HOST),
        ("REG.Example:5000", HOST),
        ("reg.example:443", "reg.example"),
        ("reg.example", "reg.example:443"),
        ("https://reg.example/v2/", "reg.example"),
        ("https://index.docker.io/v1/", "docker.io"),
        ("registry-1.docker.io", "docker.io"),
    ],
)
def test_keys_that_mean_the_host(key, host, home, environ):
    home(".docker/config.json", {"auths": {key: {"auth": packed("ann:pw")}}})
    assert find_credentials(host, environ=environ).credentials.username == "ann"


@pytest.mark.parametrize(
    "key",
    ["reg.example", "reg.example:5001", "xreg.example:5000", "reg.example:5000.evil", "example:5000", "docker.io"],
)
def test_keys_that_mean_another_host(key, home, environ):
    home(".docker/config.json", {"auths": {key: {"auth": packed("ann:pw")}}})
    assert find_credentials(HOST, environ=environ).credentials is None


def test_the_longest_repository_prefix_takes_precedence(home, environ):
    auths = {HOST: "host", f"{HOST}/team": "team", f"{HOST}/team/app": "app"}
    home(".config/containers/auth.json", {"auths": {key: {"auth": packed(f"{n}:pw")} for key, n in auths.items()}})
    for repository, name in (
        ("team/app", "app"),
        ("team/app/more", "app"),
        ("team/other", "team"),
        ("team", "team"),
        ("teammates/app", "host"),
        ("", "host"),
    ):
        assert find_credentials(HOST, repository, environ=environ).credentials.username == name


def test_an_empty_entry_has_no_credentials(home, environ):
    """Docker writes `{}` for a host whose password is in a credential helper."""
    home(".config/containers/auth.json", {"auths": {HOST: {}}})
    home(".docker/config.json", user("docker"))
    assert find_credentials(HOST, environ=environ).credentials.username == "docker"


@pytest.mark.parametrize("other", [f"https://{HOST}/v1/", f"{HOST}/", f"http://{HOST}", HOST.upper()])
def test_the_plain_host_name_takes_precedence_over_urls(other, home, environ):
    """Docker sorts the keys, so the entry of an old login follows."""
    mine, stale = {"auth": packed("ann:pw")}, {"auth": packed("stale:pw")}
    for auths in ({HOST: mine, other: stale}, {other: stale, HOST: mine}):
        path = home(".docker/config.json", {"auths": auths})
        found = find_credentials(HOST, environ=environ).credentials
        assert found.username == "ann" and found.source == f"{path} (auths of {HOST})"
    path = home(".docker/config.json", {"auths": {other: stale}})
    assert find_credentials(HOST, environ=environ).credentials.source == f"{path} (auths of {other})"


def test_a_fifo_is_refused_and_a_pipe_of_the_shell_is_read(home, environ):
    path = home(".docker/config.json", {})
    os.unlink(path)
    os.mkfifo(path)
    for env in (environ, {**environ, "REGISTRY_AUTH_FILE": path}):
        with pytest.raises(CredentialsError, match=f"cannot use {path}.*: it is not a regular file"):
            find_credentials(HOST, environ=env)
    reading, writing = os.pipe()
    os.write(writing, json.dumps(user("ann")).encode())
    os.close(writing)
    try:
        found = find_credentials(HOST, auth_file=f"/dev/fd/{reading}", environ=environ)
        assert found.credentials.username == "ann"
    finally:
        os.close(reading)


def test_credentials_on_stdin_are_read(environ):
    reading, writing = os.pipe()
    os.write(writing, json.dumps(user("ann")).encode())
    os.close(writing)
    before = os.dup(0)
    try:
        os.dup2(reading, 0)
        found = find_credentials(HOST, auth_file="/dev/stdin", environ=environ)
        assert found.credentials.username == "ann"
    finally:
        os.dup2(before, 0)
        os.close(before)
        os.close(reading)
