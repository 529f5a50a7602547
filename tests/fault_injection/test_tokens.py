"""Expired tokens, and errors of the token server."""

import json

import pytest
from fault_bench import BIG, IDENTITY, SIZES
from fault_proxy import Trouble
from fault_run import Case

BROKEN = Trouble(on="upload put", digest=BIG, nth=1, request_bytes=SIZES[BIG] // 2, drop=True)


def expired(on, nth=1, **more):
    return Trouble(on=on, nth=nth, expire_tokens=True, **more)


def answers(body, status=200, nth=(), **headers):
    return Trouble(on="token get", nth=nth, status=status, body=body, headers=headers)


def server(**switches):
    """Sets attributes of the token server."""

    def prepare(run):
        for name, value in switches.items():
            assert hasattr(run.tokens, name)
            setattr(run.tokens, name, value)

    return prepare


def entry(user="", password="", **more):
    return lambda run: run.log_in(user, password, **more)


def broken_helper(run):
    """The credentials are those of a helper that fails, and says why on its standard error."""
    directory = run.directory / "home/bin"
    directory.mkdir()
    helper = directory / "docker-credential-broken"
    helper.write_text("#!/bin/sh\necho the keychain is locked >&2\nexit 1\n")
    helper.chmod(0o755)
    run.patch.setenv("PATH", f"{directory}:{run.env['PATH']}")
    (run.directory / "home/.docker/config.json").write_text(json.dumps({"credHelpers": {run.host: "broken"}}))


def with_helper(run, result):
    assert not [request for request in run.proxy.requests if request.method not in ("GET", "HEAD")]


def token_requests(least, most):
    """Checks the number of token requests."""

    def check(run, result):
        assert least <= len(run.tokens.requests) <= most

    return check


def no_blob_was_sent(run, result):
    assert not [request for request in run.proxy.requests if request.operation in ("upload put", "upload patch")]
    # Each concurrent request may request a token.
    assert len(run.tokens.requests) <= 5


def only_posts(run, result):
    assert {request.method for request in run.tokens.requests} == {"POST"}


def revoked_within(nth, **more):
    """The token is revoked while the big blob is sent: the registry has half of it, and answers 401."""
    challenge = 'Bearer realm="{realm}",service="test-registry",error="invalid_token"'
    return Trouble(
        on="upload put",
        digest=BIG,
        nth=nth,
        request_bytes=SIZES[BIG] // 2,
        expire_tokens=True,
        status=401,
        headers={"WWW-Authenticate": challenge},
        **more,
    )


def the_password_was_sent_once(run, result):
    assert len(run.tokens.requests) == 1 and run.sleeps == []


def short_wait(run):
    run.patch.setattr("dockless.registry.http.session.READ_TIMEOUT", 0.3)


CASES = {
    "expired before the check of the tag": Case((expired("manifest get"),), check=token_requests(2, 2)),
    "expired before a check of a blob": Case((expired("blob head", 2),), check=token_requests(2, 2)),
    "expired before a session": Case((expired("upload post", 1),), check=token_requests(2, 2)),
    "expired before the big blob": Case((expired("upload put", digest=BIG),), check=token_requests(2, 2)),
    "expired before a session and before the tag": Case(
        (expired("upload post", 1), expired("manifest put")), check=token_requests(3, 3)
    ),
    "expired between chunks": Case((BROKEN, expired("upload patch", 2)), check=token_requests(2, 2)),
    "expired before the tag": Case((expired("manifest put"),), check=token_requests(2, 2)),
    "expired before the tag, and the token server fails once": Case(
        (expired("manifest put"),), at_tokens=(answers("", 500, nth=2),), check=token_requests(3, 3)
    ),
    "expired before the tag, and the token server is gone": Case(
        (expired("manifest put"),), at_tokens=(answers("", 503, nth=tuple(range(2, 30))),), error="/token: 503"
    ),
    "valid for three requests": Case(prepare=server(uses=3), most=20),
    "valid for two requests": Case(prepare=server(uses=2), most=20),
    "valid for one request": Case(prepare=server(uses=1), most=30),
    "valid for two requests, of an index": Case(prepare=server(uses=2), index=True, most=40),
    "pull: valid for two requests": Case(prepare=server(uses=2), pull=True, most=20),
    "pull: valid for one request": Case(prepare=server(uses=1), pull=True, most=20),
    "mount: valid for two requests": Case(prepare=server(uses=2), mount=True, most=30),
    "chunks, and valid for two requests": Case((BROKEN,), prepare=server(uses=2), most=30),
    "a new token ends the earlier ones": Case(prepare=server(one_at_a_time=True), most=20),
    "identity token, and tokens valid for two requests": Case(
        prepare=lambda run: (server(uses=2)(run), run.log_in("", identitytoken=IDENTITY)), most=20, check=only_posts
    ),
    "revoked in the middle of an upload": Case((revoked_within(1),), check=token_requests(2, 3)),
    "revoked in the middle of an upload three times": Case((revoked_within((1, 2, 3)),), most=10),
    "revoked in the middle of every upload": Case(
        (revoked_within(()),), error="PUT .*: 401.*rejects the tokens of its token server", most=20
    ),
    "refused to all threads": Case(
        at_tokens=(answers("", 403, nth=()),), error="/token: 403.*log in to", check=token_requests(1, 1)
    ),
    "expired in the middle, and then refused": Case(
        (expired("upload post"),),
        at_tokens=(answers("", 403, nth=tuple(range(2, 30))),),
        error="/token: 403.*log in to",
        check=token_requests(2, 2),
    ),
    "pull: expired before a blob": Case((expired("blob get", 2),), pull=True, check=token_requests(2, 2)),
    "index: expired before a manifest and before the tag": Case(
        (expired("manifest put", 1), expired("manifest put", reference="v1")), index=True, check=token_requests(3, 3)
    ),
    "server fails once": Case(at_tokens=(answers("", 500, nth=1),)),
    "server fails always": Case(at_tokens=(answers('{"details": "no disk"}', 500),), error="/token: 500: no disk"),
    "server resets twice": Case(at_tokens=(Trouble(on="token get", nth=(1, 2), reset=True),)),
    "server cuts its answer": Case(at_tokens=(Trouble(on="token get", nth=1, response_bytes=50, drop=True),)),
    "server is slow": Case(at_tokens=(Trouble(on="token get", delay=0.4),)),
    "server hangs once": Case(at_tokens=(Trouble(on="token get", nth=1, delay=1.5),), prepare=short_wait),
    "server hangs always": Case(
        at_tokens=(Trouble(on="token get", delay=1.5),), prepare=short_wait, error="/token.*: the response timed out"
    ),
    "server is malformed once": Case(at_tokens=(answers('{"token": "abc', nth=1),)),
    "server is malformed always": Case(
        at_tokens=(answers('{"token": "abc'),),
        error="/token responded without a usable token",
        check=token_requests(2, 2),
    ),
    "server gives no token": Case(at_tokens=(answers("{}"),), error="responded without a usable token"),
    "server gives null": Case(at_tokens=(answers('{"token": null}'),), error="responded without a usable token"),
    "server gives a token of two lines": Case(
        at_tokens=(answers('{"token": "a\\r\\nX-Evil: 1"}'),), error="responded without a usable token"
    ),
    "server gives a page": Case(
        at_tokens=(answers("<html>log in</html>", **{"Content-Type": "text/html"}),), error="without a usable token"
    ),
    "server gives a token of a megabyte": Case(
        at_tokens=(answers('{"token": "%s"}' % ("a" * 1_000_000)),), error="the token at .*/token.* is too large"
    ),
    "server gives an invalid token": Case(
        at_tokens=(answers('{"token": "abc.def.ghi"}'),), error="/v2/.*: 401", check=token_requests(2, 2)
    ),
    "server's clock is an hour late": Case(prepare=server(skew=-3600), error="/v2/.*: 401", check=token_requests(2, 2)),
    "server's clock is an hour early": Case(prepare=server(skew=3600), error="/v2/.*: 401", check=token_requests(2, 2)),
    "tokens with a stated lifetime of a second": Case(prepare=server(expires_in=1), check=token_requests(1, 3)),
    "tokens with a negative stated lifetime": Case(prepare=server(expires_in=-100), check=token_requests(1, 3)),
    "tokens with an endless stated lifetime": Case((expired("manifest put"),), prepare=server(expires_in=10**30)),
    "tokens without a stated lifetime": Case(prepare=server(expires_in=0), check=token_requests(1, 3)),
    "token called access_token": Case(prepare=server(field="access_token")),
    "wrong password": Case(
        prepare=entry("ann", "wrong"),
        error="/token: 401: .*wrong user or password; used .* as user ann",
        check=token_requests(1, 2),
    ),
    "wrong password, and the tokens are valid for two requests": Case(
        prepare=lambda run: (server(uses=2)(run), run.log_in("ann", "wrong")),
        error="/token: 401: .*wrong user or password",
        check=the_password_was_sent_once,
    ),
    "no password at all": Case(user="", error="/v2/.*: 401.*no credentials were found", check=no_blob_was_sent),
    "a credential helper that fails": Case(
        prepare=broken_helper, error="docker-credential-broken.*the keychain is locked", check=with_helper
    ),
    "may only pull": Case(user="reader", error="/blobs/uploads/: 401.*used .* as user reader", check=no_blob_was_sent),
    "identity token": Case(prepare=entry(identitytoken=IDENTITY), check=only_posts),
    "identity token, expired before the tag": Case(
        (expired("manifest put"),), prepare=entry(identitytoken=IDENTITY), check=only_posts
    ),
    "identity token that is wrong": Case(
        prepare=entry(identitytoken=f"{IDENTITY}-wrong"), error="/token: 401: .*wrong grant", check=only_posts
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_run(name, judged):
    judged(name, CASES[name])
