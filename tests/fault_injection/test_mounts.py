"""Mounts from another repository of the registry, and mounts that fail."""

import pytest
from fault_bench import BIG, NEW, SIZES
from fault_proxy import Trouble
from fault_run import Case

REFUSED = Trouble(on="upload post", digest=BIG, status=403)
HALF = SIZES[BIG] // 2


def mount(on="upload post", nth=1, error="", check=None, **more):
    return Case((Trouble(on=on, nth=nth, **more),), error=error, mount=True, check=check)


def sent(most):
    """Checks the maximum number of blobs that were sent instead of mounted."""

    def check(run, result):
        puts = [request for request in run.proxy.requests if request.operation == "upload put"]
        assert len({request.query.get("digest") for request in puts}) <= most

    return check


def gone_from_base(run):
    run.store.delete(f"{run.repository}/base", "blobs", BIG)


def there_again(run, result):
    run.store.put_blob(f"{run.repository}/base", NEW.blobs[BIG])


CASES = {
    "mount, before the registry reads it": mount(reset=True, check=sent(0)),
    "mount, and the answer is lost": mount(after=True, drop=True, check=sent(0)),
    "mount, and every first answer is lost": Case(
        tuple(Trouble(on="upload post", digest=digest, nth=1, after=True, reset=True) for digest in SIZES),
        mount=True,
        check=sent(0),
    ),
    "mount, and the head of the answer breaks": mount(head_bytes=30, drop=True, check=sent(0)),
    "mount with 500 once": mount(status=500, check=sent(0)),
    "mount with 503 and seconds": mount(status=503, headers={"Retry-After": "3"}, check=sent(0)),
    "mount refused": mount(status=403, check=sent(1)),
    "mount not understood": mount(status=405, check=sent(1)),
    "mount refused for all": Case(
        tuple(Trouble(on="upload post", digest=digest, status=400) for digest in SIZES), mount=True, check=sent(4)
    ),
    "mount with a page": mount(status=200, body="<html>", headers={"Content-Type": "text/html"}, check=sent(1)),
    "mount with a token that ended": mount(expire_tokens=True, check=sent(0)),
    "mount of what is gone meanwhile": mount(
        on="manifest get", nth=2, hook=gone_from_base, error="GET .*/base/blobs/.*: 404", check=there_again
    ),
    "copied, and a byte changes on the way": Case(
        (REFUSED, Trouble(on="blob get", reference=BIG, nth=1, corrupt=100_000)), mount=True
    ),
    "copied, and a byte changes on the way, always": Case(
        (REFUSED, Trouble(on="blob get", reference=BIG, corrupt=100_000)),
        mount=True,
        error="the blob sha256:[0-9a-f]{64} of .*/base is damaged",
    ),
    "copied, and the blob breaks off on its way down": Case(
        (REFUSED, Trouble(on="blob get", reference=BIG, nth=1, response_bytes=HALF, drop=True)), mount=True
    ),
    "copied, and the blob breaks off on its way up": Case(
        (REFUSED, Trouble(on="upload put", digest=BIG, nth=1, request_bytes=HALF, reset=True)), mount=True
    ),
    "copied, and both break": Case(
        (
            REFUSED,
            Trouble(on="blob get", reference=BIG, nth=1, response_bytes=HALF, drop=True),
            Trouble(on="upload put", digest=BIG, nth=1, request_bytes=1000, drop=True),
        ),
        mount=True,
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_run(name, judged):
    judged(name, CASES[name])
