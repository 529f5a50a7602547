"""Patterns have the same results as in git and are evaluated quickly."""

import os
import random
import re
import subprocess
import time

import pytest
from pathspec.patterns.gitignore.spec import GitIgnoreSpecPattern

from dockless.errors import LayerError
from dockless.layer import LayerSpec, Source
from dockless.layer.patterns import Patterns
from dockless.layer.walk import collect_entries

# Rule sets that are compared with git: docs/testing.md.
SETS = int(os.environ.get("DOCKLESS_FUZZ_SETS", "600"))
SEED = int(os.environ.get("DOCKLESS_FUZZ_SEED", "1"))
RULES = b".rules"


def git(root, *arguments, data=b""):
    """Run git with no configuration but that of the repository."""
    environment = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "GIT_CONFIG_NOSYSTEM": "1"}
    command = ["git", "-c", "core.excludesFile=/dev/null", "-c", "core.ignoreCase=false", *arguments]
    done = subprocess.run(command, cwd=root, input=data, capture_output=True, env=environment)
    # check-ignore: 1 if no path is ignored.
    assert done.returncode in (0, 1), done.stderr
    return done.stdout


def ignored_by_git(root, paths):
    output = git(root, "check-ignore", "--no-index", "--stdin", "-z", data=b"".join(path + b"\0" for path in paths))
    return set(filter(None, output.split(b"\0")))


def paths_in(root):
    found = []
    for directory, directories, files in os.walk(root):
        prefix = b"" if directory == root else os.path.relpath(directory, root) + b"/"
        found += [prefix + name for name in directories + files]
    return found


def match(pattern, path, is_directory=False):
    return Patterns([pattern.encode()], "`ignores`").match(path.encode(), is_directory)


ODD_NAMES = (
    *(b"a", b"b", b"ab", b"ba", b"aab", b"A", b"7", b"a.b", b".a", b"a b", b"a-", b"-", b"!a", b"#a", b"[a]", b"]"),
    *(b"\\", b"a\\", b"*", b"**", b"?a", b"b ", b"b\t", b"b\xa0", b"b\x85", b"a\nb", b"\n", b"\xff\xfe", b"\x0b"),
    *("é".encode(), "à".encode(), b"$a", b"a+b", b"(a)", b"{1}", b"a|b", b"a&&b", b"~", b"^", b"\x01"),
)
PLAIN_NAMES = (b"a", b"b", b"aa", b"ab", b"ba", b"aab", b"aba", b"abb", b"bab", b"abab", b"aaab", b"abaab", b"abcab")
ODD_PIECES = (
    *("*", "**", "***", "?", "/", "**/", "/**", "/**/", "/", "*", "a", "b", "ab", "a/", "b/", "*/", "/a", "*.b", "a*"),
    *(".", "-", "A", "7", " ", "\t", "é", "à", "?é", "\xa0", "\udcff", "\udca0", "\udc85", "\x0b", "+", "(", ")", "|"),
    *("\\a", "\\ ", "\\*", "\\?", "\\[", "\\]", "\\!", "\\#", "\\\\", "\\/", "\\é", "\\\t", "\\", "!", "#", "^", "$"),
    *("[", "]", "[ab]", "[!a]", "[^b-z]", "[]a]", "[!]a]", "[^]]", "[a-", "[\\]a]", "[a/b]", "[/]", "[+-9]", "[!b]"),
    *("[b-a]", "[a-]", "[-a]", "[!-a]", "[--a]", "[a-c-e]", "[\\\\]", "[\\a-c]", "[a-\\c]", "[[a]", "[!!]", "[^^]"),
    *("[é]", "[\udca0-\udcff]", "[\t ]", "[a&&b]", "[~-\\\\]", "[*]", "[?]", "[[]", "[]]", "[[-]", "[]-a]", "[:a:]"),
    *("[[:alpha:]]", "[[:digit:][:upper:]]", "[[:space:]]", "[^[:alnum:]]", "[[:foo:]]", "[[::]]", "[[:]", "[[:a]"),
    *("[[:a]b:]", "[[:alpha:]-z]", "[[:alpha:]", "[a[:digit:]", "[[:punct:]]", "[[:cntrl:]]", "[![:punct:]]"),
    *("{1}", "(?:", "\0", "\0a", "\ra", "&&", "~"),
)
PLAIN_PIECES = ("*", "*", "a", "b", "ab", "?", "/", "**/", "/**/", "/*", "*/", "/**", "[ab]", "[!a]", "*a*", "*b")


