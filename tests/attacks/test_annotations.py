"""Annotations, subjects and artifact types of the wrong type: refused before anything is sent, copied or listed."""

import json

import pytest
from hostile_documents import CHILD, DIGEST, INDEX, MANIFEST, refused
from made_images import layout_of, make_image
from measured_child import run_command

from dockless.errors import DocklessError, InvalidDocumentError
from dockless.layout.oci_layout import named
from dockless.layout.oci_layout_writer import write_layout
from dockless.oci import media_types
from dockless.oci.digest import Digest
from dockless.oci.manifest import make_index, parse_manifest
from dockless.registry import RegistryClient
from dockless.testing import Fault, Registry
from dockless.transfer.copy import copy_image
from dockless.transfer.verify import verify_image

WRONG_MAPS = [["x"], "x", 5, 0, True, [], {"a": 1}, {"a": ["b"]}, {"a": {"b": "c"}}, [["a", "b"]]]
SUBJECTS = ["x", 5, [], {}, {"digest": "x"}, {**CHILD, "size": -1}, [CHILD], True, {**CHILD, "annotations": ["x"]}]


@pytest.mark.parametrize("annotations", WRONG_MAPS, ids=json.dumps)
@pytest.mark.parametrize("document", [MANIFEST, INDEX], ids=["manifest", "index"])
def test_annotations_that_are_not_a_map_of_strings(document, annotations):
    for wrong in ({"annotations": annotations}, {"annotations": annotations, "subject": CHILD}):
        assert "annotations is not a map of strings" in refused({**document, **wrong})
    key = "layers" if "layers" in document else "manifests"
    nested = {**document, key: [{**document[key][0], "annotations": annotations}]}
    assert "annotations is not a map of strings" in refused(nested)


@pytest.mark.parametrize("subject", SUBJECTS, ids=json.dumps)
def test_subjects(subject):
    assert "subject" in refused({**MANIFEST, "subject": subject})


@pytest.mark.parametrize("document", [MANIFEST, INDEX], ids=["manifest", "index"])
@pytest.mark.parametrize("empty", [{"annotations": None}, {"subject": None}, {"artifactType": None}], ids=json.dumps)
def test_null_is_no_annotation_and_no_subject(document, empty):
    raw = json.dumps({**document, **empty}).encode()
    assert parse_manifest(raw, "x").raw == raw


def test_null_is_an_empty_annotation(tmp_path):
    image = make_image(b"one", manifest={"subject": CHILD, "annotations": {"a": None, "b": "c"}})
    with Registry(profile="docker-registry", repositories=["app"]) as registry:
        for data in image.blobs.values():
            registry.put_blob("app", data)
        with RegistryClient(registry.host, environ={"HOME": str(tmp_path)}) as client:
            client.put_manifest("app", "null", image.manifest.raw, media_types.OCI_MANIFEST)
            assert client.get_manifest("app", "null").raw == image.manifest.raw
            (referrer,) = client.referrers("app", Digest(DIGEST))
    assert referrer.annotations == {"a": "", "b": "c"}


ARTIFACT_TYPES = [5, ["x"], {"a": "b"}, True]
HOSTILE = {
    **{f"annotations {json.dumps(a)}": {"annotations": a} for a in WRONG_MAPS},
    **{f"artifactType {json.dumps(a)}": {"artifactType": a} for a in ARTIFACT_TYPES},
    **{f"subject {json.dumps(s)}": {"subject": s} for s in SUBJECTS},
}


@pytest.fixture(scope="module")
def registry():
    with Registry(profile="docker-registry", repositories=["app"]) as registry:
        yield registry


@pytest.fixture
def client(registry, tmp_path):
    with RegistryClient(registry.host, environ={"HOME": str(tmp_path)}) as client:
        yield client


@pytest.mark.parametrize("wrong", HOSTILE.values(), ids=list(HOSTILE))
def test_a_referrer_with_wrong_properties_is_not_sent(registry, client, wrong):
    """It was stored first, and then the index of referrers was invalid or was not written."""
    raw = json.dumps({**MANIFEST, "subject": CHILD, **wrong}).encode()
    before = len(registry.requests)
    with pytest.raises(InvalidDocumentError, match="annotations|artifactType|subject"):
        client.put_manifest("app", "tag", raw, media_types.OCI_MANIFEST)
    assert len(registry.requests) == before


@pytest.mark.parametrize("escaped", [True, False])
def test_a_subject_whose_name_is_escaped(registry, client, escaped):
    raw = json.dumps({**MANIFEST, "subject": CHILD, "annotations": ["x"]})
    raw = raw.replace('"subject"', '"\\u0073ubject"') if escaped else raw
    with pytest.raises(InvalidDocumentError, match="annotations"):
        client.put_manifest("app", "tag", raw.encode(), media_types.OCI_MANIFEST)


