"""Wheels, and what releases of pex make of them, with content that is given."""

import base64
import configparser
import hashlib
import re
import zipfile
from pathlib import Path

SCRIPT = b"#!python\nprint('tool')\n"


def made_wheel(directory: Path, name: str, files: dict, *, version="1.0", tags="py3-none-any", scripts="") -> Path:
    """Write a wheel: path -> content as str or bytes. An executable file has a path that ends with `*`."""
    info = f"{name}-{version}.dist-info"
    members = {
        **files,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{info}/WHEEL": f"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: {tags}\n",
        **({f"{info}/entry_points.txt": scripts} if scripts else {}),
    }
    rows = []
    for path, content in members.items():
        data = content if isinstance(content, bytes) else content.encode()
        digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
        rows.append(f"{path.rstrip('*')},sha256={digest},{len(data)}\n")
    members[f"{info}/RECORD"] = "".join((*rows, f"{info}/RECORD,,\n"))
    return made_zip(directory / f"{name}-{version}-{tags}.whl", members)


def made_zip(path: Path, members: dict, *, date=(2024, 5, 6, 7, 8, 10), compression=zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in members.items():
            info = zipfile.ZipInfo(name.rstrip("*"), date)
            info.external_attr = (0o100755 if name.endswith("*") else 0o100644) << 16
            archive.writestr(info, content, compression)
    return path


def installed(wheel: Path, target: Path, *, release: str) -> Path:
    """Write what pex has in `.deps` for a wheel, as a zip. `release` is `2.1` or `2.97`, whose files differ."""
    with zipfile.ZipFile(wheel) as archive:
        members = {
            info.filename + "*" * bool(info.external_attr >> 16 & 0o111): archive.read(info)
            for info in archive.infolist()
        }
    (info,) = {name.partition("/")[0] for name in members if name.partition("/")[0].endswith(".dist-info")}
    project = info.partition("-")[0]
    chroot: dict = {".layout.json": '{"stash_dir": ".prefix"}'}
    for name, data in members.items():
        match = re.fullmatch(r"[^/]+\.data/(\w+)/(.*)", name)
        if not match:
            chroot[name] = data
        elif match[1] == "headers":
            version = "pythonX.Y" if release == "2.1" else "python3.11"
            chroot[f".prefix/include/site/{version}/{project}/{match[2]}"] = data
        elif match[1] == "scripts":
            chroot[f".prefix/bin/{match[2].rstrip('*')}*"] = data
        elif match[1] == "data":
            chroot[f".prefix/{match[2]}"] = data
        else:
            chroot[match[2]] = data
    entry_points = chroot.get(f"{info}/entry_points.txt", b"").decode()
    parser = configparser.ConfigParser(delimiters=("=",))
    parser.read_string(entry_points)
    for script in (name for group in ("console_scripts", "gui_scripts") if group in parser for name in parser[group]):
        chroot[f".prefix/bin/{script}*"] = f"#!python\n# written by pex {release}\n"
    if release == "2.1":
        del chroot[f"{info}/RECORD"]
        chroot[f"{info}/INSTALLER"] = "pip\n"
        chroot[f"{info}/REQUESTED"] = ""
    else:
        chroot[f"{info}.pex-info/original-whl-info.json"] = "{}"
        chroot[f"{info}/RECORD"] += b".prefix/bin/x,,\n"
    return made_zip(target, dict(reversed(chroot.items())), date=(1980, 1, 1, 0, 0, 0), compression=zipfile.ZIP_STORED)
