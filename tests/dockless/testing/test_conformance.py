"""The distribution spec 1.1: what a registry must do, for `Registry` and `dockless serve`, one row for each rule."""

import json
import re
from types import MappingProxyType
from typing import Any, Callable, NamedTuple, Optional

import pytest

from dockless.testing import Registry
from dockless.testing.profiles import STRICT

BLOB = b"0123456789"
EMPTY = b"{}"
OTHER = b"another blob"
UNKNOWN = "sha256:" + "0" * 64
SBOM, SIGNATURE = "application/x.sbom", "application/x.signature"
INDEX = "application/vnd.oci.image.index.v1+json"


class Calls:
    """Sends requests to a registry whose repository `a/b` has a blob, and an image with the tags v1, v2 and V3.

    The image has two referrers: a manifest with an artifact type and an annotation, and an index without either.
    """

    def __init__(self, host: str, helpers: Any) -> None:
        self.call = helpers.Client(host)
        self.helpers = helpers
        self.blob = self.call.push("a/b", BLOB)
        self.call.push("a/b", EMPTY)
        self.raw = helpers.make_manifest(EMPTY, BLOB)
        self.digest = helpers.digest(self.raw)
        for tag in ("v2", "v1", "V3"):
            assert self.call.put_manifest("a/b", tag, self.raw).status == 201
        self.subject = helpers.descriptor(self.raw, helpers.MANIFEST)
        self.referrer = self.with_subject(self.subject, SBOM)
        self.index = json.dumps(
            {"schemaVersion": 2, "mediaType": INDEX, "manifests": [], "subject": self.subject}
        ).encode()
        assert self.put(self.referrer).status == 201
        assert self.put(self.index, media_type=INDEX).status == 201

    def __call__(self, method: str, target: str, body: Optional[bytes] = None, **headers: str) -> Any:
        return self.call(method, target.replace("BLOB", self.blob).replace("IMAGE", self.digest), body, **headers)

    def with_subject(self, subject: Any, artifact_type: str) -> bytes:
        return self.helpers.make_manifest(
            EMPTY, BLOB, subject=subject, artifactType=artifact_type, annotations={"k": artifact_type}
        )

    def put(self, raw: bytes, reference: str = "", media_type: str = "") -> Any:
        media_type = media_type or self.helpers.MANIFEST
        return self.call.put_manifest("a/b", reference or self.helpers.digest(raw), raw, media_type)

    def start(self) -> str:
        return self.call.start("a/b")

    def sent(self, *chunks: bytes) -> str:
        """Send chunks in one session. Returns the Location after the last one."""
        location, start = self.start(), 0
        for chunk in chunks:
            answer = self("PATCH", location, chunk, Content_Range=f"{start}-{start + len(chunk) - 1}")
            location, start = answer.headers["Location"], start + len(chunk)
        return location

    def finish(self, location: str, whole: bytes, body: bytes = b"", **headers: str) -> Any:
        return self("PUT", self.helpers.with_digest(location, whole), body, **headers)

    def pulled(self, answer: Any) -> Any:
        """Follow the Location of a successful push."""
        assert answer.status == 201
        return self("GET", answer.headers["Location"])

    def after(self, *requests: str) -> Any:
        """Send requests `METHOD TARGET`, of which all but the last succeed. Returns the last response."""
        for request in requests:
            answer = self(*request.split(" "))
            assert answer.status < 300 or request == requests[-1]
        return answer


class Row(NamedTuple):
    """A rule: its section of the spec, the request, and the status, headers (regular expressions) and body."""

    section: str
    must: str
    request: Callable[[Calls], Any]
    status: int
    headers: Any = MappingProxyType({})
    body: Optional[Callable[[Calls, Any], Any]] = None


