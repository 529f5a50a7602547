import gzip
import io
import json
import tarfile
from importlib.util import find_spec

import pytest
from pants.engine.addresses import Address, Addresses
from pants.engine.rules import QueryRule
from pants.engine.target import DependenciesRequest, SpecialCasedDependencies

from pants_dockless.util_rules import layer as layer_rules
from pants_dockless.util_rules import tools

FILES = {
    "app/main.py": "print(1)",
    "app/conf/a.ini": "a",
    "app/conf/b.ini": "b",
    "app/conf/.layerignore": "b.ini\n",
    "app/run.sh": "#!/bin/sh\n",
    "lib/x.txt": "x",
}
TARGETS = """
file(name="main", source="main.py")
files(name="conf", sources=["conf/*", "conf/.layerignore"])
file(name="run", source="run.sh")
archive(name="tar", format="tar", files=[":main"])
"""


@pytest.fixture
def layer(backend):
    """layer(fields) returns the members of the layer with these fields, by name."""

    def build(fields: str, more: str = "", options: tuple = ()) -> dict:
        backend.set_options(options, env_inherit={"PATH"}, env=build.env)
        text = (
            TARGETS + f'image_layer(name="layer", {fields})\ncontainer_image(name="image", layers=[":layer"])\n{more}'
        )
        backend.write_files({**FILES, "app/BUILD": text, "lib/BUILD": 'file(name="x", source="x.txt")'})
        files = backend.files(backend.package("app:image"))
        (metadata,) = json.loads(files["app/image.json"])["layers"]
        blob = files["app/image/blobs/sha256/" + metadata["digest"][7:]]
        build.media_type = metadata["media_type"]
        if not metadata["media_type"].endswith("gzip"):
            return {"blob": blob}
        with tarfile.open(fileobj=io.BytesIO(gzip.decompress(blob))) as tar:
            return {member.name: member for member in tar.getmembers()}

    build.env = {}
    return build


@pytest.mark.parametrize(
    "fields, warnings",
    [
        (
            'directory="/x", contents={"/run": ":run"}',
            [
                "app:layer: field `directory`: '/x' has no effect, because `dependencies` provide no file; for "
                "`contents`, write the directory in the path"
            ],
        ),
        (
            'dependencies=[":main", ":conf"], ignores=["*"]',
            ["app:layer: no file of app:conf, app:main is in the layer; check the ignore patterns"],
        ),
        ('dependencies=[":main", ":conf"], ignores=["*.ini"], directory="/x"', []),
    ],
)
def test_fields_without_effect_are_warnings(layer, caplog, fields, warnings):
    layer(fields)
    logged = [record.getMessage() for record in caplog.records if record.name.startswith("pants_dockless")]
    assert logged == warnings


def test_contents_sets_the_paths_of_files(layer):
    members = layer(
        'contents={"/usr/local/bin/serve": ":run", "/etc/app/": ":conf", "/opt/": ":tar", "/data/": "lib:x"}'
    )
    assert sorted(members) == [
        *("data", "data/x.txt", "etc/app", "etc/app/conf"),
        *("etc/app/conf/.layerignore", "etc/app/conf/a.ini", "etc/app/conf/b.ini"),
        *("opt/tar.tar", "usr/local/bin/serve"),
    ]


def test_contents_are_dependencies(backend):
    backend.write_files({**FILES, "app/BUILD": TARGETS + 'image_layer(name="layer", contents={"/a": ":main"})'})
    target = backend.get_target(Address("app", target_name="layer"))
    (field,) = [field for field in target.field_values.values() if isinstance(field, SpecialCasedDependencies)]
    assert field.to_unparsed_address_inputs().values == (":main",)
    assert DependenciesRequest and QueryRule and Addresses


def test_strip_prefix_keeps_paths_of_packages(layer):
    members = layer('dependencies=[":conf", ":tar"], strip_prefix="app/conf", directory="/srv/x"')
    assert sorted(members) == [
        *("srv/x", "srv/x/.layerignore", "srv/x/a.ini", "srv/x/app", "srv/x/app/tar.tar", "srv/x/b.ini"),
    ]


