"""Invalid BUILD files: each error is one line that names the target, the field and what to do.

All tests share one engine. Each target has its own directory.
"""

import json
import os

import pytest
from pants.core.goals.publish import PublishProcesses
from pants.engine.addresses import Address
from pants.engine.fs import DigestContents
from pants.util.frozendict import FrozenDict
from pants_backend import make_backend
from rows import case, row

from dockless.testing import Registry
from pants_dockless.goals.publish import PublishContainerImageFieldSet, PublishContainerImageRequest

PARTS = "write path components of a-z and 0-9, with single '.', '_', '__' or '-' inside, separated by '/'"
HOST = "write host or host:port, such as ghcr.io or localhost:5000"
TAG = "write 1 to 128 characters of A-Z a-z 0-9 _ . - and do not begin with . or -"
NO_PORT = "is not a port; write 1 to 65535 with /tcp, /udp or /sctp, as in 8080/tcp"
DICT = "must be a dictionary of string -> string, but was"
LIST = "must be an iterable of strings (e.g. a list of strings), but was"
PLATFORM = "write os/architecture, such as linux/amd64"
LARGE = "registries and runtimes accept at most 4194304"
NO_SECONDS = "is not a number of seconds; write a whole number of seconds since 1970, or 'SOURCE_DATE_EPOCH'"
ABSOLUTE = "is not absolute; begin the path with /"


@pytest.fixture(scope="module")
def backend():
    made = make_backend()
    made.write_files(
        {
            "app/f.txt": "f",
            "app/g.txt": "g",
            "app/.wh.x": "",
            "app/BUILD": """
file(name="f", source="f.txt")
file(name="g", source="g.txt")
file(name="missing", source="nothere.txt")
files(name="glob", sources=["*.nothere"])
file(name="whiteout", source=".wh.x")
file(name="absolute", source="absolute")
file(name="outside", source="outside")
container_image(name="image")
""",
        }
    )
    os.symlink("/etc/passwd", f"{made.build_root}/app/absolute")
    os.symlink("../../etc/hostname", f"{made.build_root}/app/outside")
    return made


@pytest.fixture
def packaged(backend, tmp_path):
    """packaged(fields) returns the files of an image with these fields, whose target is `NAME:image`."""

    def call(fields, kind="container_image"):
        text = f'{kind}(name="image", {fields})\n' if kind == "container_image" else ""
        if kind == "image_layer":
            text = f'image_layer(name="layer", {fields})\ncontainer_image(name="image", layers=[":layer"])\n'
        backend.write_files({f"{tmp_path.name}/BUILD": text})
        return backend.files(backend.package(f"{tmp_path.name}:image"))

    return call


@pytest.fixture
def refused(backend, packaged, tmp_path):
    """refused(fields) returns the error line, with the target replaced by TARGET and its directory by DIR."""

    def call(fields, kind="container_image"):
        line = backend.error_line(lambda: packaged(fields, kind))
        assert "\n" not in line and line.isprintable()
        assert not os.path.exists(f"{backend.build_root}/dist")
        name = "layer" if kind == "image_layer" else "image"
        return line.replace(f"{tmp_path.name}:{name}", "TARGET").replace(tmp_path.name, "DIR")

    return call


def spellings(raw):
    """Return the representations of a value in errors of Pants: as in the BUILD file or, in later releases, frozen."""
    if isinstance(raw, dict):
        return (raw, FrozenDict(raw))
    return (raw, tuple(raw)) if isinstance(raw, list) else (raw,)


def of_pants(field, must, raw):
    return tuple(
        f"DIR/BUILD:1: The '{field}' field in target TARGET {must} `{value!r}` with type `{type(value).__name__}`."
        for value in spellings(raw)
    )


