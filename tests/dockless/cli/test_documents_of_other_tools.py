"""Artifacts, configs without a platform, null values, and layouts that other tools also write to."""

import json
import tarfile

import pytest
from raw_layout import RawLayout, named

from dockless import Image
from dockless.oci import media_types

EMPTY = "application/vnd.oci.empty.v1+json"
LAYER_TAR = media_types.OCI_LAYER
SHA512 = "sha512"


@pytest.fixture
def layout(tmp_path):
    return RawLayout(tmp_path / "l")


def files_of(layout):
    return {path: path.read_bytes() for path in layout.directory.rglob("*") if path.is_file()}


def signature(layout, platform=None):
    """Returns the manifest of a signature as cosign writes it."""
    payload = layout.blob(b'{"critical":{}}', "application/vnd.dev.cosign.simplesigning.v1+json")
    config = {"created": "0001-01-01T00:00:00Z", "history": [{"created": "0001-01-01T00:00:00Z"}], "config": {}}
    config["rootfs"] = {"type": "layers", "diff_ids": [payload["digest"]]}
    config.update({"architecture": "", "os": ""} if platform is None else platform)
    return layout.manifest(layout.blob(config, media_types.OCI_CONFIG), [payload])


# Manifests that are not those of an image.
ARTIFACTS = {
    "a file typed as a layer": lambda layout: layout.manifest(
        layout.blob({}, EMPTY), [layout.blob(b"hello\n", LAYER_TAR)], artifactType="application/x"
    ),
    "a file typed as a gzip layer": lambda layout: layout.manifest(
        layout.blob({}, EMPTY), [layout.blob(b"hello\n", LAYER_TAR + "+gzip")], artifactType="application/x"
    ),
    "a file of an old ORAS": lambda layout: layout.manifest(
        layout.blob({}, "application/vnd.unknown.config.v1+json"), [layout.blob(b"hello\n", LAYER_TAR)]
    ),
    "a config that is empty": lambda layout: layout.manifest(
        layout.blob(b"", media_types.OCI_CONFIG), [layout.blob(b"hello\n", LAYER_TAR)]
    ),
    "an image config without content": lambda layout: layout.manifest(
        layout.blob({}, media_types.OCI_CONFIG), [layout.blob(b"hello\n", LAYER_TAR)]
    ),
    "an empty artifact": lambda layout: layout.manifest(
        layout.blob({}, EMPTY), [layout.blob({}, EMPTY)], artifactType="application/x", subject=None
    ),
    "no layers": lambda layout: layout.manifest(layout.blob({}, EMPTY), None, artifactType="application/x"),
    "a config that is not JSON": lambda layout: layout.manifest(
        layout.blob(b"<config/>\n", "text/xml"), [layout.blob(b"\0asm", "application/wasm")]
    ),
    "a signature": signature,
    "a signature without os": lambda layout: signature(layout, {}),
    "a signature with null": lambda layout: signature(layout, {"os": None, "architecture": None}),
    "an artifact with a subject": lambda layout: layout.manifest(
        layout.blob({}, EMPTY), [layout.blob(b"x", "text/plain")], subject=layout.image()
    ),
}


@pytest.mark.parametrize("kind", ARTIFACTS)
def test_artifacts(dockless, layout, registry, tmp_path, kind):
    root = ARTIFACTS[kind](layout)
    where = layout.write(named(root, "x"))
    for copy in (f"{registry.host}/a:1", f"oci:{tmp_path}/copied:x", f"oci-archive:{tmp_path}/a.tar:x"):
        copied = dockless("copy", "--json", where, copy, "--insecure")
        assert (copied.status, copied.err and copied.json["digest"]) == (0, root["digest"])
        shown = dockless("inspect", "--json", copy, "--insecure")
        assert (shown.status, shown.json["digest"]) == (0, root["digest"])
        assert [layer["digest"] for layer in shown.json["layers"]] == [
            layer["digest"] for layer in json.loads(layout.blobs[root["digest"]])["layers"] or ()
        ]
        assert dockless("inspect", copy, "--insecure").status == 0
        config = json.loads(layout.blobs[root["digest"]])["config"]["digest"]
        assert dockless("inspect", "--config", copy, "--insecure").out.encode() == layout.blobs[config]
        assert dockless("verify", copy, "--insecure").status == 0
    message = dockless("build", "oci:out", "--base", where).err
    assert "is an artifact, not an image: its config" in message
    assert "is an artifact, not an image" in dockless("copy", where, f"docker-archive:{tmp_path}/d.tar").err


