"""The goal `push`."""

import json
import os
import re
import socket
from collections.abc import Sequence
from typing import NamedTuple

import pytest
from pants.testutil.rule_runner import mock_console

from dockless.testing import Fault, Registry
from pants_dockless.goals.push import PushGoal

FILES = {
    "app/shared.bin": os.urandom(100_000).hex(),
    "app/BUILD": """
file(name="shared", source="shared.bin")
image_layer(name="layer", dependencies=[":shared"])
container_image(name="a", layers=[":layer"], image_tags=["1", "2"])
container_image(name="b", layers=[":layer"], env={"X": "b"})
push_image(name="c", image=":b", repository="team/{name}")
container_image(name="skipped", skip_push=True)
""",
}


class Result(NamedTuple):
    exit_code: int
    stdout: str
    stderr: str
    process_stderr: str


TARGETS = ("app:a", "app:b", "app:c", "app:skipped")


@pytest.fixture
def registry():
    with Registry() as found:
        yield found


@pytest.fixture
def push(backend, registry, tmp_path):
    backend.write_files(FILES)

    def run(*arguments: str, host: str = registry.host, options: Sequence[str] = ()) -> Result:
        registries = {"r": {"address": host, "default": True}, "off": {"address": "off.example", "skip_push": True}}
        # Processes in the foreground need a console.
        with mock_console(backend.options_bootstrapper) as (_, reader):
            result = backend.run_goal_rule(
                PushGoal,
                global_args=[f"--dockless-registries={registries!r}", *options],
                args=arguments or TARGETS,
                env={"HOME": str(tmp_path)},
                env_inherit={"PATH"},
            )
            return Result(result.exit_code, result.stdout, result.stderr, reader.get_stderr())

    return run


def test_all_images_in_one_run(push, registry, backend):
    result = push()
    assert result.exit_code == 0, result.stderr
    digests = {name: backend.description(f"app:{name}")["digest"] for name in ("a", "b")}
    assert re.sub(r"[0-9.]+ kB", "SIZE", result.stderr).splitlines() == [
        "- app:skipped skipped (by `skip_push` on app:skipped).",
        f"✓ {registry.host}/a:1, {registry.host}/a:2 pushed ({digests['a']}).",
        f"✓ {registry.host}/b:latest pushed ({digests['b']}).",
        f"✓ {registry.host}/team/c:latest pushed ({digests['b']}).",
        "3 blobs sent (SIZE), 3 mounted, 0 already present.",
        "3 of 3 images are in their registries.",
    ]
    assert registry.tags("a") == {"1": digests["a"], "2": digests["a"]}
    assert registry.tags("team/c") == {"latest": digests["b"]}
    # The layer is sent once.
    sent = sum(len(request.body) for request in registry.requests if request.operation == "upload put")
    assert sent < 1.5 * max(registry.blobs("a").values())


def test_options_that_skip_or_forbid_to_push(push, registry):
    result = push("app:a", "app:skipped", options=["--dockless-skip-push"])
    assert result.exit_code == 0
    assert result.stderr.splitlines() == [
        "- app:a skipped (by the option `[dockless].skip_push`).",
        "- app:skipped skipped (by `skip_push` on app:skipped).",
        "0 of 0 images are in their registries.",
    ]
    with pytest.raises(Exception, match=r"app:a: option `\[dockless\].allow_publish`: the option is false, so that no"):
        push("app:a", options=["--no-dockless-allow-publish"])
    assert registry.repositories() == []
    # A dry run changes nothing.
    result = push("--dry-run", "app:a", options=["--no-dockless-allow-publish"])
    assert result.exit_code == 0 and "2 tags to set" in result.stdout


def test_images_that_exist_cost_one_request_for_each_tag(push, registry):
    push()
    registry.reset_requests()
    result = push()
    assert (result.exit_code, result.stderr.count("already present (")) == (0, 3)
    assert "0 blobs sent (0 B), 0 mounted, 6 already present." in result.stderr
    assert sorted(request.operation for request in registry.requests) == ["manifest get"] * 4 + ["ping get"]


