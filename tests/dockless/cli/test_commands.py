import base64
import json
import os
import tarfile

import pytest
from made_images import Blobs, layout_of, make_image

from dockless.layout.oci_layout import OciLayout
from dockless.oci import media_types
from dockless.oci.descriptor import Descriptor
from dockless.oci.digest import Digest
from dockless.oci.manifest import make_index
from dockless.testing import BasicAuth, Fault, Registry, TokenAuth, User


@pytest.fixture
def image(tmp_path):
    image = make_image(b"one" * 500, b"two")
    layout_of(tmp_path / "base", image.manifest.descriptor, blobs=image.blobs, names=["v1"])
    return image


@pytest.fixture
def tree(tmp_path):
    (tmp_path / "src").mkdir()
    (tmp_path / "src/main.py").write_text("print('hello')\n")
    (tmp_path / "src/main.pyc").write_text("compiled")
    (tmp_path / "src/.dockerignore").write_text("secret*\n!secret.pub\n")
    (tmp_path / "src/secret.key").write_text("key")
    (tmp_path / "src/secret.pub").write_text("pub")


class TestBuild:
    ARGUMENTS = (
        *("--base", "oci:base:v1", "--add", "./src:/app", "--ignore", "*.pyc", "--ignore-file", ".dockerignore"),
        *("--entrypoint", '["python", "/app/main.py"]', "--cmd", '["-v"]', "--env", "PORT=8080"),
        *("--env", "PATH=$PATH:/app", "--workdir", "/app", "--user", "1000:1000", "--label", "a=b=c"),
        *("--expose", "8080", "--volume", "/data", "--stop-signal", "SIGINT", "--annotation", "k=v"),
        *("--tag", "1.2.3", "--tag", "latest"),
    )

    def test_the_main_example_in_one_line(self, dockless, registry, image, tree):
        result = dockless("build", f"{registry.host}/app", *self.ARGUMENTS)
        assert result.status == 0, result.err
        digest = registry.manifest("app", "latest").digest
        assert result.out.splitlines() == [f"{registry.host}/app:{tag}@{digest}" for tag in ("1.2.3", "latest")]
        config = json.loads(dockless("inspect", f"{registry.host}/app:1.2.3", "--config").out)["config"]
        assert config == {
            "Entrypoint": ["python", "/app/main.py"],
            "Cmd": ["-v"],
            "Env": ["PATH=/bin:/app", "PORT=8080"],
            "WorkingDir": "/app",
            "User": "1000:1000",
            "Labels": {"a": "b=c"},
            "ExposedPorts": {"8080/tcp": {}},
            "Volumes": {"/data": {}},
            "StopSignal": "SIGINT",
        }
        assert registry.manifest("app", "latest").raw.count(b'"k":"v"') == 1

    def test_ignored_files_are_not_in_the_layer(self, dockless, image, tree, tmp_path):
        dockless("build", "oci:out", *self.ARGUMENTS[:8], "--compression", "none")
        layout = OciLayout("out")
        top = layout.manifest(layout.root()).layers[-1]
        with layout.open(top) as blob:
            data = blob.read()
        names = {
            name for name in (b"main.py", b"main.pyc", b"secret.key", b"secret.pub") if b"app/" + name + b"\0" in data
        }
        assert names == {b"main.py", b"secret.pub"}

    def test_building_again_gives_the_same_digest_and_sends_nothing(self, dockless, registry, image, tree):
        first = dockless("build", f"{registry.host}/app", *self.ARGUMENTS, "--json").json
        for name in os.listdir("src"):
            os.utime(f"src/{name}", (1, 1))
        again = dockless("build", f"{registry.host}/app", *self.ARGUMENTS, "--json").json
        assert first["digest"] == again["digest"] and again["bytes_sent"] == 0
        assert first["platform"] == "linux/amd64" and len(first["layers"]) == 3

    def test_from_scratch_for_a_platform_in_a_format(self, dockless, tree):
        result = dockless(
            "build", "oci:out", "--add", "src:/", "--platform", "linux/arm64", "--format", "docker", "--json"
        )
        assert result.json["platform"] == "linux/arm64"
        assert "docker" in dockless("inspect", "oci:out", "--json").json["media_type"]

    def test_each_add_is_a_layer_and_a_whiteout_is_below_them(self, dockless, image, tree, tmp_path):
        """A whiteout removes a path of the base, not a file that is added."""
        adds = ("--add", "src/main.py:/a/", "--add", "src/main.py:/f0/new", "--whiteout", "/f0")
        layers = dockless("build", "oci:out", "--base", "oci:base", *adds, "--json").json["layers"]
        names = []
        for layer in layers[-3:]:
            with tarfile.open(tmp_path / "out/blobs/sha256" / layer[7:]) as tar:
                names.append(tar.getnames())
        assert len(layers) == 5 and names == [[".wh.f0"], ["a", "a/main.py"], ["f0", "f0/new"]]

    def test_an_empty_base_is_an_error(self, dockless, tree):
        """For example `--base "$BASE"` without the variable BASE."""
        assert dockless("build", "oci:out", "--base", "", "--add", "src:/").status == 1

    @pytest.mark.parametrize(
        ("arguments", "reason"),
        [
            (["--add", "src"], "argument --add: 'src' is not SRC:DEST; write, for example, ./src:/app"),
            (["--add", "src:app"], "the destination 'app' is not absolute"),
            (["--add", "nothere:/app"], "nothere"),
            (["--entrypoint", "python main.py"], "is neither one word nor a JSON list of strings"),
            (["--cmd", "[1]"], "is neither one word nor a JSON list of strings"),
            (["--compression", "bz2"], "'bz2' is not a compression"),
            (["--owner", "root"], "'root' is not an owner"),
            (["--ignore", "a" * 5000], "longer than 4096 bytes"),
            (["--directory", "tmp"], "the path 'tmp' is not absolute"),
            (["--directory", "/tmp:1999"], "'1999' is not a mode"),
            (["--directory", "/tmp:1777:root"], "'root' is not an owner"),
            (["--cmd", "[" * 5000 + "]" * 5000], "write, for example,"),
            (["--env", "PORT"], "has no '='"),
            (["--env", "PATH=$NOPE"], "$NOPE is not set"),
            (["--workdir", "app"], "the path 'app' is not absolute"),
            (["--platform", "linux"], "invalid platform"),
            (["--add", "src:/a", "--compression", "lzma"], "lzma"),
            (["--base", "oci:nothere"], "nothere"),
            (["--tag", "bad tag"], "bad tag"),
            (["--created", "now"], "is not a time"),
            (["--add", "src:/a", "--owner", "root"], "is not an owner"),
        ],
    )
    def test_wrong_values_are_one_line_and_write_nothing(self, dockless, tree, arguments, reason):
        result = dockless("build", "oci:out", *arguments)
        usage = result.err.startswith("dockless build: error: argument ")
        assert result.status == 1 + usage and reason in result.err
        assert usage or result.err.startswith("dockless: error: ")
        assert len(result.err.splitlines()) == 1
        assert not os.path.exists("out")

    def test_an_empty_image_must_be_allowed(self, dockless, image):
        assert dockless("build", "oci:out", "--label", "a=b").status == 2
        assert dockless("build", "oci:out", "--label", "a=b", "--allow-empty", "--json").json["layers"] == []
        assert dockless("build", "oci:out", "--base", "oci:base").status == 0

    @pytest.mark.parametrize(
        ("text", "value"),
        [("python3", ["python3"]), ("/app/server", ["/app/server"]), ('["a b", "c"]', ["a b", "c"]), ("[]", [])],
    )
    def test_arguments_are_one_word_or_a_list(self, dockless, image, text, value):
        dockless("build", "oci:out", "--base", "oci:base", f"--entrypoint={text}", f"--cmd={text}")
        config = dockless("inspect", "oci:out", "--json").json["config"]
        assert (config["Entrypoint"], config["Cmd"]) == (value, value)
        for bad in ("", " ", "a b", "'a'", '"a"', '{"a": 1}', "[a]"):
            assert "neither one word nor" in dockless("build", "oci:x", "--base", "oci:base", f"--cmd={bad}").err

    def test_directories(self, dockless, image, tmp_path):
        arguments = ("--directory", "/tmp:1777", "--directory", "/var/tmp", "--directory", "/d[a]/*:0700:1000:1001")
        layers = dockless("build", "oci:out", *arguments, "--json").json["layers"]
        with tarfile.open(tmp_path / "out/blobs/sha256" / layers[0][7:]) as tar:
            found = {member.name: (member.mode, member.uid, member.gid, member.isdir()) for member in tar}
        assert found == {
            "tmp": (0o1777, 0, 0, True),
            "var/tmp": (0o755, 0, 0, True),
            "d[a]": (0o755, 0, 0, True),
            "d[a]/*": (0o700, 1000, 1001, True),
        }

    def test_the_layers_of_a_docker_archive_are_compressed(self, dockless, registry, image, tree):
        """As by `copy`: two builds on the same base, one of them copied, share their layers."""
        dockless("copy", "oci:base:v1", "docker-archive:base.tar")
        built = dockless("build", f"{registry.host}/app:1", "--base", "docker-archive:base.tar", "--add", "src:/app")
        assert built.status == 0, built.err
        dockless("copy", "docker-archive:base.tar", f"{registry.host}/base:1")
        layers, base = (
            dockless("inspect", f"{registry.host}/{name}:1", "--json").json["layers"] for name in ("app", "base")
        )
        assert layers[:2] == base and {layer["media_type"].rpartition(".")[2] for layer in layers} == {"gzip"}
        assert dockless("verify", f"{registry.host}/app:1").status == 0
        assert dockless("build", "docker-archive:n.tar", "--base", "docker-archive:base.tar", "--json").json[
            "layers"
        ] == [layer["diff_id"] for layer in base]

    @pytest.mark.parametrize(
        ("arguments", "unused"),
        [
            (["--ignore", "*.nope"], ["--ignore '*.nope'"]),
            (["--ignore", "*.nope", "--ignore", "*.pyc", "--ignore", "*.nope"], ["--ignore '*.nope'"]),
            (["--ignore", "*.pyc", "--ignore", "!none.pyc", "--ignore", "# text"], ["--ignore '!none.pyc'"]),
            (["--ignore", "*.p*", "--ignore", "!main.pyc"], []),
            # The second pattern decides about all paths that match the first one.
            (["--ignore", "*.pyc", "--ignore", "!main.pyc"], ["--ignore '*.pyc'"]),
            # A pattern and a file name that only one of the sources has.
            (["--ignore", "secret.pub", "--add", "other:/b", "--ignore", "of-other"], []),
            (["--ignore-file", ".dockerignore", "--add", "other:/b"], []),
            (["--ignore-file", ".nope", "--ignore-file", ".dockerignore"], ["--ignore-file '.nope'"]),
            # Without a directory that the patterns apply to.
            (["--ignore", "main.py", "--add", "src/main.py:/f"], []),
        ],
    )
    def test_ignore_rules_without_an_effect_are_a_warning(self, dockless, tree, tmp_path, arguments, unused, caplog):
        (tmp_path / "other").mkdir()
        (tmp_path / "other/of-other").touch()
        (tmp_path / "other/file").touch()
        assert dockless("build", "oci:out", "--add", "src:/a", *arguments).status == 0
        warned = [line.partition(" has no effect: ") for line in caplog.messages]
        assert [option for option, found, _ in warned if found] == unused

    def test_ignore_rules_have_no_effect_on_a_file_that_is_named(self, dockless, tree, caplog):
        dockless("build", "oci:out", "--add", "src/main.py:/f", "--ignore", "main.py")
        assert "--ignore 'main.py' has no effect" in caplog.text

    @pytest.mark.parametrize(
        ("arguments", "reason"),
        [
            (["--env", "PATH=$NOPE"], "invalid --env: $NOPE is not set in the base"),
            (["--add", "src:/../a"], "argument --add: the path '/../a' contains '..'"),
            (["--whiteout", "/a", "--whiteout", "/a"], "two sources for /.wh.a: --whiteout and --whiteout"),
            (["--add", "src:/.wh.a"], "rename the file, or use --whiteout"),
            (["--expose", "x"], "argument --expose: 'x' is not a port"),
            (["--volume", "x"], "argument --volume: the path 'x' is not absolute"),
        ],
    )
    def test_errors_name_options(self, dockless, image, tree, arguments, reason):
        err = dockless("build", "oci:out", "--base", "oci:base", *arguments).err
        assert reason in err and "`" not in err.replace("`.wh.`", "")

    def test_layers_are_not_added_to_an_image_for_windows(self, dockless, tree, tmp_path):
        base = make_image(b"x", config={"os": "windows"})
        layout_of(tmp_path / "windows", base.manifest.descriptor, blobs=base.blobs)
        result = dockless("build", "oci:out", "--base", "oci:windows", "--add", "src:/a")
        assert (result.status, os.path.exists("out")) == (1, False)
        assert "cannot add a layer to an image for Windows: layers are built for Linux" in result.err


