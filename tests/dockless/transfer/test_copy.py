import gzip
import json
import random
import tarfile
import threading
from contextlib import closing

import pytest
from made_images import Blobs, layout_of, make_image, tar_of

from dockless.errors import InvalidDocumentError, InvalidValueError, LayoutError, RegistryError
from dockless.image.image import Image
from dockless.layout.docker_archive_reader import DockerArchive
from dockless.layout.oci_layout import OciLayout
from dockless.layout.oci_layout_writer import write_layout
from dockless.oci import media_types
from dockless.oci.manifest import make_index
from dockless.registry import Credentials, RetryPolicy
from dockless.testing import BasicAuth, Registry, User
from dockless.transfer.copy import copy_image
from dockless.transfer.registry_access import RegistryAccess
from dockless.transfer.verify import verify_image


def operations(registry):
    return [request.operation for request in registry.requests]


def received(registry):
    return sum(request.received for request in registry.requests if request.operation.startswith("upload"))


@pytest.fixture
def many():
    """An index with two platforms and an attestation of buildkit."""
    blobs = Blobs()
    images = [make_image(name.encode(), architecture=name, blobs=blobs) for name in ("amd64", "arm64")]
    noise = make_image(b"attestation", blobs=blobs)
    children = [image.documents.descriptor for image in images]
    unknown = noise.manifest.descriptor._replace(
        platform=children[0].platform._replace(os="unknown", architecture="unknown")
    )
    index = make_index([*children, unknown])
    blobs.put(index.raw)
    return index, images, blobs


def test_pushes_a_layout_and_pulls_it_back(tmp_path, registry, image):
    layout = layout_of(tmp_path / "l", image.manifest.descriptor, blobs=image.blobs)
    pushed = copy_image(f"oci:{layout}", f"{registry.host}/app:1", tags=["2"])
    assert pushed.digest == image.manifest.digest
    assert pushed.references == (f"{registry.host}/app:1", f"{registry.host}/app:2")
    assert registry.manifest("app", "2").raw == image.manifest.raw
    assert (pushed.blobs_sent, pushed.bytes_sent) == (3, sum(map(len, image.blobs.values())) - len(image.manifest.raw))
    copy_image(f"{registry.host}/app:1", f"oci:{tmp_path}/back:v1")
    back = OciLayout(str(tmp_path / "back"))
    assert back.manifest(back.root("v1")) == image.manifest
    assert back.root("v1").platform.architecture == "amd64"


def test_a_second_copy_sends_nothing(registry, other, image, push):
    push(registry, "app", "1", image)
    copy_image(f"{registry.host}/app:1", f"{other.host}/app")
    other.reset_requests()
    again = copy_image(f"{registry.host}/app:1", f"{other.host}/app")
    assert (again.bytes_sent, received(other)) == (0, 0)
    assert set(operations(other)) - {"ping get"} == {"manifest get"}


def test_between_repositories_of_one_registry_layers_are_mounted(registry, image, push):
    push(registry, "team/a", "1", image)
    pushed = copy_image(f"{registry.host}/team/a:1", f"{registry.host}/team/b:1")
    assert (pushed.blobs_mounted, pushed.bytes_sent, received(registry)) == (3, 0, 0)
    assert registry.manifest("team/b", "1").raw == image.manifest.raw


def test_between_registries_with_two_users(tmp_path, image, push):
    def auth(name):
        return BasicAuth([User(name, f"{name}-password")])

    with Registry(auth=auth("a")) as one, Registry(auth=auth("b")) as two:
        push(one, "app", "1", image)
        credentials = {one.host: Credentials("a", "a-password"), two.host: Credentials("b", "b-password")}
        copy_image(f"{one.host}/app:1", f"{two.host}/app:1", access=RegistryAccess(credentials=credentials))
        assert two.manifest("app", "1").digest == image.manifest.digest
        sent = {r.headers["Authorization"] for r in two.requests} - {None}
        assert len(sent) == 1, "only the credentials of b may be sent to the second registry"


