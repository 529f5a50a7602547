"""What goes into a layer and how its bytes are made. Pure: no network, no clock, no environment."""

from dockless.layer.build import BuiltLayer, build_layer
from dockless.layer.spec import InlineFile, LayerSpec, Source, source_date_epoch

__all__ = ["BuiltLayer", "InlineFile", "LayerSpec", "Source", "build_layer", "source_date_epoch"]
