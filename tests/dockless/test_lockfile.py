import json

import pytest

from dockless.errors import InvalidDocumentError
from dockless.lockfile import Lockfile, lock_base
from dockless.oci import media_types as mt
from dockless.oci.descriptor import Descriptor
from dockless.oci.digest import Digest
from dockless.oci.manifest import make_index, make_manifest, parse_manifest
from dockless.oci.platform import Platform
from dockless.oci.reference import Reference

AMD64, ARM64 = Platform("linux", "amd64"), Platform("linux", "arm64")


class Base:
    """A base as in a registry: its documents by digest."""

    def __init__(self, *platforms: Platform, layers: int = 2, indent=None, diff_ids=None) -> None:
        self.blobs = {}
        children = []
        for platform in platforms:
            config = self.keep(
                json.dumps(
                    {
                        **platform.to_json(),
                        "config": {"Env": ["PATH=/bin"], "Unknown": 1},
                        "rootfs": {
                            "type": "layers",
                            "diff_ids": [f"sha256:{n:064}" for n in range(diff_ids or layers)],
                        },
                    },
                    indent=indent,
                ).encode()
            )
            manifest = make_manifest(
                Descriptor(mt.OCI_CONFIG, config, len(self.blobs[config])),
                [Descriptor(mt.OCI_LAYER + "+gzip", Digest.of(b"%d" % n), 1) for n in range(layers)],
            )
            self.keep(manifest.raw)
            children.append(manifest.descriptor._replace(platform=platform))
        self.index = make_index(children)
        self.one = parse_manifest(self.blobs[children[0].digest], "x")

    def keep(self, data: bytes) -> Digest:
        digest = Digest.of(data)
        self.blobs[digest] = data
        return digest

    def fetch(self, descriptor: Descriptor) -> bytes:
        return self.blobs[descriptor.digest]


PYTHON = Reference.parse("python:3.12-slim")
OTHER = Reference.parse("ghcr.io/acme/base:1")


def locked(*platforms, reference=PYTHON, base=None):
    base = base or Base(AMD64, ARM64)
    return lock_base(reference, platforms, base.index, base.fetch)


def test_a_lockfile_reads_back_and_is_stable():
    lockfile = Lockfile.of([locked(AMD64, ARM64), locked(reference=OTHER, base=Base(AMD64, indent=3))])
    written = lockfile.to_bytes()
    again = Lockfile.from_bytes(written, "base_images.lock")
    assert again.to_bytes() == written
    assert again == Lockfile(dict(lockfile.bases))
    assert Lockfile.of(reversed(list(lockfile.bases.values()))).to_bytes() == written
    assert Lockfile.from_bytes(written.replace(b"\n", b"\r\n"), "x") == again


def test_one_changed_base_is_one_block_of_lines():
    before = Lockfile.of([locked(), locked(reference=OTHER)]).to_bytes().splitlines()
    after = Lockfile.of([locked(), locked(reference=OTHER, base=Base(AMD64, ARM64, indent=3))]).to_bytes().splitlines()
    head = next(n for n, (a, b) in enumerate(zip(before, after)) if a != b)
    tail = next(n for n, (a, b) in enumerate(zip(reversed(before), reversed(after))) if a != b)
    changed = before[head : len(before) - tail]
    block = before[before.index(b'    "ghcr.io/acme/base:1": {') :]
    assert changed and all(line in block for line in changed)
    assert before.index(b'    "ghcr.io/acme/base:1": {') < head


def test_only_the_requested_platforms_are_locked():
    assert [image.platform for image in locked(ARM64).images] == [ARM64]
    assert len(locked().images) == 2
    with pytest.raises(InvalidDocumentError, match="has no image for linux/s390x: it has linux/amd64, linux/arm64"):
        locked(Platform("linux", "s390x"))


def test_an_image_is_found_by_platform():
    base = locked()
    assert base.image(Platform("linux", "aarch64", "v8")).platform == ARM64
    with pytest.raises(InvalidDocumentError, match="only linux/amd64, linux/arm64 is locked"):
        base.image(Platform("linux", "386"))


def test_a_missing_entry_names_the_command():
    with pytest.raises(InvalidDocumentError, match=r"has no entry for ghcr.io/acme/base:1; run `pants x`"):
        Lockfile.of([locked()]).base(OTHER, "base_images.lock", "pants x")


