"""Layers of Python applications. The resolver is a program that copies wheels; see testlib/python_backend.py."""

import gzip
import io
import json
import sys
import tarfile
from pathlib import Path

import pytest
from made_wheels import installed, made_wheel
from python_backend import VERSION, blob_names, make_python_backend

from pants_dockless.field_sets import ImageIndexFieldSet

INTERPRETER = f"/usr/bin/python{VERSION}"
TAG = f"cp{VERSION.replace('.', '')}"
BUILD = """
python_sources(name="src")
python_requirement(name="small", requirements=["small"])
python_requirement(name="native", requirements=["native"])
pex_binary(name="server", entry_point="main.py:run", dependencies=[":small", ":native"], args=["--x"], env={"A": "$1"})
file(name="file", source="a.txt")
container_image(name="image", dependencies=[":server", ":file"], python_layers=True, FIELDS)
"""
FILES = {"app/main.py": "def run(): ...\n", "app/a.txt": "a"}


@pytest.fixture
def wheels(tmp_path):
    (tmp_path / "wheels").mkdir()
    return {
        "small": made_wheel(
            tmp_path / "wheels", "small", {"small.py": ""}, scripts="[console_scripts]\nsmall = small:main\n"
        ),
        "native": made_wheel(
            tmp_path / "wheels", "native", {"native.so": bytes(5 << 20)}, tags=f"{TAG}-{TAG}-manylinux_2_17_x86_64"
        ),
    }


@pytest.fixture(scope="module")
def python_backend():
    """One backend for all tests, because its rule graph takes more time than most tests."""
    return make_python_backend()


@pytest.fixture
def build(tmp_path, wheels, python_backend):
    """build(fields) returns the description of the image, and its config."""
    backend = python_backend

    def package(fields=f'python="{INTERPRETER}"', text=BUILD, index=None, options=(), more=None):
        backend.serve(tmp_path, {**wheels, **(index or {})}, *options)
        backend.write_files({**FILES, **(more or {}), "app/BUILD": text.replace("FIELDS", fields)})
        files = backend.files(backend.package("app:image"))
        description = json.loads(files["app/image.json"])
        blobs = {path.rpartition("/")[2]: data for path, data in files.items() if "/blobs/" in path}
        manifest = json.loads(blobs[description["digest"][7:]])
        manifests = [json.loads(blobs[m["digest"][7:]]) for m in manifest.get("manifests", [])] or [manifest]
        package.configs = [json.loads(blobs[m["config"]["digest"][7:]])["config"] for m in manifests]
        package.layers = [[layer["digest"] for layer in m["layers"]] for m in manifests]
        package.blobs = blobs
        return description

    package.backend = backend
    package.error = lambda *args, **fields: backend.error_line(lambda: package(*args, **fields))
    return package


def members(build, description, n) -> list:
    data = gzip.decompress(build.blobs[description["layers"][n]["digest"][7:]])
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        return [member.name for member in archive.getmembers() if not member.isdir()]


def test_a_pex_binary_becomes_layers(build):
    description = build()
    assert blob_names(description) == ["native", "pure", "virtual environment", "application", ""]
    assert [layer.get("distributions") for layer in description["layers"]][1:3] == [
        [{"name": "small", "version": "1.0", "file": "small-1.0-py3-none-any.whl"}],
        None,
    ]
    assert members(build, description, 3) == ["opt/venv/app/app/main.py", "opt/venv/bin/__main__"]
    assert members(build, description, 4) == ["app/a.txt"]
    (config,) = build.configs
    assert config["Entrypoint"] == ["/opt/venv/bin/__main__", "--x"]
    assert config["Env"] == [
        "A=$1",
        "PATH=/opt/venv/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "PYTHONDONTWRITEBYTECODE=1",
        "PYTHONUNBUFFERED=1",
        "VIRTUAL_ENV=/opt/venv",
    ]


def test_layers_are_the_default(build):
    default = BUILD.replace("python_layers=True, ", "")
    assert build(text=default)["digest"] == build()["digest"]
    sources = build(text=default.replace('":server", ', '":src", '))
    assert blob_names(sources) == ["virtual environment", "application", ""]
    files = default.replace('":server", ', "").replace("FIELDS", "python_layers=None")
    assert blob_names(build(text=files)) == [""]


