import pytest

from dockless.oci.history import entries_above, match_layers, without

RUN = {"created_by": "RUN a"}
COPY = {"created_by": "COPY b"}
ENV = {"created_by": "ENV c", "empty_layer": True}


def layers(history):
    return [entry for entry in history if not entry.get("empty_layer")]


@pytest.mark.parametrize(
    ("history", "count"),
    [(None, 0), (None, 3), ([], 2), ([RUN], 1), ([RUN], 3), ([ENV], 1), ([RUN, ENV, COPY, ENV], 2), ([RUN] * 5, 2)],
)
def test_as_many_entries_as_layers(history, count):
    assert len(layers(match_layers(history, count))) == count


def test_a_matching_history_is_unchanged():
    assert match_layers([ENV, RUN, ENV, COPY], 2) == [ENV, RUN, ENV, COPY]


def test_surplus_entries_are_kept_as_empty_layers():
    assert match_layers([RUN, COPY], 1) == [RUN, {**COPY, "empty_layer": True}]


def test_missing_entries_are_added_as_unknown():
    assert match_layers([RUN], 2)[1]["created_by"] == "unknown"


def test_a_removed_layer_takes_its_entry():
    assert without([ENV, RUN, ENV, COPY], {0}) == [ENV, ENV, COPY]
    assert without([ENV, RUN, ENV, COPY], {0, 1}) == [ENV, ENV]


def test_history_above_a_base():
    assert entries_above([RUN, ENV, COPY, ENV], 1) == [ENV, COPY, ENV]
    assert entries_above([RUN, ENV, COPY, ENV], 2) == [ENV]
    assert entries_above([RUN], 1) == []
    assert entries_above([ENV, RUN], 0) == [ENV, RUN]
