"""Images with bases, with real Pants: locked with a network, packaged without one, published with mounts and copies."""

import json
import shutil

import pytest
from pants_command import registries_option
from pants_output import ONLY_DOCKLESS
from real_tools import need, run

BUILD = """
base_image(name="base", reference="{host}/base/tools:1", platforms=["linux/amd64"])
base_image(name="multi", reference="{host}/base/multi:1", platforms=["linux/amd64", "linux/arm64"])
file(name="text", source="hello.txt")
container_image(
    name="image",
    base=":base",
    dependencies=[":text"],
    contents={{"/usr/bin/hello.txt": ":text", "/tmp/hello.txt": ":text"}},
    directory="/srv",
    env={{"GREETING": "hi", "PATH": "/srv/bin:/bin"}},
    cmd=["/bin/busybox", "sh", "-c", "echo $GREETING; busybox cat /srv/web/hello.txt; busybox ls -ld /tmp /bin"],
    repository="app/web",
)
container_image(name="above", base=":image", labels={{"k": "v"}}, repository="app/above")
container_image(name="loadable", base=":base", dependencies=[":text"], output="docker-archive", registries=[])
container_image(name="whole", base=":base", dependencies=[":text"], include_base_layers=True)
container_image(
    name="many", base=":multi", dependencies=[":text"], platforms=["linux/amd64", "linux/arm64"], repository="app/many"
)
"""

HERE = ("web:image", "web:above", "web:many")


@pytest.fixture(scope="module")
def checkout(checkout):
    """Pants without the Python backend, which only the targets of testprojects/service need."""
    shutil.rmtree(checkout.root / "testprojects/service")
    checkout.env.update(ONLY_DOCKLESS)
    return checkout


@pytest.fixture(scope="module")
def base_layouts(tmp_path_factory):
    """Two images of Debian's static busybox, made by umoci. The one for arm64 has only the label of that platform."""
    need("umoci", "skopeo", "busybox")
    directory = tmp_path_factory.mktemp("bases")
    root = directory / "root"
    # As on Debian, /bin is a symlink to /usr/bin.
    (root / "usr/bin").mkdir(parents=True)
    (root / "bin").symlink_to("usr/bin")
    shutil.copy(shutil.which("busybox"), root / "usr/bin/busybox")
    (root / "tmp").mkdir()
    (root / "tmp").chmod(0o1777)
    layout = directory / "layout"
    run("umoci", "init", "--layout", layout)
    for architecture in ("amd64", "arm64"):
        image = f"{layout}:{architecture}"
        run("umoci", "new", "--image", image)
        run("umoci", "insert", "--image", image, root, "/")
        run("umoci", "config", "--image", image, "--os=linux", f"--architecture={architecture}")
        run("umoci", "config", "--image", image, "--config.env=PATH=/bin", "--config.env=BASE=yes")
    return layout


@pytest.fixture
def bases(base_layouts, docker_registry):
    """A registry with the bases."""
    host = docker_registry.host
    to = ("skopeo", "copy", "--dest-tls-verify=false")
    run(*to, f"oci:{base_layouts}:amd64", f"docker://{host}/base/tools:1")
    children = []
    for architecture in ("amd64", "arm64"):
        reference = f"docker://{host}/base/multi:{architecture}"
        run(*to, f"oci:{base_layouts}:{architecture}", reference)
        raw = run("skopeo", "inspect", "--raw", "--tls-verify=false", reference).out.encode()
        digest = run("skopeo", "manifest-digest", _file(base_layouts.parent, raw)).out.strip()
        children.append(
            {
                "mediaType": "application/vnd.oci.image.manifest.v1+json",
                "digest": digest,
                "size": len(raw),
                "platform": {"os": "linux", "architecture": architecture},
            }
        )
    index = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": children,
    }
    import requests

    put = requests.put(
        f"http://{host}/v2/base/multi/manifests/1",
        data=json.dumps(index),
        headers={"Content-Type": index["mediaType"]},
        timeout=10,
    )
    assert put.status_code == 201, put.text
    return docker_registry


