"""Credentials of a test: the environment, credential helpers, netrc files, and the forms in which a secret is found."""

import base64
from pathlib import Path

# The variables that name config files with credentials.
VARIABLES = ("DOCKER_CONFIG", "REGISTRY_AUTH_FILE", "XDG_RUNTIME_DIR", "XDG_CONFIG_HOME")


def use_home(monkeypatch, home):
    """Makes the directory `home` the only place where config files are looked for."""
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(home))


def install_helper(directory, name, script, mode=0o755):
    """Writes the credential helper `name`, a shell script, to a directory of PATH."""
    directory.mkdir(exist_ok=True)
    path = directory / f"docker-credential-{name}"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(mode)


def write_netrc(home, password):
    """Writes a .netrc with `password` for loopback and for all other hosts, and returns its path."""
    path = Path(home) / ".netrc"
    lines = [f"machine {host} login ann password {password}\n" for host in ("127.0.0.1", "localhost")]
    path.write_text("".join(lines) + f"default login ann password {password}\n")
    path.chmod(0o600)
    return path


def forms(secret, users=("ann",)):
    """Returns the forms in which `secret` may occur: as it is, in base64 at any offset, and in basic authentication."""
    shifted = [base64.b64encode(b" " * n + secret.encode())[4:-4].decode() for n in range(3)]
    return [secret, *shifted, *(base64.b64encode(f"{user}:{secret}".encode()).decode() for user in users)]