IMAGES = [
    case(
        *("B01", "upper case", 'registries=["x.y"], repository="Acme/App"'),
        "TARGET: field `repository`: invalid repository 'Acme/App'; write it in lower case: acme/app",
    ),
    *(
        case(
            *("B02", text, f'registries=["x.y"], repository="{text}"'),
            f"TARGET: field `repository`: invalid repository {text!r}; {PARTS}",
        )
        for text in ("", "/", "a//b", "a/", "/a")
    ),
    *(
        case(
            *("B03", text, f'registries=["x.y"], repository="{text}"'),
            f"TARGET: field `repository`: invalid repository {text!r}; {PARTS}",
        )
        for text in ("a/../b", ".a", "a-", "a__b__", "a...b")
    ),
    case(
        *("B04", "url", 'registries=["https://x.y"]'),
        "TARGET: field `registries`: invalid registry 'https://x.y'; remove https://",
    ),
    case(
        *("B05", "userinfo", 'registries=["u:S3CR3T@x.y"]'),
        "TARGET: field `registries`: invalid registry 'x.y'; remove the user and password, and log in instead",
    ),
    *(
        case("B06", text, f'registries=["{text}"]', f"TARGET: field `registries`: invalid registry {text!r}; {HOST}")
        for text in ("x.y:0", "x.y:99999", "x.y:abc", "x.y:", "x.y/z", "")
    ),
    *(
        case(
            *("B10", text, f'registries=["x.y"], image_tags=["{text}"]'),
            f"TARGET: field `image_tags`: invalid tag {text!r}; {TAG}",
        )
        for text in ("", "latest ", ".x", "-x", "a/b", "a:b", "a" * 129)
    ),
    case(
        *("B24", "file", 'dependencies=["app:missing"]'),
        "The 'source' field in target app:missing must have 1 file, but it had 0 files.",
    ),
    case(
        *("B24", "glob", 'dependencies=["app:glob"]'),
        "TARGET: field `dependencies`: the target app:glob of the type `files` provides no file; depend on files, "
        "resources or a package such as pex_binary or archive",
    ),
    case("B27", "absolute", 'dependencies=["app:absolute"]', 'app/absolute": Absolute symlink: "/etc/passwd"'),
    case("B27", "outside", 'dependencies=["app:outside"]', "Globs may not traverse outside of the buildroot"),
    case(
        *("B30", "file and directory", 'contents={"/x": "app:f", "/x/y": "app:g"}'),
        "TARGET: /x is both a file and a directory: app:f provides a file or link with this path; app:g provides /x/y; "
        "use another path for one of them",
    ),
    case(
        *("B31", "two sources", 'contents={"/app/f.txt": "app:g"}, dependencies=["app:f"]'),
        "TARGET: two sources for /app/f.txt: app:f and app:g; remove one of the two sources, or use another path for "
        "it",
    ),
    *(
        case(
            "B32",
            f"contents {text}",
            f'contents={{"{text}": "app:f"}}',
            f"TARGET: field `contents`: the path {message}",
        )
        for text, message in (
            ("", f"'' {ABSOLUTE}"),
            ("a", f"'a' {ABSOLUTE}"),
            ("/a/../b", "'/a/../b' contains '..'; write the path without '..'"),
            ("/a\\0", r"'/a\x00' contains a NUL byte"),
        )
    ),
    *(
        case(
            *("B32", f"directory {text}", f'directory="{text}", dependencies=["app:f"]'),
            f"TARGET: field `directory`: the path {message}",
        )
        for text, message in (
            ("", f"'' {ABSOLUTE}"),
            ("srv", f"'srv' {ABSOLUTE}"),
            ("/..", "'/..' contains '..'; write the path without '..'"),
        )
    ),
    case(
        *("B33", "source", 'dependencies=["app:whiteout"]'),
        (
            "TARGET: app:whiteout: the name '.wh.x' starts with `.wh.` and would delete files of lower "
            "layers; rename the file, or use `whiteouts`"
        ),
    ),
    case("B38", "list", 'env=["A=b"]', of_pants("env", DICT, ["A=b"])),
    case("B38", "number", 'env={"A": 1}', of_pants("env", DICT, {"A": 1})),
    case(
        "B38",
        "no name",
        'env={"": "x"}',
        "TARGET: field `env`: the name of an environment variable is empty; write a name",
    ),
    case(
        *("B38", "=", 'env={"A=B": "x"}'),
        "TARGET: field `env`: the name of the environment variable 'A=B' contains '='; remove the '='",
    ),
    case("B38", "NUL", 'env={"A": "b\\0"}', "TARGET: field `env`: the value of A contains a NUL byte"),
    case("B39", "string", 'entrypoint="python"', of_pants("entrypoint", LIST, "python")),
    case("B39", "number", "entrypoint=[1]", of_pants("entrypoint", LIST, [1])),
    case("B39", "cmd", 'cmd="x"', of_pants("cmd", LIST, "x")),
    case(
        "B39",
        "no program",
        'entrypoint=[""]',
        "TARGET: field `entrypoint`: the name of the program is empty; write a name",
    ),
    case(
        *("B40", "space", 'user="a b"'),
        "TARGET: field `user`: 'a b' is not a user; write user, uid, user:group or uid:gid",
    ),
    case(
        *("B40", "number", 'user="4294967296"'),
        "TARGET: field `user`: 4294967296 is more than the largest ID, 4294967295",
    ),
    case("B40", "another digit", 'user="²"', "TARGET: field `user`: '²' is not an ID; write the digits 0 to 9"),
    case(
        *("B40", "digits", 'user="9" * 5000'),
        f"TARGET: field `user`: {'9' * 20}... is more than the largest ID, 4294967295",
    ),
    case("B32", "workdir", 'workdir="app"', f"TARGET: field `workdir`: the path 'app' {ABSOLUTE}"),
    case("B32", "volume", 'volumes=["data"]', f"TARGET: field `volumes`: the path 'data' {ABSOLUTE}"),
    case(
        *("B39", "healthcheck", 'healthcheck=["/app/x"]'),
        "TARGET: field `healthcheck`: the first item is '/app/x'; begin with CMD, CMD-SHELL or NONE",
    ),
    case(
        *("B38", "unset", 'env={"PATH": "$NOPE:/x"}'),
        r"TARGET: field `env`: $NOPE is not set in the base: the base sets no variable; write \$ for a dollar sign",
    ),
    case(
        *("B47", "layer to remove", f'remove_layers=["sha256:{"a" * 64}"]'),
        f"TARGET: field `remove_layers`: the image has no layer sha256:{'a' * 64} to remove: the image has no layers",
    ),
    case("B47", "no digest", 'remove_layers=["x"]', "TARGET: field `remove_layers`: invalid digest 'x'; "),
    case("B40", "no string", "user=1000", of_pants("user", "must be a string, but was", 1000)),
    *(
        case("B41", text, f'exposed_ports=["80", "{text}"]', f"TARGET: field `exposed_ports`: {text!r} {NO_PORT}")
        for text in ("0", "70000", "80/xyz", "")
    ),
    case("B41", "no string", "exposed_ports=[80]", of_pants("exposed_ports", LIST, [80])),
    case("B42", "no key", 'labels={"": "x"}', "TARGET: field `labels`: the name of a label is empty; write a name"),
    case("B42", "no string", 'labels={"a": 1}', of_pants("labels", DICT, {"a": 1})),
    case(
        "B42",
        "annotation",
        'annotations={"": "x"}',
        "TARGET: field `annotations`: the name of an annotation is empty; write a name",
    ),
    case(
        *("B42", "large", 'labels={"a": "x" * (4 << 20)}'),
        f"TARGET: the image's config would have 4194457 bytes: {LARGE}; shorten its labels and env",
    ),
    *(
        case("B43", text, f'platforms=["{text}"]', f"TARGET: field `platforms`: invalid platform {text!r}; {PLATFORM}")
        for text in ("linux", "linux/arm64/v8/x", "amd64")
    ),
    case(
        "B43",
        "unknown",
        'platforms=["linux/vax"]',
        "TARGET: field `platforms`: unknown platform 'linux/vax'; write os/",
    ),
    case(
        "B44",
        "twice",
        'platforms=["linux/amd64", "linux/x86_64"]',
        "TARGET: field `platforms`: duplicate platform linux/amd64; remove one of the two",
    ),
    case(
        *("B45", "annotations", 'annotations={"a": "x" * (4 << 20)}'),
        f"TARGET: the image's manifest would have 4194575 bytes: {LARGE}; shorten its annotations",
    ),
    case(
        *("B46", "misspelt", 'entripoint=["a"]'),
        tuple(
            f"DIR/BUILD:1: Unrecognized field `entripoint={value!r}` in target TARGET. Valid fields for the target "
            "type `container_image`: ['annotations', 'base', 'cmd', "
            for value in spellings(["a"])
        ),
    ),
    case(
        *("B47", "base", 'base="app:f"'),
        "TARGET: field `base`: the target app:f has the type `file`, not `container_image`; use the address of a "
        "base_image or a container_image, or a reference with a digest",
    ),
    case(
        *("B47", "generator", 'base="app:glob"'),
        "TARGET: field `base`: the target app:glob has the type `files`, not `container_image`; use the address of a ",
    ),
    case(
        *("B47", "layers", 'layers=["app:f"]'),
        "TARGET: field `layers`: the target app:f has the type `file`, not `image_layer`; move the address to "
        "`dependencies` of this target or of an image_layer",
    ),
    case(
        *("B47", "image", 'dependencies=["app:image"]'),
        "TARGET: field `dependencies`: the target app:image has the type `container_image`, which cannot be "
        "the content of a layer; use the addresses of the files and packages in the image",
    ),
    case(
        *("B47", "no directory", 'base="nothing:x"'),
        "The file or directory 'nothing' does not exist on disk in the workspace, so the address 'nothing:x' from the "
        "`base` from the target TARGET (for an image of a registry, use the address of a "
        "`base_image(reference='nothing:x')`) cannot be resolved.",
    ),
]
LAYERS = [
    *(
        case("B32", field, f"{field}={value}", f"TARGET: field `{field}`: the path 'usr/x' {ABSOLUTE}")
        for field, value in (
            ("symlinks", '{"usr/x": "/y"}'),
            ("inline_files", '{"usr/x": "y"}'),
            ("directories", '{"usr/x": "0755"}'),
            ("whiteouts", '["usr/x"]'),
        )
    ),
    case(
        *("B32", "root", 'whiteouts=["/"]'),
        "TARGET: field `whiteouts`: '/' is the root directory of the image; use paths below /",
    ),
    case(
        *("B28", "ignore file with a directory", 'ignore_files=["a/.dockerignore"], dependencies=["app:f"]'),
        "TARGET: field `ignore_files`: 'a/.dockerignore' is not the name of a file; write the name without a directory",
    ),
    case(
        *("B77", "zeros", 'compression="gzip:001", dependencies=["app:f"]'),
        "TARGET: field `compression`: gzip has no level '001'; write 1 to 12",
    ),
    case("B37", "negative", 'mtime=-1, dependencies=["app:f"]', f"TARGET: field `mtime`: '-1' {NO_SECONDS}"),
    case(
        "B37", "too late", 'mtime=2**40, dependencies=["app:f"]', "TARGET: field `mtime`: 1099511627776 is not a time; "
    ),
    case("B37", "now", 'mtime="now", dependencies=["app:f"]', f"TARGET: field `mtime`: 'now' {NO_SECONDS}"),
    case("B37", "text", 'mtime="abc", dependencies=["app:f"]', f"TARGET: field `mtime`: 'abc' {NO_SECONDS}"),
    case(
        *("B37", "unset", 'mtime="SOURCE_DATE_EPOCH", dependencies=["app:f"]'),
        "TARGET: field `mtime`: SOURCE_DATE_EPOCH is not set; set the variable to a number of seconds since 1970",
    ),
    case(
        *("B77", "unknown", 'compression="lzma", dependencies=["app:f"]'),
        "TARGET: field `compression`: 'lzma' is not a compression; write one of gzip, gzip-single, zstd, none",
    ),
    case(
        *("B77", "level", 'compression="gzip:99", dependencies=["app:f"]'),
        "TARGET: field `compression`: gzip has no level '99'; write 1 to 12",
    ),
    case(
        *("B33", "inline", 'inline_files={"/.wh.a": "x"}'),
        (
            "TARGET: field `inline_files`: the name '.wh.a' starts with `.wh.` and would delete files of lower "
            "layers; rename the file, or use `whiteouts`"
        ),
    ),
]


