"""Images for the tests of remote caching and execution, their digests, and what must not be in a key of the cache."""

import random
from collections.abc import Iterable

from real_tools import ROOT, Checkout

HELLO = "testprojects/hello:image"
HELLO_DIGEST = "sha256:676a50b686169b83ad3f23df46f4b3681b6331c42bc250400cc81d7801f3b5b7"
SERVICE = "testprojects/service:image"
# The image contains a pex file, which depends on the version of pex: pants.2.17.toml pins the version.
SERVICE_DIGEST = "sha256:5c3f4f75e06fa324828c7154b9d0eb13c190d179d57c1cd402eb37d032c2d056"

# Pants writes files of this size and more into a sandbox as hard links to its store, where all have one mode.
LINKED = 524_288
FILES = {
    "below.bin": (LINKED - 1, 0o644),
    "at.bin": (LINKED, 0o644),
    "executable-below.bin": (LINKED - 1, 0o755),
    "executable-at.bin": (LINKED, 0o755),
    "large.bin": (1_000_000, 0o644),
}
BUILD = """
files(name="files", sources=["*.bin"])
image_layer(name="layer", dependencies=[":files"], directory="/srv")
container_image(name="image", layers=[":layer"])
container_image(name="archive", layers=[":layer"], output="oci-archive")

image_layer(name="lost-layer", inline_files={"/lost": "No service returns the blob of this layer."})
container_image(name="lost", layers=[":lost-layer"])
"""
SIZES_DIGEST = "sha256:4b94883c127abaf83585ca8c3a217716584f4bbc0845fe556e33e8235eb95695"


def add_sizes(checkout: Checkout) -> None:
    """Adds a package `sizes` with files below, at and above the size of hard links, executable and not."""
    directory = checkout.root / "sizes"
    directory.mkdir()
    (directory / "BUILD").write_text(BUILD)
    for name, (size, mode) in FILES.items():
        (directory / name).write_bytes(random.Random(name).randbytes(size))
        (directory / name).chmod(mode)


def digests(checkout: Checkout, paths: Iterable[str]) -> dict[str, str]:
    """Returns the digest of the image in each description under `dist`."""
    return {path: checkout.description(path)["digest"] for path in paths}


def machine_names(checkout: Checkout) -> list[str]:
    """Returns the paths of a machine that must not be in the key of a cached process."""
    venv = (ROOT / ".venv").resolve()
    return [
        str(checkout.root),
        checkout.env["HOME"],
        checkout.env["PANTS_LOCAL_EXECUTION_ROOT_DIR"],
        checkout.env["PANTS_NAMED_CACHES_DIR"],
        str(venv),
        str((venv / "bin/python").resolve().parent.parent),
    ]
