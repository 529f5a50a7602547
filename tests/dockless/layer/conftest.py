import io
import os
import tarfile

import pytest

from dockless.layer import BuiltLayer, LayerSpec, Source, build_layer
from dockless.tar.decompress import decompress


class Built:
    """A layer that was built, and its content."""

    def __init__(self, layer: BuiltLayer, path: str) -> None:
        self.layer = layer
        self.path = path

    @property
    def digest(self) -> str:
        return str(self.layer.descriptor.digest)

    @property
    def blob(self) -> bytes:
        with open(self.path, "rb") as file:
            return file.read()

    @property
    def tar(self) -> bytes:
        with open(self.path, "rb") as file:
            return b"".join(decompress(file, self.path))

    @property
    def members(self) -> dict:
        with tarfile.open(fileobj=io.BytesIO(self.tar), errors="surrogateescape") as tar:
            return {member.name: member for member in tar.getmembers()}

    @property
    def names(self) -> list:
        return list(self.members)

    def read(self, name: str) -> bytes:
        with tarfile.open(fileobj=io.BytesIO(self.tar), errors="surrogateescape") as tar:
            return tar.extractfile(name).read()


@pytest.fixture
def out(tmp_path):
    directory = tmp_path / "out"
    directory.mkdir()
    return directory


@pytest.fixture
def build(out):
    """`build(*sources, **fields)` builds a layer of sources (directory, destination) and other fields of the spec."""

    def run(*sources, threads=0, **fields) -> Built:
        made = tuple(s if isinstance(s, Source) else Source(str(s[0]), s[1]) for s in sources)
        before = set(os.listdir(out))
        layer = build_layer(LayerSpec(made, **fields), str(out), threads=threads)
        assert set(os.listdir(out)) == before | {layer.descriptor.digest.hex}
        return Built(layer, os.path.join(out, layer.descriptor.digest.hex))

    return run


@pytest.fixture
def tree(tmp_path):
    """`tree({"a/b": "text", "l": ("link", "a"), "d/": None})` creates a directory with files."""

    def make(files: dict, name: str = "tree"):
        root = tmp_path / name
        root.mkdir(exist_ok=True)
        for path, content in files.items():
            target = os.path.join(os.fsencode(root), os.fsencode(path))
            os.makedirs(os.path.dirname(target), exist_ok=True)
            if content is None:
                os.makedirs(target, exist_ok=True)
            elif isinstance(content, tuple):
                os.symlink(content[1], target)
            else:
                with open(target, "wb") as file:
                    file.write(content.encode() if isinstance(content, str) else content)
        return root

    return make
