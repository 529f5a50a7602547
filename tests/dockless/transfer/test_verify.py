import gzip
import io
import json
import os
import re
import tarfile

import pytest
from made_images import Blobs, layout_of, make_image, tar_of
from verification import problems_of

from dockless.layout.oci_layout_writer import write_layout
from dockless.oci import media_types
from dockless.oci.descriptor import Descriptor
from dockless.oci.digest import Digest
from dockless.oci.manifest import make_index, make_manifest
from dockless.testing import Fault
from dockless.transfer.verify import verify_image


class Damaged:
    """A layout with changed documents. Digests and sizes that refer to them are updated, unless a test sets them."""

    def __init__(self, directory, **options):
        self.directory = directory
        self.image = make_image(b"one" * 500, b"two", **options)
        self.blobs = Blobs()
        self.blobs.update(self.image.blobs)
        self.config = json.loads(self.image.documents.config_bytes)
        self.manifest = self.image.manifest.json

    def blob(self, n):
        return self.directory / "blobs/sha256" / Digest(self.manifest["layers"][n]["digest"]).hex

    def layer(self, n, blob, diff_id=None):
        self.manifest["layers"][n].update(digest=self.blobs.put(blob), size=len(blob))
        if diff_id:
            self.config["rootfs"]["diff_ids"][n] = diff_id

    def plain_layer(self, n, tar):
        """Replaces a layer by one with this tar, whose digest, size and diff ID are correct."""
        self.layer(n, gzip.compress(tar, mtime=0), str(Digest.of(tar)))

    def write(self, raw_config=None, raw_manifest=None, listed=None):
        config = raw_config if raw_config is not None else json.dumps(self.config).encode()
        self.manifest["config"].update(digest=self.blobs.put(config), size=len(config))
        raw = raw_manifest if raw_manifest is not None else json.dumps(self.manifest).encode()
        root = self.image.manifest.descriptor._replace(digest=self.blobs.put(raw), size=len(raw))
        if listed:
            root = root._replace(**listed)
        layout_of(self.directory, root, blobs=self.blobs)
        return self


def entry(name, kind=tarfile.REGTYPE, link=""):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        member = tarfile.TarInfo(name)
        member.type, member.linkname = kind, link
        tar.addfile(member)
    return buffer.getvalue()


def flip(path, at=-20):
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)