def test_credentials_for_two_projects_of_one_registry(image, push):
    users = [User("a", "pa"), User("b", "pb")]
    with Registry(auth=BasicAuth(users)) as registry:
        push(registry, "project-a/app", "1", image)
        credentials = {f"{registry.host}/project-{name}": Credentials(name, f"p{name}") for name in "ab"}
        copy_image(
            f"{registry.host}/project-a/app:1",
            f"{registry.host}/project-b/app",
            access=RegistryAccess(credentials=credentials),
        )
        assert registry.manifest("project-b/app", "latest").digest == image.manifest.digest


def test_credentials_must_name_their_registry():
    with pytest.raises(InvalidValueError, match="must be a mapping of registries to credentials"):
        RegistryAccess(credentials=Credentials("u", "p"))


def test_one_platform_or_all(tmp_path, registry, push, many):
    index, images, blobs = many
    layout = layout_of(tmp_path / "l", index.descriptor, blobs=blobs)
    pushed = copy_image(f"oci:{layout}", f"{registry.host}/app:arm", platform="linux/arm64/v8")
    assert pushed.digest == images[1].manifest.digest
    assert copy_image(f"oci:{layout}", f"{registry.host}/app:one").digest == images[0].manifest.digest
    everything = copy_image(f"oci:{layout}", f"{registry.host}/app:all", all_platforms=True)
    assert everything.digest == index.digest
    assert registry.manifest("app", "all").raw == index.raw
    copy_image(f"{registry.host}/app:all", f"oci-archive:{tmp_path}/a.tar:x", all_platforms=True)
    with closing(OciLayout.in_archive(str(tmp_path / "a.tar"))) as archive:
        assert archive.manifest(archive.root("x")) == index
        assert archive.open(images[1].manifest.layers[0]).read() == blobs[images[1].manifest.layers[0].digest]


def test_a_missing_platform(tmp_path, many, image):
    index, _, blobs = many
    layout = layout_of(tmp_path / "l", index.descriptor, blobs=blobs)
    with pytest.raises(InvalidDocumentError, match=r"no image for linux/riscv64: it has linux/amd64, linux/arm64$"):
        copy_image(f"oci:{layout}", f"oci:{tmp_path}/o", platform="linux/riscv64")
    single = layout_of(tmp_path / "s", image.manifest.descriptor, blobs=image.blobs)
    with pytest.raises(InvalidDocumentError, match="no image for linux/arm64: its platform is linux/amd64"):
        copy_image(f"oci:{single}", f"oci:{tmp_path}/o", platform="linux/arm64")
    assert not (tmp_path / "o").exists()


def test_the_only_platform_needs_no_name(tmp_path):
    image = make_image(b"x", architecture="s390x")
    index = make_index([image.documents.descriptor])
    image.blobs.put(index.raw)
    layout = layout_of(tmp_path / "l", index.descriptor, blobs=image.blobs)
    assert copy_image(f"oci:{layout}", f"oci:{tmp_path}/o").digest == image.manifest.digest


def test_indexes_of_indexes(tmp_path, image):
    inner = make_index([image.documents.descriptor])
    outer = make_index([inner.descriptor._replace(platform=image.documents.platform)])
    deep = outer
    for raw in (inner.raw, outer.raw):
        image.blobs.put(raw)
    for _ in range(6):
        deep = make_index([deep.descriptor])
        image.blobs.put(deep.raw)
    nested = layout_of(tmp_path / "n", outer.descriptor, blobs=image.blobs)
    assert copy_image(f"oci:{nested}", f"oci:{tmp_path}/o", all_platforms=True).digest == outer.digest
    assert copy_image(f"oci:{nested}", f"oci:{tmp_path}/q").digest == image.manifest.digest
    with pytest.raises(InvalidDocumentError, match="has no image for linux/arm64: it has no platform"):
        copy_image(f"oci:{nested}", f"oci:{tmp_path}/p", platform="linux/arm64")
    endless = layout_of(tmp_path / "e", deep.descriptor, blobs=image.blobs)
    with pytest.raises(InvalidDocumentError, match="nested in more than 4 indexes"):
        copy_image(f"oci:{endless}", f"oci:{tmp_path}/p", all_platforms=True)


