"""`verify` of archives: damage is reported, and archives of other tools are valid."""

import gzip
import json
import os
import re

import pytest
from made_images import layout_of, make_image, tar_of
from real_tools import containers_storage, need, run
from verification import problems_of

from dockless.transfer.verify import verify_image


def flipped(data, at):
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


def docker_archive(change=lambda files: None, whole=lambda data: data):
    """Return an archive of two images. `change` changes its members, `whole` changes its bytes."""
    image, other = make_image(b"one", b"two", compress=False, docker=True), make_image(b"three", docker=True)
    files = {
        "list": [
            {"Config": "c.json", "RepoTags": ["app:1"], "Layers": ["0.tar", "1.tar"]},
            {"Config": "d.json", "RepoTags": None, "Layers": ["2.tar"]},
        ],
        "c.json": image.documents.config_bytes,
        "0.tar": tar_of({"f0": b"one"}),
        "1.tar": tar_of({"f1": b"two"}),
        "d.json": other.documents.config_bytes,
        "2.tar": tar_of({"f0": b"three"}),
    }
    change(files)
    listed = files.pop("list")
    return whole(tar_of({**files, **({"manifest.json": json.dumps(listed).encode()} if listed else {})}))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda f: f.update({"0.tar": tar_of({"f0": b"eno"})}), "is damaged: its digest is"),
        (lambda f: f.update({"2.tar": tar_of({"f0": b"eerht"})}), "is damaged: its digest is"),
        (lambda f: f.update({"0.tar": f["0.tar"][:700]}), "truncated|damaged"),
        (lambda f: f.update({"0.tar": gzip.compress(tar_of({"f0": b"eno"}))}), "does not match its diff ID"),
        (lambda f: f.pop("1.tar"), r"lacks the layer 1\.tar"),
        (lambda f: f.pop("d.json"), r"has no file d\.json"),
        (lambda f: f.update({"c.json": b"{"}), r"c\.json.*not a valid JSON"),
        (lambda f: f["list"][0]["Layers"].pop(), r"1 layer, c\.json 2 diff IDs"),
        (lambda f: f["list"][0]["Layers"].reverse(), "is damaged: its digest is"),
        (lambda f: f["list"][0].update(Config="../../etc/passwd"), "has no file"),
        (lambda f: f["list"][0].update(Layers=["/etc/passwd", "1.tar"]), "lacks the layer /etc/passwd"),
        (lambda f: f["list"][0].update(Config=7), "without valid Config, RepoTags and Layers"),
        (lambda f: f.update(list=[]), r"no manifest\.json"),
        (lambda f: f.update(list=[[]]), "without valid Config"),
    ],
)
def test_a_damaged_docker_archive(tmp_path, change, reason):
    (tmp_path / "good").write_bytes(docker_archive())
    assert verify_image(f"docker-archive:{tmp_path}/good").problems == ()
    (tmp_path / "bad").write_bytes(docker_archive(change))
    message = problems_of(f"docker-archive:{tmp_path}/bad")
    assert re.search(reason, message), message


def other_names(files):
    files["list"][0]["RepoTags"] = ["other:1"]


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda data: data[: len(data) // 2], "is truncated"),
        (lambda data: flipped(data, 3), "wrong checksum"),
        (lambda data: b"", "is truncated"),
        (lambda data: gzip.compress(data)[:-9], "no end|truncated"),
        (lambda data: gzip.compress(data) + b"evil", "other bytes after"),
        (
            lambda data: b"".join(
                (data.rstrip(b"\0"), bytes(-len(data.rstrip(b"\0")) % 512), docker_archive(other_names))
            ),
            "twice",
        ),
    ],
    ids=["half", "header", "empty", "gzip cut off", "gzip and more", "members twice"],
)
def test_a_damaged_outer_tar(tmp_path, damage, reason):
    (tmp_path / "bad").write_bytes(docker_archive(whole=damage))
    message = problems_of(f"docker-archive:{tmp_path}/bad")
    assert re.search(reason, message), message


