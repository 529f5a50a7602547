"""Untrusted text in everything that the command prints: no line of a log begins with it, no terminal acts on it."""

import ast
import io
import json
import logging
import os
import pty
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from evil_text import COMMAND, EVIL, IN_HEADER, PARTS, assert_harmless
from made_images import layout_of, make_image, tar_of
from raw_server import head_of, raw_server
from the_command import SOURCES, dockless, isolated_directory, start

from dockless._printable import printable, printable_json, traceback_lines
from dockless.cli._output import LogFormatter
from dockless.cli._progress import progress_of
from dockless.errors import DocklessError, InvalidDocumentError
from dockless.lockfile import Lockfile
from dockless.oci.descriptor import Descriptor
from dockless.oci.digest import Digest
from dockless.registry.progress import ProgressEvent
from dockless.testing import Fault, Registry

__all__ = ["dockless", "isolated_directory", "start"]

ROOT = SOURCES.parent
TEXTS = pytest.mark.parametrize("text", [EVIL, COMMAND], ids=["evil", "command"])
# A name of a file has no slash, no NUL and at most 255 bytes.
FILE_NAME = EVIL.replace("/", "")


class TestTheRule:
    @pytest.mark.parametrize("text", [*PARTS, EVIL, COMMAND, f"   {COMMAND}", "\udc80", "\ue000", "\x00", "\x1b"])
    def test_text(self, text):
        shown = printable(text)
        assert shown != text
        assert_harmless(shown)
        assert printable(shown) == shown, "escaped twice"

    @pytest.mark.parametrize("text", ["", "a b", "é", "日本", "a::b", "a: b", "# [x]", "## [x]", "#[x]", "##", "\\x1b"])
    def test_other_text_stays(self, text):
        assert printable(text) == text

    def test_text_is_cut_before_it_is_escaped(self):
        assert printable("\x1b" * 500) == "\\x1b" * 400 + "..."
        assert printable("\x1b" * 500, None) == "\\x1b" * 500

    @pytest.mark.parametrize("text", [*PARTS, EVIL, COMMAND])
    def test_json_has_the_same_values(self, text):
        shown = printable_json({text: [text]})
        assert json.loads(shown) == {text: [text]} and shown.isascii()
        assert_harmless(shown)

    def test_an_error(self):
        assert_harmless(str(DocklessError(EVIL, cause=EVIL, hint=EVIL)))
        assert_harmless(str(DocklessError(COMMAND, cause=COMMAND, hint=COMMAND)))

    def test_a_traceback(self):
        try:
            try:
                try:
                    raise ValueError(EVIL)
                except ValueError:
                    raise OSError(2, COMMAND, EVIL)  # noqa: B904 - the context
            except OSError as error:
                raise type("Odd", (Exception,), {"__module__": COMMAND})(COMMAND) from error
        except Exception as error:
            lines = list(traceback_lines(error))
        assert len([line for line in lines if line.startswith("Traceback")]) == 3
        assert lines[-1].startswith("\\x3a:add-mask::x.Odd: ")
        assert_harmless("\n".join(lines))

    def test_a_circle_of_exceptions_ends(self):
        first, second = ValueError("one"), ValueError("two")
        first.__context__, second.__context__ = second, first
        assert [line for line in traceback_lines(first) if "Value" in line] == ["ValueError: two", "ValueError: one"]

    @TEXTS
    def test_a_log_record(self, text):
        written = io.StringIO()
        handler = logging.StreamHandler(written)
        handler.setFormatter(LogFormatter("%(message)s"))
        logger = logging.Logger("x")
        logger.addHandler(handler)
        logger.warning(text)
        logger.warning("%s", text)
        try:
            raise ValueError(text)
        except ValueError:
            logger.exception(text)
        assert "\nValueError: " in written.getvalue()
        assert_harmless(written.getvalue())

    @TEXTS
    def test_progress(self, text, capsys):
        class Arguments:
            quiet = False

        progress = progress_of(Arguments)
        blob = Descriptor("a/b", Digest.of(b""), 3)
        progress(ProgressEvent("tagged", blob, reference=text))
        progress(ProgressEvent("sent", blob._replace(digest=text)))
        err = capsys.readouterr().err
        assert err.count("\n") == 2
        assert_harmless(err)


def test_only_one_module_of_the_command_prints():
    """Every other one would need the rule again. tqdm, in the progress bars, prints only digests and numbers."""
    found = set()
    for path in (ROOT / "src/dockless").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.Call):
                continue
            name = ast.unparse(node.func)
            if name == "print" or name.endswith(("stdout.write", "stderr.write", "stdout.buffer.write")):
                found.add(str(path.relative_to(ROOT / "src/dockless")))
    assert found == {"cli/_output.py", "testing/serve.py"}


