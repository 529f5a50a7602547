"""The distribution spec 1.1: what a client must do, one row for each rule, by the requests that a registry receives."""

import json
import logging
import re
from typing import Any, Callable, NamedTuple

import pytest

from dockless.errors import DocklessError, InvalidDocumentError
from dockless.oci import media_types
from dockless.oci.digest import Digest
from dockless.registry import Credentials, RegistryBlobSource, RegistryClient, push
from dockless.registry.errors import DamagedBlobError, RegistryError
from dockless.testing import BasicAuth, Fault, Registry, User
from dockless.testing.profiles import STRICT

MIB = 1 << 20
UNKNOWN = Digest("sha256:" + "0" * 64)
ENDS = r'299 - "it \"ends\" soon"'
NAMED = {"Docker-Content-Digest": str(UNKNOWN)}
SBOM = "application/x.sbom"
NO_API = STRICT._replace(name="no referrers API", referrers=404)
ABSOLUTE = STRICT._replace(name="absolute", absolute_locations=True, session_path="/elsewhere/{repository}/{id}")
NO_QUERY = STRICT._replace(name="no query", query_in_location=False)
SMALL_PAGES = STRICT._replace(name="small pages", tag_page_maximum=2)
LARGE_CHUNKS = STRICT._replace(name="large chunks", chunk_minimum=2 * MIB)


class Client:
    """A client, its registry, and an image with a layer of 3 MiB and one of 100 bytes."""

    def __init__(self, registry: Registry, client: Any, image: Any, records: list) -> None:
        self.registry, self.client, self.image, self.records = registry, client, image, records
        self.large, self.small = image.root.layers

    def push(self) -> Any:
        return push(self.image.root, self.image.source, self.client, "a/b", ["v1"])

    def pushed(self) -> "Client":
        """Push the image. Returns this object, which has no requests of the push."""
        self.push()
        self.registry.reset_requests()
        return self

    def send(self, blob: Any) -> Any:
        return self.client.ensure_blob("a/b", blob, self.image.source)

    def interrupted(self, **fault: Any) -> Any:
        """Send the large blob, whose PUT is interrupted."""
        self.registry.faults = [Fault(on="upload put", nth=1, **fault)]
        return self.send(self.large)

    def read(self, blob: Any) -> bytes:
        return RegistryBlobSource(self.client, "a/b").open(blob).read()

    def asked(self, *operations: str) -> list:
        return [request for request in self.registry.requests if request.operation in operations]

    def referrer(self, **more: Any) -> bytes:
        document = {
            **self.image.root.json,
            "subject": {
                "mediaType": media_types.OCI_MANIFEST,
                "digest": self.image.digest,
                "size": len(self.image.root.raw),
            },
            **more,
        }
        return json.dumps(document).encode()

    def refer(self, raw: bytes) -> None:
        """Push a manifest with a subject."""
        self.client.put_manifest("a/b", Digest.of(raw), raw, media_types.OCI_MANIFEST)
        self.client.register_referrer("a/b", raw, media_types.OCI_MANIFEST)

    def put(self, version: str) -> Any:
        """Store the manifest of the image under another tag."""
        return self.client.put_manifest("a/b", version, self.image.root.raw, self.image.root.media_type)

    def log(self) -> list:
        """The warnings in the log."""
        return [record.getMessage() for record in self.records if record.levelno == logging.WARNING]

    def fallback(self) -> Any:
        """The index of the tag that the referrers tag schema gives to the image."""
        return json.loads(self.registry.manifest("a/b", self.image.digest.replace(":", "-")).raw)


class Row(NamedTuple):
    """A rule: its section of the spec, the profile of the registry, what the client does, and a check of its result."""

    section: str
    must: str
    profile: Any
    do: Callable[[Client], Any]
    check: Callable[[Client, Any], Any]


