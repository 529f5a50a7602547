import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from dockless.errors import DocklessError, InvalidDocumentError, printable
from dockless.oci.canonical_json import is_nested_deeper, load_json, parse_document, write_document


@pytest.mark.parametrize(
    "data, message",
    [
        (b"", "line 1"),
        (b"{", "line 1"),
        (b"[]", "value is not an object"),
        (b"null", "value is not an object"),
        (b"\xef\xbb\xbf{}", "byte order mark"),
        ('{"a": "\u00e4"}'.encode("latin-1"), "not UTF-8"),
        ("{}".encode("utf-16"), "not UTF-8"),
        (b'{"a": 1, "a": 2}', "duplicate key 'a'"),
        (b'{"a": NaN}', "NaN is not JSON"),
        (b'{"a": -Infinity}', "-Infinity is not JSON"),
        (b'{"a": ' + b"9" * 1000000 + b"}", "1000000 digits"),
        (b'{"a": ' + b"[" * 10000 + b"]" * 10000 + b"}", "nested too deep"),
        (b'{"a": ' + b"[" * 500 + b"]" * 500 + b"}", "nested too deep"),
        (b'{"a": "' + b"x" * (5 << 20) + b'"}', "the limit is 4194304"),
    ],
)
def test_invalid_documents_are_refused_in_one_line(data, message):
    with pytest.raises(InvalidDocumentError) as caught:
        parse_document(data, "sha256:abc")
    assert "sha256:abc is not a valid JSON document" in str(caught.value)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.text(),
    lambda children: st.lists(children, max_size=4) | st.dictionaries(st.text(), children, max_size=4),
    max_leaves=20,
)


@given(st.dictionaries(st.text(), JSON, max_size=5))
def test_documents_round_trip_and_the_order_of_keys_does_not_matter(document):
    written = write_document(document)
    assert parse_document(written, "x") == document
    assert write_document(dict(reversed(list(document.items())))) == written


def test_lone_surrogates_of_a_base_survive():
    assert write_document(parse_document(rb'{"a": "\ud800"}', "x")) == rb'{"a":"\ud800"}'


def test_errors_are_one_printable_line():
    error = DocklessError("a\nb", cause="\x1b[31mred", hint="do c")
    assert str(error) == "a\\nb: \\x1b[31mred; do c"
    assert len(printable("x" * 10000)) < 500


def nesting(text):
    """Return the depth that a parser reaches, and whether it reads to the end: no escape outside of strings."""
    deepest = depth = 0
    in_string = escaped = False
    for character in text:
        if escaped:
            escaped = False
        elif in_string:
            escaped = character == "\\"
            in_string = character != '"'
        elif character == "\\":
            return deepest, False
        elif character == '"':
            in_string = True
        elif character in "[{":
            depth += 1
            deepest = max(deepest, depth)
        elif character in "]}":
            depth -= 1
    return deepest, True


def found_nesting(data):
    return next(depth for depth in range(len(data) + 1) if not is_nested_deeper(data, depth))


@given(JSON)
@example(["\\", ["[[["], '\\"', {"[": ["\\\\[", "{\\"]}])
def test_nesting_of_documents(document):
    for text in (json.dumps(document), json.dumps(document, ensure_ascii=False)):
        assert (found_nesting(text.encode("utf-8", "surrogatepass")), True) == nesting(text)


@given(st.text('[]{}"\\a', max_size=40))
@example('\\"[[')
@example('"\\\\"[["\\"]"')
def test_nesting_of_invalid_json(text):
    """The computed depth is never less than that of a parser."""
    deepest, whole = nesting(text)
    found = found_nesting(text.encode())
    assert found == deepest if whole else found >= deepest


@pytest.mark.parametrize(
    "start, part, end",
    [
        ("", "[", ""),
        ("", "[]", ""),
        ("", '["', ""),
        ("", '["\\\\"', ""),
        ("", '[""', ""),
        ("", '{"[":', ""),
        ('["', "\\", '"]'),
        ('["', '\\"', '"]'),
        ('["', "[", '"]'),
        ("", '"[",', ""),
    ],
)
def test_nesting_of_large_documents(start, part, end):
    """Documents of the maximum size, which need a linear algorithm."""
    text = start + part * ((4 << 20) // len(part)) + end
    deepest, whole = nesting(text)
    assert whole
    assert is_nested_deeper(text.encode(), deepest) is False
    assert deepest == 0 or is_nested_deeper(text.encode(), deepest - 1) is True


@pytest.mark.parametrize("depth, refused", [(100, False), (101, True)])
def test_the_deepest_document(depth, refused):
    text = "[" * depth + "]" * depth
    if refused:
        with pytest.raises(ValueError, match="nested too deep"):
            load_json(text)
        with pytest.raises(InvalidDocumentError, match="nested too deep"):
            parse_document(b'{"a":%s}' % text[1:-1].encode(), "x")
    else:
        assert json.dumps(load_json(text)) == text
        assert parse_document(b'{"a":%s}' % text[1:-1].encode(), "x")
