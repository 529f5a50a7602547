"""docs/getting-started.md: a new repository outside this one, with Dockless as a plugin. All commands are run."""

import os
import re
import shlex
import shutil
import sys
from contextlib import ExitStack

import pytest
from pants_command import is_another_pants, pants_command, pants_settings
from real_tools import ROOT, DockerRegistry, containers_storage, need, run, stop_daemons

import dockless
from dockless import Image, Layer

PAGE = ROOT / "docs/getting-started.md"
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
WHEEL = f"dockless-{dockless.__version__}-py3-none-any.whl"
REQUIREMENT = f'"dockless=={dockless.__version__}"'
WHEEL_REQUIREMENT = f'"dockless @ file://%(buildroot)s/wheels/{WHEEL}"'


@pytest.fixture(scope="module")
def caches(tmp_path_factory):
    if is_another_pants():
        pytest.skip("the page names the release of Pants that its commands were tested with")
    return tmp_path_factory.mktemp("caches")


@pytest.fixture(scope="module")
def environment(caches):
    """The environment of a user who has Pants, and nothing of this repository."""
    variables = {
        "PATH": os.environ["PATH"],
        "HOME": str(caches),
        "LANG": "C.UTF-8",
        "XDG_CACHE_HOME": str(caches / "xdg"),
        "PANTS_LOCAL_STORE_DIR": str(caches / "store"),
        "PANTS_NAMED_CACHES_DIR": str(caches / "named"),
        "PANTS_DYNAMIC_UI": "false",
    }
    return {**variables, **pants_settings(caches, variables, default_pex=True)}


@pytest.fixture(scope="module")
def wheels(tmp_path_factory):
    """The directory of the wheel that the page's command makes."""
    checkout = tmp_path_factory.mktemp("checkout") / "dockless"
    ignored = shutil.ignore_patterns(".cache", ".venv", ".git", "dist", "__pycache__")
    shutil.copytree(ROOT, checkout, ignore=ignored)
    command = re.search(r"`pip (wheel [^`]*)`", PAGE.read_text())
    run(sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", *command[1].split(), cwd=checkout)
    assert [path.name for path in (checkout / "wheels").iterdir()] == [WHEEL]
    return checkout / "wheels"


@pytest.fixture
def registry(tmp_path):
    """A registry that has the base image of the page."""
    need("busybox")
    registry = DockerRegistry(tmp_path)
    files = {f"/bin/{name}": shutil.which("busybox") for name in ("busybox", "sh")}
    base = Image.scratch(platform="linux/amd64").add_layer(Layer.from_files(files))
    base.save(f"{registry.host}/library/busybox:1.36")
    yield registry
    registry.stop()


def test_the_page(tmp_path, wheels, environment, registry):
    root = tmp_path / "repository"
    shutil.copytree(wheels, root / "wheels")
    replaced = {
        REQUIREMENT: WHEEL_REQUIREMENT,
        "docker.io/library": f"{registry.host}/library",
        "localhost:5000": registry.host,
    }
    text = PAGE.read_text()
    assert WHEEL_REQUIREMENT in text
    for old, new in replaced.items():
        assert old in text
        text = text.replace(old, new)
    output = ""
    with ExitStack() as stack:
        storage = stack.enter_context(containers_storage("podman", "runc"))
        stack.callback(stop_daemons, root)
        for language, block in BLOCK.findall(text):
            if language != "sh":
                path, _, content = block.removeprefix("# ").partition("\n")
                (root / path).write_text(content)
                continue
            for line in block.splitlines():
                if line.startswith("podman "):
                    output = storage(*shlex.split(line)).out
                else:
                    script = f'pants() {{ {shlex.join(pants_command())} "$@"; }}; {line}'
                    output = run("sh", "-ec", script, cwd=root, env=environment).out
    assert output == "hello from the monorepo\n"
    assert (root / "base_images.lock").exists()
    assert (root / "dist/app/hello.json").exists() and (root / "dist/app/hello/index.json").exists()


@pytest.mark.parametrize("source", ["directory of wheels", "git repository"])
def test_another_source_of_the_plugin(source, tmp_path, wheels, environment):
    row = next(line for line in PAGE.read_text().splitlines() if line.startswith(f"| a {source} |"))
    settings = [re.sub("@COMMIT", "", text) for text in re.findall("`([^`]*)`", row)]
    plugins, *others = [text for text in settings if " = " in text]
    if source == "git repository":
        need("git")
        repository = wheels.parent
        plugins = plugins.replace("https://git.example.com/dockless.git", f"file://localhost{repository}")
        for command in (
            "init --quiet",
            "add --all",
            "-c user.name=a -c user.email=a@example.com commit --quiet -m first",
        ):
            run("git", *command.split(), cwd=repository)
    else:
        shutil.copytree(wheels, tmp_path / "wheels")
    lines = ["[GLOBAL]", plugins, 'backend_packages = ["pants_dockless"]', "[python-repos]", *others]
    (tmp_path / "pants.toml").write_text("\n".join(lines))
    done = run(*pants_command(), "--no-pantsd", "help", "container_image", cwd=tmp_path, env=environment)
    assert "image_tags" in done.out