def test_an_image_index_describes_the_layers(build):
    image = build(text=BUILD + 'image_index(name="index", images=[":image"])\n')
    files = build.backend.files(build.backend.package("app:index", ImageIndexFieldSet))
    index = json.loads(files["app/index.json"])
    assert index["digest"] != image["digest"] and index["layers"] == image["layers"]


def test_the_digests_are_literals(build):
    """The same for all releases of Pants and pex. The layers of a platform depend on its version of CPython."""
    description = build()
    assert [layer["digest"] for layer in description["layers"]][1::2] == [
        "sha256:74e69407db55f65a81dfd18f92db5fc9751dcb4a955932842e25bdd44f75552c",
        "sha256:606c6e828d95890b15bfa434941effe660d4835339cb0f73f934d932df20908c",
    ]


def test_what_pex_makes_of_wheels_has_the_same_layers(build, wheels, tmp_path):
    digest = build()["digest"]
    index = {}
    for release in ("2.1", "2.97"):
        (tmp_path / release).mkdir()
        for name, wheel in wheels.items():
            index[name] = installed(wheel, tmp_path / release / wheel.name, release=release)
        assert (
            build(index=index, options=(f"--python-tailor-ignore-empty-init-files={release == '2.1'}",))["digest"]
            == digest
        )


def test_a_change_of_first_party_code_changes_one_layer(build):
    before = build()
    after = build(more={"app/main.py": "def run(): print(1)\n"})
    changed = [n for n, pair in enumerate(zip(before["layers"], after["layers"])) if pair[0] != pair[1]]
    assert changed == [3]


def test_fields_of_the_image_have_precedence(build):
    build(f'python="{INTERPRETER}", entrypoint=["/x"], env={{"PYTHONUNBUFFERED": "0"}}')
    assert build.configs[0]["Entrypoint"] == ["/x"]
    assert "PYTHONUNBUFFERED=0" in build.configs[0]["Env"]


@pytest.mark.parametrize(
    ("main", "entrypoint"),
    [
        ('entry_point="app.main"', ["/opt/venv/bin/python", "-m", "app.main"]),
        ('script="small"', ["/opt/venv/bin/small"]),
        ("", None),
    ],
)
def test_entrypoints(build, main, entrypoint):
    build(text=BUILD.replace('entry_point="main.py:run"', main or "tags=[]").replace(', args=["--x"]', ""))
    assert build.configs[0].get("Entrypoint") == entrypoint


def test_the_base_names_the_interpreter(build):
    base = f'container_image(name="base", env={{"PYTHON_VERSION": "{VERSION}.1", "PATH": "/usr/local/bin:/bin"}})\n'
    description = build('base=":base"', text=base + BUILD)
    assert f"opt/venv/lib/python{VERSION}/site-packages" in members(build, description, 2)
    assert "PATH=/opt/venv/bin:/usr/local/bin:/bin" in build.configs[0]["Env"]
    labeled = f'container_image(name="base", labels={{"dockless.python": "{INTERPRETER}"}})\n'
    assert build('base=":base"', text=labeled + BUILD)["layers"][2] == build()["layers"][2]
    assert build.error(
        'base=":base"', text='container_image(name="base", labels={"dockless.python": "python"})\n' + BUILD
    ) == (
        "app:image: field `python`: the label `dockless.python` of the base: 'python' is not the path of an "
        "interpreter; write the absolute path with the minor version, such as /usr/local/bin/python3.12"
    )


def test_python_sources_without_a_pex(build):
    text = BUILD.replace('dependencies=[":server", ":file"]', 'dependencies=[":src", ":file"]')
    description = build(text=text.replace('name="src"', 'name="src", dependencies=[":small"]'))
    assert blob_names(description) == ["pure", "virtual environment", "application", ""]
    assert members(build, description, 2) == ["opt/venv/app/app/main.py"]


