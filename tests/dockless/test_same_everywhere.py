"""The library alone makes what the backend makes: the same image, on every interpreter that runs this test."""

from pathlib import Path

from dockless.layer import LayerSpec, Source, build_layer
from dockless.mutate.assemble import ImageLayer, assemble_image
from dockless.oci.image_config import ConfigEdit
from dockless.oci.platform import DEFAULT_PLATFORM

HELLO = Path(__file__).resolve().parents[2] / "testprojects/hello"
# The literal of tests/integration/test_hello.py, where Pants makes it.
DIGEST = "sha256:676a50b686169b83ad3f23df46f4b3681b6331c42bc250400cc81d7801f3b5b7"


def layer(name: str, destination: str, folder: Path) -> ImageLayer:
    spec = LayerSpec((Source(str(HELLO / name), f"{destination}/testprojects/hello/"),))
    built = build_layer(spec, str(folder))
    return ImageLayer(built.descriptor, built.diff_id)


def test_hello_has_the_digest_that_pants_gives_it(tmp_path):
    image = assemble_image(
        DEFAULT_PLATFORM,
        [layer("hello.ini", "/etc/hello", tmp_path), layer("hello.txt", "/srv", tmp_path)],
        ConfigEdit(env={"GREETING": "hello"}, labels={"org.opencontainers.image.title": "hello"}),
    )
    assert image.manifest.digest == DIGEST
