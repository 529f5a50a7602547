"""B38 to B47, B74 and B77: configs, platforms and options of the command."""

import json

import pytest
from made_images import layout_of, make_image
from rows import case, row

from dockless.errors import InvalidValueError
from dockless.mutate.index import assemble_index

NOT_ABSOLUTE = "is not absolute; begin the path with /"
NO_PORT = "is not a port; write 1 to 65535 with /tcp, /udp or /sctp, as in 8080/tcp"
NO_USER = "is not a user; write user, uid, user:group or uid:gid"
NO_LIST = """is neither one word nor a JSON list of strings; write, for example, python or '["python", "-V"]'"""
NO_PLATFORM = "write os/architecture, such as linux/amd64"
NO_ARCHITECTURE = "write os/architecture in Go's names, such as linux/amd64 or linux/arm64"

WRONG = [
    case("B38", "no =", "--env", "PORT", "'PORT' has no '='; write NAME=VALUE"),
    case("B38", "no name", "--env", "=x", "'=x' has no name; write NAME=VALUE"),
    case("B38", "NUL", "--env", "A=b\0", "the value of A contains a NUL byte"),
    case("B38", "no UTF-8", "--env", "A=\udcff", "the value of A is not UTF-8"),
    case("B39", "no UTF-8", "--cmd", '["\udcff"]', "an argument is not UTF-8"),
    case("B42", "no UTF-8", "--label", "a=\udcff", "the value of a is not UTF-8"),
    case("B42", "annotation of no UTF-8", "--annotation", "a=\udcff", "the value of the annotation a is not UTF-8"),
    case("B38", "NUL in the name", "--env", "A\0=b", "the name of an environment variable contains a NUL byte"),
    *(
        case("B39", text, option, text, f"{text!r} {NO_LIST}")
        for option in ("--entrypoint", "--cmd")
        for text in ("python -V", '"python -V"', "[1]", '["a", null]', "{}", "null", "", "['python']")
    ),
    case("B39", "no program", "--entrypoint", '[""]', "the name of the program is empty; write a name"),
    case("B39", "NUL", "--entrypoint", r'["a\u0000"]', "an argument contains a NUL byte"),
    case("B40", "space", "--user", "a b", f"'a b' {NO_USER}"),
    case("B40", "empty", "--user", "", f"'' {NO_USER}"),
    case("B40", "three", "--user", "a:b:c", f"'a:b:c' {NO_USER}"),
    case("B40", "no group", "--user", "a:", f"'a:' {NO_USER}"),
    case("B40", "uid", "--user", "4294967296", "4294967296 is more than the largest ID, 4294967295"),
    case("B40", "gid", "--user", "1:99999999999", "99999999999 is more than the largest ID, 4294967295"),
    *(
        case("B41", text, "--expose", text, f"{text!r} {NO_PORT}")
        for text in ("0", "70000", "80/xyz", "", "80/", "/tcp", "http", "9000-8000", "8000-70000")
    ),
    case("B42", "no key", "--label", "=x", "'=x' has no name; write NAME=VALUE"),
    case("B42", "annotation", "--annotation", "=x", "'=x' has no name; write NAME=VALUE"),
    case("B42", "no =", "--label", "x", "'x' has no '='; write NAME=VALUE"),
    *(
        case("B43", text, "--platform", text, f"invalid platform {text!r}; {NO_PLATFORM}")
        for text in ("linux", "linux/arm64/v8/x", "amd64", "linux/", "/", "linux/amd64/", "linux/am d64", "linux//v8")
    ),
    *(
        case("B43", text, "--platform", text, f"unknown platform {text!r}; {NO_ARCHITECTURE}")
        for text in ("linux/nope", "beos/amd64", "amd64/linux")
    ),
    case(
        "B77",
        "unknown",
        "--compression",
        "lzma",
        "'lzma' is not a compression; write one of gzip, gzip-single, zstd, none",
    ),
    case("B77", "empty", "--compression", "", "'' is not a compression; write one of gzip, gzip-single, zstd, none"),
    case("B77", "level", "--compression", "gzip:99", "gzip has no level '99'; write 1 to 12"),
    case("B77", "no number", "--compression", "zstd:x", "zstd has no level 'x'; write 1 to 19"),
    case("B77", "no level", "--compression", "none:1", "none has no level '1'; write no level"),
    case("B77", "zeros", "--compression", "gzip:001", "gzip has no level '001'; write 1 to 12"),
    case("B77", "five digits", "--compression", "gzip:00013", "gzip has no level '00013'; write 1 to 12"),
    case("B40", "another digit", "--user", "²", "'²' is not an ID; write the digits 0 to 9"),
    case("B40", "digits", "--user", "9" * 5000, f"{'9' * 20}... is more than the largest ID, 4294967295"),
    case("B32", "relative whiteout", "--whiteout", "etc", f"the path 'etc' {NOT_ABSOLUTE}"),
    case("B32", "root", "--whiteout", "/", "'/' is the root directory of the image; use paths below /"),
    case(
        "B32",
        "whiteout that climbs",
        "--whiteout",
        "/a/..",
        "the path '/a/..' contains '..'; write the path without '..'",
    ),
    case("B32", "relative workdir", "--workdir", "app", f"the path 'app' {NOT_ABSOLUTE}"),
    case("B32", "relative volume", "--volume", "data", f"the path 'data' {NOT_ABSOLUTE}"),
    case(
        *("B28", "path", "--ignore-file", "a/.dockerignore"),
        "'a/.dockerignore' is not the name of a file; write the name without a directory, such as .dockerignore",
    ),
    case(
        *("B28", "pattern", "--ignore", "!"),
        "the value has a pattern that cannot be read: '!': nothing follows its '!'",
    ),
    case("B37", "owner", "--owner", "root", "'root' is not an owner; write uid:gid in digits, such as 1000:1000"),
    case("B40", "signal", "--stop-signal", "term", "'term' is not a signal; write a name such as SIGTERM, or a number"),
    *(
        case("B74", text, "--jobs", text, f"{text!r} is not a number from 1 to 64")
        for text in ("0", "-1", "65", "10000")
    ),
]
USAGE = "usage: dockless build --help"
WRONG_USAGE = [
    case("B74", "no number", ("--jobs", "abc"), f"argument --jobs: 'abc' is not a number from 1 to 64; {USAGE}"),
    case("B74", "no whole number", ("--jobs", "1.5"), f"argument --jobs: '1.5' is not a number from 1 to 64; {USAGE}"),
    case(
        *("B46", "misspelt", ("--entripoint", '["a"]')),
        f'unrecognized arguments: --entripoint ["a"] (did you mean --entrypoint?); {USAGE}',
    ),
    case(
        *("B46", "shortened", ("--platf=linux/amd64",)),
        f"unrecognized arguments: --platf=linux/amd64 (did you mean --platform?); {USAGE}",
    ),
    case("B46", "unknown", ("--zzz",), f"unrecognized arguments: --zzz; {USAGE}"),
    case("B46", "too many", ("more",), f"unrecognized arguments: more; {USAGE}"),
    case("B46", "no value", ("--user",), f"argument --user: expected one argument; {USAGE}"),
]


