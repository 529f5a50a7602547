"""Names that a registry or an image chose, and that stand for an address of this machine or of a metadata service.

No test sends anything to another machine: an address of the table leads to a server on loopback, or nowhere.
"""

import contextlib
import io

import pytest
from guarded_registry import guarded_registry
from host_names import resolve_names
from hostile_server import hostile_server, response

from dockless.errors import DocklessError, printable
from dockless.layout.blob_copy import copy_blob
from dockless.oci import media_types
from dockless.oci.descriptor import Descriptor
from dockless.oci.digest import Digest
from dockless.registry.http import happy_eyeballs
from dockless.registry.http.addresses import AddressPolicy
from dockless.transfer.foreign_layers import ForeignLayerSource

PUBLIC, OTHER_PUBLIC = "93.184.216.34", "93.184.216.35"
DIGEST = Digest.of(b"x")

# name -> the address that a name of the attacker's stands for.
REFUSED = {
    "loopback": "127.0.0.1",
    "other loopback": "127.8.9.1",
    "IPv6 loopback": "::1",
    "mapped loopback": "::ffff:127.0.0.1",
    "NAT64 loopback": "64:ff9b::7f00:1",
    "6to4 loopback": "2002:7f00:1::",
    "compatible loopback": "::127.0.0.1",
    "metadata": "169.254.169.254",
    "mapped metadata": "::ffff:a9fe:a9fe",
    "NAT64 metadata": "64:ff9b::a9fe:a9fe",
    "local NAT64 metadata": "64:ff9b:1::a9fe:a9fe",
    "6to4 metadata": "2002:a9fe:a9fe::",
    "compatible metadata": "::a9fe:a9fe",
    "metadata of containers": "169.254.170.2",
    "metadata of Amazon": "fd00:ec2::254",
    "IPv6 metadata of Google": "fd20:ce::254",
    "IPv6 metadata of Oracle": "fd00:c1::a9fe:a9fe",
    "IPv6 metadata of Scaleway": "fd00:42::42",
    "metadata of Alibaba": "100.100.100.200",
    "metadata of Oracle": "192.0.0.192",
    "WireServer of Azure": "168.63.129.16",
    "link-local": "169.254.0.1",
    "IPv6 link-local": "fe80::1",
    "IPv6 link-local with a zone": "fe80::1%lo",
    "unspecified": "0.0.0.0",
    "IPv6 unspecified": "::",
    "this network": "0.1.2.3",
    "multicast": "224.0.0.251",
    "IPv6 multicast": "ff02::1",
}


class Internet:
    """`names` are host names and their addresses, `servers` addresses and the servers that are there."""

    def __init__(self, monkeypatch):
        self.monkeypatch = monkeypatch
        self.tried = []
        self.looked_up = []
        self.servers = {}

    def open(self, names, servers):
        self.servers = servers
        self.looked_up = resolve_names(self.monkeypatch, names)
        real_start, real_connected = happy_eyeballs._start, AddressPolicy.connected

        def start(found):
            address = found[4][0]
            self.tried.append(address)
            if address not in servers:
                raise ConnectionRefusedError
            host, port = servers[address].split(":")
            return real_start((2, 1, 6, "", (host, int(port))))

        def connected(policy, host, port, address):
            real_connected(policy, host, port, self.tried[-1])

        self.monkeypatch.setattr(happy_eyeballs, "_start", start)
        self.monkeypatch.setattr(AddressPolicy, "connected", connected)


@pytest.fixture
def internet(monkeypatch):
    return Internet(monkeypatch)


def redirected(client):
    return client.get_manifest("a/b", "v1")


def upload(client):
    return client.open_upload("a/b").send(b"x", 0, 1)


# Who says where to go -> the registry's answer to a request, and what the user does.
PLACES = {
    "redirect of a manifest": (lambda r, url: response(307, {"Location": url}), redirected),
    "redirect of a blob": (lambda r, url: response(302, {"Location": url}), lambda c: c.get_blob("a/b", DIGEST)),
    "redirect of an upload": (
        lambda r, url: response(307, {"Location": url}) if r.method == "PATCH" else response(202, {"Location": "/u"}),
        upload,
    ),
    "upload location": (lambda r, url: response(202, {"Location": url}), upload),
    "realm": (
        lambda r, url: response(401, {"WWW-Authenticate": f'Bearer realm="{url}",service="x"'}),
        redirected,
    ),
}


@contextlib.contextmanager
def public_registry(place, url, internet, names, servers=None):
    """A registry at a public address, which leads to `url`."""
    lead, do = PLACES[place]

    def answer(request, connection):
        return response() if request.path == "/v2/" and place != "realm" else lead(request, url)

    with hostile_server(answer) as server:
        port = server.host.partition(":")[2]
        internet.open({"reg.test": [PUBLIC], **names}, {PUBLIC: server.host, **(servers or {})})
        yield f"reg.test:{port}", do


