"""Images in other processes."""

import copy
import os
import pickle
import subprocess
import sys
from pathlib import Path

from dockless import Credentials, Image, ImageIndex, InlineFile, Layer, RegistryAccess, verify_image
from dockless.testing import BasicAuth, Registry, User

SOURCES = Path(__file__).resolve().parents[3] / "src"
LOAD_AND_SAVE = """
import pickle, sys
image = pickle.load(sys.stdin.buffer)
print(image.save(sys.argv[1]).digest)
"""


def saved_elsewhere(data, destination):
    """Saves an image that is only known from its pickle, in another process. Returns its digest."""
    done = subprocess.run(
        [sys.executable, "-c", LOAD_AND_SAVE, destination],
        input=data,
        capture_output=True,
        env={**os.environ, "PYTHONPATH": str(SOURCES)},
        timeout=60,
        check=True,
    )
    return done.stdout.decode().strip()


def built(text=b"x"):
    return Image.scratch().add_layer(Layer.from_files({"/f": InlineFile(text)}))


def test_a_built_image_outlives_its_process(tmp_path):
    image = built()
    data, digest = pickle.dumps(image), image.digest
    (directory,) = (source.path for source in image._layer_sources.values())
    del image
    assert not os.path.exists(directory)
    assert saved_elsewhere(data, f"oci:{tmp_path}/l") == digest
    assert verify_image(f"oci:{tmp_path}/l").problems == ()


def test_an_index_and_images_that_share_layers(tmp_path):
    image = built()
    other = image.with_config(raw={"architecture": "arm64"})
    index = pickle.loads(pickle.dumps(ImageIndex([image, other])))
    assert len({source.path for each in index.images for source in each._layer_sources.values()}) == 1
    assert saved_elsewhere(pickle.dumps(index), f"oci:{tmp_path}/l") == index.digest


def test_an_image_of_a_registry(tmp_path):
    with Registry(auth=BasicAuth([User("me", "secret")])) as registry:
        access = RegistryAccess(credentials={registry.host: Credentials("me", "secret")}, insecure=True)
        image = built()
        image.save(f"{registry.host}/app:1", access=access)
        image = Image.load(f"{registry.host}/app:1", access=access).add_layer(Layer.from_files({"/g": InlineFile("y")}))
        assert saved_elsewhere(pickle.dumps(image), f"oci:{tmp_path}/l") == image.digest
    assert verify_image(f"oci:{tmp_path}/l").problems == ()


def test_an_access_in_use():
    with RegistryAccess(insecure=["localhost:5000"], jobs=2, auth_file="/x") as access:
        again = pickle.loads(pickle.dumps(access))
    with again:
        assert (again.jobs, again._insecure, again._auth_file) == (2, frozenset({"localhost:5000"}), "/x")


def test_copies_are_the_image_itself():
    image = built()
    assert copy.copy(image) is copy.deepcopy(image) is image
    assert pickle.loads(pickle.dumps(image)) == image