class TestDigest:
    def test_of_an_image_on_disk_and_in_a_registry(self, dockless, registry, image):
        assert dockless("digest", "oci:base").out == f"{image.manifest.digest}\n"
        dockless("copy", "oci:base:v1", f"{registry.host}/app:1")
        assert dockless("digest", f"{registry.host}/app:1", "--json").json == {
            "source": f"{registry.host}/app:1",
            "digest": image.manifest.digest,
            "media_type": image.manifest.media_type,
        }
        registry.reset_requests()
        dockless("digest", f"{registry.host}/app:1")
        assert [request.operation for request in registry.requests] == ["ping get", "manifest get"]
        assert "404" in dockless("digest", f"{registry.host}/app:2").err

    def test_of_an_index_and_of_its_images(self, dockless, tmp_path):
        blobs = Blobs()
        images = [make_image(name.encode(), architecture=name, blobs=blobs) for name in ("amd64", "arm64")]
        index = make_index([image.documents.descriptor for image in images])
        blobs.put(index.raw)
        layout_of(tmp_path / "many", index.descriptor, blobs=blobs)
        assert dockless("digest", "oci:many").out.strip() == index.digest
        arm = dockless("digest", "oci:many", "--platform", "linux/arm64").out.strip()
        assert arm == images[1].manifest.digest
        assert "s390x" in dockless("digest", "oci:many", "--platform", "linux/s390x").err


