"""Usage errors: one line says what failed, where, why and what to do, and no output is written."""

import os
import signal
import subprocess
import sys
from argparse import Namespace

import pytest

from dockless import Descriptor, Digest, ProgressEvent
from dockless.cli._progress import progress_of
from dockless.testing import Registry

DIGEST = "sha256:" + "a" * 64
# The arguments, with REG for a registry that has `app:1`, and a part of the error line.
USAGE = [
    ("", "required: COMMAND; usage: dockless --help"),
    ("bild", "unknown command 'bild' (did you mean build?); the commands are build, copy, inspect, digest, tags"),
    ("build oci:n -t 1.0 --add tree:/", "unrecognized arguments: -t 1.0 (did you mean --tag?)"),
    ("build -f Dockerfile oci:n", "(Dockerfiles are not read; --add, --env and other options describe the image)"),
    ("tags -t 1.0 REG/app", "unrecognized arguments: -t "),
    ("push oci:o REG/n", "`dockless copy SOURCE DESTINATION` pushes, as in: dockless copy oci:DIR REGISTRY/REPOSITORY"),
    ("pull REG/app", "`dockless copy SOURCE DESTINATION` pulls, as in: dockless copy REGISTRY/REPOSITORY:TAG oci:DIR"),
    ("ls REG", "unknown command 'ls'; `dockless tags REPOSITORY` lists tags, `dockless repositories REGISTRY` lists"),
    ("list REG", "`dockless tags REPOSITORY` lists tags, `dockless repositories REGISTRY` lists repositories"),
    (
        "login REG",
        "log in with `docker login` or `podman login`, whose credentials are used, or give",
    ),
    ("save REG/app", "saves, as in: dockless copy REGISTRY/REPOSITORY:TAG docker-archive:FILE"),
    ("load -i x.tar", "reads archives, as in: dockless copy docker-archive:FILE REGISTRY/REPOSITORY:TAG"),
    ("tag REG/app:1 REG/app:2", "tags, as in: dockless copy REGISTRY/REPOSITORY:OLD REGISTRY/REPOSITORY:NEW"),
    ("rm REG/app:1", "no command deletes: delete images with the web page or the API of the registry, a layout with"),
    ("", "the following arguments are required: COMMAND"),
    ("build oci:n", "the image would be empty; give --base, --add or --directory, or --allow-empty; usage: dockless"),
    ("build oci:n --label a=b --tag v1", "the image would be empty"),
    ("build oci:n --whiteout /etc/old", "the image would be empty"),
    ("build", "required: DESTINATION; usage: dockless build --help"),
    ("copy oci:o", "required: DESTINATION; usage: dockless copy --help"),
    ("copy oci:o oci:p oci:q", "the source oci:q has no destination; usage: dockless copy --help"),
    ("inspect oci:o --nope", "unrecognized arguments: --nope; usage: dockless inspect --help"),
    ("--json inspect oci:o", "unrecognized arguments: --json; usage: dockless --help"),
    ("inspect oci:o --raw --config", "--raw, --config and --json cannot be combined"),
    ("copy oci:o oci:p --platform linux/arm64 --all-platforms", "--platform and --all-platforms cannot be combined"),
    ("build oci:n --format v2s2", "invalid choice: 'v2s2'"),
    ("build oci:n --jobs many", "argument --jobs: 'many' is not a number from 1 to 64"),
    ("build oci:n --add tree", "argument --add: 'tree' is not SRC:DEST; write, for example, ./src:/app"),
    ("build oci:n --add tree:app", "argument --add: the destination 'app' is not absolute; begin the path with /"),
    ("build oci:n --env A", "argument --env: 'A' has no '='; write NAME=VALUE"),
    (
        "build oci:n --entrypoint [python]",
        "argument --entrypoint: '[python]' is neither one word nor a JSON list of strings; write, for example, python",
    ),
    ("build oci:n --expose 99999", "'99999' is not a port; write 1 to 65535"),
    ("build oci:n --workdir w", "argument --workdir: the path 'w' is not absolute; begin the path with /"),
    ("build oci:n --add tree:/app --owner root", "'root' is not an owner; write uid:gid in digits"),
    ("build oci:n --add tree:/a/../b", "argument --add: the path '/a/../b' contains '..'"),
    ("build oci:n --add tree:/a/.wh.b", "argument --add: the name '.wh.b' starts with `.wh.`"),
    (f"build oci:n --add tree:/{'n' * 256}", "has 256 bytes: the limit is 255; shorten the name"),
    ("build oci:n --directory /.wh..wh..opq", "argument --directory: the name '.wh..wh..opq' starts with `.wh.`"),
    (f"build oci:n --directory /{'n/' * 2100}", "has 4199 bytes: the limit is 4095; shorten the path"),
    ("build oci:n --add tree:/app --compression lzma", "'lzma' is not a compression; write one of gzip"),
    ("build oci:n --created yesterday", "'yesterday' is not a time; write a time as in RFC 3339"),
    ("build oci:n --platform windows", "invalid platform 'windows'; write os/architecture"),
    ("build oci:n --whiteout /", "argument --whiteout: '/' is the root directory of the image; use paths below /"),
    ("copy oci:o REG/n --jobs 0", "argument --jobs: '0' is not a number from 1 to 64"),
    ("serve --listen 5000", "invalid address '5000'; write HOST:PORT with a port from 0 to 65535"),
    ("serve --profile none", "unknown registry profile 'none'; the profiles are strict"),
    ("build oci:n --env =x", "argument --env: '=x' has no name; write NAME=VALUE"),
    ("build oci:n --label =x", "argument --label: '=x' has no name; write NAME=VALUE"),
    ("build oci:n --annotation =x", "argument --annotation: '=x' has no name; write NAME=VALUE"),
    ("build oci:n --whiteout etc", "argument --whiteout: the path 'etc' is not absolute; begin the path with /"),
    (
        "build oci:n --ignore-file a/b",
        "argument --ignore-file: 'a/b' is not the name of a file; write the name without",
    ),
    ("build oci:n --compression gzip:06", "argument --compression: gzip has no level '06'; write 1 to 12"),
    ("inspect oci:o --platform foo", "argument --platform: invalid platform 'foo'; write os/architecture"),
    ("verify oci:o --jobs 65", "argument --jobs: '65' is not a number from 1 to 64"),
    ("serve --listen 127.0.0.1:99999", "argument --listen: invalid address '127.0.0.1:99999'; write HOST:PORT with a"),
    ("serve --insecure", "unrecognized arguments: --insecure"),
    ("tags REG/n --retry-time soon", "argument --retry-time: 'soon' is not a number of seconds"),
    ("tags REG/n --retry-time=-1", "argument --retry-time: '-1' is not a number of seconds"),
    ("tags REG/n --retry-time inf", "argument --retry-time: 'inf' is not a number of seconds"),
    ("inspect oci:o --platform", "argument --platform: expected one argument"),
]
FAILURES = [
    ("build oci:n --add nope:/app", "cannot read nope: No such file or directory; check the path"),
    ("build oci:n --add tree:/app --tag=", "'' is not a valid image name in a layout; write letters"),
    ("build REG/n --add tree:/app --tag=", "invalid tag ''; write 1 to 128 characters of"),
    ("build REG/n --add tree:/app --tag a/b", "invalid tag 'a/b'; write 1 to 128 characters of"),
    ("build REG/N --add tree:/app", "invalid repository 'N'; write it in lower case: n"),
    ("build https://REG/n --add tree:/app", "remove https://"),
    ("build dir:n --add tree:/app", "unsupported location 'dir:n'; write a registry reference, oci:DIR"),
    ("build oci: --add tree:/app", "has no valid path; write"),
    ("inspect docker-daemon:n:1", "run `docker save -o FILE IMAGE`, and write docker-archive:FILE"),
    ("inspect oci-layout:o", "unsupported location 'oci-layout:o'; write oci:DIR[:TAG]"),
    ("inspect file:o.tar", "unsupported location 'file:o.tar'; write a registry reference, oci:DIR"),
    (
        "build ./n --add tree:/app",
        "'./n' is a path, not a reference; for an OCI layout write oci:./n, for an archive of docker save write",
    ),
    (
        "copy oci:o /nowhere/n",
        "'/nowhere/n' is a path, not a reference; for an OCI layout write oci:/nowhere/n, for an",
    ),
    ("inspect ../tree", "'../tree' is a path, not a reference; for an OCI layout write oci:../tree, for an archive of"),
    (
        "build oci:tree --add tree:/app",
        "the directory has other content (tree is not an OCI layout); choose another path",
    ),
    ("build oci:tree/f --add tree:/app", "it is a file; choose another path"),
    ("build oci-archive:tree --add tree:/app", "cannot write tree: it is a directory; choose another path"),
    (
        "build docker-archive:n.tar --add tree:/app --tag 1",
        "docker-archive:n.tar has none; write docker-archive:FILE:NAME",
    ),
    ("build oci:n --base REG/none:1", "404: MANIFEST_UNKNOWN manifest unknown; check the repository and the tag"),
    ("build oci:n --base oci:none", "cannot read none/oci-layout: No such file or directory; check the path"),
    ("build oci:n --base oci-archive:none", "cannot read none: No such file or directory; check the path"),
    (
        "build oci:n --base docker-archive:tree/f",
        "tree/f is not a tar archive, or is truncated: the tar header at byte 0 is incomplete",
    ),
    ("copy oci:o REG/n --auth-file nope", "the auth file nope does not exist; check the path"),
    ("copy oci:o REG/n --ca-file nope", "cannot use the CA file nope: No such file or directory; name a PEM file"),
    ("copy oci:o:v2 oci:n", "o has no image with the name 'v2': it has v1"),
    ("copy oci:o oci:n --platform linux/arm64", "oci:o has no image for linux/arm64: its platform is linux/amd64"),
    (f"copy oci:o REG/n@{DIGEST}", "the digest of the image is sha256:"),
    ("inspect REG/app@sha256:12", "invalid digest 'sha256:12'; write `sha256:` and 64 lower-case hex digits"),
    ("inspect user:secret@REG/app", "remove the user and password, and log in instead"),
    ("tags oci:o", "oci:o is not in a registry; `dockless inspect oci:o` shows images on disk"),
    ("tags REG/app:1", "names one image; write REGISTRY/REPOSITORY, such as"),
    (
        "tags localhost:5000",
        "'localhost:5000' names a registry, and no repository; write REGISTRY/REPOSITORY[:TAG]; `dockless repositories",
    ),
    ("tags ghcr.io", "`dockless repositories ghcr.io` lists the repositories"),
    ("tags [::1]:5000", "'[::1]:5000' names a registry, and no repository"),
    ("inspect localhost", "'localhost' names a registry, and no repository"),
    ("inspect docker://localhost:5000", "'localhost:5000' names a registry, and no repository"),
    ("copy oci:o localhost:5000", "'localhost:5000' names a registry, and no repository"),
    ("repositories localhost:5000/app", "write the registry alone, localhost:5000; `dockless tags localhost:5000/app`"),
    ("repositories https://localhost:5000", "; remove https://"),
    ("repositories user:secret@localhost:5000", "remove the user and password, and log in instead"),
    ("inspect user.name:secret@REG", "invalid digest"),
    ("copy user.name:secret@REG/x oci:n", "remove the user and password, and log in instead"),
    ("copy oci:o user.name:secret@REG", "invalid digest"),
    ("tags REG/none", "NAME_UNKNOWN repository name not known to registry; check the repository name"),
    ("serve --listen 0.0.0.0:0", "listen on 127.0.0.1, or allow it with --any-address"),
    ("serve --listen REG", "Address already in use; choose another port; 0 selects a free one"),
    ("serve --listen 127.0.0.1:0 --data tree/f", "cannot keep a registry in tree/f: File exists; name a directory"),
    (
        "serve --listen 127.0.0.1:0 --data tree",
        "tree is not empty and does not contain a registry; name an empty directory",
    ),
    ("serve --faults none", "cannot read the faults of none: No such file or directory"),
]