def test_all_images_of_a_docker_archive_are_checked_or_the_one_that_is_named(tmp_path):
    (tmp_path / "a").write_bytes(docker_archive(lambda f: f.update({"2.tar": tar_of({"f0": b"eerht"})})))
    assert len(verify_image(f"docker-archive:{tmp_path}/a").problems) == 1
    found = verify_image(f"docker-archive:{tmp_path}/a:app:1")
    assert (found.problems, found.manifests) == ((), 1)


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda files: files.pop("oci-layout"), "not an OCI layout|holds no"),
        (lambda files: files.pop(next(n for n in files if n.startswith("blobs"))), "lacks the blob"),
        (lambda files: files.update({n: flipped(d, 30) for n, d in files.items() if n.startswith("blobs")}), "damaged"),
        (lambda files: files.update({"index.json": b"[]"}), r"index\.json"),
    ],
    ids=["no oci-layout", "no blob", "bits flipped", "no index"],
)
def test_a_damaged_oci_archive(tmp_path, damage, reason):
    image = make_image(b"one", b"two")
    directory = layout_of(tmp_path / "l", image.manifest.descriptor, blobs=image.blobs)
    files = {str(p.relative_to(directory)): p.read_bytes() for p in sorted(directory.rglob("*")) if p.is_file()}
    (tmp_path / "good").write_bytes(tar_of(files))
    assert problems_of(f"oci-archive:{tmp_path}/good") == ""
    damage(files)
    (tmp_path / "bad").write_bytes(tar_of(files))
    message = problems_of(f"oci-archive:{tmp_path}/bad")
    assert re.search(reason, message), message


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Outputs of umoci, skopeo, buildah and podman for a tree with symlinks, a hard link and a large file."""
    need("skopeo", "umoci")
    directory = tmp_path_factory.mktemp("made")
    tree = directory / "tree"
    (tree / "deep").mkdir(parents=True)
    (tree / "f").write_text("xxx")
    (tree / "large").write_bytes(bytes(3_000_000))
    (tree / "deep/link").symlink_to("../f")
    os.link(tree / "f", tree / "hard")

    def at(*argv):
        return run(*argv, cwd=directory).out.strip()

    at("umoci", "init", "--layout", "umoci")
    at("umoci", "new", "--image", "umoci:v1")
    at("umoci", "insert", "--rootless", "--image", "umoci:v1", "tree", "/")
    at("umoci", "insert", "--rootless", "--whiteout", "--image", "umoci:v1", "/large")
    at("umoci", "config", "--image", "umoci:v1", "--architecture", "amd64", "--os", "linux")
    with containers_storage("podman", "buildah") as storage:

        def kept(*argv):
            return storage(*argv, cwd=directory).out.strip()

        lower = kept("buildah", "from", "scratch")
        kept("buildah", "copy", lower, "tree", "/app")
        kept("buildah", "config", "--cmd", '["/app"]', "--env", "A=1", "--port", "80", "--volume", "/v", lower)
        kept("buildah", "commit", "-q", lower, "x:1")
        upper = kept("buildah", "from", "x:1")
        kept("buildah", "copy", upper, "tree/f", "/new")
        kept("buildah", "commit", "-q", upper, "x:2")
        kept("buildah", "commit", "-q", upper, f"oci:{directory}/buildah:v1")
        kept("buildah", "commit", "-q", "--squash", upper, f"oci-archive:{directory}/squashed.tar:v1")
        kept("buildah", "commit", "-q", "--format", "docker", upper, f"docker-archive:{directory}/buildah.tar:app:1")
        kept("buildah", "manifest", "create", "list", "x:2")
        kept("buildah", "manifest", "push", "-q", "--all", "list", f"oci:{directory}/list:v1")
        kept("podman", "save", "-q", "-m", "-o", "podman-two.tar", "x:1", "x:2")
        kept("podman", "save", "-q", "--format", "oci-archive", "-o", "podman-oci.tar", "x:2")
        kept("podman", "save", "-q", "--format", "oci-dir", "-o", "podman-oci", "x:2")
    for source in ("umoci", "buildah"):
        at("skopeo", "copy", "-q", f"oci:{source}:v1", f"oci:skopeo-{source}:v1")
        at("skopeo", "copy", "-q", f"oci:{source}:v1", f"oci-archive:skopeo-{source}-oci.tar:v1")
        at("skopeo", "copy", "-q", f"oci:{source}:v1", f"docker-archive:skopeo-{source}.tar:app:1")
    at("skopeo", "copy", "-q", "--dest-compress", "--dest-compress-format=zstd", "oci:buildah:v1", "oci:skopeo-zstd:v1")
    at("skopeo", "copy", "-q", "--format", "v2s2", "oci:buildah:v1", "oci:skopeo-docker:v1")
    return directory


@pytest.mark.parametrize(
    "location",
    [
        "oci:umoci",
        "oci:buildah",
        "oci-archive:squashed.tar",
        "docker-archive:buildah.tar",
        "oci:list",
        "docker-archive:podman-two.tar",
        "oci-archive:podman-oci.tar",
        "oci:podman-oci",
        "oci:skopeo-umoci",
        "oci-archive:skopeo-umoci-oci.tar",
        "docker-archive:skopeo-umoci.tar",
        "oci:skopeo-buildah",
        "oci-archive:skopeo-buildah-oci.tar",
        "docker-archive:skopeo-buildah.tar",
        "oci:skopeo-zstd",
        "oci:skopeo-docker",
    ],
)
def test_archives_of_other_tools_are_valid(made, location):
    kind, _, path = location.partition(":")
    found = verify_image(f"{kind}:{made}/{path}")
    assert found.problems == ()
    assert found.blobs >= 2
    # Uncompressed layers, one with the large file.
    assert kind != "docker-archive" or found.bytes > 3_000_000