@pytest.mark.parametrize("media_type", sorted(media_types.ARTIFACTS))
@pytest.mark.parametrize("is_listed", [False, True])
def test_artifact_manifests(dockless, layout, registry, tmp_path, media_type, is_listed):
    """Artifact manifests have no config: ORAS 1.0 wrote the first kind, and ORAS before it the second."""
    blob = layout.blob(b"hello", LAYER_TAR + "+gzip")
    document = {"mediaType": media_type, "artifactType": "application/x", "blobs": [blob], "annotations": None}
    artifact = layout.blob({**document, "subject": layout.image()}, media_type)
    root = layout.index(layout.image(), artifact) if is_listed else artifact
    where = layout.write(named(root, "x"))
    for copy in (f"{registry.host}/a:1", f"oci:{tmp_path}/copied:x", f"oci-archive:{tmp_path}/a.tar:x"):
        copied = dockless("copy", "--json", where, copy, "--insecure", *(["--all-platforms"] if is_listed else []))
        assert (copied.status, copied.err and copied.json["digest"]) == (0, root["digest"])
        assert dockless("digest", copy, "--insecure").out.strip() == root["digest"]
        if not is_listed:
            shown = dockless("inspect", "--json", copy, "--insecure").json
            shown_blob = {"digest": blob["digest"], "size": blob["size"], "media_type": blob["mediaType"]}
            assert shown["blobs"] == [shown_blob]
        assert dockless("verify", copy, "--insecure").status == 0
    (tmp_path / "copied/blobs/sha256" / blob["digest"][7:]).write_bytes(b"hellO")
    result = dockless("verify", f"oci:{tmp_path}/copied")
    assert result.status == 1 and f"the blob {blob['digest']} is damaged" in result.out
    layout.write(artifact)
    for arguments in (
        ("build", "oci:out", "--base", where),
        ("copy", where, f"docker-archive:{tmp_path}/d.tar"),
        ("inspect", where, "--config"),
        ("copy", where, "oci:out", "--platform", "linux/amd64"),
    ):
        result = dockless(*arguments)
        assert result.status == 1 and f"is an artifact, not an image: it is of the type {media_type}" in result.err


@pytest.mark.parametrize("keys", [{"layers": []}, {"manifests": []}, {"blobs": {}}, {"blobs": [1]}, {"subject": 1}])
def test_an_artifact_manifest_that_is_ambiguous_or_invalid(dockless, layout, keys):
    media_type = min(media_types.ARTIFACTS)
    where = layout.write(layout.blob({"mediaType": media_type, **keys}, media_type))
    for command in ("inspect", "digest", "verify"):
        result = dockless(command, where)
        assert result.status == 1 and "Traceback" not in result.err


@pytest.mark.parametrize("keys", [{"schemaVersion": 2}, {}, {"config": 1, "layers": "x", "subject": []}])
@pytest.mark.parametrize("is_declared", [False, True])
def test_a_root_of_an_unknown_media_type(dockless, layout, registry, keys, is_declared):
    media_type = "application/vnd.example.thing.v1+json"
    if not is_declared and keys.get("schemaVersion"):
        keys = {"config": None}
    root = layout.blob({**keys, **({"mediaType": media_type} if is_declared else {})}, media_type)
    raw = layout.blobs[root["digest"]]
    registry.put_manifest("a", raw, media_type, "1")
    for where in (layout.write(root), f"{registry.host}/a:1"):
        shown = dockless("inspect", "--json", where, "--insecure")
        expected = {"source": where, "digest": root["digest"], "media_type": media_type, "size": len(raw)}
        assert (shown.status, shown.json) == (0, expected)
        assert dockless("inspect", "--raw", where, "--insecure").out.encode() == raw
        assert dockless("digest", where, "--insecure").out.strip() == root["digest"]
        copied = dockless("copy", where, "oci:out", "--insecure")
        assert copied.status == 1 and f"has the unknown mediaType {media_type}" in copied.err