@pytest.fixture(scope="module")
def filled():
    """One registry for all tests. Only `app` is in the registry."""
    with Registry() as registry:
        yield registry


@pytest.fixture
def files(dockless, filled, tmp_path):
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree/f").write_text("x")
    assert dockless("build", "oci:o:v1", "--add", "tree:/app").status == 0
    assert dockless("copy", "oci:o", f"{filled.host}/app:1").status == 0
    return {path for path in tmp_path.rglob("*") if "home" not in path.parts}


def typed(dockless, filled, line):
    return dockless(*line.replace("REG", filled.host).split())


@pytest.mark.parametrize(("line", "says"), FAILURES, ids=[line for line, _ in FAILURES])
def test_failures(dockless, filled, files, tmp_path, line, says):
    result = typed(dockless, filled, line)
    assert (result.status, result.out) == (1, "")
    assert result.err.startswith("dockless: error: ") and result.err.count("\n") == 1
    assert says in result.err and "internal error" not in result.err and "secret" not in result.err
    assert {path for path in tmp_path.rglob("*") if "home" not in path.parts} == files
    assert (filled.repositories(), set(filled.tags("app"))) == (["app"], {"1"})


@pytest.mark.parametrize(("line", "says"), USAGE, ids=[line for line, _ in USAGE])
def test_usage(dockless, filled, line, says):
    result = typed(dockless, filled, line)
    assert (result.status, result.out) == (2, "")
    assert result.err.startswith("dockless") and result.err.count("\n") == 1
    assert says in result.err and result.err.endswith(" --help\n")


