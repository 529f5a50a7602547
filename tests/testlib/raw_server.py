"""A server that sends arbitrary bytes."""

import contextlib
import socket
import threading
from collections.abc import Iterator
from typing import Callable


@contextlib.contextmanager
def raw_server(answer: Callable[[socket.socket], None]) -> Iterator[str]:
    """Calls `answer(connection)` for each connection, in threads. Yields host:port."""
    server = socket.create_server(("127.0.0.1", 0))
    # Connections inherit the size. With that of the system, a body of megabytes is sent before a test reads a byte.
    server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)
    threads = []

    def work(connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            connection.settimeout(30)
            answer(connection)

    def serve() -> None:
        while True:
            try:
                connection, _ = server.accept()
            except OSError:
                return
            threads.append(threading.Thread(target=work, args=(connection,)))
            threads[-1].start()

    accepting = threading.Thread(target=serve)
    accepting.start()
    try:
        yield f"127.0.0.1:{server.getsockname()[1]}"
    finally:
        server.shutdown(socket.SHUT_RDWR)
        server.close()
        for thread in (accepting, *threads):
            thread.join()


def head_of(connection: socket.socket) -> str:
    """Returns the head of the next request, which has no body. Returns an empty string at the end."""
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        piece = connection.recv(1)
        if not piece:
            return ""
        head += piece
    return head.decode()
