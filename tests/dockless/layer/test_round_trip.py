"""Other tools unpack a layer to the tree that it was built from."""

import json
import os
import shutil
import stat
import subprocess

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dockless.layer import LayerSpec, Source, build_layer
from dockless.layout.oci_layout import layout_files
from dockless.mutate.assemble import ImageLayer, assemble_image
from dockless.mutate.config_edit import ConfigEdit

NAMES = st.one_of(
    st.text(st.characters(blacklist_characters="/\0", blacklist_categories=("Cs",)), min_size=1, max_size=8),
    st.sampled_from(["a", "b", "-x", " ", "n" * 120, "é", "e\u0301", "back\\slash", "new\nline"]),
).filter(lambda name: name not in (".", "..") and not name.startswith(".wh.") and len(name.encode()) <= 255)
LEAVES = st.one_of(
    st.binary(max_size=700).map(lambda data: ("file", data, False)),
    st.binary(max_size=10).map(lambda data: ("file", data, True)),
    st.sampled_from([("link", "a"), ("link", "b/c"), ("link", "/etc/passwd"), ("link", "t" * 120), ("directory",)]),
)
TREES = st.recursive(
    st.dictionaries(NAMES, LEAVES, max_size=4),
    lambda children: st.dictionaries(NAMES, st.one_of(LEAVES, children), max_size=4),
    max_leaves=12,
)


def plant(tree: dict, directory: str) -> None:
    os.makedirs(directory, exist_ok=True)
    for name, node in tree.items():
        path = os.path.join(directory, name)
        if isinstance(node, dict):
            plant(node, path)
        elif node[0] == "directory":
            os.mkdir(path)
        elif node[0] == "link":
            os.symlink(node[1], path)
        else:
            with open(path, "wb") as file:
                file.write(node[1])
            os.chmod(path, 0o755 if node[2] else 0o644)


def facts(root: str) -> dict:
    found = {}
    for directory, directories, files in os.walk(os.fsencode(root)):
        for name in directories + files:
            path = os.path.join(directory, name)
            info = os.lstat(path)
            content = None
            if stat.S_ISLNK(info.st_mode):
                content = os.readlink(path)
            elif stat.S_ISREG(info.st_mode):
                with open(path, "rb") as file:
                    content = (file.read(), info.st_mode & 0o7777)
            found[os.path.relpath(path, os.fsencode(root))] = (stat.S_IFMT(info.st_mode), content)
    return found


def packed(tree: dict, directory, **fields):
    root, out = directory / "tree", directory / "out"
    for path in (root, out):
        shutil.rmtree(path, ignore_errors=True)
        path.mkdir()
    plant(tree, str(root))
    built = build_layer(LayerSpec((Source(str(root), "/w"),), **fields), str(out))
    return root, out / built.descriptor.digest.hex, built


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(TREES, st.sampled_from(["gzip", "gzip-single", "none"]), st.booleans())
def test_gnu_tar_unpacks_the_tree(tmp_path_factory, tree, compression, hardlinks):
    directory = tmp_path_factory.mktemp("gnu")
    root, blob, _ = packed(tree, directory, compression=compression, hardlinks=hardlinks)
    there = directory / "there"
    there.mkdir()
    flags = ["-z"] if compression != "none" else []
    subprocess.run(["tar", "-x", *flags, "-f", blob, "-C", there], check=True, capture_output=True)
    assert facts(str(there / "w")) == facts(str(root))


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(TREES)
def test_umoci_unpacks_the_tree(tmp_path_factory, tree):
    if not shutil.which("umoci"):
        assert os.environ.get("CI") != "true", "umoci is not installed"
        pytest.skip("NOT TESTED: umoci is not installed")
    directory = tmp_path_factory.mktemp("umoci")
    root, blob, built = packed(tree, directory)
    image = assemble_image(None, [ImageLayer(built.descriptor, built.diff_id)], ConfigEdit())
    layout = directory / "layout"
    named = image.descriptor._replace(annotations={"org.opencontainers.image.ref.name": "x"})
    for path, data in layout_files([named], image.documents).items():
        (layout / path).parent.mkdir(parents=True, exist_ok=True)
        (layout / path).write_bytes(data)
    shutil.copy(blob, layout / "blobs/sha256" / blob.name)
    bundle = directory / "bundle"
    subprocess.run(["umoci", "unpack", "--image", f"{layout}:x", bundle], check=True, capture_output=True)
    assert facts(str(bundle / "rootfs/w")) == facts(str(root))
    assert json.loads((bundle / "config.json").read_text())