class TestRepositories:
    def test_all_pages_are_printed_one_name_per_line(self, dockless, registry):
        names = sorted(f"team-{n % 3}/app{n:03}" for n in range(230))
        for name in names:
            registry.put_blob(name, b"x")
        assert dockless("repositories", registry.host).out.splitlines() == names
        found = dockless("repositories", f"{registry.host}/", "--json").json
        assert found == {"registry": registry.host, "repositories": names}

    def test_a_registry_that_does_not_list(self, dockless, registry):
        registry.faults = [Fault("catalog get", status=404)]
        err = dockless("repositories", registry.host).err
        assert err.startswith(f"dockless: error: {registry.host} does not list its repositories: GET http://")
        assert "/v2/_catalog: 404" in err and err.endswith("or name a repository\n") and err.count("\n") == 1

    def test_a_user_who_may_not_list(self, dockless, tmp_path):
        users = [User("all", "p"), User("one", "p", repositories="one/*")]
        for auth in (BasicAuth(users), TokenAuth(users)):
            with Registry(auth=auth) as registry:
                registry.put_blob("one/app", b"x")
                for name in ("all", "one"):
                    (tmp_path / name).write_text(
                        json.dumps({"auths": {registry.host: {"username": name, "password": "p"}}})
                    )
                assert dockless("repositories", registry.host, "--auth-file", "all").out == "one/app\n"
                denied = dockless("repositories", registry.host, "--auth-file", "one")
                assert denied.status == 1 and "only for administrators" in denied.err and denied.err.count("\n") == 1


