"""Repositories and tags: fields, options, placeholders, files and plugins."""

import json
import os
import subprocess
from dataclasses import dataclass

import pytest
from pants.backend.shell import register as shell
from pants.engine.rules import collect_rules, rule
from pants.engine.unions import UnionRule
from pants_backend import make_backend

from pants_dockless.field_sets import PushImageFieldSet
from pants_dockless.image_tags import ImageTags, ImageTagsRequest

REGISTRIES = {
    "one": {"address": "one.example", "default": True},
    "own": {"address": "own.example", "repository": "mirror/{target_repository}", "extra_image_tags": ["{name}-x"]},
    "base": {"address": "base.example", "repository": "b/{default_repository}"},
}


@dataclass(frozen=True)
class TagsOfPlugin(ImageTagsRequest):
    @classmethod
    def is_applicable(cls, target) -> bool:
        return target.address.target_name.startswith("plugged")


@rule
async def tags_of_plugin(request: TagsOfPlugin) -> ImageTags:
    name = request.target.address.target_name
    return ImageTags(["a b"] if name.endswith("bad") else [f"plugin-{name}", "{directory}"])


@pytest.fixture(scope="module")
def backend():
    """One engine for all tests: each test has its own directory."""
    return make_backend(
        [*shell.rules(), *collect_rules(globals()), UnionRule(ImageTagsRequest, TagsOfPlugin)], shell.target_types()
    )


@pytest.fixture
def references(backend, tmp_path):
    """references(fields) returns the references of `container_image(name="image", FIELDS)` in the directory `a/DIR`."""

    def call(fields="", push=None, options=(), files=(), env=(), name="image"):
        directory = f"a/{tmp_path.name}"
        push_text = "" if push is None else f'push_image(name="push", image=":{name}", {push})\n'
        text = f'container_image(name="{name}", {fields})\n{push_text}'
        build = dict(files)
        backend.write_files(
            {
                f"{directory}/BUILD": build.pop("BUILD", "") + text,
                **{f"{directory}/{k}": v for k, v in build.items()},
            }
        )
        backend.set_options(
            [f"--dockless-registries={REGISTRIES!r}", *options], env=dict(env), env_inherit={"PATH", "HOME"}
        )
        if push is None:
            found = json.loads(
                backend.files(backend.package(f"{directory}:{name}"))[f"{dotted(directory)}/{name}.json"]
            )
        else:
            package = backend.package(f"{directory}:push", PushImageFieldSet)
            found = json.loads(backend.files(package)[f"{dotted(directory)}/push.json"])
        return [reference.replace(tmp_path.name, "DIR") for reference in found["references"]]

    return call


@pytest.fixture
def refused(backend, references, tmp_path):
    def call(*args, **kwargs):
        line = backend.error_line(lambda: references(*args, **kwargs))
        assert line.isprintable()
        return line.replace(f"a/{tmp_path.name}:image", "TARGET").replace(tmp_path.name, "DIR")

    return call


def dotted(directory):
    return directory.replace("/", ".")


@pytest.mark.parametrize(
    "fields, expected",
    [
        ("", ["one.example/image:latest"]),
        ('repository="{parent_directory}/{directory}/{name}"', ["one.example/a/DIR/image:latest"]),
        ('repository="{full_directory}"', ["one.example/a/DIR:latest"]),
        ('image_tags=["{name}-1"]', ["one.example/image:image-1"]),
        ('image_tags=["{env.TAG}", "{env.NONE:dev}"]', ["one.example/image:7", "one.example/image:dev"]),
        ('image_tags=["{env.EMPTY:dev}", "v{env.TAG:x}.0"]', ["one.example/image:dev", "one.example/image:v7.0"]),
        ('repository="{env.TAG}/{name}"', ["one.example/7/image:latest"]),
        (
            'registries=["@own"], repository="r/{name}", image_tags=["1"]',
            ["own.example/mirror/r/image:1", "own.example/mirror/r/image:image-x"],
        ),
        ('registries=["@base"], repository="r"', ["base.example/b/image:latest"]),
    ],
)
def test_placeholders(references, fields, expected):
    assert references(fields, env={"TAG": "7", "EMPTY": ""}) == expected