@pytest.mark.parametrize("option, value, message", WRONG)
def test_wrong_values(refused, registry, tmp_path, option, value, message):
    (tmp_path / "src").mkdir()
    error = f"dockless build: error: argument {option}: {message}; {USAGE}"
    for destination in ("oci:out", f"{registry.host}/wrong"):
        # With `=`, because a value may begin with `-`.
        assert refused("build", destination, "--add", "src:/a", f"{option}={value}", status=2) == error
    assert registry.requests == []


@row("B38")
def test_a_variable_that_the_base_does_not_set(refused):
    message = "invalid --env: $NOPE is not set in the base: the base sets no variable; write \\$ for a dollar sign"
    assert refused("build", "oci:out", "--env", "PATH=$NOPE:/x") == message


@pytest.mark.parametrize("arguments, message", WRONG_USAGE)
def test_wrong_usage(refused, registry, arguments, message):
    # The next argument is an option, because `refused` adds -q.
    assert refused("build", f"{registry.host}/wrong", *arguments, status=2) == f"dockless build: error: {message}"
    assert registry.requests == []


@row("B46")
def test_an_unknown_command(refused):
    line = refused("biuld", "oci:out", status=2)
    assert line.startswith("dockless: error: unknown command 'biuld' (did you mean build?); the commands are build, ")
    assert line.endswith("; usage: dockless --help")


