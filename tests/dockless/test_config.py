import json

import pytest

from dockless.errors import InvalidDocumentError, InvalidValueError
from dockless.mutate.config_edit import ConfigEdit, edit_config, merged_env
from dockless.oci.digest import Digest
from dockless.oci.image_config import ImageConfig
from dockless.oci.platform import Platform

BASE = {
    "architecture": "amd64",
    "os": "linux",
    "config": {"Env": ["PATH=/usr/bin:/bin", "LANG=C", "BARE"], "Labels": {"a": "1"}, "Cmd": ["sh"], "OnBuild": ["X"]},
    "rootfs": {"type": "layers", "diff_ids": []},
    "x.unknown": {"kept": [1, None]},
}


def edited(**fields):
    config = ImageConfig.from_bytes(json.dumps(BASE).encode(), "test")
    return edit_config(config, ConfigEdit(**fields)).document


def test_env_is_merged_by_name_in_the_bases_order():
    found = edited(env={"NEW": "1", "PATH": "$PATH:/app", "A": "2"})["config"]["Env"]
    assert found == ["PATH=/usr/bin:/bin:/app", "LANG=C", "BARE", "A=2", "NEW=1"]


def test_env_merged_twice_is_env_merged_once():
    once = merged_env(["A=1"], {"A": "2", "B": "3"})
    assert merged_env(once, {"A": "2", "B": "3"}) == once == ["A=2", "B=3"]


def test_the_order_of_a_dict_decides_nothing():
    assert merged_env([], {"B": "1", "A": "2"}) == merged_env([], {"A": "2", "B": "1"})


def test_a_name_twice_in_the_base_becomes_one():
    assert merged_env(["A=1", "B=2", "A=3"], {"A": "${A}x"}) == ["A=3x", "B=2"]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("${A}b", "1b"),
        ("$A", "1"),
        (r"\$A", "$A"),
        ("costs 5$", "costs 5$"),
        ("$5", "$5"),
        ("$$", "$$"),
        ("${A:-x}", "${A:-x}"),
        ("a\\b", "a\\b"),
    ],
)
def test_dollars(value, expected):
    assert merged_env(["A=1"], {"N": value})[1] == f"N={expected}"


def test_an_unset_name_is_an_error_that_lists_those_that_are_set():
    with pytest.raises(
        InvalidValueError, match=r"\$PTAH is not set in the base: the base sets A, B; write \\\$ for a dollar"
    ):
        merged_env(["A=1", "B=2"], {"PATH": "$PTAH:/app"})


def test_labels_are_merged_and_lists_replaced():
    found = edited(labels={"b": "2"}, cmd=("x", "y"), user="1:2", working_dir="/w", stop_signal="SIGINT")["config"]
    assert found["Labels"] == {"a": "1", "b": "2"}
    assert (found["Cmd"], found["User"], found["WorkingDir"], found["StopSignal"]) == (
        ["x", "y"],
        "1:2",
        "/w",
        "SIGINT",
    )
    assert found["OnBuild"] == ["X"]


def test_a_new_entrypoint_clears_the_bases_cmd():
    assert "Cmd" not in edited(entrypoint=("/app",))["config"]
    assert edited(entrypoint=("/app",), cmd=("-v",))["config"]["Cmd"] == ["-v"]


def test_ports_volumes_healthcheck():
    found = edited(exposed_ports=("80", "53/udp"), volumes=("/data",), healthcheck={"Test": ["CMD", "true"]})["config"]
    assert found["ExposedPorts"] == {"80/tcp": {}, "53/udp": {}}
    assert found["Volumes"] == {"/data": {}}
    assert found["Healthcheck"] == {"Test": ["CMD", "true"]}


def test_ports_and_volumes_are_added_as_by_a_dockerfile():
    base = {**BASE, "config": {"ExposedPorts": {"80/tcp": {}, "81/tcp": None}, "Volumes": {"/a": {}}}}
    config = ImageConfig.from_bytes(json.dumps(base).encode(), "test")

    def sets(**fields):
        inner = edit_config(config, ConfigEdit(**fields)).document["config"]
        return sorted(inner["ExposedPorts"]), sorted(inner["Volumes"])

    assert sets(exposed_ports=("80", "53/udp"), volumes=("/b",)) == (["53/udp", "80/tcp", "81/tcp"], ["/a", "/b"])
    assert sets(volumes=("/a", "/a/b")) == (["80/tcp", "81/tcp"], ["/a", "/a/b"])
    assert sets(exposed_ports=(), volumes=()) == ([], [])
    assert sets(exposed_ports=("443",), raw={"config": {"ExposedPorts": {"80/tcp": None}}})[0] == ["443/tcp", "81/tcp"]
    assert config.document["config"] == base["config"]


