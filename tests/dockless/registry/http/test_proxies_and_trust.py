"""Proxies, CAs and client certificates: where they are configured and where they apply."""

import base64
import socket
import ssl
import subprocess
import threading

import pytest

from dockless.errors import RegistryError
from dockless.registry import Credentials, push
from dockless.registry.http.proxies import choose_proxy
from dockless.registry.http.tls import Trust
from dockless.testing import Registry, TokenAuth, User, make_certificate, server_context

PROXY = "http://proxy.example:3128"


@pytest.mark.parametrize(
    ("url", "environ", "proxy"),
    [
        ("https://reg.example/v2/", {"HTTPS_PROXY": PROXY}, PROXY),
        ("https://reg.example/v2/", {"https_proxy": PROXY, "HTTPS_PROXY": "http://other:1"}, PROXY),
        ("https://reg.example/v2/", {"HTTP_PROXY": PROXY}, None),
        ("http://reg.example/v2/", {"HTTP_PROXY": PROXY}, PROXY),
        ("http://reg.example/v2/", {"HTTP_PROXY": PROXY, "REQUEST_METHOD": "GET"}, None),
        ("https://reg.example/v2/", {"ALL_PROXY": PROXY}, PROXY),
        ("https://reg.example/v2/", {"HTTPS_PROXY": "proxy.example:3128"}, PROXY),
        ("https://reg.example/v2/", {"HTTPS_PROXY": " "}, None),
        ("http://127.0.0.1:5000/v2/", {"ALL_PROXY": PROXY}, None),
        ("http://localhost:5000/v2/", {"HTTP_PROXY": PROXY}, None),
        ("http://[::1]:5000/v2/", {"HTTP_PROXY": PROXY}, None),
    ],
)
def test_choice_of_the_proxy(url, environ, proxy):
    assert choose_proxy(url, environ) == proxy


@pytest.mark.parametrize(
    ("host", "no_proxy", "direct"),
    [
        ("reg.example", "reg.example", True),
        ("reg.example", "other, reg.example", True),
        ("reg.example", "other reg.example", True),
        ("reg.example", ".example", True),
        ("reg.example", "example", True),
        ("reg.example", "*.example", True),
        ("reg.example", "*", True),
        ("REG.example", "reg.EXAMPLE", True),
        ("xreg.example", "reg.example", False),
        ("reg.example.evil", "reg.example", False),
        ("reg.example:5000", "reg.example:5000", True),
        ("reg.example:5000", "reg.example:5001", False),
        ("reg.example:5000", "reg.example", True),
        ("reg.example", "reg.example:443", True),
        ("reg.example", "reg.example:80", False),
        ("reg.example.", "reg.example", True),
        ("[fd00::1]", "[fd00::1]", True),
        ("[fd00::1]:5000", "[fd00::1]:5000", True),
        ("[fd00::1]:5000", "[fd00::1]:5001", False),
        ("10.1.2.3", "10.0.0.0/8", True),
        ("11.1.2.3", "10.0.0.0/8", False),
        ("10.1.2.3", "10.1.2.3", True),
        ("[fd00::1]", "fd00::/8", True),
        ("[fd00::1]", "fe00::/8", False),
    ],
)
def test_no_proxy(host, no_proxy, direct):
    assert (choose_proxy(f"https://{host}/v2/", {"HTTPS_PROXY": PROXY, "NO_PROXY": no_proxy}) is None) == direct


@pytest.mark.parametrize("proxy", ["http://", "http://host:99999", "http://u:S3CR3T@[x", "//"])
def test_invalid_proxies(proxy):
    with pytest.raises(RegistryError, match="the proxy that HTTPS_PROXY names cannot be used; write") as caught:
        choose_proxy("https://reg.example/", {"HTTPS_PROXY": proxy})
    assert "S3CR3T" not in str(caught.value)