def _file(directory, data: bytes):
    path = directory / "raw.json"
    path.write_bytes(data)
    return path


@pytest.fixture
def web(checkout, bases):
    """The checkout with targets that use the bases, after an update of the lockfile."""
    directory = checkout.root / "web"
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir()
    (directory / "hello.txt").write_text("hello\n")
    (directory / "BUILD").write_text(BUILD.format(host=bases.host))
    (checkout.root / "base_images.lock").unlink(missing_ok=True)
    return checkout


def lock(checkout, *options: str, ok: bool = True):
    return checkout.pants(*options, "generate-lockfiles", "--resolve=base-images", ok=ok)


def uploads(registry) -> list:
    return [r for r in registry.requests() if r.split()[0] in ("PUT", "PATCH") and "/blobs/uploads/" in r]


def test_locked_packaged_offline_published_and_run(web, bases, podman):
    missing = web.pants("package", "web:image", ok=False)
    assert missing.code != 0
    assert "web:image: field `base`: the file base_images.lock does not exist; run" in missing.err
    assert "run `pants generate-lockfiles --resolve=base-images`" in missing.err

    lock(web)
    pinned = (web.root / "base_images.lock").read_bytes()
    assert len(pinned) < 20_000
    lock(web)
    assert (web.root / "base_images.lock").read_bytes() == pinned

    bases.forget()
    web.pants("package", *HERE, offline=True)
    assert bases.requests() == []
    description = web.description("web/image.json")
    assert [("source" in layer) for layer in description["layers"]] == [True, False]
    assert not (web.root / "dist/web/image/blobs/sha256" / description["layers"][0]["digest"][7:]).exists()

    web.pants(registries_option(bases.host), "publish", *HERE)
    requests = bases.requests()
    base_layer = description["layers"][0]["digest"]
    assert not [r for r in uploads(bases) if base_layer in r], "a base layer was sent"
    assert [r for r in requests if r.startswith("POST") and f"mount={base_layer}" in r]

    reference = f"{bases.host}/app/web:latest"
    found = json.loads(run("skopeo", "inspect", "--tls-verify=false", f"docker://{reference}").out)
    assert found["Digest"] == description["digest"]
    assert found["Env"] == ["PATH=/srv/bin:/bin", "BASE=yes", "GREETING=hi"]
    manifest = json.loads(run("skopeo", "inspect", "--raw", "--tls-verify=false", f"docker://{reference}").out)
    assert manifest["annotations"]["org.opencontainers.image.base.name"] == f"{bases.host}/base/tools:1"
    ran = podman("run", "--rm", "--tls-verify=false", reference).out.splitlines()
    assert ran[:2] == ["hi", "hello"]
    # The /tmp of the base keeps its sticky bit, and the symlink /bin is not replaced by a directory.
    listed = {line.split()[8]: line for line in ran[2:]}
    assert listed["/tmp"].startswith("drwxrwxrwt")
    assert listed["/bin"].startswith("l") and listed["/bin"].endswith("-> usr/bin")
    assert (
        podman("run", "--rm", "--tls-verify=false", reference, "/bin/busybox", "cat", "/bin/hello.txt").out == "hello\n"
    )

    for architecture in ("amd64", "arm64"):
        one = ("skopeo", f"--override-arch={architecture}", "inspect", "--tls-verify=false")
        found = json.loads(run(*one, f"docker://{bases.host}/app/many:latest").out)
        assert found["Architecture"] == architecture
    many = f"{bases.host}/app/many:latest"
    ran = podman("run", "--rm", "--tls-verify=false", many, "/bin/busybox", "cat", "/web/hello.txt")
    assert ran.out == "hello\n"