def test_all_distributions_of_the_resolve(build, tmp_path):
    options = ("--python-enable-resolves", "--python-resolves={'python-default': 'app/lock'}")
    fields = f'python="{INTERPRETER}", python_entire_resolve=True'
    text = BUILD.replace('":small", ":native"', '":small"')
    description = build(fields, text=text, options=options, more={"app/lock": lock("small", "native")})
    assert blob_names(description) == ["pure", "built from sources", "virtual environment", "application", ""]


def test_distributions_of_the_repository(build, caplog):
    """They are above the shared layers, and their modules are not in the layer of the application again."""
    text = BUILD.replace('":native"]', '":native", ":dist"]')
    text += 'python_distribution(name="dist", dependencies=[":src"], provides=python_artifact(name="local"))'
    more = {"app/local.py": "X = 1\n"}
    description = build(text=text, more=more)
    names = ["native", "pure", "distributions of the repository", "virtual environment", "application", ""]
    assert blob_names(description) == names
    assert description["layers"][2]["distributions"] == [
        {"name": "local", "version": "1.0", "file": "local-1.0-py3-none-any.whl"}
    ]
    assert "opt/venv/site-packages/app/local.py" in members(build, description, 2)
    assert members(build, description, 4) == ["opt/venv/app/app/main.py", "opt/venv/bin/__main__"]
    assert description["layers"][:2] == build(more=more)["layers"][:2]
    assert "top-level module" not in caplog.text


def lock(*names: str) -> str:
    """Return a lockfile of pex."""
    requirements = [
        {
            "project_name": name,
            "version": "1.0",
            "requires_dists": [],
            "artifacts": [
                {"url": f"https://user:secret@index.example/{name}-1.0-py3-none-any.whl?token=1", "hash": "0"}
            ],
        }
        for name in names
    ]
    return json.dumps({"locked_resolves": [{"locked_requirements": requirements}], "pex_version": "2.1"})


def test_distributions_built_from_sources(build, caplog, wheels):
    """A wheel that the lockfile does not name was built here."""
    options = ("--python-enable-resolves", "--python-resolves={'python-default': 'app/lock'}")
    description = build(options=options, more={"app/lock": lock("small", "native")})
    assert blob_names(description) == ["pure", "built from sources", "virtual environment", "application", ""]
    assert description["layers"][0]["distributions"][0]["source"] == "https://index.example/small-1.0-py3-none-any.whl"
    assert description["layers"][1]["distributions"][0]["built_from_sources"] is True
    assert "secret" not in json.dumps(description)
    assert sum("are built from sources" in record.message for record in caplog.records) == 1
    error = build.error(
        options=(*options, "--no-dockless-python-allow-built-distributions"), more={"app/lock": lock("native")}
    )
    assert error.startswith(
        "app:image: option `[dockless-python].allow_built_distributions`: the application has distributions that are "
        "built from sources: native-1.0-"
    )


def test_the_tag_of_a_distribution_built_from_sources(build, tmp_path):
    """Without a lockfile of pex, only the platform tag tells."""
    native = made_wheel(tmp_path, "native", {"native.so": "x"}, tags=f"{TAG}-{TAG}-linux_x86_64")
    description = build(index={"native": native})
    assert blob_names(description)[:2] == ["pure", "built from sources"]


def test_two_platforms_share_pure_layers(build, tmp_path, wheels):
    files = {}
    for name, machine in (("amd64", "x86_64"), ("arm64", "aarch64")):
        markers = {"sys_platform": "linux", "platform_machine": machine, "python_version": VERSION}
        files[f"app/{name}.platform.json"] = json.dumps({"marker_environment": markers, "compatible_tags": []})
    arm64 = made_wheel(tmp_path, "native", {"native.so": bytes(5 << 20)}, tags=f"{TAG}-{TAG}-manylinux_2_17_aarch64")
    text = BUILD.replace("pex_binary(", 'files(name="p", sources=["*.json"])\npex_binary(complete_platforms=[":p"], ')
    fields = f'python="{INTERPRETER}", platforms=["linux/amd64", "linux/arm64"]'
    description = build(fields, text=text, index={"arm64/native": arm64}, more=files)
    first, second = build.layers
    assert len(first) == len(second) == 5 and first[1:] == second[1:] and first[0] != second[0]
    assert len(description["layers"]) == 6
    error = build.error(fields.replace("arm64", "s390x"), text=text, more=files)
    assert error.startswith(
        f"app:image: field `python_layers`: `complete_platforms` of the pex_binary has no file for CPython {VERSION} "
        f"on linux/s390x: app/amd64.platform.json is for CPython {VERSION} on linux/amd64, "
    )
    missing = build.error(fields, text=text, index={"arm64/native": wheels["native"]}, more=files)
    assert f"native-1.0-{TAG}-{TAG}-manylinux_2_17_x86_64.whl does not work on linux/arm64" in missing


