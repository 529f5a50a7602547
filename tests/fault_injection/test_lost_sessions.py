"""Upload sessions that the registry has lost or cannot continue."""

import json

import pytest
from fault_bench import BIG, SIZES
from fault_proxy import AFTER, Trouble
from fault_run import Case

HALF = SIZES[BIG] // 2
BROKEN = Trouble(on="upload put", digest=BIG, nth=1, request_bytes=HALF, drop=True)


def lose(on, nth=1, **more):
    return Trouble(on=on, nth=nth, hook=lambda run: run.lose_sessions(), **more)


def kept_session(location):
    """Writes the upload state of a killed push of the big blob."""

    def prepare(run):
        from dockless.registry.upload_state import UploadState

        UploadState(run.env).keep(run.proxy.url, run.repository, BIG, location(run))

    return prepare


def real_session(run, sent):
    """Opens a session with the first bytes of the big blob."""
    _, headers, _ = run.store.ask("POST", f"/v2/{run.repository}/blobs/uploads/", b"")
    path = headers["Location"].split(run.store.host, 1)[1]
    if sent:
        _, headers, _ = run.store.ask("PATCH", path, run.blobs[BIG][:sent])
    return run.proxy.url + headers["Location"].split(run.store.host, 1)[1]


def takes_it_up(run, result):
    received = sum(r.received for r in run.proxy.requests if r.operation in ("upload put", "upload patch"))
    assert received == sum(SIZES.values()) - 100_000


def forgets_it(run, result):
    directory = run.directory / "home/.cache/dockless/uploads"
    assert [json.loads(path.read_text()) for path in directory.iterdir()] == []


CASES = {
    "before the big blob": Case((lose("upload put", digest=BIG),)),
    "before each of the first blobs": Case((lose("upload put", (1, 2, 3, 4)),)),
    "after each session was opened, always": Case(
        (lose("upload post", (), at=AFTER),), error="(POST|PUT|PATCH) .*/blobs/uploads/.*: (404|500)"
    ),
    "between chunks": Case((BROKEN, lose("upload patch", 3))),
    "before the end of the chunks": Case((BROKEN, lose("upload put", 2, digest=BIG))),
    "while the answer was lost": Case(
        (lose("upload put", digest=BIG, at=AFTER), Trouble(on="upload put", digest=BIG, nth=1, after=True, reset=True))
    ),
    "another registry's state, refused": Case(
        (
            Trouble(
                on="upload put",
                digest=BIG,
                nth=(1, 2),
                status=400,
                body='{"errors":[{"code":"BLOB_UPLOAD_INVALID","message":"blob upload invalid"}]}',
            ),
        )
    ),
    "chunks are refused": Case((BROKEN, Trouble(on="upload patch", nth=1, status=416))),
    "kept one that is there": Case(
        prepare=kept_session(lambda run: real_session(run, 100_000)), auth="plain", check=takes_it_up
    ),
    "kept one that is empty": Case(
        prepare=kept_session(lambda run: real_session(run, 0)), auth="plain", check=forgets_it
    ),
    "kept one that is no more": Case(
        prepare=kept_session(
            lambda run: (
                f"{run.proxy.url}/v2/{run.repository}/blobs/uploads/12345678-1234-1234-1234-123456789abc?_state=x"
            )
        ),
        check=forgets_it,
    ),
    "kept one of a stranger": Case(
        prepare=kept_session(lambda run: f"{run.stranger.url}/v2/{run.repository}/blobs/uploads/1?_state=x"),
        check=forgets_it,
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_run(name, judged):
    judged(name, CASES[name])