def error(code: str) -> Callable[[Calls, Any], bool]:
    """The body is the JSON of "Error Codes", with `code`."""

    def check(calls: Calls, answer: Any) -> bool:
        assert answer.headers["Content-Type"].startswith("application/json")
        assert all(re.fullmatch("[A-Z0-9_]+", each["code"]) for each in answer.json["errors"])
        return bool(answer.code == code)

    return check


def tags(*expected: str) -> Callable[[Calls, Any], bool]:
    return lambda calls, answer: answer.json == {"name": "a/b", "tags": list(expected)}


def referrers(*expected: str) -> Callable[[Calls, Any], bool]:
    """The body is an index with the named documents of `Calls`."""

    def check(calls: Calls, answer: Any) -> bool:
        document = answer.json
        assert document["schemaVersion"] == 2 and document["mediaType"] == INDEX
        wanted = {calls.helpers.digest(getattr(calls, name)) for name in expected}
        return {each["digest"] for each in document["manifests"]} == wanted

    return check


def described(calls: Calls, answer: Any) -> bool:
    """Each descriptor has the type, size, artifact type and annotations of its manifest, as far as there are any."""
    by_digest = {each.pop("digest"): each for each in answer.json["manifests"]}
    manifest, index = by_digest[calls.helpers.digest(calls.referrer)], by_digest[calls.helpers.digest(calls.index)]
    assert manifest == {
        "mediaType": calls.helpers.MANIFEST,
        "size": len(calls.referrer),
        "artifactType": SBOM,
        "annotations": {"k": SBOM},
    }
    return bool(index == {"mediaType": INDEX, "size": len(calls.index)})


DIGEST = r"sha256:[0-9a-f]{64}"
UUID = "[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
UPLOADS = "/v2/a/b/blobs/uploads/"
TAGS = "/v2/a/b/tags/list"
MISSING_SUBJECT = {"mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": UNKNOWN, "size": 7}

