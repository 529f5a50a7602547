"""The operations of the distribution spec, with both storages."""

import json

import pytest

DATA = b"some bytes of a layer"


def test_ping_and_unknown_paths(call):
    assert call("GET", "/v2/").status == 200
    assert call("HEAD", "/v2/").body == b""
    assert call("GET", "/elsewhere").status == 404
    assert call("PUT", "/v2/a/tags/list", b"").status == 405
    assert call("GET", "/v2/Upper/tags/list").code == "NAME_INVALID"


def test_a_blob_is_pushed_and_pulled(call, helpers):
    digest = call.push("a/b", DATA)
    answer = call("GET", f"/v2/a/b/blobs/{digest}")
    assert (answer.status, answer.body) == (200, DATA)
    assert answer.headers["Docker-Content-Digest"] == digest
    head = call("HEAD", f"/v2/a/b/blobs/{digest}")
    assert (head.status, head.body, head.headers["Content-Length"]) == (200, b"", str(len(DATA)))
    # Blobs belong to a repository.
    assert call("GET", f"/v2/a/c/blobs/{digest}").code == "BLOB_UNKNOWN"
    assert call("GET", "/v2/a/b/blobs/sha256:xx").code == "DIGEST_INVALID"


@pytest.mark.parametrize(
    "requested, status, content_range, body",
    [
        ("bytes=0-3", 206, "bytes 0-3/21", DATA[:4]),
        ("bytes=5-", 206, "bytes 5-20/21", DATA[5:]),
        ("bytes=-4", 206, "bytes 17-20/21", DATA[-4:]),
        ("bytes=20-99", 206, "bytes 20-20/21", DATA[20:]),
        ("bytes=21-", 416, "bytes */21", None),
        ("bytes=-", 416, "bytes */21", None),
        ("junk", 416, "bytes */21", None),
        ("bytes=0-1,3-4", 200, None, DATA),
    ],
)
def test_ranges(call, requested, status, content_range, body):
    digest = call.push("a", DATA)
    answer = call("GET", f"/v2/a/blobs/{digest}", Range=requested)
    assert (answer.status, answer.headers["Content-Range"]) == (status, content_range)
    assert body is None or answer.body == body


def test_a_blob_in_chunks(call, helpers):
    location = call.start("a")
    first = call("PATCH", location, DATA[:10], Content_Range="0-9")
    assert (first.status, first.headers["Range"]) == (202, "0-9")
    assert first.headers["Location"] != location
    status = call("GET", first.headers["Location"])
    assert (status.status, status.headers["Range"]) == (204, "0-9")
    second = call("PATCH", status.headers["Location"], DATA[10:20], Content_Range="10-19")
    assert second.headers["Range"] == "0-19"
    last = call("PUT", helpers.with_digest(second.headers["Location"], DATA), DATA[20:], Content_Range="20-20")
    assert (last.status, last.headers["Docker-Content-Digest"]) == (201, helpers.digest(DATA))
    assert call("GET", last.headers["Location"]).body == DATA


def test_chunks_that_do_not_fit(call):
    location = call.start("a")
    assert call("PATCH", location, b"abc", Content_Range="3-5").status == 416
    assert call("PATCH", location, b"abc", Content_Range="bytes 0-2/3").status == 400
    assert call("PATCH", location, b"abc", Content_Range="0-7").code == "SIZE_INVALID"
    assert call("PATCH", location, b"abc", Content_Type="text/plain").status == 415
    answer = call("PATCH", location, b"abc", Content_Range="0-2")
    again = call("PATCH", answer.headers["Location"], b"abc", Content_Range="0-2")
    # The headers that a client needs to continue.
    assert (again.status, again.headers["Range"]) == (416, "0-2")
    assert call("GET", again.headers["Location"]).status == 204


def test_an_empty_session_has_no_range(call):
    answer = call("GET", call.start("a"))
    assert (answer.status, answer.headers["Range"]) == (204, None)


def test_the_query_of_a_location_must_come_back(call, helpers):
    location = call.start("a")
    assert "%3D" in location
    assert call("GET", location.split("?")[0]).code == "BLOB_UPLOAD_INVALID"
    assert call("PATCH", location.replace("%3D", ""), b"x").code == "BLOB_UPLOAD_INVALID"
    assert call("GET", location.replace("/v2/a/", "/v2/b/")).code == "BLOB_UPLOAD_UNKNOWN"
    assert call("GET", location).status == 204


