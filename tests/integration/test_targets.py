"""An index with different content for each platform, tags from git, and changes of the lockfile, with real Pants."""

import json
import subprocess

from made_images import make_image
from pants_command import registries_option
from pants_output import ONLY_DOCKLESS
from real_tools import run

from dockless.lockfile import Lockfile, lock_base
from dockless.oci.reference import Reference

BUILD = """
file(name="server-amd64", source="amd64.txt")
file(name="server-arm64", source="arm64.txt")
container_image(
    name="amd64", platforms=["linux/amd64"], contents={"/server": ":server-amd64"}, env={"FOR": "amd64"}, skip_push=True
)
container_image(
    name="arm64", platforms=["linux/arm64"], contents={"/server": ":server-arm64"}, env={"FOR": "arm64"}, skip_push=True
)
image_index(name="index", images=[":amd64", ":arm64"], image_tags=["{git.short_commit}"], repository="acme/{name}")
push_image(name="push", image=":index", repository="other/{name}")
base_image(name="one", reference="reg.example/one:1")
base_image(name="two", reference="reg.example/two:1")
container_image(name="on-one", base=":one", contents={"/x": ":server-amd64"})
container_image(name="on-two", base=":two")
"""


def git(root, *arguments):
    names = ["-c", "user.name=x", "-c", "user.email=x@example.com", "-c", "commit.gpgsign=false"]
    command = ["git", "-C", root, *names, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def locked(name, content):
    base = make_image(content)
    reference = Reference.parse(f"reg.example/{name}:1")
    return lock_base(reference, [], base.manifest, lambda descriptor: base.blobs[descriptor.digest])


def write_lockfile(checkout, one):
    lockfile = Lockfile.of([locked("one", one), locked("two", b"two")])
    (checkout.root / "base_images.lock").write_bytes(lockfile.to_bytes())


def test_index_and_changes(checkout, docker_registry, podman):
    # `--changed-dependents` reads all BUILD files, and this one has a `pex_binary`.
    (checkout.root / "testprojects/service/BUILD").unlink()
    checkout.env.update(ONLY_DOCKLESS)
    directory = checkout.root / "index"
    directory.mkdir()
    (directory / "amd64.txt").write_text("for amd64")
    (directory / "arm64.txt").write_text("for arm64")
    (directory / "BUILD").write_text(BUILD)
    write_lockfile(checkout, b"one")
    git(checkout.root, "init", "--quiet")
    git(checkout.root, "add", "--all")
    git(checkout.root, "commit", "--quiet", "-m", "x")
    commit = git(checkout.root, "rev-parse", "HEAD")[:12]

    registry = registries_option(docker_registry.host)
    published = checkout.pants(registry, "publish", "index:index", "index:push", "index:amd64")
    assert "(by `skip_push` on index:amd64)" in published.err
    checkout.pants(registry, "package", "index:index", "index:push")
    digest = checkout.description("index/index.json")["digest"]
    # A push_image takes what it does not say from its image.
    assert checkout.description("index/push.json")["references"] == [f"{docker_registry.host}/other/push:{commit}"]
    for repository in ("acme/index", "other/push"):
        reference = f"docker://{docker_registry.host}/{repository}:{commit}"
        raw = json.loads(run("skopeo", "inspect", "--tls-verify=false", "--raw", reference).out)
        assert [child["platform"]["architecture"] for child in raw["manifests"]] == ["amd64", "arm64"]
        for architecture in ("amd64", "arm64"):
            config = run(
                *("skopeo", f"--override-arch={architecture}", "--override-os=linux", "inspect", "--config"),
                *("--tls-verify=false", reference),
            )
            assert json.loads(config.out)["config"]["Env"] == [f"FOR={architecture}"]
    name = f"{docker_registry.host}/acme/index:{commit}"
    podman("pull", "--quiet", "--tls-verify=false", "--platform=linux/arm64", name)
    assert podman("image", "inspect", "--format={{.Architecture}} {{.Config.Env}}", name).out == "arm64 [FOR=arm64]\n"
    assert digest in published.err

    write_lockfile(checkout, b"another one")
    changed = checkout.pants("--changed-since=HEAD", "--changed-dependents=transitive", "list").out.split()
    assert changed == ["//:_base-images_lockfile", "index:on-one", "index:one"]
    (peeked,) = json.loads(checkout.pants("peek", "index:on-one").out)
    assert (peeked["base"], peeked["contents"]) == (":one", {"/x": ":server-amd64"})
