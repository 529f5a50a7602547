"""The image that is selected from an index, whatever the index says about platforms."""

import pytest
from raw_layout import RawLayout, platform

from dockless.lockfile import lock_base
from dockless.oci.manifest import Index, parse_manifest
from dockless.oci.platform import Platform, choose
from dockless.oci.reference import Reference

ATTESTATION = {
    "platform": platform("unknown/unknown"),
    "annotations": {"vnd.docker.reference.type": "attestation-manifest"},
}
IN_TOTO = "application/vnd.in-toto+json"


@pytest.fixture
def layout(tmp_path):
    return RawLayout(tmp_path / "l")


def attestation(layout):
    """Returns the manifest of an attestation as BuildKit writes it."""
    statement = layout.blob(b"{}", IN_TOTO)
    config = layout.blob(
        {"architecture": "unknown", "os": "unknown", "rootfs": {"type": "layers", "diff_ids": [statement["digest"]]}},
        "application/vnd.oci.image.config.v1+json",
    )
    return layout.manifest(config, [statement])


def digest_of(dockless, layout, root, *options):
    """Returns the digest of the image that `copy` selects."""
    where = layout.write(root)
    result = dockless("copy", "--json", where, f"oci:{layout.directory}.out", *options)
    assert result.status == 0, result.err
    return result.json["digest"]


def error_of(dockless, layout, root, *options):
    result = dockless("copy", layout.write(root), f"oci:{layout.directory}.out", *options)
    assert result.status == 1
    return result.err


# How the index is made of an image for amd64 and one for arm64.
INDEXES = {
    "one entry without a platform": lambda layout, amd, arm: layout.index(amd),
    "two entries without a platform": lambda layout, amd, arm: layout.index(arm, amd),
    "an empty platform": lambda layout, amd, arm: layout.index({**amd, "platform": {}}),
    "a platform that is null": lambda layout, amd, arm: layout.index({**amd, "platform": None}, arm),
    "a platform with empty values": lambda layout, amd, arm: layout.index(
        {**arm, "platform": {"os": "", "architecture": ""}}, {**amd, "platform": {"os": "", "architecture": ""}}
    ),
    "a platform without an architecture": lambda layout, amd, arm: layout.index(
        {**arm, "platform": {"os": "linux"}}, {**amd, "platform": {"os": "linux"}}
    ),
    "a platform that is unknown": lambda layout, amd, arm: layout.index(
        {**amd, "platform": platform("unknown/unknown")}
    ),
    "beside an entry with another platform": lambda layout, amd, arm: layout.index(
        {**arm, "platform": platform("linux/arm64")}, amd
    ),
    "beside an attestation": lambda layout, amd, arm: layout.index({**attestation(layout), **ATTESTATION}, amd),
    "beside an attestation without annotations": lambda layout, amd, arm: layout.index(
        {**attestation(layout), "platform": platform("unknown/unknown")}, amd
    ),
    "beside an attestation without a platform": lambda layout, amd, arm: layout.index(attestation(layout), amd),
    "beside an artifact": lambda layout, amd, arm: layout.index(
        layout.manifest(layout.blob({}, "application/vnd.oci.empty.v1+json"), []), amd
    ),
    "beside a manifest that is missing": lambda layout, amd, arm: layout.index(
        {**amd, "digest": "sha256:" + "0" * 64}, amd
    ),
    "beside a blob of another type": lambda layout, amd, arm: layout.index(layout.blob(b"x", "text/plain"), amd),
    "beside a digest of another algorithm": lambda layout, amd, arm: layout.index(
        {**layout.blob({}, amd["mediaType"], "sha512"), "platform": platform("linux/amd64")}, amd
    ),
    "nested": lambda layout, amd, arm: layout.index(layout.index(amd)),
    "nested, in the second index": lambda layout, amd, arm: layout.index(layout.index(arm), layout.index(amd)),
    "nested, with the platform of the index": lambda layout, amd, arm: layout.index(
        {**layout.index(arm), "platform": platform("linux/arm64")},
        {**layout.index(amd), "platform": platform("linux/amd64")},
    ),
    "nested twice": lambda layout, amd, arm: layout.index(
        layout.index(layout.index({**amd, "platform": platform("linux/amd64")}))
    ),
}


@pytest.mark.parametrize("kind", INDEXES)
def test_the_config_names_the_platform(dockless, layout, kind):
    amd, arm = layout.image("linux/amd64"), layout.image("linux/arm64")
    root = INDEXES[kind](layout, amd, arm)
    assert digest_of(dockless, layout, root, "--platform", "linux/amd64") == amd["digest"]
    assert digest_of(dockless, layout, root) == amd["digest"]
    message = error_of(dockless, layout, root, "--platform", "linux/s390x")
    # The image that is missing could be the one.
    assert "has no image for linux/s390x" in message or ("missing" in kind and "lacks the blob" in message)


