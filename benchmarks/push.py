"""The command `benchmarks/push`."""

import argparse
import os
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

from pushes import HEADER, MB, Side, compare, from_a_program, isolate, make_layout, present

from dockless.testing.tls import make_certificate


class Case(NamedTuple):
    """The case of one table: an image with `layers` layers of `size` bytes each.

    `delay` is in seconds, for each direction. With `again`, the registry already has the image.
    """

    title: str
    target: str
    layers: int
    size: int
    tls: bool = False
    delay: float = 0.0
    again: bool = False
    jobs: int = 0


CASES = {
    "http": Case("200 MB in 4 layers, http", "wall time at most that of crane", 4, 50 * MB),
    "tls": Case("200 MB in 4 layers, TLS", "CPU at most 1.3 times that of crane", 4, 50 * MB, tls=True),
    "many": Case("200 layers of 50 KB", "none", 200, 50_000),
    "again": Case("200 MB in 4 layers, unchanged", "2 requests, no uploads", 4, 50 * MB, again=True),
    "far": Case(
        "200 layers of 50 KB, round trips of 50 ms", "wall time less than that of crane", 200, 50_000, delay=0.025
    ),
    "parallel": Case("800 MB in 8 layers, --jobs 8, http", "memory under 60 MB", 8, 100 * MB, jobs=8),
    "parallel-tls": Case("the same over TLS", "memory under 60 MB", 8, 100 * MB, tls=True, jobs=8),
}
TARGETS = (
    "Target of all cases: no more requests and bytes than crane. All tools have their defaults; Dockless has 4 jobs."
)


def sides(case: Case, layout: Path) -> dict:
    jobs = ["--jobs", str(case.jobs)] if case.jobs else []
    insecure = [] if case.tls else ["--dest-tls-verify=false"]
    to = "{registry}/team/app:1"
    commands = {
        "dockless": [sys.executable, "-m", "dockless", "copy", f"oci:{layout}", to, *jobs],
        "crane": ["crane", "push", str(layout), to],
        "skopeo": ["skopeo", "copy", *insecure, f"oci:{layout}", f"docker://{to}"],
    }
    return {name: Side(command, (command,) if case.again else ()) for name, command in commands.items()}


def main() -> None:
    parser = argparse.ArgumentParser(prog="benchmarks/push")
    parser.add_argument("--only", default=",".join(CASES), help="default: all, %(default)s")
    parser.add_argument("--tools", default="dockless,crane,skopeo", help="default: all, %(default)s")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--small", action="store_true")
    options = parser.parse_args()
    print(f"{HEADER}\n{TARGETS}")
    installed = present(sides(CASES["http"], Path()))
    chosen = [tool for tool in options.tools.split(",") if tool in installed]
    with tempfile.TemporaryDirectory(prefix="dockless-push-") as scratch:
        directory = Path(scratch)
        isolate(scratch)
        (directory / "tls").mkdir()
        authority = make_certificate(directory / "tls")
        for name in options.only.split(","):
            case = CASES[name]
            if options.small:
                case = case._replace(size=case.size // 10)
            layout = directory / f"{case.layers}-{case.size}"
            if not layout.exists():
                make_layout(layout, case.layers, case.size)
            if case.tls:
                os.environ["SSL_CERT_FILE"] = str(authority)
            selected = {tool: side for tool, side in sides(case, layout).items() if tool in chosen}
            certificates = str(directory / "tls") if case.tls else ""
            compare(
                case.title, case.target, selected, directory, options.runs, certificates=certificates, delay=case.delay
            )
            if name == "http" and "crane" in selected:
                from_a_program(layout, selected["crane"], directory, options.runs)
            os.environ.pop("SSL_CERT_FILE", None)


if __name__ == "__main__":
    main()
