"""B01 to B13: names of registries, repositories, tags and digests."""

import pytest
from rows import case, row

from dockless.testing import Registry

PARTS = "write path components of a-z and 0-9, with single '.', '_', '__' or '-' inside, separated by '/'"
HOST = "write host or host:port, such as ghcr.io or localhost:5000"
TAG = "write 1 to 128 characters of A-Z a-z 0-9 _ . - and do not begin with . or -"
DIGEST = "write `sha256:` and 64 lower-case hex digits"
NAME_IT = "name the registry, as in registry/repository:tag; the registry of Docker Hub is docker.io"
ON_DISK = (
    "for an OCI layout write oci:{0}, for an archive of docker save write docker-archive:{0}, of an OCI layout "
    "oci-archive:{0}"
)
NO_USER = "remove the user and password, and log in instead"
LONG = "a" * 256

DESTINATIONS = [
    case("B01", "upper case", "HOST/Acme/App", "invalid repository 'Acme/App'; write it in lower case: acme/app"),
    case("B02", "empty", "HOST/", f"invalid repository ''; {PARTS}"),
    case("B02", "nothing", "", "invalid reference ''; write registry/repository:tag, without surrounding spaces"),
    case("B02", "slash", "HOST//", f"invalid repository '/'; {PARTS}"),
    case("B02", "two slashes", "HOST/a//b", f"invalid repository 'a//b'; {PARTS}"),
    case("B02", "leading slash", "HOST//a", f"invalid repository '/a'; {PARTS}"),
    case("B02", "trailing slash", "HOST/a/", f"invalid repository 'a/'; {PARTS}"),
    case("B03", "too long", f"HOST/{LONG}", f"invalid repository '{LONG}'; write at most 255 characters"),
    *(
        case("B03", text, f"HOST/{text}", f"invalid repository '{text}'; {PARTS}")
        for text in ("a/../b", ".a", "a-", "a__b__", "a...b", "a___b", "ä")
    ),
    case("B04", "https", "https://HOST/x", "invalid reference 'https://HOST/x'; remove https://"),
    case("B04", "http", "http://HOST/x", "invalid reference 'http://HOST/x'; remove http://"),
    case("B05", "userinfo", "user:S3CR3T@reg.example/x", f"invalid reference 'reg.example/x'; {NO_USER}"),
    case("B05", "url", "https://u:S3CR3T@reg.example/x", "invalid reference 'reg.example/x'; remove https://"),
    *(
        case("B06", host, f"{host}/x", f"invalid registry '{host}'; {HOST}")
        for host in ("localhost:0", "localhost:99999", "localhost:abc", "localhost:", "reg.example:-1", "a..b")
    ),
    case(
        "B09",
        "one name",
        "myimage",
        f"invalid reference 'myimage'; {NAME_IT}; {ON_DISK.format('myimage')}",
    ),
    case(
        "B09",
        "two names",
        "acme/app:1",
        f"invalid reference 'acme/app:1'; {NAME_IT}; {ON_DISK.format('acme/app:1')}",
    ),
]
TAGS = [
    ("empty", "", "''"),
    ("space", "latest 1", "'latest 1'"),
    ("dot", ".x", "'.x'"),
    ("hyphen", "-x", "'-x'"),
    ("long", "a" * 129, f"'{'a' * 129}'"),
    ("slash", "a/b", "'a/b'"),
    ("umlaut", "ä", "'ä'"),
    ("colon", "a:b", "'a:b'"),
    ("newline", "a\nb", r"'a\nb'"),
]
DIGESTS = [
    case("B13", "63 digits", "sha256:" + "a" * 63, f"invalid digest 'sha256:{'a' * 63}'; {DIGEST}"),
    case("B13", "upper case", "sha256:" + "A" * 64, f"invalid digest 'sha256:{'A' * 64}'; {DIGEST}"),
    case("B13", "sha1", "sha1:" + "a" * 40, f"invalid digest 'sha1:{'a' * 40}'; {DIGEST}"),
    case("B13", "empty", "sha256:", f"invalid digest 'sha256:'; {DIGEST}"),
    case("B13", "sha512", "sha512:" + "a" * 64, f"invalid digest 'sha512:{'a' * 64}'; {DIGEST}"),
    case("B13", "path", "sha256:../../x", f"invalid digest 'sha256:../../x'; {DIGEST}"),
]


@pytest.mark.parametrize("destination, message", DESTINATIONS)
def test_destinations(refused, registry, image, destination, message):
    message = message.replace("HOST", registry.host)
    destination = destination.replace("HOST", registry.host)
    assert refused("copy", "oci:base", destination) == message
    assert refused("build", destination, "--label", "a=b") == message
    assert registry.requests == []


