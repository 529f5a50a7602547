"""HTTP sessions of tests, with their own TLS context and without settings of the environment."""

import contextlib
import ssl

from dockless.registry.clock import Clock
from dockless.registry.http.session import HttpRequest, HttpSession


class FixedTrust:
    """One TLS context for all hosts."""

    def __init__(self, context=None):
        self._context = context or ssl.create_default_context()

    def context(self, host, port):
        return self._context

    def add_system_cas(self):
        return False


@contextlib.contextmanager
def http_session(context=None, *, clock=None, jobs=1, **environ):
    session = HttpSession(jobs=jobs, trust=FixedTrust(context), clock=clock or Clock(), environ=environ, addresses=None)
    with contextlib.closing(session):
        yield session


def exchange(session, url, method="GET", body=None, *, timeout=30.0, **headers):
    """Return the status and the whole body of the response."""
    response = session.send(HttpRequest(method, url, headers, body, timeout))
    return response.status, b"".join(iter(lambda: response.read_some(1 << 20), b""))
