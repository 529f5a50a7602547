"""User errors: one line says what to do, and nothing is half-written."""

import base64
import json
import socket

import pytest
from packaging.version import Version
from pants_command import is_another_pants, registries_option
from pants_output import ONLY_DOCKLESS
from real_tools import run

HELLO = "testprojects/hello:image"


@pytest.fixture(scope="module")
def checkout(checkout):
    """Pants without the Python backend, which no target here needs."""
    checkout.env.update(ONLY_DOCKLESS)
    return checkout


def login(home, host: str, password: str) -> dict:
    directory = home / "docker config"
    directory.mkdir()
    auth = base64.b64encode(f"alice:{password}".encode()).decode()
    (directory / "config.json").write_text(json.dumps({"auths": {host: {"auth": auth}}}))
    return {"DOCKER_CONFIG": str(directory)}


def only_line(text: str, part: str) -> str:
    # Later releases of Pants also log the command that prints the line, at the level debug.
    lines = [line for line in text.splitlines() if not (is_another_pants() and "[DEBUG]" in line)]
    (line,) = [line for line in lines if part in line]
    return line


def test_an_unreachable_registry(checkout):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        host = f"127.0.0.1:{free.getsockname()[1]}"
        done = checkout.pants(registries_option(host), "publish", HELLO, ok=False)
    assert done.code != 0
    line = only_line(done.err, "error: testprojects/hello:image: ")
    assert host in line and "refused" in line
    assert "Traceback" not in done.err


def test_the_right_password_publishes(checkout, locked_registry, tmp_path):
    done = checkout.pants(
        registries_option(locked_registry.host), "publish", HELLO, **login(tmp_path, locked_registry.host, "s3cret")
    )
    assert "s3cret" not in done.out + done.err
    run(
        *("skopeo", "inspect", "--tls-verify=false", "--creds", "alice:s3cret"),
        f"docker://{locked_registry.host}/image:latest",
    )


@pytest.mark.parametrize(
    "fields, message",
    [
        ('env={"A=B": "x"}', "wrong:image: field `env`: the name of the environment variable 'A=B' contains '='"),
        ('registries=["@nowhere"]', "wrong:image: field `registries`: unknown registry @nowhere"),
    ],
)
def test_a_wrong_field_writes_nothing(checkout, fields, message):
    directory = checkout.root / "wrong"
    directory.mkdir(exist_ok=True)
    (directory / "BUILD").write_text(f'container_image(name="image", {fields})\n')
    done = checkout.pants("package", "wrong:image", ok=False)
    assert done.code != 0
    assert message in done.err
    assert not (checkout.root / "dist/wrong").exists()


def test_publish_without_a_destination_fails(checkout):
    done = checkout.pants("--dockless-registries={}", "publish", HELLO, ok=False)
    assert done.code != 0
    assert "testprojects/hello:image: field `registries`: no destination to publish to" in done.err


def test_skip_push_is_checked_before_packaging(checkout):
    """A target that cannot be packaged is skipped in Pants 2.32 and later. Earlier releases package first."""
    directory = checkout.root / "skipped"
    directory.mkdir()
    (directory / "f.txt").write_text("f")
    (directory / "BUILD").write_text(
        """
file(name="f", source="f.txt")
image_layer(name="wrong", dependencies=[":f"], modes={"/nothing": "0755"})
container_image(name="image", layers=[":wrong"], skip_push=True)
"""
    )
    done = checkout.pants(registries_option("127.0.0.1:9"), "publish", "skipped:image", ok=False)
    version = Version(checkout.pants("--version").out.strip())
    if version < Version("2.32.0.dev0"):
        assert done.code != 0 and "`modes`: '/nothing' matches nothing" in done.err
    else:
        assert done.code == 0
        assert "skipped:image skipped (by `skip_push` on skipped:image)." in done.err
        assert "Build the layer" not in done.err


def test_a_wrong_password_is_refused_and_never_printed(checkout, locked_registry, tmp_path):
    # A different log level restarts the daemon, so this test is the last of the file.
    done = checkout.pants(
        registries_option(locked_registry.host),
        "-ldebug",
        "publish",
        HELLO,
        ok=False,
        **login(tmp_path, locked_registry.host, "C4n4ry"),
    )
    assert done.code != 0
    line = only_line(done.err, "error: testprojects/hello:image: ")
    assert locked_registry.host in line and "401" in line and "alice" in line
    everything = (
        done.out
        + done.err
        + "".join(path.read_text(errors="replace") for path in checkout.root.glob(".pants.d/**/*.log"))
    )
    for secret in ("C4n4ry", base64.b64encode(b"alice:C4n4ry").decode()):
        assert secret not in everything
    found = run(
        *("skopeo", "list-tags", "--tls-verify=false", "--creds", "alice:s3cret"),
        f"docker://{locked_registry.host}/image",
        ok=False,
    )
    assert found.code != 0, "there is a repository, so something was pushed"
