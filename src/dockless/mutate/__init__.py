"""Edits of images that read no layer content: new layers, config edits, rebase, indexes."""