@pytest.mark.parametrize("kind", ["a file typed as a layer", "a signature", "an artifact with a subject"])
def test_damaged_blobs_of_artifacts_are_found(dockless, layout, kind):
    root = ARTIFACTS[kind](layout)
    where = layout.write(root)
    layer = json.loads(layout.blobs[root["digest"]])["layers"][0]
    path = layout.directory / "blobs/sha256" / layer["digest"][7:]
    data = bytearray(layout.blobs[layer["digest"]])
    data[0] ^= 1
    path.write_bytes(data)
    result = dockless("verify", where)
    assert result.status == 1 and f"the blob {layer['digest']} is damaged" in result.out


def test_a_blob_of_an_artifact_and_of_an_image_is_verified_as_a_layer(dockless, layout):
    layer = layout.blob(b"hello\n", LAYER_TAR)
    artifact = layout.manifest(layout.blob({}, EMPTY), [layer])
    config = {"os": "linux", "architecture": "amd64", "rootfs": {"type": "layers", "diff_ids": [layer["digest"]]}}
    image = layout.manifest(layout.blob(config, media_types.OCI_CONFIG), [layer])
    for roots in ((artifact, image), (image, artifact)):
        assert "the tar in the layer" in dockless("verify", layout.write(*roots)).out
    assert dockless("verify", layout.write(artifact)).status == 0


@pytest.mark.parametrize(
    "platform",
    [
        {"os": "", "architecture": ""},
        {"os": None, "architecture": None},
        {"os": "linux", "architecture": ""},
        {"os": "", "architecture": "arm64"},
    ],
    ids=["empty", "null", "no architecture", "no os"],
)
def test_images_without_a_platform(dockless, layout, tmp_path, platform):
    """Buildpacks are such images: layers of tars, and a config without a platform."""
    where = layout.write(layout.image(config=platform))
    assert dockless("inspect", where).status == dockless("verify", where).status == 0
    assert dockless("inspect", where, "--platform", "linux/arm64").status == 0
    built = dockless("build", "--json", f"oci:{tmp_path}/o", "--base", where, "--label", "a=b").json
    expected = f"{platform['os'] or 'linux'}/{platform['architecture'] or 'amd64'}"
    assert built["platform"] == expected
    options = ("--platform", "linux/arm64", "--label", "a=b")
    assert dockless("build", "--json", "oci:p", "--base", where, *options).json["platform"] == "linux/arm64"
    # Without a change, the image is the base.
    assert dockless("copy", "--json", where, "oci:q").json["digest"] == layout.roots()[0]["digest"]
    assert dockless("copy", where, f"docker-archive:{tmp_path}/d.tar:a:1").status == 0
    assert dockless("inspect", f"docker-archive:{tmp_path}/d.tar").status == 0


def test_layers_of_images_without_a_platform_are_verified(dockless, layout):
    layer, diff_id = layout.layer(b"x")
    config = {"rootfs": {"type": "layers", "diff_ids": [diff_id[:-4] + "0000"]}}
    where = layout.write(layout.manifest(layout.blob(config, media_types.OCI_CONFIG), [layer]))
    assert "does not match its diff ID" in dockless("verify", where).out


# Keys that are null in the config, and keys of the manifest.
NULLS = {
    "config": ({"config": None}, {}),
    "history": ({"history": None}, {}),
    "an entry of the history": ({"history": [None]}, {}),
    "created": ({"created": None, "author": None}, {}),
    "Labels": ({"config": {"Labels": None}}, {}),
    "a label": ({"config": {"Labels": {"a": None, "b": "c"}}}, {}),
    "Env": ({"config": {"Env": None}}, {}),
    "an entry of Env": ({"config": {"Env": ["A=1", None]}}, {}),
    "lists": ({"config": {"Cmd": None, "Entrypoint": None, "OnBuild": None, "Shell": None}}, {}),
    "an item of a list": ({"config": {"Cmd": ["sh", None], "Entrypoint": [None]}}, {}),
    "sets": ({"config": {"Volumes": None, "ExposedPorts": None}}, {}),
    "items of sets": ({"config": {"Volumes": {"/a": None}, "ExposedPorts": {"80/tcp": None}}}, {}),
    "texts": ({"config": {"User": None, "WorkingDir": None, "StopSignal": None, "Healthcheck": None}}, {}),
    "platform": ({"variant": None, "os.version": None, "os.features": None}, {}),
    "an item of os.features": ({"os.features": [None]}, {}),
    "annotations": ({}, {"annotations": None}),
    "an annotation": ({}, {"annotations": {"a": None, "b": "c"}}),
    "subject": ({}, {"subject": None, "artifactType": None}),
    "mediaType": ({}, {"mediaType": None}),
    "manifests": ({}, {"manifests": None}),
    "rootfs and layers": ({"rootfs": None}, {"layers": None}),
    "diff_ids and layers": ({"rootfs": {"type": "layers", "diff_ids": None}}, {"layers": None}),
}