# Changes of documents before they are written (BEFORE), or of files afterwards (AFTER).
BEFORE = {
    "diff IDs in another order": (lambda d: d.config["rootfs"]["diff_ids"].reverse(), "does not match its diff ID"),
    "a diff id too few": (lambda d: d.config["rootfs"]["diff_ids"].pop(), "has 2 layers, its config 1 diff ID"),
    "a diff id that is none": (lambda d: d.config["rootfs"]["diff_ids"].__setitem__(0, "x"), "invalid digest"),
    "no rootfs": (lambda d: d.config.pop("rootfs"), "no rootfs.diff_ids"),
    "another rootfs type": (lambda d: d.config["rootfs"].update(type="tree"), "has the type 'tree', not layers"),
    "more history than layers": (
        lambda d: d.config.update(history=[{}] * 3),
        "has entries for 3 layers, the image has 2",
    ),
    "history that is no list": (lambda d: d.config.update(history={}), "history that is not a list"),
    "created at no time": (lambda d: d.config.update(created="today"), "'today', which is not a time"),
    "history at no time": (lambda d: d.config.update(history=[{"created": 1}]), "entry 0 of the history"),
    "Env that is an object": (lambda d: d.config.update(config={"Env": {}}), "Env that is not a list"),
    "Cmd that is text": (lambda d: d.config.update(config={"Cmd": "sh"}), "Cmd is not a list of strings"),
    "ports that are a list": (lambda d: d.config.update(config={"ExposedPorts": ["80"]}), "ExposedPorts is not an obj"),
    "Labels that are no text": (lambda d: d.config.update(config={"Labels": {"a": 1}}), "not a map of strings"),
    "a negative size": (lambda d: d.manifest["layers"][0].update(size=-1), "an invalid size"),
    "a size over all bounds": (lambda d: d.manifest["layers"][0].update(size=2**64), "an invalid size"),
    "a layer's size is wrong": (lambda d: d.manifest["layers"][0].update(size=7), "bytes, its descriptor says 7"),
    "a digest with a path in it": (
        lambda d: d.manifest["layers"][0].update(digest="sha256:../../../etc/passwd"),
        "invalid digest",
    ),
    "a layer without a type": (lambda d: d.manifest["layers"][0].pop("mediaType"), "no mediaType"),
    "a layer of no layer's type": (
        lambda d: d.manifest["layers"][0].update(mediaType="text/html"),
        "not that of a layer",
    ),
    "zstd that is gzip": (
        lambda d: d.manifest["layers"][0].update(mediaType=media_types.OCI_LAYER + "+zstd"),
        "but its compression is gzip",
    ),
    "a layer that is no tar": (lambda d: d.plain_layer(0, b"hello" * 500), "wrong checksum"),
    "a tar that ends too early": (lambda d: d.plain_layer(0, tar_of({"f": b"x" * 5000})[:2000]), "is truncated"),
    "gzip that ends too early": (
        lambda d: d.layer(0, d.blobs[Digest(d.manifest["layers"][0]["digest"])][:-6]),
        "gzip stream has no end",
    ),
    "something after the gzip": (
        lambda d: d.layer(0, d.blobs[Digest(d.manifest["layers"][0]["digest"])] + b"evil"),
        "other bytes after its gzip stream",
    ),
    "a path that climbs": (lambda d: d.plain_layer(0, entry("a/../../etc/passwd")), "outside of the image"),
    "a hard link that climbs": (
        lambda d: d.plain_layer(0, entry("x", tarfile.LNKTYPE, "../../etc/shadow")),
        "hard link 'x' to '../../etc/shadow'",
    ),
    "a whiteout of ..": (lambda d: d.plain_layer(0, entry("a/.wh...")), "whiteout 'a/.wh...', which names no file"),
    "a url with a password": (
        lambda d: d.manifest["layers"][0].update(urls=["https://u:p@x.example/l"]),
        "which is not a plain http",
    ),
    "a file as url": (lambda d: d.manifest["layers"][0].update(urls=["file:///etc/passwd"]), "not a plain http"),
    "manifest and index at once": (lambda d: d.manifest.update(manifests=[]), "reads as a manifest and as an index"),
    "a schemaVersion of its own": (lambda d: d.manifest.update(schemaVersion=3), "schemaVersion is not 2"),
    "schema 1": (lambda d: d.manifest.update(schemaVersion=1), "Docker schema 1"),
    "another type than it is listed with": (
        lambda d: d.manifest.update(mediaType=media_types.DOCKER_MANIFEST),
        "has the mediaType .*docker.*it was served as .*oci",
    ),
    "layers that are no list": (lambda d: d.manifest.update(layers={}), "no list of layers"),
}
AFTER = {
    "a bit flipped in a layer": (lambda d: flip(d.blob(0)), "is damaged: its digest is"),
    "a layer is gone": (lambda d: d.blob(0).unlink(), "lacks the blob"),
    "a layer is empty": (lambda d: d.blob(0).write_bytes(b""), "has 0 bytes, its descriptor says"),
    "a layer is longer": (
        lambda d: d.blob(1).write_bytes(d.blob(1).read_bytes() + b"x"),
        "other bytes after|bytes, its",
    ),
    "a layer is cut off": (lambda d: d.blob(0).write_bytes(d.blob(0).read_bytes()[:50]), "is truncated"),
    "a layer is a link": (lambda d: (d.blob(0).unlink(), d.blob(0).symlink_to("/etc/passwd")), "lacks the blob"),
    "a layer is a pipe": (lambda d: (d.blob(0).unlink(), os.mkfifo(d.blob(0))), "lacks the blob"),
    "a bit flipped in the config": (
        lambda d: flip(d.directory / "blobs/sha256" / d.config_hex, 3),
        "the config .* is damaged",
    ),
    "a bit flipped in the manifest": (lambda d: flip(d.directory / "blobs/sha256" / d.root_hex, 9), "is damaged: its"),
    "the manifest is gone": (lambda d: (d.directory / "blobs/sha256" / d.root_hex).unlink(), "lacks the blob"),
    "a blob that nothing names is not what it is called": (
        lambda d: (d.directory / "blobs/sha256" / ("0" * 64)).write_text("x"),
        "does not match its name",
    ),
    "no oci-layout": (lambda d: (d.directory / "oci-layout").unlink(), "is not an OCI layout"),
    "another layout version": (
        lambda d: (d.directory / "oci-layout").write_text('{"imageLayoutVersion": "9"}'),
        "does not have the version",
    ),
    "an index that is no JSON": (lambda d: (d.directory / "index.json").write_text("{"), "not a valid JSON document"),
    "an index with a key twice": (
        lambda d: (d.directory / "index.json").write_text('{"schemaVersion":2,"schemaVersion":2,"manifests":[]}'),
        "duplicate key",
    ),
}


@pytest.mark.parametrize("kind", BEFORE)
def test_wrong_documents_and_layers(tmp_path, kind):
    damage, reason = BEFORE[kind]
    damaged = Damaged(tmp_path / "l")
    damage(damaged)
    damaged.write()
    assert_says(problems_of(f"oci:{tmp_path}/l"), reason)


@pytest.mark.parametrize("kind", AFTER)
def test_damaged_files(tmp_path, kind):
    damage, reason = AFTER[kind]
    damaged = Damaged(tmp_path / "l").write()
    damaged.config_hex = Digest(damaged.manifest["config"]["digest"]).hex
    damaged.root_hex = Digest(json.loads((tmp_path / "l/index.json").read_text())["manifests"][0]["digest"]).hex
    assert problems_of(f"oci:{tmp_path}/l") == ""
    damage(damaged)
    assert_says(problems_of(f"oci:{tmp_path}/l"), reason)


