"""Normalization: the files of a distribution in an image do not depend on who packed or installed the distribution."""

import base64
import csv
import hashlib
import io
import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from made_wheels import installed, made_wheel, made_zip

import dockless
from dockless.errors import LayerError
from dockless.python_layers.distribution import Distribution, WheelName
from dockless.python_layers.normalize import normalize

FILES = {
    "tool/__init__.py": "x = 1\n",
    "tool/data, with comma.txt": "d",
    "tool/größe.txt": "umlaut",
    "tool/run.sh*": "#!/bin/sh\n",
    "tool/__pycache__/__init__.cpython-311.pyc": b"\0",
    "tool/_vendor/other-1.0.dist-info/RECORD": "kept",
    "tool/_vendor/other-1.0.dist-info/METADATA": "kept",
    "tool-1.0.data/scripts/tool-script": b"#!python\nprint('tool')\n",
    "tool-1.0.data/scripts/shell": b"#!/bin/sh\n",
    "tool-1.0.data/headers/tool.h": "int x;",
    "tool-1.0.data/data/share/man/tool.1": "man",
    "tool-1.0.data/platlib/tool/native.so": b"\x7fELF",
    "tool.pth": "import tool\n",
}
SCRIPTS = "[console_scripts]\ntool = tool.cli:main\nother=tool.cli:App.run [extra]\n"
SCRIPTS += "[gui_scripts]\nwin = tool:w\n[x.y]\na = b\n"
# The same for CPython 3.9 to 3.13. A change needs another version of the grouping rule and a line under Digests.
DIGEST = "60da1f928479b2407bd72d57433cd242d3ac9702d520e927c0a8211bc0981b0c"


@pytest.fixture
def wheel(tmp_path):
    return made_wheel(tmp_path, "tool", FILES, scripts=SCRIPTS)


def digest(distribution: Distribution) -> str:
    return hashlib.sha256(json.dumps(distribution.to_json(), sort_keys=True).encode()).hexdigest()


def refused(path: Path) -> str:
    with pytest.raises(LayerError) as caught:
        normalize(str(path))
    return str(caught.value)


def test_the_digest_is_a_literal(wheel):
    assert digest(normalize(str(wheel))) == DIGEST


@pytest.mark.parametrize("release", ["2.1", "2.97"])
def test_wheels_and_installed_wheels_of_pex_are_equal(wheel, tmp_path, release):
    packed = installed(wheel, tmp_path / "packed.zip", release=release)
    loose = tmp_path / "loose"
    with zipfile.ZipFile(packed) as archive:
        archive.extractall(loose)
        for info in archive.infolist():
            (loose / info.filename).chmod(0o755 if info.external_attr >> 16 & 0o111 else 0o600)
    assert normalize(str(packed)) == normalize(str(loose)) == normalize(str(wheel))


def test_files_that_say_how_a_distribution_was_requested_are_left_out(wheel, tmp_path):
    """pip and uv write them."""
    (tmp_path / "other").mkdir()
    names = ("direct_url.json", "uv_cache.json", "uv_build.json", "REQUESTED", "RECORD.jws")
    files = {**FILES, **{f"tool-1.0.dist-info/{name}": "x" for name in names}}
    other = made_wheel(tmp_path / "other", "tool", files, scripts=SCRIPTS)
    assert normalize(str(other)) == normalize(str(wheel))


@pytest.mark.parametrize(
    ("tags", "is_pure"),
    [
        ("py3-none-any", True),
        ("py2.py3-none-any", True),
        ("cp311-none-any", True),
        ("cp311-abi3-manylinux2014_x86_64", False),
        ("py3-none-manylinux2014_x86_64", False),
        ("cp311-cp311-linux_x86_64", False),
    ],
)
def test_pure_wheels(tags, is_pure):
    """The tags decide, not Root-Is-Purelib."""
    assert WheelName.parse(f"a-1.0-{tags}.whl").is_pure == is_pure


