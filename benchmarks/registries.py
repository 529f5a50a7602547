"""Debian's docker-registry with an empty store, for as long as a measurement takes."""

import subprocess
import tempfile
import time


class DockerRegistry:
    """On a free port of loopback, over TLS if a folder of `dockless.testing.tls` is given. A context manager."""

    def __init__(self, certificates: str = "") -> None:
        self._certificates = certificates

    def __enter__(self) -> "DockerRegistry":
        self._folder = tempfile.TemporaryDirectory(prefix="dockless-registry-")
        folder = self._folder.name
        tls = f"\n  tls: {{certificate: {self._certificates}/server.crt, key: {self._certificates}/server.key}}"
        with open(f"{folder}/config.yml", "w") as config:
            config.write(
                "version: 0.1\nlog: {level: info}\n"
                f"storage: {{filesystem: {{rootdirectory: {folder}/data}}}}\n"
                f"http:\n  addr: 127.0.0.1:0\n  secret: x{tls if self._certificates else ''}\n"
            )
        self._log = f"{folder}/log"
        with open(self._log, "wb") as log:
            command = ["docker-registry", "serve", f"{folder}/config.yml"]
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
        self._folder.cleanup()

    def requests(self) -> list:
        """Return `METHOD PATH STATUS` of all requests so far, from the access log."""
        found = []
        for line in self._lines():
            if '] "' in line:
                asked, status = line.split('"')[1:3]
                found.append(f"{asked.rpartition(' ')[0]} {status.split()[0]}")
        return found

    def _lines(self) -> list:
        with open(self._log, errors="replace") as log:
            return log.read().splitlines()