# What pex 2.1.137 and 2.97.1 print for a lockfile of pex, and what pip prints in a run of pex.
LOCKED = """Failed to resolve compatible artifacts from lock a.lock for 1 target:
1. cp311-cp311-manylinux_2_17_aarch64:
    Failed to resolve all requirements for complete platform cp311-cp311-manylinux_2_17_aarch64 from a.lock:

Configured with:
    build: True
    use_wheel: True

Dependency on native not satisfied, 1 incompatible candidate found:
1.) native 1 (via: native==1.0) does not have any compatible artifacts:
    file:///w/native-1.0-cp311-cp311-manylinux_2_17_x86_64.whl
"""
NOT_FOUND = """pip: ERROR: Could not find a version that satisfies the requirement native[x]==1.0 (from versions: none)
pip: ERROR: No matching distribution found for native[x]==1.0 (from -r reqs.txt (line 1))
"""


@pytest.mark.parametrize(("output", "name"), [(LOCKED, "native 1"), (NOT_FOUND, "native 1.0")], ids=["locked", "found"])
def test_a_wheel_that_is_missing(build, output, name):
    assert build.error(index={"native": output}) == (
        f"app:image: field `python_layers`: no wheel of {name} works with CPython {VERSION} on linux/amd64: "
        "the lockfile or the package index has files for other platforms or versions only; use versions that have "
        "such wheels, publish wheels of your own, or remove the platform from `platforms` of the image"
    )


def test_other_errors_of_pex_are_those_of_pex(build):
    with pytest.raises(Exception, match="no network"):
        build(index={"native": "no network"})


def test_conflicts_and_their_owner(build, tmp_path, wheels):
    other = made_wheel(tmp_path, "native", {"small.py": "other"})
    assert build.error(index={"native": other}) == (
        "app:image: field `python_file_owners`: the distributions native and small have different files at "
        "/opt/venv/site-packages/small.py; name the distribution that provides the file: "
        '{"/opt/venv/site-packages/small.py": "native"}'
    )
    owners = '{"/opt/venv/site-packages/small.py": "small"}'
    description = build(f'python="{INTERPRETER}", python_file_owners={owners}', index={"native": other})
    names = [name for n in range(len(description["layers"])) for name in members(build, description, n)]
    assert names.count("opt/venv/site-packages/small.py") == 1
    assert "is not below /opt/venv" in build.error(f'python="{INTERPRETER}", python_file_owners={{"/x": "small"}}')


def test_a_hidden_module_is_a_warning(build, caplog):
    build(
        text=BUILD.replace("python_sources(", 'python_sources(sources=["*.py"], '),
        more={"small.py": "", "BUILD": "python_sources(name='top')"},
    )
    build(
        text=BUILD.replace('":small", ":native"]', '":small", ":native", "//:top"]'),
        more={"small.py": "", "BUILD": "python_sources(name='top')"},
    )
    assert "the application and the distribution small both have a top-level module 'small'" in caplog.text


