"""Dockless: container images built and published with no Docker, byte for byte the same everywhere."""

__version__ = "0.1.0"