@pytest.mark.parametrize("fields, message", IMAGES)
def test_fields_of_images(refused, fields, message):
    line = refused(fields)
    assert any(text in line for text in (message if isinstance(message, tuple) else (message,)))
    assert "S3CR3T" not in line


@pytest.mark.parametrize("fields, message", LAYERS)
def test_fields_of_layers(refused, fields, message):
    assert refused(fields, "image_layer").startswith(message)


@pytest.mark.parametrize(
    "fields, key, value",
    [
        case("B38", "newline", 'env={"A": "x\\ny", "B": "=="}', "Env", ["A=x\ny", "B==="]),
        case("B39", "empty list", "entrypoint=[]", "Entrypoint", []),
        case("B40", "names", 'user="name:group"', "User", "name:group"),
        case(
            "B41", "range", 'exposed_ports=["80", "8000-8010/udp"]', "ExposedPorts", {"80/tcp": {}, "8000-8010/udp": {}}
        ),
        case("B42", "1 MB", 'labels={"a": "x" * 1000000}', "Labels", {"a": "x" * 1_000_000}),
    ],
)
def test_valid_config_values(packaged, tmp_path, fields, key, value):
    files = packaged(fields)
    metadata = json.loads(files[f"{tmp_path.name}/image.json"])
    config = json.loads(files[f"{tmp_path.name}/image/blobs/sha256/{metadata['config_digest'][7:]}"])
    assert config["config"] == {key: value}


