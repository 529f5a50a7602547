"""A real Python service in layers: built with Pants, run in podman and in the Docker engine, and measured.

    benchmarks/python-service                                             # the times of docs/python.md
    benchmarks/python-service --step run --pants pants --pex FILE         # runs the images

`--step run` requires Pants 2.29 or later: earlier releases have a pex without CPython 3.12.
The project is benchmarks/python/project, with the distributions of benchmarks/python/service.txt. It is copied to a
directory, in which Pants has a store and caches of its own.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import resource
import shlex
import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from container_engines import docker_engine
from packaging.tags import compatible_tags, cpython_tags
from pants_command import dockless_packages
from real_tools import containers_storage, free_port

from dockless.testing import Registry

ROOT = Path(__file__).resolve().parents[1]
PROJECT = ROOT / "benchmarks/python/project"
VERSIONS = ("3.11", "3.12")


def make_pex(directory: Path, version: str) -> Path:
    """Return pex as one file whose cache is that of Pants, as that of a release of pex."""
    site, file = directory / "site", directory / f"pex-{version}"
    if not file.exists():
        subprocess.run([sys.executable, "-m", "pip", "install", "-q", "-t", site, f"pex=={version}"], check=True)
        shebang = ("--python-shebang", "/usr/bin/env python3")
        command = [
            sys.executable,
            "-m",
            "pex",
            f"pex=={version}",
            "-c",
            "pex",
            *shebang,
            "--venv",
            "--no-strip-pex-env",
        ]
        subprocess.run([*command, "-o", file], env={**os.environ, "PYTHONPATH": str(site)}, check=True)
    return file


def platform_file(version: str, machine: str) -> dict[str, Any]:
    """Return the content of a file of `complete_platforms` for CPython on glibc 2.36, that of Debian 12."""
    pair = tuple(map(int, version.split(".")))
    platforms = [f"manylinux_2_{minor}_{machine}" for minor in range(36, 16, -1)] + [f"manylinux2014_{machine}"]
    tags = [*cpython_tags(pair, None, platforms), *compatible_tags(pair, f"cp{pair[0]}{pair[1]}", platforms)]
    return {
        "path": f"/usr/bin/python{version}",
        "compatible_tags": [str(tag) for tag in tags],
        "marker_environment": {
            "implementation_name": "cpython",
            "implementation_version": f"{version}.1",
            "os_name": "posix",
            "platform_machine": machine,
            "platform_python_implementation": "CPython",
            "platform_release": "",
            "platform_system": "Linux",
            "platform_version": "",
            "python_full_version": f"{version}.1",
            "python_version": version,
            "sys_platform": "linux",
        },
    }


class Project:
    """The project in a directory. `pants` is the command that runs Pants, and `pex` the file of its pex."""

    def __init__(self, directory: Path, pants: list[str], pex: Path) -> None:
        self.directory = directory / "project"
        self.caches = directory / "caches"
        self.pants = pants
        shutil.copytree(PROJECT, self.directory, dirs_exist_ok=True)
        shutil.copy(ROOT / "benchmarks/python/service.txt", self.directory / "requirements.txt")
        for version in VERSIONS:
            for machine in ("x86_64", "aarch64"):
                path = self.directory / f"service/{version}-{machine}.platform.json"
                path.write_text(json.dumps(platform_file(version, machine)))
        data = pex.read_bytes()
        found = re.search(rb'"pex_version": ?"([0-9.]+)"', subprocess.check_output(["unzip", "-p", pex, "PEX-INFO"]))
        assert found, pex
        version = found[1].decode()
        config = directory / "pex.toml"
        # In another Pants than that of ./pants, the packages that Dockless needs are not installed.
        plugins = f"[GLOBAL]\nplugins = {json.dumps(dockless_packages())}\n" if pants != [str(ROOT / "pants")] else ""
        config.write_text(
            f'{plugins}[pex-cli]\nversion = "v{version}"\nurl_template = "file://{pex}"\n'
            f'known_versions = ["v{version}|linux_x86_64|{hashlib.sha256(data).hexdigest()}|{len(data)}"]\n'
        )
        self.env = {
            **os.environ,
            "PATH": f"{_directory_of_python('3.12')}:{os.environ['PATH']}",
            "PANTS_CONFIG_FILES": str(config),
            "PANTS_PYTHONPATH": json.dumps([str(ROOT / "src"), str(ROOT / "pants-plugins")]),
            "PYTHONDONTWRITEBYTECODE": "1",
        }

    def run(self, *arguments: str, caches: str = "warm", daemon: bool = True) -> tuple[float, float]:
        """Run Pants, and return the wall time and the CPU time, which is that of Pants alone with a daemon."""
        directory = self.caches / caches
        env = {**self.env, "PANTS_WORKDIR": str(directory / "work")}
        for name in ("local_store_dir", "named_caches_dir", "local_execution_root_dir"):
            (directory / name).mkdir(parents=True, exist_ok=True)
            env[f"PANTS_{name.upper()}"] = str(directory / name)
        before, begun = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
        options = ["--no-dynamic-ui", "--pantsd" if daemon else "--no-pantsd"]
        done = subprocess.run(
            [*self.pants, *options, *arguments], cwd=self.directory, env=env, capture_output=True, text=True
        )
        wall, after = time.monotonic() - begun, resource.getrusage(resource.RUSAGE_CHILDREN)
        if done.returncode:
            raise SystemExit(f"pants {' '.join(arguments)}:\n{done.stderr}")
        return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    def cold(self, *arguments: str) -> tuple[float, float]:
        """Run Pants without caches."""
        shutil.rmtree(self.caches / "cold", ignore_errors=True)
        return self.run(*arguments, caches="cold", daemon=False)

    def description(self, name: str) -> dict[str, Any]:
        return json.loads((self.directory / f"dist/service/{name}.json").read_text())  # type: ignore[no-any-return]


def _directory_of_python(version: str) -> str:
    """Return the directory of the interpreter itself, not that of a shim."""
    code = "import sys; print(sys.base_prefix)"
    prefix = subprocess.check_output([f"python{version}", "-c", code], text=True).strip()
    return f"{prefix}/bin"


@contextmanager
def _answer(run: Any, stop: Any) -> Iterator[dict[str, Any]]:
    port = free_port()
    name = run(port).out.strip().splitlines()[-1]
    try:
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        for _ in range(600):
            try:
                with opener.open(f"http://127.0.0.1:{port}/sum/1000", timeout=60) as answer:
                    yield json.loads(answer.read())
                    return
            except OSError:
                time.sleep(0.2)
        raise SystemExit("the service does not answer")
    finally:
        stop(name)


def run_images(project: Project) -> None:
    """Publish the images to a registry, and run them in podman and in the Docker engine."""
    with ExitStack() as stack:
        registry = stack.enter_context(Registry())
        option = f'--dockless-registries={{"test": {{"address": "{registry.host}", "default": True}}}}'
        project.run(option, "publish", *(f"service:image{version}" for version in VERSIONS))
        podman = stack.enter_context(containers_storage("podman", "runc"))
        docker = stack.enter_context(docker_engine())
        for version in VERSIONS:
            image = f"{registry.host}/service:{version}"
            common = ("run", "--detach", "--network=host", "--read-only")
            engines = {
                "podman": (
                    lambda port, image=image, common=common: podman(
                        "podman", *common, "--tls-verify=false", "--env", f"PORT={port}", image
                    ),
                    lambda name: podman("podman", "rm", "--force", name),
                ),
                "Docker": (
                    lambda port, image=image, common=common: docker(*common, "--env", f"PORT={port}", image),
                    lambda name: docker("rm", "--force", name),
                ),
            }
            for engine, (run, stop) in engines.items():
                with _answer(run, stop) as answer:
                    assert answer["sum"] == 499500 and not answer["missing_files"], answer
                    print(f"{version} in {engine}: {json.dumps(answer)}", flush=True)


def measure_cold(project: Project, rounds: int) -> None:
    """Print the CPU time of the PEX file alone and of the image, both without caches, in turns."""
    base = min(project.cold("list", "service:")[1] for _ in range(2))
    for _ in range(rounds):
        pex = project.cold("package", "service:server3.11")
        image = project.cold("package", "service:application3.11")
        print(
            f"cold: PEX file {pex[1] - base:.1f} s of CPU, {pex[0]:.0f} s; image {image[1] - base:.1f} s of CPU, "
            f"{image[0]:.0f} s; ratio of the CPU times {(image[1] - base) / (pex[1] - base):.2f}; without the start of "
            f"Pants, {base:.1f} s",
            flush=True,
        )


def measure_changes(project: Project, rounds: int) -> None:
    """Print the time of `package` after a change of the code, for the service and for a layer with the same file."""
    path = project.directory / "service/main.py"
    text = path.read_text()
    for target in ("service:application3.11", "service:plain"):
        times = []
        for number in range(rounds + 1):
            path.write_text(f"{text}\n# change {number} {time.time()}\n")
            times.append(project.run("package", target)[0])
        print(f"after a change: {target} {min(times[1:]):.2f} s (the fastest of {rounds})", flush=True)
    path.write_text(text)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--directory", type=Path, default=ROOT / ".cache/python-service")
    parser.add_argument("--pants", default=str(ROOT / "pants"))
    parser.add_argument("--pex", type=Path, help="the pex of this Pants as one file; default: one of Pants 2.17")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--step", choices=("run", "changes", "cold"), action="append")
    arguments = parser.parse_args()
    arguments.directory.mkdir(parents=True, exist_ok=True)
    pex = arguments.pex or make_pex(arguments.directory, "2.1.137")
    project = Project(arguments.directory, shlex.split(arguments.pants), pex)
    steps = arguments.step or ["changes", "cold"]
    if not (project.directory / "service.lock").exists():
        project.run("generate-lockfiles", "--resolve=service")
    if "run" in steps:
        project.run("package", "service:image3.11", "service:image3.12", "service:index")
        for name in ("image3.11", "image3.12", "index"):
            found = project.description(name)
            layers = [layer for layer in found["layers"] if "content" in layer]
            print(f"{name}: {found['digest']}, {len(layers)} layers of the application", flush=True)
        run_images(project)
    if "changes" in steps:
        measure_changes(project, arguments.rounds)
    if "cold" in steps:
        measure_cold(project, arguments.rounds)


if __name__ == "__main__":
    sys.exit(main())
