"""Where credentials do not go: realms, tokens, challenges and redirects that would lead them astray."""

import base64
import contextlib
import logging

import pytest
from guarded_registry import PASSWORD, guarded_registry
from hostile_server import hostile_server, response

from dockless.errors import CredentialsError, DocklessError
from dockless.oci import media_types
from dockless.oci.digest import Digest
from dockless.registry import Credentials
from dockless.registry.auth.credential_helpers import ask_helper

DIGEST = Digest.of(b"x")
PRIVATE = "is an address in a private network"

# name -> the realm, with the hostile server for {other}, and what the error says.
REALMS = {
    "other port": ("http://{other}/t", PRIVATE),
    "metadata": ("http://169.254.169.254/t", PRIVATE),
    "metadata, decimal": ("http://2852039166/t", PRIVATE),
    "metadata, hexadecimal": ("http://0xa9fea9fe/t", PRIVATE),
    "metadata, octal": ("http://0251.0376.0251.0376/t", PRIVATE),
    "metadata, three parts": ("http://169.254.43518/t", PRIVATE),
    "metadata, mapped": ("http://[::ffff:169.254.169.254]/t", PRIVATE),
    "metadata, NAT64": ("http://[64:ff9b::169.254.169.254]/t", PRIVATE),
    "metadata, with a dot": ("http://169.254.169.254./t", PRIVATE),
    "metadata, percent-encoded": ("http://169.254.169.%32%35%34/t", "is not an HTTP URL"),
    "metadata of Amazon": ("http://[fd00:ec2::254]/t", PRIVATE),
    "metadata of Alibaba": ("http://100.100.100.200/t", PRIVATE),
    "WireServer of Azure": ("http://168.63.129.16/t", PRIVATE),
    "unspecified": ("http://0.0.0.0/t", PRIVATE),
    "IPv6 unspecified": ("http://[::]/t", PRIVATE),
    "127.1": ("http://127.1/t", PRIVATE),
    "private network": ("http://10.0.0.1/t", PRIVATE),
    "carrier's network": ("http://100.64.0.1/t", PRIVATE),
    "link-local": ("http://[fe80::1]/t", PRIVATE),
    "link-local with a zone": ("http://[fe80::1%25lo]/t", PRIVATE),
    "file": ("file:///etc/passwd", "is not an HTTP URL"),
    "ftp": ("ftp://{other}/t", "is not an HTTP URL"),
    "gopher": ("gopher://{other}/t", "is not an HTTP URL"),
    "javascript": ("javascript://{other}/t", "is not an HTTP URL"),
    "relative": ("/t", "does not name a token server"),
    "no scheme": ("//{other}/t", "does not name a token server"),
    "no host": ("http:///t", "is not an HTTP URL"),
    "empty": ("", "does not name a token server"),
    "user": ("http://ann@{other}/t", "contains a user name"),
    "user and password": ("http://ann:x@{other}/t", "contains a user name"),
    "empty user": ("http://@{other}/t", "contains a user name"),
    "backslash and at": ("http://{other}\\\\@{own}/t", "contains a user name"),
    "backslash": ("http://{other}\\\\.example/t", "."),
    "space in the host": ("http://{other} .example/t", "."),
    "port of six digits": ("http://{own}99999/t", "has an invalid port"),
    "broken brackets": ("http://[::1/t", "is not a valid URL"),
    "fullwidth digits": ("http://\uff11\uff12\uff17.0.0.1/t", "."),
    "long": ("http://" + "a" * 60_000 + "/t", "."),
}


@pytest.mark.parametrize("realm", REALMS)
def test_realm(realm, connect, clean):
    text, said = REALMS[realm]
    with hostile_server(lambda *_: response(200, body=b'{"token":"x"}')) as other:

        def answer(request, connection):
            url = text.replace("{other}", other.host).replace("{own}", server.host)
            challenge = f'Bearer realm="{url}",service="x",scope="repository:a/b:pull"'.encode()
            connection.sendall(b"HTTP/1.1 401 X\r\nContent-Length: 0\r\nWWW-Authenticate: " + challenge + b"\r\n\r\n")
            return b""

        with hostile_server(answer) as server:
            client = connect(server.host)
            with pytest.raises(DocklessError) as caught:
                client.get_manifest("a/b", "v1")
            client.close()
    assert said in clean(caught.value)
    assert other.requests == [] and server.authorizations == []


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_token_server_that_redirects(status, method, connect, clean):
    """Credentials were for the realm only."""
    options = {} if method == "GET" else {"credentials": Credentials(identity_token=PASSWORD)}
    with hostile_server(lambda *_: response(200, body=b'{"token":"x"}')) as other:

        def answer(request, connection):
            if request.path == "/token":
                return response(status, {"Location": f"{other.url}/token"})
            return response(401, {"WWW-Authenticate": f'Bearer realm="{server.url}/token",service="x"'})

        with hostile_server(answer) as server:
            client = connect(server.host, **options)
            with pytest.raises(DocklessError, match=f"{status}"):
                client.get_manifest("a/b", "v1")
            client.close()
    assert other.requests == []


