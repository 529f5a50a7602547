"""Images and indexes as values: the public `Image` and `ImageIndex`."""