def evil_image(text):
    """An image whose every text is `text`."""
    texts = {text: text, f"{text}2": text, "empty": ""}
    config = {
        "created": text,
        "author": text,
        "os.version": text,
        "config": {
            "User": text,
            "WorkingDir": text,
            "StopSignal": text,
            "Env": [text, f"{text}=x"],
            "Cmd": [text],
            "Entrypoint": [text, text],
            "Labels": texts,
            "Volumes": {text: {}},
            "ExposedPorts": {text: {}},
            "OnBuild": [{text: text}],
            text: {text: {text: [text]}},
        },
        "history": [{"created_by": text, "comment": text}],
    }
    return make_image(b"one", config=config, manifest={"annotations": texts, "artifactType": text})


class TestImagesOnDisk:
    @TEXTS
    def test_every_text_of_an_image(self, dockless, tmp_path, text):
        image = evil_image(text)
        layout_of("l", image.manifest.descriptor, blobs=image.blobs, names=["v1"])
        for arguments in (
            ("inspect", "oci:l"),
            ("verify", "oci:l"),
            ("copy", "oci:l", "oci:m"),
            ("copy", "oci:l", "docker-archive:m.tar"),
            ("build", "oci:n", "--base", "oci:l", "--env", f"X=${text}"),
            ("build", "oci:n", "--base", "oci:l", "--workdir", "/"),
            ("inspect", "oci:l", "--platform", "linux/arm64"),
        ):
            said = dockless(*arguments)
            assert said.out or said.err
            assert_harmless(said.out + said.err)
        shown = dockless("inspect", "oci:l", "--json")
        assert_harmless(shown.out)
        assert shown.json["config"]["Labels"][text] == text and shown.json["config"]["Cmd"] == [text]

    @TEXTS
    @pytest.mark.parametrize("key", ["name", "platform", "mediaType", "digest", "urls", "annotation"])
    def test_every_text_of_an_index(self, dockless, text, key):
        image = make_image(b"one")
        layout_of("l", image.manifest.descriptor, blobs=image.blobs)
        index = json.loads(Path("l/index.json").read_text())
        (listed,) = index["manifests"]
        good = dict(listed)
        listed.update(
            {
                "name": {"annotations": {"org.opencontainers.image.ref.name": text}, "size": 1},
                "platform": {"platform": {"os": text, "architecture": text, "variant": text, "os.version": text}},
                "mediaType": {"mediaType": text},
                "digest": {"digest": text},
                "urls": {"urls": [text]},
                "annotation": {"annotations": {text: text}},
            }[key]
        )
        index["manifests"].append(good)
        Path("l/index.json").write_text(json.dumps(index))
        for arguments in (
            ("verify", "oci:l"),
            ("inspect", "oci:l"),
            ("inspect", "oci:l:nope"),
            ("inspect", f"oci:l:{text}"),
            ("copy", "oci:l", f"oci:m:{text}"),
            ("inspect", "oci:l", "--json"),
            ("verify", "oci:l", "--json"),
        ):
            said = dockless(*arguments)
            assert said.out or said.err
            assert_harmless(said.out + said.err)

    @TEXTS
    def test_an_index_of_several_platforms(self, dockless, text):
        image = make_image(b"one")
        listed = {
            **image.manifest.descriptor.to_json(),
            "platform": {"os": text, "architecture": text, "variant": text},
        }
        other = {**listed, "platform": {"os": "linux", "architecture": text}}
        raw = json.dumps(
            {
                "schemaVersion": 2,
                "mediaType": "application/vnd.oci.image.index.v1+json",
                "manifests": [listed, other],
                "annotations": {text: text},
            }
        ).encode()
        blobs = {**image.blobs, Digest.of(raw): raw}
        layout_of(
            "l",
            Descriptor("application/vnd.oci.image.index.v1+json", Digest.of(raw), len(raw)),
            blobs=blobs,
            names=["v1"],
        )
        for arguments in (
            ("inspect", "oci:l:v1"),
            ("inspect", "oci:l:v1", "--platform", "linux/arm64"),
            ("inspect", "oci:l:v1", "--config"),
            ("copy", "oci:l:v1", "oci:m"),
            ("verify", "oci:l:v1"),
        ):
            said = dockless(*arguments)
            assert said.out or said.err
            assert_harmless(said.out + said.err)

    @TEXTS
    def test_names_of_files_in_a_layout(self, dockless, text):
        name = text.replace("/", "")
        image = make_image(b"one")
        layout_of("l", image.manifest.descriptor, blobs=image.blobs, names=["v1"])
        Path("l/blobs/sha256", name).write_text("x")
        os.symlink("x", f"l/blobs/sha256/{name}2")
        said = dockless("verify", "oci:l")
        assert said.status == 1 and len(said.out.splitlines()) == 2
        assert_harmless(said.out + said.err)
        os.rename("l", name)
        assert_harmless(dockless("verify", f"oci:{name}").out)
        assert dockless("verify", "oci:l", "--json").status == 1

    @pytest.mark.parametrize("name", ["../{}", ".wh..wh.{}/.wh.", "{}/.wh..."])
    @TEXTS
    def test_names_in_a_layer(self, dockless, text, name):
        image = make_image(b"one", compress=False)
        tar = tar_of({name.format(text[:45]): b""})
        (layer,) = image.manifest.layers
        image.blobs[layer.digest] = tar
        layout_of("l", image.manifest.descriptor, blobs=image.blobs, names=["v1"])
        said = dockless("verify", "oci:l")
        assert said.status == 1 and len(said.out.splitlines()) > 1
        assert_harmless(said.out + said.err)

    @pytest.mark.parametrize("key", ["Config", "RepoTags", "Layers"])
    @TEXTS
    def test_names_in_an_archive(self, dockless, text, key):
        item = {"Config": "c.json", "RepoTags": ["a:1"], "Layers": []}
        config = json.dumps({"os": text, "architecture": text, "rootfs": {"diff_ids": [], "type": text}}).encode()
        item[key] = text if key == "Config" else [text]
        for files in ({"manifest.json": json.dumps([item]).encode(), "c.json": config}, {text[:45]: b""}):
            Path("a.tar").write_bytes(tar_of(files))
            for arguments in (
                ("inspect", "docker-archive:a.tar"),
                ("inspect", "docker-archive:a.tar:b:1"),
                ("verify", "docker-archive:a.tar"),
                ("inspect", "oci-archive:a.tar"),
            ):
                said = dockless(*arguments)
                assert said.out or said.err
                assert_harmless(said.out + said.err)

    def test_raw_documents_are_not_changed_except_on_a_terminal(self, dockless, start):
        text = "\x9b2J\u202e\x7f"
        raw = json.dumps({"a": text}, ensure_ascii=False)
        image = make_image(b"one", manifest={"annotations": {"a": text}})
        raw = json.dumps({**image.manifest.json}, ensure_ascii=False).encode()
        listed = Descriptor(image.manifest.media_type, Digest.of(raw), len(raw))
        layout_of("l", listed, blobs={**image.blobs, listed.digest: raw}, names=["v1"])
        assert dockless("inspect", "oci:l", "--raw").out.encode() == raw
        main, terminal = pty.openpty()
        process = start("inspect", "oci:l", "--raw", stdout=terminal)
        os.close(terminal)
        shown = b""
        try:
            while piece := os.read(main, 65536):
                shown += piece
        except OSError:
            # The end of a terminal.
            pass
        finally:
            os.close(main)
        assert process.wait(30) == 0
        assert json.loads(shown) == json.loads(raw)
        assert_harmless(shown.decode().replace("\r\n", "\n"))


