"""A TCP proxy on loopback that counts bytes."""

import socket
import threading
from contextlib import suppress

_BLOCK = 1 << 16


class CountingProxy:
    """Forwards connections to a port. `sent` and `received` count the bytes of clients and of the server.

    A context manager. After `stop`, all connections are closed and new ones are refused.
    """

    def __init__(self, port: int) -> None:
        self.sent = 0
        self.received = 0
        self._port = port
        self._lock = threading.Lock()
        self._sockets: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> "CountingProxy":
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Close the listener and all connections."""
        with self._lock:
            sockets = [self._listener, *self._sockets]
            self._sockets = []
        for each in sockets:
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(("127.0.0.1", self._port))
                with self._lock:
                    self._sockets += (client, server)
                for pair in ((client, server, "sent"), (server, client, "received")):
                    threading.Thread(target=self._forward, args=pair, daemon=True).start()

    def _forward(self, source: socket.socket, target: socket.socket, counter: str) -> None:
        with suppress(OSError):
            while data := source.recv(_BLOCK):
                with self._lock:
                    setattr(self, counter, getattr(self, counter) + len(data))
                target.sendall(data)
        with suppress(OSError):
            target.shutdown(socket.SHUT_WR)
