"""Layers: what goes into them and how their bytes are made. No network, no clock, no environment."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dockless.layer.builder import BuiltLayer, build_layer
    from dockless.layer.layer import Layer
    from dockless.layer.spec import InlineFile, LayerSpec, Source, source_date_epoch

# Each name is imported when it is first used (PEP 562): a push builds no layer.
_HOMES = {
    "BuiltLayer": "builder",
    "InlineFile": "spec",
    "Layer": "layer",
    "LayerSpec": "spec",
    "Source": "spec",
    "build_layer": "builder",
    "source_date_epoch": "spec",
}

__all__ = ["BuiltLayer", "InlineFile", "Layer", "LayerSpec", "Source", "build_layer", "source_date_epoch"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'dockless.layer' has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(f"dockless.layer.{_HOMES[name]}"), name)
    return value
