"""Credential helpers: programs `docker-credential-NAME` that store secrets (docker-credential-helpers' protocol)."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import threading
import time
from collections.abc import Mapping
from typing import Any, NoReturn

from dockless.errors import CredentialsError, printable
from dockless.oci.canonical_json import load_json
from dockless.oci.reference import DOCKER_HUB
from dockless.registry.auth.credentials import Credentials
from dockless.registry.auth.docker_config import DOCKER_HUB_HELPER_URL

TIMEOUT = 60.0
# Seconds between two checks whether the helper has ended, and to read what is left in its pipe afterwards.
_POLL_INTERVAL = 0.02
_DRAIN_TIMEOUT = 1.0
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*\Z")
_NOT_FOUND = "credentials not found in native keychain"
_MAX_OUTPUT = 1024 * 1024
# The user name with which a helper returns an identity token as the secret.
_TOKEN_USER = "<token>"


def ask_helper(name: str, host: str, environ: Mapping[str, str], *, timeout: float = TIMEOUT) -> Credentials | None:
    """Return the credentials that a helper stores for a host, if any. Raises CredentialsError with its message."""
    program = f"docker-credential-{name}"

    def fail(cause: str, hint: str = "") -> NoReturn:
        raise CredentialsError(f"the credential helper {program} failed for {host}", cause=cause, hint=hint)

    if not _NAME.match(name):
        raise CredentialsError(
            f"'{printable(name, 100)}' is not a valid credential helper name", hint="fix `credHelpers` or `credsStore`"
        )
    import shutil

    search_path = environ.get("PATH", os.defpath)
    # An empty or relative directory would be one of the working directory, which may be an untrusted checkout. (Go's
    # os/exec does not run such programs either.)
    directories = [directory for directory in search_path.split(os.pathsep) if os.path.isabs(directory)]
    path = shutil.which(program, path=os.pathsep.join(directories))
    if path is None:
        fail(
            f"{program} is not on PATH ({search_path})",
            "install the helper, or remove it from the config file",
        )
    server = DOCKER_HUB_HELPER_URL if host == DOCKER_HUB else host
    code, output = _run(path, server, environ, timeout)
    text = output.decode("utf-8", "replace").strip()
    if code != 0:
        if text == _NOT_FOUND:
            return None
        # The message is shown, unless it looks like the credentials of a helper that failed late.
        message = "(output not shown)" if "secret" in text.lower() else printable(text, 200) or "no output"
        fail(f"exit status {code}: {message}")
    try:
        answer = load_json(text)
    except ValueError:
        fail("the output is not JSON")
    if not isinstance(answer, dict):
        fail("the output is not a JSON object")
    username, secret = answer.get("Username", ""), answer.get("Secret", "")
    if not isinstance(username, str) or not isinstance(secret, str):
        fail("the output has no Username and Secret")
    if not secret:
        return None
    if username == _TOKEN_USER:
        return Credentials(identity_token=secret, source=program)
    return Credentials(username, secret, source=program)


def _run(path: str, server: str, environ: Mapping[str, str], timeout: float) -> tuple[int, bytes]:
    """Return the exit status and the output. The helper shares our stderr, for its messages.

    Raises CredentialsError after the helper was killed.
    """
    import subprocess

    name = os.path.basename(path)
    try:
        process = subprocess.Popen(
            [path, "get"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=dict(environ), start_new_session=True
        )
    except OSError as error:
        cause = error.strerror or str(error)
        raise CredentialsError(f"the credential helper {name} cannot be run", cause=cause) from None
    output = bytearray()
    reader = threading.Thread(target=_read, args=(process.stdout, output), daemon=True)
    try:
        reader.start()
        with contextlib.suppress(OSError):
            # A helper that reads nothing may have ended.
            process.stdin.write(server.encode())  # type: ignore[union-attr]
            process.stdin.close()  # type: ignore[union-attr]
        deadline = time.monotonic() + timeout
        while reader.is_alive() and process.poll() is None and time.monotonic() < deadline:
            reader.join(_POLL_INTERVAL)
        if process.poll() is not None:
            # Some helpers start an agent that keeps their output open.
            reader.join(_DRAIN_TIMEOUT)
        if len(output) > _MAX_OUTPUT:
            cause = f"the output is larger than {_MAX_OUTPUT} bytes"
        elif reader.is_alive() and process.poll() is None:
            cause = f"no output within {timeout:g} s"
        else:
            return process.wait(max(0.0, deadline - time.monotonic())), bytes(output)
    except subprocess.TimeoutExpired:
        cause = f"the helper did not end within {timeout:g} s"
    finally:
        if process.poll() is None:
            # With its process group: a helper may be a script that waits for another program.
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    raise CredentialsError(f"the credential helper {name} failed for {server}", cause=cause)


def _read(stream: Any, output: bytearray) -> None:
    with stream:
        while len(output) <= _MAX_OUTPUT and (block := stream.read1(65536)):
            output += block