@pytest.fixture
def proxy():
    """A proxy that sends `answer`, and the request heads that it received."""
    server = socket.create_server(("127.0.0.1", 0))
    seen = []
    answer = {"head": b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n"}

    def serve():
        while True:
            try:
                connection, _ = server.accept()
            except OSError:
                return
            with connection:
                connection.settimeout(10)
                head = b""
                while b"\r\n\r\n" not in head and (piece := connection.recv(65536)):
                    head += piece
                seen.append(head.decode())
                connection.sendall(answer["head"])

    thread = threading.Thread(target=serve)
    thread.start()
    server_url = f"127.0.0.1:{server.getsockname()[1]}"
    yield server_url, seen, answer
    server.shutdown(socket.SHUT_RDWR)
    server.close()
    thread.join()


def test_the_password_of_a_proxy_is_sent_only_to_the_proxy(proxy, connect, environ):
    url, seen, _ = proxy
    environ["HTTPS_PROXY"] = f"http://ann:S3CR3T@{url}"
    with pytest.raises(
        RegistryError, match="the proxy http://127.0.0.1:[0-9]+ requires a user name and password; check those"
    ) as caught:
        connect("reg.example").get_manifest("app", "v1")
    assert "S3CR3T" not in str(caught.value)
    packed = base64.b64encode(b"ann:S3CR3T").decode()
    assert len(seen) == 1 and seen[0].startswith("CONNECT reg.example:443 ") and packed in seen[0]


def test_the_registrys_credentials_do_not_go_to_a_proxy(proxy, connect, environ):
    url, seen, answer = proxy
    answer["head"] = b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n"
    environ["HTTPS_PROXY"] = f"http://{url}"
    with pytest.raises(RegistryError, match="the proxy http://127.0.0.1:[0-9]+ cannot be reached"):
        connect("reg.example", credentials=Credentials("ann", "S3CR3T")).get_manifest("app", "v1")
    assert seen and not any("Authorization" in head for head in seen)


def test_a_dead_proxy(connect, environ):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    environ["HTTPS_PROXY"] = f"http://ann:S3CR3T@127.0.0.1:{port}"
    with pytest.raises(RegistryError, match="the proxy http://127.0.0.1:[0-9]+ cannot be reached") as caught:
        connect("reg.example").get_manifest("app", "v1")
    assert "S3CR3T" not in str(caught.value)


@pytest.mark.parametrize("how", ["ca_file", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE", "certs.d"])
def test_a_private_ca(how, certificate, tmp_path, connect, environ, image, keep):
    with Registry(tls=server_context(tmp_path)) as registry:
        keep(registry, "app", image, "v1")
        with pytest.raises(RegistryError, match="not signed by a trusted CA; pass the CA's certificate with"):
            connect(registry.host).get_manifest("app", "v1")
        options = {}
        if how == "ca_file":
            options = {"ca_file": certificate}
        elif how == "certs.d":
            directory = tmp_path / "home/.config/containers/certs.d" / registry.host
            directory.mkdir(parents=True)
            (directory / "ca.crt").write_bytes((tmp_path / "ca.crt").read_bytes())
        else:
            environ[how] = certificate
        assert connect(registry.host, **options).get_manifest("app", "v1").digest == image.digest


def test_insecure_applies_to_the_registry_only(certificate, tmp_path):
    """CVE-2024-35195: an unverified connection to one host must not disable the verification of the next."""
    trust = Trust("reg.example:5000", True, None, {})
    one = trust.context("reg.example", 5000)
    assert one.verify_mode == ssl.CERT_NONE and not one.get_ca_certs()
    for host, port in (("store.example", 5000), ("reg.example", 443)):
        other = trust.context(host, port)
        assert (other.verify_mode, other.check_hostname) == (ssl.CERT_REQUIRED, True)
        assert len(other.get_ca_certs()) > 50


def test_the_default_cas_are_added_to_a_ca_file_on_demand(certificate):
    """A copy from Docker Hub to a private registry needs both. A file from a variable replaces the default CAs."""
    trust = Trust("reg.example", False, certificate, {})
    context = trust.context("reg.example", 443)
    assert context is trust.context("store.example", 443) and len(context.get_ca_certs()) == 1
    assert trust.add_system_cas() and trust.add_system_cas() and len(context.get_ca_certs()) > 50
    alone = Trust("reg.example", False, None, {"SSL_CERT_FILE": certificate})
    assert len(alone.context("reg.example", 443).get_ca_certs()) == 1 and not alone.add_system_cas()


def test_a_host_that_only_the_default_cas_trust(certificate, tmp_path, connect, image, keep, monkeypatch):
    """With an unrelated CA file, the certificate is verified again with the default CAs."""
    other = tmp_path / "other"
    other.mkdir()
    usual = make_certificate(other)
    monkeypatch.setattr("certifi.where", lambda: str(usual))
    with Registry(tls=server_context(other)) as registry:
        keep(registry, "app", image, "v1")
        assert connect(registry.host, ca_file=certificate).get_manifest("app", "v1").digest == image.digest


_CLIENT = "req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=ann -keyout client.key -out client.csr"
_SIGN_CLIENT = "x509 -req -in client.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 30 -out client.crt"


@pytest.fixture
def client_certificate_context(certificate, tmp_path):
    """A server context that requires a client certificate; `client.crt` and `client.key` are such a certificate."""
    for command in (_CLIENT, _SIGN_CLIENT):
        subprocess.run(["openssl", *command.split()], cwd=tmp_path, check=True, capture_output=True)
    context = server_context(tmp_path)
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(certificate)
    # With TLS 1.3, the client would get the refusal with the first response, not in the handshake.
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    return context


def test_a_client_certificate_of_certs_d(certificate, client_certificate_context, tmp_path, connect, image, keep):
    """A client certificate is sent only to its registry."""
    with Registry(tls=client_certificate_context) as registry:
        keep(registry, "app", image, "v1")
        with pytest.raises(RegistryError, match="v2/: "):
            connect(registry.host, ca_file=certificate).get_manifest("app", "v1")
        assert registry.requests == []
        directory = tmp_path / "home/.config/containers/certs.d" / registry.host
        directory.mkdir(parents=True)
        for name, made in (("client.cert", "client.crt"), ("client.key", "client.key")):
            (directory / name).write_bytes((tmp_path / made).read_bytes())
        client = connect(registry.host, ca_file=certificate)
        assert client.get_manifest("app", "v1").digest == image.digest
        trust = Trust(registry.host, False, certificate, {"HOME": str(tmp_path / "home")})
        mine, other = trust.context("127.0.0.1", int(registry.host.split(":")[1])), trust.context("127.0.0.1", 443)
        assert mine is not other and trust.add_system_cas()
        assert [len(context.get_ca_certs()) > 50 for context in (mine, other)] == [True, True]
        (directory / "client.key").unlink()
        with pytest.raises(
            RegistryError, match=r"cannot use .*client.cert with .*client.key: No such file.*; store both"
        ):
            connect(registry.host, ca_file=certificate).get_manifest("app", "v1")
        (directory / "client.key").write_text("no key")
        with pytest.raises(RegistryError, match=r"client.key: they are not a PEM certificate and its key; store"):
            connect(registry.host, ca_file=certificate).get_manifest("app", "v1")


def test_later_contexts_include_the_default_cas(certificate):
    trust = Trust("reg.example", False, certificate, {})
    assert trust.add_system_cas() and len(trust.context("store.example", 443).get_ca_certs()) > 50


def test_insecure_and_secure_in_one_process(certificate, tmp_path, connect, image, keep):
    with Registry(tls=server_context(tmp_path)) as one, Registry(tls=server_context(tmp_path)) as other:
        keep(one, "app", image, "v1")
        connect(one.host, insecure=True).get_manifest("app", "v1")
        with pytest.raises(RegistryError, match="certificate"):
            connect(other.host).get_manifest("app", "v1")


@pytest.mark.parametrize(
    ("content", "message"), [(None, "No such file"), ("hello", "no PEM certificate"), ("", "no PEM")]
)
@pytest.mark.parametrize("named", ["the CA file", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE"])
def test_invalid_ca_files(content, message, named, tmp_path, connect, environ):
    path = tmp_path / "ca.pem"
    if content is not None:
        path.write_text(content)
    options = {"ca_file": str(path)} if named == "the CA file" else {}
    if not options:
        environ[named] = str(path)
    with pytest.raises(RegistryError, match=f"cannot use {named} .*ca.pem: .*{message}.*; name a PEM file"):
        connect("reg.example", **options)


def test_an_invalid_ca_file_is_an_error_only_with_tls(certificate, tmp_path, connect, environ, image, keep):
    """A CA file is read only when a TLS context is made. Errors are reported then."""
    path = tmp_path / "ca.pem"
    path.write_text("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
    environ["SSL_CERT_FILE"] = str(path)
    with Registry() as registry:
        keep(registry, "app", image, "v1")
        assert connect(registry.host).get_manifest("app", "v1").digest == image.digest
    with Registry(tls=server_context(tmp_path)) as registry:
        with pytest.raises(
            RegistryError, match="cannot use SSL_CERT_FILE .*ca.pem: the file contains no PEM certificate"
        ):
            connect(registry.host).get_manifest("app", "v1")
        assert registry.requests == []


def test_a_certificate_for_another_host(certificate, tmp_path, connect):
    """The error is that of TLS, although plain HTTP, which is tried on loopback, failed too."""
    with Registry(tls=server_context(tmp_path), address="127.0.0.2") as registry:
        with pytest.raises(RegistryError, match=r"the server's certificate is not for 127\.0\.0\.2; check the name"):
            connect(registry.host, ca_file=certificate).get_manifest("app", "v1")
        assert registry.requests == []


def test_plain_http_needs_loopback_or_insecure(connect, environ, monkeypatch, image, keep):
    """A remote registry that speaks only plain HTTP is refused, and the error names the option that allows it."""
    with Registry() as registry:
        keep(registry, "app", image, "v1")
        monkeypatch.setattr("dockless.registry.registry_session.is_loopback", lambda host: False)
        with pytest.raises(RegistryError, match="the server does not speak TLS; pass `--insecure-registry HOST`"):
            connect(registry.host).get_manifest("app", "v1")
        assert registry.requests == []
        assert connect(registry.host, insecure=True).get_manifest("app", "v1").digest == image.digest


def test_tokens_over_tls(certificate, tmp_path, connect, image, holds):
    auth = TokenAuth([User("ann", "secret")], anonymous="")
    with Registry(tls=server_context(tmp_path), auth=auth) as registry:
        client = connect(registry.host, credentials=Credentials("ann", "secret"), ca_file=certificate)
        push(image.root, image.source, client, "app", ["v1"])
        holds(registry, "app", image, "v1")


def test_a_ca_of_certs_d_applies_to_redirect_targets(certificate, tmp_path):
    """The token server may have a certificate of the same CA. The client certificate is sent only to the registry."""
    directory = tmp_path / "home/.config/containers/certs.d/reg.example"
    directory.mkdir(parents=True)
    (directory / "ca.crt").write_bytes((tmp_path / "ca.crt").read_bytes())
    trust = Trust("reg.example", False, None, {"HOME": str(tmp_path / "home")})
    for host in ("reg.example", "auth.example"):
        assert len(trust.context(host, 443).get_ca_certs()) == 1
    assert trust.add_system_cas() and len(trust.context("auth.example", 443).get_ca_certs()) > 50
    others = Trust("other.example", False, None, {"HOME": str(tmp_path / "home")})
    assert len(others.context("auth.example", 443).get_ca_certs()) > 50


@pytest.mark.parametrize("status", [403, 404])
def test_a_proxy_that_forbids_a_host(status, proxy, connect, environ):
    url, seen, answer = proxy
    answer["head"] = b"HTTP/1.1 %d No\r\nContent-Length: 0\r\n\r\n" % status
    environ["HTTPS_PROXY"] = f"http://ann:S3CR3T@{url}"
    hint = "ask the operator of the proxy to allow reg.example, or add the host to NO_PROXY"
    message = f"the proxy http://{url} answered {status}; {hint}"
    with pytest.raises(RegistryError, match=message):
        connect("reg.example").get_manifest("app", "v1")
    assert len(seen) == 1


def test_insecure_needs_no_ca_of_certs_d(tmp_path):
    directory = tmp_path / "home/.config/containers/certs.d/reg.example"
    directory.mkdir(parents=True)
    (directory / "ca.crt").write_bytes(b"DER, say")
    trust = Trust("reg.example", True, None, {"HOME": str(tmp_path / "home")})
    assert trust.context("reg.example", 443).verify_mode == ssl.CERT_NONE
    assert len(trust.context("store.example", 443).get_ca_certs()) > 50
