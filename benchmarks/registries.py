"""Debian's docker-registry with an empty store, for one measurement."""

import subprocess
import tempfile
import time


class DockerRegistry:
    """A docker-registry on a free port of loopback. A context manager.

    With `certificates`, a directory that `dockless.testing.tls` has written, the registry uses TLS.
    """

    def __init__(self, certificates: str = "") -> None:
        self._certificates = certificates

    def __enter__(self) -> "DockerRegistry":
        self._directory = tempfile.TemporaryDirectory(prefix="dockless-registry-")
        directory = self._directory.name
        tls = f"\n  tls: {{certificate: {self._certificates}/server.crt, key: {self._certificates}/server.key}}"
        with open(f"{directory}/config.yml", "w") as config:
            config.write(
                "version: 0.1\nlog: {level: info}\n"
                f"storage: {{filesystem: {{rootdirectory: {directory}/data}}}}\n"
                f"http:\n  addr: 127.0.0.1:0\n  secret: x{tls if self._certificates else ''}\n"
            )
        self._log = f"{directory}/log"
        with open(self._log, "wb") as log:
            command = ["docker-registry", "serve", f"{directory}/config.yml"]
            self._process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
        for _ in range(400):
            lines = [line for line in self._lines() if "listening on " in line]
            if lines:
                self.address = lines[0].split("listening on ")[1].split('"')[0].split(" ")[0].rstrip(",")
                self.port = int(self.address.rpartition(":")[2])
                return self
            time.sleep(0.025)
        self.__exit__()
        raise RuntimeError("docker-registry did not start")

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait(20)
        self._directory.cleanup()

    def requests(self) -> list:
        """Return `METHOD PATH STATUS` for each request in the access log."""
        requests = []
        for line in self._lines():
            if '] "' in line:
                request, status = line.split('"')[1:3]
                requests.append(f"{request.rpartition(' ')[0]} {status.split()[0]}")
        return requests

    def _lines(self) -> list:
        with open(self._log, errors="replace") as log:
            return log.read().splitlines()
