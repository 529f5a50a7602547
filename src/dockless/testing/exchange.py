"""Handles the requests of a connection: records them, applies faults, and sends responses."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Sequence
from email.utils import formatdate
from typing import Callable
from urllib.parse import unquote, urlsplit

from dockless.testing.connection import BadRequestError, Connection, Head, RequestBody
from dockless.testing.faults import Fault
from dockless.testing.local_requests import is_local
from dockless.testing.message import CHUNK, ApiError, BrokenBodyError, Query, Request, Response
from dockless.testing.recording import RecordedRequest
from dockless.testing.routes import Route

Handle = Callable[[Request, Route], Response]


class _ConnectionEndedError(Exception):
    """The connection must be closed, with RST if `reset`."""

    def __init__(self, reset: bool = False) -> None:
        super().__init__(reset)
        self.reset = reset


class Exchange:
    """Handles connections to `origin`, this listener's `http://HOST:PORT`.

    `find` returns the operation of a request and `strike` the faults that apply to it. `record` logs the request,
    `handle` returns its response, and `effects` applies the part of a fault that is outside of this connection.
    `stopping` ends every wait. With `local_address`, the address of the listener, requests that may come from a web
    page are refused.
    """

    def __init__(
        self,
        origin: str,
        find: Callable[[str, str], Route],
        strike: Callable[[Route, int], list[Fault]],
        record: Callable[[RecordedRequest], None],
        effects: Callable[[Fault], None],
        handle: Handle,
        stopping: threading.Event,
        local_address: str | None = None,
    ) -> None:
        self._origin = origin
        self._host = origin.split("://")[1]
        self._find = find
        self._strike = strike
        self._record = record
        self._effects = effects
        self._handle = handle
        self._stopping = stopping
        self._local_address = local_address

    def serve(self, connection: Connection) -> None:
        """Answer the requests of a connection until it ends, then close it."""
        # After any error, the connection is closed, so that no client waits.
        reset = True
        try:
            while not self._stopping.is_set():
                head = connection.read_head()
                if head is None or not self._serve_one(connection, head):
                    break
            reset = False
        except _ConnectionEndedError as end:
            reset = end.reset
        except BadRequestError as error:
            reset = False
            with contextlib.suppress(OSError):
                self._send(connection, Response.make(400, {"Connection": "close"}, f"{error}\n".encode()), False, [])
        except OSError:
            reset = False
        finally:
            if reset:
                connection.reset()
            else:
                connection.close()

    def _serve_one(self, connection: Connection, head: Head) -> bool:
        """Handle a request; return whether the connection can be used again."""
        body = RequestBody(connection, head)
        try:
            url = urlsplit(head.target)
        except ValueError:
            raise BadRequestError(f"invalid request target: {head.target[:80]!r}") from None
        if self._local_address is not None and not is_local(head, self._local_address):
            refused = ApiError(403, "DENIED", "the request may come from a web page", headers={"Connection": "close"})
            self._send(connection, refused.response(), head.method == "HEAD", [])
            return False
        path = unquote(url.path)
        route = self._find(head.method, path)
        origin = f"{urlsplit(self._origin).scheme}://{head.headers.get('Host') or self._host}"
        request = Request(head.method, head.target, path, Query.parse(url.query), head.headers, origin, body)
        port = int(self._host.rsplit(":", 1)[1])
        names = (route.operation, route.repository, route.reference)
        record = RecordedRequest(head.method, path, request.query, head.headers, *names, port)
        self._record(record)
        faults = self._strike(route, request.content_length or 0)
        try:
            response = self._answer(request, route, body, faults)
        finally:
            record.received, record.body = body.received, body.kept
        keep = head.keep_alive and self._drained(body)
        response = _changed(response, faults, request.target, self._host)
        keep = keep and response.header("Connection").lower() != "close"
        # Recorded before it is sent: a client may read the log as soon as it has the response.
        record.received, record.body, record.status = body.received, body.kept, response.status
        if response.header("Content-Length") == "" and response.length and _takes_away(faults, "Content-Length"):
            keep = False
        if not keep and not response.header("Connection"):
            response = response._replace(headers=(*response.headers, ("Connection", "close")))
        try:
            self._send(connection, response, head.method == "HEAD", faults)
        finally:
            response.close()
        return keep

    def _answer(self, request: Request, route: Route, body: RequestBody, faults: Sequence[Fault]) -> Response:
        for fault in faults:
            if fault.delay and self._stopping.wait(fault.delay):
                raise _ConnectionEndedError
            self._effects(fault)
        for fault in faults:
            if fault.status and not fault.after:
                self._take(body, fault.request_bytes)
                return _instead(fault)
            if fault.ends and fault.request_bytes is not None:
                body.cut_at = fault.request_bytes
            elif fault.ends and not fault.after and not fault.cuts_answer:
                raise _ConnectionEndedError(fault.reset)
        try:
            response = self._handled(request, route)
        except BrokenBodyError:
            raise _ConnectionEndedError(any(fault.reset for fault in faults)) from None
        for fault in faults:
            if fault.ends and not fault.cuts_answer:
                response.close()
                raise _ConnectionEndedError(fault.reset)
            if fault.status:
                response.close()
                return _instead(fault)
        return response

    def _handled(self, request: Request, route: Route) -> Response:
        try:
            return self._handle(request, route)
        except ApiError as error:
            return error.response()

    def _take(self, body: RequestBody, count: int | None) -> None:
        """Read `count` bytes of the body, or all of it."""
        body.cut_at = count
        try:
            while body.read():
                pass
        except BrokenBodyError:
            if count is None or body.received < count:
                raise _ConnectionEndedError from None

    def _drained(self, body: RequestBody) -> bool:
        """Read the rest of the body before the next request; return False if this is not possible."""
        if not body.drainable and not body.ended:
            return False
        try:
            while body.read():
                pass
        except BrokenBodyError:
            raise _ConnectionEndedError from None
        return True

    def _send(self, connection: Connection, response: Response, bodiless: bool, faults: Sequence[Fault]) -> None:
        headers = list(response.headers)
        names = {name.lower() for name, _ in headers}
        no_body = response.status in (204, 304) or response.status < 200
        if "content-length" not in names and not no_body and not _takes_away(faults, "Content-Length"):
            headers.append(("Content-Length", str(response.length)))
        headers += [("Docker-Distribution-Api-Version", "registry/2.0"), ("Date", formatdate(usegmt=True))]
        ending = next((fault for fault in faults if fault.cuts_answer), None)
        only_head = ending.head_bytes if ending else None
        connection.send_head(response.status, headers, only=only_head)
        if only_head is None and not bodiless and not no_body:
            self._send_body(connection, response, faults, ending.response_bytes if ending else None)
        if ending is not None:
            raise _ConnectionEndedError(ending.reset)

    def _send_body(self, connection: Connection, response: Response, faults: Sequence[Fault], most: int | None) -> None:
        left = response.length if most is None else min(most, response.length)
        rate = next((fault.rate for fault in faults if fault.rate), 0.0)
        corrupt = next((fault.corrupt for fault in faults if fault.corrupt is not None), None)
        # Ten times a second, so that the rate is steady.
        step = max(1, int(rate / 10)) if rate else CHUNK
        place = 0
        while left:
            if isinstance(response.content, bytes):
                data = response.content[place : place + min(step, left)]
            else:
                data = response.content.read(min(step, left))
            if not data:
                raise _ConnectionEndedError
            if corrupt is not None and place <= corrupt < place + len(data):
                at = corrupt - place
                data = data[:at] + bytes([data[at] ^ 0xFF]) + data[at + 1 :]
            connection.send(data)
            place += len(data)
            left -= len(data)
            if rate and left and self._stopping.wait(len(data) / rate):
                raise _ConnectionEndedError


def _instead(fault: Fault) -> Response:
    body = fault.body.encode() if isinstance(fault.body, str) else fault.body
    close = {"Connection": "close"} if fault.request_bytes is not None else {}
    return Response.make(fault.status, close, body)


def _changed(response: Response, faults: Sequence[Fault], target: str, host: str) -> Response:
    """Return `response` with the header changes of faults."""
    url = urlsplit(response.header("Location"))
    path = f"{url.path}?{url.query}" if url.query else url.path
    headers = list(response.headers)
    for fault in faults:
        for name, change in fault.headers.items():
            headers = [(key, value) for key, value in headers if key.lower() != name.lower()]
            for value in [] if change is None else [change] if isinstance(change, str) else change:
                headers.append((name, value.replace("{path}", path or target).replace("{host}", host)))
    return response._replace(headers=tuple(headers))


def _takes_away(faults: Sequence[Fault], name: str) -> bool:
    return any(key.lower() == name.lower() and change is None for f in faults for key, change in f.headers.items())