def test_bytecode(build, tmp_path):
    compiler = str(Path(sys.base_prefix) / f"bin/python{VERSION}")
    description = build(options=(f"--dockless-python-compiler={compiler}",))
    suffix = f".cpython-{VERSION.replace('.', '')}.pyc"
    assert f"opt/venv/site-packages/__pycache__/small{suffix}" in members(build, description, 1)
    assert f"opt/venv/app/app/__pycache__/main{suffix}" in members(build, description, 3)
    assert not [text for text in build.configs[0]["Env"] if "BYTECODE" in text]
    other = tmp_path / "other"
    other.write_text("""#!/bin/sh\necho '["cpython", "3.2", "0"]'\n""")
    other.chmod(0o755)
    for path, problem in (
        ("/bin/false", "cannot run /bin/false: exit status 1"),
        ("python3", "is not absolute"),
        (other, f"is cpython 3.2, and the interpreter of the image is CPython {VERSION}; the bytecode of another"),
    ):
        error = build.error(options=(f"--dockless-python-compiler={path}",))
        assert error.startswith("app:image: option `[dockless-python].compiler`: ") and problem in error


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        (
            "",
            "app:image: field `python`: the image has no base; write the absolute path of CPython in the base with the "
            'minor version, such as python="/usr/bin/python3.11", or python_layers=False for a PEX file in one layer',
        ),
        (
            'python="python3"',
            "app:image: field `python`: 'python3' is not the path of an interpreter; write the absolute path with the "
            "minor version, such as /usr/local/bin/python3.12",
        ),
        (
            'python="/usr/bin/python3.99"',
            "app:image: field `python`: the interpreter of the image, /usr/bin/python3.99, does not match the "
            f"interpreter constraints of the application: the constraints CPython=={VERSION}.* allow {VERSION}; use a "
            "base with another version of CPython, or change `interpreter_constraints`",
        ),
        (
            f'python="{INTERPRETER}", platforms=["linux/arm64"]',
            "app:image: field `python_layers`: the distributions for linux/arm64 cannot be selected on linux_x86_64; "
            "add a file for this platform to `complete_platforms` of the pex_binary",
        ),
    ],
)
def test_errors_of_fields(build, fields, error):
    assert build.error(fields) == error


@pytest.mark.parametrize(
    ("old", "new", "error"),
    [
        (
            '[":server", ":file"]',
            '[":file"]',
            "field `python_layers`: `dependencies` have neither a pex_binary nor Python sources; add the address",
        ),
        (
            '[":server", ":file"]',
            '[":server", ":second"]',
            "field `python_layers`: `dependencies` have 2 targets of the type `pex_binary`; only one can be the "
            "application: app:second, app:server; keep one",
        ),
        (
            'entry_point="main.py:run"',
            'script="unknown"',
            "field `python_layers`: no distribution of the application has the script 'unknown' of the pex_binary",
        ),
        (
            "python_layers=True",
            "python_layers=False",
            "field `python`: the field has no effect, because the image has no",
        ),
    ],
)
def test_errors_of_targets(build, old, new, error):
    text = BUILD + 'pex_binary(name="second", entry_point="app.main")\n'
    assert build.error(text=text.replace(old, new)).startswith(f"app:image: {error}")


def test_several_distributions_of_one_name(build, tmp_path, wheels):
    second = made_wheel(tmp_path, "small", {"x.py": ""}, version="2.0")
    assert build.error(index={"small": [wheels["small"], second]}).startswith(
        "app:image: field `dependencies`: the application has several distributions of small: "
        "small-1.0-py3-none-any.whl, small-2.0-py3-none-any.whl"
    )


def test_invalid_distributions_and_options(build, tmp_path):
    bad = tmp_path / "small-1.0-py3-none-any.whl"
    bad.write_bytes(b"no zip")
    assert build.error(index={"small": bad}).startswith("app:image: the file is not a valid zip file")
    assert build.error(options=("--dockless-python-layer-budget=3",)).startswith(
        "option `[dockless-python].layer_budget`: a budget of 3 layers is too small"
    )


def test_the_backend_is_required(backend):
    backend.write_files({"app/BUILD": 'container_image(name="image", python_layers=True)'})
    assert backend.error_line(lambda: backend.package("app:image")) == (
        "app:image: field `python_layers`: the backend `pants_dockless.python` is not enabled; add "
        '"pants.backend.python" and "pants_dockless.python" to [GLOBAL].backend_packages'
    )
