"""Secrets of a request that a server repeats in an error response are not printed."""

import base64
import json
from urllib.parse import quote, quote_plus

import pytest
from web_server import web_server

from dockless.errors import RegistryError
from dockless.registry import Credentials, RegistryBlobSource, push
from dockless.registry.http.error_body import parse_error_body
from dockless.registry.http.redaction import hide, query_values, secrets_sent
from dockless.testing import BasicAuth, Fault, Registry, TokenAuth, User

SECRET = 'S3CR3T/Kan"ary&<x>:ä'
ANN = Credentials("ann", SECRET)
PACKED = base64.b64encode(f"ann:{SECRET}".encode()).decode()
FORMS = [
    SECRET,
    PACKED,
    json.dumps(SECRET)[1:-1],
    json.dumps(SECRET, ensure_ascii=False)[1:-1],
    quote(SECRET, safe=""),
    quote_plus(SECRET),
    json.dumps(SECRET)[1:-1].replace("/", "\\/"),
    json.dumps(SECRET)[1:-1].replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e"),
    SECRET.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;"),
]


@pytest.mark.parametrize("form", FORMS)
def test_every_encoding_of_a_secret_is_hidden(form):
    secrets = secrets_sent({"Authorization": f"Basic {PACKED}"}, None, None)
    assert hide(f"you sent {form}!", secrets) == "you sent (hidden)!"


def test_the_secrets_of_a_request():
    form = b"grant_type=refresh_token&refresh_token=tok%2Fen123&service=reg"
    headers = {"Content-Type": "application/x-www-form-urlencoded", "Authorization": "Bearer abc.def.ghi"}
    assert {"tok/en123", "abc.def.ghi"} <= set(secrets_sent(headers, form, None))
    packed = base64.b64encode(b"bob:pr0xy-pw").decode()
    assert {"pr0xy-pw", packed} <= set(secrets_sent({}, None, "http://bob:pr0xy-pw@proxy:3128"))
    packed = base64.b64encode(b"bob:p@ss/word").decode()
    assert {"p@ss/word", packed} <= set(secrets_sent({}, None, "http://bob:p%40ss%2Fword@proxy:3128"))
    assert not any(secrets_sent({"Accept": "*/*"}, b"{}", "http://proxy:3128"))
    assert query_values("https://h/x?sig=a%2Fb&flag&e=5") == ["a/b", "5"]


def test_short_secrets_are_not_hidden_in_words():
    assert hide("wrong password", ["wrong", ""]) == "wrong password"


@pytest.mark.parametrize("password", ["errors", "INVALID", "DIGEST_INVALID"])
def test_error_codes_are_not_hidden(password):
    body = b'{"errors":[{"code":"DIGEST_INVALID","message":"S3CR3T is it"}]}'
    codes, message = parse_error_body(body, [password, "S3CR3T"])
    assert codes == ("DIGEST_INVALID",) and "S3CR3T" not in message


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("on", ["upload post", "manifest get", "manifest put"])
def test_echoed_by_a_registry(form, on, connect, image):
    with Registry(auth=BasicAuth([User("ann", SECRET)])) as registry:
        body = f"<pre>Authorization: Basic {PACKED}, that is {form}</pre>"
        registry.faults = [Fault(on, status=418, body=body.encode())]
        with pytest.raises(RegistryError, match=r"418: <pre>Authorization: Basic \(hidden\), that is \(hidden\)"):
            if on == "manifest get":
                connect(registry.host, credentials=ANN).get_manifest("app", "v1")
            push(image.root, image.source, connect(registry.host, credentials=ANN), "app", ["v1"])


@pytest.mark.parametrize("form", FORMS)
def test_echoed_in_headers_of_a_registry(form, connect, image):
    """The response to a HEAD request has no body."""
    with Registry(auth=BasicAuth([User("ann", SECRET)])) as registry:
        headers = {"Warning": f'299 - "{quote(form)}"', "X-Authorization": f"Basic {PACKED}"}
        registry.faults = [Fault("blob head", status=418, headers=headers)]
        with pytest.raises(RegistryError, match="418") as caught:
            connect(registry.host, credentials=ANN).blob_exists("app", image.root.config.digest)
        assert not any(secret in str(caught.value) for secret in (PACKED, form, quote(form)))


@pytest.mark.parametrize("escape", [("&", "\\u0026"), ("/", "\\/"), None])
def test_echoed_in_json_of_go_and_php(escape, connect):
    with Registry(auth=BasicAuth([User("ann", SECRET)])) as registry:
        words = json.dumps(f"wrong {SECRET}")
        body = f'{{"errors":[{{"code":"DENIED","message":{words.replace(*escape) if escape else words}}}]}}'
        registry.faults = [Fault("manifest get", status=403, body=body)]
        with pytest.raises(RegistryError, match=r"403: DENIED wrong \(hidden\); used"):
            connect(registry.host, credentials=ANN).get_manifest("app", "v1")


def test_echoed_by_a_token_server(connect):
    with Registry(auth=TokenAuth([User("ann", SECRET)], anonymous="")) as registry:
        message = json.dumps({"errors": [{"code": "DENIED", "message": f"wrong {SECRET} in Basic {PACKED}"}]})
        registry.faults = [Fault("token get", status=401, body=message)]
        with pytest.raises(RegistryError, match=r"401: DENIED wrong \(hidden\) in Basic \(hidden\); used"):
            connect(registry.host, credentials=ANN).get_manifest("app", "v1")


def test_signed_url_in_a_response_of_a_store(connect, image, keep):
    with Registry() as registry, web_server() as store:
        keep(registry, "app", image, "v1")
        url = f"{store.url}/x?X-Sig=S1GNATURE-Kanary"
        registry.faults = [Fault("blob get", status=307, headers={"Location": url})]
        content = RegistryBlobSource(connect(registry.host), "app")
        with pytest.raises(RegistryError, match="404") as caught:
            content.open(image.root.layers[0])
        assert "S1GNATURE" not in str(caught.value)
