"""`dockless build`."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from dockless.cli import _option_values as option_values
from dockless.cli._options import Commands, access_of, add_command, add_jobs, add_platform

if TYPE_CHECKING:
    from dockless.layer import Layer
    from dockless.layer.builder import BuiltLayer
    from dockless.transfer.locations import Location

_DESCRIPTION = """\
Build an image from a base, a layer for each --add, and config options, and save it. No program of the image is run, and
Dockerfiles are not read.

The same files and options give the same digest on every machine. Only the manifest and the config of the base are
read. The layers of the base are mounted (used in place) if base and destination are in the same registry, and otherwise
copied unless the destination has them.
"""
_EXAMPLE = """\
  dockless build ghcr.io/acme/app --base docker.io/library/python:3.12-slim --add ./src:/app \\
    --ignore-file .dockerignore --entrypoint '["python", "/app/main.py"]' --env PORT=8080 --tag 1.2.3 --tag latest
"""


def add_to(commands: Commands) -> None:
    """Add the command `build`."""
    parser = add_command(commands, "build", "DESTINATION", "build an image and save it", _DESCRIPTION, _EXAMPLE)
    parser.add_argument(
        "destination",
        metavar="DESTINATION",
        help="where to save the image, such as ghcr.io/acme/app:1.2.3 or oci:DIR; see dockless --help",
    )
    parser.add_argument(
        "--base", metavar="SOURCE", help="the image to start from (default: none, an image from nothing)"
    )
    content = parser.add_argument_group("content")
    add = _repeatable(content)
    add(
        "--add",
        "SRC:DEST",
        "add a layer with the content of this directory at this absolute path in the image, or with this file; a path "
        "that ends with / is the directory of the file",
        option_values.added,
    )
    add("--ignore", "GLOB", "exclude files that match this .gitignore pattern", option_values.pattern)
    add(
        "--ignore-file",
        "NAME",
        "read .gitignore patterns from files with this name, in every directory",
        option_values.ignore_file,
    )
    add(
        "--directory",
        "PATH[:MODE[:UID:GID]]",
        "add a directory with this mode and owner, such as /tmp:1777 (default: 0755:0:0)",
        option_values.directory,
    )
    add(
        "--whiteout",
        "PATH",
        "hide this absolute path of the base, whose layers keep their size",
        option_values.whiteout,
    )
    content.add_argument(
        "--owner",
        metavar="UID:GID",
        default="0:0",
        type=option_values.owner,
        help="owner of the files (default: 0:0)",
    )
    content.add_argument("--allow-empty", action="store_true", help="allow an image without a base and without content")
    content.add_argument(
        "--compression",
        metavar="C",
        default="gzip",
        type=option_values.compression,
        help="gzip, gzip-single, zstd or none, optionally with a level such as gzip:6 (default: gzip)",
    )
    config = parser.add_argument_group("config")
    config_value = option_values.config_value
    config.add_argument(
        "--entrypoint",
        metavar="ARGS",
        type=option_values.arguments("entrypoint"),
        help="the program: one word, or a JSON list of strings; without --cmd, the cmd of the base is removed",
    )
    config.add_argument(
        "--cmd",
        metavar="ARGS",
        type=option_values.arguments("cmd"),
        help="the arguments of the program, or the program: one word, or a JSON list of strings",
    )
    add = _repeatable(config)
    add(
        "--env",
        "NAME=VALUE",
        "set an environment variable; $NAME in the value is replaced by the variable of the base",
        option_values.pair("env"),
    )
    config.add_argument(
        "--workdir", metavar="DIR", type=config_value("working_dir"), help="working directory of the program"
    )
    config.add_argument(
        "--user", metavar="USER", type=config_value("user"), help="user name or UID, optionally with :GROUP or :GID"
    )
    add("--label", "NAME=VALUE", "set a label", option_values.pair("labels"))
    add(
        "--expose",
        "PORT",
        "expose a port, such as 8080/tcp, besides those of the base",
        config_value("exposed_ports"),
    )
    add("--volume", "PATH", "declare a volume at this path, besides those of the base", config_value("volumes"))
    config.add_argument(
        "--stop-signal",
        metavar="SIGNAL",
        type=config_value("stop_signal"),
        help="the signal that stops the program, such as SIGINT",
    )
    config.add_argument(
        "--created",
        metavar="TIME",
        type=config_value("created"),
        help="creation time in RFC 3339 format, such as 2024-01-31T12:00:00Z (default: 1970-01-01)",
    )
    image = parser.add_argument_group("image")
    add_platform(image, "platform of the image (default: the only platform of the base, or linux/amd64)")
    image.add_argument(
        "--format", choices=("oci", "docker"), help="media types of the image (default: those of the base, or oci)"
    )
    add = _repeatable(image)
    add("--annotation", "NAME=VALUE", "set an annotation of the manifest", option_values.annotation)
    add("--tag", "TAG", "save the image under this tag too (default: the tag of DESTINATION, or latest in a registry)")
    add_jobs(parser)
    parser.set_defaults(run=run)


def _repeatable(group: Any) -> Any:
    def add(name: str, metavar: str, text: str, convert: Callable[[str], Any] = str) -> None:
        group.add_argument(
            name, metavar=metavar, action="append", default=[], type=convert, help=f"{text} (repeatable)"
        )

    return add


def run(arguments: argparse.Namespace) -> int:
    """Build an image as the arguments say, save it, and print the references."""
    from dockless.errors import DocklessError

    try:
        return _build(arguments)
    except DocklessError as error:
        raise option_values.with_option_names(error) from error


def _build(arguments: argparse.Namespace) -> int:
    from dockless.cli._output import print_saved
    from dockless.cli._progress import progress_of
    from dockless.mutate.assemble import refuse_windows
    from dockless.transfer.locations import to_destination
    from dockless.transfer.save import check_tags, image_names

    edit = {
        "entrypoint": arguments.entrypoint,
        "cmd": arguments.cmd,
        "env": dict(arguments.env) or None,
        "labels": dict(arguments.label) or None,
        "working_dir": arguments.workdir,
        "user": arguments.user,
        "exposed_ports": arguments.expose or None,
        "volumes": arguments.volume or None,
        "stop_signal": arguments.stop_signal,
    }
    destination = to_destination(arguments.destination)
    # Before layers are built, which may take long.
    image_names(destination, check_tags(arguments.tag))
    with access_of(arguments) as access:
        image = _base(arguments, destination, access)
        unused = {"--ignore": arguments.ignore, "--ignore-file": arguments.ignore_file}
        layers = _layers(arguments, unused)
        if layers:
            refuse_windows(image.platform)
        for layer in layers:
            image = image.add_layer(layer)
        _warn_of(unused)
        # The config is last: every edit sets the creation time.
        image = image.with_annotations(dict(arguments.annotation)).with_config(**edit, created=arguments.created)
        if arguments.base is None and not (arguments.add or arguments.directory or arguments.allow_empty):
            # After all values were checked.
            arguments.usage_error("the image would be empty; give --base, --add or --directory, or --allow-empty")
        pushed = image.save(destination, tags=arguments.tag, access=access, progress=progress_of(arguments))
    print_saved(arguments, pushed, platform=str(image.platform), layers=[x.descriptor.digest for x in image.layers])
    return 0


class _Added(NamedTuple):
    """A layer of --add. Its build removes the patterns and ignore files that have an effect from `unused`."""

    layer: Layer
    unused: dict[str, list[str]]

    @property
    def tarball(self) -> str | None:
        """The archive of the layer, as in Layer: None."""
        return self.layer.tarball

    def build(self, directory: str) -> BuiltLayer:
        built = self.layer.build(directory)
        for option, values in (("--ignore", built.unused_ignores), ("--ignore-file", built.unused_ignore_files)):
            self.unused[option] = [value for value in self.unused[option] if value in values]
        return built


def _warn_of(unused: dict[str, list[str]]) -> None:
    """Log a warning for each pattern and ignore file that had no effect in any layer."""
    import logging

    from dockless.errors import printable

    causes = {
        "--ignore": "no path of the sources matches, or other patterns decide about these paths; check the pattern",
        "--ignore-file": "no directory of the sources has a file with this name; check the name",
    }
    for option, values in unused.items():
        for value in dict.fromkeys(values):
            text = printable(value, 200)
            logging.getLogger("dockless.cli").warning("%s '%s' has no effect: %s", option, text, causes[option])


def _base(arguments: argparse.Namespace, destination: Location, access: Any) -> Any:
    from dockless.image.image import Image
    from dockless.transfer.locations import DOCKER_ARCHIVE, to_location

    if arguments.base is None:
        return Image.scratch(arguments.platform or "linux/amd64", image_format=arguments.format or "oci")
    source = to_location(arguments.base)
    base = Image.load(source, platform=arguments.platform, access=access)
    if source.kind == DOCKER_ARCHIVE and destination.kind != DOCKER_ARCHIVE:
        base = base.with_compressed_layers()
    return base.with_format(arguments.format) if arguments.format else base


def _layers(arguments: argparse.Namespace, unused: dict[str, list[str]]) -> list[Any]:
    """Return the layers, lowest first. The layers of --add remove from `unused` what has an effect."""
    from dockless.layer import Layer

    layers: list[Any] = []
    if arguments.whiteout:
        # Below the added layers, so that only paths of the base are removed.
        layers.append(Layer.from_files({}, whiteouts=arguments.whiteout, compression=arguments.compression))
    for source, destination in arguments.add:
        layer = Layer.from_files(
            {destination: source},
            ignores=arguments.ignore,
            ignore_files=arguments.ignore_file,
            owner=arguments.owner,
            compression=arguments.compression,
        )
        layers.append(_Added(layer, unused))
    if arguments.directory:
        layers.append(
            Layer.from_files(
                {},
                directories={path: mode for path, mode, _ in arguments.directory},
                owners=_directory_owners(arguments.directory),
                compression=arguments.compression,
            )
        )
    return layers


def _directory_owners(directories: list[tuple[str, str, str]]) -> dict[str, str]:
    """Return the owners of the directories as patterns; none if all directories belong to root."""
    import re

    if all(owner == "0:0" for _, _, owner in directories):
        return {}
    return {re.sub(r"([\\*?\[])", r"\\\1", path): owner for path, _, owner in directories}