def test_the_error_for_a_docker_hub_name_mentions_a_local_path(dockless, monkeypatch, files, filled, tmp_path):
    """A name without a registry is a name on Docker Hub. If that fails, the user may have meant a local file."""
    from dockless.errors import RegistryError
    from dockless.registry import RegistryClient

    def refuse(*_):
        raise RegistryError("GET https://docker.io/", cause="404")

    monkeypatch.setattr(RegistryClient, "get_manifest", refuse)
    (tmp_path / "u").mkdir()
    assert "to read the local directory u, write oci:u\n" in dockless("verify", "u").err
    assert "; to read the local directory tree" in dockless("build", "oci:n", "--base", "tree").err
    assert "to read the local" not in dockless("verify", "elsewhere").err


# The name of the file or directory, whether there is one, and the end of the error.
AN_ARCHIVE = "for an archive of docker save write docker-archive:{0}, of an OCI layout oci-archive:{0}\n"
A_LAYOUT = "for an OCI layout write oci:{0}\n"


@pytest.mark.parametrize(
    ("name", "content", "hint"),
    [
        ("hello.tar", None, AN_ARCHIVE),
        ("hello.tar", b"x", AN_ARCHIVE),
        ("./x.tar", None, AN_ARCHIVE),
        ("./x", None, A_LAYOUT[:-1] + ", " + AN_ARCHIVE),
        ("./x.tar", b"x", AN_ARCHIVE),
        ("hello.tgz", b"x", AN_ARCHIVE),
        ("dist/hello.tar.zst", b"x", AN_ARCHIVE),
        ("hello.tar:1.0", None, AN_ARCHIVE),
        ("hello:x.tar", None, A_LAYOUT[:-1] + ", " + AN_ARCHIVE),
        ("hello", b"\0" * 257 + b"ustar", AN_ARCHIVE),
        ("dist.d/hello", b"\x1f\x8b", AN_ARCHIVE),
        ("./layout", "layout", A_LAYOUT),
        ("layout", "layout", A_LAYOUT),
        ("dist/layout", "layout", A_LAYOUT),
    ],
)
@pytest.mark.parametrize("command", ["inspect", "verify", "digest", "copy", "build"])
def test_a_path_is_not_looked_for_on_docker_hub(dockless, monkeypatch, tmp_path, name, content, hint, command):
    monkeypatch.setattr("dockless.registry.client.RegistryClient.get_manifest", lambda *_: pytest.fail("a request"))
    path = tmp_path / name
    if content == "layout":
        path.mkdir(parents=True)
        (path / "oci-layout").write_text("{}")
    elif content is not None:
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)
    arguments = {"copy": (name, "oci:n"), "build": ("oci:n", "--base", name)}.get(command, (name,))
    result = dockless(command, *arguments)
    assert result.status == 1
    assert result.err == f"dockless: error: '{name}' is a path, not a reference; {hint.format(name)}"


