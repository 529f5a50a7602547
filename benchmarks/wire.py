"""A TCP proxy on loopback that counts what clients send, and may keep every byte back for a while, each way."""

import asyncio
import threading
from collections import deque


class Wire:
    """Leads `address` to the port `to`. A context manager.

    Each direction is `delay` seconds long and as wide as you like: a round trip takes twice that, a connection's own
    beginning takes none. `sent` counts the bytes of clients.
    """

    def __init__(self, to: int, delay: float = 0.0) -> None:
        self.sent = 0
        self.delay = delay
        self._to = to
        self._loop = asyncio.new_event_loop()

    def __enter__(self) -> "Wire":
        serving = self._loop.create_server(lambda: _Client(self), "127.0.0.1", 0)
        self._server = self._loop.run_until_complete(serving)
        self.address = f"127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._server.close()
        for task in asyncio.all_tasks(self._loop):
            task.cancel()
        self._loop.run_until_complete(asyncio.sleep(0))
        self._loop.close()

    def begin(self, client: "_Client") -> None:
        server = client.peer = _End(self, client)
        task = self._loop.create_task(self._loop.create_connection(lambda: server, "127.0.0.1", self._to))
        task.add_done_callback(lambda done: done.cancelled() or (done.exception() and client.transport.abort()))

    def later(self, work, *args) -> None:
        self._loop.call_later(self.delay, work, *args)


class _End(asyncio.Protocol):
    """One end of the wire. What came in is on its way to `peer`, in order."""

    def __init__(self, wire: Wire, peer=None) -> None:
        self.wire = wire
        self.peer = peer
        self.transport = None
        self._under_way = deque()
        self._waiting = []

    def connection_made(self, transport) -> None:
        self.transport = transport
        for data in self._waiting:
            self.put(data)

    def data_received(self, data: bytes) -> None:
        self._under_way.append(data)
        self.wire.later(self._arrive)

    def connection_lost(self, error) -> None:
        self._under_way.append(b"")
        self.wire.later(self._arrive)

    def pause_writing(self) -> None:
        self.peer.transport.pause_reading()

    def resume_writing(self) -> None:
        if not self.peer.transport.is_closing():
            self.peer.transport.resume_reading()

    def put(self, data: bytes) -> None:
        """Hands on what arrived; nothing is the end."""
        if self.transport is None:
            self._waiting.append(data)
        elif data:
            self.transport.write(data)
        else:
            self.transport.close()

    def _arrive(self) -> None:
        self.peer.put(self._under_way.popleft())


class _Client(_End):
    def connection_made(self, transport) -> None:
        super().connection_made(transport)
        self.wire.begin(self)

    def data_received(self, data: bytes) -> None:
        self.wire.sent += len(data)
        super().data_received(data)