def test_a_docker_archive_is_compressed_deterministically(tmp_path, registry):
    image = make_image(b"one" * 5000, b"two", docker=True)
    docker_archive(tmp_path / "a.tar", image)
    first = copy_image(f"docker-archive:{tmp_path}/a.tar", f"{registry.host}/app:1")
    second = copy_image(f"docker-archive:{tmp_path}/a.tar:app:1", f"oci:{tmp_path}/o:x")
    assert first.digest == second.digest
    found = json.loads(registry.manifest("app", "1").raw)
    assert found["config"]["digest"] == image.manifest.config.digest, "the image id is as it was"
    assert {layer["mediaType"] for layer in found["layers"]} == {media_types.DOCKER_LAYER_GZIP}
    assert gzip.decompress(registry.blob("app", found["layers"][1]["digest"])) == tar_of({"f1": b"two"})


def test_a_docker_archive_whose_layer_was_damaged(tmp_path, registry):
    image = make_image(b"one", docker=True)
    docker_archive(tmp_path / "a.tar", image)
    data = (tmp_path / "a.tar").read_bytes()
    (tmp_path / "a.tar").write_bytes(data.replace(b"one", b"eno"))
    with pytest.raises(LayoutError, match="is damaged: its digest is"):
        copy_image(f"docker-archive:{tmp_path}/a.tar", f"{registry.host}/app:1")
    assert registry.tags("app") == {}


def docker_archive(path, image):
    layers = {f"{n}.tar": gzip.decompress(image.blobs[x.digest]) for n, x in enumerate(image.manifest.layers)}
    listed = [{"Config": "c.json", "RepoTags": ["app:1"], "Layers": list(layers)}]
    files = {"manifest.json": json.dumps(listed).encode(), "c.json": image.documents.config_bytes, **layers}
    path.write_bytes(tar_of(files))


def test_to_a_docker_archive_with_tags(tmp_path, registry, image, push):
    push(registry, "app", "1", image)
    target = f"docker-archive:{tmp_path}/d.tar:acme/app:1"
    pushed = copy_image(f"{registry.host}/app:1", target, tags=["2"])
    with closing(DockerArchive(str(tmp_path / "d.tar"))) as archive:
        assert archive.names() == ["acme/app:1", "acme/app:2"]
    assert len(pushed.references) == 2
    with tarfile.open(tmp_path / "d.tar") as tar:
        assert "manifest.json" in tar.getnames()
    with pytest.raises(InvalidValueError, match="tags need an image name"):
        copy_image(f"{registry.host}/app:1", f"docker-archive:{tmp_path}/e.tar", tags=["2"])


def test_all_platforms_do_not_fit_a_docker_archive(tmp_path, many):
    index, _, blobs = many
    layout = layout_of(tmp_path / "l", index.descriptor, blobs=blobs)
    with pytest.raises(InvalidValueError, match="holds one platform"):
        copy_image(f"oci:{layout}", f"docker-archive:{tmp_path}/d.tar", all_platforms=True)


def test_to_a_digest(registry, other, image, push):
    push(registry, "app", "1", image)
    copy_image(f"{registry.host}/app:1", f"{other.host}/app@{image.manifest.digest}")
    assert other.tags("app") == {}
    with pytest.raises(InvalidValueError, match=f"the digest of the image is {image.manifest.digest}"):
        copy_image(f"{registry.host}/app:1", f"{other.host}/app@{image.manifest.config.digest}")


