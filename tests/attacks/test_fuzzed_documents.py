"""Fuzzing of the parsers of documents and headers: whatever the input is, an error is one of the library.

The suite runs a few examples, always the same. DOCKLESS_FUZZ=100000 runs that many random ones of each test.
"""

import io
import json
import os
import tarfile
import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from made_images import make_image

from dockless.cli.inspect import _artifact_document, _image_document, _index_document, _other_document, _print_text
from dockless.errors import DocklessError, InvalidDocumentError, LayoutError
from dockless.layout.docker_archive_reader import DockerArchive
from dockless.layout.oci_layout_writer import _updated_index
from dockless.lockfile import Lockfile, lock_base
from dockless.mutate.assemble import assemble_image
from dockless.mutate.config_edit import ConfigEdit
from dockless.mutate.rebase import rebase
from dockless.oci import media_types
from dockless.oci.canonical_json import write_document
from dockless.oci.digest import Digest
from dockless.oci.image_documents import ImageDocuments
from dockless.oci.manifest import Index, Manifest, OtherManifest, make_index, parse_any_manifest, parse_manifest
from dockless.oci.platform import Platform
from dockless.oci.reference import Reference
from dockless.oci.selection import find_images, select_image
from dockless.oci.validation import find_problems
from dockless.registry.auth.challenge import choose_challenge, parse_challenges
from dockless.registry.listing import linked_page

RANDOM_EXAMPLES = int(os.environ.get("DOCKLESS_FUZZ", "0"))
# Seconds of one example, even on a machine with other work.
_LONGEST = 5


def fuzz(examples):
    return settings(
        max_examples=RANDOM_EXAMPLES or examples,
        derandomize=not RANDOM_EXAMPLES,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )


IMAGE = make_image(
    b"one",
    b"two",
    config={
        "created": "1970-01-01T00:00:00Z",
        "os.features": ["x"],
        "variant": "v1",
        "config": {
            "Env": ["A=1", "B"],
            "Labels": {"a": "b"},
            "Cmd": ["sh"],
            "Entrypoint": ["x"],
            "Volumes": {"/v": {}},
            "ExposedPorts": {"80/tcp": {}},
            "Healthcheck": {"Test": ["NONE"]},
            "User": "root",
        },
        "history": [{"created": "1970-01-01T00:00:00Z", "created_by": "x"}, {"empty_layer": True}, {}],
    },
    manifest={"annotations": {"a": "b"}, "artifactType": "", "subject": None},
)
MANIFEST = IMAGE.manifest.json
ARTIFACT = {
    "mediaType": min(media_types.ARTIFACTS),
    "artifactType": "a/b",
    "blobs": [IMAGE.manifest.config.to_json()],
    "subject": IMAGE.manifest.config.to_json(),
    "annotations": {"a": "b"},
}
CONFIG = json.loads(IMAGE.documents.config_bytes)
CHILD = IMAGE.documents.descriptor.to_json()
INDEX = {
    **json.loads(make_index([IMAGE.documents.descriptor]).raw),
    "manifests": [
        {**CHILD, "annotations": {"org.opencontainers.image.ref.name": "x"}, "urls": ["http://x"], "data": "e30="},
        {**CHILD, "platform": {"os": "linux", "architecture": "arm", "variant": "v6", "os.version": "1"}},
        {key: value for key, value in CHILD.items() if key != "platform"},
        {**CHILD, "digest": "sha512:" + "0" * 128},
    ],
}
ARCHIVE = [
    {"Config": "c.json", "RepoTags": ["app:1"], "Layers": ["l0.tar", "l1.tar"], "Parent": "", "LayerSources": {}}
]
LOCKED = json.loads(
    Lockfile.of(
        [
            lock_base(
                Reference.parse("reg.example/a:1"),
                [],
                make_index([IMAGE.documents.descriptor]),
                lambda descriptor: IMAGE.blobs[descriptor.digest],
            )
        ]
    ).to_bytes()
)

LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from(
        [
            "",
            "x",
            "/",
            "..",
            "\0",
            "\ud800",
            "é",
            "sha256:" + "0" * 64,
            "sha512:" + "0" * 128,
            "linux",
            "amd64",
            "=",
            "v7",
        ]
    ),
    st.text(max_size=8),
)
VALUES = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["a", "", "os", "digest", "size", "mediaType", "config"]), inner, max_size=3)
    ),
    max_leaves=6,
)


def paths_of(value, path=()):
    """Returns the paths of all values in a JSON document."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(found for key, item in items for found in paths_of(item, (*path, key)))]


def with_value(document, path, value):
    if not path:
        return value
    key, *rest = path
    copied = document.copy()
    if value is DELETED and not rest:
        del copied[key]
    else:
        copied[key] = with_value(document[key], rest, value)
    return copied


DELETED = object()


@st.composite
def changed(draw, document):
    """Returns a document of which some values are replaced or missing."""
    for _ in range(draw(st.integers(1, 3))):
        path = draw(st.sampled_from(paths_of(document)))
        value = draw(VALUES)
        if path and draw(st.integers(0, 4)) == 0:
            value = DELETED
        document = with_value(document, path, value)
    return document


def bytes_of(document):
    return json.dumps(document).encode()


class Timed:
    def __enter__(self):
        self.begin = time.process_time()

    def __exit__(self, *error):
        assert time.process_time() - self.begin < _LONGEST


@fuzz(30)
@given(changed(ARTIFACT).map(bytes_of), st.sampled_from(["", "application/x", "application/vnd.x+json"]))
def test_artifact_manifests(raw, media_type):
    with Timed():
        try:
            found = parse_any_manifest(raw, "x", media_type=media_type)
        except DocklessError as error:
            assert "\n" not in str(error)
            return
        if isinstance(found, OtherManifest):
            _print_text(_other_document(found), "")
            assert "\n" not in str(found.error("x"))


@fuzz(60)
@given(st.one_of(changed(MANIFEST), changed(INDEX)).map(bytes_of), st.sampled_from(["", "application/x"]))
def test_manifests_and_indexes(raw, media_type):
    with Timed():
        try:
            found = parse_manifest(raw, "x", media_type=media_type)
        except DocklessError as error:
            assert "\n" not in str(error)
            return
        if isinstance(found, Manifest):
            _print_text(_artifact_document(found), "")
            write_document({"layers": [layer.to_json() for layer in (*found.layers, found.config)]})
        else:
            use_index(found)


def use_index(index):
    _print_text(_index_document(index), "")
    for call in (
        lambda: make_index(index.manifests),
        lambda: select_image(index, None, "x", read, lambda manifest: IMAGE.documents.platform),
        lambda: select_image(index, Platform("linux", "arm", "v7"), "x", read, lambda manifest: None),
        lambda: find_images(index, "x", read, lambda manifest: Platform("", "")),
        lambda: _updated_index(index.raw, "x", [IMAGE.documents.descriptor]),
    ):
        try:
            call()
        except DocklessError as error:
            assert "\n" not in str(error)


def read(descriptor):
    if descriptor.digest != IMAGE.manifest.digest:
        raise LayoutError("missing")
    return IMAGE.manifest


@fuzz(80)
@given(changed(CONFIG).map(bytes_of))
def test_configs(raw):
    document = {**MANIFEST, "config": {**MANIFEST["config"], "digest": str(Digest.of(raw)), "size": len(raw)}}
    manifest = Manifest.from_bytes(bytes_of(document), "x")
    with Timed():
        try:
            image = ImageDocuments.read(manifest, raw, "x")
        except InvalidDocumentError as error:
            assert "\n" not in str(error)
            return
        assert all("\n" not in problem for problem in find_problems(image, IMAGE.documents.descriptor))
        _print_text(_image_document(image), "")
        assert all(isinstance(value, str) for value in image.config.env.values())
        make_index([image.descriptor])
        edit = ConfigEdit(
            env={"A": "2", "C": "$A"},
            labels={"c": "d"},
            exposed_ports=("81",),
            volumes=("/w",),
            raw={"config": {"X": None}, "author": "me"},
        )
        for call in (
            lambda: assemble_image(None, (), edit, base=image, remove_layers=[str(image.layers[0].diff_id)]),
            lambda: assemble_image(None, image.layers, edit, base=image, image_format="docker"),
            lambda: rebase(image, image, IMAGE.documents),
            lambda: rebase(IMAGE.documents, IMAGE.documents, image),
        ):
            try:
                call()
            except DocklessError as error:
                assert "\n" not in str(error)


def archive_of(listed):
    buffer = io.BytesIO()
    members = {"c.json": IMAGE.documents.config_bytes, "l0.tar": b"", "l1.tar": b"", "manifest.json": listed}
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, data in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return buffer.getvalue()


@pytest.fixture(scope="module")
def archive_path(tmp_path_factory):
    return tmp_path_factory.mktemp("fuzz") / "a.tar"


@fuzz(40)
@given(listed=changed(ARCHIVE).map(bytes_of))
def test_lists_of_docker_archives(archive_path, listed):
    archive_path.write_bytes(archive_of(listed))
    with Timed():
        try:
            archive = DockerArchive(str(archive_path))
        except LayoutError as error:
            assert "\n" not in str(error)
            return
        for call in (archive.names, archive.image, archive.images, lambda: archive.image("app:1")):
            try:
                call()
            except LayoutError as error:
                assert "\n" not in str(error)
        archive.close()


@fuzz(40)
@given(changed(LOCKED).map(bytes_of))
def test_lockfiles(raw):
    with Timed():
        try:
            lockfile = Lockfile.from_bytes(raw, "base_images.lock")
            lockfile.to_bytes()
            for base in lockfile.bases.values():
                _ = base.image(Platform("linux", "amd64")).documents
        except DocklessError as error:
            assert "\n" not in str(error)


# Bytes that are not JSON, or are JSON of unusual form.
@fuzz(40)
@given(st.one_of(st.binary(max_size=60), st.text('{}[]",:\\u0019e.-ntfa ', max_size=60).map(str.encode)))
def test_bytes(raw):
    for parse in (
        lambda: parse_manifest(raw, "x"),
        lambda: Index.from_bytes(raw, "x"),
        lambda: Lockfile.from_bytes(raw, "x"),
    ):
        with Timed(), pytest.raises(DocklessError):
            parse()


HEADER = st.one_of(
    st.text(max_size=40),
    st.text('Bearer Basic realm="a,b\\ =;\t<>', max_size=80),
    st.lists(
        st.sampled_from(
            [
                "Bearer",
                "realm",
                "=",
                '"',
                "\\",
                ",",
                " ",
                "Basic",
                "a",
                '"x"',
                "scope",
                "Negotiate YII==",
                "<",
                ">",
                ";",
            ]
        ),
        max_size=30,
    ).map("".join),
)


@fuzz(60)
@given(st.lists(HEADER, max_size=3))
def test_challenges(headers):
    with Timed():
        challenges = parse_challenges(headers)
        chosen = choose_challenge(challenges)
        assert chosen is None or chosen.scheme in ("bearer", "basic")
        assert all(isinstance(value, str) for each in challenges for value in each.parameters.values())


@fuzz(60)
@given(
    st.one_of(
        HEADER,
        st.lists(
            st.sampled_from(
                ["<", ">", ";", ",", " rel=next", 'rel="next"', "/v2/a/tags/list?n=1", "http://x", "%", "\0"]
            ),
            max_size=12,
        ).map("".join),
    )
)
def test_links(header):
    with Timed():
        target = linked_page([header])
        assert target is None or (target in header and "<" not in target)


@pytest.mark.parametrize(
    "header",
    ['Bearer realm="' + "\\" * 100_000, "a," * 100_000, "Basic " + '"' * 100_000, "=" * 100_000, "a=" * 100_000],
    ids=["backslashes", "schemes", "quotes", "equals", "parameters"],
)
def test_long_headers_take_linear_time(header):
    with Timed():
        parse_challenges([header])
        linked_page([header, "<" * 100_000, "<>;" * 50_000, "<x>" + "rel=" * 50_000])
