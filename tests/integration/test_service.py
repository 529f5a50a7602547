"""The web service of testprojects on a Python base of Debian packages: locked, packaged offline, published, run."""

import shutil
import urllib.request
from contextlib import suppress

import pytest
from pants_command import is_another_pants, registries_option
from real_tools import free_port, need, run
from waiting import wait_until

PACKAGES = (
    *("libc6", "zlib1g", "libexpat1", "python3.11-minimal", "libpython3.11-minimal", "libpython3.11-stdlib"),
    *("libssl3", "libffi8", "libbz2-1.0", "liblzma5", "libsqlite3-0", "libuuid1", "libcrypt1", "libgcc-s1"),
    *("libtirpc3", "libnsl2", "libncursesw6", "libtinfo6", "libreadline8", "libdb5.3", "libgssapi-krb5-2", "libkrb5-3"),
    *("libk5crypto3", "libkrb5support0", "libkeyutils1", "libcom-err2", "media-types"),
)


@pytest.fixture(scope="module")
def python_base(tmp_path_factory):
    """An OCI layout with CPython 3.11 and its dependencies, without a shell."""
    need("apt-get", "dpkg-deb", "umoci")
    directory = tmp_path_factory.mktemp("python")
    debs, root, layout = directory / "debs", directory / "root", directory / "layout"
    debs.mkdir()
    run("apt-get", "-qq", "-o", "APT::Sandbox::User=root", "download", *PACKAGES, cwd=debs)
    for deb in sorted(debs.glob("*.deb")):
        run("dpkg-deb", "-x", deb, root)
    (root / "usr/bin/python3").symlink_to("python3.11")
    (root / "tmp").mkdir(exist_ok=True)
    (root / "tmp").chmod(0o1777)
    for folder_name in ("usr/share/doc", "usr/share/man", "usr/share/lintian"):
        shutil.rmtree(root / folder_name, ignore_errors=True)
    run("umoci", "init", "--layout", layout)
    run("umoci", "new", "--image", f"{layout}:3.11")
    run("umoci", "insert", "--image", f"{layout}:3.11", root, "/")
    run("umoci", "config", "--image", f"{layout}:3.11", "--os=linux", "--architecture=amd64")
    run("umoci", "config", "--image", f"{layout}:3.11", "--config.env=PATH=/usr/bin:/bin")
    return layout


@pytest.fixture
def service(checkout):
    """The checkout, and the BUILD file of the service, which is restored."""
    # All tests have the same backends: for others, the daemon of Pants solves its rules again.
    checkout.env["PANTS_BACKEND_PACKAGES"] = "+['pants_dockless.python']"
    checkout.env["PANTS_PYTHON_BOOTSTRAP_SEARCH_PATH"] = "['<PATH>']"
    build = checkout.root / "testprojects/service/BUILD"
    text = build.read_text()
    yield checkout, build
    build.write_text(text)


def test_the_service_answers(service, docker_registry, python_base, podman):
    host = docker_registry.host
    run("skopeo", "copy", "--dest-tls-verify=false", f"oci:{python_base}:3.11", f"docker://{host}/base/python:3.11")
    checkout, build = service
    text = build.read_text()
    on_base = text.replace(
        'name="image",', 'name="image",\n    base=":python",\n    python_layers=False,\n    repository="service",'
    )
    assert on_base != text
    build.write_text(f'{on_base}\nbase_image(name="python", reference="{host}/base/python:3.11")\n')
    registries = registries_option(host)
    checkout.pants("generate-lockfiles", "--resolve=base-images")
    assert (checkout.root / "base_images.lock").stat().st_size < 10_000

    # The pex is built with a network. The image is then built without one.
    # Another Pants must also have resolved its plugins for this interpreter: its daemon resolved them for another.
    checkout.pants("package", "testprojects/service:server", pantsd=not is_another_pants())
    docker_registry.forget()
    checkout.pants("package", "testprojects/service:image", offline=True)
    assert docker_registry.requests() == []
    checkout.pants(registries, "publish", "testprojects/service:image")

    port = free_port()
    options = ("--detach", "--network=host", "--tls-verify=false", "--env", f"PORT={port}")
    name = podman("run", *options, f"{host}/service:latest").out.strip().splitlines()[-1]
    try:
        assert _answer(f"http://127.0.0.1:{port}/there", lambda: podman("logs", name).err) == b"Hello from /there\n"
    finally:
        podman("rm", "--force", "--time=0", name)


def test_the_service_answers_from_layers(service, docker_registry, python_base, podman):
    """The real pex, and a distribution of PyPI, in layers that images share."""
    need("python3.11")
    host = docker_registry.host
    run("skopeo", "copy", "--dest-tls-verify=false", f"oci:{python_base}:3.11", f"docker://{host}/base/python:3.11")
    checkout, build = service
    build.write_text(f"""
python_sources()
python_requirement(name="click", requirements=["click==8.1.7"])
pex_binary(name="server", entry_point="server.py", dependencies=[":click"], interpreter_constraints=["==3.11.*"])
base_image(name="python", reference="{host}/base/python:3.11")
container_image(
    name="image",
    base=":python",
    repository="service",
    dependencies=[":server"],
    python_layers=True,
    python="/usr/bin/python3.11",
    user="65532:65532",
)
""")
    checkout.pants("generate-lockfiles", "--resolve=base-images")
    checkout.pants(registries_option(host), "package", "publish", "testprojects/service:image")
    layers = checkout.description("testprojects.service/image.json")["layers"]
    assert [layer.get("content", "base") for layer in layers] == [
        "base",
        "pure 5",
        "virtual environment",
        "application",
    ]
    # The same with all releases of Pants and pex.
    assert layers[1]["digest"] == "sha256:a06068cc364a68406474d89572f29137245ae6a72a731bc8cfcb683c1f0acb09"

    port = free_port()
    options = ("--detach", "--network=host", "--tls-verify=false", "--read-only", "--env", f"PORT={port}")
    name = podman("run", *options, f"{host}/service:latest").out.strip().splitlines()[-1]
    try:
        assert _answer(f"http://127.0.0.1:{port}/there", lambda: podman("logs", name).err) == b"Hello from /there\n"
        code = "import click, importlib.metadata as m; print(all(f.locate().exists() for f in m.files('click')))"
        assert podman("exec", name, "python", "-c", code).out == "True\n"
    finally:
        podman("rm", "--force", "--time=0", name)


def _answer(url: str, logs) -> bytes:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def read() -> bytes:
        with suppress(OSError), opener.open(url, timeout=30) as answer:
            return answer.read()
        return b""

    try:
        return wait_until(read, "the answer of the service")
    except AssertionError as error:
        raise AssertionError(logs()) from error