def test_a_whole_blob_in_one_post(call, helpers):
    answer = call("POST", f"/v2/a/blobs/uploads/?digest={helpers.digest(DATA)}", DATA)
    assert answer.status == 201
    assert call("GET", answer.headers["Location"]).body == DATA


def test_chunked_transfer_encoding(call, helpers):
    location = call.start("a")
    answer = call("PUT", helpers.with_digest(location, DATA), (DATA[n : n + 7] for n in range(0, len(DATA), 7)))
    assert answer.status == 201
    assert call("GET", f"/v2/a/blobs/{helpers.digest(DATA)}").body == DATA


def test_a_wrong_digest_ends_the_session(call, helpers, served):
    location = call.start("a")
    assert call("PUT", location, DATA).code == "DIGEST_INVALID"
    assert call("PUT", helpers.with_digest(location, b"other"), DATA).code == "DIGEST_INVALID"
    assert call("GET", location).code == "BLOB_UPLOAD_UNKNOWN"
    assert served.blobs("a") == {}


def test_an_empty_blob(call, helpers):
    call.push("a", b"")
    answer = call("GET", f"/v2/a/blobs/{helpers.digest(b'')}")
    assert (answer.status, answer.body, answer.headers["Content-Length"]) == (200, b"", "0")


def test_a_session_is_cancelled(call):
    location = call.start("a")
    assert call("DELETE", location).status == 204
    assert call("GET", location).code == "BLOB_UPLOAD_UNKNOWN"


def test_mounts(call, helpers):
    digest = call.push("a", DATA)
    named = call("POST", f"/v2/b/blobs/uploads/?mount={digest}&from=a")
    assert (named.status, named.headers["Location"]) == (201, f"/v2/b/blobs/{digest}")
    assert call("GET", f"/v2/b/blobs/{digest}").body == DATA
    assert call("POST", f"/v2/c/blobs/uploads/?mount={digest}").status == 201
    for query in (f"mount={digest}&from=nowhere", f"mount={helpers.digest(b'?')}&from=a", "mount=junk&from=a"):
        fallback = call("POST", f"/v2/d/blobs/uploads/?{query}")
        assert fallback.status == 202
        assert call("GET", fallback.headers["Location"]).status == 204
    # A blob that is deleted in one repository stays in the others.
    assert call("DELETE", f"/v2/a/blobs/{digest}").status == 202
    assert call("GET", f"/v2/a/blobs/{digest}").status == 404
    assert call("GET", f"/v2/b/blobs/{digest}").body == DATA


def test_manifests_keep_their_bytes_and_type(call, helpers):
    call.push("a", b"{}")
    raw = helpers.make_manifest(b"{}").replace(b": ", b":   ")
    answer = call.put_manifest("a", "v1", raw)
    assert (answer.status, answer.headers["Docker-Content-Digest"]) == (201, helpers.digest(raw))
    assert answer.headers["Location"] == f"/v2/a/manifests/{helpers.digest(raw)}"
    for reference in ("v1", helpers.digest(raw)):
        found = call("GET", f"/v2/a/manifests/{reference}", Accept=helpers.MANIFEST)
        assert (found.body, found.headers["Content-Type"]) == (raw, helpers.MANIFEST)
        head = call("HEAD", f"/v2/a/manifests/{reference}")
        assert head.headers["Docker-Content-Digest"] == helpers.digest(raw)
        assert (head.body, head.headers["Content-Length"]) == (b"", str(len(raw)))
    assert call("GET", "/v2/a/manifests/v1", Accept="text/plain").code == "MANIFEST_UNKNOWN"
    assert call("GET", "/v2/a/manifests/v1", Accept="text/plain, */*;q=0.1").status == 200
    assert call("GET", "/v2/a/manifests/v2").code == "MANIFEST_UNKNOWN"