def test_an_index_of_referrers_that_is_full(registry, client):
    image = make_image(b"one", manifest={"subject": CHILD})
    for data in image.blobs.values():
        registry.put_blob("app", data)
    registry.put_manifest("app", image.manifest.raw, media_types.OCI_MANIFEST)
    other = make_image(b"one")
    registry.put_manifest("app", other.manifest.raw, media_types.OCI_MANIFEST)
    full = make_index([other.manifest.descriptor] * 10_000).raw
    tag = DIGEST.replace(":", "-")
    registry.put_manifest("app", full, media_types.OCI_INDEX, tag)
    with pytest.raises(InvalidDocumentError, match="has 10001 manifests: the limit is 10000"):
        client.put_manifest("app", "tag", image.manifest.raw, media_types.OCI_MANIFEST)
    assert client.get_manifest("app", tag).raw == full
    client.delete_manifest("app", str(Digest.of(full)))


@pytest.fixture
def hostile_layout(tmp_path):
    """`hostile_layout(**properties)`: the directory of a layout with an image whose manifest has these properties."""

    def make(**properties):
        image = make_image(b"one")
        raw = json.dumps({**image.manifest.json, **properties}).encode()
        root = image.manifest.descriptor._replace(digest=image.blobs.put(raw), size=len(raw))
        return layout_of(tmp_path / "hostile", root, blobs=image.blobs, names=["v1"])

    return make


@pytest.mark.parametrize("wrong", HOSTILE.values(), ids=list(HOSTILE))
def test_an_image_with_wrong_properties(hostile_layout, registry, tmp_path, wrong):
    source = f"oci:{hostile_layout(**{'subject': CHILD, **wrong})}:v1"
    before = len(registry.requests)
    for destination in (f"oci:{tmp_path}/copy", f"{registry.host}/app:copy", f"docker-archive:{tmp_path}/copy.tar"):
        with pytest.raises(InvalidDocumentError, match="annotations|artifactType|subject"):
            copy_image(source, destination)
    assert len(registry.requests) == before
    assert [path.name for path in tmp_path.iterdir()] == ["hostile"]
    assert any(name in "".join(verify_image(source[:-3]).problems) for name in wrong)


def test_inspect_of_an_image_with_wrong_properties(hostile_layout):
    done = run_command("inspect", f"oci:{hostile_layout(annotations=['x'])}")
    assert done.status == 1
    assert "annotations is not a map of strings" in done.err
    assert "internal error" not in done.err


def test_a_layout_index_with_wrong_annotations(tmp_path):
    image = make_image(b"one")
    directory = layout_of(tmp_path / "l", image.manifest.descriptor, blobs=image.blobs)
    index = json.loads((directory / "index.json").read_text())
    for wrong in (
        {**index, "annotations": ["x"]},
        {**index, "manifests": [{**index["manifests"][0], "annotations": 5}]},
    ):
        (directory / "index.json").write_text(json.dumps(wrong))
        with pytest.raises(DocklessError, match="annotations is not a map of strings"):
            write_layout(str(directory), named(image.manifest.descriptor, ["x"]), image.all_blobs, image.blobs)
        assert json.loads((directory / "index.json").read_text()) == wrong


def test_a_layout_whose_index_is_full(tmp_path):
    image = make_image(b"one")
    directory = layout_of(tmp_path / "l", image.manifest.descriptor, blobs=image.blobs)
    entry = image.manifest.descriptor
    full = make_index([entry._replace(annotations={"a": str(n)}) for n in range(10_000)]).raw
    (directory / "index.json").write_bytes(full)
    other = make_image(b"two")
    with pytest.raises(InvalidDocumentError, match="has 10001 manifests: the limit is 10000"):
        write_layout(str(directory), named(other.manifest.descriptor, ["x"]), other.all_blobs, other.blobs)
    assert (directory / "index.json").read_bytes() == full


def test_another_manifest_for_a_digest(registry, client):
    """A registry that serves other bytes, with a header that says they are right."""
    image = make_image(b"one")
    other = make_image(b"two")
    for made in (image, other):
        for data in made.blobs.values():
            registry.put_blob("app", data)
    digest = client.put_manifest("app", "one", image.manifest.raw, media_types.OCI_MANIFEST)
    headers = {"Docker-Content-Digest": str(digest), "Content-Type": media_types.OCI_MANIFEST}
    registry.faults = [Fault(on="manifest get", status=200, body=other.manifest.raw.decode(), headers=headers)]
    try:
        with pytest.raises(DocklessError, match="another manifest than was requested"):
            client.get_manifest("app", digest)
    finally:
        registry.faults = []