def test_ignore_patterns(layer):
    members = layer(
        'dependencies=[":conf", ":main"], ignores=["*.py"], ignore_files=[".layerignore"], keep_ignore_files=False'
    )
    assert sorted(members) == ["app", "app/conf", "app/conf/a.ini"]


def test_modes_owners_and_mtime(layer):
    members = layer(
        'dependencies=[":conf", ":run"], owner="7:8", owners={"a.ini": "1:2"}, mtime=1700000000,'
        'modes={"*.ini": "0600", "app/conf/a.ini": "0400"}'
    )
    facts = {name: (oct(m.mode), m.uid, m.gid, m.mtime) for name, m in members.items()}
    assert facts["app/conf/a.ini"] == ("0o400", 1, 2, 1700000000)
    assert facts["app/conf/b.ini"] == ("0o600", 7, 8, 1700000000)
    assert facts["app/run.sh"] == ("0o644", 7, 8, 1700000000)


def test_entries_without_source_files(layer):
    members = layer(
        'inline_files={"/etc/motd": "hi\\n"}, symlinks={"/usr/bin/x": "../lib/x"}, directories={"/tmp": "1777"},'
        'whiteouts=["/etc/passwd", "/opt/old/"], modes={"motd": "0600"}'
    )
    assert sorted(members) == ["etc/.wh.passwd", "etc/motd", "opt/old/.wh..wh..opq", "tmp", "usr/bin/x"]
    assert members["etc/motd"].mode == 0o600
    assert members["tmp"].mode == 0o1777
    assert members["usr/bin/x"].linkname == "../lib/x"


def test_source_date_epoch(layer, backend):
    layer.env["SOURCE_DATE_EPOCH"] = "86400"
    members = layer('dependencies=[":main"], mtime="SOURCE_DATE_EPOCH"')
    assert members["app/main.py"].mtime == 86400
    layer.env.clear()
    line = backend.error_line(lambda: layer('dependencies=[":main"], mtime="SOURCE_DATE_EPOCH"'))
    assert "app:layer: field `mtime`: SOURCE_DATE_EPOCH is not set" in line


@pytest.mark.parametrize(
    "name, suffix", [("zstd", "+zstd"), ("none", ".tar"), ("gzip-single", "+gzip"), ("gzip:6", "+gzip")]
)
def test_compression(layer, name, suffix):
    layer(f'dependencies=[":main"], compression="{name}"')
    assert layer.media_type.endswith(suffix)
    layer('dependencies=[":main"]', options=(f"--dockless-default-compression={name}",))
    assert layer.media_type.endswith(suffix)


@pytest.mark.parametrize(
    "name, package, module",
    [("zstd", "zstandard", "zstandard"), ("gzip-single", "zlib-ng", "zlib_ng"), ("gzip", "deflate", "deflate")],
)
def test_missing_compressor(layer, backend, monkeypatch, name, package, module):
    """A missing package, as `zstandard` on free-threaded CPython 3.14, affects only layers that require the package."""
    monkeypatch.setattr(
        tools, "find_spec", lambda import_name: None if import_name == module else find_spec(import_name)
    )
    line = backend.error_line(lambda: layer(f'dependencies=[":main"], compression="{name}"'))
    assert line.startswith(
        f"app:layer: field `compression`: {name} needs the package {package}, which is not installed"
    )
    assert "; install " in line
    assert layer('dependencies=[":main"], compression="none"')


def test_hardlinks(layer):
    more = 'inline_files={"/a": "same", "/b": "same"}'
    assert not any(member.islnk() for member in layer(more).values())
    assert layer(f"{more}, hardlinks=True")["b"].linkname == "a"


