"""The container runtimes that images are loaded into: docker, podman and containerd's `ctr`."""

import os
import secrets
import shutil
import subprocess
import tempfile
from contextlib import suppress
from typing import TYPE_CHECKING, Optional

from image_server import ImageServer  # type: ignore[import-not-found]

if TYPE_CHECKING:
    from dockless.blobs import BlobSource
    from dockless.oci.image_documents import ImageDocuments


class ContainerRuntimeError(Exception):
    """A runtime is missing or failed. The text is one line."""


class Docker:
    """Docker, and the base of runtimes with the commands of Docker."""

    pull_options: tuple[str, ...] = ("--quiet",)

    def __init__(self, program: str) -> None:
        self.name = os.path.basename(program)
        self._program = program

    def check(self) -> None:
        """Raise ContainerRuntimeError if the daemon does not answer."""
        self._call("version", "--format", "{{.Server.Version}}")

    def find(self, image: "ImageDocuments") -> Optional[str]:
        """Return the ID of an image that is loaded, or None."""
        # The ID is the digest of the config or, with containerd's image store, that of the manifest.
        for digest in (image.manifest.config.digest, image.manifest.digest):
            with suppress(ContainerRuntimeError):
                return self._call("image", "inspect", "--format", "{{.Id}}", digest)
        return None

    def load(self, image: "ImageDocuments", source: "BlobSource", name: str) -> tuple[str, str]:
        """Load an image under a name. Return its ID and what was sent. Raises ContainerRuntimeError, DocklessError."""
        with ImageServer(image, source) as server:
            try:
                self._call("pull", *self.pull_options, server.reference)
            except ContainerRuntimeError:
                if server.error:
                    raise ContainerRuntimeError(server.error) from None
                # The runtime may be on another machine, or not support the compression of a layer.
                return self._load_archive(image, source, name)
        found = self.find(image) or server.reference
        self._call("tag", server.reference, name)
        self._call("rmi", server.reference)
        return found, _sent(server, image)

    def run_command(
        self, image: "ImageDocuments", found: str, options: list[str], arguments: list[str], *, is_terminal: bool
    ) -> list[str]:
        """Return the command that runs an image, whose ID is `found`, and removes the container at its end."""
        terminal = ["--interactive", "--tty"] if is_terminal else []
        return [self._program, "run", "--rm", *terminal, *options, found, *arguments]

    def _load_archive(self, image: "ImageDocuments", source: "BlobSource", name: str) -> tuple[str, str]:
        from dockless.layout.docker_archive_writer import write_docker_archive
        from dockless.oci.reference import Reference

        with tempfile.TemporaryDirectory(prefix="dockless-") as directory:
            archive = os.path.join(directory, "image.tar")
            write_docker_archive(archive, image, [Reference.parse(name)], source)
            self._call("load", "--quiet", "--input", archive)
        return self.find(image) or name, "all layers sent"

    def _call(self, *arguments: str) -> str:
        command = (self._program, *arguments)
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False)
        if done.returncode:
            lines = done.stderr.decode(errors="replace").strip().splitlines() or [f"exit status {done.returncode}"]
            raise ContainerRuntimeError(f"`{' '.join((self.name, *arguments[:1]))}` failed: {lines[-1]}")
        return done.stdout.decode(errors="replace").strip()


class Podman(Docker):
    """Podman, which has no daemon."""

    pull_options = ("--quiet", "--tls-verify=false")

    def check(self) -> None:
        """Raise ContainerRuntimeError if podman does not work."""
        self._call("version", "--format", "{{.Client.Version}}")


class Containerd(Docker):
    """The command `ctr` of containerd."""

    def check(self) -> None:
        """Raise ContainerRuntimeError if containerd does not answer."""
        self._call("version")

    def find(self, image: "ImageDocuments") -> Optional[str]:
        """Return None: containerd names images, and requests only the blobs that it lacks."""
        return None

    def load(self, image: "ImageDocuments", source: "BlobSource", name: str) -> tuple[str, str]:
        """Load an image under a name."""
        from dockless.oci.reference import Reference

        full_name = str(Reference.parse(name))
        with ImageServer(image, source) as server:
            try:
                self._call("images", "pull", "--plain-http", "--platform", str(image.platform), server.reference)
            except ContainerRuntimeError as error:
                raise ContainerRuntimeError(server.error or str(error)) from None
        self._call("images", "tag", "--force", server.reference, full_name)
        self._call("images", "rm", server.reference)
        return full_name, _sent(server, image)

    def run_command(
        self, image: "ImageDocuments", found: str, options: list[str], arguments: list[str], *, is_terminal: bool
    ) -> list[str]:
        """Return the command that runs an image and removes the container at its end."""
        terminal = ["--tty"] if is_terminal else []
        container = f"dockless-{secrets.token_hex(8)}"
        # The arguments of `ctr run` replace the entrypoint, too.
        entrypoint = (image.config.document.get("config") or {}).get("Entrypoint") or [] if arguments else []
        return [self._program, "run", "--rm", *terminal, *options, found, container, *entrypoint, *arguments]


# In this order a runtime is chosen.
_TYPES = {"docker": Docker, "podman": Podman, "ctr": Containerd}


def find_runtime(configured: str) -> Docker:
    """Return the configured runtime or, without one, the first that answers. Raises ContainerRuntimeError."""
    if configured:
        program = shutil.which(configured)
        if program is None:
            problem = "is not an executable file" if os.path.dirname(configured) else "is not on PATH"
            raise ContainerRuntimeError(
                f"{configured} {problem}; install it, or set [dockless].runtime to another runtime"
            )
        runtime = _TYPES[os.path.basename(configured)](program)
        try:
            runtime.check()
        except ContainerRuntimeError as error:
            raise ContainerRuntimeError(
                f"{error}; start the daemon, or set [dockless].runtime to another runtime"
            ) from None
        return runtime
    failures = []
    for name, kind in _TYPES.items():
        program = shutil.which(name)
        if program is not None:
            runtime = kind(program)
            try:
                runtime.check()
            except ContainerRuntimeError as error:
                failures.append(str(error))
                continue
            return runtime
    if failures:
        raise ContainerRuntimeError(f"{'; '.join(failures)}; start the daemon, or install podman")
    raise ContainerRuntimeError(
        f"no container runtime was found: none of {', '.join(_TYPES)} is on PATH; install one of them"
    )


def _sent(server: ImageServer, image: "ImageDocuments") -> str:
    from dockless._units import format_count, format_size

    count = format_count(len(set(image.manifest.layers)), "layer")
    return f"{len(server.sent)} of {count} sent ({format_size(sum(layer.size for layer in server.sent))})"


def replace_process(command: list[str]) -> None:
    """Replace this process with a command, which receives the signals and the terminal."""
    import signal

    # Python ignores this signal, and a program inherits that.
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    os.execv(command[0], command)
