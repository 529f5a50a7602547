"""B14 to B23 and B76: images of other tools, used as bases or copied."""

import json

import pytest
from made_images import make_image
from rows import case, row

from dockless.oci import media_types
from dockless.oci.descriptor import Descriptor
from dockless.oci.digest import Digest
from dockless.oci.manifest import make_index
from dockless.testing import Fault

GOOD = make_image(b"one", b"two")
LAYER = media_types.OCI_LAYER


@pytest.fixture
def base(registry, tmp_path):
    """`base(manifest, *blobs)` stores an image unchanged and returns its reference."""
    count = iter(range(100))

    def put(manifest, *blobs, media_type=media_types.OCI_MANIFEST):
        name = f"{tmp_path.name.replace('_', '-').lower().strip('-')}-{next(count)}"
        for blob in (*GOOD.blobs.values(), *blobs):
            registry.put_blob(name, blob)
        raw = manifest if isinstance(manifest, bytes) else json.dumps(manifest).encode()
        registry.put_manifest(name, raw, media_type, "1")
        return f"{registry.host}/{name}:1"

    return put


def with_config(config, **message):
    return {
        **GOOD.manifest.json,
        "config": {
            "mediaType": media_types.OCI_CONFIG,
            "digest": str(Digest.of(config)),
            "size": len(config),
            **message,
        },
    }


@row("B14")
def test_a_missing_tag_or_digest(refused, registry, keep):
    keep("b14", GOOD, "1")
    url = f"GET {registry.url}/v2/b14/manifests"
    message = (
        "404: MANIFEST_UNKNOWN manifest unknown; check the repository and the tag or digest, and that the user may "
        "read the repository"
    )
    assert refused("build", "oci:out", "--base", f"{registry.host}/b14:2") == f"{url}/2: {message}"
    assert refused("copy", f"{registry.host}/b14", "oci:out") == f"{url}/latest: {message}"
    digest = "sha256:" + "a" * 64
    assert refused("copy", f"{registry.host}/b14@{digest}", "oci:out") == f"{url}/{digest}: {message}"


@row("B15")
def test_a_platform_that_the_base_lacks(refused, registry, keep):
    images = [make_image(name.encode(), architecture=name) for name in ("amd64", "arm64", "s390x")]
    for image in images:
        keep("b15", image, None)
    index = make_index([image.documents.descriptor for image in images])
    registry.put_manifest("b15", index.raw, index.media_type, "1")
    where = f"{registry.host}/b15:1"
    for wanted in ("linux/riscv64", "linux/arm64/v9", "windows/amd64"):
        message = f"{where} has no image for {wanted}: it has linux/amd64, linux/arm64, linux/s390x"
        for command in (("build", "oci:out", "--base", where), ("copy", where, "oci:out"), ("inspect", where)):
            assert refused(*command, "--platform", wanted) == message
    keep("b15", GOOD, "2")
    message = f"{registry.host}/b15:2 has no image for linux/arm64: its platform is linux/amd64"
    assert refused("build", "oci:out", "--base", f"{registry.host}/b15:2", "--platform", "linux/arm64") == message


@row("B16")
def test_a_digest_that_the_registry_serves_other_bytes_for(refused, registry, keep):
    keep("b16", GOOD, "1")
    forged = GOOD.manifest.raw + b" "
    # The header has the requested digest, but the digest of the bytes counts.
    headers = {"Docker-Content-Digest": str(GOOD.manifest.digest), "Content-Type": GOOD.manifest.media_type}
    registry.faults = [Fault(on="manifest get", status=200, body=forged, headers=headers)]
    where = f"{registry.host}/b16@{GOOD.manifest.digest}"
    message = (
        f"{registry.host}/b16@{GOOD.manifest.digest} is another manifest than was requested: "
        f"requested the digest {GOOD.manifest.digest}, received {Digest.of(forged)}; "
        "do not use it: the registry, or a proxy in front of it, changed the manifest"
    )
    assert refused("build", "oci:out", "--base", where) == message
    assert refused("copy", where, "oci:out") == message


@pytest.mark.parametrize("media_type", [media_types.DOCKER_SCHEMA1_SIGNED, "application/json"])
@row("B17")
def test_docker_schema_1(refused, base, media_type):
    where = base({"schemaVersion": 1, "name": "x", "fsLayers": [], "history": []}, media_type=media_type)
    message = (
        f"{where} is a Docker schema 1 manifest: "
        f"{media_types.DOCKER_SCHEMA1_SIGNED} is not supported; push the image again with a current tool"
    )
    assert refused("build", "oci:out", "--base", where) == refused("inspect", where) == message