@pytest.fixture(scope="module")
def served():
    with Registry() as found:
        yield found


@pytest.fixture
def registry(served):
    yield served
    served.faults = ()


class TestRegistries:
    @TEXTS
    @pytest.mark.parametrize("kind", ["errors", "text", "html"])
    @pytest.mark.parametrize("status", [400, 401, 403, 404, 500])
    def test_errors(self, dockless, registry, text, kind, status):
        error = {"code": text, "message": text, "detail": {text: text}}
        body = json.dumps({"errors": [error]}) if kind == "errors" else f"<p>{text}</p>" if kind == "html" else text
        registry.faults = [Fault("manifest", status=status, body=body)]
        said = dockless("inspect", f"{registry.host}/a:1", "--retry-time", "0")
        assert said.status == 1 and len(said.err.splitlines()) == 1
        assert_harmless(said.err)

    @TEXTS
    def test_tags(self, dockless, registry, text):
        body = json.dumps({"name": "a", "tags": ["good", text]})
        registry.faults = [Fault("tags", status=200, body=body)]
        said = dockless("tags", f"{registry.host}/a")
        assert said.status == 1 and "invalid tag" in said.err
        assert_harmless(said.out + said.err)

    @pytest.mark.parametrize(
        "operation, name, value",
        [
            ("manifest get", "Content-Type", "{}"),
            ("manifest get", "Docker-Content-Digest", "{}"),
            ("manifest get", "Content-Encoding", "{}"),
            ("tags get", "Link", "</v2/a/tags/list?last={}>; rel=next"),
            ("tags get", "Link", "<http://127.0.0.2/{}>; rel=next"),
            ("tags get", "Link", "<{}>; rel=next"),
        ],
    )
    def test_headers(self, dockless, registry, operation, name, value):
        image = make_image(b"one")
        registry.put_manifest("a", image.manifest.raw, image.manifest.media_type, "1")
        registry.faults = [Fault(operation, headers={name: value.format(IN_HEADER)})]
        for command in ("inspect", "tags"):
            reference = f"{registry.host}/a" + (":1" if command == "inspect" else "")
            said = dockless(command, reference, "--retry-time", "0")
            assert said.out or said.err
            assert_harmless(said.out + said.err)

    @pytest.mark.parametrize(
        "challenge", ['Bearer realm="{}"', 'Bearer realm="http://127.0.0.2/{}"', "{}", 'Basic realm="{}"']
    )
    def test_challenges(self, dockless, registry, challenge):
        headers = {"WWW-Authenticate": challenge.format(IN_HEADER)}
        registry.faults = [Fault("* get", status=401, headers=headers)]
        said = dockless("inspect", f"{registry.host}/a:1", "--retry-time", "0", "--explain-auth")
        assert said.status == 1
        assert_harmless(said.err)

    @pytest.mark.parametrize("location", ["/{}", "http://127.0.0.2:9/{}", "{}", "http://{}/", "ftp://{}"])
    def test_redirects_in_the_log(self, start, registry, location):
        """In a process of its own: in this one, pytest formats the records."""
        image = make_image(b"one")
        registry.put_manifest("a", image.manifest.raw, image.manifest.media_type, "1")
        headers = {"Location": location.format(IN_HEADER)}
        registry.faults = [Fault("blob get", status=307, headers=headers)]
        process = start("inspect", f"{registry.host}/a:1", "--config", "-v", "--debug", "--retry-time", "0")
        out, err = process.communicate(timeout=60)
        assert process.returncode == 1 and b"dockless.registry: GET http" in err and b"Traceback" in err
        assert_harmless(out.decode() + err.decode())

    @pytest.mark.parametrize(
        "line", [b"HTTP/1.1 500 {}\r\n\r\n", b"HTTP/1.1 {}\r\n\r\n", b"HTTP/1.1 200 OK\r\n{}\r\n\r\n"]
    )
    def test_responses_that_are_no_http(self, dockless, line):
        def answer(connection):
            # Not TLS, with which the client goes on.
            if connection.recv(1, socket.MSG_PEEK) != b"\x16" and head_of(connection):
                connection.sendall(line.replace(b"{}", IN_HEADER.encode()))

        with raw_server(answer) as host:
            said = dockless("inspect", f"{host}/a:1", "--retry-time", "0", "--debug")
        assert said.status == 1
        assert_harmless(said.err)


