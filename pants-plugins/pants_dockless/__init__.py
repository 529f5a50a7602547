"""The Pants backend: targets, options and rules over the library `dockless`."""
