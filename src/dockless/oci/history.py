"""The history of an image config, in step with its layers (OCI image spec, config.md, `history`).

Each entry that is not an `empty_layer` stands for one layer, in order. The key is optional, and tools write it short,
long or not at all; Docker's daemon refuses an image that has more such entries than layers, and shows the wrong line
beside a layer where it has fewer.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from dockless.oci.image_config import EPOCH

Entry = Mapping[str, Any]


def in_step(history: Iterable[Entry] | None, layers: int) -> list[Entry]:
    """`history` with one entry for each of `layers` layers, and its `empty_layer` entries where they are.

    Layers that it does not tell of get an entry that says so; entries too many become `empty_layer` ones, so that
    what they tell is not lost.
    """
    found: list[Entry] = []
    told = 0
    for entry in history or ():
        if not entry.get("empty_layer"):
            told += 1
        found.append({**entry, "empty_layer": True} if told > layers else entry)
    missing = {"created": EPOCH, "created_by": "unknown", "comment": "the base has no history of this layer"}
    return found + [dict(missing) for _ in range(layers - told)]


def layer_entry(created: str, created_by: str) -> Entry:
    """The entry of a layer of ours."""
    return {"created": created, "created_by": created_by}


def without(history: Iterable[Entry], removed: Collection[int]) -> list[Entry]:
    """`history`, in step, less the entries of the layers at the offsets `removed`."""
    kept = []
    offset = -1
    for entry in history:
        if not entry.get("empty_layer"):
            offset += 1
            if offset in removed:
                continue
        kept.append(entry)
    return kept


def above(history: Iterable[Entry], layers: int) -> list[Entry]:
    """The part of `history`, in step, that comes after its lowest `layers` layers."""
    found = list(history)
    told = 0
    for position, entry in enumerate(found):
        if told == layers:
            return found[position:]
        told += not entry.get("empty_layer")
    return []