class TestSourcesAndArguments:
    @TEXTS
    def test_warnings_of_names_of_files(self, start, tmp_path, text):
        name = text.replace("/", "")
        source = tmp_path / "source"
        (source / name.upper()).parent.mkdir()
        (source / f"{name}x").write_text("")
        (source / f"{name}X").write_text("")
        process = start("build", "oci:out", "--add", "source:/bin")
        out, err = process.communicate(timeout=60)
        assert process.returncode == 0 and err.count(b"dockless: warning: ") == 2
        assert_harmless(out.decode() + err.decode())

    @TEXTS
    def test_names_of_files_in_errors(self, dockless, tmp_path, text):
        source = tmp_path / "source"
        source.mkdir()
        (source / f".wh.{text.replace('/', '')}").write_text("")
        os.symlink(f"../../../{text}", source / "link")
        for more in ((), ("--ignore", ".wh*")):
            said = dockless("build", "oci:out", "--add", "source:/x", *more)
            assert said.status == 1
            assert_harmless(said.err)

    @TEXTS
    def test_arguments(self, dockless, text):
        Path("file").write_text("")
        for arguments in (
            ("inspect", text),
            ("inspect", f"oci:{text}"),
            ("inspect", f"oci-archive:{text}"),
            ("inspect", f"localhost:1/a:{text}"),
            ("inspect", f"localhost:1/{text}"),
            ("inspect", f"{text}/a"),
            ("inspect", "a@" + text),
            ("tags", f"oci:{text}"),
            ("copy", "a", text),
            ("copy", "oci:l", f"oci:{text}/l"),
            ("build", "oci:l", "--add", text),
            ("build", "oci:l", "--add", f"{text}:/x"),
            ("build", "oci:l", "--label", text),
            ("build", "oci:l", "--env", text),
            ("build", "oci:l", "--cmd", text),
            ("build", "oci:l", "--platform", text),
            ("build", "oci:l", "--compression", text, "--add", "file:/x"),
            ("build", "oci:l", "--owner", text, "--add", "file:/x"),
            ("build", "oci:l", "--user", text),
            ("build", "oci:l", "--created", text),
            ("build", "oci:l", "--expose", text),
            ("build", "oci:l", "--whiteout", f"{text}/.."),
            ("build", "localhost:1/l", "--tag", text),
            ("build", "oci:l", "--format", text),
            ("build", "oci:l", f"--{text}"),
            ("build", "oci:l", "--jobs", text),
            ("inspect", "localhost:1/a", "--auth-file", text),
            ("inspect", "localhost:1/a", "--ca-file", text),
            ("inspect", "localhost:1/a", "--retry-time", text),
            ("serve", "--listen", text),
            ("serve", "--profile", text),
            ("serve", "--faults", text),
            (text,),
        ):
            said = dockless(*arguments)
            assert said.status in (1, 2) and len(said.err.splitlines()) == 1, arguments
            assert_harmless(said.err)

    @pytest.mark.parametrize("arguments", [("inspect", "a\x1b"), ("inspect", "a", "--platform", "a\x1b")])
    def test_text_in_quotes_is_escaped_once(self, dockless, arguments):
        err = dockless(*arguments).err
        assert "a\\x1b'" in err and "\\\\" not in err

    @TEXTS
    def test_errors_that_are_not_ours(self, dockless, monkeypatch, text):
        image = make_image(b"one")
        layout_of("l", image.manifest.descriptor, blobs=image.blobs, names=["v1"])

        def fail(*_):
            raise KeyError(text) from OSError(2, text)

        monkeypatch.setattr("dockless.image_tree.read_image", fail)
        for more in ((), ("--debug",)):
            said = dockless("inspect", "oci:l", *more)
            assert said.status == 1 and "internal error: KeyError" in said.err
            assert ("Traceback" in said.err) == bool(more)
            assert_harmless(said.err)

    @TEXTS
    def test_a_lockfile(self, text):
        base = {"digest": text, "media_type": text, "platforms": {text: {"manifest": text, "config": text}}}
        for document in ({text: text}, {"version": text}, {"version": 1, "bases": {text: base}}, {"bases": [text]}):
            with pytest.raises(InvalidDocumentError) as caught:
                Lockfile.from_bytes(json.dumps(document).encode(), text)
            assert_harmless(str(caught.value))