def assert_says(message, reason):
    assert re.search(reason, message), message


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"<html>", "not a valid JSON document"),
        (b'{"a":' * 10_000 + b"1" + b"}" * 10_000, "nested too deep"),
        (b"{" + b" " * (5 << 20) + b"}", "the limit is 4194304 bytes"),
        (b'{"a": NaN}', "not JSON"),
        ("\ufeff{}".encode(), "byte order mark"),
    ],
    ids=["html", "deep", "large", "nan", "bom"],
)
def test_a_config_that_cannot_be_read(tmp_path, raw, reason):
    Damaged(tmp_path / "l").write(raw_config=raw)
    assert_says(problems_of(f"oci:{tmp_path}/l"), reason)


def test_an_index_with_another_platform_or_too_many_levels(tmp_path):
    image = make_image(b"x")
    platform = image.documents.platform._replace(architecture="arm64")
    index = make_index([image.manifest.descriptor._replace(platform=platform)])
    image.blobs.put(index.raw)
    for _ in range(6):
        index = make_index([index.descriptor])
        image.blobs.put(index.raw)
    layout_of(tmp_path / "l", image.manifest.descriptor._replace(platform=platform), blobs=image.blobs)
    assert "lists the platform linux/arm64, and the config has linux/amd64" in problems_of(f"oci:{tmp_path}/l")
    layout_of(tmp_path / "d", index.descriptor, blobs=image.blobs)
    assert "nested in more than 4 indexes" in problems_of(f"oci:{tmp_path}/d")


def test_a_decompression_bomb_is_not_decompressed(tmp_path, monkeypatch):
    zstandard = pytest.importorskip("zstandard")
    monkeypatch.setattr("dockless.tar.decompress._ALWAYS_ALLOWED", 1 << 20)
    damaged = Damaged(tmp_path / "l")
    bomb = zstandard.compress(b"\0" * (1 << 26))
    damaged.layer(0, bomb, str(Digest.of(b"")))
    damaged.manifest["layers"][0]["mediaType"] = media_types.OCI_LAYER + "+zstd"
    damaged.write()
    assert "is a decompression bomb" in problems_of(f"oci:{tmp_path}/l")


def test_all_problems_are_reported(tmp_path):
    damaged = Damaged(tmp_path / "l").write()
    flip(damaged.blob(0))
    damaged.blob(1).unlink()
    assert len(verify_image(f"oci:{tmp_path}/l").problems) >= 2


def test_valid_images_have_no_problems(tmp_path, registry, push):
    for n, options in enumerate([{}, {"docker": True}, {"compress": False}, {"urls": ["https://x.example/l"]}]):
        image = make_image(b"one", b"two", **options)
        if "urls" in options:
            del image.blobs[image.manifest.layers[0].digest]
        push(registry, f"app{n}", "1", image)
        found = verify_image(f"{registry.host}/app{n}:1")
        assert found.problems == () and found.manifests == 1
        assert found.foreign == ((image.manifest.layers[0].digest,) if "urls" in options else ())


def test_damaged_blobs_of_a_registry(registry, push):
    image = make_image(b"one", b"two")
    push(registry, "app", "1", image)
    registry.faults = [Fault(on="blob get", reference=image.manifest.layers[0].digest, corrupt=30)]
    assert "damaged" in problems_of(f"{registry.host}/app:1")


def test_attestations_and_artifacts_are_verified_as_blobs(tmp_path):
    """Attestations of buildkit have the config of an image, and layers that are not tars. Artifacts have any layers."""
    attestation = make_image(b"{}")
    blobs = attestation.blobs

    def blob(data, media_type):
        return Descriptor(media_type, blobs.put(data), len(data))

    statement = blob(b'{"_type": "https://in-toto.io/Statement/v0.1"}', "application/vnd.in-toto+json")
    made = make_manifest(attestation.manifest.config, [statement])
    empty = blob(b"{}", "application/vnd.oci.empty.v1+json")
    artifact = make_manifest(empty, [blob(b"hello", "text/plain")])
    helm = blob(b'{"name": "chart", "rootfs": "not that of an image"}', "application/vnd.cncf.helm.config.v1+json")
    chart = make_manifest(
        helm,
        [
            blob(
                gzip.compress(tar_of({"Chart.yaml": b""}), mtime=0),
                "application/vnd.cncf.helm.chart.content.v1.tar+gzip",
            )
        ],
    )
    for n, manifest in enumerate((made, artifact, chart)):
        blobs[manifest.digest] = manifest.raw
        wanted = [manifest.descriptor, manifest.config, *manifest.layers]
        write_layout(str(tmp_path / f"{n}"), [manifest.descriptor], wanted, blobs)
        assert verify_image(f"oci:{tmp_path}/{n}").problems == ()
        for damaged in (manifest.layers[0], manifest.config):
            path = tmp_path / f"{n}/blobs/sha256" / damaged.digest.hex
            right = path.read_bytes()
            path.write_bytes(right[:-1] + b"!")
            problems = verify_image(f"oci:{tmp_path}/{n}").problems
            assert any(damaged.digest in line and "is damaged" in line for line in problems), problems
            path.write_bytes(right)
