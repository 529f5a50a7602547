"""Programs that run inside a Pants process. Thin: the library does the work."""
