"""The history of an image config (OCI image spec, config.md, `history`).

Each entry that is not an `empty_layer` belongs to one layer, in order. The key is optional, and tools write too few or
too many entries. Docker's daemon rejects an image with more such entries than layers, and shows the wrong entries for
an image with fewer.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from dockless.oci.image_config import EPOCH

Entry = Mapping[str, Any]


def match_layers(history: Iterable[Entry] | None, layers: int) -> list[Entry]:
    """Return `history` with one entry for each of `layers` layers, besides its `empty_layer` entries.

    A layer without an entry gets one that says so. Surplus entries become `empty_layer` entries, so that their text is
    kept.
    """
    entries: list[Entry] = []
    counted = 0
    for entry in history or ():
        if not entry.get("empty_layer"):
            counted += 1
        entries.append({**entry, "empty_layer": True} if counted > layers else entry)
    # Part of image bytes.
    missing = {"created": EPOCH, "created_by": "unknown", "comment": "the base has no history of this layer"}
    return entries + [dict(missing) for _ in range(layers - counted)]


def layer_entry(created: str, created_by: str) -> Entry:
    """Return the entry of a new layer."""
    return {"created": created, "created_by": created_by}


def without(history: Iterable[Entry], removed: Collection[int]) -> list[Entry]:
    """Return `history`, which matches the layers, without the entries of the layers at the offsets `removed`."""
    kept = []
    offset = -1
    for entry in history:
        if not entry.get("empty_layer"):
            offset += 1
            if offset in removed:
                continue
        kept.append(entry)
    return kept


def entries_above(history: Iterable[Entry], layers: int) -> list[Entry]:
    """Return the part of `history`, which matches the layers, after its lowest `layers` layers."""
    entries = list(history)
    counted = 0
    for position, entry in enumerate(entries):
        if counted == layers:
            return entries[position:]
        counted += not entry.get("empty_layer")
    return []