@pytest.mark.parametrize("name", ["python", "acme/app", "alpine:3.20", "docker.io/acme/hello.tar", "ghcr.io/a/b.tar"])
def test_a_name_is_a_reference_although_a_file_or_directory_has_it(dockless, monkeypatch, tmp_path, name):
    from dockless.errors import RegistryError

    def refuse(*_):
        raise RegistryError("a request was sent")

    monkeypatch.setattr("dockless.registry.client.RegistryClient.get_manifest", refuse)
    (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / name).write_text("#!/bin/sh\n")
    assert "a request was sent" in dockless("inspect", name).err


def in_a_shell(line):
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    # Newer versions of argparse ignore an error that occurs while the help is written.
    environment.pop("PYTHONUNBUFFERED", None)
    return subprocess.run(
        ["bash", "-c", line.replace("dockless", f"'{sys.executable}' -m dockless")],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
    )


@pytest.mark.parametrize("line", ["dockless --version", "dockless build --help", "dockless inspect oci:o --raw"])
def test_a_full_disk(files, line):
    result = in_a_shell(f"{line} > /dev/full")
    assert result.returncode == 1
    assert result.stderr == "dockless: error: cannot write the output: No space left on device\n"


def test_each_line_of_a_log_is_one_write(monkeypatch):
    """Several threads write to the log. Lines that are written in two parts would be mixed."""

    class Log(list):
        write = list.append

        def isatty(self):
            return False

    log = Log()
    monkeypatch.setattr("sys.stderr", log)
    progress = progress_of(Namespace(quiet=False))
    blob = Descriptor("a/b", Digest(DIGEST), 3)
    for event in (ProgressEvent("sent", blob), ProgressEvent("tagged", blob, reference="a.example/b:1")):
        progress(event)
    assert log == [f"{DIGEST} sent (3 B)\n", f"a.example/b:1 is {DIGEST}\n"]


