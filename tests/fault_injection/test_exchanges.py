"""Registries, stores and proxies that accept only some of the requests of the specification, or change responses."""

import gzip
import json

import pytest
from fault_bench import BIG, CONFIG, NEW, OLD, SIZES
from fault_proxy import Trouble
from fault_run import Case

HALF = SIZES[BIG] // 2


def code(text):
    return json.dumps({"errors": [{"code": text, "message": text.lower().replace("_", " ")}]})


def refused(status, body="", check=None, **more):
    """Returns a case in which every PUT of a blob that has content is refused."""
    trouble = Trouble(on="upload put", over=0, status=status, body=body)
    return Case((trouble, *more.pop("troubles", ())), check=check or learned_once, **more)


def learned_once(run, result):
    puts = [request for request in run.proxy.requests if request.operation == "upload put" and request.received]
    # Those of the requests that ran at the same time, twice if a session may have been lost.
    assert 1 <= len(puts) <= 8
    patches = [request for request in run.proxy.requests if request.operation == "upload patch"]
    assert {request.headers["Content-Range"] for request in patches} == {None}


def store(on, **more):
    """Returns a case with a store that signs for GET alone, and to which the requests `on` are redirected."""

    def prepare(run):
        run.stranger.target = run.registry.host
        run.stranger.get_only = True

    redirect = Trouble(on=on, status=307, headers={"Location": "{stranger}{path}"})
    return Case((redirect, *more.pop("troubles", ())), auth="plain", prepare=prepare, **more)


def sends_one_blob(run):
    run.stranger.target = run.registry.host
    run.stranger.get_only = True
    for digest in set(SIZES) - {BIG}:
        run.store.put_blob(run.repository, NEW.blobs[digest])


def sent_only_the_big_one(run, result):
    puts = {request.query.get("digest") for request in run.proxy.requests if request.operation == "upload put"}
    assert puts == {BIG}


def unknown(nth, digests=(), check=None, **more):
    """Returns a case in which the registry does not find the blobs of the manifest, although it has them."""
    errors = [{"code": "MANIFEST_BLOB_UNKNOWN", "message": "unknown", "detail": {"digest": name}} for name in digests]
    body = json.dumps({"errors": errors}) if errors else code("MANIFEST_BLOB_UNKNOWN")
    trouble = Trouble(on="manifest put", nth=nth, status=more.pop("status", 400), body=body)
    return Case((trouble, *more.pop("troubles", ())), check=check, **more)


def sent(times):
    """Returns a check of how often each blob was sent."""

    def check(run, result):
        puts = [request for request in run.proxy.requests if request.operation == "upload put"]
        assert len(puts) == times * len(SIZES)

    return check


def sent_twice(*digests):
    def check(run, result):
        puts = [request.query.get("digest") for request in run.proxy.requests if request.operation == "upload put"]
        assert {digest for digest in puts if puts.count(digest) == 2} == set(digests)

    return check


def deletes(digest):
    def hook(run):
        run.store.delete(run.repository, "blobs", digest)

    return hook


CUT = {"Content-Length": None, "Docker-Content-Digest": None, "Connection": "close"}
LIE = {"Docker-Content-Digest": NEW.manifest.digest, "Content-Type": NEW.manifest.media_type}
LOGIN = "<!DOCTYPE html>\n<html><head><title>Sign in &amp; more</title></head><body>password</body></html>"
IS_PAGE = r"the response is a web page \(HTML\): 'Sign in & more'"


def page(on, status=200, error=IS_PAGE, nth=(), **more):
    """Returns a case with the page of a login or a captive portal in the place of a response."""
    kind = {"Content-Type": "text/html; charset=utf-8"}
    return Case((Trouble(on=on, nth=nth, status=status, body=LOGIN, headers=kind),), error=error, **more)


def encoded(on, encoding, body=None, **more):
    """Returns a pull with a Content-Encoding, which is true if there is a `body`."""
    real = {"status": 200, "body": body} if body else {}
    kind = {"Content-Type": NEW.manifest.media_type} if on == "manifest get" else {}
    trouble = Trouble(on=on, headers={"Content-Encoding": encoding, **kind}, **real, **more)
    return Case((trouble,), pull=True)


