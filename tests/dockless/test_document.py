import pytest
from hypothesis import given
from hypothesis import strategies as st

from dockless.errors import DocklessError, InvalidDocument, printable
from dockless.oci.canonical_json import parse_document, write_document


@pytest.mark.parametrize(
    "data, said",
    [
        (b"", "line 1"),
        (b"{", "line 1"),
        (b"[]", "no object"),
        (b"null", "no object"),
        (b"\xef\xbb\xbf{}", "byte order mark"),
        ('{"a": "\u00e4"}'.encode("latin-1"), "not UTF-8"),
        ("{}".encode("utf-16"), "not UTF-8"),
        (b'{"a": 1, "a": 2}', "'a' stands twice"),
        (b'{"a": NaN}', "NaN is not JSON"),
        (b'{"a": -Infinity}', "-Infinity is not JSON"),
        (b'{"a": ' + b"9" * 1000000 + b"}", "1000000 digits"),
        (b'{"a": ' + b"[" * 10000 + b"]" * 10000 + b"}", "nested too deep"),
        (b'{"a": ' + b"[" * 500 + b"]" * 500 + b"}", "nested too deep"),
        (b'{"a": "' + b"x" * (5 << 20) + b'"}', "more than 4194304"),
    ],
)
def test_what_is_no_usable_document_is_refused_in_one_line(data, said):
    with pytest.raises(InvalidDocument) as caught:
        parse_document(data, "sha256:abc")
    assert "sha256:abc is not a usable JSON document" in str(caught.value)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.text(),
    lambda children: st.lists(children, max_size=4) | st.dictionaries(st.text(), children, max_size=4),
    max_leaves=20,
)


@given(st.dictionaries(st.text(), JSON, max_size=5))
def test_what_is_written_reads_back_and_order_does_not_matter(document):
    written = write_document(document)
    assert parse_document(written, "x") == document
    assert write_document(dict(reversed(list(document.items())))) == written


def test_lone_surrogates_of_a_base_survive():
    assert write_document(parse_document(rb'{"a": "\ud800"}', "x")) == rb'{"a":"\ud800"}'


def test_errors_are_one_printable_line():
    error = DocklessError("a\nb", cause="\x1b[31mred", hint="do c")
    assert str(error) == "a\\nb: \\x1b[31mred; do c"
    assert len(printable("x" * 10000)) < 500