@row("B18")
def test_an_artifact(refused, base):
    manifest = with_config(b"{}", mediaType="application/vnd.oci.empty.v1+json")
    where = base({**manifest, "artifactType": "application/x", "layers": []}, b"{}")
    message = f"{where} is an artifact, not an image: its config is of the type application/vnd.oci.empty.v1+json"
    assert refused("build", "oci:out", "--base", where) == message
    # The media type is that of an image config, but the content is not a config.
    where = base(with_config(b"{}"), b"{}")
    message = (
        f"{where} is an artifact, not an image: its config names no OS and architecture, and no diff IDs of its layers"
    )
    assert refused("build", "oci:out", "--base", where) == message


@row("B19")
def test_indexes_of_indexes(refused, works, registry, keep):
    keep("b19", GOOD, None)
    descriptor = GOOD.manifest.descriptor
    indexes = []
    for depth in range(8):
        index = make_index([descriptor])
        indexes.append(index)
        registry.put_manifest("b19", index.raw, index.media_type, f"{depth}")
        descriptor = Descriptor(index.media_type, index.digest, len(index.raw))
    where = f"{registry.host}/b19"
    assert works("copy", f"{where}:0", "oci:flat")["digest"] == GOOD.manifest.digest
    assert works("copy", f"{where}:1", "oci:nested")["digest"] == GOOD.manifest.digest
    message = f"{where}:7 is nested in more than 4 indexes"
    assert refused("build", "oci:out", "--base", f"{where}:7") == refused("copy", f"{where}:7", "oci:out") == message
    message = f"{where}:7 ({indexes[2].digest}) is nested in more than 4 indexes"
    assert refused("copy", f"{where}:7", "oci:out", "--all-platforms") == message


@row("B19")
def test_an_index_that_lists_itself(refused, registry, keep):
    # A document cannot contain its own digest, but a registry can serve one document for all digests.
    keep("b19b", GOOD, "1")
    index = make_index([Descriptor(media_types.OCI_INDEX, Digest.of(b"x"), 1)])
    registry.faults = [Fault(on="manifest get", status=200, body=index.raw, headers={"Content-Type": index.media_type})]
    line = refused("copy", f"{registry.host}/b19b:1", "oci:out", "--all-platforms")
    assert f"requested the digest {Digest.of(b'x')}, received {index.digest}" in line


@pytest.mark.parametrize(
    "config, message",
    [
        case("B20", "text", b"not json", "Expecting value at line 1, column 1"),
        case("B20", "cut", GOOD.documents.config_bytes[:-1], "Expecting ',' delimiter at line 1, column 268"),
        case("B20", "utf-8", b'{"os":"\xff"}', "byte 7 is not UTF-8"),
        case("B20", "bom", b"\xef\xbb\xbf" + GOOD.documents.config_bytes, "the document starts with a byte order mark"),
        case("B20", "deep", b'{"a":' * 50_000, "the document is nested too deeply"),
        case("B20", "deep and whole", b'{"a":' * 500 + b"1" + b"}" * 500, "the document is nested too deeply"),
        case("B20", "array", b"[]", "the top-level value is not an object"),
        case("B20", "a key twice", b'{"os":"linux","os":"linux"}', "duplicate key 'os'"),
        case("B20", "NaN", b'{"os":NaN}', "NaN is not JSON"),
        case("B20", "digits", b'{"os":' + b"9" * 100_000 + b"}", "an integer has 100000 digits"),
    ],
)
def test_configs_that_are_not_json(refused, base, config, message):
    where = base(with_config(config), config)
    line = f"the config {Digest.of(config)} of {where} is not a valid JSON document: {message}"
    assert refused("build", "oci:out", "--base", where) == refused("inspect", where) == line


@row("B20")
def test_a_config_of_200_mb_is_not_read(refused, registry, base):
    where = base(with_config(GOOD.documents.config_bytes, size=200_000_000))
    message = f"the config {GOOD.manifest.config.digest} of {where} has 200000000 bytes: the limit is 4194304 bytes"
    assert refused("build", "oci:out", "--base", where) == message
    assert not [request for request in registry.requests if request.operation.startswith("blob")]


