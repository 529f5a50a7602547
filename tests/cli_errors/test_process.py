"""B71 and B73: the environment of the process, and signals. Each test starts a process."""

import os
import signal
import sys
import time

import pytest
from made_images import layout_of, make_image
from rows import case, row
from waiting import wait_until

import dockless.cli
from dockless.testing import BasicAuth, Fault, Registry, User


@pytest.fixture
def src(tmp_path):
    (tmp_path / "src").mkdir()
    (tmp_path / "src/ä").write_text("x")
    (tmp_path / "src/run").write_text("#!/bin/sh\n")
    (tmp_path / "src/run").chmod(0o755)
    return tmp_path / "src"


def in_a_removed_directory(directory):
    def prepare():
        os.mkdir(directory)
        os.chdir(directory)
        os.rmdir(os.path.join(os.pardir, directory))

    return prepare


SURROUNDINGS = [
    case("B71", "stdin is closed", {"preexec_fn": lambda: os.close(0), "stdin": None}),
    case("B71", "stdout is closed", {"preexec_fn": lambda: os.close(1)}),
    case("B71", "stderr is closed", {"preexec_fn": lambda: os.close(2)}),
    case("B71", "no home", {"env": {"HOME": ""}}),
    case("B71", "home cannot be written", {"env": {"HOME": "/proc"}}),
    case("B71", "no terminal", {"start_new_session": True}),
    case("B71", "LANG=C", {"env": {"LC_ALL": "C"}}),
    case("B71", "LANG is none", {"env": {"LC_ALL": "xx_YY.nothing"}}),
    case("B71", "umask 077", {"preexec_fn": lambda: os.umask(0o077)}),
    case("B71", "umask 000", {"preexec_fn": lambda: os.umask(0)}),
    case("B71", "time zone", {"env": {"TZ": "Asia/Kathmandu", "PYTHONHASHSEED": "7"}}),
    case("B71", "cwd is deleted", {"preexec_fn": in_a_removed_directory("gone")}),
]


@pytest.mark.parametrize("options", SURROUNDINGS)
def test_the_environment_of_the_process_has_no_effect(start, works, src, tmp_path, options):
    build = ("build", f"oci:{tmp_path}/ä", "--add", f"{src}:/ä", "--env", "A=ä")
    process = start(*build, "-q", **options)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (0, b""), err
    digest = works("inspect", "oci:ä")["digest"]
    assert out in (f"oci:{tmp_path}/ä@{digest}\n".encode(), b"")
    assert works("build", "oci:here", "--add", f"{src}:/ä", "--env", "A=ä")["digest"] == digest


@pytest.mark.parametrize("stream", [case("B71", "stdout", "stdout"), case("B71", "stderr", "stderr")])
def test_a_closed_pipe_is_not_an_error(start, works, tmp_path, stream):
    image = make_image(b"x", config={"config": {"Labels": {"a": "x" * 500_000}}})
    layout_of(tmp_path / "large", image.manifest.descriptor, blobs=image.blobs)
    read, write = os.pipe()
    os.close(read)
    try:
        command = ("inspect", "oci:large", "--config") if stream == "stdout" else ("verify", "oci:nothere")
        process = start(*command, **{stream: write})
    finally:
        os.close(write)
    out, err = process.communicate(timeout=60)
    assert process.returncode in (0, 1)
    assert not (err if stream == "stdout" else out)


def hold(on, **fault):
    return [Fault(on=on, delay=60.0, **fault)]


def requested(registry, operation):
    return lambda: any(request.operation == operation for request in registry.requests)


@pytest.mark.parametrize(
    "number, status", [case("B73", "Ctrl-C", signal.SIGINT, 130), case("B73", "SIGTERM", signal.SIGTERM, 143)]
)
@pytest.mark.parametrize(
    "phase, operation, command",
    [
        ("greeting", "ping get", "copy oci:base HOST/app:1"),
        ("manifest of a base", "manifest get", "build oci:out --base HOST/old:1"),
        ("blob of a pull", "blob get", "copy HOST/old:1 oci:out"),
        ("blob to an archive", "blob get", "copy HOST/old:1 docker-archive:out.tar"),
        ("begin of an upload", "upload post", "copy oci:base HOST/app:1"),
        ("end of an upload", "upload put", "copy oci:base HOST/app:1"),
        ("tag", "manifest put", "copy oci:base HOST/app:1"),
    ],
)
def test_a_signal_while_waiting_for_a_registry(start, tmp_path, phase, operation, command, number, status):
    image = make_image(b"new")
    layout_of(tmp_path / "base", image.manifest.descriptor, blobs=image.blobs)
    with Registry() as registry:
        old = make_image(b"old")
        for data in old.blobs.values():
            registry.put_blob("old", data)
            registry.put_blob("app", data)
        for name in ("old", "app"):
            registry.put_manifest(name, old.manifest.raw, old.manifest.media_type, "1")
        registry.faults = hold(operation)
        argv = command.replace("HOST", registry.host).split(" ")
        _interrupted(start, tmp_path, argv, requested(registry, operation), number, status)
        assert registry.tags("app") == {"1": old.manifest.digest}


