"""Credential helpers: programs `docker-credential-NAME` that keep secrets (docker-credential-helpers' protocol)."""

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
# Seconds between two looks whether it has ended, and for what is still in its pipe then.
_LOOK = 0.02
_REST = 1.0
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*\Z")
_NOT_FOUND = "credentials not found in native keychain"
_MAX_ANSWER = 1024 * 1024
# The user name that says: the secret is an identity token.
_TOKEN_USER = "<token>"


def ask_helper(name: str, host: str, environ: Mapping[str, str], *, timeout: float = TIMEOUT) -> Credentials | None:
    """What the helper keeps for a host; None where it keeps nothing. Raises CredentialsError with what it said."""
    program = f"docker-credential-{name}"

    def no(cause: str, hint: str = "") -> NoReturn:
        raise CredentialsError(f"the credential helper {program} failed for {host}", cause=cause, hint=hint)

    if not _NAME.match(name):
        raise CredentialsError(
            f"{printable(name, 100)!r} is no name of a credential helper", hint="mend credHelpers or credsStore"
        )
    import shutil

    path = shutil.which(program, path=environ.get("PATH", os.defpath))
    if path is None:
        no(f"it is not on PATH ({environ.get('PATH', os.defpath)})", "install it, or take it out of the config file")
    asked = DOCKER_HUB_HELPER_URL if host == DOCKER_HUB else host
    code, output = _run(path, asked, environ, timeout)
    text = output.decode("utf-8", "replace").strip()
    if code != 0:
        if text == _NOT_FOUND:
            return None
        # Its words are shown, but what looks like the answer of a helper that failed late is not.
        said = "(its answer is not shown)" if "secret" in text.lower() else printable(text, 200) or "it said nothing"
        no(f"exit status {code}: {said}")
    try:
        found = load_json(text)
    except ValueError:
        no("its answer is not JSON")
    if not isinstance(found, dict):
        no("its answer is no object")
    username, secret = found.get("Username", ""), found.get("Secret", "")
    if not isinstance(username, str) or not isinstance(secret, str):
        no("its answer has no Username and Secret")
    if not secret:
        return None
    if username == _TOKEN_USER:
        return Credentials(identity_token=secret, source=program)
    return Credentials(username, secret, source=program)


def _run(path: str, asked: str, environ: Mapping[str, str], timeout: float) -> tuple[int, bytes]:
    """Exit status and output. The helper's stderr goes where ours goes: it may have something to say.

    Raises CredentialsError, the helper then being dead.
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
            # One that reads nothing may be gone by now.
            process.stdin.write(asked.encode())  # type: ignore[union-attr]
            process.stdin.close()  # type: ignore[union-attr]
        deadline = time.monotonic() + timeout
        while reader.is_alive() and process.poll() is None and time.monotonic() < deadline:
            reader.join(_LOOK)
        if process.poll() is not None:
            # Some start an agent that keeps their output open: what they had to say they have said.
            reader.join(_REST)
        if len(output) > _MAX_ANSWER:
            cause = f"its answer is larger than {_MAX_ANSWER} bytes"
        elif reader.is_alive() and process.poll() is None:
            cause = f"it gave no answer in {timeout:g} s"
        else:
            return process.wait(max(0.0, deadline - time.monotonic())), bytes(output)
    except subprocess.TimeoutExpired:
        cause = f"it did not end in {timeout:g} s"
    finally:
        if process.poll() is None:
            # The whole session: a helper may be a script that waits for another program.
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    raise CredentialsError(f"the credential helper {name} failed for {asked}", cause=cause)


def _read(stream: Any, output: bytearray) -> None:
    with stream:
        while len(output) <= _MAX_ANSWER and (piece := stream.read1(65536)):
            output += piece
