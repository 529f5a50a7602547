"""The WWW-Authenticate headers of registries and proxies."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dockless.registry.auth.challenge import choose_challenge, parse_challenges

REALM = "https://auth.example/token"


@pytest.mark.parametrize(
    ("headers", "found"),
    [
        (
            [f'Bearer realm="{REALM}",service="reg.example",scope="repository:a/b:pull,push"'],
            [("bearer", {"realm": REALM, "service": "reg.example", "scope": "repository:a/b:pull,push"})],
        ),
        (['bearer realm="x"'], [("bearer", {"realm": "x"})]),
        (['BEARER REALM = "x" , Service\t=\t"y"'], [("bearer", {"realm": "x", "service": "y"})]),
        (["Bearer realm=x,service=reg.example"], [("bearer", {"realm": "x", "service": "reg.example"})]),
        (['Bearer realm="a \\"quoted\\" \\\\ one"'], [("bearer", {"realm": 'a "quoted" \\ one'})]),
        (['Bearer realm="a, Basic realm=b"'], [("bearer", {"realm": "a, Basic realm=b"})]),
        (['Bearer realm="x", Basic realm="y"'], [("bearer", {"realm": "x"}), ("basic", {"realm": "y"})]),
        (['Basic realm="y"', 'Bearer realm="x"'], [("basic", {"realm": "y"}), ("bearer", {"realm": "x"})]),
        (["Negotiate", 'Bearer realm="x"'], [("negotiate", {}), ("bearer", {"realm": "x"})]),
        (['Negotiate, NTLM, Basic realm="y"'], [("negotiate", {}), ("ntlm", {}), ("basic", {"realm": "y"})]),
        (['Negotiate YIIabc==, Bearer realm="x"'], [("negotiate", {}), ("bearer", {"realm": "x"})]),
        ([',, Bearer realm="x",, service="y",'], [("bearer", {"realm": "x", "service": "y"})]),
        (['Bearer realm="first",realm="second"'], [("bearer", {"realm": "first"})]),
        (['Bearer realm=""'], [("bearer", {"realm": ""})]),
        (['Bearer realm="x",error="invalid_token"'], [("bearer", {"realm": "x", "error": "invalid_token"})]),
        # A syntax error ends a header. The challenges before the error are used.
        (['Basic realm="y", Bearer realm="x'], [("basic", {"realm": "y"}), ("bearer", {})]),
        (['"Bearer realm'], []),
        ([""], []),
        ([], []),
    ],
)
def test_challenges_are_parsed(headers, found):
    assert [(challenge.scheme, dict(challenge.parameters)) for challenge in parse_challenges(headers)] == found


@pytest.mark.parametrize(
    ("header", "scheme", "realm"),
    [
        ('Basic realm="b", Bearer realm="t"', "bearer", "t"),
        ('Bearer realm="t1", Bearer realm="t2"', "bearer", "t1"),
        ('Negotiate, Basic realm="b"', "basic", "b"),
    ],
)
def test_the_supported_challenge_is_chosen(header, scheme, realm):
    challenge = choose_challenge(parse_challenges([header]))
    assert challenge.scheme == scheme and challenge.parameters["realm"] == realm


def test_unsupported_challenges():
    assert choose_challenge(parse_challenges(["Negotiate", "NTLM"])) is None


_TOKEN = st.text("abcdefghijklmnopqrstuvwxyz-", min_size=1, max_size=8)
_TEXT = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=20)


@given(st.lists(st.tuples(_TOKEN, st.dictionaries(_TOKEN, _TEXT, min_size=1, max_size=4)), max_size=4))
def test_generated_challenges_are_parsed(challenges):
    def quoted(text):
        return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'

    header = ", ".join(
        scheme + " " + ", ".join(f"{name}={quoted(value)}" for name, value in parameters.items())
        for scheme, parameters in challenges
    )
    assert [(found.scheme, dict(found.parameters)) for found in parse_challenges([header])] == challenges


@given(st.text(max_size=60))
def test_any_text_is_parsed_without_an_exception(text):
    parse_challenges([text])