class TestCopy:
    def test_text(self, dockless, registry, image):
        result = dockless("copy", "oci:base:v1", f"{registry.host}/app:1", "--tag", "2")
        assert result.out.splitlines() == [f"{registry.host}/app:{n}@{image.manifest.digest}" for n in (1, 2)]
        assert f"{image.manifest.layers[0].digest} sent" in result.err
        assert result.err.splitlines()[-1].startswith("3 blobs sent (")

    def test_quiet_prints_only_the_result(self, dockless, registry, image):
        result = dockless("copy", "oci:base:v1", f"{registry.host}/app:1", "-q")
        assert result.err == "" and len(result.out.splitlines()) == 1

    def test_json_is_one_object(self, dockless, registry, image):
        found = dockless("copy", "oci:base:v1", f"{registry.host}/app:1", "--json").json
        assert found["digest"] == image.manifest.digest and found["blobs_sent"] == 3

    def test_two_registries_with_two_sets_of_credentials(self, dockless, image, tmp_path):
        with Registry(auth=BasicAuth([User("a", "pa")])) as one, Registry(auth=BasicAuth([User("b", "pb")])) as two:
            auths = {one.host: {"username": "a", "password": "pa"}, two.host: {"username": "b", "password": "pb"}}
            (tmp_path / "auth.json").write_text(json.dumps({"auths": auths}))
            dockless("copy", "oci:base:v1", f"{one.host}/app:1", "--auth-file", "auth.json")
            result = dockless(
                "copy", f"{one.host}/app:1", f"{two.host}/app:1", "--auth-file", "auth.json", "--explain-auth"
            )
            assert result.status == 0, result.err
            assert two.manifest("app", "1").digest == image.manifest.digest
            assert f"{one.host}/app: used auth.json" in result.err and "pa" not in result.err.replace("pants", "")
            denied = dockless("copy", f"{one.host}/app:1", "oci:x", "--explain-auth")
            assert denied.status == 1 and "no credentials were found" in denied.err

    def test_platforms(self, dockless, tmp_path):
        blobs = Blobs()
        images = [make_image(name.encode(), architecture=name, blobs=blobs) for name in ("amd64", "arm64")]
        index = make_index([image.documents.descriptor for image in images])
        blobs.put(index.raw)
        layout_of(tmp_path / "many", index.descriptor, blobs=blobs)
        assert dockless("copy", "oci:many", "oci:all", "--all-platforms", "--json").json["digest"] == index.digest
        arm = dockless("copy", "oci:many", "oci:arm", "--platform", "linux/arm64", "--json").json
        assert arm["digest"] == images[1].manifest.digest
        both = dockless("copy", "oci:many", "oci:x", "--platform", "linux/arm64", "--all-platforms")
        assert both.status == 2 and "cannot be combined" in both.err
        shown = dockless("inspect", "oci:all", "--json").json
        assert [m["platform"] for m in shown["manifests"]] == ["linux/amd64", "linux/arm64"]
        assert dockless("inspect", "oci:all", "--platform", "linux/arm64", "--json").json["digest"] == arm["digest"]