def _interrupted(start, tmp_path, argv, ready, number, status):
    (tmp_path / "tmp").mkdir()
    before = set(os.listdir(tmp_path))
    process = start(*argv, env={"TMPDIR": str(tmp_path / "tmp")})
    wait_until(ready)
    time.sleep(0.05)
    assert process.poll() is None, process.communicate()
    process.send_signal(number)
    began = time.monotonic()
    _, err = process.communicate(timeout=40)
    assert process.returncode == status
    assert time.monotonic() - began < 20
    assert b"Traceback" not in err and b"error" not in err
    assert os.listdir(tmp_path / "tmp") == []
    assert set(os.listdir(tmp_path)) == before


@pytest.mark.parametrize("number, status", [case("B73", "Ctrl-C", signal.SIGINT, 130)])
def test_a_signal_while_a_layer_is_built(start, tmp_path, number, status):
    # A sparse file takes no space on disk and minutes to compress.
    (tmp_path / "src").mkdir()
    with open(tmp_path / "src/large", "wb") as file:
        file.truncate(40 << 30)
    argv = ["build", "oci:out", "--add", "src:/a", "--compression", "gzip:12"]
    _interrupted(start, tmp_path, argv, lambda: any((tmp_path / "tmp").rglob("*")), number, status)


@row("B73")
def test_a_signal_during_a_retry_pause(start, tmp_path):
    image = make_image(b"new")
    layout_of(tmp_path / "base", image.manifest.descriptor, blobs=image.blobs)
    with Registry(faults=[Fault(on="upload post", status=503, headers={"Retry-After": "30"})]) as registry:
        argv = ["copy", "oci:base", f"{registry.host}/app:1"]
        _interrupted(start, tmp_path, argv, requested(registry, "upload post"), signal.SIGINT, 130)
        assert registry.tags("app") == {}


@row("B73")
def test_a_signal_ends_the_credential_helper(start, tmp_path, monkeypatch):
    image = make_image(b"new")
    layout_of(tmp_path / "base", image.manifest.descriptor, blobs=image.blobs)
    helper = tmp_path / "bin/docker-credential-slow"
    helper.parent.mkdir()
    helper.write_text(f"#!/bin/sh\necho $$ >{tmp_path}/home/pid\nexec sleep 300\n")
    helper.chmod(0o755)
    (tmp_path / "home/.docker").mkdir()
    (tmp_path / "home/.docker/config.json").write_text('{"credsStore": "slow"}')
    monkeypatch.setenv("PATH", f"{helper.parent}:{os.environ['PATH']}")
    with Registry(auth=BasicAuth([User("ann", "pw")])) as registry:
        pid = tmp_path / "home/pid"
        argv = ["copy", "oci:base", f"{registry.host}/app:1"]
        _interrupted(start, tmp_path, argv, lambda: pid.exists() and pid.read_text().strip(), signal.SIGTERM, 143)
        assert registry.tags("app") == {}
    with pytest.raises(ProcessLookupError):
        for _ in range(100):
            os.kill(int(pid.read_text()), 0)
            time.sleep(0.02)


@row("B73")
def test_a_signal_while_the_command_is_imported(monkeypatch, capfd):
    class Interrupted:
        def find_spec(self, name, *_):
            if name == "dockless.cli._main":
                raise KeyboardInterrupt

    for name in [name for name in sys.modules if name.startswith("dockless.cli.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(sys, "meta_path", [Interrupted(), *sys.meta_path])
    assert dockless.cli.main(["tags", "reg.example/app"]) == 130
    assert capfd.readouterr() == ("", "")
