"""`dockless inspect`."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from dockless.cli._options import Commands, access_of, add_command, add_platform, platform_of

if TYPE_CHECKING:
    from dockless.oci.descriptor import Descriptor
    from dockless.oci.image_documents import ImageDocuments
    from dockless.oci.manifest import Index, Manifest, OtherManifest

_DESCRIPTION = """\
Show the digest, platforms, config and layers of an image. Only its manifest and config are read.

For an artifact, such as a signature or a chart, the type and the layers are shown.
For a multi-platform image, the index is shown; with --platform or --config, one of its images.
"""
_EXAMPLE = "  dockless inspect docker.io/library/alpine:3.20 --platform linux/arm64\n"


def add_to(commands: Commands) -> None:
    """Add the command `inspect`."""
    parser = add_command(
        commands,
        "inspect",
        "SOURCE",
        "show the digest, platforms, config and layers of an image",
        _DESCRIPTION,
        _EXAMPLE,
    )
    parser.add_argument(
        "source",
        metavar="SOURCE",
        help="the image, such as alpine:3.20, ghcr.io/acme/app:1.2.3 or oci:DIR; see dockless --help",
    )
    parser.add_argument("--raw", action="store_true", help="print the manifest or index, byte for byte")
    parser.add_argument("--config", action="store_true", help="print the config, byte for byte")
    add_platform(parser, "the platform to select from an image index")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print what the arguments ask for: the document itself, or a summary."""
    if arguments.raw + arguments.config + arguments.json > 1:
        arguments.usage_error("--raw, --config and --json cannot be combined")
    from dockless.cli._output import print_document, print_json
    from dockless.image_tree import read_document, read_image
    from dockless.oci.image_documents import NotAnImageError
    from dockless.oci.manifest import Index, Manifest, OtherManifest
    from dockless.transfer.locations import to_location
    from dockless.transfer.open import open_image, select_manifest

    platform = platform_of(arguments)
    with access_of(arguments) as access, open_image(to_location(arguments.source), access) as opened:
        whole = platform is None and not arguments.config
        root = opened.root if whole else select_manifest(opened, platform)
        if arguments.raw:
            print_document(root.raw)
            return 0
        if isinstance(root, Index):
            document = _index_document(root)
        elif arguments.config and isinstance(root, Manifest):
            label = f"the config {root.config.digest} of {arguments.source}"
            print_document(read_document(opened.source, root.config, label))
            return 0
        elif isinstance(root, OtherManifest):
            document = _other_document(root)
        else:
            try:
                document = _image_document(read_image(opened.source, root, arguments.source))
            except NotAnImageError:
                document = _artifact_document(root)
    document = {"source": arguments.source, **document}
    if arguments.json:
        print_json(document)
    else:
        _print_text(document, "")
    return 0


def _index_document(index: Index) -> dict[str, Any]:
    return {
        "digest": index.digest,
        "media_type": index.media_type,
        "manifests": [
            {"digest": child.digest, "size": child.size, "platform": str(child.platform or "")}
            for child in index.manifests
        ],
        "annotations": index.json.get("annotations") or {},
    }


def _image_document(image: ImageDocuments) -> dict[str, Any]:
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


def _artifact_document(manifest: Manifest) -> dict[str, Any]:
    """Return what is known about an artifact: a manifest whose config is not that of an image."""
    document = manifest.json
    blobs = {blob.digest: blob.size for blob in (manifest.config, *manifest.layers)}
    return {
        "digest": manifest.digest,
        "media_type": manifest.media_type,
        "artifact_type": document.get("artifactType") or manifest.config.media_type,
        "subject": (document.get("subject") or {}).get("digest"),
        "size": sum(blobs.values()) + len(manifest.raw),
        "config_digest": manifest.config.digest,
        "layers": _blob_table(manifest.layers),
        "annotations": document.get("annotations") or {},
    }


def _other_document(manifest: OtherManifest) -> dict[str, Any]:
    """Return what is known about an artifact manifest, or about a manifest of an unknown media type."""
    if manifest.blobs is None:
        return {"digest": manifest.digest, "media_type": manifest.media_type, "size": len(manifest.raw)}
    document = manifest.json
    return {
        "digest": manifest.digest,
        "media_type": manifest.media_type,
        "artifact_type": document.get("artifactType"),
        "subject": (document.get("subject") or {}).get("digest"),
        "size": sum({blob.digest: blob.size for blob in manifest.blobs}.values()) + len(manifest.raw),
        "blobs": _blob_table(manifest.blobs),
        "annotations": document.get("annotations") or {},
    }


def _blob_table(blobs: Iterable[Descriptor]) -> list[dict[str, Any]]:
    return [{"digest": blob.digest, "size": blob.size, "media_type": blob.media_type} for blob in blobs]


def _table(rows: list[dict[str, Any]]) -> list[str]:
    """Return the lines of a table with a header. An empty cell is `-`."""
    from dockless.errors import printable

    names = list(dict.fromkeys(name for row in rows for name in row))
    cells = [names, *([printable(str(row.get(name) or "-")) for name in names] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip() for line in cells]


def _print_text(document: Any, indent: str) -> None:
    """Print names and values that are not empty, one on each line."""
    from dockless.cli._output import print_line
    from dockless.errors import printable

    for name, value in document.items():
        if value in (None, "", {}, []):
            continue
        if isinstance(value, dict) and not any(value.values()):
            # ExposedPorts and Volumes are sets, as objects with empty values.
            print_line(f"{indent}{printable(name)}: {' '.join(printable(repr(item)) for item in value)}")
        elif isinstance(value, dict):
            print_line(f"{indent}{printable(name)}:")
            _print_text(value, indent + "  ")
        elif not indent and name in ("layers", "manifests", "blobs"):
            print_line(f"{indent}{name}:")
            for line in _table(value):
                print_line(f"{indent}  {line}")
        elif isinstance(value, list):
            print_line(f"{indent}{printable(name)}: {' '.join(printable(repr(item)) for item in value)}")
        else:
            print_line(f"{indent}{printable(name)}: {printable(str(value))}")