def test_another_registry_gets_each_missing_layer_once(web, bases, locked_registry, tmp_path):
    lock(web)
    web.pants("package", "web:image")
    base_layer = web.description("web/image.json")["layers"][0]["digest"]
    import base64

    (tmp_path / "config").mkdir()
    auth = base64.b64encode(b"alice:s3cret").decode()
    (tmp_path / "config/config.json").write_text(json.dumps({"auths": {locked_registry.host: {"auth": auth}}}))
    env = {"DOCKER_CONFIG": str(tmp_path / "config")}
    web.pants(registries_option(locked_registry.host), "publish", "web:image", **env)
    assert len([r for r in uploads(locked_registry) if base_layer in r]) == 1
    locked_registry.forget()
    bases.forget()
    web.pants(registries_option(locked_registry.host), "publish", "web:image", **env)
    assert not uploads(locked_registry)
    assert not [r for r in bases.requests() if "/blobs/" in r]


def test_archives_and_complete_layouts_contain_the_base(web, bases, podman):
    lock(web)
    bases.forget()
    web.pants("package", "web:loadable", "web:whole")
    description = web.description("web/whole.json")
    fetched = [r for r in bases.requests() if r.startswith("GET") and "/blobs/" in r]
    assert len([r for r in fetched if description["layers"][0]["digest"] in r]) <= 2
    for layer in description["layers"]:
        assert (web.root / "dist/web/whole/blobs/sha256" / layer["digest"][7:]).stat().st_size == layer["size"]
    loaded = podman("load", "--input", web.root / "dist/web/loadable.tar").out.split()[-1]
    assert loaded.endswith("/loadable:latest")
    ran = podman("run", "--rm", loaded, "/bin/busybox", "cat", "/web/hello.txt")
    assert ran.out == "hello\n"
    bases.forget()
    shutil.rmtree(web.root / "dist")
    # Another option of the scheduler: nothing is in the memory of the daemon.
    web.pants("--process-execution-local-parallelism=3", "package", "web:whole")
    assert not [r for r in bases.requests() if "/blobs/" in r], "a base layer was fetched again"


def test_a_missing_base_is_named(web, bases, tmp_path):
    lock(web)
    web.pants("package", "web:image")
    layer = web.description("web/image.json")["layers"][0]["digest"]
    import requests

    assert requests.delete(f"http://{bases.host}/v2/base/tools/blobs/{layer}", timeout=10).status_code == 202
    done = web.pants(registries_option(bases.host), "publish", "web:image", ok=False)
    assert done.code != 0
    (line,) = [line for line in done.err.splitlines() if line.startswith("error: web:image: ")]
    assert layer in line and "404" in line


def test_a_moved_tag_is_reported_and_a_dead_registry_keeps_the_lockfile(web, bases, base_layouts):
    lock(web)
    before = (web.root / "base_images.lock").read_bytes()
    to = ("skopeo", "copy", "--dest-tls-verify=false")
    run(*to, f"oci:{base_layouts}:arm64", f"docker://{bases.host}/base/tools:1")
    other = lock(web, f'--dockless-update-bases=["{bases.host}/base/multi:1"]')
    assert "has changed from" not in other.err
    assert (web.root / "base_images.lock").read_bytes() == before
    refused = lock(web, ok=False)
    assert "the reference is a single image for linux/arm64" in refused.err
    assert (web.root / "base_images.lock").read_bytes() == before
    run("umoci", "config", "--image", f"{base_layouts}:amd64", "--tag=moved", "--config.env=MOVED=1")
    run(*to, f"oci:{base_layouts}:moved", f"docker://{bases.host}/base/tools:1")
    moved = lock(web)
    assert f"the digest of {bases.host}/base/tools:1 has changed from sha256:" in moved.err
    after = (web.root / "base_images.lock").read_bytes()
    assert after != before
    bases.stop()
    dead = lock(web, ok=False)
    assert dead.code != 0 and "refused" in dead.err
    assert (web.root / "base_images.lock").read_bytes() == after


def test_manual_edits_of_the_lockfile_are_detected(web):
    lock(web)
    path = web.root / "base_images.lock"
    path.write_text(path.read_text().replace("BASE=yes", "BASE=no"))
    done = web.pants("package", "web:image", ok=False)
    assert "does not match its digest" in done.err
    assert done.err.split("does not match its digest")[1].count("sha256:") >= 2
