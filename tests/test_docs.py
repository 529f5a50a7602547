"""The pages in docs: links lead somewhere, quoted names and errors exist, and files for CI services are valid."""

import re
from pathlib import Path

import pytest
import yaml
from pants.backend.docker.subsystems.docker_options import DockerOptions
from pants.backend.docker.target_types import DockerImageTarget
from pants.option.option_types import collect_options_info
from real_tools import ROOT

from pants_dockless import register, target_types
from pants_dockless.subsystem import Dockless

PAGES = sorted(
    [
        *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md")),
        *(ROOT / "docs").glob("*.md"),
        *(ROOT / "testprojects").rglob("README.md"),
    ]
)
TITLE = re.compile(r"^#+ (.*)$", re.MULTILINE)
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
FENCE = re.compile(r"^ *```(\w*)[^\n]*\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)
GOALS = {"package", "publish", "push", "generate-lockfiles", "help", "list", "run", "test"}


def anchors(page: Path) -> set:
    """Returns the anchors that GitHub gives to the titles of a page."""
    titles = TITLE.findall(FENCE.sub("", page.read_text()))
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def section(page: str, title: str) -> str:
    """Returns the text below a title."""
    return page.split(f"\n## {title}\n")[1].split("\n## ")[0]


def table(page: str, title: str) -> list:
    """Returns the cells of each row of the table below a title."""
    text = section((ROOT / "docs" / page).read_text(), title)
    rows = [line for line in text.splitlines() if line.startswith("|")][2:]
    assert rows
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", row)[1:-1]] for row in rows]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links(page):
    for link in LINK.findall(page.read_text()):
        if link.startswith(("http://", "https://")):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


def test_each_field_and_option_of_the_docker_backend_is_on_the_page():
    rows = table("docker-image.md", "Fields") + table("docker-image.md", "Options")
    theirs = {name for row in rows for name in re.findall(r"`(\w+)`", row[0])}
    assert {field.alias for field in DockerImageTarget.core_fields} <= theirs
    options = list(collect_options_info(DockerOptions))
    # Later releases of Pants have another name for the names.
    names = {getattr(info, "flag_names", None) or info.args for info in options}
    assert {name.lstrip("-").replace("-", "_") for name, *_ in names} <= theirs


def test_fields_that_replace_those_of_docker_image():
    targets = {target.alias for target in register.target_types()}
    fields = {field.alias for target in register.target_types() for field in target.core_fields}
    assert target_types.BaseField.alias in fields
    for _, ours in table("docker-image.md", "Fields"):
        assert set(re.findall(r"`(\w+)`", ours)) <= fields | targets, ours


def test_options_that_replace_those_of_docker():
    page = (ROOT / "docs/docker-image.md").read_text()
    keys = re.search(r"\| `registries` with .* \| (.*) \|", page)
    entry = dict.fromkeys(re.findall(r"`(\w+)`", keys[1]))
    del entry["registries"]
    assert entry == {"insecure": None}
    assert all(hasattr(Dockless, name) for name in ("registries", "default_repository", "env_vars"))


def test_errors_of_troubleshooting_exist():
    sources = [path.read_text() for top in ("src", "pants-plugins") for path in (ROOT / top).rglob("*.py")]
    # Adjacent literals are one text, and a replacement field stands for any text.
    texts = "\n".join(re.sub(r'"\s*\n\s*f?"', "", source) for source in sources)
    page = (ROOT / "docs/troubleshooting.md").read_text()
    titles = [title for title in re.findall("^## (.*)$", page, re.MULTILINE) if "\n| Error |" in section(page, title)]
    errors = [error.strip("`") for title in titles for error, _, _ in table("troubleshooting.md", title)]
    assert len(titles) == page.count("| Error |")
    for error in errors:
        assert error.replace("base_images.lock", "{options.lockfile}") in texts, error
    assert len(set(errors)) == len(errors)


@pytest.mark.parametrize("title", ["GitHub Actions", "GitLab"])
def test_ci_files(title):
    (language, text), *others = FENCE.findall(section((ROOT / "docs/ci.md").read_text(), title))
    assert language == "yaml" and not others
    document = yaml.safe_load(text)
    if title == "GitLab":
        commands = document["images"]["before_script"] + document["images"]["script"]
    else:
        # YAML 1.1 reads the key `on` as a boolean.
        assert {"push", "pull_request"} == set(document[True])
        steps = document["jobs"]["images"]["steps"]
        assert all(("uses" in step) != ("run" in step) for step in steps)
        commands = [step["run"] for step in steps if "run" in step]
    assert all(isinstance(command, str) for command in commands)
    used = [match for command in commands for match in re.findall(r"\bpants (?:--\S+ )*([a-z-]+)", command)]
    assert used and set(used) <= GOALS
