"""A proxy in front of a real registry that forwards requests, records them, and injects faults.

Connections, faults and the log are those of `dockless.testing`. The registry behind the proxy sends the responses.
"""

import dataclasses
import http.client
import io
import threading
from typing import Callable, NamedTuple, Optional

from dockless.testing import Fault
from dockless.testing.exchange import Exchange
from dockless.testing.faults import FaultScript
from dockless.testing.message import BrokenBodyError, Response, pieces
from dockless.testing.profiles import PROFILES
from dockless.testing.routes import Routes
from dockless.testing.server import Server

# Headers of one connection (RFC 9110, 7.6.1), and headers that the exchange writes.
_NOT_PASSED = frozenset(
    ("connection", "keep-alive", "transfer-encoding", "date", "docker-distribution-api-version", "expect")
)


class Place(NamedTuple):
    """A position in an exchange: a number of bytes of the body of its `request` or `reply`.

    At byte 0 of the request, the registry has received nothing. At byte 0 of the reply, it has completed the request.
    """

    of: str
    byte: int = 0


BEFORE = Place("request")
AFTER = Place("reply")


@dataclasses.dataclass(frozen=True)
class Trouble(Fault):
    """A fault with conditions and effects that depend on the real registry.

    `digest`: matches only requests with this digest in their query, such as mounts and the last request of an upload.
    `damage`: the byte at this offset of the request's body is changed. `hook` is called at the position `at`.
    """

    digest: str = ""
    damage: Optional[int] = None
    hook: Optional[Callable[[], None]] = None
    at: Place = BEFORE

    def __post_init__(self):
        if self.damage is None and self.hook is None:
            super().__post_init__()

    def matches(self, request, length):
        return super().matches(request, length) and self.digest in ("", request.digest)


class _MatchedRequest(NamedTuple):
    """The properties of a request that faults match."""

    operation: str
    repository: str
    reference: str
    digest: Optional[str]


class FaultyServer:
    """Listens on 127.0.0.1 and responds by `handle(request)`, with `faults`. A context manager.

    `requests` is the log, `struck` are the faults that had an effect. `broken_connections`: the number of a connection,
    from 1 -> the number of bytes after which the connection is reset.
    """

    def __init__(self, tls=None, port=0):
        self.restore()
        self._lock = threading.Lock()
        # State of the request that this thread serves.
        self._here = threading.local()
        self._stopping = threading.Event()
        self._server = Server(("127.0.0.1", port), tls)
        self.host = self._server.host
        self.url = f"{'https' if tls else 'http'}://{self.host}"
        self._exchange = Exchange(
            self.url,
            Routes(PROFILES["docker-registry"]).find,
            self._strike,
            self._record,
            self._effects,
            lambda request, route: self.handle(request),
            self._stopping,
        )

    def restore(self):
        """Restores the initial state: no faults and an empty log."""
        self.requests = []
        self.struck = []
        self.connections = 0
        self.broken_connections: dict[int, int] = {}
        self._script = FaultScript(())

    def __enter__(self):
        self._server.start(self._serve)
        return self

    def __exit__(self, *_):
        self._stopping.set()
        self._server.stop()

    @property
    def faults(self):
        return self._script.faults

    @faults.setter
    def faults(self, faults):
        self._script = FaultScript(faults)

    def handle(self, request):
        raise NotImplementedError

    def expire_tokens(self):
        """Implements `expire_tokens` of a fault."""

    @property
    def hooks(self):
        return [fault for fault in self._here.struck if getattr(fault, "hook", None)]

    @property
    def damages(self):
        return [fault.damage for fault in self._here.struck if getattr(fault, "damage", None) is not None]

    def _serve(self, connection):
        with self._lock:
            self.connections += 1
            broken_after = self.broken_connections.get(self.connections)
        if broken_after is None:
            self._exchange.serve(connection)
            return
        connection.reader.read(broken_after)
        connection.reset()

    def _record(self, request):
        self._here.request = request
        self.requests.append(request)

    def _strike(self, route, length):
        query = self._here.request.query
        digest = query.get("digest") or query.get("mount")
        matched = _MatchedRequest(route.operation, route.repository, route.reference, digest)
        self._here.struck = self._script.strike(matched, length)
        self.struck += self._here.struck
        return self._here.struck

    def _effects(self, fault):
        if fault.expire_tokens:
            self.expire_tokens()