class TestInspect:
    def test_digest_platform_layers_and_config_are_shown(self, dockless, image):
        found = dockless("inspect", "oci:base", "--json").json
        assert found["digest"] == image.manifest.digest and found["platform"] == "linux/amd64"
        assert [layer["diff_id"] for layer in found["layers"]] == list(image.documents.config.diff_ids)
        text = dockless("inspect", "oci:base").out
        assert f"digest: {image.manifest.digest}" in text and "Env: 'PATH=/bin'" in text
        (header, *rows) = text.partition("layers:\n")[2].splitlines()[: 1 + len(image.manifest.layers)]
        assert header.split() == ["digest", "size", "media_type", "diff_id"]
        assert [row.split() for row in rows] == [[str(cell) for cell in layer.values()] for layer in found["layers"]]
        # Columns begin below their names.
        assert {row.index("sha256:", 20) for row in rows} == {header.index("diff_id")}

    def test_an_index_is_a_table(self, dockless, image, tmp_path):
        child = image.manifest.descriptor
        (tmp_path / "base/index.json").write_text(make_index([child, child._replace(platform=None)]).raw.decode())
        raw = (tmp_path / "base/index.json").read_bytes()
        digest = Digest.of(raw)
        (tmp_path / "base/blobs/sha256" / digest.hex).write_bytes(raw)
        (tmp_path / "base/index.json").write_bytes(
            make_index([Descriptor(media_types.OCI_INDEX, digest, len(raw))]).raw
        )
        lines = dockless("inspect", "oci:base").out.partition("manifests:\n")[2].splitlines()
        assert [line.split() for line in lines] == [
            ["digest", "size", "platform"],
            [child.digest, str(child.size), str(child.platform or "-")],
            [child.digest, str(child.size), "-"],
        ]

    def test_ports_and_volumes_are_shown_as_names(self, dockless, tree):
        dockless("build", "oci:out", "--add", "src:/", "--expose", "8080", "--volume", "/data")
        text = dockless("inspect", "oci:out").out
        assert "ExposedPorts: '8080/tcp'" in text and "Volumes: '/data'" in text

    def test_surrogates_are_escaped(self, dockless, tmp_path, monkeypatch):
        image = make_image(b"x", config={"config": {"Labels": {"odd": "caf\u00e9 \ud800"}}})
        layout_of(tmp_path / "odd", image.manifest.descriptor, blobs=image.blobs)
        assert dockless("inspect", "oci:odd", "--json").json["config"]["Labels"]["odd"] == "caf\u00e9 \ud800"

    def test_raw_output_is_unchanged(self, dockless, image):
        assert dockless("inspect", "oci:base", "--raw").out.encode() == image.manifest.raw
        assert dockless("inspect", "oci:base", "--config").out.encode() == image.documents.config_bytes

    def test_control_characters_are_escaped(self, dockless, tmp_path):
        image = make_image(b"x", config={"config": {"Labels": {"evil": "\x1b]0;owned\x07"}}})
        layout_of(tmp_path / "evil", image.manifest.descriptor, blobs=image.blobs)
        assert "\x1b" not in dockless("inspect", "oci:evil").out

    def test_output_forms_are_mutually_exclusive(self, dockless, image):
        assert dockless("inspect", "oci:base", "--raw", "--json").status == 2


