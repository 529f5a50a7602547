"""Every nth request loses its connection: no loop of attempts falls into step with the fault."""

import pytest
from fault_proxy import Trouble
from fault_run import Case

# More requests than any run sends.
MANY = 2000


def every(n, **more):
    return Trouble(nth=tuple(range(n, MANY, n)), **more)


# Each request has a connection of its own: none is repeated because a reused connection was closed.
CLOSED = Trouble(headers={"Connection": "close"})
LOST = every(4, drop=True, after=True)


def pauses(most):
    def check(run, result):
        assert sum(run.sleeps) < most, run.sleeps

    return check


def periodic(n, *others, how="drop", most=0, **more):
    """A reused connection that dies is no failed attempt: there are few pauses."""
    most = most or (30 if n == 2 else 5)
    return Case((every(n, **{how: True}), *others), **{"auth": "plain", "most": 40, "check": pauses(most), **more})


CASES = {
    **{f"push, every request number {n}": periodic(n) for n in range(2, 8)},
    **{f"push by one thread, every request number {n}": periodic(n, jobs=1) for n in range(2, 8)},
    **{
        f"push by one thread, no reuse, every request number {n}": periodic(n, CLOSED, jobs=1, most=30)
        for n in (3, 4, 5)
    },
    **{f"push, no reuse, every request number {n}": periodic(n, CLOSED, most=30) for n in (3, 4)},
    **{f"pull, every request number {n}": periodic(n, pull=True) for n in range(2, 6)},
    **{f"mount, every request number {n}": periodic(n, mount=True) for n in (2, 4)},
    **{f"index, reset of every request number {n}": periodic(n, how="reset", index=True) for n in (2, 4)},
    "push with tokens, every request number 4": periodic(4, auth="token"),
    "push by tls, every request number 4": periodic(4, https=True),
    "push, every answer number 4 is lost": Case((LOST,), auth="plain", most=40, check=pauses(30)),
    "push by one thread, every answer number 4 is lost": Case((LOST,), auth="plain", most=40, jobs=1, check=pauses(30)),
}


@pytest.mark.parametrize("name", CASES)
def test_run(name, judged):
    judged(name, CASES[name])