# name -> the challenge of a host that the registry redirected to.
CHALLENGES = {
    "Basic": 'Basic realm="x"',
    "Bearer at itself": 'Bearer realm="{other}/token",service="x",scope="repository:a/b:pull"',
    "Bearer at the registry": 'Bearer realm="{own}/token",service="x",scope="repository:a/b:pull"',
    "Negotiate": "Negotiate",
    "all": 'Negotiate, Basic realm="x", Bearer realm="{other}/token",service="x"',
}


@pytest.mark.parametrize("challenge", CHALLENGES)
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("auth", ["basic", "token"])
def test_redirect_to_a_host_that_wants_credentials(auth, status, challenge, connect, clean):
    def ask(request, connection):
        text = CHALLENGES[challenge].replace("{other}", other.url).replace("{own}", registry.url)
        return response(401, {"WWW-Authenticate": text})

    with guarded_registry(auth) as registry, hostile_server(ask) as other:
        registry.answers = [lambda request: response(status, {"Location": f"{other.url}/x"})]
        client = connect(registry.host)
        with pytest.raises(DocklessError) as caught:
            client.get_manifest("a/b", "v1")
        client.close()
    assert "no credentials were sent" in clean(caught.value)
    assert other.asked() == ["GET /x"] and other.authorizations == []
    assert registry.scopes <= {"repository:a/b:pull"}


# name -> where a redirect leads, and what the error says.
TARGETS = {
    "file": ("file:///etc/passwd", "is not an HTTP URL"),
    "ftp": ("ftp://{other}/", "is not an HTTP URL"),
    "javascript": ("javascript:alert(1)", "is not an HTTP URL"),
    "data": ("data:text/plain,x", "is not an HTTP URL"),
    "metadata": ("http://169.254.169.254/latest", PRIVATE),
    "metadata, decimal": ("http://2852039166/", PRIVATE),
    "metadata, hexadecimal": ("http://0xa9.0xfe.0xa9.0xfe/", PRIVATE),
    "metadata, mapped": ("http://[::ffff:a9fe:a9fe]/", PRIVATE),
    "metadata of Amazon": ("http://[fd00:ec2::254]/", PRIVATE),
    "multicast": ("http://224.0.0.1/", PRIVATE),
    "user": ("http://ann:x@{other}/", "contains a user name"),
    "bad port": ("http://{other}99999/", "has an invalid port"),
    "blank in the host": ("http://{other} x/", "."),
    "percent in the host": ("http://127.0.0.%31:1/", "is not an HTTP URL"),
    "broken": ("http://[x/", "is not a valid URL"),
    "60 kB of host": ("http://" + "h" * 60_000 + "/", "."),
    "20,000 times ..": ("/" + "../" * 20_000, "."),
}


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("place", ["redirect", "upload location", "next page"])
def test_target(place, target, connect, clean):
    url, said = TARGETS[target]
    with guarded_registry("basic") as registry, hostile_server(lambda *_: response()) as other:
        location = url.replace("{other}", other.host)

        def answer(request):
            if request.path == "/v2/" or ".." in request.target or request.target == "/":
                return None
            if place == "redirect":
                return response(307, {"Location": location})
            if place == "upload location":
                return response(202, {"Location": location})
            return response(200, {"Link": f'<{location}>; rel="next"'}, b'{"name":"a/b","tags":[]}')

        registry.answers = [answer]
        client = connect(registry.host)
        with contextlib.suppress(DocklessError) as _, pytest.raises(DocklessError) as caught:
            if place == "redirect":
                client.get_manifest("a/b", "v1")
            elif place == "upload location":
                client.open_upload("a/b").send(b"x", 0, 1)
            else:
                list(client.tags("a/b"))
                # A link of more than 8 KiB, and one that is no link, is no next page.
                raise DocklessError("no next page.")
        client.close()
    assert said in clean(caught.value)
    assert other.authorizations == []


# name -> the body of the token server's answer, and whether the token is usable.
TOKENS = {
    "blank": (b'{"token":"a b"}', False),
    "line break": (b'{"token":"a\\r\\nX-Evil: 1"}', False),
    "NUL": (b'{"token":"a\\u0000"}', False),
    "not ASCII": ('{"token":"\u00e9"}'.encode(), False),
    "number": (b'{"token":5}', False),
    "list": (b'{"token":["a"]}', False),
    "null": (b'{"token":null}', False),
    "empty": (b'{"token":""}', False),
    "no document": (b"[]", False),
    "not JSON": (b"token", False),
    "200 kB": (b'{"token":"' + b"a" * 200_000 + b'"}', False),
    "nested": (b'{"token":' + b"[" * 60_000 + b"]" * 60_000 + b"}", False),
    "expires never": (b'{"token":"t","expires_in":Infinity}', True),
    "expires at NaN": (b'{"token":"t","expires_in":NaN}', True),
    "expires before": (b'{"token":"t","expires_in":-5}', True),
    "expires as text": (b'{"token":"t","expires_in":"x"}', True),
    "expires in 4000 digits": (b'{"token":"t","expires_in":' + b"9" * 4000 + b"}", True),
    "expires at 1e300": (b'{"token":"t","expires_in":1e300}', True),
    "refresh token is a list": (b'{"token":"t","refresh_token":["x"]}', True),
}


