"""A registry that wants credentials for everything, and whose answers a test writes."""

import contextlib
import json
import urllib.parse

from hostile_server import hostile_server, response

USER, PASSWORD = "ann", "canary-password"
BASIC = "Basic YW5uOmNhbmFyeS1wYXNzd29yZA=="


class Guarded:
    """`auth` is `basic` or `token`. `answers` are functions of a request, of which the first result is sent.

    `anonymous` is one for requests without credentials; by default, they are answered with 401.
    """

    def __init__(self, auth, server):
        self.auth = auth
        self.server = server
        self.answers = []
        self.anonymous = lambda request: None

    @property
    def host(self):
        return self.server.host

    @property
    def url(self):
        return self.server.url

    @property
    def scopes(self):
        """All scopes that tokens were requested for."""
        asked = [r for r in self.server.requests if r.path == "/token"]
        return {
            scope for r in asked for scope in urllib.parse.parse_qs(r.target.partition("?")[2]).get("scope", ["none"])
        }

    def authorized(self, prefix):
        """The requests with credentials for paths that begin with `prefix`, however they are written."""
        found = [r for r in self.server.requests if "authorization" in r.headers]
        return [f"{r.method} {r.target}" for r in found if urllib.parse.unquote(r.target).startswith(prefix)]

    def challenge(self, repository="a/b", **more):
        """A 401 that asks for credentials, with a scope of `repository`."""
        values = {"realm": f"{self.url}/token", "service": "x", "scope": f"repository:{repository}:pull,push,delete"}
        text = ",".join(f'{name}="{value}"' for name, value in {**values, **more}.items())
        return response(401, {"WWW-Authenticate": f"Bearer {text}" if self.auth == "token" else 'Basic realm="x"'})

    def answer(self, request, connection):
        given = request.headers.get("authorization", "")
        if request.path == "/token":
            if given != BASIC:
                return response(401)
            scope = request.target.partition("scope=")[2].partition("&")[0]
            return response(200, body=json.dumps({"token": f"token-{scope}"}).encode())
        if not given.startswith("Bearer token-" if self.auth == "token" else BASIC):
            path = request.path.split("/")
            return self.anonymous(request) or self.challenge("/".join(path[2:4]))
        return next((data for data in (answer(request) for answer in self.answers) if data is not None), response(404))


@contextlib.contextmanager
def guarded_registry(auth):
    with hostile_server(lambda request, connection: registry.answer(request, connection)) as server:
        registry = Guarded(auth, server)
        yield registry
