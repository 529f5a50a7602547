import pytest

from dockless.errors import InvalidValueError
from dockless.oci.digest import Digest
from dockless.oci.reference import Reference, check_registry, check_repository, check_tag

SHA = "sha256:" + "a" * 64


@pytest.mark.parametrize(
    "text, expected",
    [
        ("ubuntu:lts", ("docker.io", "library/ubuntu", "lts", None)),
        ("docker.io/ubuntu", ("docker.io", "library/ubuntu", "", None)),
        ("docker.io/user/hello-world", ("docker.io", "user/hello-world", "", None)),
        ("index.docker.io/user/x", ("docker.io", "user/x", "", None)),
        ("registry-1.docker.io/library/x", ("docker.io", "library/x", "", None)),
        ("bitnami/redis", ("docker.io", "bitnami/redis", "", None)),
        ("gcr.io/p/images/hello", ("gcr.io", "p/images/hello", "", None)),
        ("localhost:5000/ubuntu", ("localhost:5000", "ubuntu", "", None)),
        ("localhost/x", ("localhost", "x", "", None)),
        ("127.0.0.1:5000/a/b/c:1", ("127.0.0.1:5000", "a/b/c", "1", None)),
        ("[::1]:5000/a", ("[::1]:5000", "a", "", None)),
        ("reg.local:5000/x", ("reg.local:5000", "x", "", None)),
        ("host:5000", ("docker.io", "library/host", "5000", None)),
        (f"ghcr.io/a/b@{SHA}", ("ghcr.io", "a/b", "", SHA)),
        (f"ghcr.io/a/b:1@{SHA}", ("ghcr.io", "a/b", "1", SHA)),
        ("GHCR.io/a/b", ("ghcr.io", "a/b", "", None)),
    ],
)
def test_references_are_read_by_dockers_rules(text, expected):
    assert tuple(Reference.parse(text)) == expected


@pytest.mark.parametrize(
    "text, message",
    [
        ("", "invalid reference"),
        (" ubuntu", "without surrounding spaces"),
        ("ubuntu ", "without surrounding spaces"),
        ("https://reg.io/x", "remove https://"),
        ("user:pw@reg.io/x", "remove the user and password"),
        ("Ubuntu:x", "library/ubuntu"),
        ("ghcr.io/Acme/App", "lower case: acme/app"),
        ("ghcr.io/", "invalid repository"),
        ("ghcr.io//b", "invalid repository"),
        ("ghcr.io/a//b", "invalid repository"),
        ("ghcr.io/a/", "invalid repository"),
        ("ghcr.io/a/../b", "invalid repository"),
        ("ghcr.io/.a", "invalid repository"),
        ("ghcr.io/a-", "invalid repository"),
        ("ghcr.io/a__b__", "invalid repository"),
        ("ghcr.io/a...b", "invalid repository"),
        ("ghcr.io/" + "a" * 256, "at most 255"),
        ("reg.io:0/x", "invalid registry"),
        ("reg.io:99999/x", "invalid registry"),
        ("reg.io:abc/x", "invalid registry"),
        ("reg.io:/x", "invalid registry"),
        ("ghcr.io/a:", "invalid tag"),
        ("ghcr.io/a:.x", "invalid tag"),
        ("ghcr.io/a:-x", "invalid tag"),
        ("ghcr.io/a:" + "x" * 129, "invalid tag"),
        ("ghcr.io/a:ä", "invalid tag"),
        ("ghcr.io/a:x\ny", "invalid tag"),
        ("ghcr.io/a@sha256:abc", "invalid digest"),
        ("ghcr.io/a@", "invalid digest"),
        ("ghcr.io/a@sha512:" + "a" * 128, "invalid digest"),
        ("ghcr.io/a@sha256:" + "A" * 64, "invalid digest"),
        ("ghcr.io/a@md5:" + "a" * 32, "invalid digest"),
        ("ghcr.io/a@sha256:../../x", "invalid digest"),
    ],
)
def test_invalid_references_are_refused_in_one_line(text, message):
    with pytest.raises(InvalidValueError) as caught:
        Reference.parse(text)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["user:pw@reg.io/x", "https://user:pw@reg.io/x", "u:pw@reg.io:5000/x:1"])
def test_a_password_is_never_shown(text):
    with pytest.raises(InvalidValueError) as caught:
        Reference.parse(text)
    assert "pw" not in str(caught.value).replace("password", "")


@pytest.mark.parametrize("text", ["myimage", "a/b", "a/b:1"])
def test_a_registry_is_required_without_a_default(text):
    with pytest.raises(InvalidValueError, match="name the registry"):
        Reference.parse(text, default_registry=None)


def test_a_reference_is_written_as_it_is_read():
    for text in ("ghcr.io/a/b:1", f"ghcr.io/a/b:1@{SHA}", f"ghcr.io/a/b@{SHA}", "localhost:5000/x"):
        assert str(Reference.parse(text)) == text
    assert Reference.parse("ghcr.io/a/b").version == "latest"
    assert Reference.parse(f"ghcr.io/a/b:1@{SHA}").version == SHA
    assert Reference("ghcr.io", "a/b", "1").name == "ghcr.io/a/b"


def test_components_are_checked_separately():
    assert check_registry("GHCR.IO:443") == "ghcr.io:443"
    assert check_repository("a/b_c__d-e.f") == "a/b_c__d-e.f"
    assert check_tag("v1.2_3-x") == "v1.2_3-x"
    with pytest.raises(InvalidValueError, match="remove the user and password") as caught:
        check_registry("u:hunter2@reg.io")
    assert "hunter2" not in str(caught.value)


def test_digests():
    assert Digest.of(b"hello world") == "sha256:b94d27b9934d3e08a52e52d7da7dabfac484efe37a5380ee9088f7ace2efcde9"
    assert Digest(SHA).hex == "a" * 64
    assert Digest(SHA).algorithm == "sha256"
    for text in ("", "sha256:", SHA + "\n", SHA[:-1], SHA + "a", " " + SHA):
        with pytest.raises(InvalidValueError):
            Digest(text)
