"""Manifests, indexes, configs, lockfiles and references by strangers: what is refused, and how much is read."""

import contextlib
import json
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hostile_documents import CHILD, CONFIG, DIGEST, INDEX, LAYER, MANIFEST, locked_base, refused
from hostile_server import hostile_server, response
from made_images import layout_of, make_image
from measured_child import run_command, run_measured

from dockless.errors import DocklessError, InvalidDocumentError
from dockless.image_tree import ImageTree, read_image
from dockless.layout.oci_layout import OciLayout
from dockless.lockfile import MAX_BYTES, Lockfile, lock_base
from dockless.oci import media_types
from dockless.oci.descriptor import UnsupportedEntry
from dockless.oci.image_config import ImageConfig
from dockless.oci.manifest import make_index, parse_manifest
from dockless.oci.reference import Reference
from dockless.transfer.copy import copy_image
from dockless.transfer.verify import verify_image

LOCK_BASES = Path(__file__).parents[2] / "pants-plugins/pants_dockless/scripts/lock_bases.py"

# name -> a function that makes the document, and what the error says.
DOCUMENTS = {
    "a duplicate key": (lambda: b'{"schemaVersion":2,"layers":[],"layers":[]}', "duplicate key 'layers'"),
    "nesting of arrays": (lambda: b'{"x":' + b"[" * 100_000, "nested too deeply"),
    "nesting of objects": (lambda: b'{"x":' + b'{"x":' * 100_000, "nested too deeply"),
    "nesting after a string": (lambda: b'{"x":"\\\\","y":' + b"[" * 200 + b"]" * 200 + b"}", "nested too deeply"),
    "a million arrays": (lambda: b'{"x":[' + b"[]," * 1_000_000 + b"[]]}", "more than 200000 objects and arrays"),
    "a million objects": (lambda: b'{"x":[' + b"{}," * 1_000_000 + b"{}]}", "more than 200000 objects and arrays"),
    "a million digits": (lambda: b'{"x":' + b"1" * 1_000_000 + b"}", "an integer has 1000000 digits"),
    "4 MiB and a byte": (lambda: b'{"x":"' + b"a" * (4 << 20) + b'"}', "the limit is 4194304"),
    "an infinity": (lambda: b'{"y":Infinity}', "Infinity is not JSON"),
    "a number that is no float": (lambda: b'{"x":1e400}', "1e400 is too large"),
    "not a number": (lambda: b'{"x":NaN}', "NaN is not JSON"),
    "a byte order mark": (lambda: b"\xef\xbb\xbf{}", "byte order mark"),
    "UTF-16": (lambda: json.dumps(MANIFEST).encode("utf-16"), "not UTF-8"),
    "a surrogate in UTF-8": (lambda: b'{"x":"\xed\xa0\x80"}', "not UTF-8"),
    "a NUL": (lambda: b'{"x":"\x00"}', "control character"),
    "a list": (lambda: b"[]", "not an object"),
    "nothing": (lambda: b"", "not a valid JSON document"),
    "an escape sequence in a key": (lambda: b'{"\\u001b[31m":1,"\\u001b[31m":2}', "duplicate key"),
}


@pytest.mark.parametrize("make_raw, reason", DOCUMENTS.values(), ids=list(DOCUMENTS))
def test_documents_that_are_not_json_or_too_large(make_raw, reason):
    raw = make_raw()
    begun = time.process_time()
    assert reason in refused(raw)
    assert time.process_time() - begun < 5


@pytest.mark.parametrize(
    "size", [2**63, -1, 1.0, 1e3, "5", True, None, 10**90, [], {}], ids=lambda size: f"{size!r:.12}"
)
def test_sizes(size):
    for document in (
        {**MANIFEST, "layers": [{**LAYER, "size": size}]},
        {**INDEX, "manifests": [{**CHILD, "size": size}]},
    ):
        assert "has an invalid size" in refused(document)


