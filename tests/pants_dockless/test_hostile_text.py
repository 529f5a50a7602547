"""Untrusted text in what the backend logs, prints and writes: names of files, fields, registries, lockfiles."""

import ast
import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from evil_text import COMMAND, EVIL, assert_harmless
from made_images import layout_of, make_image
from pants.engine.addresses import Address
from pants.engine.internals.scheduler import ExecutionError
from push_plans import push_plan, write_program

import pants_dockless
from dockless.errors import DocklessError
from dockless.oci.digest import Digest
from dockless.testing import Fault, Registry
from pants_dockless.errors import TargetError
from pants_dockless.util_rules import processes

BACKEND = Path(pants_dockless.__file__).parent
ADDRESS = Address("app", target_name="image")


@pytest.fixture
def text():
    return COMMAND + EVIL


def write(backend, fields, files=()):
    build = f'files(name="files", sources=["src/*"])\ncontainer_image(name="image", {fields})\n'
    backend.write_files({"app/BUILD": build, "app/src/a": "a", **dict(files)})


def test_warnings_of_names_of_files(backend, caplog, text):
    name = text.replace("/", "")
    write(backend, 'dependencies=[":files"], directory="/bin"', {f"app/src/{name}x": "", f"app/src/{name}X": ""})
    backend.package("app:image")
    warnings = [record.getMessage() for record in caplog.records if record.name.startswith("pants_dockless")]
    assert len(warnings) == 2 and all(line.startswith("app:image: /bin/app") for line in warnings)
    assert_harmless("\n".join(warnings))


def test_only_one_function_logs_and_only_programs_print():
    """The programs print errors and failures of the library, validated references, JSON and `traceback_lines`."""
    calls = set()
    for path in BACKEND.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call):
                name = ast.unparse(node.func)
                if name == "print" or name.startswith(
                    ("logger.", "sys.stderr.", "sys.stdout.", "console.", "(console.")
                ):
                    calls.add((str(path.relative_to(BACKEND)), name))
    assert {call for call in calls if not call[0].startswith("scripts/")} == {
        ("errors.py", "logger.warning"),
        ("errors.py", "logger.info"),
        ("errors.py", "console.print_stdout if to_stdout else console.print_stderr"),
        *(("goals/push.py", f"console.sigil_{name}") for name in ("failed", "skipped", "succeeded")),
    }
    # The progress consists of numbers.
    progress = {("scripts/push_progress.py", f"sys.stderr.{name}") for name in ("write", "flush", "isatty")}
    assert {name for path, name in calls - progress if path.startswith("scripts/")} == {"print"}


def test_texts_of_an_image(backend, text):
    texts = {text: text, f"{text}2": text}
    write(backend, f'dependencies=[":files"], labels={texts!r}, annotations={texts!r}, entrypoint=[{text!r}]')
    files = backend.files(backend.package("app:image"))
    metadata = json.loads(files["app/image.json"])
    assert_harmless(files["app/image.json"].decode())
    config = json.loads(files["app/image/blobs/sha256/" + metadata["config_digest"][7:]])
    assert config["config"]["Labels"] == texts and config["config"]["Entrypoint"] == [text]


@pytest.mark.parametrize(
    "field",
    [
        *("user={}", "workdir={}", "stop_signal={}", "exposed_ports=[{}]", "volumes=[{}]", "env={{{}: 'x', '=': 'x'}}"),
        *("platforms=[{}]", "registries=[{}]", "repository={}", "image_tags=[{}]", "base='localhost:1/' + {}"),
        *("directory={}", "strip_prefix={}", "contents={{{}: ':files'}}", "remove_layers=[{}]"),
    ],
)
def test_errors_of_fields(backend, text, field):
    more = "" if "registries" in field else ', registries=["localhost:1"]'
    write(backend, f'dependencies=[":files"], {field.format(repr(text))}{more}')
    line = backend.error_line(lambda: backend.package("app:image"))
    assert "app:image: " in line[:30]
    assert_harmless(line)


@pytest.mark.parametrize(
    "field",
    [
        *("symlinks={{'/a': '../../' + {}}}", "symlinks={{'/a/../' + {}: 'x'}}", "modes={{'*': {}}}", "owner={}"),
        *("owners={{'*': {}}}", "mtime={}", "whiteouts=['/../' + {}]", "inline_files={{'/../' + {}: 'x'}}"),
        "directories={{'/x': {}}}",
    ],
)
def test_errors_of_layers(backend, text, field):
    backend.write_files(
        {
            "app/BUILD": f"""
image_layer(name="l", {field.format(repr(text))})
container_image(name="image", layers=[":l"])
"""
        }
    )
    line = backend.error_line(lambda: backend.package("app:image"))
    assert line.startswith("app:l")
    assert_harmless(line)


def test_a_lockfile(backend, text):
    write(backend, 'base="localhost:1/base:1"')
    for document in ({text: text}, {"version": text}, {"version": 1, "bases": {text: {"digest": text}}}):
        backend.write_files({"base_images.lock": json.dumps(document)})
        assert_harmless(backend.error_line(lambda: backend.package("app:image")))