@pytest.mark.parametrize(
    "change, code",
    [
        (lambda d: d["config"].update(digest="sha256:" + "0" * 64), "MANIFEST_BLOB_UNKNOWN"),
        (lambda d: d["config"].update(size=3), "SIZE_INVALID"),
        (lambda d: d["config"].update(size="2"), "MANIFEST_INVALID"),
        (lambda d: d["layers"].append({}), "MANIFEST_INVALID"),
        (lambda d: d.update(layers={}), "MANIFEST_INVALID"),
        (lambda d: d.pop("config"), "MANIFEST_INVALID"),
        (lambda d: d.update(mediaType="text/plain"), "MANIFEST_INVALID"),
        (lambda d: d.update(schemaVersion=1), "MANIFEST_INVALID"),
        (lambda d: d.update(manifests=[]), "MANIFEST_INVALID"),
    ],
)
def test_manifests_that_are_refused(call, helpers, served, change, code):
    call.push("a", b"{}")
    document = json.loads(helpers.make_manifest(b"{}"))
    change(document)
    assert call.put_manifest("a", "v1", json.dumps(document).encode()).code == code
    assert served.tags("a") == {}


def test_more_refusals(call, helpers):
    call.push("a", b"{}")
    raw = helpers.make_manifest(b"{}")
    assert call.put_manifest("a", "v1", b"{").code == "MANIFEST_INVALID"
    assert call.put_manifest("a", "v1", raw, "text/plain").code == "MANIFEST_INVALID"
    assert call.put_manifest("a", "v1", raw, helpers.INDEX).code == "MANIFEST_INVALID"
    assert call.put_manifest("a", helpers.digest(b"other"), raw).code == "DIGEST_INVALID"
    assert call.put_manifest("a", "-v1", raw).code == "TAG_INVALID"
    assert call.put_manifest("a", "v1", raw[:-1] + b" " * (4 << 20) + b"}").status == 413
    # Blobs of other repositories do not count.
    assert call.put_manifest("b", "v1", raw).code == "MANIFEST_BLOB_UNKNOWN"


def test_foreign_layers_need_not_exist(call, helpers):
    call.push("a", b"{}")
    layer = helpers.descriptor(b"far", "application/vnd.oci.image.layer.nondistributable.v1.tar")
    without = json.loads(helpers.make_manifest(b"{}"))
    without["layers"] = [layer]
    assert call.put_manifest("a", "v1", json.dumps(without).encode()).code == "MANIFEST_BLOB_UNKNOWN"
    without["layers"] = [{**layer, "urls": ["http://example.com/far"]}]
    assert call.put_manifest("a", "v1", json.dumps(without).encode()).status == 201


def test_an_index_needs_its_children(call, helpers):
    raw = helpers.make_manifest(b"{}")
    index = json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": helpers.INDEX,
            "manifests": [helpers.descriptor(raw, helpers.MANIFEST)],
        }
    ).encode()
    assert call.put_manifest("a", "v1", index, helpers.INDEX).code == "MANIFEST_BLOB_UNKNOWN"
    call.push("a", b"{}")
    assert call.put_manifest("a", helpers.digest(raw), raw).status == 201
    assert call.put_manifest("a", "v1", index, helpers.INDEX).status == 201


def test_tags_in_pages(call, helpers, served):
    assert call("GET", "/v2/a/tags/list").code == "NAME_UNKNOWN"
    call.push("a", b"{}")
    assert call("GET", "/v2/a/tags/list").json == {"name": "a", "tags": []}
    for tag in ("v3", "v1", "v2", "latest"):
        assert call.put_manifest("a", tag, helpers.make_manifest(b"{}")).status == 201
    assert call("GET", "/v2/a/tags/list").json["tags"] == ["latest", "v1", "v2", "v3"]
    found, target = [], "/v2/a/tags/list?n=3"
    while target:
        page = call("GET", target)
        found.append(page.json["tags"])
        link = page.headers["Link"]
        assert link is None or link.endswith('>; rel="next"')
        target = link and link[1:].split(">")[0]
    assert found == [["latest", "v1", "v2"], ["v3"]]
    assert call("GET", "/v2/a/tags/list?last=v1").json["tags"] == ["v2", "v3"]
    assert call("GET", "/v2/a/tags/list?n=0").json["tags"] == []
    assert call("GET", "/v2/a/tags/list?n=x").code == "PAGINATION_NUMBER_INVALID"
    assert set(served.tags("a").values()) == {helpers.digest(helpers.make_manifest(b"{}"))}