@pytest.mark.parametrize(
    "digest",
    [
        "../../x",
        "sha256:../../../etc/passwd",
        "sha256:" + "A" * 64,
        "sha256:" + "1" * 63,
        "sha256:" + "1" * 65,
        "md5:" + "1" * 32,
        "sha512:" + "1" * 128,
        "sha256:" + "1" * 64 + "\n",
        "sha256:" + "1" * 64 + "?x",
        "SHA256:" + "1" * 64,
        "sha256:" + "\u0660" * 64,
        "",
        5,
        None,
        [],
        "\x1b[31m" * 100,
    ],
    ids=lambda digest: f"{digest!r:.20}",
)
def test_digests(digest):
    for document in (
        {**MANIFEST, "layers": [{**LAYER, "digest": digest}]},
        {**MANIFEST, "config": {**CONFIG, "digest": digest}},
        {**MANIFEST, "subject": {**CHILD, "digest": digest}},
    ):
        assert "digest" in refused(document)
    document = {**INDEX, "manifests": [{**CHILD, "digest": digest}]}
    if str(digest).startswith(("md5:", "sha512:")):
        # Another tool may have written the entry, which is never read.
        index = parse_manifest(json.dumps(document).encode(), "x")
        assert (index.manifests, index.unsupported) == ((), (UnsupportedEntry(digest, {}),))
    else:
        assert "digest" in refused(document)


@pytest.mark.parametrize(
    ("document", "served", "reason"),
    [
        ({**MANIFEST, "manifests": []}, "", "both layers and manifests"),
        ({**INDEX, "layers": []}, "", "both layers and manifests"),
        (MANIFEST, media_types.OCI_INDEX, "it was served as"),
        (INDEX, media_types.OCI_MANIFEST, "it was served as"),
        ({**INDEX, "mediaType": media_types.OCI_MANIFEST}, "", "its content is an index"),
        ({**MANIFEST, "mediaType": media_types.OCI_INDEX}, "", "its content is an image manifest"),
        ({**MANIFEST, "mediaType": None}, media_types.OCI_INDEX, "its content is an image manifest"),
        ({**INDEX, "mediaType": None}, media_types.DOCKER_MANIFEST, "its content is an index"),
        ({**MANIFEST, "mediaType": ["x"]}, "", "mediaType that is not a string"),
    ],
)
def test_manifests_that_are_taken_for_indexes(document, served, reason):
    document = {key: value for key, value in document.items() if value is not None}
    assert reason in refused(document, media_type=served)


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        ({**INDEX, "manifests": [CHILD] * 10_001}, "has 10001 manifests: the limit is 10000"),
        ({**MANIFEST, "layers": [LAYER] * 10_001}, "has 10001 layers: the limit is 10000"),
        ({**MANIFEST, "layers": [{**LAYER, "urls": ["x"] * 100_001}]}, "too many properties"),
        (
            {**MANIFEST, "layers": [{**LAYER, "annotations": {str(n): "" for n in range(100_001)}}]},
            "too many properties",
        ),
        ({**MANIFEST, "layers": [{**LAYER, "x": [[]] * 80_000}]}, "too many properties"),
        ({**INDEX, "manifests": [{**CHILD, "x": "a" * 300_000}]}, "too many properties"),
    ],
    ids=["manifests", "layers", "urls", "annotations", "lists", "text"],
)
def test_counts(document, reason):
    assert reason in refused(document)


@pytest.mark.parametrize("key", ["history", "diff_ids"])
def test_counts_of_a_config(key):
    rootfs = {"type": "layers", "diff_ids": [DIGEST] * 10_001 if key == "diff_ids" else []}
    config = {"architecture": "amd64", "os": "linux", "rootfs": rootfs}
    if key == "history":
        config["history"] = [{}] * 10_001
    with pytest.raises(InvalidDocumentError, match="has 10001 .*: the limit is 10000"):
        ImageConfig.from_bytes(json.dumps(config).encode(), "x")


FEATURES = {
    "a map": {"os.features": {"a": 1}},
    "a number": {"os.features": 5},
    "a list of numbers": {"os.features": ["a", 5]},
    "a text": {"os.features": "win32k"},
    "a long list": {"os.features": [""] * 5000},
    "a long text": {"os.features": ["a" * 5000]},
    "a variant that is a list": {"variant": ["v8"]},
    "a long variant": {"variant": "a" * 300},
    "a long version": {"os.version": "a" * 1_000_000},
    "a long architecture": {"architecture": "a" * 300},
}