def test_raw_sets_keys_without_a_field():
    found = edited(raw={"author": "me", "config": {"OnBuild": None, "Shell": ["/bin/sh"]}, "x.unknown": {"new": 1}})
    assert found["author"] == "me"
    assert found["config"]["Shell"] == ["/bin/sh"] and "OnBuild" not in found["config"]
    assert found["x.unknown"] == {"kept": [1, None], "new": 1}


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        ({"rootfs": {}}, "rootfs must match the layers"),
        ({"history": []}, "history must match the layers"),
        ({"os": None}, "has no os"),
        ({"config": []}, "not an object"),
        ({"config": {"Env": "A=1"}}, "not a list of strings"),
        ({"x": b"bytes"}, "not JSON"),
        ({"x": float("nan")}, "not JSON"),
    ],
)
def test_raw_that_would_break_the_config(raw, reason):
    with pytest.raises(InvalidValueError, match=f"invalid raw: .*{reason}"):
        edited(raw=raw)


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"working_dir": "app"}, "begin the path with /"),
        ({"working_dir": "/a/../b"}, "'..'"),
        ({"user": "a b"}, "is not a user"),
        ({"user": "4294967296"}, "largest ID"),
        ({"env": {"A=B": "1"}}, "contains '='"),
        ({"env": {"": "1"}}, "empty"),
        ({"env": {"A": "\0"}}, "NUL"),
        ({"cmd": ("", "x")}, "the name of the program is empty"),
        ({"exposed_ports": ("0",)}, "is not a port"),
        ({"exposed_ports": ("80/quic",)}, "is not a port"),
        ({"volumes": ("data",)}, "not absolute"),
        ({"stop_signal": "term"}, "is not a signal"),
        ({"healthcheck": {"test": []}}, "is not a key of a healthcheck"),
        ({"labels": {"": "x"}}, "empty"),
        ({"created": "yesterday"}, "is not a time"),
    ],
)
def test_each_rule(fields, reason):
    (name,) = fields
    with pytest.raises(InvalidValueError, match=f"invalid {name}: .*{reason}"):
        edited(**fields)


def test_a_user_of_many_digits_is_an_error():
    """Python converts at most 4300 digits (CVE-2020-10735)."""
    with pytest.raises(InvalidValueError, match="invalid user: 9999"):
        edited(user="9" * 5000)


def test_only_ascii_digits_are_an_id():
    """`"²".isdigit()` is true, and `int("²")` fails."""
    with pytest.raises(InvalidValueError, match="invalid user: '²' is not an ID; write the digits 0 to 9"):
        edited(user="²")


def test_an_edit_changes_no_value_in_place():
    config = ImageConfig.from_bytes(json.dumps(BASE).encode(), "test")
    before = config.to_bytes()
    edit_config(config, ConfigEdit(env={"A": "1"}, labels={"b": "2"}, raw={"x.unknown": {"kept": None}}))
    assert config.to_bytes() == before


def test_scratch():
    config = ImageConfig.scratch(Platform("linux", "arm", "v7"))
    assert config.platform == Platform("linux", "arm", "v7")
    assert config.diff_ids == () and config.history == ()


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"rootfs": []}, "no rootfs.diff_ids"),
        ({"rootfs": {"diff_ids": {}}}, "no rootfs.diff_ids"),
        ({"rootfs": {"diff_ids": [1]}}, "not a string"),
        ({"rootfs": {"diff_ids": ["sha256:12"]}}, "invalid digest"),
        ({"os": []}, "values are not strings"),
        ({"architecture": 1}, "values are not strings"),
        ({"config": []}, "not an object"),
        ({"config": {"Env": {"A": "1"}}}, "Env that is not a list"),
        ({"config": {"Env": [1]}}, "Env that is not a list"),
        ({"config": {"Labels": ["a"]}}, "not a map"),
        ({"history": {}}, "history that is not a list"),
        ({"history": ["x"]}, "history that is not a list"),
    ],
)
def test_documents_that_are_not_configs(change, reason):
    with pytest.raises((InvalidDocumentError, InvalidValueError), match=reason):
        ImageConfig.from_bytes(json.dumps({**BASE, **change}).encode(), "the config of x")


def test_a_config_with_an_invalid_diff_id_is_named():
    document = {**BASE, "rootfs": {"type": "layers", "diff_ids": ["sha256:12"]}}
    with pytest.raises(InvalidDocumentError, match="^the config of x has an invalid diff ID: .*invalid digest"):
        ImageConfig.from_bytes(json.dumps(document).encode(), "the config of x")


def test_config_that_is_not_json_too_large_or_too_deep():
    for raw, reason in (
        (b"<html>", "not a valid JSON document"),
        (b"{" + b" " * (5 << 20) + b"}", "bytes; the limit is"),
        (b'{"a":' * 10_000 + b"1" + b"}" * 10_000, "nested too deep"),
    ):
        with pytest.raises(InvalidDocumentError, match=reason):
            ImageConfig.from_bytes(raw, "the config of x")


def test_rootfs_of_other_layers():
    config = ImageConfig.from_bytes(json.dumps(BASE).encode(), "test")
    digest = Digest.of(b"layer")
    found = config.with_rootfs([digest], [{"created_by": "x"}], created="2024-01-31T12:00:00Z")
    assert found.diff_ids == (digest,)
    assert found.history == ({"created_by": "x"},)
    assert found.document["created"] == "2024-01-31T12:00:00Z"