RIGHT = [
    case("B38", "newline", ("--env", "A=x\ny"), "Env", ["A=x\ny"]),
    case("B38", "equals signs", ("--env", "A==b=c"), "Env", ["A==b=c"]),
    case("B38", "empty value", ("--env", "A="), "Env", ["A="]),
    case("B38", "the last one", ("--env", "A=1", "--env", "A=2"), "Env", ["A=2"]),
    case("B39", "empty list", ("--entrypoint", "[]"), "Entrypoint", []),
    case("B40", "names", ("--user", "name:group"), "User", "name:group"),
    case("B40", "largest", ("--user", "4294967295:0"), "User", "4294967295:0"),
    case(
        *("B41", "good", ("--expose", "80", "--expose", "80/tcp", "--expose", "53/udp", "--expose", "8000-8010")),
        *("ExposedPorts", {"80/tcp": {}, "53/udp": {}, "8000-8010/tcp": {}}),
    ),
    case("B42", "empty value", ("--label", "a="), "Labels", {"a": ""}),
    case("B42", "1 MB", ("--label", "a=" + "x" * 1_000_000), "Labels", {"a": "x" * 1_000_000}),
]


@pytest.mark.parametrize("arguments, key, value", RIGHT)
def test_values_that_are_kept_exactly(dockless, works, arguments, key, value):
    works("build", "oci:out", "--allow-empty", *arguments)
    assert json.loads(dockless("inspect", "oci:out", "--config").out)["config"] == {key: value}
    assert works("verify", "oci:out")["problems"] == []


@pytest.mark.parametrize(
    "text, platform",
    [
        case("B43", "upper case", "Linux/AMD64", "linux/amd64"),
        case("B43", "alias", "linux/x86_64", "linux/amd64"),
        case("B43", "another", "linux/aarch64", "linux/arm64"),
        case("B43", "v8", "linux/arm64/v8", "linux/arm64"),
        case("B43", "no variant", "linux/arm", "linux/arm/v7"),
    ],
)
def test_platforms_have_one_form(works, text, platform):
    assert works("build", "oci:out", "--allow-empty", "--platform", text)["platform"] == platform
    assert works("inspect", "oci:out")["platform"] == platform


@pytest.mark.parametrize(
    "option, document, large",
    [
        case("B45", "annotation", "--annotation", "manifest", "annotations"),
        case("B42", "label", "--label", "config", "labels and env"),
    ],
)
def test_documents_that_registries_refuse_are_not_made(refused, registry, option, document, large):
    for destination in (f"{registry.host}/large", "oci:out", "docker-archive:out.tar"):
        line = refused("build", destination, option, "a=" + "x" * (4 << 20))
        size = int(line.split("would have ")[1].split(" ")[0])
        assert 4 << 20 < size < (4 << 20) + 1000
        assert line == (
            f"the image's {document} would have {size} bytes: registries and runtimes accept at most 4194304; "
            f"shorten its {large}"
        )
    assert registry.requests == []


@row("B45")
def test_a_manifest_of_another_tool_that_is_too_large(refused, registry, tmp_path):
    image = make_image(b"x")
    raw = json.dumps({**image.manifest.json, "annotations": {"a": "x" * (4 << 20)}}).encode()
    root = image.manifest.descriptor._replace(digest=image.blobs.put(raw), size=len(raw))
    layout_of(tmp_path / "large", root, blobs=image.blobs)
    message = f"large: {root.digest} has {len(raw)} bytes: the limit is 4194304 bytes"
    assert refused("copy", "oci:large", f"{registry.host}/large") == message
    assert registry.requests == []


@row("B47")
def test_sources_that_are_not_images(refused, tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("hello")
    hint = "write a registry reference, oci:DIR[:TAG], oci-archive:FILE[:TAG] or docker-archive:FILE[:REF]"
    for source, message in {
        "oci:folder": "folder is not an OCI layout: cannot read folder/oci-layout: No such file or directory; "
        "check the path",
        "oci:file": "file is not an OCI layout: cannot read file/oci-layout: Not a directory; check the path",
        "oci-archive:file": "file is not a tar archive, or is truncated: the tar header at byte 0 is incomplete",
        "docker-archive:folder": "cannot read folder: Is a directory; check the path",
        "oci:": f"'oci:' has no valid path; {hint}",
        "dir:folder": f"unsupported location 'dir:folder'; {hint}",
    }.items():
        assert refused("build", "oci:out", "--base", source) == refused("copy", source, "oci:out") == message


@row("B44")
def test_two_images_of_one_platform_in_an_index():
    """Only the library creates an index of images."""
    one, two = make_image(b"one").documents, make_image(b"two").documents
    with pytest.raises(InvalidValueError) as caught:
        assemble_index([one, two])
    both = f"{one.manifest.digest} and {two.manifest.digest}"
    assert str(caught.value) == f"two images are for linux/amd64: {both}; give one image a platform"
