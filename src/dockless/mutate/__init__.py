"""Edits of images that read no layer: new layers, config edits, rebase, indexes."""