@pytest.mark.parametrize("reference", ["HOST/Acme/App", "HOST/a//b", "https://HOST/x", "localhost:abc/x", "HOST/x:a/b"])
@row("B01")
def test_sources_obey_the_same_rules(refused, registry, reference):
    reference = reference.replace("HOST", registry.host)
    line = refused("inspect", reference)
    assert refused("build", "oci:out", "--base", reference) == refused("tags", reference) == line
    assert registry.requests == []


@pytest.mark.parametrize("reference", ["HOST/x:TAG", "--tag=TAG"])
@pytest.mark.parametrize("tag, shown", [case("B10", *tag) for tag in TAGS])
def test_tags(refused, registry, image, reference, tag, shown):
    reference = reference.replace("HOST", registry.host).replace("TAG", tag)
    arguments = (reference,) if reference.startswith(registry.host) else (f"{registry.host}/x", reference)
    assert refused("copy", "oci:base", *arguments) == f"invalid tag {shown}; {TAG}"


@row("B10")
def test_a_space_at_the_end_of_a_reference(refused, registry, image):
    message = f"invalid reference '{registry.host}/x:1 '; write registry/repository:tag, without surrounding spaces"
    assert refused("copy", "oci:base", f"{registry.host}/x:1 ") == message


@pytest.mark.parametrize(
    "destination, message",
    [
        case("B10", "layout", "oci:out", "'' is not a valid image name in a layout; write letters, digits and -._:@/+"),
        case(
            "B10",
            "oci-archive",
            "oci-archive:f",
            "'' is not a valid image name in a layout; write letters, digits and -._:@/+",
        ),
        case("B10", "docker-archive", "docker-archive:f:app", f"invalid tag ''; {TAG}"),
    ],
)
def test_an_empty_name_on_disk(refused, image, destination, message):
    assert refused("copy", "oci:base", destination, "--tag", "") == message


@pytest.mark.parametrize("digest, message", DIGESTS)
def test_digests(refused, registry, image, digest, message):
    assert refused("inspect", f"{registry.host}/x@{digest}") == message
    assert refused("copy", "oci:base", f"{registry.host}/x:1@{digest}") == message
    assert registry.requests == []


@row("B07")
def test_an_ipv6_address_is_a_registry(works, refused, image):
    with Registry(address="::1") as registry:
        assert registry.host.startswith("[::1]:")
        found = works("copy", "oci:base", f"{registry.host}/x")
        assert found["references"] == [f"{registry.host}/x:latest"]
        assert registry.tags("x") == {"latest": image.manifest.digest}
    assert refused("copy", "oci:base", "[::1/x") == f"invalid registry '[::1'; {HOST}"


@pytest.mark.parametrize("name", [case("B08", "localhost", "localhost"), case("B08", "127.0.0.1", "127.0.0.1")])
def test_loopback_registries_may_use_http(works, registry, image, name):
    found = works("copy", "oci:base", f"{name}:{registry.host.split(':')[1]}/b08:{name}")
    assert registry.tags("b08")[name] == found["digest"]


@row("B08")
def test_localhost_without_a_port_is_a_registry(refused, image, monkeypatch):
    urls = []
    monkeypatch.setattr("requests.Session.send", lambda self, request, **_: urls.append(request.url) or 1 / 0)
    line = refused("inspect", "localhost/x")
    assert set(urls) == {"http://localhost/v2/", "https://localhost/v2/"}
    assert line.startswith("GET http://localhost/v2/: ")


@row("B11")
def test_a_digest_at_the_destination_is_compared(refused, works, registry, image):
    other = "sha256:" + "a" * 64
    where = f"{registry.host}/b11:1@{other}"
    message = (
        f"cannot save to {where}: the digest of the image is {image.manifest.digest}; write a tag instead of the digest"
    )
    assert refused("copy", "oci:base", where) == message
    assert works("copy", "oci:base", f"{registry.host}/b11:1@{image.manifest.digest}")["blobs_sent"] == 3
    assert registry.tags("b11") == {"1": image.manifest.digest}


@row("B12")
def test_the_same_tag_twice_is_pushed_once(works, registry, image):
    found = works("copy", "oci:base", f"{registry.host}/b12:1", "--tag", "1", "--tag", "2", "--tag", "1")
    assert found["references"] == [f"{registry.host}/b12:1", f"{registry.host}/b12:2"]
    puts = [request.reference for request in registry.requests if request.operation == "manifest put"]
    assert puts == ["1", "2"]