class FaultProxy(FaultyServer):
    """A proxy for the registry at `target` (HOST:PORT, plain HTTP). `tokens` is the token server of the registry.

    Clients reach both at this proxy: a token server at another port of this machine would get no credentials.
    """

    def __init__(self, target, *, tokens=None, tls=None, port=0):
        super().__init__(tls, port)
        self.target = target
        # Cleared during a restart of the registry, because a client whose clock does not wait would give up.
        self.up = threading.Event()
        self.up.set()
        self._tokens = tokens
        # The registry builds its Locations from this header and from Host, which is forwarded unchanged.
        self._scheme = "https" if tls else "http"

    def expire_tokens(self):
        self._tokens.expire()

    def handle(self, request):
        for fault in self.hooks:
            if fault.at == BEFORE:
                fault.hook()
        self.up.wait(30)
        target = self._tokens.host if self._is_for_tokens(request) else self.target
        connection = http.client.HTTPConnection(target, timeout=30)
        try:
            answer = self._ask(connection, request)
            status, headers, body = answer.status, answer.getheaders(), answer.read()
        except (OSError, http.client.HTTPException) as error:
            raise BrokenBodyError(f"the registry is gone: {error}") from None
        finally:
            connection.close()
        passed = [(name, self._shown(value)) for name, value in headers if name.lower() not in _NOT_PASSED]
        if request.method != "HEAD" and status not in (204, 304):
            # A chunked body is forwarded with a Content-Length.
            passed = [(name, value) for name, value in passed if name.lower() != "content-length"]
        content = body
        for fault in self.hooks:
            if fault.at == AFTER:
                fault.hook()
            elif fault.at.of == "reply":
                content = _Stumbling(body, fault.at.byte, fault.hook)
        return Response(status, tuple(passed), content, len(body))

    def _record(self, request):
        if self._is_for_tokens(request):
            # The token server has it in its own log.
            self._here.request = request
        else:
            super()._record(request)

    def _is_for_tokens(self, request):
        return self._tokens is not None and request.path == "/token"

    @property
    def realm(self):
        """The URL of the token server, as clients know it."""
        return f"{self.url}/token"

    def _shown(self, value):
        return value.replace(self._tokens.realm, self.realm) if self._tokens is not None else value

    def _ask(self, connection, request):
        connection.putrequest(request.method, request.target, skip_host=True, skip_accept_encoding=True)
        chunked = False
        for name, value in request.headers.items():
            if name.lower() == "authorization" and self._tokens:
                value = self._tokens.with_expired_token(value)
            if name.lower() == "transfer-encoding":
                chunked = True
            if name.lower() not in _NOT_PASSED or name.lower() == "transfer-encoding":
                connection.putheader(name, value)
        connection.putheader("X-Forwarded-Proto", self._scheme)
        connection.endheaders()
        try:
            for piece in self._body(request.body):
                connection.send(b"%x\r\n%s\r\n" % (len(piece), piece) if chunked else piece)
            if chunked:
                connection.send(b"0\r\n\r\n")
        except (BrokenPipeError, ConnectionResetError):
            # The registry has responded before it read the whole body.
            pass
        return connection.getresponse()

    def _body(self, body):
        """Yields the body of the request, with corrupted bytes, and calls hooks at their positions."""
        hooks = sorted((f.at.byte, f.hook) for f in self.hooks if f.at.of == "request" and f.at.byte)
        damages = self.damages
        at = 0
        for piece in pieces(body):
            for damage in damages:
                if at <= damage < at + len(piece):
                    piece = piece[: damage - at] + bytes([piece[damage - at] ^ 1]) + piece[damage - at + 1 :]
            while hooks and hooks[0][0] < at + len(piece):
                byte, hook = hooks.pop(0)
                yield piece[: byte - at]
                piece, at = piece[byte - at :], byte
                hook()
            yield piece
            at += len(piece)


class _Stumbling(io.BytesIO):
    """The body of a reply that calls `hook` after `byte` bytes were sent."""

    def __init__(self, data, byte, hook):
        super().__init__(data)
        self._byte = byte
        self._hook = hook

    def read(self, size=-1):
        if self.tell() < self._byte:
            return super().read(min(size, self._byte - self.tell()) if size >= 0 else self._byte - self.tell())
        if self._hook:
            hook, self._hook = self._hook, None
            hook()
        return super().read(size)


class Stranger(FaultProxy):
    """An unrelated host, which must not get credentials. It serves `files` (path -> bytes), or sends a challenge.

    With a `target`, the host forwards to that registry. With `get_only`, every other method is 403, as at a store that
    signs its URLs for GET.
    """

    def __init__(self):
        super().__init__("")

    def restore(self):
        super().restore()
        self.files = {}
        self.target = ""
        self.get_only = False

    def handle(self, request):
        if self.get_only and request.method != "GET":
            return Response.make(403, {"Content-Type": "application/xml"}, b"<Error><Code>AccessDenied</Code></Error>")
        if self.target:
            return super().handle(request)
        for _ in pieces(request.body):
            pass
        if request.path in self.files:
            return Response.make(200, {"Content-Type": "application/octet-stream"}, self.files[request.path])
        wants = f'Bearer realm="{self.url}/token",service="x",scope="repository:app:pull,push", Basic realm="x"'
        return Response.make(401, {"WWW-Authenticate": wants, "Content-Type": "application/json"}, b"{}")