def random_pattern(rng, pieces, longest):
    text = rng.choice(("", "", "!"))
    return text + "".join(rng.choice(pieces) for _ in range(rng.randint(1, longest)))


def is_refused(pattern):
    """Return whether Dockless refuses a pattern. git ignores such a pattern."""
    text = pattern.partition("\0")[0]
    text = re.sub(r"^((?:[^\\]|\\.)*?) +\Z", r"\1", text, flags=re.S)
    if text.startswith("#"):
        return False
    body = text[1:] if text.startswith("!") else text
    body = body[:-1] if body.endswith("/") else body
    return text == "!" or (len(body) - len(body.rstrip("\\"))) % 2 == 1


def is_undefined(pattern):
    """Return whether git's result depends on memory addresses: `a**/b` (wildmatch.c of git 2.39, `prev_p < text`)."""
    text = pattern.partition("\0")[0].rstrip(" ")
    text = text[:-1] if text.endswith("/") else text
    return "/" in text and re.search(r"(?!\A!)[^/*]\*\*+(?=/|\\/|\Z)", text) is not None


class Tree:
    """A directory of a git repository, whose rules change."""

    def __init__(self, root, rng, name, names, pieces, longest):
        self.name = os.fsencode(name)
        self.path = os.fsencode(root / name)
        self.pieces, self.longest = pieces, longest
        names = sorted(names)
        directories = {b""}
        while len(directories) < 10:
            parent = rng.choice(sorted(directories))
            if parent.count(b"/") < 3:
                directories.add((parent + b"/" if parent else b"") + rng.choice(names))
        self.directories = sorted(directories)
        for directory in self.directories:
            os.makedirs(os.path.join(self.path, directory), exist_ok=True)
        for directory in self.directories:
            for entry in rng.sample(names, 9):
                path = os.path.join(self.path, directory, entry)
                if not os.path.lexists(path):
                    if rng.random() < 0.1:
                        os.symlink(rng.choice((b".", b"a", b"nowhere")), path)
                    else:
                        open(path, "x").close()

    def write_rules(self, rng):
        self.ignores = ()
        for directory in self.directories:
            patterns = []
            while (not directory and not patterns) or rng.random() < (0.6 if patterns else 0.15):
                pattern = random_pattern(rng, self.pieces, self.longest)
                if not is_refused(pattern) and not is_undefined(pattern):
                    patterns.append(pattern)
            if not directory:
                self.ignores = tuple(patterns)
            data = "".join(f"{pattern}\n" for pattern in patterns).encode("utf-8", "surrogateescape")
            for name in (b".gitignore", RULES) if directory else (b".gitignore",):
                with open(os.path.join(self.path, directory, name), "wb") as file:
                    file.write(data)

    def ignored(self):
        """Return the paths that a layer leaves out."""
        spec = LayerSpec((Source(os.fsdecode(self.path), "/"),), ignores=self.ignores, ignore_files=(RULES.decode(),))
        return set(paths_in(self.path)) - {entry.name for entry in collect_entries(spec)}

    def rules(self):
        found = {b"": self.ignores}
        for directory in self.directories[1:]:
            with open(os.path.join(self.path, directory, RULES), "rb") as file:
                if data := file.read():
                    found[directory] = data
        return found


