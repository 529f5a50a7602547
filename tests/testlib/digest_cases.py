"""The layers and images whose digests are in testprojects/digests.lock, from sources that are generated here.

The sources must be the same bytes everywhere: they come from SHAKE-256 and byte operations only. Imports nothing but
`dockless` and the standard library, so that any interpreter can build the cases.
"""

import hashlib
import json
import os
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import NamedTuple, Union

from dockless import Image, ImageIndex, InlineFile, Layer, LayerSpec, Source

TESTPROJECTS = Path(__file__).resolve().parents[2] / "testprojects"
KIB, MIB = 1 << 10, 1 << 20
COMPRESSIONS = ("gzip", "gzip-single", "zstd", "none")
LEVELS = (
    *(f"gzip:{level}" for level in range(1, 13)),
    *(f"gzip-single:{level}" for level in (2, 3, 9)),
    *(f"zstd:{level}" for level in range(1, 20)),
)


class UnsuitableFileSystemError(Exception):
    """The file system does not keep names as they are (case, normalization, bytes that are not UTF-8)."""


class Executable(bytes):
    """The content of a file with the executable bit."""


class Link(NamedTuple):
    """A symlink."""

    target: Union[str, bytes]


# A path maps to the content of a file, a symlink, or None for an empty directory.
Tree = Mapping[Union[str, bytes], Union[bytes, Link, None]]


class Workspace:
    """Where a case writes its sources, and how; none of this may change a digest.

    `threads` are those of each layer (None: one per CPU). `reverse` creates the files in reverse order. `disturb` gives
    the files other permission bits and times, and equal files one inode. `listed` gives each source a listing, as in
    the sandboxes of Pants, and a directory in which the content of files is right and nothing else: all files are
    executable, symlinks and empty directories are missing, and one file is not in the listing.
    """

    def __init__(
        self,
        directory: str,
        *,
        threads: Union[int, None] = None,
        reverse: bool = False,
        disturb: bool = False,
        listed: bool = False,
    ) -> None:
        self.directory = os.fsencode(directory)
        self.threads = threads
        self.reverse = reverse
        self.disturb = disturb
        self.listed = listed
        self._trees: dict[str, list[tuple[bytes, Union[bytes, Link, None]]]] = {}

    def write(self, tree: Tree, name: str = "tree") -> str:
        """Writes `tree` below the directory `name` and returns that directory. Raises UnsuitableFileSystemError."""
        root = os.path.join(self.directory, os.fsencode(name))
        os.makedirs(root, exist_ok=True)
        inodes: dict[tuple[bytes, bool], bytes] = {}
        # NFC and NFD are different bytes: names are never compared as text.
        items = sorted((path if isinstance(path, bytes) else path.encode(), content) for path, content in tree.items())
        self._trees[os.fsdecode(root)] = items
        if self.listed:
            items = [(path, content) for path, content in items if isinstance(content, bytes)]
            items.append((b"not listed", b""))
        for path, content in reversed(items) if self.reverse else items:
            target = os.path.join(root, path)
            os.makedirs(target if content is None else os.path.dirname(target), exist_ok=True)
            if isinstance(content, Link):
                os.symlink(content.target, target)
            elif content is not None:
                self._write_file(target, content, inodes)
        if self.disturb:
            for directory, _, _ in os.walk(root):
                os.chmod(directory, 0o700)
        _check_names(root, [path for path, _ in items])
        return os.fsdecode(root)

    def _write_file(self, target: bytes, content: bytes, inodes: dict) -> None:
        executable = isinstance(content, Executable)
        key = (hashlib.sha256(content).digest(), executable)
        if self.disturb and key in inodes:
            os.link(inodes[key], target)
            return
        inodes[key] = target
        try:
            with open(target, "xb") as file:
                file.write(content)
        except OSError as error:
            raise UnsuitableFileSystemError(f"cannot create {target!r}: {error.strerror}") from error
        if self.disturb:
            os.chmod(target, 0o555 if executable else 0o400)
            os.utime(target, (1_000_000_007, 1_000_000_007))
        else:
            os.chmod(target, 0o755 if executable or self.listed else 0o644)

    def layer(self, layer: Layer) -> "BuildableLayer":
        """Returns `layer` as this workspace builds it."""
        return BuildableLayer(self._with_listings(layer) if self.listed else layer, self.threads)

    def _with_listings(self, layer: Layer) -> Layer:
        document = layer.spec.to_json()
        for source in document["sources"]:
            # A source is a directory that was written, or a file in one.
            root = next((root for root in self._trees if f"{source['path']}/".startswith(f"{root}/")), None)
            if root is None:
                continue
            inner = os.fsencode(source["path"][len(root) + 1 :])
            items = [(b"", content) if path == inner else (path, content) for path, content in self._trees[root]]
            source["listing"] = _listing([item for item in items if not inner or not item[0]])
        # A spec reaches a sandbox as JSON.
        return Layer.from_spec(LayerSpec.from_json(json.loads(json.dumps(document))))


