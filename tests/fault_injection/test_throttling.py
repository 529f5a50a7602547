"""Rate limits, and temporary or permanent errors of the registry."""

from email.utils import formatdate

import pytest
from fault_bench import BIG
from fault_proxy import Trouble
from fault_run import Case

LOST = '{"errors":[{"code":"BLOB_UPLOAD_INVALID","message":"blob upload invalid"}]}'
TOO_MANY = '{"errors":[{"code":"TOOMANYREQUESTS","message":"slow down"}]}'


def throttled(on, retry_after, nth=1, status=429, **more):
    headers = {} if retry_after is None else {"Retry-After": retry_after}
    return Trouble(on=on, nth=nth, status=status, headers=headers, body=TOO_MANY, **more)


def waited(least, most=60):
    def check(run, result):
        assert any(least <= pause <= most for pause in run.sleeps), run.sleeps
        assert not any(pause > 60 for pause in run.sleeps)

    return check


def asked_once(run, result):
    assert run.sleeps == []


def in_a_while(run):
    """Returns a date in whole seconds that is in the future of the command's clock."""
    (trouble,) = run.proxy.faults
    trouble.headers["Retry-After"] = formatdate(run.clock().now() + 20, usegmt=True)


def long_ago(run):
    (trouble,) = run.proxy.faults
    trouble.headers["Retry-After"] = formatdate(run.clock().now() - 3600, usegmt=True)


def broken(on, status, nth=1, **more):
    return Trouble(on=on, nth=nth, status=status, **more)


def limited(n):
    """A proxy that refuses larger bodies."""
    return broken("upload *", 413, (), over=n, request_bytes=10)


def silence(budget):
    """The registry does not respond: each wait takes at most 0.5 s, all together `budget`."""

    def prepare(run):
        run.patch.setattr("dockless.registry.http.session.READ_TIMEOUT", 0.5)
        run.patch.setattr("dockless.registry.retry.RetryPolicy.__new__.__defaults__", (6, 0.05, 0.1, budget, 60.0, 4))

    return prepare


def tag_puts(least, most):
    def check(run, result):
        assert least <= len([request for request in run.proxy.requests if request.operation == "manifest put"]) <= most

    return check


CASES = {
    "no response to the manifest": Case(
        (Trouble(on="manifest put", delay=10.0),),
        prepare=silence(3.0),
        error="PUT .*/manifests/v1: the response timed out",
        check=tag_puts(2, 6),
    ),
    "a proxy that takes 20 kB at a time": Case((limited(20_000),), most=40),
    "a proxy that takes 2 kB at a time": Case((limited(2_000),), error="413.*refuses uploads of this size", most=8),
    "a proxy that takes 70 kB at a time, and a session that is lost": Case(
        (limited(70_000), Trouble(on="upload patch", nth=2, status=400, body=LOST)), most=20
    ),
    "429 with seconds": Case((throttled("upload post", "7"),), check=waited(7, 7)),
    "429 with a date": Case((throttled("blob head", "x"),), prepare=in_a_while, check=waited(15, 20)),
    "429 with a date of yesterday": Case((throttled("manifest put", "x"),), prepare=long_ago, check=waited(0.1, 2)),
    "429 without a word": Case((throttled("manifest get", None),), check=waited(0.1, 2)),
    "429 for a day": Case(
        (throttled("upload post", "86400", ()),), error="429.*the registry asks to wait 86400 s", check=asked_once
    ),
    "429 for longer than there is time": Case(
        (throttled("manifest put", "9" * 400, ()),), error="429.*the registry asks to wait", check=asked_once
    ),
    "429 with nonsense": Case((throttled("upload post", "soon"),), check=waited(0.1, 2)),
    "429 with less than nothing": Case((throttled("upload post", "-5"),), check=waited(0.1, 2)),
    "429 for every blob": Case((throttled("upload put", "2", (1, 2, 3, 4)),), check=waited(2, 2)),
    "429 while the blob is sent": Case(
        (throttled("upload put", "3", digest=BIG, request_bytes=5000),), check=waited(3, 3)
    ),
    "429 for the tag, twice": Case((throttled("manifest put", "3", (1, 2)),), check=waited(3, 3)),
    "429 for the tag, always": Case((throttled("manifest put", "1", ()),), error="PUT .*/manifests/v1: 429.*slow down"),
    "429 at the first word": Case((throttled("ping get", "4"),), check=waited(4, 4)),
    "429 at the token server": Case(at_tokens=(throttled("token get", "4"),), check=waited(4, 4)),
    "429 at the token server, always": Case(at_tokens=(throttled("token get", "1", ()),), error="/token: 429"),
    "pull: 429 for a blob": Case((throttled("blob get", "6"),), pull=True, check=waited(6, 6)),
    "503 with seconds": Case((throttled("upload put", "9", status=503),), check=waited(9, 9)),
    "503 without a word": Case((broken("manifest put", 503),)),
    "503 always": Case((broken("*", 503, ()),), error="GET .*/v2/: 503.*the registry has a problem; try again later"),
    "500 once, everywhere": Case(
        tuple(broken(f"{on}", 500) for on in ("manifest get", "blob head", "upload post", "upload put", "manifest put"))
    ),
    "500 twice for a session": Case((broken("upload post", 500, (1, 2)),)),
    "500 always for the big blob": Case(
        (broken("upload put", 500, (), digest=BIG),), error="PUT .*/blobs/uploads/.*: 500"
    ),
    "502 page once": Case((broken("upload put", 502, body="<html>\r\n<h1>Bad Gateway</h1>"),)),
    "502 page always": Case(
        (broken("manifest put", 502, (), body="<html>\r\n<h1>Bad Gateway</h1>\x1b[2J"),),
        error="502: the response is a web page .HTML.: .Bad Gateway",
    ),
    "504 once": Case((broken("upload put", 504, digest=BIG),)),
    "504 twice for the tag": Case((broken("manifest put", 504, (1, 2)),)),
    "408 once": Case((broken("upload put", 408),)),
    "pull: 500 once, everywhere": Case((broken("manifest get", 500), broken("blob get", 500)), pull=True),
    "pull: 503 always for a blob": Case(
        (broken("blob get", 503, (), reference=BIG),), pull=True, error="GET .*/blobs/.*: 503"
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_run(name, judged):
    judged(name, CASES[name])
