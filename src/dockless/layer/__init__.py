"""What goes into a layer and how its bytes are made. Pure: no network, no clock, no environment."""

from typing import Any

from dockless.layer.build import BuiltLayer, build_layer
from dockless.layer.spec import InlineFile, LayerSpec, Source, source_date_epoch

__all__ = ["BuiltLayer", "InlineFile", "Layer", "LayerSpec", "Source", "build_layer", "source_date_epoch"]


def __getattr__(name: str) -> Any:
    # The builder in a sandbox needs none of it.
    if name == "Layer":
        from dockless.layer.layer import Layer

        return Layer
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
