"""Registries that redirect or challenge to get credentials sent to other hosts. Every home has a netrc file."""

import pytest
from fault_bench import BIG, NEW, SECRET
from fault_proxy import Trouble
from fault_run import Case

METADATA = "http://169.254.169.254"
SIGNATURE = "S1GNATURE-Kanary"


def challenge(text, on="ping get", **more):
    """Returns a fault that replaces the challenge of the 401."""
    return Trouble(on=on, headers={"WWW-Authenticate": text}, **more)


def realm(url, error, **more):
    return Case(
        (challenge(f'Bearer realm="{url}",service="test-registry"'),), error=error, check=nothing_went_out, **more
    )


def answerable(*headers):
    """Returns a case with an unusual challenge that the client must understand."""
    return Case((challenge(list(headers)),))


def location(url, error="", on="upload post", nth=1, **more):
    return Case((Trouble(on=on, nth=nth, headers={"Location": url}),), error=error, **more)


def redirect(on, url, status=307, cookie="", **more):
    headers = {"Location": url, **({"Set-Cookie": cookie} if cookie else {})}
    return Trouble(on=on, status=status, headers=headers, **more)


def nothing_went_out(run, result):
    assert run.stranger.requests == [] and run.tokens.requests == []


def third_host_was_not_requested(run, result):
    assert run.stranger.requests == []


def third_host_was_requested(run, result):
    assert run.stranger.requests


def at_most_ten_redirects(run, result):
    for operation in ("manifest put", "blob get", "upload post"):
        most = 4 if operation == "upload post" else 1
        assert len([r for r in run.proxy.requests if r.operation == operation]) <= 11 * most


def no_signature(run, result):
    assert SIGNATURE not in result.err and run.stranger.requests


def no_credentials_at_all(run, result):
    assert not [request for request in run.proxy.requests if request.headers["Authorization"]]


def serves_the_blob(run):
    run.stranger.files = {f"/v2/{run.repository}/blobs/{BIG}": NEW.blobs[BIG]}


def redirect_to_the_registry(run):
    run.stranger.target = run.registry.host


