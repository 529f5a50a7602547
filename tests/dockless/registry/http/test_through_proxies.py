"""Pushes and pulls through working proxies."""

import base64
import contextlib
from unittest.mock import Mock

import pytest
from proxy_server import http_proxy, socks_proxy
from requests.exceptions import InvalidSchema

from dockless.errors import RegistryError
from dockless.registry import push
from dockless.testing import Registry, make_certificate, server_context

USER = "ann:S3CR3T%40home"
HEADER = "Proxy-Authorization: Basic " + base64.b64encode(b"ann:S3CR3T@home").decode()


@pytest.fixture(autouse=True)
def loopback_is_like_any_other(monkeypatch):
    monkeypatch.setattr("dockless.registry.http.proxies.is_loopback", lambda host: False)


@pytest.fixture
def image(make):
    """An image with a layer that is larger than a TLS record, a socket buffer and a block."""
    return make(5, 3_000_000, 100)


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("spoken", ["plain http", "TLS"])
def test_an_http_proxy(spoken, scheme, certificate, tmp_path, connect, environ, image, holds):
    tls = server_context(tmp_path)
    with contextlib.ExitStack() as stack:
        registry = stack.enter_context(Registry(tls=tls if spoken == "TLS" else None))
        proxy = stack.enter_context(http_proxy(tls if scheme == "https" else None))
        environ["HTTPS_PROXY" if spoken == "TLS" else "HTTP_PROXY"] = f"{scheme}://{USER}@{proxy.address}"
        host = registry.host.replace("127.0.0.1", "localhost")
        client = stack.enter_context(contextlib.closing(connect(host, ca_file=certificate)))
        push(image.root, image.source, client, "app", ["v1"])
        holds(registry, "app", image, "v1")
        for layer in image.root.layers:
            assert client.get_blob("app", layer.digest).read(1 << 24, "it") == image.source.blobs[layer.digest]
        seen = {name.lower() for request in registry.requests for name in request.headers}
        assert "host" in seen and "proxy-authorization" not in seen
    heads = [head.split("\r\n") for head in proxy.requests]
    assert all(HEADER in head for head in heads)
    if spoken == "TLS":
        # http.client speaks HTTP/1.0 to proxies before CPython 3.12.
        assert {head[0].rpartition("/")[0] for head in heads} == {f"CONNECT {host} HTTP"}
    else:
        assert {head[0].split("/v2/")[0].split(" ")[1] for head in heads} == {f"http://{host}"}
        assert all(f"Host: {host}" in head for head in heads)


@pytest.mark.parametrize("spoken", ["plain http", "TLS"])
@pytest.mark.parametrize("scheme, requested_host", [("socks5", "127.0.0.1"), ("socks5h", "localhost")])
def test_a_socks_proxy(scheme, requested_host, spoken, certificate, tmp_path, connect, environ, image, holds):
    with Registry(tls=server_context(tmp_path) if spoken == "TLS" else None) as registry:
        with socks_proxy("ann", "S3CR3T@home") as proxy:
            environ["ALL_PROXY"] = f"{scheme}://{USER}@{proxy.address}"
            port = registry.host.split(":")[1]
            with contextlib.closing(connect(f"localhost:{port}", ca_file=certificate)) as client:
                push(image.root, image.source, client, "app", ["v1"])
            holds(registry, "app", image, "v1")
        assert set(proxy.requests) == {f"SOCKS {requested_host}:{port}"}


def test_a_socks_proxy_that_refuses(connect, environ):
    with socks_proxy("bob", "other") as proxy:
        environ["ALL_PROXY"] = f"socks5h://{USER}@{proxy.address}"
        with pytest.raises(
            RegistryError, match="the proxy socks5h://127.0.0.1:[0-9]+ cannot be reached, or refused"
        ) as no:
            connect("reg.example").get_manifest("app", "v1")
    assert "S3CR3T" not in str(no.value) and proxy.requests == []


def test_a_socks_proxy_without_pysocks(connect, environ, monkeypatch):
    monkeypatch.setattr("requests.adapters.SOCKSProxyManager", Mock(side_effect=InvalidSchema))
    environ["ALL_PROXY"] = "socks5://proxy.example:1080"
    with pytest.raises(RegistryError, match="the proxy socks5://proxy.example:1080 needs PySocks; install PySocks"):
        connect("reg.example").get_manifest("app", "v1")


def test_a_proxy_with_an_untrusted_certificate(certificate, tmp_path, connect, environ):
    with http_proxy(server_context(tmp_path)) as proxy:
        environ["HTTPS_PROXY"] = f"https://{proxy.address}"
        with pytest.raises(
            RegistryError, match="the proxy https://.*: the proxy's certificate is not signed by a trusted CA"
        ):
            connect("reg.example").get_manifest("app", "v1")
        assert proxy.requests == []


def test_an_untrusted_registry_behind_a_trusted_tls_proxy(certificate, tmp_path, connect, environ):
    """The proxy is trusted, the registry is not."""
    other = tmp_path / "other"
    other.mkdir()
    make_certificate(other)
    with Registry(tls=server_context(other)) as registry, http_proxy(server_context(tmp_path)) as proxy:
        environ["HTTPS_PROXY"] = f"https://{proxy.address}"
        with pytest.raises(RegistryError, match="v2/: the server's certificate is not signed by a trusted CA"):
            connect(registry.host, ca_file=certificate).get_manifest("app", "v1")
        assert registry.requests == []