ROWS = (
    Row("Determining Support", "200", lambda c: c("GET", "/v2/"), 200),
    # --- Pull
    Row(
        "Pulling manifests",
        "by tag: the bytes, with their type and digest",
        lambda c: c("GET", "/v2/a/b/manifests/v1"),
        200,
        {"Content-Type": r"application/vnd\.oci\.image\.manifest\.v1\+json", "Docker-Content-Digest": DIGEST},
        lambda c, answer: answer.body == c.raw and answer.headers["Docker-Content-Digest"] == c.digest,
    ),
    Row(
        "Pulling manifests",
        "by digest",
        lambda c: c("GET", "/v2/a/b/manifests/IMAGE"),
        200,
        {"Docker-Content-Digest": DIGEST},
        lambda c, answer: answer.body == c.raw,
    ),
    Row(
        "Pulling manifests",
        "404 for an unknown tag",
        lambda c: c("GET", "/v2/a/b/manifests/v9"),
        404,
        {},
        error("MANIFEST_UNKNOWN"),
    ),
    Row("Pulling manifests", "404 for an unknown digest", lambda c: c("GET", f"/v2/a/b/manifests/{UNKNOWN}"), 404),
    Row("Pulling manifests", "404 in another repository", lambda c: c("GET", "/v2/a/c/manifests/IMAGE"), 404),
    Row(
        "Pulling blobs",
        "the bytes",
        lambda c: c("GET", "/v2/a/b/blobs/BLOB"),
        200,
        {"Content-Length": "10", "Docker-Content-Digest": DIGEST},
        lambda c, answer: answer.body == BLOB,
    ),
    Row(
        "Pulling blobs",
        "a range",
        lambda c: c("GET", "/v2/a/b/blobs/BLOB", Range="bytes=2-4"),
        206,
        {"Content-Range": "bytes 2-4/10", "Content-Length": "3"},
        lambda c, answer: answer.body == BLOB[2:5],
    ),
    Row(
        "Pulling blobs",
        "404 for an unknown digest",
        lambda c: c("GET", f"/v2/a/b/blobs/{UNKNOWN}"),
        404,
        {},
        error("BLOB_UNKNOWN"),
    ),
    Row("Pulling blobs", "404 in another repository", lambda c: c("GET", "/v2/a/c/blobs/BLOB"), 404),
    Row(
        "Checking if content exists",
        "HEAD of a manifest",
        lambda c: c("HEAD", "/v2/a/b/manifests/v1"),
        200,
        {"Content-Length": "[1-9][0-9]*", "Docker-Content-Digest": DIGEST},
        lambda c, answer: answer.body == b"" and int(answer.headers["Content-Length"]) == len(c.raw),
    ),
    Row("Checking if content exists", "404, manifest", lambda c: c("HEAD", "/v2/a/b/manifests/v9"), 404),
    Row(
        "Checking if content exists",
        "HEAD of a blob",
        lambda c: c("HEAD", "/v2/a/b/blobs/BLOB"),
        200,
        {"Content-Length": "10", "Docker-Content-Digest": DIGEST},
        lambda c, answer: answer.body == b"",
    ),
    Row("Checking if content exists", "404, blob", lambda c: c("HEAD", f"/v2/a/b/blobs/{UNKNOWN}"), 404),
    # --- Push
    Row("POST then PUT", "a Location for the session", lambda c: c("POST", UPLOADS), 202, {"Location": ".+"}),
    Row(
        "POST then PUT", "the Location contains a UUID", lambda c: c("POST", UPLOADS), 202, {"Location": f".*{UUID}.*"}
    ),
    Row(
        "POST then PUT",
        "an algorithm that is not supported is an error",
        lambda c: (
            lambda location: c("PUT", f"{location}{'&' if '?' in location else '?'}digest=md5:{'0' * 32}", b"x")
        )(c.start()),
        400,
        {},
        error("DIGEST_INVALID"),
    ),
    Row(
        "POST then PUT",
        "a Location for the blob",
        lambda c: c.finish(c.start(), OTHER, OTHER),
        201,
        {"Location": f"/v2/a/b/blobs/{DIGEST}"},
    ),
    Row(
        "POST then PUT",
        "the blob can be pulled at the Location",
        lambda c: c.pulled(c.finish(c.start(), OTHER, OTHER)),
        200,
        {},
        lambda c, answer: answer.body == OTHER,
    ),
    Row(
        "POST then PUT",
        "a digest that does not match is an error",
        lambda c: c.finish(c.start(), OTHER, BLOB),
        400,
        {},
        error("DIGEST_INVALID"),
    ),
    Row(
        "POST then PUT",
        "a PUT without a digest is an error",
        lambda c: c("PUT", c.start(), OTHER),
        400,
        {},
        error("DIGEST_INVALID"),
    ),
    Row(
        "Single POST",
        "201 and a Location",
        lambda c: c("POST", f"{UPLOADS}?digest={c.helpers.digest(OTHER)}", OTHER),
        201,
        {"Location": f"/v2/a/b/blobs/{DIGEST}"},
    ),
    Row(
        "Single POST",
        "the blob can be pulled at the Location",
        lambda c: c.pulled(c("POST", f"{UPLOADS}?digest={c.helpers.digest(OTHER)}", OTHER)),
        200,
        {},
        lambda c, answer: answer.body == OTHER,
    ),
    Row(
        "Single POST",
        "a digest that does not match is an error",
        lambda c: c("POST", f"{UPLOADS}?digest={UNKNOWN}", OTHER),
        400,
        {},
        error("DIGEST_INVALID"),
    ),
    Row(
        "Pushing a blob in chunks",
        "202, a Location, and the Range so far",
        lambda c: c("PATCH", c.start(), BLOB[:4], Content_Range="0-3"),
        202,
        {"Location": ".+", "Range": "0-3"},
    ),
    Row(
        "Pushing a blob in chunks",
        "the Range after two chunks",
        lambda c: c("PATCH", c.sent(BLOB[:4]), BLOB[4:7], Content_Range="4-6"),
        202,
        {"Location": ".+", "Range": "0-6"},
    ),
    Row(
        "Pushing a blob in chunks",
        "416 for a chunk out of order",
        lambda c: c("PATCH", c.sent(BLOB[:4]), BLOB[6:8], Content_Range="6-7"),
        416,
        {"Location": ".+", "Range": "0-3"},
        error("BLOB_UPLOAD_INVALID"),
    ),
    Row(
        "Pushing a blob in chunks",
        "416 for a first chunk that is not the first",
        lambda c: c("PATCH", c.start(), BLOB[4:], Content_Range="4-9"),
        416,
    ),
    Row(
        "Pushing a blob in chunks",
        "416 for a chunk that is repeated",
        lambda c: c("PATCH", c.sent(BLOB[:4]), BLOB[:4], Content_Range="0-3"),
        416,
    ),
    Row(
        "Pushing a blob in chunks",
        "416 for a last chunk out of order",
        lambda c: c.finish(c.sent(BLOB[:4]), BLOB, BLOB[6:], Content_Range="6-9"),
        416,
    ),
    Row(
        "Pushing a blob in chunks",
        "the end without a last chunk",
        lambda c: c.pulled(c.finish(c.sent(OTHER[:4], OTHER[4:]), OTHER)),
        200,
        {},
        lambda c, answer: answer.body == OTHER,
    ),
    Row(
        "Pushing a blob in chunks",
        "the end with a last chunk",
        lambda c: c.pulled(c.finish(c.sent(OTHER[:4]), OTHER, OTHER[4:], Content_Range=f"4-{len(OTHER) - 1}")),
        200,
        {},
        lambda c, answer: answer.body == OTHER,
    ),
    Row(
        "Pushing a blob in chunks",
        "the status of a session: a Location, and the Range so far",
        lambda c: c("GET", c.sent(BLOB[:4])),
        204,
        {"Location": ".+", "Range": "0-3"},
    ),
    Row(
        "Pushing a blob in chunks",
        "404 for a session that was finished",
        lambda c: (lambda location: c.finish(location, OTHER, OTHER) and c("GET", location))(c.start()),
        404,
        {},
        error("BLOB_UPLOAD_UNKNOWN"),
    ),
    Row("Canceling a blob upload", "204", lambda c: c("DELETE", c.start()), 204),
    Row(
        "Canceling a blob upload",
        "404 for the session afterwards",
        lambda c: (lambda location: c.after(f"DELETE {location}", f"GET {location}"))(c.start()),
        404,
        {},
        error("BLOB_UPLOAD_UNKNOWN"),
    ),
    Row(
        "Mounting a blob from another repository",
        "201 and a Location",
        lambda c: c("POST", "/v2/a/c/blobs/uploads/?mount=BLOB&from=a/b"),
        201,
        {"Location": f"/v2/a/c/blobs/{DIGEST}"},
    ),
    Row(
        "Mounting a blob from another repository",
        "the blob can be pulled at the Location",
        lambda c: c.pulled(c("POST", "/v2/a/c/blobs/uploads/?mount=BLOB&from=a/b")),
        200,
        {},
        lambda c, answer: answer.body == BLOB,
    ),
    Row(
        "Mounting a blob from another repository",
        "202 and a session for an unknown blob",
        lambda c: c("POST", f"/v2/a/c/blobs/uploads/?mount={UNKNOWN}&from=a/b"),
        202,
        {"Location": ".+"},
    ),
    Row(
        "Mounting a blob from another repository",
        "202 and a session for an unknown repository",
        lambda c: c("POST", "/v2/a/c/blobs/uploads/?mount=BLOB&from=x/y"),
        202,
        {"Location": ".+"},
    ),
    Row(
        "Pushing Manifests",
        "201 and a Location",
        lambda c: c.put(c.raw, "v4"),
        201,
        {"Location": f"/v2/a/b/manifests/{DIGEST}"},
    ),
    Row(
        "Pushing Manifests",
        "the manifest can be pulled at the Location, byte for byte",
        lambda c: c.pulled(c.put(c.raw.replace(b": ", b" :  "), "v4")),
        200,
        {},
        lambda c, answer: answer.body == c.raw.replace(b": ", b" :  "),
    ),
    Row(
        "Pushing Manifests",
        "Docker-Content-Digest is the digest of the bytes",
        lambda c: c.put(c.raw, "v4"),
        201,
        {"Docker-Content-Digest": DIGEST},
        lambda c, answer: answer.headers["Docker-Content-Digest"] == c.digest,
    ),
    Row(
        "Pushing Manifests",
        "parameters of Content-Type are ignored",
        lambda c: c.put(c.raw, "v4", f"{c.helpers.MANIFEST}; charset=utf-8") and c("GET", "/v2/a/b/manifests/v4"),
        200,
        {"Content-Type": r"application/vnd\.oci\.image\.manifest\.v1\+json"},
    ),
    Row(
        "Pushing Manifests",
        "a manifest of nearly 4 MiB",
        lambda c: c.put(c.helpers.make_manifest(EMPTY, BLOB, annotations={"k": "a" * ((4 << 20) - 1000)}), "v4"),
        201,
    ),
    Row(
        "Pushing Manifests", "404 for a repository that does not exist", lambda c: c("GET", "/v2/x/y/manifests/v1"), 404
    ),
    Row("Pushing Manifests", "a tag of 128 characters", lambda c: c.put(c.raw, "_" + "a" * 127), 201),
    Row(
        "Pushing Manifests",
        "a tag of 129 characters is an error",
        lambda c: c.put(c.raw, "a" * 129),
        400,
        {},
        error("TAG_INVALID"),
    ),
    Row(
        "Pushing Manifests",
        "a blob that does not exist is an error",
        lambda c: c.put(c.helpers.make_manifest(b"?")),
        400,
        {},
        error("MANIFEST_BLOB_UNKNOWN"),
    ),
    Row(
        "Pushing Manifests",
        "a digest that does not match is an error",
        lambda c: c.put(c.raw, UNKNOWN),
        400,
        {},
        error("DIGEST_INVALID"),
    ),
    Row(
        "Pushing Manifests",
        "what is no manifest is an error",
        lambda c: c.put(b"junk", "v4"),
        400,
        {},
        error("MANIFEST_INVALID"),
    ),
    Row("Pushing Manifests", "413 for a manifest of more than 4 MiB", lambda c: c.put(bytes((4 << 20) + 1), "v4"), 413),
    Row(
        "Pushing Manifests with Subject",
        "OCI-Subject is the digest of the subject",
        lambda c: c.put(c.with_subject(c.subject, SIGNATURE)),
        201,
        {"OCI-Subject": DIGEST},
        lambda c, answer: answer.headers["OCI-Subject"] == c.digest,
    ),
    Row(
        "Pushing Manifests with Subject",
        "OCI-Subject of an index",
        lambda c: c.put(c.index, media_type=INDEX),
        201,
        {"OCI-Subject": DIGEST},
    ),
    Row(
        "Pushing Manifests with Subject",
        "a subject that does not exist is accepted",
        lambda c: c.put(c.with_subject(MISSING_SUBJECT, SBOM)),
        201,
        {"OCI-Subject": UNKNOWN},
    ),
    # --- Content Discovery
    Row("Listing Tags", "all tags in lexical order", lambda c: c("GET", TAGS), 200, {}, tags("V3", "v1", "v2")),
    Row(
        "Listing Tags",
        "at most n, and a Link to the rest",
        lambda c: c("GET", f"{TAGS}?n=2"),
        200,
        {"Link": r'</v2/a/b/tags/list\?n=2&last=v1>; rel="next"'},
        tags("V3", "v1"),
    ),
    Row(
        "Listing Tags",
        "the tags after last",
        lambda c: c("GET", f"{TAGS}?n=2&last=v1"),
        200,
        {"Link": None},
        tags("v2"),
    ),
    Row("Listing Tags", "last need not exist", lambda c: c("GET", f"{TAGS}?last=v0"), 200, {}, tags("v1", "v2")),
    Row(
        "Listing Tags",
        "no Link if n is the number of tags",
        lambda c: c("GET", f"{TAGS}?n=3"),
        200,
        {"Link": None},
        tags("V3", "v1", "v2"),
    ),
    Row(
        "Listing Tags",
        "an empty list and no Link for n=0",
        lambda c: c("GET", f"{TAGS}?n=0"),
        200,
        {"Link": None},
        tags(),
    ),
    Row(
        "Listing Tags",
        "404 for an unknown repository",
        lambda c: c("GET", "/v2/x/y/tags/list"),
        404,
        {},
        error("NAME_UNKNOWN"),
    ),
    Row(
        "Listing Referrers",
        "an index",
        lambda c: c("GET", "/v2/a/b/referrers/IMAGE"),
        200,
        {"Content-Type": r"application/vnd\.oci\.image\.index\.v1\+json", "OCI-Filters-Applied": None},
        referrers("referrer", "index"),
    ),
    Row(
        "Listing Referrers",
        "without an artifact type, that of the config",
        lambda c: (
            c.put(c.helpers.make_manifest(EMPTY, BLOB, subject=c.subject)) and c("GET", "/v2/a/b/referrers/IMAGE")
        ),
        200,
        {},
        lambda c, answer: (
            sorted(each.get("artifactType", "none") for each in answer.json["manifests"])
            == sorted([SBOM, "none", json.loads(c.raw)["config"]["mediaType"]])
        ),
    ),
    Row("Listing Referrers", "descriptors", lambda c: c("GET", "/v2/a/b/referrers/IMAGE"), 200, {}, described),
    Row(
        "Listing Referrers",
        "an empty index if there are none",
        lambda c: c("GET", f"/v2/a/b/referrers/{UNKNOWN}"),
        200,
        {"Content-Type": r"application/vnd\.oci\.image\.index\.v1\+json"},
        referrers(),
    ),
    Row(
        "Listing Referrers",
        "not 404 for an unknown subject with referrers",
        lambda c: c.put(c.with_subject(MISSING_SUBJECT, SBOM)) and c("GET", f"/v2/a/b/referrers/{UNKNOWN}"),
        200,
        {},
        lambda c, answer: len(answer.json["manifests"]) == 1,
    ),
    Row(
        "Listing Referrers",
        "a filter and its header",
        lambda c: c("GET", f"/v2/a/b/referrers/IMAGE?artifactType={SBOM}"),
        200,
        {"OCI-Filters-Applied": "artifactType"},
        referrers("referrer"),
    ),
    Row(
        "Listing Referrers",
        "a filter that matches nothing",
        lambda c: c("GET", f"/v2/a/b/referrers/IMAGE?artifactType={SIGNATURE}"),
        200,
        {"OCI-Filters-Applied": "artifactType"},
        referrers(),
    ),
    Row(
        "Listing Referrers",
        "400 for an invalid digest",
        lambda c: c("GET", "/v2/a/b/referrers/sha256:0"),
        400,
        {},
        error("DIGEST_INVALID"),
    ),
    # --- Content Management
    Row("Deleting tags", "202", lambda c: c("DELETE", "/v2/a/b/manifests/v1"), 202),
    Row(
        "Deleting tags",
        "404 afterwards",
        lambda c: c.after("DELETE /v2/a/b/manifests/v1", "GET /v2/a/b/manifests/v1"),
        404,
        {},
        error("MANIFEST_UNKNOWN"),
    ),
    Row(
        "Deleting tags",
        "the manifest and other tags stay",
        lambda c: c.after("DELETE /v2/a/b/manifests/v1", "GET /v2/a/b/manifests/IMAGE", f"GET {TAGS}"),
        200,
        {},
        tags("V3", "v2"),
    ),
    Row("Deleting tags", "404 for an unknown tag", lambda c: c("DELETE", "/v2/a/b/manifests/v9"), 404),
    Row("Deleting Manifests", "202", lambda c: c("DELETE", "/v2/a/b/manifests/IMAGE"), 202),
    Row(
        "Deleting Manifests",
        "404 afterwards",
        lambda c: c.after("DELETE /v2/a/b/manifests/IMAGE", "GET /v2/a/b/manifests/IMAGE"),
        404,
    ),
    Row(
        "Deleting Manifests",
        "404 for its tags",
        lambda c: c.after("DELETE /v2/a/b/manifests/IMAGE", "GET /v2/a/b/manifests/v1"),
        404,
    ),
    Row("Deleting Manifests", "404 for an unknown digest", lambda c: c("DELETE", f"/v2/a/b/manifests/{UNKNOWN}"), 404),
    Row("Deleting Manifests", "404 for an unknown repository", lambda c: c("DELETE", "/v2/x/y/manifests/IMAGE"), 404),
    Row(
        "Deleting Manifests",
        "a referrer is no longer listed",
        lambda c: c.after(f"DELETE /v2/a/b/manifests/{c.helpers.digest(c.referrer)}", "GET /v2/a/b/referrers/IMAGE"),
        200,
        {},
        referrers("index"),
    ),
    Row("Deleting Blobs", "202", lambda c: c("DELETE", "/v2/a/b/blobs/BLOB"), 202),
    Row(
        "Deleting Blobs",
        "404 afterwards",
        lambda c: c.after("DELETE /v2/a/b/blobs/BLOB", "GET /v2/a/b/blobs/BLOB"),
        404,
        {},
        error("BLOB_UNKNOWN"),
    ),
    Row(
        "Deleting Blobs",
        "404 for an unknown digest",
        lambda c: c("DELETE", f"/v2/a/b/blobs/{UNKNOWN}"),
        404,
        {},
        error("BLOB_UNKNOWN"),
    ),
    # --- API
    Row("Error Codes", "NAME_INVALID", lambda c: c("GET", "/v2/A/b/tags/list"), 400, {}, error("NAME_INVALID")),
    Row(
        "Error Codes", "DIGEST_INVALID", lambda c: c("GET", "/v2/a/b/blobs/sha256:0"), 400, {}, error("DIGEST_INVALID")
    ),
)