@pytest.mark.parametrize(
    "fields, message",
    [
        (
            'contents={"/a": ":conf"}',
            "app:layer: field `contents`: the path '/a' requires exactly one file, but :conf provides 3 files",
        ),
        ('contents={"/a": ":no_content"}', ":no_content"),
        ('contents={"/a": ":layer2"}', "app:layer: field `contents`: the target app:layer2 has the type `image_layer`"),
        ('contents={"/a/../b": ":main"}', "contains '..'"),
        ('dependencies=[":main"], strip_prefix="src"', "app:layer: field `strip_prefix`: no path begins with src/"),
        ('dependencies=[":conf", ":main"], strip_prefix="app/conf"', None),
        ('dependencies=[":main"], modes={"*.sh": "0755"}', "app:layer: field `modes`: '*.sh' matches nothing"),
        ('dependencies=[":main"], modes={"*": "9"}', "app:layer: field `modes`: '9' is not a mode"),
        ('dependencies=[":main"], owner="root"', "app:layer: field `owner`: 'root' is not an owner"),
        ('dependencies=[":main"], owners={"*": "1"}', "app:layer: field `owners`: '1' is not an owner"),
        ('dependencies=[":main"], compression="bzip2"', "app:layer: field `compression`: 'bzip2' is not a compression"),
        ('dependencies=[":main"], compression="gzip:99"', "app:layer: field `compression`: gzip has no level '99'"),
        ('compression="brotli"', "app:layer: field `compression`: 'brotli' is not a compression"),
        ('inline_files={"/%s": "x"}' % ("n" * 256), "has 256 bytes: the limit is 255"),
        ('symlinks={"/a": "../../x"}', "the symlink /a leaves the image"),
        ('inline_files={"/a/": "x"}', "app:layer: field `inline_files`: '/a/' is not the path of a file"),
        ('whiteouts=["/"]', "app:layer: field `whiteouts`: '/' is the root directory of the image"),
        ('mtime="yesterday"', "app:layer: field `mtime`"),
        ("mtime=-1", "app:layer: field `mtime`"),
        ('contents={"/app/main.py": ":run"}, dependencies=[":main"]', "two sources for /app/main.py"),
    ],
)
def test_invalid_layer_fields(layer, backend, fields, message):
    more = 'image_layer(name="layer2")'
    if message is None:
        assert "app/main.py" in layer(fields, more)
        return
    line = backend.error_line(lambda: layer(fields, more))
    assert message in line
    assert "\n" not in line.strip() or ":no_content" in message


def test_contents_must_be_a_dictionary(backend):
    backend.write_files({"app/BUILD": 'image_layer(name="layer", contents=["a"])'})
    assert "contents" in backend.error_line(lambda: backend.get_target(Address("app", target_name="layer")))


def test_contents_are_collected_concurrently(layer, monkeypatch):
    """Otherwise packages would be built one after the other."""
    events = []
    collect_entry = layer_rules.collect_entry

    async def recorded(field, path, address):
        events.append(("begin", path))
        contents = await collect_entry(field, path, address)
        events.append(("end", path))
        return contents

    monkeypatch.setattr(layer_rules, "collect_entry", recorded)
    layer('contents={"/a": ":tar", "/b": ":main"}')
    assert sorted(events[:2]) == [("begin", "/a"), ("begin", "/b")]


def test_the_environment_of_a_layer(backend):
    """A layer is built in the environment of its own target; an unknown environment is an error of Pants."""
    backend.write_files(
        {
            "BUILD": 'local_environment(name="here")\n',
            "app/f.txt": "f",
            "app/BUILD": """
file(name="f", source="f.txt")
image_layer(name="layer", dependencies=[":f"], environment="here")
image_layer(name="lost", dependencies=[":f"], environment="nowhere")
container_image(name="image", layers=[":layer"])
container_image(name="other", layers=[":lost"])
""",
        }
    )
    options = ["--environments-preview-names={'here': '//:here'}"]
    backend.set_options(options, env_inherit={"PATH"})
    assert len(backend.description("app:image")["layers"]) == 1
    assert "nowhere" in backend.error_line(lambda: backend.package("app:other"))