@pytest.mark.parametrize("address", REFUSED)
@pytest.mark.parametrize("place", PLACES)
def test_name_that_stands_for_an_inner_address(place, address, internet, connect, clean):
    names = {"inner.test": [REFUSED[address]]}
    with public_registry(place, "http://inner.test:8080/latest", internet, names) as (host, do):
        client = connect(host, insecure=True)
        with pytest.raises(DocklessError) as caught:
            do(client)
        client.close()
    assert f"inner.test resolves to {printable(REFUSED[address])}" in clean(caught.value)
    assert internet.tried and set(internet.tried) == {PUBLIC}


@pytest.mark.parametrize("place", PLACES)
def test_name_that_changes_its_address(place, internet, connect):
    """DNS rebinding: a public address for whoever checks, and an inner one for whoever connects."""
    answers = iter([[OTHER_PUBLIC], ["127.0.0.1"], ["169.254.169.254"], ["::1"]] * 3)
    with public_registry(place, "http://inner.test:8080/x", internet, {"inner.test": answers}) as (host, do):
        client = connect(host, insecure=True)
        for _ in range(4):
            with pytest.raises(DocklessError):
                do(client)
        client.close()
    assert set(internet.tried) == {PUBLIC, OTHER_PUBLIC}


@pytest.mark.parametrize("place", PLACES)
def test_name_with_a_public_and_an_inner_address(place, internet, connect):
    names = {"inner.test": ["127.0.0.1", OTHER_PUBLIC, "169.254.169.254"]}
    with public_registry(place, "http://inner.test:8080/x", internet, names) as (host, do):
        client = connect(host, insecure=True)
        with pytest.raises(DocklessError):
            do(client)
        client.close()
    assert set(internet.tried) == {PUBLIC, OTHER_PUBLIC}


@pytest.mark.parametrize("place", PLACES)
def test_registry_that_moves_to_this_machine(place, internet, connect):
    """A registry that was elsewhere does not get to loopback by pretending to be there."""
    lead, do = PLACES[place]

    def answer(request, connection):
        is_greeting = request.path == "/v2/" and place != "realm"
        connection.sendall(response() if is_greeting else lead(request, "http://inner.test:8080/x"))

    with hostile_server(answer) as server:
        # By https, by http, and from then on.
        places = iter([[PUBLIC], [PUBLIC], *[["127.0.0.1"]] * 20])
        servers = {PUBLIC: server.host, "127.0.0.1": server.host}
        internet.open({"reg.test": places, "inner.test": ["127.0.0.9"]}, servers)
        client = connect(f"reg.test:{server.host.partition(':')[2]}", insecure=True)
        with pytest.raises(DocklessError):
            do(client)
        client.close()
    assert PUBLIC in internet.tried and "127.0.0.9" not in internet.tried


@pytest.mark.parametrize("place", PLACES)
def test_private_network_by_name(place, internet, connect):
    """A company's store or token server, which its registry names: allowed, as it is the only one that there is."""
    with public_registry(place, "http://store.corp:8080/x", internet, {"store.corp": ["10.0.0.7"]}) as (host, do):
        client = connect(host, insecure=True)
        with pytest.raises(DocklessError):
            do(client)
        client.close()
    assert set(internet.tried) == {PUBLIC, "10.0.0.7"}


LAYER = Descriptor(media_types.FOREIGN_LAYER, DIGEST, 1, ("http://inner.test:8080/layer",))


class Missing:
    def open(self, descriptor):
        raise DocklessError("missing")


@pytest.mark.parametrize("by_redirect", [False, True])
@pytest.mark.parametrize("address", REFUSED)
def test_foreign_layer(address, by_redirect, internet, clean):
    """Of an image from a registry that is not on this machine."""
    with hostile_server(lambda *_: response(302, {"Location": "http://inner.test:8080/layer"})) as web:
        internet.open({"inner.test": [REFUSED[address]], "web.test": [PUBLIC]}, {PUBLIC: web.host})
        source = ForeignLayerSource(Missing())
        layer = LAYER._replace(urls=("http://web.test/layer",)) if by_redirect else LAYER
        with pytest.raises(DocklessError) as caught:
            copy_blob(source, layer, io.BytesIO())
        source.close()
    assert "inner.test resolves to" in clean(caught.value)
    assert set(internet.tried) == ({PUBLIC} if by_redirect else set())


# A registry on this machine, as kind and compose have it, and a store beside it.

LOOPBACK = ("127.0.0.1", "localhost")


