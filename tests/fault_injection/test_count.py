"""The number of fault runs, so that no run is lost unnoticed."""

import importlib.util
from pathlib import Path

from fault_run import repository_of
from real_tools import ROOT

COUNTS = {
    "test_corruption": 54,
    "test_exchanges": 72,
    "test_hostile": 47,
    "test_kills": 31,
    "test_lost_replies": 27,
    "test_lost_sessions": 12,
    "test_mounts": 17,
    "test_periodic": 37,
    "test_races": 21,
    "test_resets": 38,
    "test_throttling": 33,
    "test_tokens": 56,
}


def cases_of(path):
    spec = importlib.util.spec_from_file_location(f"counted_{path.stem}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.CASES


def test_every_case_is_counted_and_has_its_own_repository():
    here = Path(__file__)
    found = {path.stem: cases_of(path) for path in here.parent.glob("test_*.py") if path != here}
    assert {group: len(cases) for group, cases in found.items()} == COUNTS
    assert (
        f"The {sum(COUNTS.values())} runs of `tests/fault_injection`" in (ROOT / "docs/registry-client.md").read_text()
    )
    names = [name for cases in found.values() for name in cases]
    assert len({repository_of(name) for name in names}) == len(names)
