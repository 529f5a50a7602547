import pytest

from dockless.errors import InvalidValueError
from dockless.transfer.locations import Location


@pytest.mark.parametrize(
    ("text", "kind", "path", "name"),
    [
        ("oci:dir", "oci", "dir", ""),
        ("oci:/a/b:v1", "oci", "/a/b", "v1"),
        ("oci:dir:ghcr.io/acme/app:1", "oci", "dir", "ghcr.io/acme/app:1"),
        ("oci-archive:f.tar:v1", "oci-archive", "f.tar", "v1"),
        ("docker-archive:f.tar", "docker-archive", "f.tar", ""),
        ("docker-archive:f.tar:acme/app:1", "docker-archive", "f.tar", "acme/app:1"),
    ],
)
def test_on_disk(text, kind, path, name):
    found = Location.parse(text)
    assert (found.kind, found.path, found.name) == (kind, path, name)
    assert str(found) == text


@pytest.mark.parametrize("text", ["alpine", "ghcr.io/acme/app:1", "localhost:5000/a", "docker://alpine:3", "oci/app"])
def test_in_a_registry(text):
    assert Location.parse(text).reference is not None


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("oci:", "has no valid path"),
        ("oci::v1", "has no valid path"),
        ("dir:x", "unsupported location"),
        ("docker-daemon:x:1", "unsupported location"),
        ("docker-archive:f:Bad Name", "invalid reference|invalid repository"),
        ("Bad Name", "invalid"),
        ("https://ghcr.io/a", "remove https"),
    ],
)
def test_invalid_locations(text, reason):
    with pytest.raises(InvalidValueError, match=reason):
        Location.parse(text)
