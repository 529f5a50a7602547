"""Corrupted bytes, wrong headers, and responses that are not those of a registry."""

import gzip

import pytest
from fault_bench import BIG, CONFIG, NEW, OLD, SIZES
from fault_proxy import Trouble
from fault_run import Case

BROKEN = Trouble(on="upload put", digest=BIG, nth=1, request_bytes=SIZES[BIG] // 2, drop=True)
OTHER = "sha256:" + "0" * 64
PAGE = "<!DOCTYPE html><html><body>Please log in</body></html>"
# The corrupted byte is in the annotation, which is text.
IN_NOTE = NEW.manifest.raw.index(b"nnnn") + 7
ESCAPES = "\x1b]0;owned\x07\x1b[2J\r\nred" + "x" * 100_000
LARGE = '{"errors":[{"code":"DENIED","message":"%s"}]}' % ("no " * 3_000_000)
LAYER_FAILS = "the blob sha256:[0-9a-f]{64} of .* is damaged"


def push(on, error="", nth=1, **more):
    return Case((Trouble(on=on, nth=nth, **more),), error=error)


def pull(on, error="", nth=1, by_digest=False, **more):
    return Case((Trouble(on=on, nth=nth, **more),), error=error, pull=True, by_digest=by_digest)


def page(on, error="", nth=(), **more):
    return Case((Trouble(on=on, nth=nth, status=200, body=PAGE, headers={"Content-Type": "text/html"}),), error, **more)


CASES = {
    "a byte of the big blob, once": push("upload put", digest=BIG, damage=100_000),
    "a byte of the big blob, twice": push("upload put", nth=(1, 2), digest=BIG, damage=5),
    "a byte of the big blob, always": push("upload put", nth=(), digest=BIG, damage=5, error="DIGEST_INVALID"),
    "a byte of the config, once": push("upload put", digest=CONFIG, damage=3),
    "a byte of every blob, once": push("upload put", nth=(1, 2, 3, 4), damage=8),
    "a byte of a chunk": Case((BROKEN, Trouble(on="upload patch", nth=2, damage=77))),
    "a byte of the manifest's text": push("manifest put", damage=IN_NOTE),
    "a byte of the manifest's frame, once": push("manifest put", damage=0),
    "a byte of the manifest's frame, always": push("manifest put", nth=(), damage=0, error="PUT .*/manifests/v1: 400"),
    "a byte of a manifest below an index": Case((Trouble(on="manifest put", nth=1, damage=IN_NOTE),), index=True),
    "another digest for the tag before": push("manifest get", headers={"Docker-Content-Digest": OTHER}),
    "no digest for the tag before": push("manifest get", headers={"Docker-Content-Digest": None}),
    "nonsense for the tag before": push("manifest get", headers={"Docker-Content-Digest": "sha256:../../etc"}),
    "another digest for the blob": push("upload put", digest=BIG, headers={"Docker-Content-Digest": OTHER}),
    "another digest for the blob, always": push(
        "upload put", nth=(), digest=BIG, headers={"Docker-Content-Digest": OTHER}
    ),
    "another digest for the manifest": push("manifest put", headers={"Docker-Content-Digest": OTHER}),
    "another digest for the manifest, always": push(
        "manifest put", nth=(), headers={"Docker-Content-Digest": OTHER}, error="stored another manifest than was sent"
    ),
    "a range that is too far": Case((BROKEN, Trouble(on="upload patch", nth=1, headers={"Range": "0-999999999"}))),
    "a range that goes back": Case((BROKEN, Trouble(on="upload patch", nth=2, headers={"Range": "0-10"}))),
    "a range that is none": Case((BROKEN, Trouble(on="upload patch", nth=1, headers={"Range": "all of it"}))),
    "page for the ping": page("ping get", "does not speak the registry API: the response is a web page"),
    "page for everything": page("*", "does not speak the registry API: the response is a web page"),
    "page for a check of the tag": page("manifest get"),
    "page for a check of every blob": page("blob head"),
    "page for a session": page("upload post", "POST .*/blobs/uploads/: 200"),
    "page for a blob": page("upload put", "did not store the blob that was sent"),
    "page for the tag": page("manifest put", "stored another manifest than was sent for v1"),
    "escape sequences": push("manifest put", nth=(), status=400, body=ESCAPES, error=r"400: .*\\x1b\]0;owned\\x07"),
    "errors of ten megabytes": push("upload post", nth=(), status=400, body=LARGE, error="/blobs/uploads/: 400: "),
    "errors that are no list": push("upload post", nth=(), status=400, body='{"errors":"no"}', error="400"),
    "pull: a byte of the blob, once": pull("blob get", reference=BIG, corrupt=200_000),
    "pull: a byte of the blob, always": pull("blob get", LAYER_FAILS, nth=(), reference=BIG, corrupt=200_000),
    "pull: a byte of the config, always": pull("blob get", LAYER_FAILS, nth=(), reference=CONFIG, corrupt=0),
    "pull: a byte of the manifest by digest, once": pull("manifest get", by_digest=True, corrupt=IN_NOTE),
    "pull: a byte of the manifest by digest, always": pull(
        "manifest get", "is another manifest than was requested", nth=(), by_digest=True, corrupt=IN_NOTE
    ),
    "pull: a byte of the manifest by tag, once": pull("manifest get", corrupt=IN_NOTE),
    "pull: a byte of the manifest by tag, always": pull(
        "manifest get", "does not have the digest that the registry names", nth=(), corrupt=IN_NOTE
    ),
    "pull: another manifest by digest, with a header to match": pull(
        "manifest get",
        "is another manifest than was requested",
        nth=(),
        by_digest=True,
        status=200,
        body=OLD.manifest.raw,
        headers={"Docker-Content-Digest": NEW.manifest.digest, "Content-Type": NEW.manifest.media_type},
    ),
    "pull: a digest that lies, once": pull("manifest get", headers={"Docker-Content-Digest": OTHER}),
    "pull: a digest that lies, always": pull(
        "manifest get", "does not have the digest", nth=(), headers={"Docker-Content-Digest": OTHER}
    ),
    "pull: a blob that ends early, always": pull(
        "blob get", "truncated", nth=(), reference=BIG, response_bytes=1000, drop=True
    ),
    "pull: a blob said to be longer": pull(
        "blob get",
        "has the wrong size",
        nth=(),
        reference=BIG,
        headers={"Content-Length": "999999"},
        response_bytes=SIZES[BIG],
        drop=True,
    ),
    "pull: a blob said to be shorter": pull(
        "blob get",
        "has the wrong size",
        nth=(),
        reference=BIG,
        headers={"Content-Length": "1000"},
        response_bytes=1000,
        drop=True,
    ),
    "pull: a blob of no said length": pull("blob get", nth=(), reference=BIG, headers={"Content-Length": None}),
    "pull: a blob of no said length, cut off": pull(
        "blob get", nth=1, reference=BIG, headers={"Content-Length": None}, response_bytes=1000, drop=True
    ),
    "pull: a blob of a claimed encoding": pull("blob get", nth=(), headers={"Content-Encoding": "gzip"}),
    "pull: a compressed manifest": pull(
        "manifest get",
        nth=(),
        status=200,
        body=gzip.compress(NEW.manifest.raw),
        headers={"Content-Encoding": "gzip", "Content-Type": NEW.manifest.media_type},
    ),
    "pull: a manifest of 100 megabytes": pull(
        "manifest get",
        "manifest v1 .*is too large",
        nth=(),
        headers={"Content-Length": "104857600"},
        response_bytes=1,
        drop=True,
    ),
    "pull: a manifest of five megabytes, unsaid": pull(
        "manifest get",
        "manifest v1 .*is too large",
        nth=(),
        status=200,
        body=" " * 5_000_000,
        headers={"Content-Length": None, "Content-Type": NEW.manifest.media_type},
    ),
    "pull: a page for the manifest": page("manifest get", "response is a web page .HTML.: .Please log in.", pull=True),
    "pull: a page for a blob": page("blob get", "response is a web page .HTML.: .Please log in.", pull=True),
    "pull: an empty manifest": pull("manifest get", "v1 is not a valid JSON document", nth=(), status=200, body=""),
    "pull: a manifest that is nested too deep": pull(
        "manifest get",
        "is nested too deep",
        nth=(),
        status=200,
        body="[" * 100_000,
        headers={"Content-Type": NEW.manifest.media_type},
    ),
    "pull: a part that was not asked for": Case(
        (
            Trouble(on="blob get", reference=BIG, nth=1, response_bytes=50_000, drop=True),
            Trouble(on="blob get", reference=BIG, nth=2, headers={"Content-Range": "bytes 0-9/10"}),
        ),
        pull=True,
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_run(name, judged):
    judged(name, CASES[name])