@pytest.fixture(scope="module", params=["memory", "directory"])
def storages(request, tmp_path_factory):
    """The names of storages that do not exist yet, one for each row."""
    directory = tmp_path_factory.mktemp("conformance")
    return (directory / str(n) if request.param == "directory" else "memory" for n in range(1000))


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.section}: {row.must}")
def test_a_registry(row, storages, helpers):
    with Registry(next(storages)) as registry:
        calls = Calls(registry.host, helpers)
        answer = row.request(calls)
        assert answer.status == row.status
        for name, pattern in row.headers.items():
            value = answer.headers[name]
            assert value is None if pattern is None else value and re.fullmatch(pattern, value), (name, value)
        assert row.body is None or row.body(calls, answer)


@pytest.mark.parametrize("target", ["manifests/v1", "manifests/IMAGE", "blobs/BLOB"])
def test_deletion_that_is_disabled(target, helpers):
    """400 or 405 ("Deleting tags", "Deleting Manifests", "Deleting Blobs")."""
    profile = STRICT._replace(name="no deletion", delete_tags=False, delete_manifests=False, delete_blobs=False)
    with Registry(profile=profile) as registry:
        calls = Calls(registry.host, helpers)
        assert calls("DELETE", f"/v2/a/b/{target}").status in (400, 405)
        assert calls("GET", f"/v2/a/b/{target}").status == 200


def test_the_rows_differ():
    assert len({(row.section, row.must) for row in ROWS}) == len(ROWS)