class BuildableLayer(NamedTuple):
    """A layer with the number of threads that it is built with."""

    layer: Layer
    threads: Union[int, None]

    def build(self, directory: str):
        return self.layer.build(directory, threads=self.threads)


def _listing(items: list) -> dict:
    """Returns the listing of `items`, which are pairs of path and content, as JSON."""
    found = [(path.decode("utf-8", "surrogateescape"), content) for path, content in items]
    links = {path: content.target for path, content in found if isinstance(content, Link)}
    return {
        "files": [path for path, content in found if isinstance(content, bytes)],
        "executables": [path for path, content in found if isinstance(content, Executable)],
        "symlinks": {
            path: target.decode("utf-8", "surrogateescape") if isinstance(target, bytes) else target
            for path, target in links.items()
        },
        "directories": [path for path, content in found if content is None],
    }


def _check_names(root: bytes, paths: list) -> None:
    wanted = set(paths)
    for path in paths:
        while b"/" in path:
            path = path.rpartition(b"/")[0]
            wanted.add(path)
    listed = {
        os.path.relpath(os.path.join(directory, name), root)
        for directory, directories, files in os.walk(root)
        for name in (*directories, *files)
    }
    if listed != wanted:
        raise UnsuitableFileSystemError(f"{os.fsdecode(root)} does not keep the names {sorted(wanted ^ listed)}")


LAYERS: dict[str, Callable[[Workspace], Layer]] = {}
IMAGES: dict[str, Callable[[Workspace], Union[Image, ImageIndex]]] = {}


def layer(name: str) -> Callable:
    """Registers a function that describes a layer."""
    return partial(_register, LAYERS, name)


def image(name: str) -> Callable:
    """Registers a function that makes an image or an index."""
    return partial(_register, IMAGES, name)


def _register(cases: dict, name: str, make: Callable) -> Callable:
    assert name not in cases, name
    cases[name] = make
    return make


# Content


def noise(size: int, seed: str) -> bytes:
    """Returns incompressible bytes."""
    return hashlib.shake_256(seed.encode()).digest(size)


_WORDS = [hashlib.shake_256(b"%d" % n).hexdigest(1 + n % 5).encode() for n in range(256)]