def headers(request: Any, **expected: str) -> bool:
    """The headers of a request; in names, `_` stands for `-`. Values are regular expressions."""
    for name, pattern in expected.items():
        value = request.headers[name.replace("_", "-")]
        assert value is not None and re.fullmatch(pattern, value), (name, value)
    return True


def order(client: Client, _: Any) -> bool:
    """Blobs are complete before the manifest, and nothing follows the tag."""
    done = [request.operation for request in client.asked("upload put", "upload post", "manifest put")]
    return done[-1] == "manifest put" and done.count("manifest put") == 1 and done.count("upload put") == 3


def failed(error: type, match: str) -> Callable[[Client, Any], bool]:
    return lambda client, result: isinstance(result, error) and bool(re.search(match, str(result)))


def chunks(client: Client, minimum: int) -> bool:
    """Chunks follow each other, name their range, and have at least the minimum, except the last one."""
    position = 0
    sent = client.asked("upload patch", "upload put")
    for request in sent:
        if request.headers["Content-Range"] is None:
            continue
        first, last = map(int, request.headers["Content-Range"].split("-"))
        assert first == position and int(request.headers["Content-Length"]) == last - first + 1
        assert request.operation == "upload put" or last - first + 1 >= minimum
        position = last + 1
    return any(request.headers["Content-Range"] for request in sent) and position == client.large.size


def in_chunks(client: Client) -> Any:
    """A proxy refuses whole blobs."""
    client.registry.faults = [Fault(on="upload put", status=413, nth=1)]
    return client.send(client.large)


def in_parts(client: Client) -> Any:
    """The connection ends in the middle of a blob that is read."""
    client.pushed().registry.faults = [Fault(on="blob get", response_bytes=MIB, drop=True, nth=1)]
    return client.read(client.large)


def typed(content_type: str) -> Fault:
    return Fault(on="manifest get", headers={"Content-Type": content_type})


def redirected(client: Client) -> Any:
    """A blob is at another host. Returns the blob, and the methods and credentials that the host received."""
    with Registry() as store, Registry(auth=BasicAuth([User("ann", "password")])) as registry:
        store.put_blob("a/b", client.image.source.blobs[client.small.digest])
        registry.put_blob("a/b", client.image.source.blobs[client.small.digest])
        registry.faults = [Fault(on="blob get", status=307, headers={"Location": store.url + "{path}"})]
        with RegistryClient(registry.host, credentials=Credentials("ann", "password")) as other:
            data = RegistryBlobSource(other, "a/b").open(client.small).read()
        requests = [request for request in store.requests if request.operation == "blob get"]
        assert any(request.headers["Authorization"] for request in registry.requests)
        return data, [request.method for request in requests], [r.headers["Authorization"] for r in requests]