@pytest.mark.parametrize("token", TOKENS)
def test_token(token, connect, clean):
    body, is_usable = TOKENS[token]

    def answer(request, connection):
        if request.path == "/token":
            return response(200, body=body)
        if "authorization" in request.headers:
            return response(200, {"Content-Type": media_types.OCI_INDEX}, b"{}")
        return response(401, {"WWW-Authenticate": f'Bearer realm="{server.url}/token",service="x"'})

    with hostile_server(answer) as server:
        client = connect(server.host)
        try:
            client.get_manifest("a/b", "v1")
        except DocklessError as error:
            clean(error)
            assert not [a for a in server.authorizations if a.startswith("Bearer")] or is_usable
        else:
            assert is_usable
        client.close()
    assert not any("x-evil" in request.headers for request in server.requests)


# WWW-Authenticate headers of 60 kB, of which none takes long.
LONG = {
    "backslashes": 'Basic realm="' + "\\" * 60_000,
    "commas": "Basic " + "," * 60_000,
    "schemes": "a " * 30_000,
    "parameters": "Bearer " + 'a="b",' * 10_000,
    "quotes": 'Bearer realm="' + '\\"' * 30_000,
    "equal signs": "Bearer " + "=" * 60_000,
}


@pytest.mark.parametrize("header", LONG)
def test_long_challenge(header, connect, clean):
    with hostile_server(lambda *_: response(401, {"WWW-Authenticate": LONG[header]})) as server:
        client = connect(server.host)
        with pytest.raises(DocklessError) as caught:
            client.get_manifest("a/b", "v1")
        client.close()
    clean(caught.value)
    assert len(server.requests) < 5


def test_cookies_are_not_kept(connect):
    with guarded_registry("token") as registry:
        registry.answers = [lambda r: response(404, {"Set-Cookie": "a=b; Path=/"})]
        client = connect(registry.host)
        for _ in range(2):
            with pytest.raises(DocklessError):
                client.get_manifest("a/b", "v1")
        client.close()
    assert not [r for r in registry.server.requests if "cookie" in r.headers]


def test_token_of_one_repository_is_not_used_for_another(connect):
    with guarded_registry("token") as registry:
        client = connect(registry.host)
        for repository in ("a/b", "c/d", "a/b"):
            with pytest.raises(DocklessError):
                client.get_manifest(repository, "v1")
        client.close()
        used = {(r.path, r.headers.get("authorization")) for r in registry.server.requests if "/manifests/" in r.path}
    tokens = {name: {a for path, a in used if name in path and a} for name in ("a/b", "c/d")}
    assert tokens == {
        "a/b": {"Bearer token-repository%3Aa%2Fb%3Apull"},
        "c/d": {"Bearer token-repository%3Ac%2Fd%3Apull"},
    }


ECHOES = {
    "as it is": lambda request: request.headers.get("authorization", ""),
    "decoded": lambda request: base64.b64decode(request.headers.get("authorization", " ").split(" ")[1]).decode(),
    "in JSON": lambda request: f'{{"errors":[{{"code":"X","message":"{request.headers.get("authorization", "")}"}}]}}',
}


@pytest.mark.parametrize("echo", ECHOES)
@pytest.mark.parametrize("status", [400, 401, 403, 404, 500])
def test_secret_that_is_told_back(status, echo, connect, clean, caplog):
    caplog.set_level(logging.DEBUG)
    with guarded_registry("basic") as registry:
        registry.answers = [
            lambda r: response(status, {"X": PASSWORD}, ECHOES[echo](r).encode()) if "a/b" in r.path else None
        ]
        client = connect(registry.host)
        with pytest.raises(DocklessError) as caught:
            client.get_manifest("a/b", "v1")
        client.close()
    packed = base64.b64encode(f"ann:{PASSWORD}".encode()).decode()
    for text in (clean(caught.value), caplog.text, client.explain_auth("a/b")):
        assert PASSWORD not in text and packed not in text


@pytest.mark.parametrize("path", [":/usr/bin", "/usr/bin:", "/usr/bin::/bin", ".:/usr/bin", "bin:/usr/bin", "./bin"])
def test_a_helper_in_the_working_directory(tmp_path, monkeypatch, path):
    """The working directory may be the checkout of a pull request; the helper would run with the secrets of the CI."""
    (tmp_path / "bin").mkdir()
    for helper in (tmp_path / "docker-credential-evil", tmp_path / "bin/docker-credential-evil"):
        helper.write_text('#!/bin/sh\n/usr/bin/touch ran\necho \'{"Username":"evil","Secret":"x"}\'\n')
        helper.chmod(0o755)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(CredentialsError, match="docker-credential-evil is not on PATH"):
        ask_helper("evil", "ghcr.io", {"PATH": path})
    assert not (tmp_path / "ran").exists()
    assert ask_helper("evil", "ghcr.io", {"PATH": f"{path}:{tmp_path}"}).username == "evil"
