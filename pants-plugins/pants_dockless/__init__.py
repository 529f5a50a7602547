"""Pants backend: targets, options and rules that build and publish images with the library `dockless`."""