@pytest.mark.parametrize(
    "environment",
    [{"PYTHONHASHSEED": "1"}, {"PYTHONHASHSEED": "2", "TZ": "Asia/Tokyo"}, {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0"}],
)
def test_the_environment_has_no_effect(wheel, tmp_path, environment):
    code = "import sys, json; from dockless.python_layers.normalize import normalize\n"
    code += "print(json.dumps(normalize(*sys.argv[1:]).to_json()))"
    done = subprocess.run(
        [sys.executable, "-c", code, wheel, tmp_path / "out"],
        env={"PYTHONPATH": str(Path(dockless.__file__).parents[1]), **environment},
        capture_output=True,
        check=True,
    )
    assert Distribution.from_json(json.loads(done.stdout)) == normalize(str(wheel))
    assert (tmp_path / "out/site-packages/tool/größe.txt").read_text() == "umlaut"


def test_files_are_written_as_they_are_described(wheel, tmp_path):
    distribution = normalize(str(wheel), str(tmp_path / "out"))
    written = {
        str(path.relative_to(tmp_path / "out")): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in (tmp_path / "out").rglob("*")
        if path.is_file()
    }
    assert written == {file.path: file.sha256 for file in distribution.files}
    assert [file.path for file in distribution.files if file.executable] == [
        "bin/other",
        "bin/shell",
        "bin/tool",
        "bin/tool-script",
        "bin/win",
        "site-packages/tool/run.sh",
    ]
    assert distribution.size == sum(path.stat().st_size for path in (tmp_path / "out").rglob("*") if path.is_file())


def test_executable_bits_without_a_file_type(tmp_path):
    """As in wheels of protobuf. pip does not set these bits, so that what pex 2.1 makes of such a wheel has none."""
    wheel = made_wheel(tmp_path, "tool", {"tool.py": ""})
    with zipfile.ZipFile(wheel, "a") as archive:
        info = zipfile.ZipInfo("data.py")
        info.external_attr = 0o755 << 16
        archive.writestr(info, "")
    assert not [file.path for file in normalize(str(wheel)).files if file.executable]


def test_paths_of_all_schemes(wheel):
    paths = {file.path for file in normalize(str(wheel)).files}
    assert {
        "include/tool/tool.h",
        "share/man/tool.1",
        "site-packages/tool/native.so",
        "site-packages/tool.pth",
        "site-packages/tool/_vendor/other-1.0.dist-info/RECORD",
    } <= paths
    assert not [path for path in paths if "pycache" in path]


def test_scripts_run_the_interpreter_of_the_venv(wheel, tmp_path):
    normalize(str(wheel), str(tmp_path / "out"))
    shebang = "#!/opt/venv/bin/python\n"
    assert (tmp_path / "out/bin/tool-script").read_text() == shebang + "print('tool')\n"
    assert (tmp_path / "out/bin/shell").read_text() == "#!/bin/sh\n"
    text = (tmp_path / "out/bin/other").read_text()
    assert text.startswith(shebang) and "from tool.cli import App\n" in text and "sys.exit(App.run())" in text


def test_record_lists_every_file(wheel, tmp_path):
    """importlib.metadata.files reads RECORD."""
    distribution = normalize(str(wheel), str(tmp_path / "out"))
    record = tmp_path / "out/site-packages/tool-1.0.dist-info/RECORD"
    rows = {row[0]: row[1:] for row in csv.reader(io.StringIO(record.read_text()))}
    listed = {os.path.normpath(f"site-packages/{path}") for path in rows}
    assert listed == {file.path for file in distribution.files}
    digest_of_d = base64.urlsafe_b64encode(hashlib.sha256(b"d").digest()).rstrip(b"=").decode()
    assert rows["tool/data, with comma.txt"] == [f"sha256={digest_of_d}", "1"]
    assert (tmp_path / "out/site-packages/tool-1.0.dist-info/INSTALLER").read_text() == "dockless\n"


def test_scripts_with_the_version_of_an_interpreter_are_left_out(tmp_path):
    wheel = made_wheel(tmp_path, "pip", {"pip/__init__.py": ""}, scripts="[console_scripts]\npip = pip:main\n")
    packed = installed(wheel, tmp_path / "packed", release="2.1")
    with zipfile.ZipFile(packed, "a") as archive:
        archive.writestr(".prefix/bin/pip3.11", "#!python\n")
    assert normalize(str(packed)) == normalize(str(wheel))


def test_site_packages_in_the_data_scheme(tmp_path):
    wheel = made_wheel(tmp_path, "old", {"old-1.0.data/data/lib/python3.9/site-packages/old.py": "x"})
    assert "site-packages/old.py" in {file.path for file in normalize(str(wheel)).files}


@pytest.mark.parametrize(
    ("files", "problem"),
    [
        ({"../x.py": ""}, "the distribution has the invalid path '../x.py'"),
        ({"/x.py": ""}, "the distribution has the invalid path '/x.py'"),
        ({"a//x.py": ""}, "the distribution has the invalid path 'a//x.py'"),
        ({"bad-1.0.data/scripts/python": ""}, "bin/python, which is a file of the virtual environment"),
        ({"bad-1.0.data/data/pyvenv.cfg": ""}, "pyvenv.cfg, which is a file of the virtual environment"),
        ({"bad-1.0.data/data/app/x.py": ""}, "app/x.py, which is a file of the virtual environment"),
        ({"bad-1.0.data/unknown/x": ""}, "whose scheme is unknown"),
        ({"x.py": "1", "bad-1.0.data/purelib/x.py": "2"}, "two files for site-packages/x.py"),
        ({"other-1.0.dist-info/METADATA": ""}, "has 2 directories with the suffix .dist-info"),
    ],
)
def test_invalid_distributions_are_refused(tmp_path, files, problem):
    assert problem in refused(made_wheel(tmp_path, "bad", files))


@pytest.mark.parametrize("reference", ["tool", "tool:", "tool:main()", "os:system; x", ":x"])
def test_invalid_entry_points_are_refused(tmp_path, reference):
    wheel = made_wheel(tmp_path, "bad", {"x.py": ""}, scripts=f"[console_scripts]\nx = {reference}\n")
    assert "is not an object" in refused(wheel)


@pytest.mark.parametrize("name", ["a/b", "..", "/x", ""])
def test_invalid_script_names_are_refused(tmp_path, name):
    wheel = made_wheel(tmp_path, "bad", {"x.py": ""}, scripts=f"[console_scripts]\n{name} = x:y\n")
    assert "is not the name of a script" in refused(wheel)


def test_other_files_are_refused(tmp_path):
    (tmp_path / "no.whl").write_bytes(b"no zip")
    assert refused(tmp_path / "no.whl").startswith("the file is not a valid zip file")
    assert "0 directories" in refused(made_zip(tmp_path / "plain.whl", {"x.py": ""}))
    assert refused(tmp_path / "missing.whl").startswith("cannot read the distribution: No such file")
    wheel = made_wheel(tmp_path, "tool", {"tool.py": "0123456789" * 99})
    data = bytearray(wheel.read_bytes())
    data[60] ^= 255
    wheel.write_bytes(data)
    assert "zip" in refused(wheel)


def test_a_symlink_to_a_directory_is_refused(wheel, tmp_path):
    """os.walk does not follow such symlinks: the files would be missing."""
    directory = tmp_path / "unpacked"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(directory)
    assert normalize(str(directory)).name == "tool"
    (directory / "tool/linked").symlink_to("_vendor")
    assert "'tool/linked', which is a symlink to a directory; replace the symlink" in refused(directory)
