"""Goals that use registries do not write secrets of the environment to disk, logs or output."""

import base64
import json
import os
import re
import shutil
import time
import uuid
from pathlib import Path
from typing import NamedTuple

import pytest
from pants_command import registries_option
from pants_output import ONLY_DOCKLESS
from real_tools import Checkout, DockerRegistry, ProgramResult, need, run
from remote_services import BuildGrid

from pants_dockless.util_rules.processes import ENV_VARS

# Not a literal, because this file is one of the searched sources.
MARK = f"secret-{uuid.uuid4().hex}"
PASSWORD = f"{MARK}-REGISTRY_PASSWORD"
# Each value contains the name of its variable. NO_PROXY exempts this machine from the proxies.
SECRETS = {
    "REGISTRY_PASSWORD": PASSWORD,
    **{name: f"{MARK}-{name}" for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")},
    **{
        name: f"http://user:{MARK}-{name}@127.0.0.1:9"
        for upper in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")
        for name in (upper, upper.lower())
    },
}
# The common part of all forms of a secret: as it is, and in the header of basic authentication.
TRACES = (MARK.encode(), base64.b64encode(f"alice:{PASSWORD}".encode())[:20])
HELPER = """#!/bin/sh
printf '{"Username": "alice", "Secret": "%s"}' "$REGISTRY_PASSWORD"
"""
BUILD = """
base_image(name="base", reference="{host}/base:1", platforms=["linux/amd64"])
container_image(name="image", base=":base", dependencies=[":text"], include_base_layers=True, repository="app")
files(name="text", sources=["*.txt"])
"""


class Machine(NamedTuple):
    """A checkout with Pants. Pants and the services write only below `directory`."""

    directory: Path
    checkout: Checkout
    registry: DockerRegistry
    cache: BuildGrid

    def pants(self, *arguments: str) -> ProgramResult:
        return self.checkout.pants(
            *self.cache.options,
            registries_option(self.registry.host),
            "--dockless-env-vars=REGISTRY_PASSWORD",
            "--keep-sandboxes=always",
            "-ldebug",
            *arguments,
            **ONLY_DOCKLESS,
        )


@pytest.fixture
def machine(tmp_path):
    need("htpasswd", "docker-registry", "skopeo", "umoci")
    names = ("registry", "cache", "caches", "tmp", "bin", "docker")
    registry_directory, cache_directory, caches, tmp, programs, config = map(tmp_path.joinpath, names)
    for name in names:
        tmp_path.joinpath(name).mkdir()
    run("htpasswd", "-Bbc", registry_directory / "htpasswd", "alice", PASSWORD)
    auth = f"auth: {{htpasswd: {{realm: r, path: {registry_directory}/htpasswd}}}}\n"
    registry = DockerRegistry(registry_directory, auth)
    cache = checkout = None
    try:
        cache = BuildGrid(cache_directory)
        (programs / "docker-credential-test").write_text(HELPER)
        (programs / "docker-credential-test").chmod(0o755)
        (config / "config.json").write_text(json.dumps({"credHelpers": {registry.host: "test"}}))
        checkout = Checkout(tmp_path / "checkout", caches)
        # Its targets need a backend that is not used here.
        shutil.rmtree(checkout.root / "testprojects/service")
        checkout.env.update(
            SECRETS,
            PATH=f"{programs}:{os.environ['PATH']}",
            DOCKER_CONFIG=str(config),
            NO_PROXY="127.0.0.1,localhost",
            TMPDIR=str(tmp),
        )
        yield Machine(tmp_path, checkout, registry, cache)
    finally:
        for service in filter(None, (cache, registry)):
            service.stop()
        if checkout:
            checkout.close()


def push_base(machine: Machine) -> None:
    """Pushes an image with one layer to the registry, as the base of the BUILD file."""
    layout, root = machine.directory / "layout", machine.directory / "root"
    root.mkdir()
    (root / "base.txt").write_text("base\n")
    run("umoci", "init", "--layout", layout)
    run("umoci", "new", "--image", f"{layout}:1")
    run("umoci", "insert", "--image", f"{layout}:1", root, "/")
    run("umoci", "config", "--image", f"{layout}:1", "--os=linux", "--architecture=amd64")
    to = f"docker://{machine.registry.host}/base:1"
    run("skopeo", "copy", "--dest-tls-verify=false", f"--dest-creds=alice:{PASSWORD}", f"oci:{layout}:1", to)


def find_traces(directory: Path) -> list[str]:
    """Returns the paths of files that contain a secret."""
    return [
        os.path.relpath(path, directory)
        for path in sorted(directory.rglob("*"))
        if path.is_file() and not path.is_symlink() and any(trace in path.read_bytes() for trace in TRACES)
    ]


def test_each_variable_that_may_be_secret_has_a_value_here():
    pattern = re.compile(r"(SECRET|PASSWORD|TOKEN|KEY|KEY_ID|(?<!NO_)PROXY)$", re.IGNORECASE)
    assert {name for name in ENV_VARS if pattern.search(name)} == set(SECRETS) - {"REGISTRY_PASSWORD"}


def test_no_secret_is_in_the_store_the_sandboxes_the_log_or_the_output(machine, measured):
    begin = time.monotonic()
    push_base(machine)
    directory = machine.checkout.root / "web"
    directory.mkdir()
    (directory / "web.txt").write_text("web\n")
    (directory / "BUILD").write_text(BUILD.format(host=machine.registry.host))
    done = [
        machine.pants("generate-lockfiles", "--resolve=base-images"),
        machine.pants("package", "web:image"),
        machine.pants("publish", "web:image"),
    ]

    # Each goal needed the password.
    description = machine.checkout.description("web/image.json")
    base_layer = description["layers"][0]["digest"]
    assert (machine.checkout.root / "dist/web/image/blobs/sha256" / base_layer[7:]).exists()
    inspect = ("skopeo", "inspect", "--tls-verify=false", f"--creds=alice:{PASSWORD}")
    published = json.loads(run(*inspect, f"docker://{machine.registry.host}/app:latest").out)
    assert published["Digest"] == description["digest"]

    searched = [path for path in machine.directory.rglob("*") if path.is_file()]
    measured(f"secrets: {len(searched)} files searched, {time.monotonic() - begin:.1f} s")
    assert list((machine.directory / "caches/sandboxes").iterdir()), "no sandbox was kept"
    assert find_traces(machine.directory) == []
    for one in done:
        assert MARK not in one.out + one.err
