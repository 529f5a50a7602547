"""Interrupted connections in each phase of a push and of a pull."""

import pytest
from fault_bench import BIG, CONFIG, SIZES
from fault_proxy import Trouble
from fault_run import Case

HALF = SIZES[BIG] // 2


def push(on, nth=1, **more):
    return Case((Trouble(on=on, nth=nth, **more),))


def https(nth=1, pull=False, error="", **more):
    return Case((Trouble(nth=nth, **more),), auth="plain", https=True, pull=pull, error=error)


CASES = {
    "the first connection is reset": Case(broken_connections={1: 0}),
    "three connections are reset": Case(broken_connections={1: 0, 2: 0, 3: 0}),
    "reset within the first request's head": Case(broken_connections={1: 10}),
    "nothing can be reached": Case(
        broken_connections=dict.fromkeys(range(1, 100), 0), error="GET .*/v2/: the connection was reset"
    ),
    "ping, before the registry reads it": push("ping get", reset=True),
    "check of the tag, before the registry reads it": push("manifest get", drop=True),
    "check of a blob, before the registry reads it": push("blob head", reset=True),
    "every first check of a blob": push("blob head", (1, 2, 3, 4), drop=True),
    "session opened, before the registry reads it": push("upload post", reset=True),
    "every first session": push("upload post", (1, 2, 3, 4), reset=True),
    "blob, at its first byte": push("upload put", digest=BIG, request_bytes=1, reset=True),
    "blob, in the middle": push("upload put", digest=BIG, request_bytes=HALF, reset=True),
    "blob, in the middle, in good order": push("upload put", digest=BIG, request_bytes=HALF, drop=True),
    "blob, before its last byte": push("upload put", digest=BIG, request_bytes=SIZES[BIG] - 1, reset=True),
    "blob, in the middle, three times": push("upload put", (1, 2, 3), request_bytes=2000, reset=True),
    "chunk, in the middle": Case(
        (
            Trouble(on="upload put", digest=BIG, nth=1, request_bytes=HALF, reset=True),
            Trouble(on="upload patch", nth=2, request_bytes=30_000, reset=True),
        )
    ),
    "chunk, before the registry reads it": Case(
        (
            Trouble(on="upload put", digest=BIG, nth=1, request_bytes=HALF, drop=True),
            Trouble(on="upload patch", nth=3, drop=True),
        )
    ),
    "config, at its first byte": push("upload put", digest=CONFIG, request_bytes=1, reset=True),
    "manifest, in the middle": push("manifest put", request_bytes=300, reset=True),
    "manifest, before the registry reads it": push("manifest put", drop=True),
    "manifest, in the middle, always": Case(
        (Trouble(on="manifest put", request_bytes=300, reset=True),),
        error="PUT .*/manifests/v1: the connection was reset",
    ),
    "head of the reply to the check of the tag": push("manifest get", head_bytes=20, drop=True),
    "head of the reply to a session opened": push("upload post", head_bytes=100, reset=True),
    "head of the reply to a blob": push("upload put", digest=BIG, head_bytes=20, reset=True),
    "head of the reply to the manifest": push("manifest put", head_bytes=60, drop=True),
    "body of the first challenge": push("ping get", response_bytes=5, drop=True),
    "pull: body of the manifest": Case((Trouble(on="manifest get", nth=1, response_bytes=100, reset=True),), pull=True),
    "pull: head of the manifest": Case((Trouble(on="manifest get", nth=1, head_bytes=30, drop=True),), pull=True),
    "pull: blob, at its first byte": Case(
        (Trouble(on="blob get", reference=BIG, nth=1, response_bytes=1, reset=True),), pull=True
    ),
    "pull: blob, in the middle, twice": Case(
        (Trouble(on="blob get", reference=BIG, nth=(1, 2), response_bytes=HALF, reset=True),), pull=True
    ),
    "pull: blob, before its last byte": Case(
        (Trouble(on="blob get", reference=BIG, nth=1, response_bytes=SIZES[BIG] - 1, drop=True),), pull=True
    ),
    "pull: blob, at its first byte, always": Case(
        (Trouble(on="blob get", reference=BIG, response_bytes=1, drop=True),), pull=True, error="truncated"
    ),
    "https: blob, in the middle": https(on="upload put", digest=BIG, request_bytes=HALF, reset=True),
    "https: blob, and the answer breaks": https(on="upload put", digest=BIG, head_bytes=25, reset=True),
    "https: session, and the answer is lost": https(on="upload post", after=True, drop=True),
    "https: manifest, and the answer is lost": https(on="manifest put", after=True, reset=True),
    "https: pull: blob, in the middle": https(pull=True, on="blob get", reference=BIG, response_bytes=HALF, drop=True),
    "https: pull: blob, at its first byte, always": https(
        pull=True, error="truncated|reset", nth=(), on="blob get", reference=BIG, response_bytes=1, reset=True
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_run(name, judged):
    judged(name, CASES[name])