def test_one_image_without_an_index():
    base = Base(AMD64)
    found = lock_base(OTHER, [], base.one, base.fetch)
    assert found.platform_index is None
    assert Lockfile.from_bytes(Lockfile.of([found]).to_bytes(), "x").bases[str(OTHER)] == found
    with pytest.raises(InvalidDocumentError, match="a single image for linux/amd64"):
        lock_base(OTHER, [ARM64], base.one, base.fetch)


def test_unusable_bases_are_refused():
    odd = Base(AMD64, layers=2, diff_ids=3)
    with pytest.raises(InvalidDocumentError, match="2 layers, its config 3 diff IDs"):
        lock_base(PYTHON, [], odd.one, odd.fetch)
    inner = Base(AMD64)
    outer = make_index([inner.index.descriptor._replace(platform=AMD64)])
    inner.keep(inner.index.raw)
    with pytest.raises(InvalidDocumentError, match="an index of indexes"):
        lock_base(PYTHON, [], outer, inner.fetch)


def edited(change) -> bytes:
    document = json.loads(Lockfile.of([locked()]).to_bytes())
    change(document, document["bases"][str(PYTHON)])
    return json.dumps(document).encode()


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda d, b: d.update(version=2), "version 2"),
        (lambda d, b: d.pop("bases"), "no `bases`"),
        (lambda d, b: b.pop("platforms"), "is not a valid entry"),
        (lambda d, b: b.update(digest="sha256:" + "0" * 64), "the index does not match the lockfile"),
        (lambda d, b: b.update(digest="sha256:zz"), "invalid digest"),
        (lambda d, b: b["index"]["content"].append("x"), "does not match its digest"),
        (lambda d, b: b["platforms"]["linux/amd64"]["config"]["content"].append(""), "does not match its digest"),
        (lambda d, b: b["index"]["content"].append("\ud800"), "is not a valid entry"),
        (lambda d, b: b["platforms"]["linux/amd64"]["manifest"].update(content=["\ud800"]), "is not a valid entry"),
        (lambda d, b: b["platforms"].update({"linux/vax": {}}), "unknown platform"),
        (
            lambda d, b: b["platforms"]["linux/amd64"].update(config=b["platforms"]["linux/arm64"]["config"]),
            "the config for linux/amd64 does not match",
        ),
    ],
)
def test_manual_edits_are_detected(change, message):
    with pytest.raises(InvalidDocumentError) as caught:
        Lockfile.from_bytes(edited(change), "base_images.lock")
    line = str(caught.value)
    assert message in line and line.startswith("base_images.lock")
    assert "\n" not in line
    if "hand" in line:
        assert line.count("sha256:") == 2


@pytest.mark.parametrize(
    "config, size, message",
    [
        (b"<html>", None, "JSON"),
        (b'{"a":' * 10_000 + b"1" + b"}" * 10_000, None, "nested too deep"),
        (b"\xff{}", None, "UTF-8"),
        # The config is not fetched, although the digest of these bytes differs.
        (b"{}", 200 * 2**20, "is too large: the manifest gives 209715200 bytes; the limit is 4194304"),
    ],
)
def test_an_invalid_config_is_named(config, size, message):
    base = Base(AMD64)
    fetched = []
    manifest = make_manifest(Descriptor(mt.OCI_CONFIG, base.keep(config), size or len(config)), [])

    def fetch(descriptor):
        fetched.append(descriptor.digest)
        return base.fetch(descriptor)

    with pytest.raises(InvalidDocumentError) as caught:
        lock_base(PYTHON, [], manifest, fetch)
    assert message in str(caught.value)
    assert "python:3.12-slim" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(fetched) == (size is None)


def test_each_document_is_fetched_once():
    """To select an image for a platform, the configs of entries without a platform are read."""
    base = Base(AMD64, ARM64)
    index = make_index([child._replace(platform=None) for child in base.index.manifests])
    fetched = []

    def fetch(descriptor):
        fetched.append(descriptor.digest)
        return base.fetch(descriptor)

    for platforms in ([], [ARM64], [AMD64, ARM64]):
        fetched.clear()
        found = lock_base(OTHER, platforms, index, fetch)
        assert [image.platform for image in found.images] == [each.normalized() for each in platforms or (AMD64, ARM64)]
        assert len(fetched) == len(set(fetched)) == 4
