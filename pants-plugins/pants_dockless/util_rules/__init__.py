"""Rules and helpers that the goals share. They connect Pants to the library `dockless`."""