@pytest.mark.parametrize("field", ['output_path="../../x"', 'output_path="/x"'])
def test_paths_outside_of_dist(backend, field):
    write(backend, field)
    with pytest.raises(Exception, match="(?i)path|relative|parent"):
        backend.package("app:image")


class TestPrograms:
    """The programs that speak to registries run as Pants runs them; the output of `push_images.py` is the console's."""

    @pytest.fixture(scope="class")
    def registry(self):
        with Registry() as found:
            yield found

    @pytest.fixture
    def run(self, tmp_path):
        def run(program, plan, status=1):
            write_program(tmp_path, program, plan)
            argv = [sys.executable, "-I", "-S", str(tmp_path / program), str(tmp_path / "plan.json")]
            done = subprocess.run(argv, cwd=tmp_path, env={}, capture_output=True, check=False)
            assert done.returncode == status, done
            assert done.stderr or not status
            assert_harmless(done.stderr.decode())
            return done

        return run

    def test_push(self, run, registry, tmp_path, text):
        image = make_image(b"one", manifest={"annotations": {text: text}})
        layout_of(tmp_path, image.manifest.descriptor, blobs=image.blobs, names=[text])

        def push(status=1, **changes):
            run("push_images.py", push_plan(registry, image.manifest.descriptor, **changes), status=status)

        registry.faults = ()
        push(status=0)
        for changes in ({"tags": [text]}, {"repository": text}, {"registry": text}, {"address": text, "tags": [""]}):
            push(**changes)
        body = json.dumps({"errors": [{"code": text, "message": text, "detail": text}]})
        registry.faults = [Fault("manifest put", status=400, body=body)]
        push(repository="refused")
        # Not an error of the library.
        plan = push_plan(registry, image.manifest.descriptor, remote=[{text: text}])
        done = run("push_images.py", plan)
        assert done.stderr.startswith(b"Traceback")

    def test_lock(self, run, registry, tmp_path, text):
        base = {
            "reference": f"{registry.host}/a:1",
            "platforms": ["linux/amd64"],
            "used_by": "app:a",
            "insecure": False,
        }
        plan = {"bases": [base], "old": None, "new": "new.lock", "update": []}
        registry.faults = [Fault("manifest get", status=404, body=text)]
        assert run("lock_bases.py", plan).stderr.startswith(b"error: app:a: ")
        run("lock_bases.py", {**plan, "update": [text]})
        run("lock_bases.py", {**plan, "bases": [{**base, "reference": text}]})
        (tmp_path / "old.lock").write_text(json.dumps({"version": text, text: text}))
        registry.faults = ()
        image = make_image(b"one")
        for data in image.blobs.values():
            registry.put_blob("a", data)
        registry.put_manifest("a", image.manifest.raw, image.manifest.media_type, "1")
        done = run("lock_bases.py", {**plan, "old": "old.lock"}, status=0)
        (notice,) = json.loads(done.stdout)
        assert notice.endswith("the lockfile is replaced")
        assert_harmless(notice)

    def test_fetch(self, run, registry, text):
        layer = {"digest": Digest.of(b"x"), "size": 1, "urls": [], "registry": registry.host, "repository": "a"}
        plan = {"insecure": [], "layers": [layer], "cache": "cache", "blobs": "blobs"}
        registry.faults = [Fault("blob get", status=404, body=text)]
        run("fetch_layers.py", plan)
        for n, changes in enumerate(({"registry": text}, {"urls": [text]}, {"digest": text})):
            run("fetch_layers.py", {**plan, "blobs": f"blobs{n}", "layers": [{**layer, **changes}]})


class TestFailedProcesses:
    def result(self, stderr):
        return SimpleNamespace(exit_code=1, stderr=stderr.encode(errors="surrogatepass"))

    @pytest.mark.parametrize("address", [ADDRESS, None])
    def test_an_error(self, text, address):
        """A remote worker can write anything."""
        one_line = text.replace("\n", "")
        with pytest.raises(TargetError if address else DocklessError) as caught:
            processes._checked(address, self.result(f"error: {one_line}"))
        assert_harmless(str(caught.value))

    def test_a_traceback(self, text):
        with pytest.raises(RuntimeError) as caught:
            processes._checked(ADDRESS, self.result(f"Traceback:\n  x\nValueError: {text}\n{text}"))
        lines = str(caught.value).split("\n")
        assert lines[0].startswith("app:image: internal error") and len(lines) > 3
        # Its own lines are those of a traceback, but they are no commands.
        assert_harmless("\n".join(f"| {line}" for line in lines))
        assert not any(line.lstrip().startswith("::") for line in lines)


@pytest.mark.parametrize("target", ["/etc/passwd", "../../../../../../../../etc/passwd"])
def test_a_source_that_links_out_of_the_repository(backend, target):
    write(backend, 'dependencies=[":files"]')
    os.symlink(target, Path(backend.build_root, "app/src/link"))
    # Pants refuses to follow it.
    with pytest.raises(ExecutionError, match=r"(?i)link.*(outside|absolute|escape|root)"):
        backend.package("app:image")
