import pytest

from dockless.errors import InvalidValueError
from dockless.mutate.index import assemble_index
from dockless.oci import media_types
from dockless.oci.platform import Platform


def test_one_manifest_a_platform_in_the_order_given(make_base):
    images = [make_base({"architecture": name}, docker=False) for name in ("arm64", "amd64")]
    index = assemble_index(images, annotations={"a": "b"})
    assert [child.digest for child in index.manifests] == [image.manifest.digest for image in images]
    assert [child.platform for child in index.manifests] == [Platform("linux", "arm64"), Platform("linux", "amd64")]
    assert index.json["annotations"] == {"a": "b"}
    assert index.media_type == media_types.OCI_INDEX


def test_docker_images_make_a_docker_list(make_base):
    images = [make_base({"architecture": name}) for name in ("arm64", "amd64")]
    assert assemble_index(images).media_type == media_types.DOCKER_INDEX
    assert assemble_index(images, image_format="oci").media_type == media_types.OCI_INDEX


def test_manifests_that_cannot_be_listed(make_base):
    arm = make_base({"architecture": "arm64"}, docker=False)
    with pytest.raises(InvalidValueError, match="two images are for linux/arm64"):
        assemble_index([make_base({"architecture": "aarch64", "variant": "v8"}), arm])
    with pytest.raises(InvalidValueError, match="has the format oci"):
        assemble_index([arm], image_format="docker")
    with pytest.raises(InvalidValueError, match="needs an image"):
        assemble_index([])