class TestTags:
    def test_all_pages_are_printed_one_tag_per_line(self, dockless, registry, image):
        for n in range(250):
            registry.put_manifest("app", image.manifest.raw, image.manifest.media_type, f"t{n}")
        result = dockless("tags", f"{registry.host}/app")
        assert set(result.out.split()) == {f"t{n}" for n in range(250)}
        found = dockless("tags", f"{registry.host}/app", "--json").json
        assert found["repository"] == f"{registry.host}/app" and len(found["tags"]) == 250

    def test_errors(self, dockless, registry):
        assert "NAME_UNKNOWN" in dockless("tags", f"{registry.host}/nope").err
        assert "names one image" in dockless("tags", f"{registry.host}/nope:1").err


class TestVerify:
    def test_valid_and_damaged_images(self, dockless, image, tmp_path):
        right = dockless("verify", "oci:base")
        assert (right.status, right.out) == (0, "") and "no problems found in 1 manifest, 3 blobs" in right.err
        layer = tmp_path / "base/blobs/sha256" / image.manifest.layers[0].digest.hex
        layer.write_bytes(b"x" + layer.read_bytes()[1:])
        wrong = dockless("verify", "oci:base", "-q")
        assert wrong.status == 1 and f"the blob {image.manifest.layers[0].digest} is damaged" in wrong.out
        assert wrong.err.startswith("dockless: error: oci:base is not valid: 3 problems found")
        # A layer that is not valid is not called verified.
        damaged, other = (each.digest for each in image.manifest.layers)
        lines = dockless("verify", "oci:base").err.splitlines()
        assert {line for line in lines if line.startswith("sha256:")} == {
            f"{damaged} is not valid ({len(layer.read_bytes())} B)",
            f"{other} verified ({image.manifest.layers[1].size} B)",
        }
        found = dockless("verify", "oci:base", "--json")
        assert found.status == 1 and found.json["digests"] == [image.manifest.digest] and found.json["problems"]


