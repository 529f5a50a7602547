"""Builds the layers that are added to an image."""

from __future__ import annotations

import logging
import os
from typing import Protocol

from dockless.errors import InvalidValueError
from dockless.layer.builder import BuiltLayer
from dockless.layer.prebuilt import check_windows_layer
from dockless.mutate.assemble import is_windows, refuse_windows
from dockless.oci.platform import Platform
from dockless.transfer.layer_sources import BuildDirectory

logger = logging.getLogger("dockless.image")


class Buildable(Protocol):
    """The argument of `add_layer`: a `Layer`, or another object that builds a layer."""

    def build(self, directory: str) -> BuiltLayer:
        """Write the layer's blob to `directory`, as a file named by the hex digits of its digest. Raises LayerError."""
        ...


def build_layer(layer: Buildable, platform: Platform) -> tuple[BuiltLayer, BuildDirectory]:
    """Build a layer for an image of `platform`. Raises LayerError; InvalidValueError for an image for Windows."""
    if not hasattr(layer, "build"):
        raise InvalidValueError(
            f"{layer!r:.100} is not a layer", hint="write Layer.from_files({path in the image: path on disk})"
        )
    # Other objects than a Layer of this package may build layers for Windows.
    if getattr(layer, "tarball", "") is None:
        refuse_windows(platform)
    directory = BuildDirectory()
    built = layer.build(directory.path)
    if is_windows(platform):
        check_windows_layer(os.path.join(directory.path, built.descriptor.digest.hex))
    for warning in built.warnings:
        logger.warning(warning)
    return built, directory
