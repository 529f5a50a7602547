"""Checks one layer: its blob, what is inside, and the tar that it is. In one pass, with nothing kept."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import BinaryIO

from dockless._hashing import HashingFile, HashingReader
from dockless.errors import LayoutError
from dockless.layout.blob_copy import OnBytes, ignore_bytes
from dockless.oci.descriptor import Descriptor
from dockless.oci.digest import Digest
from dockless.tar.decompress import decompress, detect_format
from dockless.tar.reader import read_members

_SUFFIXES = {"+gzip": "gzip", ".gzip": "gzip", "+zstd": "zstd", ".zstd": "zstd", ".tar": "none"}
_WHITEOUT = b".wh."


def wrong_in_layer(
    file: BinaryIO, layer: Descriptor, diff_id: Digest | None, on_bytes: OnBytes = ignore_bytes
) -> Iterator[str]:
    """What is wrong with the layer whose blob `file` holds, a line each. Raises what reading it raises."""
    what = f"the layer {layer.digest}"
    blob = HashingFile(file, lambda data: on_bytes(layer, len(data)))
    head = blob.peek()
    said = next((kind for suffix, kind in _SUFFIXES.items() if layer.media_type.endswith(suffix)), "")
    if not said:
        # An artifact's: what is inside is its own business.
        blob.drain()
        yield from _wrong_blob(blob, layer)
        return
    if detect_format(head) != said:
        yield f"{what} is of the type {layer.media_type}, but its compression is {detect_format(head)}"
    inside = HashingReader(decompress(blob, what, layer.size), f"the tar in {what}")
    try:
        yield from _wrong_names(inside, what)
        inside.drain()
    except LayoutError as error:
        yield str(error)
    # What came of the blob before it could not be decoded any more is hashed too, with what follows.
    blob.drain()
    yield from _wrong_blob(blob, layer)
    if blob.digest == layer.digest and diff_id is not None and inside.ended and inside.digest != diff_id:
        yield f"{what} does not match its diff id: inside it is {inside.digest}, the config says {diff_id}"


def _wrong_blob(blob: HashingFile, layer: Descriptor) -> Iterator[str]:
    if blob.size != layer.size:
        yield f"the blob {layer.digest} has {blob.size} bytes, its descriptor says {layer.size}"
    if blob.digest != layer.digest:
        yield f"the blob {layer.digest} is damaged: its digest is {blob.digest}"


def _wrong_names(inside: HashingReader, what: str) -> Iterator[str]:
    for member in read_members(inside, f"the tar in {what}"):
        shown = os.fsdecode(member.name)[:200]
        parts = member.name.split(b"/")
        if b".." in parts:
            yield f"{what} holds the path {shown!r}, which climbs out of the image"
        if any(part.startswith(_WHITEOUT) and part[len(_WHITEOUT) :] in (b"", b".", b"..") for part in parts):
            yield f"{what} holds the whiteout {shown!r}, which names no file"
        if member.kind == b"1" and b".." in member.link.split(b"/"):
            yield f"{what} holds the hard link {shown!r} to {os.fsdecode(member.link)[:200]!r}, outside of the image"
