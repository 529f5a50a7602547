"""Sockets and threads: one thread accepts connections, and each connection has its own thread."""

from __future__ import annotations

import contextlib
import selectors
import socket
import ssl
import threading
from typing import Callable

from dockless.testing.connection import Connection

Serve = Callable[[Connection], None]


class Server:
    """Listens on `address`; once started, gives every connection, in a thread of its own, to `serve`.

    Raises OSError if it cannot listen.
    """

    def __init__(self, address: tuple[str, int], tls: ssl.SSLContext | None = None) -> None:
        self._tls = tls
        family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        self._listener = socket.create_server(address, family=family, backlog=128)
        self.address: tuple[str, int] = self._listener.getsockname()[:2]
        self._wake, self._woken = socket.socketpair()
        self._lock = threading.Lock()
        self._clients: dict[threading.Thread, socket.socket] = {}
        self._stopping = False
        self._acceptor = threading.Thread(target=self._accept, name="dockless-registry", daemon=True)

    @property
    def host(self) -> str:
        """`HOST:PORT`, as in a URL."""
        host, port = self.address
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

    def start(self, serve: Serve) -> None:
        """Accept connections, and call `serve` for each in a thread of its own."""
        self._serve = serve
        self._acceptor.start()

    def stop(self) -> None:
        """Close all connections and wait for all threads."""
        self._stopping = True
        self._wake.send(b"x")
        self._acceptor.join()
        with self._lock:
            clients = dict(self._clients)
        for thread, sock in clients.items():
            with contextlib.suppress(OSError):
                # The method of the plain socket: that of SSLSocket removes state that the other thread uses.
                socket.socket.shutdown(sock, socket.SHUT_RDWR)
            thread.join(10)
        self._wake.close()
        self._woken.close()

    def _accept(self) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(self._listener, selectors.EVENT_READ)
            selector.register(self._woken, selectors.EVENT_READ)
            while True:
                selector.select()
                if self._stopping:
                    break
                with contextlib.suppress(OSError):
                    self._start(self._listener.accept()[0])
        self._listener.close()

    def _start(self, sock: socket.socket) -> None:
        thread = threading.Thread(target=self._run, args=(sock,), name="dockless-registry-client", daemon=True)
        with self._lock:
            self._clients[thread] = sock
        thread.start()

    def _run(self, sock: socket.socket) -> None:
        thread = threading.current_thread()
        try:
            if self._tls is not None:
                # In the thread of the connection: a silent client must not block the others.
                sock = self._tls.wrap_socket(sock, server_side=True, do_handshake_on_connect=False)
                with self._lock:
                    self._clients[thread] = sock
                sock.do_handshake()
            self._serve(Connection(sock))
        except OSError:
            # The client closed the connection, or the TLS handshake failed; the client reports this.
            sock.close()
        finally:
            with self._lock:
                del self._clients[thread]
