"""Credential helpers: programs that succeed, fail, hang or write to stderr."""

import json
import os
import signal
import time
from functools import partial
from pathlib import Path

import pytest
from credential_files import install_helper

from dockless.errors import CredentialsError
from dockless.registry import Credentials, find_credentials, push
from dockless.registry.auth.credential_helpers import ask_helper
from dockless.testing import Registry, TokenAuth, User

HOST = "reg.example:5000"
SECRET = "S3CR3T-Kanary"


@pytest.fixture
def helper(environ, tmp_path):
    """`helper(name, script)` installs a credential helper, a shell script."""
    directory = tmp_path / "bin"
    directory.mkdir()
    environ["PATH"] = f"{directory}:{environ['PATH']}"
    return partial(install_helper, directory)


@pytest.fixture
def config(environ):
    def write(content):
        path = os.path.join(environ["HOME"], ".docker/config.json")
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w") as file:
            json.dump(content, file)
        return path

    return write


def answer(username, secret):
    return f"""cat >/dev/null; echo '{json.dumps({"ServerURL": "x", "Username": username, "Secret": secret})}'"""


def test_a_helper_gets_the_host_and_then_end_of_file_on_stdin(helper, config, environ, tmp_path):
    stdin = tmp_path / "asked"
    # `cat` ends at the end of its input.
    helper("keep", f'echo "$1" >{stdin}; cat >>{stdin}; echo \'{{"Username": "ann", "Secret": "pw"}}\'')
    config({"credHelpers": {HOST: "keep"}})
    found = find_credentials(HOST, environ=environ)
    assert found.credentials == Credentials("ann", "pw", source="docker-credential-keep")
    assert stdin.read_text() == f"get\n{HOST}"


def test_docker_hub_is_looked_up_by_its_legacy_address(helper, environ, tmp_path):
    helper("keep", f"cat >{tmp_path}/asked; echo '{{}}'")
    assert ask_helper("keep", "docker.io", environ) is None
    assert (tmp_path / "asked").read_text() == "https://index.docker.io/v1/"


def test_order_within_a_file(helper, config, environ):
    helper("own", answer("own", "pw"))
    helper("store", answer("store", "pw"))
    auths = {HOST: {"username": "entry", "password": "pw"}, "b.example": {"username": "entry", "password": "pw"}}
    config({"credHelpers": {HOST: "own"}, "credsStore": "store", "auths": auths})
    assert find_credentials(HOST, environ=environ).credentials.username == "own"
    assert find_credentials("b.example", environ=environ).credentials.username == "store"
    # If the helper has no credentials for the host, the entry in `auths` is used.
    helper("store", "echo 'credentials not found in native keychain'; exit 1")
    found = find_credentials("b.example", environ=environ)
    assert found.credentials.username == "entry"
    assert "docker-credential-store of " in found.searched[1] and "(none for b.example)" in found.searched[1]


@pytest.mark.parametrize(
    "message", ["credentials not found in native keychain", "  credentials not found in native keychain\\n"]
)
def test_a_helper_without_credentials_means_anonymous_access(message, helper, config, environ):
    helper("keep", f"printf '{message}\\n'; exit 1")
    config({"credsStore": "keep"})
    found = find_credentials(HOST, environ=environ)
    assert found.credentials is None
    assert f"(none for {HOST})" in found.explain()


@pytest.mark.parametrize(
    ("script", "why"),
    [
        ("echo 'the vault is sealed'; exit 1", "exit status 1: the vault is sealed"),
        ("echo loud >&2; exit 3", "exit status 3: loud"),
        (
            "echo 'sealed'; printf 'error:\\n\\033[31mno vault\\n' >&2; exit 1",
            "exit status 1: sealed; error: \\x1b[31mno vault",
        ),
        ("echo 'token=S3CR3T-Kanary is too old' >&2; exit 1", "exit status 1: token=(hidden) is too old"),
        ("echo 'token S3CR3T-Kanary is too old'; exit 1", "exit status 1: token (hidden) is too old"),
        ("echo 'Authorization: Bearer S3CR3T-Kanary' >&2; exit 1", "exit status 1: Authorization: (hidden)"),
        (
            'echo \'{"Secret": "S3CR3T-Kanary"}\'; echo "S3CR3T-Kanary is too old" >&2; exit 1',
            "exit status 1: (output not shown); (hidden) is too old",
        ),
        ("echo 'no; such vault' >&2", "the output is not JSON: no; such vault"),
        ("yes x | head -c 100000 >&2; echo ' the end' >&2; exit 1", f"exit status 1: ... {'x ' * 96}the end"),
        ('echo \'{"Secret": "S3CR3T-Kanary"}\'; exit 1', "exit status 1: (output not shown)"),
        ("printf 'a\\033[31mred\\n'; exit 1", "exit status 1: a\\x1b[31mred"),
        ("kill -9 $$", "exit status -9: no output"),
        ("echo S3CR3T-Kanary", "the output is not JSON"),
        (f"echo '{'[' * 101}{']' * 101}'", "the output is not JSON"),
        ("echo '[]'", "the output is not a JSON object"),
        ('echo \'{"Username": "ann", "Secret": 7}\'', "the output has no Username and Secret"),
        ("yes S3CR3T-Kanary", "the output is larger than 1048576 bytes"),
    ],
)
def test_a_helper_that_fails(script, why, helper, environ):
    helper("bad", script)
    with pytest.raises(CredentialsError) as caught:
        ask_helper("bad", HOST, environ)
    text = str(caught.value)
    assert text == f"the credential helper docker-credential-bad failed for {HOST}: {why}"
    assert "Kanary" not in text