class TestErrors:
    def test_usage(self, dockless):
        for arguments in ((), ("nope",), ("copy",), ("copy", "a", "b", "--nope"), ("copy", "a", "b", "--all")):
            result = dockless(*arguments)
            assert result.status == 2 and "usage: dockless" in result.err

    def test_a_traceback_only_with_debug(self, dockless):
        result = dockless("inspect", "oci:nothere")
        assert result.status == 1 and result.err.splitlines() == [result.err.strip()]
        debugged = dockless("inspect", "oci:nothere", "--debug")
        lines = debugged.err.splitlines()
        assert debugged.status == 1 and lines[-1] == result.err.strip()
        assert lines[0] == "Traceback (most recent call last):" and any("in run" in line for line in lines)

    def test_an_internal_error_is_one_line(self, dockless, image, monkeypatch):
        monkeypatch.setattr("dockless.image_tree.read_image", lambda *_: 1 / 0)
        result = dockless("inspect", "oci:base")
        assert result.status == 1
        assert result.err == (
            "dockless: error: internal error: ZeroDivisionError: division by zero; run the command again with --debug "
            "for a traceback\n"
        )

    def test_jobs(self, dockless, image, registry):
        assert (
            "'0' is not a number from 1 to 64" in dockless("copy", "oci:base", f"{registry.host}/a", "--jobs", "0").err
        )
        assert dockless("copy", "oci:base", f"{registry.host}/a", "--jobs", "x").status == 2


def test_help_of_each_command_has_an_example(dockless):
    overview = dockless("--help").out
    for command in ("build", "copy", "inspect", "tags", "verify", "serve"):
        assert f"\n    {command} " in overview
        text = dockless(command, "--help").out
        assert f"example:\n  dockless {command} " in text
        for option in ("--json", "-q", "--debug"):
            assert option in text
        for option in ("--insecure", "--ca-file", "--auth-file", "--explain-auth", "-v"):
            # `serve` does not connect to registries.
            assert (f"  {option} " in text or f"  {option}, " in text or f"  {option}\n" in text) == (
                command != "serve"
            )


def test_verbose_logs_requests_and_no_secret(start, image, tmp_path):
    """A separate process, because pytest configures the logging of this process."""
    with Registry(auth=BasicAuth([User("a", "hunter2hunter2")])) as registry:
        (tmp_path / "auth.json").write_text(
            json.dumps({"auths": {registry.host: {"username": "a", "password": "hunter2hunter2"}}})
        )
        process = start("copy", "oci:base", f"{registry.host}/app:1", "-v", "--auth-file", "auth.json")
        out, err = (output.decode() for output in process.communicate(timeout=60))
        assert process.returncode == 0, err
        assert f"PUT http://{registry.host}/v2/app/manifests/1: 201" in err
        packed = base64.b64encode(b"a:hunter2hunter2").decode()
        assert "hunter2" not in err + out and packed not in err + out
        assert image.manifest.digest in out
