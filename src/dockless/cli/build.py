"""`dockless build`."""

from __future__ import annotations

import argparse
from typing import Any

from dockless.cli._options import Commands, access_of, add_command, add_jobs

_DESCRIPTION = """\
Builds an image and saves it: a base, a layer for each --add, a config.

The same files and options give the same digest on every machine. Of the base only manifest and config are read; its
layers are copied if the destination lacks them, mounted where both are in one registry.
"""
_EXAMPLE = """\
  dockless build ghcr.io/acme/app --base docker.io/library/python:3.12-slim --add ./src:/app \\
    --ignore-file .dockerignore --entrypoint '["python", "/app/main.py"]' --env PORT=8080 --tag 1.2.3 --tag latest
"""


def add_to(commands: Commands) -> None:
    parser = add_command(commands, "build", "DESTINATION", "build an image and save it", _DESCRIPTION, _EXAMPLE)
    parser.add_argument("destination", metavar="DESTINATION", help="where to save it: see dockless --help")
    parser.add_argument("--base", metavar="SOURCE", help="what to build on (default: nothing, from scratch)")
    content = parser.add_argument_group("content")
    add = _repeatable(content)
    add("--add", "SRC:DEST", "a layer of this file or folder, at this path in the image")
    add("--ignore", "GLOB", "leave out what this matches, as a line of .gitignore does")
    add("--ignore-file", "NAME", "read such lines from files of this name, in any folder")
    add("--whiteout", "PATH", "take this path of the base away")
    content.add_argument("--owner", metavar="UID:GID", default="0:0", help="who owns the files (default: 0:0)")
    content.add_argument(
        "--compression", metavar="C", default="gzip", help="gzip, gzip-single, zstd or none, with a level as in gzip:6"
    )
    config = parser.add_argument_group("config")
    config.add_argument("--entrypoint", metavar="JSON", help="a list of strings: the program")
    config.add_argument("--cmd", metavar="JSON", help="a list of strings: its arguments")
    add = _repeatable(config)
    add("--env", "NAME=VALUE", "set a variable; $NAME in it stands for what the base sets")
    config.add_argument("--workdir", metavar="DIR", help="where the program starts")
    config.add_argument("--user", metavar="USER", help="user or uid, with :group or :gid")
    add("--label", "NAME=VALUE", "set a label")
    add("--expose", "PORT", "a port that it listens on, such as 8080/tcp")
    add("--volume", "PATH", "a path that is to be a volume")
    config.add_argument("--stop-signal", metavar="SIGNAL", help="what stops the program, such as SIGINT")
    config.add_argument("--created", metavar="TIME", help="as 2024-01-31T12:00:00Z (default: 1970)")
    image = parser.add_argument_group("image")
    image.add_argument("--platform", metavar="OS/ARCH", help="(default: the base's only one, or linux/amd64)")
    image.add_argument("--format", choices=("oci", "docker"), help="media types (default: the base's, or oci)")
    add = _repeatable(image)
    add("--annotation", "NAME=VALUE", "set an annotation of the manifest")
    add("--tag", "TAG", "name the image so, too")
    add_jobs(parser)
    parser.set_defaults(run=run)


def _repeatable(group: Any) -> Any:
    def add(name: str, metavar: str, text: str) -> None:
        group.add_argument(name, metavar=metavar, action="append", default=[], help=f"{text} (repeatable)")

    return add


def run(arguments: argparse.Namespace) -> int:
    from dockless.cli._output import print_saved
    from dockless.cli._progress import progress_of
    from dockless.transfer.locations import to_destination

    edit = {
        "entrypoint": _json_list("--entrypoint", arguments.entrypoint),
        "cmd": _json_list("--cmd", arguments.cmd),
        "env": _pairs("--env", arguments.env),
        "labels": _pairs("--label", arguments.label),
        "working_dir": arguments.workdir,
        "user": arguments.user,
        "exposed_ports": arguments.expose or None,
        "volumes": arguments.volume or None,
        "stop_signal": arguments.stop_signal,
    }
    annotations = _pairs("--annotation", arguments.annotation)
    layers = _layers(arguments)
    destination = to_destination(arguments.destination)
    with access_of(arguments) as access:
        image = _base(arguments, access)
        for layer in layers:
            image = image.add_layer(layer)
        # Last: each edit says anew when the image was created.
        image = image.with_annotations(annotations or {}).with_config(**edit, created=arguments.created)
        pushed = image.save(destination, tags=arguments.tag, access=access, progress=progress_of(arguments))
    print_saved(arguments, pushed, platform=str(image.platform), layers=[x.descriptor.digest for x in image.layers])
    return 0


def _base(arguments: argparse.Namespace, access: Any) -> Any:
    from dockless.image.image import Image

    if arguments.base is None:
        return Image.scratch(arguments.platform or "linux/amd64", image_format=arguments.format or "oci")
    base = Image.load(arguments.base, platform=arguments.platform, access=access)
    return base.with_format(arguments.format) if arguments.format else base


def _layers(arguments: argparse.Namespace) -> list[Any]:
    from dockless.errors import InvalidValueError
    from dockless.layer import Layer

    layers = []
    if arguments.whiteout:
        # Of the base: what is added to the same place is not taken away.
        layers.append(Layer.from_files({}, whiteouts=arguments.whiteout, compression=arguments.compression))
    for added in arguments.add:
        source, colon, destination = added.rpartition(":")
        if not colon or not source or not destination.startswith("/"):
            raise InvalidValueError(f"--add {added!r} is not SRC:DEST", hint="write as in ./src:/app")
        layers.append(
            Layer.from_files(
                {destination: source},
                ignores=arguments.ignore,
                ignore_files=arguments.ignore_file,
                owner=arguments.owner,
                compression=arguments.compression,
            )
        )
    return layers


def _json_list(option: str, text: str | None) -> list[str] | None:
    if text is None:
        return None
    from dockless.errors import InvalidValueError
    from dockless.oci.canonical_json import load_json

    try:
        found = load_json(text)
    except ValueError:
        found = None
    if not isinstance(found, list) or not all(isinstance(item, str) for item in found):
        raise InvalidValueError(
            f"{option} {text!r} is no JSON list of strings", hint="""write as in '["python", "-V"]'"""
        )
    return found


def _pairs(option: str, values: list[str]) -> dict[str, str] | None:
    from dockless.errors import InvalidValueError

    for value in values:
        if "=" not in value:
            raise InvalidValueError(f"{option} {value!r} has no '='", hint="write NAME=VALUE")
    return dict(value.split("=", 1) for value in values) or None