@pytest.mark.parametrize("config", FEATURES.values(), ids=list(FEATURES))
def test_a_config_does_not_spoil_the_index_that_lists_the_image(tmp_path, config):
    """The platform and the features of a config are copied to the index of a layout."""
    image = make_image(b"one")
    raw_config = json.dumps({**json.loads(image.documents.config_bytes), **config}).encode()
    manifest = image.manifest.json
    manifest["config"].update(digest=image.blobs.put(raw_config), size=len(raw_config))
    raw = json.dumps(manifest).encode()
    root = image.manifest.descriptor._replace(digest=image.blobs.put(raw), size=len(raw))
    directory = layout_of(tmp_path / "l", root, blobs=image.blobs)
    with contextlib.suppress(InvalidDocumentError):
        copy_image(f"oci:{directory}", f"oci:{tmp_path}/copy")
        [listed] = json.loads((tmp_path / "copy/index.json").read_text())["manifests"]
        assert "platform" not in listed, "an image whose config is invalid is listed without a platform"
    with pytest.raises(InvalidDocumentError, match="os.features|platform"):
        image_of(directory)


def image_of(directory):
    with contextlib.closing(OciLayout(str(directory))) as layout:
        return read_image(layout, layout.manifest(layout.root()), "x").descriptor


def test_features_of_a_config_are_kept():
    image = make_image(b"one", config={"os.features": ["win32k"]})
    assert make_index([image.documents.descriptor]).json["manifests"][0]["platform"]["os.features"] == ["win32k"]


def test_the_memory_of_a_document():
    code = """
import json
from dockless.oci.manifest import parse_manifest
layer = {"mediaType": "a/b", "size": 1, "digest": "sha256:" + "1" * 64}
document = {"schemaVersion": 2, "config": layer, "layers": [layer], "x": [[{}] * 30 for _ in range(6000)]}
for n in range(2):
    parse_manifest(json.dumps({**document, "y": n}).encode() + b" " * 3_000_000, "x")
"""
    done = run_measured(code)
    assert (done.status, done.err) == (0, "")
    assert done.mib < 160


def test_the_memory_of_an_index_with_large_children(tmp_path):
    """Of 60 children of 4 MB all were held at once."""
    image = make_image(b"one")
    children = []
    for n in range(25):
        raw = json.dumps({**image.manifest.json, "annotations": {"a": f"{n:02}" * 1_950_000}}).encode()
        children.append(image.manifest.descriptor._replace(digest=image.blobs.put(raw), size=len(raw)))
    index = make_index(children)
    image.blobs.put(index.raw)
    directory = layout_of(tmp_path / "l", index.descriptor, blobs=image.blobs, names=["v1"])
    for arguments in (
        ["copy", f"oci:{directory}:v1", f"oci:{tmp_path}/copy", "--all-platforms"],
        ["verify", f"oci:{directory}"],
    ):
        done = run_command(*arguments)
        assert done.status == 1
        assert "manifests and configs of more than 67108864 bytes" in done.out + done.err
        assert done.mib < 250
    assert sorted(path.name for path in tmp_path.iterdir()) == ["l"]


def index_in(blobs, root, depth):
    for _ in range(depth):
        index = make_index([root])
        blobs.put(index.raw)
        root = index.descriptor
    return root


def test_nested_indexes(tmp_path):
    image = make_image(b"one")
    root = index_in(image.blobs, image.manifest.descriptor, 2000)
    directory = layout_of(tmp_path / "l", root, blobs=image.blobs, names=["v1"])
    with pytest.raises(InvalidDocumentError, match="nested in more than 4 indexes"):
        copy_image(f"oci:{directory}:v1", f"oci:{tmp_path}/copy", all_platforms=True)
    assert [p for p in verify_image(f"oci:{directory}").problems if "nested in more than 4 indexes" in p]


def test_an_index_with_one_child_ten_thousand_times(tmp_path):
    image = make_image(b"one")
    index = make_index([image.manifest.descriptor] * 10_000)
    image.blobs.put(index.raw)
    tree = ImageTree.read(index, image.blobs, "x")
    assert len(tree.documents) == 2
    assert image.blobs.opened == [image.manifest.digest]