@pytest.mark.parametrize(
    "names, pieces, longest",
    [(ODD_NAMES, ODD_PIECES, 5), (PLAIN_NAMES, PLAIN_PIECES, 9)],
    ids=["odd characters", "many wildcards"],
)
def test_random_rules_ignore_what_git_ignores(tmp_path, names, pieces, longest):
    rng = random.Random(SEED)
    git(tmp_path, "init", "-q")
    trees = [Tree(tmp_path, rng, f"tree{n}", names, pieces, longest) for n in range(10)]
    differ, ignored = [], 0
    for _ in range(SETS // 20):
        for tree in trees:
            tree.write_rules(rng)
        expected = ignored_by_git(tmp_path, [tree.name + b"/" + path for tree in trees for path in paths_in(tree.path)])
        for tree in trees:
            prefix = tree.name + b"/"
            wanted = {path[len(prefix) :] for path in expected if path.startswith(prefix)}
            found = tree.ignored()
            ignored += len(found)
            if found != wanted:
                differ.append((tree.rules(), {"only here": found - wanted, "only git": wanted - found}))
    assert not differ, f"{len(differ)} of {SETS // 2} rule sets differ, such as {differ[0]}"
    assert ignored > SETS


def test_character_classes_are_those_of_git(tmp_path):
    git(tmp_path, "init", "-q")
    names = [b"x" + bytes([code]) for code in range(1, 256) if code != ord("/")]
    classes = "alnum alpha blank cntrl digit graph lower print punct space upper xdigit"
    for pattern in (f"x[{negation}[:{name}:]]" for name in classes.split() for negation in ("", "!")):
        (tmp_path / ".gitignore").write_text(pattern)
        patterns = Patterns([pattern.encode()], "x")
        assert {name for name in names if patterns.match(name, False)} == ignored_by_git(tmp_path, names), pattern


@pytest.mark.parametrize(
    ("pattern", "path", "expected"),
    [
        ("*a" * 30 + "*b", "a" * 250, None),
        ("*a" * 30 + "*b", "a" * 249 + "b", True),
        ("*a" * 30 + "b", "a" * 250, None),
        ("?*" * 30 + "b", "a" * 250, None),
        ("*[ab]" * 30 + "c", "a" * 250, None),
        ("*" + "a" * 125 + "b*c", "a" * 250, None),
        ("/*a" * 30 + "*b", "/".join("a" * 250), None),
        ("/*a" * 30, "/".join(["aaa"] * 30), True),
        ("**/a/" * 5 + "b", "/".join("a" * 50), None),
        ("**/a/" * 5 + "b", "/".join("a" * 50 + "b"), True),
    ],
)
def test_a_hostile_pattern_is_matched_as_by_git_and_quickly(tmp_path, pattern, path, expected):
    git(tmp_path, "init", "-q")
    (tmp_path / ".gitignore").write_text(pattern)
    assert seconds_of(lambda: match(pattern, path)) < 0.1
    assert match(pattern, path) is expected
    assert bool(ignored_by_git(tmp_path, [path.encode()])) is bool(expected)


# git 2.39 takes exponential time for these.
@pytest.mark.parametrize(
    "pattern, path, expected",
    [
        ("**/a/" * 30 + "b", "/".join("a" * 250), None),
        ("**/a/" * 30 + "b", "/".join("a" * 250 + "b"), True),
        ("**/*a*a/" * 30 + "b", "/".join(["aaaaaa"] * 250), None),
        ("**/*a*a/" * 30 + "b", "/".join(["aaaaaa"] * 250 + ["b"]), True),
        ("**/*a*a/" * 30 + "**", "/".join(["aaaaaa"] * 29), None),
        ("**/*a*a/" * 30 + "**", "/".join(["aaaaaa"] * 31), True),
        ("**/" + "a/" * 1000 + "b", "/".join("a" * 2000), None),
        ("**/" + "a/" * 1000 + "**/b", "/".join("a" * 2000), None),
        ("**/" + ("*" + "a" * 100 + "b/") * 16 + "**/c", "/".join(["a" * 200 + "b"] * 20), None),
    ],
)
def test_a_pattern_that_is_hostile_to_git_is_matched_quickly(pattern, path, expected):
    assert seconds_of(lambda: match(pattern, path)) < 0.1
    assert match(pattern, path) is expected


@pytest.mark.parametrize(
    "rule, path",
    [
        ("*.{}", "a/b/c/some-name.pyc"),
        ("/directory{}/**/*.pyc", "a/b/c/some-name.pyc"),
        ("*a*a*a*a*a*a*a*a*a*a*{}", "a" * 250),
        ("**/a/**/a/**/a/**/a/**/{}", "/".join("a" * 250)),
    ],
    ids=["name", "below a directory", "asterisks", "directories"],
)
def test_thousands_of_rules_are_matched_quickly(rule, path):
    patterns = Patterns([rule.format(n).encode() for n in range(3000)], "`ignores`")
    assert seconds_of(lambda: patterns.match(path.encode(), False)) < 0.1


def seconds_of(function):
    """Return CPU seconds, the minimum of several runs, because the machine is shared."""
    found = []
    for _ in range(3):
        begin = time.process_time()
        function()
        found.append(time.process_time() - begin)
    return min(found)


def test_a_pattern_has_a_maximum_length():
    assert match("a" * 4096, "a" * 4096) is True
    assert match("#" + "a" * 5000, "a") is None
    with pytest.raises(LayerError, match="`ignores` has a pattern that cannot be read: 'aaa.*: it is longer than 4096"):
        match("a" * 4097, "a")


def test_a_pathspec_that_translates_differently_is_refused(monkeypatch):
    monkeypatch.setattr(GitIgnoreSpecPattern, "pattern_to_regex", classmethod(lambda cls, pattern: (".*", True)))
    with pytest.raises(LayerError, match="the installed pathspec translates patterns .*; install pathspec 1.1.1"):
        match("a", "a")