@pytest.mark.parametrize("jobs", [1, 2, 4])
def test_within_a_registry_without_mounts(jobs, tmp_path, push):
    """Uploads read from the same registry at the same time, which must not deadlock when all connections are in use."""
    from dockless.testing import PROFILES, Fault

    image = make_image(*(random.Random(n).randbytes(100_000) for n in range(6)))
    with Registry(profile=PROFILES["strict"]._replace(mount=False, mount_without_from="upload")) as registry:
        push(registry, "app", "1", image)
        registry.faults = [Fault(on="blob get", nth=(2, 5), response_bytes=50_000, drop=True)]
        result = []

        def work():
            access = RegistryAccess(jobs=jobs)
            result.append(copy_image(f"{registry.host}/app:1", f"{registry.host}/other:1", access=access))

        copying = threading.Thread(target=work, daemon=True)
        copying.start()
        copying.join(60)
        assert [found.blobs_sent for found in result] == [7]
        assert registry.manifest("other", "1").raw == image.manifest.raw


def test_force_upload_sends_existing_blobs(registry, other, image, push):
    push(registry, "app", "1", image)
    push(other, "app", "1", image)
    pushed = copy_image(f"{registry.host}/app:1", f"{other.host}/app:1", force_upload=True)
    assert pushed.blobs_sent == 3


def test_a_pinned_digest_is_verified(registry, image, push):
    push(registry, "app", "1", image)
    with pytest.raises(RegistryError, match=r"404|MANIFEST_UNKNOWN|not known|unknown"):
        copy_image(f"{registry.host}/app@{image.manifest.config.digest}", "oci:/nonexistent/x")


def test_a_damaged_layer_is_not_tagged(tmp_path, registry, image, push):
    push(registry, "app", "1", image)
    from dockless.testing import Fault

    registry.faults = [Fault(on="blob get", corrupt=10)]
    with pytest.raises((RegistryError, LayoutError), match="damaged"):
        copy_image(f"{registry.host}/app:1", f"oci:{tmp_path}/o")
    assert list(tmp_path.iterdir()) == []


def test_a_layer_corrupted_in_transit_is_read_again(tmp_path, registry, push):
    from dockless.testing import Fault

    image = make_image(random.Random(1).randbytes(3_000_000))
    push(registry, "app", "1", image)
    (layer,) = image.manifest.layers
    for kind in ("oci", "oci-archive"):
        registry.faults = [Fault(on="blob get", nth=1, reference=layer.digest, corrupt=2_000_000)]
        events = []
        where = f"{kind}:{tmp_path}/{kind}"
        copied = copy_image(f"{registry.host}/app:1", where, progress=events.append)
        assert copied.digest == image.manifest.digest
        assert sum(event.bytes for event in events if event.descriptor.digest == layer.digest) == layer.size
        assert verify_image(where).problems == ()


@pytest.mark.parametrize("at", [5, 20, 1_000_000, 2_999_000, 3_000_915])
def test_a_layer_corrupted_on_the_way_to_a_docker_archive_is_read_again(tmp_path, registry, push, at):
    from dockless.testing import Fault

    image = make_image(random.Random(1).randbytes(3_000_000))
    push(registry, "app", "1", image)
    (layer,) = image.manifest.layers
    where = f"docker-archive:{tmp_path}/a.tar:app:1"
    copy_image(f"{registry.host}/app:1", where)
    right = (tmp_path / "a.tar").read_bytes()
    registry.faults = [Fault(on="blob get", nth=1, reference=layer.digest, corrupt=at)]
    copy_image(f"{registry.host}/app:1", where)
    assert (tmp_path / "a.tar").read_bytes() == right
    registry.faults = [Fault(on="blob get", reference=layer.digest, corrupt=at)]
    with pytest.raises(RegistryError, match="is damaged: its digest is"):
        copy_image(f"{registry.host}/app:1", where)
    assert (tmp_path / "a.tar").read_bytes() == right