def test_deletion_of_tags_and_manifests(call, helpers, served):
    call.push("a", b"{}")
    raw = helpers.make_manifest(b"{}")
    for tag in ("v1", "v2"):
        call.put_manifest("a", tag, raw)
    assert call("DELETE", "/v2/a/manifests/v1").status == 202
    assert call("DELETE", "/v2/a/manifests/v1").status == 404
    assert list(served.tags("a")) == ["v2"]
    assert call("DELETE", f"/v2/a/manifests/{helpers.digest(raw)}").status == 202
    assert served.tags("a") == {}
    assert call("DELETE", f"/v2/a/manifests/{helpers.digest(raw)}").status == 404
    assert call("DELETE", f"/v2/a/blobs/{helpers.digest(b'{}')}").status == 202
    assert call("DELETE", f"/v2/a/blobs/{helpers.digest(b'{}')}").status == 404


def test_referrers(call, helpers):
    call.push("a", b"{}")
    subject = helpers.make_manifest(b"{}")
    named = helpers.descriptor(subject, helpers.MANIFEST)
    # A referrer may be pushed before its subject.
    one = helpers.make_manifest(b"{}", subject=named, artifactType="text/sbom", annotations={"k": "v"})
    two = helpers.make_manifest(b"{}", subject=named)
    for raw in (one, two):
        answer = call.put_manifest("a", helpers.digest(raw), raw)
        assert (answer.status, answer.headers["OCI-Subject"]) == (201, named["digest"])
    assert call.put_manifest("a", "v1", subject).headers["OCI-Subject"] is None
    found = call("GET", f"/v2/a/referrers/{named['digest']}")
    assert found.headers["Content-Type"] == helpers.INDEX
    assert {(d["digest"], d["artifactType"]) for d in found.json["manifests"]} == {
        (helpers.digest(one), "text/sbom"),
        (helpers.digest(two), helpers.CONFIG),
    }
    filtered = call("GET", f"/v2/a/referrers/{named['digest']}?artifactType=text/sbom")
    assert filtered.headers["OCI-Filters-Applied"] == "artifactType"
    assert [d["annotations"] for d in filtered.json["manifests"]] == [{"k": "v"}]
    without_referrers = call("GET", f"/v2/a/referrers/{helpers.digest(b'?')}")
    assert (without_referrers.status, without_referrers.json["manifests"]) == (200, [])
    assert call("GET", "/v2/a/referrers/junk").status == 400


def test_one_connection_serves_many_requests(call, helpers, served):
    connection = call.connect()
    try:
        for n in range(5):
            data = f"blob {n}".encode()
            location = call("POST", "/v2/a/blobs/uploads/", connection=connection).headers["Location"]
            assert call("PUT", helpers.with_digest(location, data), data, connection).status == 201
        # After an error response without reading the body, the next request on the connection must work.
        assert call("PUT", "/v2/a/tags/list", b"x" * 100_000, connection).status == 405
        assert call("GET", "/v2/", connection=connection).status == 200
    finally:
        connection.close()
    assert len(served.blobs("a")) == 5


def test_the_log_of_requests(call, served, helpers):
    digest = call.push("a/b", DATA)
    started, put = served.requests
    assert (started.operation, started.status) == ("upload post", 202)
    assert (put.operation, put.repository, put.status) == ("upload put", "a/b", 201)
    assert (put.received, put.body, put.query.get("digest")) == (len(DATA), DATA, digest)
    assert put.headers["Content-Length"] == str(len(DATA))
    served.reset_requests()
    call("GET", f"/v2/a/b/blobs/{digest}")
    assert [str(request) for request in served.requests] == [f"GET /v2/a/b/blobs/{digest} 200"]


def test_content_without_requests(served, call, helpers):
    digest = served.put_blob("x", DATA)
    assert call("GET", f"/v2/x/blobs/{digest}").body == DATA
    assert served.blob("x", digest) == DATA
    wrong = served.put_manifest("x", b"no manifest at all", "text/plain", "v1")
    assert served.manifest("x", "v1") == served.manifest("x", wrong)
    assert call("GET", "/v2/x/manifests/v1").body == b"no manifest at all"
    assert served.repositories() == ["x"]
    with pytest.raises(KeyError):
        served.manifest("x", "v2")
    with pytest.raises(KeyError):
        served.blob("y", digest)
