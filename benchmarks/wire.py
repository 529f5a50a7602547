"""A TCP proxy on loopback that counts the bytes of clients and can delay all bytes in both directions."""

import asyncio
import threading
from collections import deque


class Wire:
    """A proxy from `address` to the port `to` of loopback. A context manager.

    Bytes arrive `delay` seconds after they are sent, so that a round trip takes twice that time. The bandwidth is not
    limited, and connecting takes no time. `sent` is the number of bytes that clients have sent.
    """

    def __init__(self, to: int, delay: float = 0.0) -> None:
        self.sent = 0
        self.delay = delay
        self._to = to
        self._loop = asyncio.new_event_loop()
        # The event loop has only weak references to tasks.
        self._connection_tasks: set = set()

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
        self._loop.run_until_complete(self._cancel_connection_tasks())
        self._loop.close()

    def begin(self, client: "_Client") -> None:
        """Connect a client to the port. If the connection fails, the connection of the client is aborted."""
        client.peer = _End(self, client)
        task = self._loop.create_task(self._connect(client))
        self._connection_tasks.add(task)
        task.add_done_callback(self._connection_tasks.discard)

    def call_later(self, callback) -> None:
        """Call `callback` after the delay."""
        self._loop.call_later(self.delay, callback)

    async def _connect(self, client: "_Client") -> None:
        try:
            await self._loop.create_connection(lambda: client.peer, "127.0.0.1", self._to)
        except OSError:
            client.transport.abort()

    async def _cancel_connection_tasks(self) -> None:
        tasks = list(self._connection_tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class _End(asyncio.Protocol):
    """A connection of the proxy. Bytes that are received are sent to `peer` after the delay, in order."""

    def __init__(self, wire: Wire, peer=None) -> None:
        self.wire = wire
        self.peer = peer
        self.transport = None
        self._delayed = deque()
        self._unsent = []

    def connection_made(self, transport) -> None:
        self.transport = transport
        for data in self._unsent:
            self.put(data)

    def data_received(self, data: bytes) -> None:
        self._delayed.append(data)
        self.wire.call_later(self._deliver)

    def connection_lost(self, error) -> None:
        self._delayed.append(b"")
        self.wire.call_later(self._deliver)

    def pause_writing(self) -> None:
        self.peer.transport.pause_reading()

    def resume_writing(self) -> None:
        if not self.peer.transport.is_closing():
            self.peer.transport.resume_reading()

    def put(self, data: bytes) -> None:
        """Send bytes of the peer. Empty bytes close the connection."""
        if self.transport is None:
            self._unsent.append(data)
        elif data:
            self.transport.write(data)
        else:
            self.transport.close()

    def _deliver(self) -> None:
        self.peer.put(self._delayed.popleft())


class _Client(_End):
    def connection_made(self, transport) -> None:
        super().connection_made(transport)
        self.wire.begin(self)

    def data_received(self, data: bytes) -> None:
        self.wire.sent += len(data)
        super().data_received(data)
