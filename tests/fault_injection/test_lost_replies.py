"""The registry completes a request, and the response is lost."""

import pytest
from fault_bench import BIG, CONFIG, MIDDLE, SIZES, SMALL
from fault_proxy import Trouble
from fault_run import Case

HALF = SIZES[BIG] // 2
# The first upload of the big blob is interrupted, so that it continues in chunks.
BROKEN = Trouble(on="upload put", digest=BIG, nth=1, request_bytes=HALF, drop=True)


def lost(on, nth=1, **more):
    return Trouble(on=on, nth=nth, after=True, **{"drop": "reset" not in more, **more})


def one_upload(digest):
    """The bytes of the blob were received once, because the client checked whether the blob exists."""

    def check(run, result):
        sent = [r for r in run.proxy.requests if r.operation == "upload put" and r.query.get("digest") == digest]
        assert len(sent) == 1

    return check


def tag_put_at_most(times):
    def check(run, result):
        assert len([request for request in run.proxy.requests if request.operation == "manifest put"]) <= times

    return check


CASES = {
    "to the ping": Case((lost("ping get"),)),
    "to the check of the tag": Case((lost("manifest get", reset=True),)),
    "to the check of a blob": Case((lost("blob head"),)),
    "to every first check of a blob": Case((lost("blob head", (1, 2, 3, 4), reset=True),)),
    "to a session opened": Case((lost("upload post"),)),
    "to every first session opened": Case((lost("upload post", (1, 2, 3, 4)),)),
    "to the big blob": Case((lost("upload put", digest=BIG),), check=one_upload(BIG)),
    "to the big blob, reset": Case((lost("upload put", digest=BIG, reset=True),), check=one_upload(BIG)),
    "to the small blob": Case((lost("upload put", digest=SMALL),), check=one_upload(SMALL)),
    "to the config": Case((lost("upload put", digest=CONFIG, reset=True),), check=one_upload(CONFIG)),
    "to every blob": Case((lost("upload put", (1, 2, 3, 4)),), check=one_upload(MIDDLE)),
    "to a blob, and to the look whether it came": Case(
        (lost("upload put", digest=BIG), lost("blob head", (2, 3), reference=BIG)), check=one_upload(BIG)
    ),
    "to the first chunk": Case((BROKEN, lost("upload patch", 1))),
    "to a chunk in the middle": Case((BROKEN, lost("upload patch", 3, reset=True))),
    "to the end of the chunks": Case((BROKEN, lost("upload put", 2, digest=BIG))),
    "to the manifest": Case((lost("manifest put"),), check=tag_put_at_most(2)),
    "to the manifest, three times": Case((lost("manifest put", (1, 2, 3), reset=True),), check=tag_put_at_most(4)),
    "to the tag, always, with 504": Case((lost("manifest put", (), drop=False, status=504),), check=tag_put_at_most(6)),
    "to each commit of the big blob": Case((lost("upload put", (), digest=BIG),), check=one_upload(BIG)),
    "to the manifest, always": Case((lost("manifest put", ()),), check=tag_put_at_most(7)),
    "to the manifests below an index": Case((lost("manifest put", (1, 2)),), index=True),
    "to the index": Case((lost("manifest put", reference="v1"),), index=True),
    "to the token request": Case(at_tokens=(lost("token get"),)),
    "500 after the blob was stored": Case(
        (lost("upload put", digest=BIG, drop=False, status=500),), check=one_upload(BIG)
    ),
    "502 page after the blob was stored": Case(
        (lost("upload put", digest=BIG, drop=False, status=502, body="<html>Bad Gateway"),), check=one_upload(BIG)
    ),
    "504 after the manifest was stored": Case((lost("manifest put", drop=False, status=504),)),
    "503 after a session was opened": Case((lost("upload post", drop=False, status=503),)),
}


@pytest.mark.parametrize("name", CASES)
def test_run(name, judged):
    judged(name, CASES[name])