@pytest.mark.parametrize(
    "push, expected",
    [
        ("", ["one.example/team/image:1"]),
        ('repository="other/{name}"', ["one.example/other/push:1"]),
        ('image_tags=["{name}"]', ["one.example/team/image:push"]),
        ('image_tag_files=[":version"]', ["one.example/team/image:1.2.3"]),
        (
            'registries=["@own"]',
            ["own.example/mirror/team/image:1", "own.example/mirror/team/image:image-x"],
        ),
    ],
)
def test_push_image_takes_what_it_does_not_say_from_its_image(references, push, expected):
    files = {"BUILD": 'file(name="version", source="VERSION")\n', "VERSION": "1.2.3\n"}
    assert references('repository="team/{name}", image_tags=["1"]', push, files=files) == expected


def test_push_image_of_an_image_without_repository_and_tags(references):
    """The name of the repository is that of the image."""
    options = ["--dockless-default-repository=x/{name}", "--dockless-default-image-tags=['{name}']"]
    assert references("", "", options) == ["one.example/x/image:image"]


def test_default_image_tags(references):
    options = ["--dockless-default-image-tags=['nightly', '{env.TAG}']"]
    assert references("", options=options, env={"TAG": "7"}) == [
        "one.example/image:nightly",
        "one.example/image:7",
    ]
    assert references('image_tags=["1"]', options=options) == ["one.example/image:1"]


TAG_FILES = {
    "VERSION": "# comment\n1.2.3\n\n  {directory}  \n",
    "BUILD": 'file(name="version", source="VERSION")\n'
    'shell_command(name="generated", command="echo g-$((1 + 1)) > out.txt", tools=["echo"], output_files=["out.txt"])\n'
    'target(name="group", dependencies=[":version"])\n'
    'file(name="binary", source="BINARY")\n',
    "BINARY": b"\xff\n",
}


def test_tags_in_files(references):
    fields = 'image_tag_files=[":version", ":generated"]'
    expected = ["one.example/image:1.2.3", "one.example/image:DIR", "one.example/image:g-2"]
    assert references(fields, files=TAG_FILES) == expected
    assert references(f'{fields}, image_tags=["1"]', files=TAG_FILES) == ["one.example/image:1", *expected]


def test_tags_of_a_plugin(references):
    assert references('image_tags=["1"]', name="plugged") == [
        *("one.example/plugged:1", "one.example/plugged:plugin-plugged", "one.example/plugged:DIR"),
    ]
    # A `push_image` with the tags of its image has those of the plugin, too.
    assert "one.example/plugged:plugin-plugged" in references("", "", name="plugged")
    assert references("", 'image_tags=["2"]', name="plugged") == ["one.example/plugged:2"]


def git(directory, *arguments):
    names = ["-c", "user.name=x", "-c", "user.email=x@example.com", "-c", "commit.gpgsign=false"]
    return subprocess.run(
        ["git", "-C", directory, *names, *arguments], check=True, capture_output=True, text=True
    ).stdout.strip()


def test_git_commit(backend, references, refused):
    tags = 'image_tags=["{git.commit}", "1.0-{git.short_commit}"]'
    ceiling = {"GIT_CEILING_DIRECTORIES": os.path.dirname(backend.build_root)}
    assert refused(tags, env=ceiling) == (
        "TARGET: field `image_tags`: {git.commit} has no value: git knows no commit of the build root; "
        "run Pants in a git repository with a commit, or write a default, as in {git.commit:dev}"
    )
    assert references('image_tags=["{git.commit:none}"]', env=ceiling) == ["one.example/image:none"]
    git(backend.build_root, "init", "--quiet")
    for _ in range(2):
        # A new commit is used by the next run, without a change of a file.
        git(backend.build_root, "commit", "--quiet", "--allow-empty", "-m", "x")
        commit = git(backend.build_root, "rev-parse", "HEAD")
        assert references(tags) == [f"one.example/image:{commit}", f"one.example/image:1.0-{commit[:12]}"]