@pytest.mark.parametrize("kind", NULLS)
def test_null_is_an_absent_value(dockless, layout, registry, tmp_path, kind):
    config, manifest = NULLS[kind]
    root = layout.image(config=config, manifest=manifest)
    where = layout.write(named(root, "x"))
    copied = f"{registry.host}/a:1"
    assert dockless("copy", "--json", where, copied, "--insecure").json["digest"] == root["digest"]
    assert registry.manifest("a", "1").raw == layout.blobs[root["digest"]]
    for command in (("inspect", where), ("inspect", "--json", where), ("verify", where), ("inspect", copied)):
        result = dockless(*command, "--insecure")
        assert (result.status, result.err if result.status else "") == (0, "")
    options = ("--env", "B=2", "--label", "x=y", "--expose", "81", "--volume", "/b", "--annotation", "c=d")
    built = dockless("build", f"oci:{tmp_path}/o", "--base", where, *options)
    assert (built.status, built.err if built.status else "") == (0, "")
    assert dockless("verify", f"oci:{tmp_path}/o").status == 0
    image = Image.from_layout(str(tmp_path / "o"))
    assert image.env["B"] == "2" and image.config["config"]["Labels"]["x"] == "y"
    assert None not in image.config["config"]["Env"]
    assert None not in image.config["config"]["Labels"].values()
    assert image.rebase(Image.load(where), Image.load(where)).layers == image.layers
    assert dockless("copy", where, f"docker-archive:{tmp_path}/d.tar:a:1").status == 0
    assert dockless("verify", f"docker-archive:{tmp_path}/d.tar").status == 0


def test_ports_and_volumes_are_added_to_those_of_the_base(dockless, layout, tmp_path):
    sets = {"ExposedPorts": {"80/tcp": {}}, "Volumes": {"/base": {}}}
    where = layout.write(layout.image(config={"config": sets}))
    options = ("--expose", "81", "--expose", "80", "--volume", "/own")
    assert dockless("build", f"oci:{tmp_path}/o", "--base", where, *options).status == 0
    config = dockless("inspect", "--json", f"oci:{tmp_path}/o").json["config"]
    assert config["ExposedPorts"] == {"80/tcp": {}, "81/tcp": {}}
    assert config["Volumes"] == {"/base": {}, "/own": {}}
    # The base can be replaced with all of its ports and volumes.
    built = Image.from_layout(str(tmp_path / "o"))
    new = Image.load(where).with_config(raw={"config": {"Volumes": {"/base": None, "/new": {}}}})
    assert sorted(built.rebase(Image.load(where), new).config["config"]["Volumes"]) == ["/new", "/own"]


@pytest.mark.parametrize(
    "entry",
    [
        {"platform": None, "annotations": None, "urls": None},
        {"platform": {"os": "linux", "architecture": "amd64", "variant": None, "os.features": None}},
        {"artifactType": None, "data": None},
    ],
)
def test_null_in_an_index(dockless, layout, entry):
    root = layout.image()
    where = layout.write(layout.index({**root, **entry}))
    assert dockless("copy", "--json", where, "oci:o", "--platform", "linux/amd64").json["digest"] == root["digest"]
    assert dockless("verify", where).status == dockless("inspect", where).status == 0
    where = layout.write({**root, **entry}, annotations=None, mediaType=None, subject=None)
    assert dockless("copy", "--json", where, "oci:p").json["digest"] == root["digest"]


