"""Start-up, signals, pipes and terminals, which need a separate process."""

import fcntl
import json
import os
import pty
import signal
import struct
import subprocess
import sys
import termios
import time

import pytest
from made_images import layout_of, make_image
from waiting import wait_until

from dockless.testing import Fault, Registry


def lines_of(process):
    out, err = process.communicate(timeout=60)
    return process.returncode, out.decode(), err.decode()


def loaded_by(*arguments):
    """Return the modules that a command has imported when it ends."""
    code = """if True:
        import sys
        from dockless.cli import main
        try:
            status = main(sys.argv[1:])
        except SystemExit as end:
            status = end.code
        print(f"\\n{status}", *sys.modules)
    """
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, env=_env(), check=True)
    status, *modules = done.stdout.decode().splitlines()[-1].split()
    assert status == "0", done.stderr
    return set(modules)


def of_packages(modules, names):
    return sorted(name for name in modules if name.split(".")[0] in names.split())


# benchmarks/reference measures the start-up time. These imports are its main part.
def test_version_imports_only_the_command_line():
    loaded = loaded_by("--version")
    assert {name for name in loaded if name.startswith("dockless.") and not name.startswith("dockless.cli")} == set()
    assert of_packages(loaded, "requests urllib3 tqdm ssl socket http email json hashlib logging pathlib") == []
    assert of_packages(loaded, "deflate pathspec shtab") == []


def test_a_build_to_disk_imports_no_network_modules(tmp_path):
    """TLS and HTTP take 8 MB and 60 ms. A build to a registry imports them after its layers exist."""
    (tmp_path / "file").write_text("hello")
    loaded = loaded_by("build", f"oci:{tmp_path}/out", "--add", f"{tmp_path}/file:/file")
    assert of_packages(loaded, "requests urllib3 ssl http email certifi") == []


@pytest.mark.parametrize("patterns", [(), ("--ignore", "*.pyc"), ("--ignore-file", ".ignored")])
def test_pathspec_is_imported_only_for_patterns(tmp_path, patterns):
    (tmp_path / "src").mkdir()
    (tmp_path / "src/.ignored").write_text("*.pyc")
    loaded = loaded_by("build", f"oci:{tmp_path}/out", "--add", f"{tmp_path}/src:/src", *patterns)
    assert bool(of_packages(loaded, "pathspec")) is bool(patterns)


def test_version_and_module(start):
    assert lines_of(start("--version"))[:2] == (0, "dockless 0.1.0\n")


def test_importing_dockless_imports_no_submodules(tmp_path):
    code = "import sys; before = set(sys.modules); import dockless; print(sorted(set(sys.modules) - before))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, env=_env(), check=True)
    loaded = eval(done.stdout)
    assert not {name for name in loaded if name.startswith(("dockless.", "requests", "urllib3", "json"))}


def _env():
    from dockless import __file__ as package

    return {**os.environ, "PYTHONPATH": os.path.dirname(os.path.dirname(package))}


def test_serve_runs_until_a_signal(start, tmp_path):
    serving = start("serve", "--listen", "127.0.0.1:0", "--data", "data", "--json")
    found = json.loads("".join(iter(lambda: serving.stdout.readline().decode(), "}\n")) + "}")
    layout_of(tmp_path / "l", make_image(b"x").manifest.descriptor, blobs=make_image(b"x").blobs)
    status, _, err = lines_of(start("copy", "oci:l", f"{found['registry']}/app:1"))
    assert status == 0, err
    serving.send_signal(signal.SIGINT)
    assert serving.wait(10) == 130
    again = start("serve", "--listen", found["registry"], "--data", "data")
    assert found["registry"].encode() in again.stdout.readline()
    assert lines_of(start("tags", f"{found['registry']}/app"))[1] == "1\n"
    again.send_signal(signal.SIGTERM)
    assert again.wait(10) == 143


