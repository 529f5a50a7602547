"""Images on disk."""