@pytest.mark.parametrize(
    "fields, reference",
    [
        case("B07", "IPv6", 'registries=["[::1]:5000"]', "[::1]:5000/image:latest"),
        case("B08", "localhost", 'registries=["localhost"]', "localhost/image:latest"),
        case("B12", "twice", 'registries=["x.y", "X.y"], image_tags=["1", "1"]', "x.y/image:1"),
        case("B43", "upper case", 'registries=["x.y"], platforms=["Linux/AMD64"]', "x.y/image:latest"),
    ],
)
def test_valid_references(packaged, tmp_path, fields, reference):
    metadata = json.loads(packaged(fields)[f"{tmp_path.name}/image.json"])
    assert metadata["references"] == [reference]
    assert metadata["platforms"] == ["linux/amd64"]


@row("B09")
def test_no_default_registry(backend, packaged, tmp_path):
    packaged('repository="acme/app"')
    address = Address(tmp_path.name, target_name="image")
    request = PublishContainerImageRequest(
        PublishContainerImageFieldSet.create(backend.get_target(address)), (backend.package(str(address)),)
    )
    line = backend.error_line(lambda: backend.request(PublishProcesses, [request]))
    assert line == (
        f"{address}: field `registries`: no destination to publish to: the field names no registry, and no entry of "
        "[dockless.registries] has `default = true`; add a registry to the field or set `skip_push=True`"
    )