def test_layouts_without_images(dockless, layout):
    layout.write()
    document = json.loads((layout.directory / "index.json").read_text())
    (layout.directory / "index.json").write_text(json.dumps({**document, "manifests": None}))
    assert "has no image" in dockless("inspect", layout).err
    assert dockless("verify", layout).status == 0
    assert dockless("build", f"{layout}:new", "--allow-empty").status == 0
    assert [entry["annotations"] for entry in layout.roots()] == [{"org.opencontainers.image.ref.name": "new"}]


def test_null_in_a_docker_archive(dockless, layout, tmp_path):
    where = layout.write(layout.image())
    path = tmp_path / "d.tar"
    assert dockless("copy", where, f"docker-archive:{path}").status == 0
    members = {}
    with tarfile.open(path) as tar:
        for member in tar:
            members[member.name] = tar.extractfile(member).read()
    (listed,) = json.loads(members["manifest.json"])
    cases = [
        {"RepoTags": None},
        {"RepoTags": [None, "a:1"]},
        {"Parent": None, "LayerSources": None},
    ]
    for change in cases:
        for items in ([{**listed, **change}], [None, {**listed, **change}]):
            archive = tmp_path / "changed.tar"
            members["manifest.json"] = json.dumps(items).encode()
            _write_tar(archive, members)
            for command in ("inspect", "verify"):
                result = dockless(command, f"docker-archive:{archive}")
                assert (result.status, result.err if result.status else "") == (0, "")
    for items in ("null", "[null]", json.dumps([{**listed, "Config": None}]), json.dumps([{**listed, "Layers": None}])):
        members["manifest.json"] = items.encode()
        _write_tar(archive, members)
        result = dockless("inspect", f"docker-archive:{archive}")
        assert result.status == 1 and "manifest.json" in result.err


def _write_tar(path, members):
    import io

    with tarfile.open(path, "w") as tar:
        for name, data in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))


# Entries that another tool has put into the layout.
NEIGHBORS = {
    "sha512": lambda layout: layout.blob(
        {"schemaVersion": 2, "mediaType": media_types.OCI_MANIFEST}, media_types.OCI_MANIFEST, SHA512
    ),
    "sha512 of another type": lambda layout: layout.blob(b"x", "application/x", SHA512),
    "a digest of an algorithm of the future": lambda layout: {
        "mediaType": media_types.OCI_MANIFEST,
        "digest": "multihash+base58:QmRZxt2b1FVZPNqd8hsiykDL3TdBDeTSPX9Kv46HmX4Gx8",
        "size": 5,
    },
    "an unknown media type": lambda layout: layout.blob({"a": 1}, "application/vnd.example.v1+json"),
    "a blob that is not JSON": lambda layout: layout.blob(b"\0\1\2", "application/octet-stream"),
    "a manifest of an artifact": lambda layout: layout.blob(
        {"mediaType": "application/vnd.oci.artifact.manifest.v1+json", "blobs": []},
        "application/vnd.oci.artifact.manifest.v1+json",
    ),
    "null": lambda layout: None,
}


@pytest.mark.parametrize("name", [None, "other"])
@pytest.mark.parametrize("kind", NEIGHBORS)
def test_neighbors_in_a_layout_stay(dockless, layout, kind, name):
    neighbor = NEIGHBORS[kind](layout)
    if neighbor is not None:
        neighbor = {**(named(neighbor, name) if name else neighbor), "x": None}
    ours = layout.image()
    layout.write(neighbor, named(ours, "ours"), x=None)
    before = files_of(layout)
    for command in ("inspect", "verify"):
        assert dockless(command, f"{layout}:ours").status == 0
    assert dockless("inspect", "--json", f"{layout}:ours").json["digest"] == ours["digest"]
    result = dockless("verify", layout)
    assert (result.status, result.out) == (0, "")
    assert ("not verified: 1 unsupported manifest" in result.err) == ("digest of" in kind or "sha512" in kind)
    assert dockless("build", f"{layout}:new", "--base", f"{layout}:ours", "--label", "a=b").status == 0
    assert dockless("build", f"{layout}:ours", "--base", f"{layout}:ours", "--label", "a=c").status == 0
    assert neighbor in layout.roots() and len(layout.roots()) == 3
    after = files_of(layout)
    assert all(after[path] == data for path, data in before.items() if path.name != "index.json")