def test_the_size_of_a_lockfile():
    assert MAX_BYTES == 8 << 20
    with pytest.raises(InvalidDocumentError, match="the limit is 8388608"):
        Lockfile.from_bytes(b'{"x":"' + b"a" * MAX_BYTES + b'"}', "base_images.lock")
    whole = Lockfile.of([locked_base("a", 3_000_000), locked_base("b", 3_000_000)])
    assert Lockfile.from_bytes(whole.to_bytes(), "x") == whole
    with pytest.raises(InvalidDocumentError, match="the lockfile would have .* bytes or more: the limit is 8388608"):
        Lockfile.of([locked_base(name, 3_000_000) for name in "abc"]).to_bytes()


def test_a_base_whose_documents_do_not_fit_in_a_lockfile():
    children, blobs = [], {}
    for n in range(30):
        image = make_image(config={"x": str(n)}, manifest={"annotations": {"x": "a" * 1_000_000}})
        blobs.update({digest: data for digest, data in image.blobs.items() if n < 20})
        children.append(image.documents.descriptor)
    fetched = []

    def fetch(descriptor):
        fetched.append(descriptor)
        return blobs[descriptor.digest]

    with pytest.raises(InvalidDocumentError, match="would have .* bytes or more: the limit is 8388608"):
        lock_base(Reference.parse("reg.example/a:1"), [], make_index(children), fetch)
    assert len(fetched) < 20


def test_a_large_blob_in_the_place_of_a_manifest(tmp_path):
    """A blob of a media type that is not that of a manifest was read into memory, whatever its size."""
    child = {"mediaType": "application/x", "digest": f"sha256:{'a' * 64}", "size": 1 << 40}
    child["platform"] = {"os": "linux", "architecture": "amd64"}
    index = json.dumps({"schemaVersion": 2, "mediaType": media_types.OCI_INDEX, "manifests": [child]}).encode()

    def answer(request, connection):
        return response(200, {"Content-Type": media_types.OCI_INDEX}, b"" if request.target == "/v2/" else index)

    with hostile_server(answer) as server:
        base = {"reference": f"{server.host}/a:1", "platforms": ["linux/amd64"], "insecure": False, "used_by": "//:x"}
        plan = {"import_from": sys.path, "old": None, "new": str(tmp_path / "new"), "update": [], "bases": [base]}
        (tmp_path / "plan.json").write_text(json.dumps(plan))
        command = [sys.executable, "-I", "-S", LOCK_BASES, tmp_path / "plan.json"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert "a:1 has no image for linux/amd64: it has no platform" in done.stderr
    assert not [request for request in server.requests if "/blobs/" in request.target]
    assert not (tmp_path / "new").exists()


def test_the_memory_of_a_lockfile():
    """21 MB of empty lists took 606 MB."""
    code = """
from dockless.lockfile import Lockfile
for part in (b"[],", b"{},", b'"ab",', b"999,"):
    raw = b'{"version":1,"bases":{},"x":[' + part * (8_000_000 // len(part)) + b"0]}"
    try:
        Lockfile.from_bytes(raw, "x")
    except ValueError as error:
        assert "200000" in str(error)
"""
    done = run_measured(code)
    assert (done.status, done.err) == (0, "")
    assert done.mib < 250


@pytest.mark.parametrize(
    "text",
    [
        "reg.example/a\r\nHost: x",
        "reg.example/a\0",
        "reg.example/../x",
        "reg.example/a/../../x",
        "user:secret@reg.example/a",
        "https://reg.example/a",
        "file:///etc/passwd",
        "r\u0435g.example/a",
        "reg.example:99999/a",
        "reg.example:0x50/a",
        "reg.example:-1/a",
        "[fe80::1%25eth0]/a",
        "[::1/a",
        "reg.example/A",
        "reg.example/" + "a" * 300,
        "reg.example/a:" + "b" * 129,
        "reg.example/a:../x",
        "reg.example/a@sha256:zz",
        "reg.example/a@md5:" + "1" * 32,
        "reg.example/a?x=y",
        "reg.example/a#x",
        "reg.example/a%2fb",
        "\x1b[31mreg.example/a",
        "",
        " ",
    ],
    ids=lambda text: f"{text!a:.40}",
)
def test_references(text):
    with pytest.raises(DocklessError) as caught:
        Reference.parse(text)
    assert "secret" not in str(caught.value)
    assert str(caught.value).isprintable()