@row("B21")
def test_more_layers_than_diff_ids(refused, base):
    config = json.loads(GOOD.documents.config_bytes)
    config["rootfs"]["diff_ids"].pop()
    raw = json.dumps(config).encode()
    where = base(with_config(raw), raw)
    message = f"the documents of {where} are inconsistent: its manifest has 2 layers, its config 1 diff ID"
    assert refused("build", "oci:out", "--base", where) == message


@pytest.mark.parametrize(
    "media_type",
    [
        case("B22", "zstd", f"{LAYER}+zstd"),
        case("B22", "encrypted", f"{LAYER}+gzip+encrypted"),
        case(
            "B22", "nondistributable", media_types.OCI_LAYER.replace("layer.v1", "layer.nondistributable.v1") + "+gzip"
        ),
        case("B22", "future", f"{LAYER}+lz4"),
        case("B22", "anything", "text/html"),
    ],
)
def test_layers_of_other_types_pass_through(works, refused, base, media_type):
    manifest = json.loads(GOOD.manifest.raw)
    manifest["layers"][0]["mediaType"] = media_type
    where = base(manifest)
    works("build", "oci:out", "--base", where, "--label", "a=b")
    first = works("inspect", "oci:out")["layers"][0]
    assert first["media_type"] == media_type and first["digest"] == GOOD.manifest.layers[0].digest
    if media_type == "text/html":
        message = (
            "a docker image cannot have a layer with the media type 'text/html'; keep the format of the image that the "
            "layer comes from"
        )
        assert refused("build", "oci:other", "--base", where, "--format", "docker") == message


@row("B23")
def test_a_layer_whose_gzip_is_broken_passes_through_unless_it_is_read(dockless, works, base):
    broken = GOOD.blobs[GOOD.manifest.layers[0].digest][:-9]
    manifest = json.loads(GOOD.manifest.raw)
    manifest["layers"][0].update(digest=str(Digest.of(broken)), size=len(broken))
    where = base(manifest, broken)
    assert works("build", "oci:out", "--base", where, "--label", "a=b")["layers"][0] == Digest.of(broken)
    result = dockless("verify", "oci:out", "-q")
    assert result.status == 1 and "gzip stream has no end" in result.out and str(Digest.of(broken)) in result.out


@pytest.mark.parametrize(
    "config, problem",
    [
        case(
            "B76",
            "created",
            {"created": "yesterday"},
            "the config was created at 'yesterday', which is not a time (RFC 3339)",
        ),
        case(
            "B76",
            "no 13th month",
            {"created": "2024-13-01T00:00:00Z"},
            "created at '2024-13-01T00:00:00Z', which is not a time",
        ),
        case("B76", "number", {"created": 7}, "the config was created at 7, which is not a time (RFC 3339)"),
        case(
            "B76",
            "history",
            {"history": [{"created_by": "x"}] * 9},
            "history has entries for 9 layers, the image has 2",
        ),
        case("B76", "no history", {"history": None}, ""),
        case("B76", "short history", {"history": [{"empty_layer": True}] * 2 + [{"created_by": "x"}]}, ""),
    ],
)
def test_created_and_history_are_valid_in_a_build_on_the_base(dockless, works, registry, keep, config, problem):
    keep("b76", make_image(b"one", b"two", config=config), "1")
    result = dockless("verify", f"{registry.host}/b76:1", "-q")
    assert (result.status, problem in result.out) == (1 if problem else 0, True)
    works("build", "oci:out", "--base", f"{registry.host}/b76:1", "--label", "a=b")
    assert works("verify", "oci:out")["problems"] == []
    made = json.loads(dockless("inspect", "oci:out", "--config").out)
    assert made["created"] == "1970-01-01T00:00:00Z"
    assert sum(not entry.get("empty_layer") for entry in made["history"]) == 2


@row("B76")
def test_created_that_is_not_a_time(refused):
    for text in ("now", "2024-01-31", "2024-02-30T00:00:00Z", "2024-01-31T25:00:00Z", "2024-01-31T12:00:00+99:00", ""):
        message = f"{text!r} is not a time; write a time as in RFC 3339: 2024-01-31T12:00:00Z"
        line = refused("build", "oci:out", f"--created={text}", status=2)
        assert line == f"dockless build: error: argument --created: {message}; usage: dockless build --help"


def test_the_unchanged_base_is_valid(works, registry, keep):
    keep("good", GOOD, "1")
    assert works("verify", f"{registry.host}/good:1")["problems"] == []
