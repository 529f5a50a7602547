"""Names that users paste, and which would lead a client elsewhere than they look."""

import pytest

from dockless.errors import DocklessError
from dockless.registry import RegistryClient
from dockless.transfer.locations import Location

# name -> a reference. `canary-password` must not be in the error.
REFERENCES = {
    "line break": "reg.example/a\r\nX: y/b:1",
    "NUL": "reg.example/a\0b:1",
    "climbs": "reg.example/../a:1",
    "climbs, encoded": "reg.example/%2e%2e/a:1",
    "user": "ann:canary-password@reg.example/a:1",
    "user in a URL": "https://ann:canary-password@reg.example/a:1",
    "http": "http://reg.example/a:1",
    "file": "file:///etc/passwd",
    "Cyrillic host": "r\u0435g.example/a:1",
    "fullwidth dot": "reg\uff0eexample/a:1",
    "port 0": "reg.example:0/a:1",
    "port 99999": "reg.example:99999/a:1",
    "port of text": "reg.example:x/a:1",
    "two ports": "reg.example:1:2/a:1",
    "zone": "[fe80::1%lo]:5000/a:1",
    "broken brackets": "[::1/a:1",
    "query": "reg.example/a?x=y:1",
    "fragment": "reg.example/a#b:1",
    "backslash": "reg.example\\@other/a:1",
    "blank": "reg.example /a:1",
    "tag of 129 characters": "reg.example/a:" + "t" * 129,
    "name of 60 kB": "reg.example/" + "a" * 60_000,
    "tag that climbs": "reg.example/a:../x",
    "digest of another algorithm": "reg.example/a@md5:" + "0" * 32,
    "escape": "reg.example/a\x1b[2J:1",
}


@pytest.mark.parametrize("reference", REFERENCES)
def test_reference(reference, clean):
    with pytest.raises(DocklessError) as caught:
        Location.parse(REFERENCES[reference])
    clean(caught.value)


REGISTRIES = (
    "reg.example/x",
    "ann@reg.example",
    "http://reg.example",
    "reg.example\r\nX: y",
    "",
    "reg.example?x",
    "a b",
)


@pytest.mark.parametrize("registry", REGISTRIES)
def test_registry(registry, clean):
    with pytest.raises(DocklessError) as caught:
        RegistryClient(registry)
    clean(caught.value)
