"""Later releases of Pants freeze the values in BUILD files: a list becomes a tuple, a dictionary a FrozenDict."""

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
from pants_dockless.target_types import BaseField, ContentsField, ImageField, TestedImageField

ADDRESS = Address("app", target_name="image")
FIELDS = sorted({field for target in target_types() for field in target.core_fields}, key=lambda field: field.__name__)
SINGLE = (BaseField, ImageField, TestedImageField)
MAPPINGS = [field for field in FIELDS if issubclass(field, (ContentsField, DictStringToStringField))]
SEQUENCES = [
    field
    for field in FIELDS
    if issubclass(field, (Dependencies, SpecialCasedDependencies, StringSequenceField))
    and field not in (*SINGLE, *MAPPINGS)
]


@pytest.mark.parametrize("field", SEQUENCES)
def test_sequence_fields_accept_tuples(field):
    plain = field([":a", ":b"], ADDRESS)
    assert field((":a", ":b"), ADDRESS).value == plain.value == (":a", ":b")


@pytest.mark.parametrize("field", MAPPINGS)
def test_mapping_fields_accept_frozen_dicts(field):
    plain = field({"/b": ":b", "/a": ":a"}, ADDRESS)
    assert plain.value
    assert field(FrozenDict({"/b": ":b", "/a": ":a"}), ADDRESS).value == plain.value


@pytest.mark.parametrize("field", SINGLE)
@pytest.mark.parametrize("raw", [[":a"], (":a",), {":a": ":b"}, FrozenDict({":a": ":b"})])
def test_single_address_fields_reject_collections(field, raw):
    with pytest.raises(InvalidFieldTypeException, match="a string"):
        field(raw, ADDRESS)


@pytest.mark.parametrize("raw", [[":a"], (":a",), {"/a": 1}, FrozenDict({"/a": (":a",)})])
def test_contents_rejects_values_that_are_not_strings(raw):
    with pytest.raises(InvalidFieldTypeException, match="a dictionary of path -> address"):
        ContentsField(raw, ADDRESS)