@pytest.mark.parametrize(
    ("requested", "available", "expected"),
    [
        ("linux/arm/v7", ["linux/arm/v6"], 0),
        ("linux/arm/v7", ["linux/arm/v5", "linux/arm/v6"], 1),
        ("linux/arm/v7", ["linux/arm/v6", "linux/arm/v7"], 1),
        ("linux/arm/v7", ["linux/arm/v6", "linux/arm"], 1),
        ("linux/arm/v8", ["linux/arm/v5", "linux/arm/v7"], 1),
        ("linux/arm", ["linux/arm/v5"], 0),
        ("linux/arm/v6", ["linux/arm/v7"], None),
        ("linux/arm/v6", ["linux/arm"], None),
        ("linux/amd64/v2", ["linux/amd64"], 0),
        ("linux/amd64/v3", ["linux/amd64", "linux/amd64/v2"], 1),
        ("linux/amd64/v2", ["linux/amd64/v3", "linux/amd64/v1"], 1),
        ("linux/amd64", ["linux/amd64/v2"], None),
        ("linux/amd64", ["linux/386"], None),
        ("linux/arm64", ["linux/arm/v7"], None),
        ("linux/arm64/v9", ["linux/arm64"], None),
        ("linux/arm64", ["linux/arm64/v8"], 0),
        ("linux/arm64/v8", ["linux/arm64"], 0),
    ],
)
def test_the_order_of_preference(dockless, layout, requested, available, expected):
    images = [layout.image(text) for text in available]
    listed = [{**image, "platform": platform(text)} for image, text in zip(images, available)]
    # By the index, and by the configs.
    for root in (layout.index(*listed), layout.index(*images)):
        if expected is None:
            assert f"has no image for {requested}" in error_of(dockless, layout, root, "--platform", requested)
        else:
            found = digest_of(dockless, layout, root, "--platform", requested)
            assert found == images[expected]["digest"]
    found = choose([Platform.parse(text) for text in available], lambda item: item, Platform.parse(requested))
    assert found == (None if expected is None else Platform.parse(available[expected]))


@pytest.mark.parametrize(
    ("own", "listed", "is_valid"),
    [
        ("linux/amd64", {}, True),
        ("linux/amd64", {"os": "linux"}, True),
        ("linux/amd64", platform("unknown/unknown"), True),
        ("linux/amd64", platform("linux/arm64"), False),
        ("linux/arm", platform("linux/arm/v6"), True),
        ("linux/arm/v7", platform("linux/arm/v6"), False),
    ],
)
def test_platforms_in_the_index_and_in_the_config(dockless, layout, own, listed, is_valid):
    result = dockless("verify", layout.write(layout.index({**layout.image(own), "platform": listed})))
    assert ("the index lists the platform" in result.out) is not is_valid
    assert result.status == (0 if is_valid else 1)


def test_a_single_image_of_a_lower_variant(dockless, layout):
    where = layout.write(layout.image("linux/arm/v6"))
    result = dockless("build", "--json", "oci:out", "--base", where, "--platform", "linux/arm/v7", "--label", "a=b")
    assert (result.status, result.json["platform"]) == (0, "linux/arm/v6")
    result = dockless("inspect", where, "--platform", "linux/arm/v5")
    assert "has no image for linux/arm/v5: its platform is linux/arm/v6" in result.err


def test_a_registry(dockless, layout, registry):
    amd, arm = layout.image("linux/amd64"), layout.image("linux/arm64")
    root = layout.index(layout.index(arm), amd)
    assert dockless("copy", layout.write(root), f"{registry.host}/a:1", "--all-platforms", "--insecure").status == 0
    for requested, expected in (("linux/amd64", amd), ("linux/arm64", arm)):
        result = dockless("inspect", "--json", f"{registry.host}/a:1", "--platform", requested, "--insecure")
        assert result.json["digest"] == expected["digest"]


def test_many_entries_without_a_platform(dockless, layout):
    entries = [layout.image("linux/arm64", content=str(n)) for n in range(101)]
    message = error_of(dockless, layout, layout.index(*entries), "--platform", "linux/amd64")
    assert "names no platform for more than 100 manifests; name an image by its digest" in message


def test_no_config_is_read_without_need(dockless, layout):
    amd = layout.image("linux/amd64")
    broken = {**amd, "digest": "sha256:" + "0" * 64}
    assert digest_of(dockless, layout, layout.index(broken, {**amd, "platform": platform("linux/amd64")}))
    message = error_of(dockless, layout, layout.index(broken), "--platform", "linux/amd64")
    assert "lacks the blob" in message


def test_bases_are_locked_by_the_platform_of_their_configs(layout):
    reference = Reference.parse("reg.example/base:1")

    def lock(root, *platforms):
        raw = layout.blobs[root["digest"]]
        document = parse_manifest(raw, "x")
        return lock_base(
            reference,
            [Platform.parse(text) for text in platforms],
            document,
            lambda descriptor: layout.blobs[descriptor.digest],
        )

    amd, v6, empty = layout.image(), layout.image("linux/arm/v6"), layout.image(config={"os": "", "architecture": ""})
    root = layout.index(amd, v6, {**attestation(layout), **ATTESTATION})
    assert [str(image.platform) for image in lock(root).images] == ["linux/amd64", "linux/arm/v6"]
    locked = lock(root, "linux/arm/v7")
    assert [str(image.platform) for image in locked.images] == ["linux/arm/v6"]
    assert locked.image(Platform.parse("linux/arm/v7")).manifest.digest == v6["digest"]
    # A better image is in the index, but is not locked.
    both = layout.index({**amd, "platform": platform("linux/amd64")}, {**amd, "platform": platform("linux/amd64/v2")})
    only = lock(both, "linux/amd64")
    assert isinstance(only.platform_index, Index)
    with pytest.raises(ValueError, match="is not locked for linux/amd64/v2"):
        only.image(Platform.parse("linux/amd64/v2"))
    assert [str(image.platform) for image in lock(empty, "linux/amd64").images] == ["linux/amd64"]
    with pytest.raises(ValueError, match="names no platform: its config has no os and architecture"):
        lock(empty)