def test_serve_injects_faults(start, tmp_path):
    (tmp_path / "faults.json").write_text('{"faults": [{"on": "manifest put", "status": 403}]}')
    serving = start("serve", "--listen", "127.0.0.1:0", "--faults", "faults.json", "--json")
    found = json.loads("".join(iter(lambda: serving.stdout.readline().decode(), "}\n")) + "}")
    layout_of(tmp_path / "l", make_image(b"x").manifest.descriptor, blobs=make_image(b"x").blobs)
    status, _, err = lines_of(start("copy", "oci:l", f"{found['registry']}/app:1"))
    assert status == 1 and "PUT" in err and "403" in err
    serving.send_signal(signal.SIGINT)
    assert serving.wait(10) == 130
    (tmp_path / "faults.json").write_text('{"faults": [{"on": "manifest put", "stats": 403}]}')
    status, out, err = lines_of(start("serve", "--listen", "127.0.0.1:0", "--faults", "faults.json"))
    assert (status != 0, out) == (True, "")
    assert "faults.json: faults[0]: " in err and err.count("\n") == 1


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupted_pull_leaves_nothing(start, tmp_path, number, status):
    image = make_image(os.urandom(3_000_000))
    with Registry(faults=[Fault(on="blob get", rate=30_000)]) as registry:
        for blob in (image.manifest.config, *image.manifest.layers):
            registry.put_blob("app", image.blobs[blob.digest])
        registry.put_manifest("app", image.manifest.raw, image.manifest.media_type, "1")
        process = start("copy", f"{registry.host}/app:1", "oci:out")
        layer = image.manifest.layers[0].digest
        wait_until(lambda: any(layer in str(request) for request in registry.requests))
        time.sleep(0.3)
        process.send_signal(number)
        began = time.monotonic()
        code, _, err = lines_of(process)
        assert code == status and time.monotonic() - began < 20
        assert "Traceback" not in err
        assert sorted(os.listdir(tmp_path)) == ["home"]


def test_a_pipe_that_is_closed_while_tags_are_printed_is_not_an_error(start, tmp_path, registry):
    image = make_image(b"x")
    for n in range(2000):
        registry.put_manifest("app", image.manifest.raw, image.manifest.media_type, f"tag-{n:0100}")
    process = start("tags", f"{registry.host}/app")
    process.stdout.read(10)
    process.stdout.close()
    assert process.wait(20) in (0, 1)
    assert process.stderr.read() == b""


def test_a_terminal_gets_bars_and_a_log_gets_lines(start, tmp_path, registry):
    pytest.importorskip("tqdm")
    image = make_image(os.urandom(2_000_000))
    layout_of(tmp_path / "l", image.manifest.descriptor, blobs=image.blobs)
    main, terminal = pty.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    process = start("copy", "oci:l", f"{registry.host}/app:1", stderr=terminal)
    os.close(terminal)
    shown = b""
    try:
        while piece := os.read(main, 4096):
            shown += piece
    except OSError:
        pass
    finally:
        os.close(main)
    assert process.wait(20) == 0
    assert image.manifest.layers[0].digest.hex[:12].encode() in shown and b"%" in shown
    status, _, err = lines_of(start("copy", "oci:l", f"{registry.host}/other:1"))
    assert status == 0 and "\r" not in err and f"{image.manifest.layers[0].digest} mounted" in err


def test_a_build_and_push_imports_only_what_it_uses(start, tmp_path, registry):
    image = make_image(b"base" * 1000)
    layout_of(tmp_path / "l", image.manifest.descriptor, blobs=image.blobs)
    assert start("copy", "oci:l", f"{registry.host}/base:1").wait(60) == 0
    (tmp_path / "src").mkdir()
    (tmp_path / "src/file").write_text("x")
    base = f"{registry.host}/base:1"
    loaded = loaded_by("build", f"{registry.host}/app:1", "--base", base, "--add", "src:/app", "--ignore", "*.pyc")
    assert "requests" in loaded and "dockless.layer.ignore" in loaded
    # Progress bars, Google's tokens, other compressors, and the embedded registry.
    assert of_packages(loaded, "tqdm google zstandard zlib_ng asyncio") == []
    assert not {name for name in loaded if name.startswith(("dockless.testing", "http.server", "socketserver"))}