def test_dry_run(push, registry, backend):
    result = push("--dry-run", *TARGETS)
    digests = {name: backend.description(f"app:{name}")["digest"] for name in ("a", "b")}
    *lines, total = result.stdout.splitlines()
    assert lines == [
        f"{registry.host}/a:1: new tag -> {digests['a']}",
        f"{registry.host}/a:2: new tag -> {digests['a']}",
        f"{registry.host}/b:latest: new tag -> {digests['b']}",
        f"{registry.host}/team/c:latest: new tag -> {digests['b']}",
    ]
    # Three blobs are sent with two requests each: one layer and two configs. Three are mounted, and four tags are set.
    assert total.startswith("4 tags to set, 13 requests, ")
    assert total.endswith(" to send, 3 blobs to mount, 0 of 3 images already present")
    assert registry.repositories() == []
    assert {request.method for request in registry.requests} == {"GET", "HEAD"}
    push()
    registry.put_manifest("b", *manifest_of(registry, "a"), "latest")
    assert push("--dry-run", *TARGETS).stdout.splitlines() == [
        f"{registry.host}/b:latest: {digests['a']} -> {digests['b']}",
        "1 tag to set, 1 request, 0 B to send, 0 blobs to mount, 2 of 3 images already present",
    ]


def manifest_of(registry, repository):
    manifest = registry.manifest(repository, "1")
    return manifest.raw, manifest.media_type


def test_output(push, registry, tmp_path):
    push(f"--output={tmp_path}/out.json", *TARGETS)
    documents = json.loads((tmp_path / "out.json").read_text())
    assert [(document["target"], document["published"], document["names"]) for document in documents] == [
        ("app:a", True, [f"{registry.host}/a:1", f"{registry.host}/a:2"]),
        ("app:b", True, [f"{registry.host}/b:latest"]),
        ("app:c", True, [f"{registry.host}/team/c:latest"]),
    ]
    assert documents[0]["publisher"] == "dockless"
    transfers = [document["transfer"] for document in documents]
    # A layer that several repositories lack is sent once. Which image is first depends on the threads.
    assert [sum(transfer[key] for transfer in transfers) for key in ("sent", "mounted", "present")] == [3, 3, 0]
    blobs = {digest: size for name in ("a", "b", "team/c") for digest, size in registry.blobs(name).items()}
    assert sum(transfer["bytes"] for transfer in transfers) == sum(blobs.values())
    push(f"--output={tmp_path}/out.json", *TARGETS)
    documents = json.loads((tmp_path / "out.json").read_text())
    assert [document["transfer"] for document in documents] == [{"sent": 0, "bytes": 0, "mounted": 0, "present": 2}] * 3


def test_output_that_cannot_be_written(push, registry, tmp_path):
    result = push(f"--output={tmp_path}", *TARGETS)
    *_, line = result.stderr.splitlines()
    problem = f"cannot write {tmp_path}: it is a directory; choose another path"
    assert (result.exit_code, line) == (1, f"error: option [push].output: {problem}")
    assert len(registry.repositories()) == 3


def test_a_failure_does_not_stop_the_others(push, registry, tmp_path):
    registry.faults = [Fault(on="manifest put", repository="b", status=403)]
    result = push(f"--output={tmp_path}/out.json", *TARGETS)
    assert result.exit_code == 1
    assert f"✕ {registry.host}/b:latest failed" in result.stderr
    assert "2 of 3 images are in their registries." in result.stderr
    assert registry.tags("team/c") and not registry.tags("b")
    documents = json.loads((tmp_path / "out.json").read_text())
    assert [document["published"] for document in documents] == [True, False, True]
    assert "403" in documents[1]["status"]
    registry.faults = []
    registry.reset_requests()
    assert push().exit_code == 0
    assert sum(len(request.body) for request in registry.requests) < 10_000


def test_a_registry_that_refuses_connections(push):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        host = f"127.0.0.1:{closed.getsockname()[1]}"
        result = push(host=host)
    assert result.exit_code == 1
    lines = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
    assert lines == [
        f"error: {target}: GET http://{host}/v2/: connection refused; check the port, and that the registry is running"
        for target in ("app:a", "app:b", "app:c")
    ]


def test_conflicting_references(push, backend):
    backend.write_files(
        {
            "app/BUILD": 'container_image(name="a", repository="x")\n'
            'container_image(name="b", repository="x", env={"B": "b"})\n'
        }
    )
    line = backend.error_line(lambda: push("app:a", "app:b"))
    assert "two different images would be published to" in line


def test_nothing_to_push(push):
    result = push("app:skipped")
    assert (result.exit_code, result.stderr.splitlines()[-1]) == (0, "0 of 0 images are in their registries.")