def test_a_neighbor_that_cannot_be_read(dockless, layout):
    neighbor = NEIGHBORS["sha512"](layout)
    layout.write(named(neighbor, "other"), named(layout.image(), "ours"))
    expected = f"cannot read the image {neighbor['digest']} of {layout.directory}: only sha256 digests are supported"
    for command in (("inspect", f"{layout}:other"), ("copy", f"{layout}:{neighbor['digest']}", "oci:o")):
        assert expected in dockless(*command).err
    assert "has 2 images: it has other, ours" in dockless("inspect", layout).err
    layout.write(neighbor)
    assert expected in dockless("inspect", layout).err
    # An image with the name of a neighbor replaces the neighbor, as in skopeo.
    layout.write(named(neighbor, "other"))
    assert dockless("build", f"{layout}:other", "--allow-empty").status == 0
    assert len(layout.roots()) == 1


def test_a_damaged_neighbor_is_found(dockless, layout):
    neighbor = NEIGHBORS["sha512"](layout)
    layout.write(neighbor, named(layout.image(), "ours"))
    path = layout.directory / "blobs/sha512" / neighbor["digest"][7:]
    path.write_bytes(b"damaged")
    assert f"the blob {neighbor['digest']} is damaged" in dockless("verify", layout).out
    path.unlink()
    assert f"lacks the blob {neighbor['digest']}" in dockless("verify", layout).out


def test_layers_and_configs_with_other_digests_are_refused(dockless, layout):
    layer, diff_id = layout.layer(b"x")
    config = {"os": "linux", "architecture": "amd64", "rootfs": {"type": "layers", "diff_ids": [diff_id]}}
    described = layout.blob(config, media_types.OCI_CONFIG)
    other = layout.blob(layout.blobs[layer["digest"]], layer["mediaType"], SHA512)
    for root in (
        layout.manifest(described, [other]),
        layout.manifest(layout.blob(config, media_types.OCI_CONFIG, SHA512), [layer]),
    ):
        for command in (("inspect", layout.write(root)), ("copy", layout.write(root), "oci:o")):
            assert "only sha256 digests are supported" in dockless(*command).err
        assert "only sha256 digests are supported" in dockless("verify", layout.write(root)).out


def test_an_index_that_lists_other_blobs(dockless, layout, registry):
    """Caches of BuildKit are indexes that list layers."""
    layer, _ = layout.layer(b"x")
    cache = layout.blob({"layers": []}, "application/vnd.buildkit.cacheconfig.v0")
    image = layout.image()
    root = layout.index(layer, cache, image)
    where = layout.write(root)
    copied = f"{registry.host}/cache:1"
    assert dockless("copy", "--json", where, copied, "--all-platforms", "--insecure").json["digest"] == root["digest"]
    assert dockless("copy", copied, "oci:o", "--all-platforms", "--insecure").status == 0
    assert dockless("verify", "oci:o").status == dockless("verify", where).status == 0
    assert dockless("copy", "--json", where, "oci:p").json["digest"] == image["digest"]
    path = layout.directory / "blobs/sha256" / cache["digest"][7:]
    path.write_bytes(path.read_bytes()[:-1] + b" ")
    assert f"({cache['digest']}) is damaged" in dockless("verify", where).out


def test_an_index_of_several_images_with_another_digest(dockless, layout):
    amd = layout.image()
    other = {**NEIGHBORS["sha512"](layout), "platform": {"os": "linux", "architecture": "arm64"}}
    where = layout.write(layout.index({**amd, "platform": {"os": "linux", "architecture": "amd64"}}, other))
    message = dockless("copy", where, "oci:o", "--platform", "linux/arm64").err
    assert f"manifests with digests that are not supported, such as {other['digest']}" in message
    assert dockless("copy", "--json", where, "oci:p").json["digest"] == amd["digest"]
    message = dockless("copy", where, "oci:q", "--all-platforms").err
    assert "only sha256 digests are supported; select an image with `--platform`" in message