class TestCredentials:
    @TEXTS
    @pytest.mark.parametrize("output", ["stdout", "name", "path"])
    def test_helpers(self, dockless, registry, tmp_path, monkeypatch, text, output):
        home = tmp_path / (FILE_NAME if output == "path" else "config")
        home.mkdir()
        name = text if output == "name" else "evil"
        helper = tmp_path / "docker-credential-evil"
        helper.write_text(f"#!{sys.executable}\nimport sys\nsys.stdout.write({text!a})\nsys.exit(1)\n")
        helper.chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
        monkeypatch.setenv("DOCKER_CONFIG", str(home))
        config = {"credHelpers": {registry.host: name, text: text}} if output != "path" else {"auths": {text: {}}}
        (home / "config.json").write_text(json.dumps(config))
        said = dockless("inspect", f"{registry.host}/a:1", "--explain-auth", "--retry-time", "0")
        assert said.status == 1
        assert_harmless(said.err)
        (home / "config.json").write_text(f'{{"auths": {{"localhost:1": {{"auth": {json.dumps(text)}}}}}}}')
        assert_harmless(dockless("inspect", "localhost:1/a:1", "--retry-time", "0").err)


@TEXTS
def test_what_serve_prints(tmp_path, text):
    data = tmp_path / text.replace("/", "")
    for more in ((), ("--json",)):
        process = subprocess.Popen(
            [sys.executable, "-m", "dockless", "serve", "--listen", "127.0.0.1:0", "--data", str(data), *more],
            env={**os.environ, "PYTHONPATH": str(SOURCES)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        try:
            first = process.stdout.readline()
            while more and not first.endswith(b"}\n"):
                first += process.stdout.readline() or pytest.fail(first.decode())
            assert first
        finally:
            process.terminate()
            out, err = process.communicate(timeout=30)
        assert_harmless((first + out + err).decode())
        assert not more or json.loads(first + out)["data"] == str(data)
