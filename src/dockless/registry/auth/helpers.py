"""Credential helpers: programs `docker-credential-NAME` that keep secrets (docker-credential-helpers' protocol)."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from typing import NoReturn

from dockless.errors import CredentialsError, printable
from dockless.reference import DOCKER_HUB
from dockless.registry.auth.config_files import DOCKER_HUB_HELPER_URL
from dockless.registry.auth.credentials import Credentials

TIMEOUT = 60.0
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
    path = shutil.which(program, path=environ.get("PATH", os.defpath))
    if path is None:
        no(f"it is not on PATH ({environ.get('PATH', os.defpath)})", "install it, or take it out of the config file")
    asked = DOCKER_HUB_HELPER_URL if host == DOCKER_HUB else host
    code, output = _run(path, asked, environ, timeout, no)
    text = output.decode("utf-8", "replace").strip()
    if code != 0:
        if text == _NOT_FOUND:
            return None
        no(f"exit status {code}: {printable(text, 200) or 'it said nothing'}")
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
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


def _run(path: str, asked: str, environ: Mapping[str, str], timeout: float, no: object) -> tuple[int, bytes]:
    """Exit status and at most _MAX_ANSWER bytes of output. The helper's stderr goes where ours goes: it may prompt."""
    try:
        process = subprocess.Popen(
            [path, "get"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=dict(environ), start_new_session=True
        )
    except OSError as error:
        raise CredentialsError(
            f"the credential helper {os.path.basename(path)} cannot be run", cause=error.strerror or str(error)
        ) from None
    with process:
        try:
            output, _ = _communicate(process, asked.encode(), timeout)
        except subprocess.TimeoutExpired:
            _kill(process)
            raise CredentialsError(
                f"the credential helper {os.path.basename(path)} failed for {asked}",
                cause=f"it gave no answer in {timeout:g} s",
            ) from None
        except OverflowError:
            _kill(process)
            raise CredentialsError(
                f"the credential helper {os.path.basename(path)} failed for {asked}",
                cause=f"its answer is larger than {_MAX_ANSWER} bytes",
            ) from None
        return process.returncode, output


def _communicate(process: subprocess.Popen[bytes], data: bytes, timeout: float) -> tuple[bytes, None]:
    import threading
    import time

    assert process.stdin is not None and process.stdout is not None
    pieces: list[bytes] = []
    end = time.monotonic() + timeout

    def read() -> None:
        assert process.stdout is not None
        total = 0
        while piece := process.stdout.read1(65536):  # type: ignore[attr-defined]
            total += len(piece)
            pieces.append(piece)
            if total > _MAX_ANSWER:
                return

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    try:
        process.stdin.write(data)
        process.stdin.close()
    except BrokenPipeError:
        pass
    reader.join(timeout)
    if sum(map(len, pieces)) > _MAX_ANSWER:
        raise OverflowError
    if reader.is_alive():
        raise subprocess.TimeoutExpired(process.args, timeout)
    process.wait(max(0.1, end - time.monotonic()))
    return b"".join(pieces), None


def _kill(process: subprocess.Popen[bytes]) -> None:
    """The whole session: a helper may be a script that waits for another program."""
    import signal

    try:
        os.killpg(process.pid, signal.SIGKILL)
    except OSError:
        process.kill()