@row("B47")
def test_unknown_address(backend):
    backend.write_files({"b47/BUILD": 'container_image(name="image", base=":nothing")'})
    line = backend.error_line(lambda: backend.package("b47:image"))
    # The error of Pants has several lines.
    assert line.startswith("The address b47:nothing from the `base` from the target b47:image does not exist.\n")


@row("B48")
def test_cycle_of_bases(backend):
    backend.write_files(
        {
            "b48/BUILD": 'container_image(name="a", base=":b")\ncontainer_image(name="b", base=":a")\n'
            'container_image(name="self", base=":self")\n'
        }
    )
    for name in ("a", "self"):
        line = backend.error_line(lambda name=name: backend.package(f"b48:{name}"))
        assert line.startswith("The dependency graph contained a cycle:\n") and f"b48:{name}" in line


@row("B75")
def test_publish_does_not_read_dist(backend, packaged, tmp_path):
    """The pushed image comes from the store of Pants, so that the copy in dist may be changed or missing."""
    with Registry() as registry:
        _check_that_dist_is_not_read(backend, packaged, tmp_path, registry)


def _check_that_dist_is_not_read(backend, packaged, tmp_path, registry):
    packaged(f'registries=["{registry.host}"], dependencies=["app:f"]')
    address = Address(tmp_path.name, target_name="image")
    package = backend.package(str(address))
    request = PublishContainerImageRequest(
        PublishContainerImageFieldSet.create(backend.get_target(address)), (package,)
    )
    (published,) = backend.request(PublishProcesses, [request])
    assert not os.path.exists(f"{backend.build_root}/dist")
    sent = {
        file.path: file.content for file in backend.request(DigestContents, [published.process.process.input_digest])
    }
    built = {path.partition("/image/")[2]: data for path, data in backend.files(package).items() if "/blobs/" in path}
    assert len(built) == 3
    assert {path: data for path, data in sent.items() if path.startswith("blobs/")} == built