def test_a_layer_corrupted_in_transit_is_read_again_to_be_compressed_or_verified(tmp_path, registry, push):
    from dockless.testing import Fault

    image = make_image(random.Random(1).randbytes(3_000_000), compress=False)
    push(registry, "app", "1", image)
    (layer,) = image.manifest.layers
    fault = Fault(on="blob get", nth=1, reference=layer.digest, corrupt=2_000_000)
    registry.faults = [fault]
    compressed = Image.from_registry(f"{registry.host}/app:1").with_compressed_layers()
    assert compressed.layers[0].descriptor.media_type.endswith("+gzip")
    registry.faults = [fault]
    events = []
    assert verify_image(f"{registry.host}/app:1", progress=events.append).problems == ()
    assert sum(event.bytes for event in events) == layer.size
    registry.faults = [Fault(on="blob get", reference=layer.digest, corrupt=2_000_000)]
    assert "is damaged" in str(verify_image(f"{registry.host}/app:1").problems)


@pytest.mark.parametrize("size", [20_000, 100_000, 3_000_000])
def test_a_docker_archive_of_random_bytes(tmp_path, registry, size):
    """Jars, wheels and pictures are incompressible."""
    image = make_image(random.Random(2).randbytes(size))
    where = f"docker-archive:{tmp_path}/a.tar"
    write_layout(str(tmp_path / "l"), [image.manifest.descriptor], image.all_blobs, image.blobs)
    copy_image(f"oci:{tmp_path}/l", where)
    copy_image(where, f"oci:{tmp_path}/o")
    assert verify_image(f"oci:{tmp_path}/o").problems == ()
    pushed = copy_image(where, f"{registry.host}/app:1")
    assert verify_image(f"{registry.host}/app@{pushed.digest}").problems == ()


@pytest.mark.parametrize("status, most", [(500, 3), (404, 2), (403, 2)])
def test_retries_of_a_source_are_not_multiplied(registry, other, image, push, status, most):
    """The reader of the source has retried already. Three times three would be nine attempts."""
    from dockless.testing import Fault

    push(registry, "app", "1", image)
    layer = image.manifest.layers[0]
    registry.faults = [Fault("blob get", reference=layer.digest, status=status)]
    registry.reset_requests()
    with pytest.raises(RegistryError, match=f"GET .*{layer.digest}.*: {status}"):
        access = RegistryAccess(retry=RetryPolicy(attempts=3, base=0.001))
        copy_image(f"{registry.host}/app:1", f"{other.host}/app:1", access=access)
    reads = [r for r in registry.requests if r.operation == "blob get" and r.reference == layer.digest]
    assert len(reads) == most
    uploads = [request for request in other.requests if request.operation == "upload post"]
    assert len(uploads) <= len(image.manifest.layers) + 1
    assert other.tags("app") == {} if "app" in other.repositories() else True


def test_an_artifact_is_copied_unchanged(tmp_path, registry, other):
    blobs = Blobs()
    config, layer = blobs.put(b"{}"), blobs.put(b"chart")
    raw = json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": media_types.OCI_MANIFEST,
            "config": {"mediaType": "application/vnd.cncf.helm.config.v1+json", "digest": config, "size": 2},
            "layers": [
                {"mediaType": "application/vnd.cncf.helm.chart.content.v1.tar+gzip", "digest": layer, "size": 5}
            ],
        }
    ).encode()
    registry.put_blob("chart", b"{}")
    registry.put_blob("chart", b"chart")
    registry.put_manifest("chart", raw, media_types.OCI_MANIFEST, "1")
    copy_image(f"{registry.host}/chart:1", f"{other.host}/chart:1")
    assert other.manifest("chart", "1").raw == raw
    copy_image(f"{registry.host}/chart:1", f"oci:{tmp_path}/o:1")
    assert OciLayout(str(tmp_path / "o")).root("1").digest == other.manifest("chart", "1").digest


def allow(web):
    """Returns an access whose user names the web server: URLs of this machine are refused for all other hosts."""
    return RegistryAccess(insecure_hosts=[host_of(web)])


def host_of(web):
    return web.url.partition("://")[2]