CASES = {
    # A PUT that has content is refused; POST, PATCH and an empty PUT are not.
    "content refused with 404": refused(404, code("BLOB_UNKNOWN")),
    "content refused with 400": refused(400, code("BLOB_UPLOAD_INVALID")),
    "content refused with 405": refused(405, code("UNSUPPORTED")),
    "content refused with 404 by a proxy": refused(404, "<html><h1>404 Not Found</h1></html>"),
    "content refused with 404, session unknown": refused(404, code("BLOB_UPLOAD_UNKNOWN")),
    "content refused with 501, and large chunks with 413": refused(
        501,
        troubles=(Trouble(on="upload patch", over=70_000, status=413),),
        check=lambda run, result: None,
    ),
    "content refused after an interruption": refused(
        404,
        code("BLOB_UNKNOWN"),
        troubles=(Trouble(on="upload patch", nth=1, over=100_000, request_bytes=HALF, drop=True),),
        check=lambda run, result: None,
    ),
    "content refused in all requests": Case(
        (
            Trouble(on="upload put", over=0, status=405, body=code("UNSUPPORTED")),
            Trouble(on="upload patch", status=405, body=code("UNSUPPORTED")),
        ),
        error="PATCH .*/blobs/uploads/.*: 405",
    ),
    # HEAD is redirected to a store that signs for GET alone.
    "head of blobs led to a store": store("blob head", check=lambda run, result: None),
    "all of blobs led to a store": Case(
        (Trouble(on="blob *", status=307, headers={"Location": "{stranger}{path}"}),),
        auth="plain",
        prepare=sends_one_blob,
        check=sent_only_the_big_one,
    ),
    "head of manifests led to a store": store("manifest head"),
    "pull: all led to a store": store("* get", pull=True),
    "head of manifests is not supported": Case((Trouble(on="manifest head", status=405),)),
    # What the registry has is not found when the manifest is put.
    "blobs unknown once": unknown(1, check=sent(1)),
    "blobs unknown twice, one named": unknown((1, 2), [BIG], check=sent(1)),
    "blobs unknown three times, one named": unknown((1, 2, 3), [BIG], check=sent_twice(BIG)),
    "blobs unknown three times": unknown((1, 2, 3), check=sent(2)),
    "blobs unknown always": unknown((), error="PUT .*/manifests/v1: 400: MANIFEST_BLOB_UNKNOWN"),
    "a blob unknown with 404": unknown(1, [CONFIG], status=404, check=sent(1)),
    "a blob unknown and really gone": unknown(
        2,
        troubles=(Trouble(on="manifest put", nth=1, hook=deletes(BIG)),),
        check=sent_twice(BIG),
    ),
    "manifests of an index unknown once": unknown(3, [NEW.manifest.digest], index=True),
    # Something is reported as stored that is not.
    "a blob stored, says the proxy": Case((Trouble(on="upload put", digest=BIG, nth=1, status=201),)),
    "a blob stored, says the proxy with its digest": Case(
        (Trouble(on="upload put", digest=BIG, nth=1, status=201, headers={"Docker-Content-Digest": BIG}),)
    ),
    "blobs stored, says the proxy always": Case(
        (Trouble(on="upload put", status=201),), error="did not store the blob that was sent"
    ),
    "the manifest stored, says the proxy": Case((Trouble(on="manifest put", nth=1, status=201),)),
    "the manifest stored, says the proxy with its digest": Case(
        (Trouble(on="manifest put", nth=1, status=201, headers=LIE),)
    ),
    "the manifest stored, says the proxy always": Case(
        (Trouble(on="manifest put", status=201),), error="stored another manifest than was sent for v1"
    ),
    "the manifest stored, says the proxy always with its digest": Case(
        (Trouble(on="manifest put", status=201, headers=LIE),), error="does not have v1, although the response"
    ),
    "no digest in any response": Case((Trouble(on="*", headers={"Docker-Content-Digest": None}),)),
    # The tag already refers to the image, says HEAD.
    "head of the tag says that nothing is to do": Case((Trouble(on="manifest head", status=200, headers=LIE),)),
    "the old image, said to be the new": Case(
        (Trouble(on="manifest get", status=200, body=OLD.manifest.raw, headers=LIE),)
    ),
    # Encodings that were not requested.
    "pull: blobs of a claimed encoding": encoded("blob get", "gzip"),
    "pull: blobs of a claimed encoding without a length": Case(
        (Trouble(on="blob get", headers={"Content-Encoding": "gzip", "Content-Length": None}),), pull=True
    ),
    "pull: blobs in the encoding of a store": encoded("blob get", "aws-chunked"),
    "pull: the manifest of a claimed encoding": encoded("manifest get", "gzip"),
    "pull: a blob that was compressed": encoded("blob get", "gzip", gzip.compress(NEW.blobs[BIG]), reference=BIG),
    "pull: the config that was compressed": encoded(
        "blob get", "gzip", gzip.compress(NEW.blobs[CONFIG]), reference=CONFIG
    ),
    # Pages.
    "pull: a login in the place of the manifest": page("manifest get", pull=True),
    "pull: a login in the place of the manifest by digest": page("manifest get", pull=True, by_digest=True),
    "pull: a login in the place of the manifest, once": page("manifest get", nth=1, error="", pull=True),
    "pull: a login in the place of a blob": page("blob get", pull=True),
    **{
        f"a page of a CDN with {status} in the place of {on}, once": page(on, status, error="", nth=1)
        for on in ("ping get", "upload post", "upload put", "manifest put")
        for status in (403, 404)
    },
    "a page of a CDN with 200 in the place of ping get, once": page("ping get", error="", nth=1),
    **{
        f"pull: {what}, once": Case((Trouble(on=on, nth=1, **fault),), pull=True)
        for what, on, fault in (
            ("403 of a CDN for a blob", "blob get", {"status": 403, "body": LOGIN}),
            ("404 for a blob", "blob get", {"status": 404, "body": code("BLOB_UNKNOWN")}),
            ("416 for a blob", "blob get", {"status": 416}),
            ("an empty blob", "blob get", {"status": 200}),
            ("a longer blob", "blob get", {"headers": {"Content-Length": "999999"}}),
            ("an empty manifest", "manifest get", {"status": 200}),
        )
    },
    "pull: half of a manifest, whose end is that of the connection, once": Case(
        (Trouble(on="manifest get", nth=1, response_bytes=300, drop=True, headers=CUT),), pull=True
    ),
    **{
        f"checks of blobs always fail with {what}": Case((Trouble(on="blob head", **fault),), auth="plain", most=20)
        for what, fault in (("429", {"status": 429}), ("a lost response", {"drop": True, "after": True}))
    },
    "204 for the first request": Case((Trouble(on="ping get", status=204),), auth="plain"),
    "a session refused as unknown, once": Case(
        (Trouble(on="upload post", nth=1, status=400, body=code("BLOB_UPLOAD_INVALID")),)
    ),
    "too many requests with 403, once": Case(
        (Trouble(on="upload put", nth=1, status=403, body=code("TOOMANYREQUESTS")),), auth="plain"
    ),
    **{
        f"401 for {on} although the password is right, once": Case(
            (Trouble(on=on, nth=nth, status=401, headers={"WWW-Authenticate": 'Basic realm="here"'}),), auth="basic"
        )
        for on, nth in (("blob head", 2), ("upload post", 1), ("upload put", 1), ("manifest put", 1))
    },
    "401 without a challenge for a session, once": Case((Trouble(on="upload post", nth=1, status=401),), auth="plain"),
    "a login with 401": page("upload post", 401, error="401: " + IS_PAGE),
    "a login with 403": page("manifest put", 403, error="403: " + IS_PAGE),
    "a login with 511": page("upload post", 511, error="511: " + IS_PAGE),
    "a login in the place of a session": page("upload post", error="POST .*/blobs/uploads/: 200: " + IS_PAGE),
    "a login at the token server": Case(
        at_tokens=(Trouble(on="token get", status=200, body=LOGIN),), error="without a usable token: " + IS_PAGE
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_run(name, judged):
    judged(name, CASES[name])
