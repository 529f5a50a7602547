"""Every fault at every request of a push: success, or an error line and an unchanged tag; then the push is repeated."""

import pytest

from dockless.errors import DocklessError
from dockless.registry import Credentials, push
from dockless.testing import Fault, Registry, TokenAuth, User

SECRET = "S3CR3T-Kanary"
OTHER = "sha256:" + "0" * 64
# Name of a fault -> the fault, and whether a push must succeed if the fault occurs once.
FAULTS = {
    "drop": ({"drop": True}, True),
    "reset": ({"reset": True}, True),
    "lost reply": ({"drop": True, "after": True}, True),
    "reset reply": ({"reset": True, "after": True}, True),
    "cut head": ({"drop": True, "head_bytes": 20}, True),
    "cut body": ({"drop": True, "response_bytes": 3}, True),
    "reset in body": ({"reset": True, "response_bytes": 0}, True),
    "drop in request": ({"drop": True, "request_bytes": 70_000}, True),
    "reset in request": ({"reset": True, "request_bytes": 70_000}, True),
    "reset at first byte": ({"reset": True, "request_bytes": 1}, True),
    "sessions lost": ({"lose_sessions": True}, True),
    "sessions lost, reset": ({"lose_sessions": True, "reset": True}, True),
    "tokens expired": ({"expire_tokens": True}, True),
    "tokens expired, reset": ({"expire_tokens": True, "reset": True, "after": True}, True),
    **{f"status {status}": ({"status": status}, True) for status in (408, 429, 499, 500, 502, 503, 504, 522)},
    "throttled": ({"status": 429, "headers": {"Retry-After": "7"}}, True),
    "throttled early": ({"status": 503, "headers": {"Retry-After": "2"}, "request_bytes": 10}, True),
    "error after the deed": ({"status": 500, "after": True}, True),
    "gateway page": ({"status": 502, "body": "<html>Bad Gateway</html>"}, True),
    "throttled for a day": ({"status": 429, "headers": {"Retry-After": "86400"}}, False),
    **{
        f"status {status}": ({"status": status}, False) for status in (400, 401, 403, 404, 405, 409, 413, 415, 416, 422)
    },
    "early 413": ({"status": 413, "request_bytes": 10}, False),
    "teapot": ({"status": 418}, False),
    "empty 200": ({"status": 200}, False),
    "web page": ({"status": 200, "body": "<html>log in</html>", "headers": {"Content-Type": "text/html"}}, False),
    "escape sequence": ({"status": 400, "body": "\x1b[31mred\r\n\x00" + "x" * 100_000}, False),
    "odd errors": ({"status": 400, "body": '{"errors": [null, "x", {"code": 7}]}'}, False),
    "errors in a string": ({"status": 400, "body": '{"errors": "no"}'}, False),
    "redirected in a loop": ({"status": 307, "headers": {"Location": "{path}"}}, False),
    "redirected inside": ({"status": 307, "headers": {"Location": "http://169.254.169.254/x"}}, False),
    "redirected nowhere": ({"status": 307}, False),
    "bad redirect": ({"status": 307, "headers": {"Location": "http://[x"}}, False),
    "redirected to a file": ({"status": 302, "headers": {"Location": "file:///etc/passwd"}}, False),
    "no location": ({"headers": {"Location": None}}, False),
    "bad location": ({"headers": {"Location": "http://[x"}}, False),
    "location with a user": ({"headers": {"Location": "http://u:p@{host}{path}"}}, False),
    "location inside": ({"headers": {"Location": "http://169.254.169.254{path}"}}, False),
    "bad port": ({"headers": {"Location": "http://h:99999/x"}}, False),
    "no range": ({"headers": {"Range": None}}, True),
    "odd range": ({"headers": {"Range": "5-3"}}, True),
    "other digest": ({"headers": {"Docker-Content-Digest": OTHER}}, True),
    "no digest": ({"headers": {"Docker-Content-Digest": None}}, True),
    "compressed": ({"headers": {"Content-Encoding": "gzip"}}, False),
    "damaged": ({"corrupt": 5}, True),
    "hostile realm": (
        {"status": 401, "headers": {"WWW-Authenticate": 'Bearer realm="http://169.254.169.254/t",service="x"'}},
        False,
    ),
    "no realm": ({"status": 401, "headers": {"WWW-Authenticate": "Bearer"}}, False),
    "odd challenge": ({"status": 401, "headers": {"WWW-Authenticate": 'Negotiate, Bearer realm="'}}, False),
}

# docker-registry cannot continue a session after an interrupted request.
LIKE_DOCKER = {"reset", "reset in request", "sessions lost, reset", "error after the deed", "status 500", "odd range"}


@pytest.fixture
def small_steps(monkeypatch):
    """Small chunks, so that the first layer has several and its upload session is kept."""
    monkeypatch.setattr("dockless.registry.uploader.CHUNK_SIZE", 64 * 1024)
    monkeypatch.setattr("dockless.registry.uploader.MIN_SIZE", 64 * 1024)


def attempt(connect, registry, repository, image):
    """Return the error of a push, or None."""
    client = connect(registry.host, credentials=Credentials("ann", SECRET), jobs=1)
    try:
        push(image.root, image.source, client, repository, ["v1"])
    except DocklessError as error:
        return error
    return None


@pytest.mark.parametrize("fault", FAULTS)
def test_every_request_of_a_push_with_every_fault(fault, connect, make, image, holds, small_steps, keep):
    change, survived = FAULTS[fault]
    before = make(9, 10)
    profile = "docker-registry" if fault in LIKE_DOCKER else "strict"
    with Registry(profile=profile, auth=TokenAuth([User("ann", SECRET)], anonymous="")) as registry:
        assert attempt(connect, registry, "first", image) is None
        requests = len(registry.requests)
        assert requests >= 14
        for n in range(1, requests + 1):
            app = f"app{n}"
            keep(registry, app, before, "v1")
            registry.faults = [Fault(on="*", nth=n, **change)]
            error = attempt(connect, registry, app, image)
            where = f"{fault} at request {n}: {error}"
            if error is not None:
                assert not survived, where
                text = str(error)
                assert text.isprintable() and SECRET not in text, where
                assert registry.tags(app)["v1"] in (before.digest, image.digest), where
            if error is None or registry.tags(app)["v1"] == image.digest:
                holds(registry, app, image, "v1")
            registry.faults = []
            again = attempt(connect, registry, app, image)
            assert again is None, f"{where}; then {again}"
            holds(registry, app, image, "v1")