class TestForeignLayers:
    @pytest.fixture
    def foreign(self, registry, push, web):
        image = make_image(b"windows", b"own", urls=[f"{web.url}/gone", f"{web.url}/layer"])
        push(registry, "win", "1", image)
        web.files["/layer"] = image.blobs[image.manifest.layers[0].digest]
        return image

    def test_copied_from_the_second_url_with_no_credentials(self, registry, other, foreign, web):
        pushed = copy_image(f"{registry.host}/win:1", f"{other.host}/win:1", access=allow(web))
        layer = foreign.manifest.layers[0]
        assert other.blob("win", layer.digest) == foreign.blobs[layer.digest]
        assert [path for path, _ in web.requests] == ["/gone", "/layer"]
        assert not any("Authorization" in headers for _, headers in web.requests)
        assert pushed.digest == foreign.manifest.digest, "the urls stay in the manifest"
        assert pushed.blobs_sent == 3

    def test_not_copied_with_the_option(self, registry, other, foreign, web, tmp_path):
        copy_image(f"{registry.host}/win:1", f"{other.host}/win:1", keep_foreign_layers=True, access=allow(web))
        assert web.requests == []
        assert foreign.manifest.layers[0].digest not in other.blobs("win")
        copy_image(f"{registry.host}/win:1", f"oci:{tmp_path}/o", keep_foreign_layers=True, access=allow(web))
        assert web.requests == []

    def test_from_the_registry_if_it_has_them(self, registry, other, foreign, web):
        registry.put_blob("win", foreign.blobs[foreign.manifest.layers[0].digest])
        copy_image(f"{registry.host}/win:1", f"{other.host}/win:1", access=allow(web))
        assert web.requests == []

    def test_a_redirect_is_followed_and_a_loop_is_not(self, registry, other, foreign, web):
        web.files["/gone"] = f"{web.url}/gone"
        web.files["/real"] = web.files["/layer"]
        web.files["/layer"] = "/real"
        copy_image(f"{registry.host}/win:1", f"{other.host}/win:1", access=allow(web))
        assert foreign.manifest.layers[0].digest in other.blobs("win")

    def test_wrong_content_is_refused(self, registry, other, foreign, web):
        web.files["/layer"] = b"x" * foreign.manifest.layers[0].size
        with pytest.raises((RegistryError, LayoutError)):
            copy_image(f"{registry.host}/win:1", f"{other.host}/win:1", access=allow(web))
        assert "win" not in other.repositories() or other.tags("win") == {}

    def test_the_error_names_each_url_that_was_tried(self, registry, other, foreign, web):
        del web.files["/layer"]
        with pytest.raises(
            RegistryError,
            match=r"cannot download .*gone returned status 404; .*layer returned status 404",
        ):
            copy_image(f"{registry.host}/win:1", f"{other.host}/win:1", access=allow(web))

    @pytest.mark.parametrize("access", [{}, {"insecure": True}, {"insecure_hosts": ["127.0.0.1:1", "localhost"]}])
    def test_another_port_of_this_machine_must_be_named(self, registry, other, foreign, web, access):
        """The author of the image chose the URL. That the registry is on this machine, too, does not matter."""
        with pytest.raises(RegistryError, match="layer' is an address in a private network.*`--insecure-registry`"):
            copy_image(f"{registry.host}/win:1", f"{other.host}/win:1", access=RegistryAccess(**access))
        assert web.requests == []

    def test_a_redirect_to_another_port_of_this_machine(self, registry, other, foreign, web):
        web.files["/layer"] = f"http://{other.host}/v2/"
        with pytest.raises(RegistryError, match="an address in a private network"):
            copy_image(f"{registry.host}/win:1", f"{other.host}/win:1", access=allow(web))

    def test_a_docker_archive_contains_them(self, registry, foreign, web, tmp_path):
        archive = f"docker-archive:{tmp_path}/d.tar"
        copy_image(f"{registry.host}/win:1", archive, keep_foreign_layers=True, access=allow(web))
        with closing(DockerArchive(str(tmp_path / "d.tar"))) as archive:
            assert len(archive.image().layers) == 2
