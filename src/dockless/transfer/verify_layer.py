"""Verifies one layer: its blob, its diff ID and its tar, in one pass and without temporary files."""

from __future__ import annotations

from typing import BinaryIO

from dockless._hashing import HashingFile, HashingReader
from dockless._lines import BoundedLines
from dockless._units import format_count
from dockless.errors import LayoutError
from dockless.layer.member_rules import MemberRules
from dockless.layout.blob_copy import OnBytes, ignore_bytes
from dockless.oci.descriptor import Descriptor
from dockless.oci.digest import Digest
from dockless.tar.decompress import decompress, detect_format
from dockless.tar.reader import read_members

_FORMATS = {"+gzip": "gzip", ".gzip": "gzip", "+zstd": "zstd", ".zstd": "zstd", ".tar": "none"}


def layer_problems(
    file: BinaryIO,
    layer: Descriptor,
    diff_id: Digest | None,
    on_bytes: OnBytes = ignore_bytes,
    *,
    windows: bool = False,
) -> BoundedLines:
    """Return the problems of the layer whose blob is `file`. Raises what reading `file` raises.

    `windows` says whether the layer belongs to an image for Windows.
    """
    problems = BoundedLines()
    label = f"the layer {layer.digest}"
    kind = f"problems of {label}"
    # One byte more shows a blob that is too long, however long it is.
    blob = HashingFile(file, lambda data: on_bytes(layer, len(data)), limit=layer.size + 1)
    detected = detect_format(blob.peek())
    expected = next((name for suffix, name in _FORMATS.items() if layer.media_type.endswith(suffix)), "")
    if not expected:
        # The content of an artifact's layers is not specified.
        blob.drain()
        _check_blob(blob, layer, problems)
        return problems
    if detected != expected:
        problems.add(kind, f"{label} has the media type {layer.media_type}, but its compression is {detected}")
    tar = HashingReader(decompress(blob, label, layer.size), f"the tar in {label}")
    try:
        rules = MemberRules(label, windows=windows)
        for member in read_members(tar, f"the tar in {label}"):
            for problem in rules.problems(member):
                problems.add(*problem)
        for problem in rules.problems_at_end():
            problems.add(*problem)
        tar.drain()
    except LayoutError as error:
        problems.add(kind, str(error))
    # The digest includes the bytes after an error in the compressed stream.
    blob.drain()
    if blob.size > layer.size:
        # The blob was not read to its end: other problems may be due to that.
        problems = BoundedLines()
    _check_blob(blob, layer, problems)
    if blob.digest == layer.digest and diff_id is not None and tar.ended and tar.digest != diff_id:
        problems.add(
            kind,
            f"{label} does not match its diff ID: the digest of its tar is {tar.digest}, the config has {diff_id}",
        )
    return problems


def _check_blob(blob: HashingFile, layer: Descriptor, problems: BoundedLines) -> None:
    digest, expected_size = layer.digest, f"its descriptor says {layer.size}"
    if blob.size > layer.size:
        problems.add(
            "blobs of other sizes",
            f"the blob {digest} has more than {format_count(layer.size, 'byte')}, {expected_size}",
        )
    elif blob.size < layer.size:
        problems.add(
            "blobs of other sizes", f"the blob {digest} has {format_count(blob.size, 'byte')}, {expected_size}"
        )
    elif blob.digest != digest:
        problems.add("damaged blobs", f"the blob {digest} is damaged: its digest is {blob.digest}")