CASES = {
    "realm of the cloud's metadata": realm(f"{METADATA}/token", "token realm .* is an address in a private network"),
    "realm of the metadata, mapped": realm("http://[::ffff:169.254.169.254]/t", "is an address in a private network"),
    "realm of nowhere": realm("http://0.0.0.0/token", "is an address in a private network"),
    "realm of another port here": realm("{stranger}/token", "is an address in a private network"),
    "realm as a number": realm("http://2852039166/token", "is an address in a private network"),
    "realm of the private network": realm("http://10.0.0.1/token", "is an address in a private network"),
    "realm with a user": realm("http://ann:pw@localhost/token", "token realm .* contains a user name"),
    "realm that is relative": realm("/token", "does not name a token server: its realm is '/token'"),
    "realm that is a file": realm("file:///etc/passwd", "is not an HTTP URL"),
    "realm that is broken": realm("http://[::1/token", "is not a valid URL"),
    "no realm": Case((challenge("Bearer"),), error="does not name a token server", check=nothing_went_out),
    "http realm of an https registry": Case(
        (challenge('Bearer realm="http://reg.example/token",service="test-registry"', status=401),),
        auth="plain",
        https=True,
        error="downgrades from https to http",
        check=nothing_went_out,
    ),
    "realm of the metadata in the middle": Case(
        (
            Trouble(
                on="upload post", status=401, headers={"WWW-Authenticate": f'Bearer realm="{METADATA}/t",service="x"'}
            ),
        ),
        error="is an address in a private network",
        check=third_host_was_not_requested,
    ),
    "token server leads to a stranger": Case(
        at_tokens=(redirect("token get", "{stranger}/token", status=302),),
        error="/token: 302",
        check=third_host_was_not_requested,
    ),
    "token server leads to the metadata": Case(
        at_tokens=(redirect("token get", f"{METADATA}/token"),), error="/token: 307", check=third_host_was_not_requested
    ),
    "token server leads in a loop": Case(at_tokens=(redirect("token get", "{realm}"),), error="/token: 307"),
    "challenge after Negotiate": answerable("Negotiate", 'Bearer realm="{realm}",service="test-registry"'),
    "challenge after NTLM in one header": answerable(
        'NTLM TlRMTVNTUAAB=, Bearer realm="{realm}", service="test-registry"'
    ),
    "challenge after Basic": answerable('Basic realm="a, b", Bearer service="test-registry",realm="{realm}"'),
    "challenge in lower case with spaces": answerable('bearer  realm = "{realm}" , service = test-registry ,x="a\\"b"'),
    "challenge for another repository": answerable(
        'Bearer realm="{realm}",service="test-registry",scope="repository:secret/other:pull,push,delete"'
    ),
    "challenge of another service": answerable('Bearer realm="{realm}",service="x&scope=repository:secret:*"'),
    "unsupported challenge": Case((challenge("Negotiate", on="*"),), error="/v2/.*: 401"),
    "pull: a stranger has the blob": Case(
        (redirect("blob get", "{stranger}{path}", reference=BIG),),
        pull=True,
        prepare=serves_the_blob,
        check=third_host_was_requested,
    ),
    "pull: a stranger asks for credentials": Case(
        (redirect("blob get", "{stranger}{path}"),),
        pull=True,
        error="401.*no credentials were sent",
        check=third_host_was_requested,
    ),
    "pull: a stranger asks for credentials of a manifest": Case(
        (redirect("manifest get", "{stranger}{path}"),),
        pull=True,
        error="401.*no credentials were sent",
        check=third_host_was_requested,
    ),
    "pull: a signed URL refuses": Case(
        (redirect("blob get", "{stranger}/blob?X-Amz-Signature=" + SIGNATURE),),
        pull=True,
        error="/blob.X-Amz-Signature=...: 401",
        check=no_signature,
    ),
    "pull: a cookie on the way to a stranger": Case(
        (redirect("blob get", "{stranger}{path}", cookie=f"session={SECRET}; Path=/"),),
        pull=True,
        error="no credentials were sent",
    ),
    "pull: a blob of the metadata": Case(
        (redirect("blob get", f"{METADATA}/latest/meta-data/iam"),), pull=True, error="address in a private network"
    ),
    "pull: in a loop": Case(
        (redirect("blob get", "{path}"),),
        pull=True,
        error="redirects more than 10 times",
        check=at_most_ten_redirects,
        most=50,
    ),
    "pull: from https to http": Case(
        (redirect("blob get", "{stranger}{path}"),),
        auth="plain",
        https=True,
        pull=True,
        prepare=serves_the_blob,
        error="downgrades from https to http",
        check=third_host_was_not_requested,
    ),
    "pull: to a file": Case((redirect("blob get", "file:///etc/passwd"),), pull=True, error="is not an HTTP URL"),
    "the check of a blob led to a stranger": Case(
        (redirect("blob head", "{stranger}{path}", reference=BIG),),
        error="401.*no credentials were sent",
        check=third_host_was_requested,
    ),
    "a stranger says to have the blob": Case(
        (redirect("blob head", "{stranger}{path}", reference=BIG),),
        prepare=serves_the_blob,
        check=third_host_was_requested,
    ),
    "a session at a stranger's": location(
        "{stranger}{path}", error="401.*no credentials were sent", check=third_host_was_requested
    ),
    "a session by way of a stranger": location(
        "{stranger}{path}", auth="plain", prepare=redirect_to_the_registry, check=third_host_was_requested
    ),
    "a session of the metadata": location(METADATA + "{path}", error="upload location .* address in a private network"),
    "a session with a user": location("http://ann:pw@{host}{path}", error="upload location .* contains a user name"),
    "a session from https to http": location(
        "{stranger}{path}",
        auth="plain",
        https=True,
        error="downgrades from https to http",
        check=third_host_was_not_requested,
    ),
    "a session with no location": location(None, error="does not name an upload location", nth=()),
    "a session at a relative location": location("{path}", nth=()),
    "the blob led to a stranger": Case(
        (redirect("upload put", "{stranger}{path}", digest=BIG),),
        error="401.*no credentials were sent",
        check=third_host_was_requested,
    ),
    "the manifest led to a stranger": Case(
        (redirect("manifest put", "{stranger}{path}"),),
        error="401.*no credentials were sent",
        check=third_host_was_requested,
    ),
    "the manifest led in a loop": Case(
        (redirect("manifest put", "{path}"),),
        error="redirects more than 10 times",
        check=at_most_ten_redirects,
        most=50,
    ),
    "sessions led in a loop": Case(
        (redirect("upload post", "{path}"),), error="redirects more than 10 times", check=at_most_ten_redirects, most=50
    ),
    "netrc of a registry that asks for nothing": Case(
        (Trouble(on="manifest put", nth=1, status=503),), auth="plain", check=no_credentials_at_all
    ),
    "netrc of a registry with passwords": Case((Trouble(on="manifest put", nth=1, status=503),), auth="basic"),
}


@pytest.mark.parametrize("name", CASES)
def test_run(name, judged):
    judged(name, CASES[name])
