"""`Image` and `ImageIndex`: immutable images that are read, edited and saved."""