def test_stderr_of_a_helper_is_shown_to_the_user(helper, environ, capfd):
    helper("loud", "echo 'touch the key now' >&2; " + answer("ann", "pw"))
    assert ask_helper("loud", HOST, environ).username == "ann"
    assert capfd.readouterr().err == "touch the key now\n"


def test_stderr_of_a_helper_that_hangs_is_in_the_error(helper, environ):
    helper("slow", "echo 'waiting for a touch' >&2; sleep 300")
    with pytest.raises(CredentialsError, match="no output within 0.5 s; waiting for a touch"):
        ask_helper("slow", HOST, environ, timeout=0.5)


def test_a_helper_that_says_on_stderr_that_it_has_nothing(helper, environ):
    helper("keep", "echo 'credentials not found in native keychain' >&2; exit 1")
    assert ask_helper("keep", HOST, environ) is None


def test_a_helper_that_hangs_is_killed_with_its_children(helper, environ, tmp_path):
    helper("slow", f"sleep 300 & echo $! >{tmp_path}/child; wait")
    began = time.monotonic()
    with pytest.raises(CredentialsError) as caught:
        ask_helper("slow", HOST, environ, timeout=0.5)
    assert time.monotonic() - began < 20
    assert str(caught.value).endswith(f"docker-credential-slow failed for {HOST}: no output within 0.5 s")
    child = int((tmp_path / "child").read_text())
    for _ in range(200):
        try:
            state = Path(f"/proc/{child}/stat").read_text().split()[2]
        except OSError:
            break
        if state == "Z":
            # The process is dead, and a zombie until init waits for it.
            break
        time.sleep(0.02)
    else:
        pytest.fail("what the helper started lives on")


def test_a_helper_that_closes_stdout_and_runs_on(helper, environ):
    helper("stays", "echo '{}'; exec >&-; sleep 300")
    with pytest.raises(CredentialsError, match=r"docker-credential-stays failed for .*: .* did not end within 0\.5 s"):
        ask_helper("stays", HOST, environ, timeout=0.5)


def test_a_child_of_a_helper_may_keep_stdout_open(helper, environ, tmp_path):
    """For example, pass starts gpg-agent. The output is complete when the helper has ended."""
    pid = tmp_path / "pid"
    helper("agent", f"sleep 100 & echo $! >{pid}; " + answer("ann", "pw"))
    try:
        found = ask_helper("agent", HOST, environ, timeout=50.0)
        assert (found.username, found.password) == ("ann", "pw")
        # The agent is not killed, because other programs use it.
        os.kill(int(pid.read_text()), 0)
    finally:
        os.kill(int(pid.read_text()), signal.SIGKILL)


def test_a_helper_that_is_not_installed_or_not_executable(helper, environ):
    helper("plain", "echo", mode=0o644)
    for name in ("absent", "plain"):
        with pytest.raises(CredentialsError) as caught:
            ask_helper(name, HOST, environ)
        text = str(caught.value)
        assert (
            f"docker-credential-{name} failed for {HOST}: docker-credential-{name} is not on PATH ({environ['PATH']})"
            in text
        )
        assert text.endswith("install the helper, or remove it from the config file")


def test_a_helper_whose_interpreter_is_missing(helper, environ, tmp_path):
    path = tmp_path / "bin/docker-credential-odd"
    path.write_text("#!/no/such/shell\n")
    path.chmod(0o755)
    with pytest.raises(CredentialsError, match="docker-credential-odd cannot be run: No such file or directory"):
        ask_helper("odd", HOST, environ)


@pytest.mark.parametrize("name", ["../../bin/evil", "a b", "-x", "x;y", "x\ny", ".hidden"])
def test_invalid_helper_names_are_not_run(name, helper, config, environ, tmp_path):
    config({"credHelpers": {HOST: name}})
    with pytest.raises(CredentialsError) as caught:
        find_credentials(HOST, environ=environ)
    text = str(caught.value)
    assert "is not a valid credential helper name; fix `credHelpers` or `credsStore`" in text and text.isprintable()


def test_a_broken_helper_of_another_registry_has_no_effect(config, environ):
    config({"credHelpers": {"b.example": "absent"}, "auths": {HOST: {"username": "ann", "password": "pw"}}})
    assert find_credentials(HOST, environ=environ).credentials.username == "ann"


def test_an_identity_token_is_exchanged_for_access_tokens(helper, config, connect, image, environ):
    users = [User("ann", "unused", identity_token=SECRET)]
    with Registry(auth=TokenAuth(users, anonymous="")) as registry:
        helper("keep", answer("<token>", SECRET))
        config({"credHelpers": {registry.host: "keep"}})
        push(image.root, image.source, connect(registry.host), "app", ["v1"])
        requests = [request for request in registry.requests if request.operation.startswith("token")]
        assert [request.method for request in requests] == ["POST"]
        assert f"refresh_token={SECRET}".encode() in requests[0].body
        assert not any(SECRET in str(request.headers) for request in registry.requests)
