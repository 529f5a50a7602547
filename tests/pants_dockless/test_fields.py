"""Newer Pants freezes what a BUILD file holds before a field sees it: a list is a tuple there, a dict a FrozenDict."""

import pytest
from pants.engine.addresses import Address
from pants.engine.target import (
    Dependencies,
    DictStringToStringField,
    InvalidFieldTypeException,
    SpecialCasedDependencies,
    StringSequenceField,
)
from pants.util.frozendict import FrozenDict
from pants_dockless.register import target_types
from pants_dockless.target_types import BaseField, ContentsField, ImageField

ADDRESS = Address("app", target_name="image")
FIELDS = sorted({field for target in target_types() for field in target.core_fields}, key=lambda field: field.__name__)
SINGLE = (BaseField, ImageField)
MAPPINGS = [field for field in FIELDS if issubclass(field, (ContentsField, DictStringToStringField))]
SEQUENCES = [
    field
    for field in FIELDS
    if issubclass(field, (Dependencies, SpecialCasedDependencies, StringSequenceField))
    and field not in (*SINGLE, *MAPPINGS)
]


@pytest.mark.parametrize("field", SEQUENCES)
def test_a_tuple_is_read_as_a_list(field):
    plain = field([":a", ":b"], ADDRESS)
    assert field((":a", ":b"), ADDRESS).value == plain.value == (":a", ":b")


@pytest.mark.parametrize("field", MAPPINGS)
def test_a_frozen_dict_is_read_as_a_dict(field):
    plain = field({"/b": ":b", "/a": ":a"}, ADDRESS)
    assert plain.value
    assert field(FrozenDict({"/b": ":b", "/a": ":a"}), ADDRESS).value == plain.value


@pytest.mark.parametrize("field", SINGLE)
@pytest.mark.parametrize("raw", [[":a"], (":a",), {":a": ":b"}, FrozenDict({":a": ":b"})])
def test_a_field_of_one_string_takes_no_collection(field, raw):
    with pytest.raises(InvalidFieldTypeException, match="a string"):
        field(raw, ADDRESS)


@pytest.mark.parametrize("raw", [[":a"], (":a",), {"/a": 1}, FrozenDict({"/a": (":a",)})])
def test_contents_takes_only_strings(raw):
    with pytest.raises(InvalidFieldTypeException, match="a dictionary of path -> address"):
        ContentsField(raw, ADDRESS)
