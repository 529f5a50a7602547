"""Patterns of a source tree: no pattern, number of patterns or ignore file takes long."""

import os
import time

import pytest

from dockless.errors import LayerError
from dockless.layer import LayerSpec, Source
from dockless.layer.ignore import Ignores, compile_patterns
from dockless.layer.walk import collect_entries

# Seconds for one path. A backtracking matcher takes minutes and more for each of these.
PER_PATH = 0.1
NAME = b"a" * 250
DEEP = b"a/" * 1000 + b"a"

# What is repeated, how often, the end of the pattern, and a path that almost matches.
SLOW = {
    "asterisks": (b"*a", 30, b"*b", NAME),
    "question marks": (b"?*", 30, b"b", NAME),
    "classes": (b"[ab]*", 30, b"c", NAME),
    "negated classes": (b"*[!b]", 30, b"b", NAME),
    "named classes": (b"*[[:alpha:]]", 30, b"1", NAME),
    "three asterisks": (b"***a", 30, b"b", NAME),
    "asterisks in a name": (b"a**", 30, b"b", NAME),
    "directories": (b"**/", 1000, b"b", DEEP),
    "directories with names": (b"**/a/", 500, b"b", DEEP),
    "directories with wildcards": (b"**/*a*/", 300, b"b", DEEP),
    "directories in the middle": (b"a/**/", 300, b"b", DEEP),
    "components": (b"*/", 900, b"b", DEEP),
    "as long as a path": (b"*a", 2000, b"b", b"a" * 4095),
}
PREFIXES = {"as it is": b"", "negated": b"!", "anchored": b"/", "below": b"**/"}


@pytest.mark.parametrize("prefix", PREFIXES.values(), ids=list(PREFIXES))
@pytest.mark.parametrize("slow", SLOW.values(), ids=list(SLOW))
def test_a_pattern_that_backtracks(slow, prefix):
    part, count, end, path = slow
    lines = [prefix + part * count + end, prefix + part * count + end + b"/"]
    patterns = compile_patterns([line for line in lines if len(line) <= 4096], "test")
    # A path that lacks a character of the pattern is not compared with the expression.
    with_end = end[-1:] + (b"/" if b"/" in path else b"") + path[1 + (b"/" in path) :]
    for compared in (path, with_end, with_end):
        begun = time.process_time()
        assert patterns.match(compared, False) is None
        assert patterns.match(compared, True) is None
        seconds = time.process_time() - begun
    # The first comparison compiles the expression.
    assert seconds < PER_PATH


@pytest.mark.parametrize(
    ("pattern", "path"),
    [
        (b"*a" * 30 + b"*b", NAME[:-1] + b"b"),
        (b"?*" * 30 + b"b", NAME[:-1] + b"b"),
        (b"**/a/" * 30 + b"b", DEEP[:-1] + b"b"),
        (b"**/*a*/" * 30 + b"b", DEEP[:-1] + b"b"),
        (b"[ab]*" * 30, NAME),
    ],
)
def test_it_still_matches(pattern, path):
    assert compile_patterns([pattern], "test").match(path, False) is True


def test_thousands_of_patterns():
    patterns = compile_patterns([b"*a*%d*b" % n for n in range(3000)], "test")
    begun = time.process_time()
    assert patterns.match(NAME, False) is None
    assert time.process_time() - begun < PER_PATH


@pytest.mark.parametrize("field", ["modes", "owners"])
def test_slow_patterns_of_modes_and_owners(tmp_path, field):
    (tmp_path / os.fsdecode(NAME)).write_bytes(b"")
    value = "0644" if field == "modes" else "1:1"
    pattern = "*a" * 30 + "*b"
    begun = time.process_time()
    with pytest.raises(LayerError, match="matches nothing"):
        collect_entries(LayerSpec((Source(str(tmp_path), "/"),), **{field: {pattern: value}}))
    assert time.process_time() - begun < 5


TOO_MANY = {f"*.{n}": "0644" for n in range(20_001)}


@pytest.mark.parametrize(
    ("fields", "files", "reason"),
    [
        ({"ignores": ("a", "b*") * 10_001}, {}, "`ignores` of .*: more than 20000 patterns apply"),
        ({"modes": TOO_MANY}, {}, "`modes`: more than 20000 patterns apply"),
        ({"owners": dict.fromkeys(TOO_MANY, "1:1")}, {}, "`owners`: more than 20000 patterns apply"),
        (
            {"ignore_files": (".i",)},
            {".i": b"x\n" * 10_001, "d/.i": b"y\n" * 10_000},
            "d/.i: more than 20000 patterns apply",
        ),
        ({"ignore_files": (".i",)}, {".i": b"#" * (1 << 20) + b"#"}, "larger than 1048576 bytes"),
        (
            {"ignore_files": (".i",)},
            {f"{n}/.i": b"#" * (1 << 20) for n in range(5)},
            "have more than 4194304 bytes together",
        ),
    ],
    ids=["ignores", "modes", "owners", "ignore files", "one large file", "many large files"],
)
def test_limits_of_patterns(tmp_path, fields, files, reason):
    for name, content in {"f": b"", **files}.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(content)
    begun = time.process_time()
    with pytest.raises(LayerError, match=reason):
        collect_entries(LayerSpec((Source(str(tmp_path), "/"),), **fields))
    assert time.process_time() - begun < 10


def test_the_same_ignore_file_in_many_directories_is_compiled_once(tmp_path):
    rules = b"".join(b"*a*%d\n" % n for n in range(1000))
    for n in range(30):
        (tmp_path / str(n)).mkdir()
        (tmp_path / str(n) / ".i").write_bytes(rules)
    begun = time.process_time()
    ignores = Ignores((".i",), (), "test")
    for n in range(30):
        ignores.within(os.fsencode(tmp_path / str(n)), b"%d" % n, {b".i"})
    assert time.process_time() - begun < 5