def test_a_closed_pipe_is_not_an_error(files):
    result = in_a_shell("dockless tags --help | true; dockless inspect oci:o | true")
    assert result.stderr == ""


def test_a_warning_is_printed_once_and_not_with_quiet(files):
    result = in_a_shell("dockless build oci:n --add tree:/bin")
    assert result.returncode == 0
    (line,) = (line for line in result.stderr.splitlines() if "warning" in line)
    assert line.startswith("dockless: warning: ") and "/bin/f is under /bin" in line and "/usr/bin" in line
    assert in_a_shell("dockless build oci:n --add tree:/bin -q").stderr == ""
    arguments = "oci:n --add tree:/usr --ignore *.nope"
    (line,) = (line for line in in_a_shell(f"dockless build {arguments}").stderr.splitlines() if "warning" in line)
    assert line.startswith("dockless: warning: --ignore '*.nope' has no effect: ")
    assert in_a_shell(f"dockless build {arguments} -q").stderr == ""


def test_closed_standard_streams_are_not_reused_for_blobs(files):
    """A blob whose file descriptor is 2 would contain the output to stderr."""
    result = in_a_shell("dockless copy oci:o oci:n -v <&- >&- 2>&- && dockless verify oci:n -q")
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
    result = in_a_shell("dockless inspect oci:none 2>&-")
    assert (result.returncode, result.stdout) == (1, "")


def test_a_signal_in_a_finalizer_is_not_lost(dockless, files, monkeypatch):
    class Finalizer:
        def __del__(self):
            os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr("dockless.cli.inspect.run", lambda _: bool(Finalizer()) - 1)
    monkeypatch.setattr("sys.unraisablehook", lambda _: None)
    assert dockless("inspect", "oci:o").status == 128 + signal.SIGTERM


@pytest.mark.parametrize("handler", [signal.SIG_DFL, signal.SIG_IGN])
def test_a_closed_terminal_ends_the_command_except_under_nohup(dockless, files, monkeypatch, handler):
    monkeypatch.setattr("dockless.cli.inspect.run", lambda _: os.kill(os.getpid(), signal.SIGHUP) or 0)
    before = signal.signal(signal.SIGHUP, handler)
    try:
        assert dockless("inspect", "oci:o").status == (0 if handler == signal.SIG_IGN else 128 + signal.SIGHUP)
        assert signal.getsignal(signal.SIGHUP) == handler
    finally:
        signal.signal(signal.SIGHUP, before)