def text(size: int, seed: str) -> bytes:
    """Returns words and lines, which compress about as well as source code."""
    parts = [_WORDS[n >> 2 if n & 1 else n] for n in noise(size // 4, seed)]
    lines = [b" ".join(parts[at : at + 9]) for at in range(0, len(parts), 9)]
    return b"\n".join(lines)[:size].ljust(size, b".")


def symbols(size: int, count: int, seed: str) -> bytes:
    """Returns random bytes of `count` different values, which have a known entropy."""
    return noise(size, seed).translate(bytes(n * count >> 8 for n in range(256)))


def records(size: int) -> bytes:
    """Returns increasing little-endian numbers, as in tables of binaries."""
    return b"".join((n * n).to_bytes(8, "little") for n in range(size // 8))


def sample() -> Tree:
    """Returns a mixture of all kinds of content, less than a block."""
    return {
        "bin/run.sh": Executable(b"#!/bin/sh\nexec python3 /app/main.py\n"),
        "data/empty": b"",
        "data/noise": noise(48 * KIB, "sample"),
        "data/records": records(32 * KIB),
        "data/zeros": bytes(32 * KIB),
        "lib/link": Link("text"),
        "lib/text": text(96 * KIB, "sample"),
    }


def large() -> Tree:
    """A file larger than the largest block (4 MiB, of zstd), whose content changes within blocks."""
    return {
        "large": b"".join(
            (
                text(MIB + 7, "large"),
                bytes(MIB // 4 + 3),
                noise(MIB + 511, "large"),
                records(MIB // 4),
                symbols(MIB + 13, 64, "large"),
                noise(MIB // 3, "end"),
                text(MIB // 2 + 1, "end"),
            )
        ),
        "small": b"after the large file\n",
    }


# Layers


@layer("default")
def _(work: Workspace) -> Layer:
    return Layer.from_files({"/app": work.write(sample())})


def _sample_layer(compression: str, work: Workspace) -> Layer:
    return Layer.from_files({"/app": work.write(sample())}, compression=compression)


def _large_layer(compression: str, work: Workspace) -> Layer:
    return Layer.from_files({"/srv": work.write(large())}, compression=compression)


def _content_layer(compression: str, content: Callable[[], bytes], work: Workspace) -> Layer:
    return Layer.from_files({"/srv": work.write({"file": content()})}, compression=compression)


for _compression in (*COMPRESSIONS, *LEVELS):
    layer(f"compression/{_compression}")(partial(_sample_layer, _compression))
_CONTENTS = {
    "noise": partial(noise, MIB + 5, "content"),
    "text": partial(text, MIB + 5, "content"),
    "zeros": partial(bytes, MIB + 5),
    # On both sides of the limit from which data is stored instead of compressed.
    "240-symbols": partial(symbols, 128 * KIB, 240, "content"),
    "224-symbols": partial(symbols, 128 * KIB, 224, "content"),
    "208-symbols": partial(symbols, 128 * KIB, 208, "content"),
}
for _compression in COMPRESSIONS:
    layer(f"blocks/{_compression}")(partial(_large_layer, _compression))
    for _name, _content in _CONTENTS.items():
        layer(f"content/{_name}/{_compression}")(partial(_content_layer, _compression, _content))


@layer("sizes/around-512")
def _(work: Workspace) -> Layer:
    return Layer.from_files({"/": work.write({str(n): b"x" * n for n in (0, 1, 511, 512, 513, 1023, 1024, 1025)})})


@layer("sizes/around-a-block")
def _(work: Workspace) -> Layer:
    # The file ends, its padding ends, and the next header ends at the end of a block of 1 MiB.
    sizes = {"a": MIB - 1536, "b": MIB - 512 - 1, "c": MIB - 512, "d": MIB - 1, "e": MIB, "f": MIB + 1}
    return Layer.from_files({"/": work.write({name: noise(size, name) for name, size in sizes.items()})})


def store_boundary() -> Tree:
    """Files on both sides of the size from which Pants hard-links a sandbox's files to its store."""
    return {
        f"{kind.__name__.lower()}-{size}": kind(text(size, f"store {size}"))
        for kind in (bytes, Executable)
        for size in (524_287, 524_288)
    }


@layer("sizes/524287-and-524288")
def _(work: Workspace) -> Layer:
    return Layer.from_files({"/app": work.write(store_boundary())})


@layer("sizes/524287-and-524288/hardlinks")
def _(work: Workspace) -> Layer:
    tree = dict(store_boundary())
    tree.update({f"z/{name}": content for name, content in tree.items()})
    return Layer.from_files({"/app": work.write(tree)}, hardlinks=True)


@layer("many-small-files")
def _(work: Workspace) -> Layer:
    tree = {f"d{n % 31}/{n // 31 % 7}/f{n}": text(n % 700, f"file {n}") for n in range(2500)}
    return Layer.from_files({"/srv": work.write(tree)})


@layer("empty")
def _(work: Workspace) -> Layer:
    return Layer.from_files({})


@layer("empty-directories")
def _(work: Workspace) -> Layer:
    return Layer.from_files({"/srv": work.write({"a": None, "b/c": None, "b/d/e": None, "f": b""})})


@layer("executables")
def _(work: Workspace) -> Layer:
    return Layer.from_files({"/app": work.write({"plain": b"1", "run": Executable(b"1"), "d/run": Executable(b"2")})})


@layer("names/long")
def _(work: Workspace) -> Layer:
    names = ("n" * 100, "n" * 101, "n" * 255, "p" * 155 + "/" + "n" * 100, "p" * 156 + "/" + "n" * 100)
    tree = {**dict.fromkeys(names, b""), "/".join(["d" * 100] * 4): b"x", "\u00e4" * 120: b"y"}
    return Layer.from_files({"/": work.write({**tree, "link": Link("t" * 150), "e" * 200: None})})


@layer("names/not-utf-8")
def _(work: Workspace) -> Layer:
    names = (b"\xff", b"\xfe\xff/\xe4", b"latin-1 \xe4", b"l" * 99 + b"\xff\xff", b"long " * 30 + b"\xff")
    return Layer.from_files({"/srv": work.write({**dict.fromkeys(names, b"x"), b"link": Link(b"\xff")})})


@layer("names/odd")
def _(work: Workspace) -> Layer:
    names = ("line\nbreak", "back\\slash", "-rf", " space ", "%s{}$HOME`id`", "\U0001f433", "*", "[x]", "\t", "...")
    return Layer.from_files({"/srv": work.write(dict.fromkeys(names, b""))})


@layer("names/case")
def _(work: Workspace) -> Layer:
    tree = {"README": b"1", "readme": b"2", "ReadMe": b"3", "D/f": b"", "d/F": b"", "\u00c4": b"", "\u00e4": b""}
    return Layer.from_files({"/srv": work.write(tree)})


@layer("names/normalization")
def _(work: Workspace) -> Layer:
    # One letter composed and decomposed, and the Angstrom sign, which both normal forms replace.
    tree = {"\u00c5": b"1", "A\u030a": b"2", "\u212b": b"3", "\u00e9/\u0301": b""}
    return Layer.from_files({"/srv": work.write(tree)})


@layer("names/order")
def _(work: Workspace) -> Layer:
    names = ("a/b", "a.txt", "a-", "a/B", "A", "\u00e4", "a/b.d/c", "a0", "a/b.d.e", "\x01", "~")
    return Layer.from_files({"/srv": work.write(dict.fromkeys(names, b""))})


def links() -> Tree:
    return {
        "absolute": Link("/etc/passwd"),
        "d/up": Link("../file"),
        "dangling": Link("nowhere"),
        "directory": Link("d"),
        "file": b"content",
        "loop": Link("loop"),
        "long": Link("d/" * 60 + "file"),
    }


@layer("links/kept")
def _(work: Workspace) -> Layer:
    return Layer.from_files({"/srv": work.write(links())})


@layer("links/followed")
def _(work: Workspace) -> Layer:
    tree = {"a/run": Executable(b"1"), "a/text": b"2", "b/run": Link("../a/run"), "c": Link("a"), "d": Link("c/text")}
    return Layer.from_files({"/srv": work.write(tree)}, follow_symlinks=True)


@layer("links/declared")
def _(work: Workspace) -> Layer:
    symlinks = {"/usr/bin/tool": "../lib/tool", "/srv/l\u00e4nk": "/\u00fc", "/srv/long": "x" * 120}
    return Layer.from_files({}, symlinks=symlinks)


@layer("links/hard")
def _(work: Workspace) -> Layer:
    tree = {"a": b"same", "b": b"same", "c": b"othr", "d/e": b"same", "m": b"", "n": b"", "x": Executable(b"same")}
    return Layer.from_files({"/srv": work.write(tree), "/etc/a": InlineFile("same")}, hardlinks=True)


@layer("links/same-inode")
def _(work: Workspace) -> Layer:
    # Without `hardlinks` every file is stored.
    return Layer.from_files({"/srv": work.write({"a": b"same", "b": b"same", "c/d": b"same"})})


@layer("declared/inline-files")
def _(work: Workspace) -> Layer:
    files = {
        "/etc/motd": InlineFile("h\u00e4llo\n"),
        "/etc/app/secret": InlineFile(b"\x00\xff", mode=0o600),
        "/usr/bin/su": InlineFile(b"#!", mode=0o4755),
        "/srv/empty": InlineFile(b"", mode=0o444),
        "/srv/\u00fcber": InlineFile(b"x"),
        "/srv/large": InlineFile(text(MIB + 77, "inline")),
    }
    return Layer.from_files(files)


@layer("declared/directories")
def _(work: Workspace) -> Layer:
    return Layer.from_files(
        {"/srv/a": work.write({"f": b""})},
        directories={"/": "0755", "/tmp": "1777", "/var/lib/app": "0700", "/srv/a": "2750", "/usr/bin": "0755"},
    )


@layer("declared/whiteouts")
def _(work: Workspace) -> Layer:
    return Layer.from_files({"/srv/f": InlineFile("x")}, whiteouts=["/opt/a/b", "/srv/old/", "/etc/\u00fc"])


@layer("declared/mtime")
def _(work: Workspace) -> Layer:
    return Layer.from_files({"/app": work.write({"d/f": b"x", "n" * 101: b""})}, mtime=1_700_000_000)


def permissions() -> Tree:
    return {
        "a.sh": b"1",
        "b": Executable(b"2"),
        "k/a.key": b"3",
        "k/b.key": b"4",
        "l": Link("b"),
        "t.txt": b"5",
        "\u00e4": b"6",
    }


@layer("permissions/modes")
def _(work: Workspace) -> Layer:
    modes = {"*.sh": "0755", "*.key": "0400", "/app/k/b.key": "0600", "*.txt": "4711", "\u00e4": "0640"}
    return Layer.from_files({"/app": work.write(permissions())}, modes=modes)


@layer("permissions/owner")
def _(work: Workspace) -> Layer:
    return Layer.from_files({"/app": work.write(permissions()), "/etc/x": InlineFile("x")}, owner="1000:1001")


@layer("permissions/owners")
def _(work: Workspace) -> Layer:
    # The second needs a PAX record.
    owners = {"/app/k": "7:8", "*.txt": "4000000:4294967294", "/app/\u00e4": "9:9"}
    return Layer.from_files({"/app": work.write(permissions())}, owner="5:6", owners=owners)


@layer("sources/ignored")
def _(work: Workspace) -> Layer:
    tree = {
        ".ignore": "*.log\n!keep.log\n/build/\n\u00fc*\n".encode(),
        "a.log": b"",
        "keep.log": b"",
        "build/x": b"",
        "sub/.ignore": b"!b.log\n",
        "sub/a.log": b"",
        "sub/b.log": b"",
        "sub/build/x": b"",
        "x.pyc": b"",
        "\u00e4.txt": b"",
        "\u00fcber": b"",
        "\u00f6.txt": b"",
    }
    return Layer.from_files({"/app": work.write(tree)}, ignores=["*.pyc", "\u00e4.*"], ignore_files=[".ignore"])


@layer("sources/several")
def _(work: Workspace) -> Layer:
    one, two = work.write({"s\u00e4/app/a": b"1", "s\u00e4/app/b/c": b"2"}, "one"), work.write({"d": b"3"}, "two")
    return Layer.from_spec(
        LayerSpec(
            (
                Source(one, "/x", strip_prefix="s\u00e4/app"),
                Source(os.path.join(two, "d"), "/y/renam\u00e9"),
                Source(os.path.join(two, "d"), "/z/"),
                Source(two, "/etc"),
            )
        )
    )


@layer("sources/hello")
def _(work: Workspace) -> Layer:
    hello = TESTPROJECTS / "hello"
    return Layer.from_files({"/srv/": hello / "hello.txt", "/etc/hello/hello.ini": hello / "hello.ini"})


# Images


def _app(work: Workspace, image_format: str, platform: str = "linux/amd64", compression: str = "gzip") -> Image:
    layers = [
        Layer.from_files({"/app": work.write(sample(), f"app {platform}")}, compression=compression),
        Layer.from_files({"/etc/motd": InlineFile(f"{platform}\n")}, compression=compression),
    ]
    made = Image.scratch(platform, image_format=image_format)
    for one in layers:
        made = made.add_layer(work.layer(one))
    made = made.with_config(
        entrypoint=["/app/bin/run.sh"],
        cmd=["--verbose", "h\u00e4llo"],
        env={"PATH": "/app/bin:/usr/bin", "GREETING": "h\u00e4llo"},
        working_dir="/app",
        user="1000:1000",
        labels={"org.opencontainers.image.title": "app", "b": "2", "a": "1"},
        exposed_ports=["8080/tcp", "53/udp"],
        volumes=["/data"],
        stop_signal="SIGINT",
        healthcheck={"Test": ["CMD", "true"], "Interval": 30_000_000_000},
        raw={"author": "me"},
    )
    return made.with_config(env={"PATH": "/opt/bin:$PATH", "DOLLAR": "\\$5"}, created="2024-02-29T23:59:59Z")


def _base(work: Workspace) -> Image:
    """An image as another tool writes it: another order of keys, unknown keys, a history entry without a layer."""
    config = {
        "rootfs": {"diff_ids": ["sha256:" + "1" * 64, "sha256:" + "2" * 64], "type": "layers"},
        "os": "linux",
        "config": {"Env": ["PATH=/bin", "B=2"], "Cmd": ["sh"], "Unknown": {"z": [1, None, True], "a": "\u00e4"}},
        "architecture": "amd64",
        "created": "2024-02-03T04:05:06.789Z",
        "history": [
            {"created_by": "ADD rootfs", "created": "2024-02-03T04:05:06Z"},
            {"created_by": "CMD sh", "empty_layer": True},
            {"created_by": "RUN make"},
        ],
        "x-unknown": 1.5,
    }
    kinds = "application/vnd.oci.image."
    config_bytes = json.dumps(config, indent=1).encode()
    layers = [
        {"mediaType": f"{kinds}layer.v1.tar+gzip", "digest": "sha256:" + digit * 64, "size": size}
        for digit, size in (("a", 100), ("b", 200))
    ]
    manifest = {
        "schemaVersion": 2,
        "layers": layers,
        "config": {**_blob(config_bytes), "mediaType": f"{kinds}config.v1+json"},
        "annotations": {"z": "1", "a": "2"},
        "x-unknown": [],
    }
    manifest_bytes = json.dumps(manifest).encode()
    root = {**_blob(manifest_bytes), "mediaType": f"{kinds}manifest.v1+json"}
    tree = {f"blobs/sha256/{hashlib.sha256(blob).hexdigest()}": blob for blob in (config_bytes, manifest_bytes)}
    tree["oci-layout"] = b'{"imageLayoutVersion": "1.0.0"}'
    tree["index.json"] = json.dumps({"schemaVersion": 2, "manifests": [root]}).encode()
    return Image.from_layout(work.write(tree, "base"))


def _blob(data: bytes) -> dict:
    return {"digest": "sha256:" + hashlib.sha256(data).hexdigest(), "size": len(data)}


for _format in ("oci", "docker"):
    image(f"scratch/{_format}")(lambda work, kind=_format: Image.scratch(image_format=kind))
    image(f"app/{_format}")(lambda work, kind=_format: _app(work, kind))
    image(f"index/{_format}")(
        lambda work, kind=_format: ImageIndex([_app(work, kind), _app(work, kind, "linux/arm64/v8")], image_format=kind)
    )
image("app/zstd")(lambda work: _app(work, "oci", compression="zstd"))
image("app/gzip-single")(lambda work: _app(work, "oci", compression="gzip-single"))
image("app/none")(lambda work: _app(work, "docker", compression="none"))
image("app/annotations")(lambda work: _app(work, "oci").with_annotations({"b": "2", "a": "\u00e4"}))


@image("index/annotations")
def _(work: Workspace) -> ImageIndex:
    images = [_app(work, "oci", platform) for platform in ("linux/arm/v7", "linux/amd64")]
    return ImageIndex(images, annotations={"b": "2", "a": "1"})


@image("hello")
def _(work: Workspace) -> Image:
    # As `testprojects/hello:image`, which Pants builds.
    made = Image.scratch()
    for name, destination in (("hello.ini", "/etc/hello"), ("hello.txt", "/srv")):
        path = TESTPROJECTS / "hello" / name
        made = made.add_layer(work.layer(Layer.from_files({f"{destination}/testprojects/hello/": path})))
    return made.with_config(env={"GREETING": "hello"}, labels={"org.opencontainers.image.title": "hello"})


@image("base/unchanged")
def _(work: Workspace) -> Image:
    return _base(work)


@image("base/docker")
def _(work: Workspace) -> Image:
    return _base(work).with_format("docker")


@image("base/more")
def _(work: Workspace) -> Image:
    more = work.layer(Layer.from_files({"/app": work.write(sample())}))
    return _base(work).add_layer(more).with_config(env={"B": "$B:3"}, entrypoint=["/app/bin/run.sh"], labels={"l": "1"})


@image("base/less")
def _(work: Workspace) -> Image:
    return _base(work).remove_layer("sha256:" + "b" * 64)


@image("base/replaced")
def _(work: Workspace) -> Image:
    other = work.layer(Layer.from_files({"/etc/other": InlineFile("x")}))
    return _base(work).replace_layer("sha256:" + "2" * 64, other, created_by="other")


@image("base/rebased")
def _(work: Workspace) -> Image:
    base = _base(work)
    newer = base.add_layer(work.layer(Layer.from_files({"/etc/newer": InlineFile("x")}))).with_config(env={"B": "4"})
    top = base.add_layer(work.layer(Layer.from_files({"/app/main": InlineFile("y")}))).with_config(cmd=["/app/main"])
    return top.rebase(base, newer)
