"""Documents with random changes: no error but our own, and what is written can be read."""

import copy
import io
import json

from hostile_documents import CHILD, DIGEST, MANIFEST, locked_base
from hypothesis import example, given, settings
from hypothesis import strategies as st
from made_images import layout_of, make_image

from dockless.errors import DocklessError
from dockless.image_tree import read_image
from dockless.layout.oci_layout import OciLayout
from dockless.lockfile import Lockfile
from dockless.mutate.assemble import assemble_image
from dockless.mutate.config_edit import ConfigEdit
from dockless.oci import media_types
from dockless.oci.canonical_json import parse_document, write_document
from dockless.oci.descriptor import Descriptor
from dockless.oci.digest import Digest
from dockless.oci.image_documents import ImageDocuments
from dockless.oci.manifest import Index, Manifest, make_index, parse_manifest
from dockless.oci.validation import find_problems
from dockless.transfer.verify import verify_image

TEXTS = st.sampled_from(
    ["", "a", "x" * 300, "\x1b[31m", "\n::error::x", "\0", "\ud800", "\u202e", DIGEST, "sha256:", "../x"]
)
NUMBERS = st.sampled_from([0, -1, 1, 2**63, 10**90, 1.5, True, False, None])
VALUES = st.recursive(
    st.one_of(TEXTS, NUMBERS),
    lambda values: st.one_of(st.lists(values, max_size=3), st.dictionaries(TEXTS, values, max_size=3)),
    max_leaves=6,
)
WHOLE = make_image(
    b"one",
    b"two",
    config={
        "history": [{"created": "1970-01-01T00:00:00Z", "created_by": "x"}, {"empty_layer": True}],
        "os.version": "1",
    },
    manifest={"annotations": {"a": "b"}, "subject": CHILD, "artifactType": "a/b"},
)
WHOLE_INDEX = json.loads(
    make_index(
        [WHOLE.documents.descriptor._replace(annotations={"a": "b"}, urls=("https://x/y",))], annotations={"a": "b"}
    ).raw
)


def places_of(value, path=()):
    """The paths of all values in a document."""
    yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield from places_of(item, (*path, key))


@st.composite
def mutated(draw, document):
    """A document with up to three values replaced, removed or added."""
    document = copy.deepcopy(document)
    for _ in range(draw(st.integers(1, 3))):
        *above, last = draw(st.sampled_from([path for path in places_of(document) if path]))
        target = document
        for key in above:
            target = target[key]
        action = draw(st.sampled_from(["replace", "remove", "add"]))
        if action == "remove":
            del target[last]
        elif action == "add" and isinstance(target, dict):
            target[draw(TEXTS)] = draw(VALUES)
        else:
            target[last] = draw(VALUES)
        if not any(path for path in places_of(document)):
            break
    return document


def use_manifest(raw):
    found = parse_manifest(raw, "x", media_type="")
    assert found.raw == raw
    if isinstance(found, Index):
        again = make_index(found.manifests)
        # What is written again can be read, and is the same from then on: `"platform": {}` is left out once.
        assert make_index(Index.from_bytes(again.raw, "again").manifests).raw == again.raw
        return
    config_of = {found.config.digest: WHOLE.documents.config_bytes}

    class Source:
        def open(self, descriptor):
            return io.BytesIO(config_of[descriptor.digest])

    read_image(Source(), found, "x")


@settings(max_examples=150)
@given(mutated(WHOLE.manifest.json))
@example({**MANIFEST, "annotations": ["x"], "subject": CHILD})
def test_mutated_manifests(document):
    try:
        use_manifest(json.dumps(document).encode())
    except DocklessError as error:
        assert str(error).isprintable()


@settings(max_examples=150)
@given(mutated(WHOLE_INDEX))
def test_mutated_indexes(document):
    try:
        use_manifest(json.dumps(document).encode())
    except DocklessError as error:
        assert str(error).isprintable()


@settings(max_examples=150)
@given(mutated(json.loads(WHOLE.documents.config_bytes)))
def test_mutated_configs(document):
    raw = json.dumps(document).encode()
    config = Descriptor(media_types.OCI_CONFIG, Digest.of(raw), len(raw))
    manifest = json.dumps({**WHOLE.manifest.json, "config": config.to_json()}).encode()
    try:
        image = ImageDocuments.read(Manifest.from_bytes(manifest, "x"), raw, "x")
        for _ in find_problems(image, None):
            pass
        edit = ConfigEdit(env={"A": "$PATH"}, labels={"a": "b"}, working_dir="/x")
        made = assemble_image(None, [], edit, base=image)
        parse_document(made.config_bytes, "x")
        Manifest.from_bytes(made.manifest.raw, "x")
    except DocklessError as error:
        assert str(error).isprintable()


@settings(max_examples=60)
@given(mutated(json.loads(Lockfile.of([locked_base("a", 10)]).to_bytes())))
def test_mutated_lockfiles(document):
    try:
        Lockfile.from_bytes(json.dumps(document).encode(), "base_images.lock").to_bytes()
    except DocklessError as error:
        assert str(error).isprintable()


@settings(max_examples=40)
@given(mutated(WHOLE_INDEX))
def test_mutated_layouts(tmp_path_factory, document):
    directory = layout_of(tmp_path_factory.mktemp("l") / "l", blobs=WHOLE.blobs)
    (directory / "index.json").write_text(json.dumps(document))
    try:
        OciLayout(str(directory)).names()
        verify_image(f"oci:{directory}")
    except DocklessError as error:
        assert str(error).isprintable()


def test_what_is_written_is_canonical():
    assert parse_document(write_document(WHOLE_INDEX), "x") == WHOLE_INDEX
