"""testprojects/digests.lock on other processors, emulated by qemu-user.

Compressors choose their code by processor features, so each level of x86-64 and two cores of aarch64 run them,
known answers of every gzip level included. On aarch64 Debian's CPython runs with the wheels for that architecture;
`./run-tests` unpacks both below .cache/aarch64. QEMU does not emulate AVX-512 (x86-64-v4): the tests of the library run
natively, on the processor that the first printed line names.
"""

import os
import platform
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from fnmatch import fnmatchcase
from pathlib import Path
from typing import NamedTuple

import pytest
from digest_lock import CASES
from digest_run import ROOT, compare_with_lock

AARCH64 = ROOT / ".cache/aarch64"
COMPRESSORS = ("layers/compression/*", "layers/content/*")
X86_LOADER = "/lib64/ld-linux-x86-64.so.2"


class Processor(NamedTuple):
    """A processor that QEMU emulates: the features that the loader must find, and patterns of the cases it builds."""

    architecture: str
    model: str
    features: str
    cases: tuple = COMPRESSORS

    @property
    def emulator(self) -> list:
        prefix = ["-L", str(AARCH64 / "files")] if self.architecture == "aarch64" else []
        return [f"qemu-{self.architecture}", "-cpu", self.model, *prefix]

    @property
    def interpreter(self) -> list:
        return [*self.emulator, str(AARCH64 / "python") if self.architecture == "aarch64" else sys.executable]

    @property
    def env(self) -> dict:
        return {"PYTHONPATH": str(AARCH64 / "site")} if self.architecture == "aarch64" else {}


PROCESSORS = (
    Processor("x86_64", "qemu64", "x86-64-v1"),
    Processor("x86_64", "Nehalem", "x86-64-v2"),
    Processor("x86_64", "Haswell", "x86-64-v3"),
    Processor("aarch64", "cortex-a53", "no SVE", ("*",)),
    Processor("aarch64", "max", "SVE"),
)
_HWCAP_SVE = 1 << 22


def x86_level(*emulator: str) -> str:
    """The level of x86-64 that the C library's loader finds."""
    result = subprocess.run([*emulator, X86_LOADER, "--help"], capture_output=True, text=True, check=True).stdout
    found = [line.split()[0] for line in result.splitlines() if "x86-64-v" in line and "supported" in line]
    return max(found, default="x86-64-v1")


def features_of(processor: Processor) -> str:
    """Returns the features of the emulated processor that the C library's loader finds."""
    if processor.architecture == "x86_64":
        return x86_level(*processor.emulator)
    loader = AARCH64 / "files/lib/ld-linux-aarch64.so.1"
    command = [*processor.emulator, str(loader), "--list-diagnostics"]
    result = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    hwcap = next(int(line.partition("=")[2], 0) for line in result.splitlines() if line.startswith("dl_hwcap="))
    return "SVE" if hwcap & _HWCAP_SVE else "no SVE"


def need(*parts: Path) -> None:
    """Skips the test where a part is missing; on Debian for amd64, with CI=true, that is a failure."""
    missing = [str(part) for part in parts if not (shutil.which(part) or part.exists())]
    if missing and os.environ.get("CI") == "true" and on_debian_for_amd64():
        pytest.fail(f"./run-tests did not make or install {', '.join(missing)}")
    if missing:
        pytest.skip(f"NOT TESTED, missing: {', '.join(missing)}; ./run-tests makes them on Debian for amd64")


def on_debian_for_amd64() -> bool:
    return platform.machine() == "x86_64" and Path("/etc/debian_version").exists()


def build_on(processor: Processor, directory: Path) -> str:
    """Compares the lock with what the processor builds and returns a line about it."""
    found = features_of(processor)
    assert found == processor.features, f"{processor.model} has {found}"
    cases = sum(any(fnmatchcase(f"{kind}/{name}", pattern) for pattern in processor.cases) for kind, name in CASES)
    options = (*processor.cases, "--directory", str(directory), "--threads", "1")
    last = compare_with_lock(processor.interpreter, *options, cases=cases, env=processor.env)
    assert f" on {processor.architecture}, " in last
    return f"{processor.model} ({found}): {last}"


@pytest.mark.parametrize("architecture", ["x86_64", "aarch64"])
def test_other_processors_make_the_digests_of_the_lock(architecture, tmp_path, measured):
    parts = [AARCH64 / "python", AARCH64 / "site"] if architecture == "aarch64" else [Path(X86_LOADER)]
    need(Path(f"qemu-{architecture}"), *parts)
    chosen = [processor for processor in PROCESSORS if processor.architecture == architecture]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        lines = list(pool.map(build_on, chosen, [tmp_path] * len(chosen)))
    measured(f"This machine: {x86_level() if on_debian_for_amd64() else platform.machine()}")
    for line in lines:
        measured(line)
