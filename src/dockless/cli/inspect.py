"""`dockless inspect`."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, Any

from dockless.cli._options import Commands, access_of, add_command, platform_of

if TYPE_CHECKING:
    from dockless.oci.image_documents import ImageDocuments
    from dockless.oci.manifest import Index

_DESCRIPTION = """\
Shows an image: digest, platforms, config and layers. Only its manifest and config are read.

Of a multi-platform image the index is shown, or with --platform (or --config) one of its images.
"""
_EXAMPLE = "  dockless inspect docker.io/library/alpine:3.20 --platform linux/arm64\n"


def add_to(commands: Commands) -> None:
    parser = add_command(
        commands, "inspect", "SOURCE", "show an image's digest, platforms, config, layers", _DESCRIPTION, _EXAMPLE
    )
    parser.add_argument("source", metavar="SOURCE", help="where it is: see dockless --help")
    parser.add_argument("--raw", action="store_true", help="print the manifest or index, byte for byte")
    parser.add_argument("--config", action="store_true", help="print the config, byte for byte")
    parser.add_argument("--platform", metavar="OS/ARCH", help="of a multi-platform image, the one for this")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    if arguments.raw + arguments.config + arguments.json > 1:
        arguments.usage_error("--raw, --config and --json exclude each other")
    from dockless.cli._output import print_json
    from dockless.oci.manifest import Index
    from dockless.transfer.locations import Location
    from dockless.transfer.open import choose, open_source, read_documents

    platform = platform_of(arguments)
    with access_of(arguments) as access, open_source(Location.parse(arguments.source), access) as source:
        whole = platform is None and not arguments.config
        root = source.root if whole else choose(source, platform)
        if arguments.raw:
            return _print_bytes(root.raw)
        if isinstance(root, Index):
            found = _of_index(root)
        else:
            image = read_documents(root, source.content, arguments.source)
            if arguments.config:
                return _print_bytes(image.config_bytes)
            found = _of_image(image)
    found = {"source": arguments.source, **found}
    if arguments.json:
        print_json(found)
    else:
        _print_text(found, "")
    return 0


def _of_index(index: Index) -> dict[str, Any]:
    return {
        "digest": index.digest,
        "media_type": index.media_type,
        "manifests": [
            {"digest": child.digest, "size": child.size, "platform": str(child.platform or "")}
            for child in index.manifests
        ],
        "annotations": index.json.get("annotations") or {},
    }


def _of_image(image: ImageDocuments) -> dict[str, Any]:
    return {
        "digest": image.manifest.digest,
        "media_type": image.manifest.media_type,
        "platform": str(image.platform),
        "size": image.size,
        "config_digest": image.manifest.config.digest,
        "created": image.config.document.get("created"),
        "config": image.config.document.get("config") or {},
        "layers": [
            {
                "digest": layer.descriptor.digest,
                "size": layer.descriptor.size,
                "media_type": layer.descriptor.media_type,
                "diff_id": layer.diff_id,
                **({"urls": list(layer.descriptor.urls)} if layer.descriptor.urls else {}),
            }
            for layer in image.layers
        ],
        "annotations": image.manifest.json.get("annotations") or {},
    }


def _print_bytes(data: bytes) -> int:
    sys.stdout.buffer.write(data)
    return 0


def _print_text(found: Any, indent: str) -> None:
    """Names and values, a line each; what is empty is left out. Control characters are not for a terminal."""
    from dockless.errors import printable

    for name, value in found.items():
        if value in (None, "", {}, []):
            continue
        if isinstance(value, dict) and not any(value.values()):
            # ExposedPorts and Volumes are sets: names alone.
            print(f"{indent}{printable(name)}: {' '.join(printable(repr(item)) for item in value)}")
        elif isinstance(value, dict):
            print(f"{indent}{printable(name)}:")
            _print_text(value, indent + "  ")
        elif isinstance(value, list) and isinstance(value[0], dict):
            print(f"{indent}{name}:")
            for item in value:
                line = "  ".join(printable(str(part)) for part in item.values() if part not in ("", []))
                print(f"{indent}  {line}")
        elif isinstance(value, list):
            print(f"{indent}{printable(name)}: {' '.join(printable(repr(item)) for item in value)}")
        else:
            print(f"{indent}{printable(name)}: {printable(str(value))}")