ROWS = (
    # --- Pull
    Row(
        "Pulling manifests",
        "Accept names all types of manifests",
        "strict",
        lambda c: c.pushed().client.get_manifest("a/b", "v1"),
        lambda c, found: (
            headers(c.asked("manifest get")[0], Accept=".*oci.image.manifest.*oci.image.index.*|.*docker.*")
            and all(kind in c.asked("manifest get")[0].headers["Accept"] for kind in media_types.DOCUMENTS)
        ),
    ),
    Row(
        "Pulling manifests",
        "bytes that differ from the digest are refused",
        "strict",
        lambda c: (
            setattr(c.pushed().registry, "faults", [Fault(on="manifest get", corrupt=5)])
            or c.client.get_manifest("a/b", c.image.digest)
        ),
        failed(RegistryError, "another manifest|damaged|does not match|not a manifest"),
    ),
    Row(
        "Pulling manifests",
        "parameters of Content-Type are ignored",
        "strict",
        lambda c: (
            setattr(c.pushed().registry, "faults", [typed(f"{media_types.OCI_MANIFEST}; charset=utf-8")])
            or c.client.get_manifest("a/b", "v1")
        ),
        lambda c, found: found.media_type == media_types.OCI_MANIFEST,
    ),
    Row(
        "Pulling manifests",
        "a mediaType that differs from Content-Type is refused",
        "strict",
        lambda c: (
            setattr(c.pushed().registry, "faults", [typed(media_types.OCI_INDEX)])
            or c.client.get_manifest("a/b", "v1").parse("v1")
        ),
        failed(InvalidDocumentError, "was served as"),
    ),
    Row(
        "Pulling manifests",
        "bytes that differ from Docker-Content-Digest are refused",
        "strict",
        lambda c: (
            setattr(c.pushed().registry, "faults", [Fault(on="manifest get", headers=NAMED)])
            or c.client.get_manifest("a/b", "v1")
        ),
        failed(RegistryError, "does not have the digest that the registry names"),
    ),
    Row(
        "Pulling blobs",
        "bytes that differ from the digest are refused",
        "strict",
        lambda c: setattr(c.pushed().registry, "faults", [Fault(on="blob get", corrupt=5)]) or c.read(c.small),
        failed(DamagedBlobError, "is damaged"),
    ),
    Row(
        "Pulling blobs",
        "a range continues where the connection ended",
        "strict",
        in_parts,
        lambda c, data: (
            data == c.image.source.blobs[c.large.digest]
            and headers(c.asked("blob get")[1], Range="bytes=[1-9][0-9]*-.*")
        ),
    ),
    Row(
        "Checking if content exists",
        "404 is no error",
        "strict",
        lambda c: (c.client.blob_exists("a/b", UNKNOWN), c.client.head_manifest("a/b", "v9")),
        lambda c, found: found == (False, None),
    ),
    # --- Push
    Row("Push", "blobs are sent before the manifest", "strict", lambda c: c.push(), order),
    *(
        Row(
            "POST then PUT",
            f"the Location is used as it is, and the digest is added to its query: {profile.name}",
            profile,
            lambda c: c.send(c.small),
            lambda c, _: (
                c.asked("upload put")[0].status == 201
                and c.asked("upload put")[0].query.get("digest") == c.small.digest
            ),
        )
        for profile in (STRICT, ABSOLUTE, NO_QUERY)
    ),
    Row(
        "POST then PUT",
        "Content-Length and Content-Type",
        "strict",
        lambda c: c.send(c.small),
        lambda c, _: headers(c.asked("upload put")[0], Content_Length="100", Content_Type="application/octet-stream"),
    ),
    Row(
        "POST then PUT",
        "the POST has no body",
        "strict",
        lambda c: c.send(c.small),
        lambda c, _: headers(c.asked("upload post")[0], Content_Length="0"),
    ),
    Row(
        "Pushing a blob in chunks",
        "chunks in order, with Content-Range, Content-Length and Content-Type",
        "strict",
        in_chunks,
        lambda c, _: (
            chunks(c, 1) and all(headers(r, Content_Type="application/octet-stream") for r in c.asked("upload patch"))
        ),
    ),
    Row(
        "Pushing a blob in chunks",
        "the session is closed with a PUT that has the digest of the whole blob",
        "strict",
        in_chunks,
        lambda c, _: (
            c.asked("upload put")[-1].status == 201 and c.asked("upload put")[-1].query.get("digest") == c.large.digest
        ),
    ),
    Row(
        "Pushing a blob in chunks",
        "chunks have at least OCI-Chunk-Min-Length",
        LARGE_CHUNKS,
        in_chunks,
        lambda c, _: chunks(c, 2 * MIB),
    ),
    Row(
        "Pushing a blob in chunks",
        "after an interruption the status is requested, and the rest is sent",
        "strict",
        lambda c: c.interrupted(request_bytes=MIB, drop=True),
        lambda c, _: (
            c.asked("upload get")[0].status == 204
            and sum(request.received for request in c.asked("upload put")) == c.large.size
        ),
    ),
    Row(
        "Mounting a blob from another repository",
        "201 needs no upload",
        "strict",
        lambda c: c.pushed().client.ensure_blob("a/c", c.small, c.image.source, mount_from=["a/b"]),
        lambda c, _: (
            c.asked("upload post")[0].query.get("mount") == c.small.digest
            and c.asked("upload post")[0].query.get("from") == "a/b"
            and not c.asked("upload put", "upload patch")
        ),
    ),
    Row(
        "Mounting a blob from another repository",
        "202 is the start of an upload",
        "strict",
        lambda c: c.client.ensure_blob("a/c", c.small, c.image.source, mount_from=["x/y"]),
        lambda c, _: c.registry.blob("a/c", c.small.digest) == c.image.source.blobs[c.small.digest],
    ),
    Row(
        "Pushing Manifests",
        "Content-Type is the media type of the manifest",
        "strict",
        lambda c: c.push(),
        lambda c, _: (
            headers(c.asked("manifest put")[0], Content_Type=re.escape(media_types.OCI_MANIFEST))
            and c.asked("manifest put")[0].body == c.image.root.raw
        ),
    ),
    Row(
        "Pushing Manifests with Subject",
        "with the API, no referrers tag is written",
        "strict",
        lambda c: c.pushed().refer(c.referrer()),
        lambda c, _: list(c.registry.tags("a/b")) == ["v1"],
    ),
    Row(
        "Referrers Tag Schema",
        "the tag lists the new manifest with its artifact type and annotations",
        NO_API,
        lambda c: c.pushed().refer(c.referrer(artifactType=SBOM, annotations={"k": "v"})),
        lambda c, _: [(e["artifactType"], e["annotations"]) for e in c.fallback()["manifests"]] == [(SBOM, {"k": "v"})],
    ),
    Row(
        "Referrers Tag Schema",
        "without an artifact type, that of the config",
        NO_API,
        lambda c: c.pushed().refer(c.referrer()),
        lambda c, _: [e["artifactType"] for e in c.fallback()["manifests"]] == [media_types.OCI_CONFIG],
    ),
    Row(
        "Referrers Tag Schema",
        "earlier entries stay, and none is listed twice",
        NO_API,
        lambda c: [c.pushed().refer(c.referrer(artifactType=kind)) for kind in (SBOM, SBOM + "2", SBOM)],
        lambda c, _: sorted(e["artifactType"] for e in c.fallback()["manifests"]) == [SBOM, SBOM + "2"],
    ),
    Row(
        "Pushing Manifests",
        "another digest in the response is an error",
        "strict",
        lambda c: setattr(c.pushed().registry, "faults", [Fault(on="manifest put", headers=NAMED)]) or c.put("v2"),
        failed(RegistryError, "stored another manifest than was sent"),
    ),
    Row(
        "Referrers Tag Schema",
        "a tag that is not an index is not replaced",
        NO_API,
        lambda c: c.pushed().put(c.image.digest.replace(":", "-")) and c.refer(c.referrer(artifactType=SBOM)),
        lambda c, result: (
            failed(RegistryError, "is not an index")(c, result)
            and c.registry.manifest("a/b", c.image.digest.replace(":", "-")).raw == c.image.root.raw
        ),
    ),
    Row(
        "Referrers Tag Schema",
        "with OCI-Subject but without the API, the tag is written",
        NO_API,
        lambda c: (
            setattr(c.pushed().registry, "faults", [Fault(on="manifest put", headers={"OCI-Subject": UNKNOWN})])
            or c.refer(c.referrer(artifactType=SBOM))
        ),
        lambda c, _: len(c.fallback()["manifests"]) == 1,
    ),
    # --- Content Discovery
    Row(
        "Listing Tags",
        "the Link of each page is followed",
        SMALL_PAGES,
        lambda c: (
            [
                c.pushed().client.put_manifest("a/b", f"v{n}", c.image.root.raw, c.image.root.media_type)
                for n in range(5)
            ]
            and list(c.client.tags("a/b"))
        ),
        lambda c, found: found == ["v0", "v1", "v2", "v3", "v4"] and len(c.asked("tags get")) == 3,
    ),
    Row(
        "Listing Referrers",
        "the client filters again if OCI-Filters-Applied is missing",
        "strict",
        lambda c: (
            [c.pushed().refer(c.referrer(artifactType=kind)) for kind in (SBOM, SBOM + "2")]
            and c.client.referrers("a/b", c.image.digest, SBOM)
        ),
        lambda c, found: [each.artifact_type for each in found] == [SBOM],
    ),
    Row(
        "Listing Referrers",
        "404 leads to the referrers tag",
        NO_API,
        lambda c: c.pushed().refer(c.referrer(artifactType=SBOM)) or c.client.referrers("a/b", c.image.digest),
        lambda c, found: [each.artifact_type for each in found] == [SBOM] and c.asked("referrers get"),
    ),
    Row(
        "Listing Referrers",
        "a referrers tag that is not an index is an empty list",
        NO_API,
        lambda c: c.pushed().put(c.image.digest.replace(":", "-")) and c.client.referrers("a/b", c.image.digest),
        lambda c, found: found == (),
    ),
    Row(
        "Listing Referrers",
        "no referrers tag is an empty list",
        NO_API,
        lambda c: c.pushed().client.referrers("a/b", c.image.digest),
        lambda c, found: found == (),
    ),
    # --- Content Management
    Row(
        "Deleting tags",
        "DELETE of the tag",
        "strict",
        lambda c: c.pushed().client.delete_manifest("a/b", "v1"),
        lambda c, _: [str(request) for request in c.asked("manifest delete")] == ["DELETE /v2/a/b/manifests/v1 202"],
    ),
    Row(
        "Deleting Manifests",
        "DELETE of the digest",
        "strict",
        lambda c: c.pushed().client.delete_manifest("a/b", c.image.digest),
        lambda c, _: [request.reference for request in c.asked("manifest delete")] == [c.image.digest],
    ),
    Row(
        "Deleting Blobs",
        "DELETE of the digest",
        "strict",
        lambda c: c.pushed().client.delete_blob("a/b", c.small.digest),
        lambda c, _: [request.reference for request in c.asked("blob delete")] == [c.small.digest],
    ),
    # --- API
    Row(
        "API",
        "redirects are followed, and Authorization is not sent to another host",
        "strict",
        redirected,
        lambda c, result: result == (c.image.source.blobs[c.small.digest], ["GET"], [None]),
    ),
    Row(
        "Error Codes",
        "a body in any format",
        "strict",
        lambda c: (
            setattr(c.pushed().registry, "faults", [Fault(on="manifest get", status=418, body="no coffee")])
            or c.client.get_manifest("a/b", "v1")
        ),
        failed(RegistryError, "418: no coffee"),
    ),
    Row(
        "Warnings",
        "are reported once and have no other effect",
        "strict",
        lambda c: setattr(c.registry, "faults", [Fault(on="*", headers={"Warning": ENDS})]) or c.push(),
        lambda c, result: result.digest == c.image.digest and c.log() == [f'{c.registry.host}: it "ends" soon'],
    ),
    Row(
        "Error Codes",
        "the codes of an error are part of it",
        "strict",
        lambda c: c.client.put_manifest("a/b", "v1", c.image.root.raw, c.image.root.media_type),
        lambda c, error: "MANIFEST_BLOB_UNKNOWN" in error.codes,
    ),
)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.section}: {row.must}")
def test_a_client(row, connect, make, caplog):
    with Registry(profile=row.profile) as registry:
        client = Client(registry, connect(registry.host), make(11, 3 * MIB, 100), caplog.records)
        try:
            result = row.do(client)
        except DocklessError as error:
            result = error
        assert row.check(client, result), (result, [str(request) for request in registry.requests])


def test_the_rows_differ():
    assert len({(row.section, row.must) for row in ROWS}) == len(ROWS)