@pytest.mark.parametrize(
    "fields, options, message",
    [
        (
            'image_tags=["{env.NONE}"]',
            [],
            "TARGET: field `image_tags`: the environment variable NONE is not set; set the variable, or write a "
            "default, as in {env.NONE:dev}",
        ),
        (
            'image_tags=["{git.branch}"]',
            [],
            "TARGET: field `image_tags`: invalid value '{git.branch}': git has the values {git.commit} and "
            "{git.short_commit}",
        ),
        (
            'image_tags=["{nothing}"]',
            [],
            "TARGET: field `image_tags`: invalid value '{nothing}': The placeholder 'nothing' is unknown. Try with one "
            "of: directory, env, full_directory, git, name, pants, parent_directory.",
        ),
        ('image_tags=["{env.SPACE}"]', [], "TARGET: field `image_tags`: invalid tag 'a b'; write 1 to 128"),
        ('image_tags=["{env}"]', [], "TARGET: field `image_tags`: invalid value '{env}': the name in the braces is in"),
        ('image_tags=["{env.BRACES}"]', [], "TARGET: field `image_tags`: invalid value "),
        ("image_tags=[]", [], "TARGET: field `image_tags`: no tag is given; add at least one tag"),
        ("", ["--dockless-default-image-tags=[]"], "TARGET: field `image_tags`: no tag is given; add at least one tag"),
        (
            "",
            ["--dockless-default-image-tags=['a b']"],
            "TARGET: option `[dockless].default_image_tags`: invalid tag 'a b'; write",
        ),
        (
            'image_tag_files=[":group"]',
            [],
            "TARGET: field `image_tag_files`: the target a/DIR:group of the type `target` provides no file; use the "
            "address of a file, a resource or a target that generates files, such as shell_command",
        ),
        (
            'image_tag_files=[":binary"]',
            [],
            "TARGET: field `image_tag_files`: the file a/DIR/BINARY is not a text in UTF-8: 'utf-8' codec",
        ),
        (
            'image_tag_files=[":bad"]',
            [],
            "TARGET: field `image_tag_files`: invalid tag 'a b': a/DIR/BAD:2; write 1 to 128 characters",
        ),
        (
            'image_tag_files=[":no-tags"]',
            [],
            "TARGET: field `image_tag_files`: the files contain no tag; write at least one tag into one of them",
        ),
        ("image_tag_files=[]", [], "TARGET: field `image_tags`: no tag is given; add at least one tag"),
        # The value of the target is wrong, and not the option that contains {target_repository}.
        (
            'registries=["@own"], repository="{nothing}"',
            [],
            "TARGET: field `repository`: invalid value '{nothing}': The placeholder 'nothing' is unknown.",
        ),
        (
            'registries=["@own"], repository="A/{name}"',
            [],
            "TARGET: field `repository`: invalid repository 'A/image'; write it in lower case: a/image",
        ),
        (
            'registries=["@own"]',
            ["--dockless-default-repository={nothing}"],
            "TARGET: option `[dockless].default_repository`: invalid value '{nothing}'",
        ),
        (
            'registries=["@base"], repository="r"',
            ["--dockless-default-repository=A"],
            "TARGET: option `[dockless].default_repository`: invalid repository 'A'; write it in lower case: a",
        ),
    ],
)
def test_invalid_values(refused, fields, options, message):
    targets = TAG_FILES["BUILD"] + 'file(name="bad", source="BAD")\nfile(name="no-tags", source="NO_TAGS")\n'
    files = {**TAG_FILES, "BAD": "1\na b\n", "NO_TAGS": "# none\n\n", "BUILD": targets}
    assert refused(fields, options=options, files=files, env={"SPACE": "a b", "BRACES": "{x}"}).startswith(message)


def test_an_option_that_is_not_used_is_not_checked(references):
    assert references('repository="r"', options=["--dockless-default-repository={env.NONE}"]) == [
        "one.example/r:latest"
    ]


@pytest.mark.parametrize(
    "fields, message",
    [
        ("image_tags='1'", "The 'image_tags' field in target"),
        ("image_tags=[1]", "The 'image_tags' field in target"),
        ("image_tag_files=':x'", "The 'image_tag_files' field in target"),
        ("image_tag_files=[1]", "The 'image_tag_files' field in target"),
        ("repository=1", "The 'repository' field in target"),
        ("registries='@one'", "The 'registries' field in target"),
        ("skip_push='yes'", "The 'skip_push' field in target"),
    ],
)
def test_values_of_a_wrong_type(refused, fields, message):
    assert message in refused(fields)


def test_invalid_tag_of_a_plugin(backend, references):
    line = backend.error_line(lambda: references("", name="plugged-bad"))
    assert f"field `image_tags`: invalid tag 'a b': from {TagsOfPlugin.__module__}.TagsOfPlugin; write 1" in line
