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
from dockless.registry.http.redaction import hide

TIMEOUT = 60.0
# Seconds between two checks whether the helper has ended, and to read what is left in its pipe afterwards.
_POLL_INTERVAL = 0.02
_DRAIN_TIMEOUT = 1.0
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*\Z")
_NOT_FOUND = "credentials not found in native keychain"
_MAX_OUTPUT = 1024 * 1024
# Of the standard error: the last bytes are kept, and characters shown.
_MAX_MESSAGES = 16 * 1024
_MAX_SHOWN = 200
# What may be a secret in a message: what follows such a word, and JSON Web Tokens.
_SECRET = re.compile(
    r"((?:password|passwd|secret|token|authorization|bearer|basic|api[_-]?key)\b[\"']?\s*(?:[:=]\s*)?[\"']?)"
    r"(?:(?:bearer|basic)\s+)?[^\s\"',;]{6,}|\beyJ[\w.-]{10,}",
    re.IGNORECASE,
)
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
    code, output, messages = _run(path, server, environ, timeout)
    text = output.decode("utf-8", "replace").strip()
    said = _shown(messages, output)
    if code != 0:
        if _NOT_FOUND in (text, messages.decode("utf-8", "replace").strip()):
            return None
        # The message is shown, unless it looks like the credentials of a helper that failed late.
        message = "(output not shown)" if "secret" in text.lower() else printable(_without_secrets(text), _MAX_SHOWN)
        fail(f"exit status {code}: {'; '.join(filter(None, (message, said))) or 'no output'}")
    try:
        answer = load_json(text)
    except ValueError:
        fail(f"the output is not JSON{': ' if said else ''}{said}")
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


def _run(path: str, server: str, environ: Mapping[str, str], timeout: float) -> tuple[int, bytes, bytes]:
    """Return the exit status, the output, and what the helper wrote to its standard error.

    Raises CredentialsError after the helper was killed.
    """
    import subprocess

    name = os.path.basename(path)
    try:
        process = subprocess.Popen(
            [path, "get"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=dict(environ),
            start_new_session=True,
        )
    except OSError as error:
        cause = error.strerror or str(error)
        raise CredentialsError(f"the credential helper {name} cannot be run", cause=cause) from None
    output, messages = bytearray(), bytearray()
    reader = threading.Thread(target=_read, args=(process.stdout, output), daemon=True)
    listener = threading.Thread(target=_read_messages, args=(process.stderr, messages), daemon=True)
    try:
        reader.start()
        listener.start()
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
            status = process.wait(max(0.0, deadline - time.monotonic()))
            listener.join(_DRAIN_TIMEOUT)
            return status, bytes(output), bytes(messages)
    except subprocess.TimeoutExpired:
        cause = f"the helper did not end within {timeout:g} s"
    finally:
        if process.poll() is None:
            # With its process group: a helper may be a script that waits for another program.
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    listener.join(_DRAIN_TIMEOUT)
    said = _shown(bytes(messages), bytes(output))
    cause = f"{cause}; {said}" if said else cause
    raise CredentialsError(f"the credential helper {name} failed for {server}", cause=cause)


def _read(stream: Any, output: bytearray) -> None:
    with stream:
        while len(output) <= _MAX_OUTPUT and (block := stream.read1(65536)):
            output += block


def _read_messages(stream: Any, messages: bytearray) -> None:
    """Pass on what a helper writes, such as a request to touch a key, and keep the end for errors."""
    with stream:
        while block := stream.read1(65536):
            with contextlib.suppress(OSError):
                os.write(2, block)
            messages += block
            del messages[:-_MAX_MESSAGES]


def _shown(messages: bytes, output: bytes) -> str:
    """Return a helper's standard error in one line, printable and without what may be a secret."""
    text = " ".join(messages.decode("utf-8", "replace").split())
    try:
        answer = load_json(output.decode("utf-8", "replace"))
    except ValueError:
        answer = None
    secrets = [answer["Secret"]] if isinstance(answer, dict) and isinstance(answer.get("Secret"), str) else []
    text = _without_secrets(hide(text, secrets))
    # The last words say why the helper failed.
    return printable(text if len(text) <= _MAX_SHOWN else f"...{text[-_MAX_SHOWN:]}", None)


def _without_secrets(text: str) -> str:
    return _SECRET.sub(lambda match: f"{match[1] or ''}(hidden)", text)