@pytest.mark.parametrize("store_host", LOOPBACK)
@pytest.mark.parametrize("registry_host", LOOPBACK)
def test_store_beside_a_registry_on_loopback(registry_host, store_host, connect):
    with hostile_server(lambda *_: response(200, {"Content-Type": media_types.OCI_INDEX}, b"{}")) as store:
        url = store.url.replace("127.0.0.1", store_host)
        answer = lambda r, _: response() if r.path == "/v2/" else response(307, {"Location": url})  # noqa: E731
        with hostile_server(answer) as registry:
            client = connect(registry.host.replace("127.0.0.1", registry_host))
            assert client.get_manifest("a/b", "v1").raw == b"{}"
            client.close()
    assert store.requests and store.authorizations == []


@pytest.mark.parametrize("store_host", [*LOOPBACK, "store.test"])
def test_store_beside_a_registry_whose_name_stands_for_loopback(store_host, connect, monkeypatch):
    resolve_names(monkeypatch, {"reg.test": ["127.0.0.1"], "store.test": ["127.0.0.1"]})
    with hostile_server(lambda *_: response(200, {"Content-Type": media_types.OCI_INDEX}, b"{}")) as store:
        url = store.url.replace("127.0.0.1", store_host)
        answer = lambda r, _: response() if r.path == "/v2/" else response(307, {"Location": url})  # noqa: E731
        with hostile_server(answer) as registry:
            client = connect(registry.host.replace("127.0.0.1", "reg.test"), insecure=True)
            assert client.get_manifest("a/b", "v1").raw == b"{}"
            client.close()
    assert store.requests and store.authorizations == []


# Another port of this machine as the realm of a registry on loopback -> all spellings are treated alike.
REALMS = {
    "127.0.0.1": "an address in a private network",
    "localhost": "an address in a private network",
    "LOCALHOST": "an address in a private network",
    "localhost.": "an address in a private network",
    "a.localhost": "an address in a private network",
    "127.1": "an address in a private network",
    "127.0.0.2": "an address in a private network",
    "2130706433": "an address in a private network",
    "[::1]": "an address in a private network",
    "[::ffff:127.0.0.1]": "an address in a private network",
    "tokens.test": "tokens.test resolves to 127.0.0.1",
}


@pytest.mark.parametrize("registry_host", LOOPBACK)
@pytest.mark.parametrize("realm_host", REALMS)
def test_realm_at_another_port_of_this_machine(realm_host, registry_host, connect, clean, monkeypatch):
    resolve_names(monkeypatch, {"tokens.test": ["127.0.0.1"]})
    with hostile_server(lambda *_: response(200, body=b'{"token":"x"}')) as other:
        realm = f"http://{realm_host}:{other.host.partition(':')[2]}/token"
        challenge = {"WWW-Authenticate": f'Bearer realm="{realm}",service="x"'}
        with hostile_server(lambda *_: response(401, challenge)) as registry:
            client = connect(registry.host.replace("127.0.0.1", registry_host))
            with pytest.raises(DocklessError) as caught:
                client.get_manifest("a/b", "v1")
            client.close()
    assert REALMS[realm_host] in clean(caught.value)
    assert other.requests == [] and registry.authorizations == []


def test_realm_of_a_registry_whose_name_stands_for_loopback(connect, monkeypatch):
    resolve_names(monkeypatch, {"reg.test": ["127.0.0.1"], "tokens.test": ["127.0.0.1"]})
    with guarded_registry("token") as registry:
        port = registry.host.partition(":")[2]
        registry.answers = [lambda r: response(200, {"Content-Type": media_types.OCI_INDEX}, b"{}")]
        challenge = registry.challenge
        registry.challenge = lambda repository: challenge(repository, realm=f"http://tokens.test:{port}/token")
        client = connect(f"reg.test:{port}", insecure=True)
        assert client.get_manifest("a/b", "v1").raw == b"{}"
        client.close()
    assert registry.scopes == {"repository:a/b:pull"}


@pytest.mark.parametrize(
    ("host", "is_sent"), [("inner.test", True), ("169.254.169.254", False), ("[fd00:ec2::254]", False)]
)
def test_proxy_that_resolves_names_itself(host, is_sent, connect, environ):
    """The proxy connects, so the proxy decides about names. An address is refused before the proxy is asked."""
    with hostile_server(lambda *_: response(404)) as proxy, guarded_registry("basic") as registry:
        registry.answers = [lambda r: response(307, {"Location": f"http://{host}/latest"})]
        client = connect(registry.host, environ={**environ, "HTTP_PROXY": proxy.url})
        with pytest.raises(DocklessError, match="404" if is_sent else "is an address in a private network"):
            client.get_manifest("a/b", "v1")
        client.close()
    assert {r.target for r in proxy.requests} == ({f"http://{host}/latest"} if is_sent else set())
    assert proxy.authorizations == []
