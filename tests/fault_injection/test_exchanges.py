"""Registries, stores and proxies that accept only some of the requests of the specification, or change responses."""

import pytest
from fault_bench import BIG, NEW, SIZES
from fault_proxy import Trouble
from fault_run import Case

HALF = SIZES[BIG] // 2


def code(text):
    return '{"errors":[{"code":"%s","message":"%s"}]}' % (text, text.lower().replace("_", " "))


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
}


@pytest.mark.parametrize("name", CASES)
def test_run(name, judged):
    judged(name, CASES[name])
