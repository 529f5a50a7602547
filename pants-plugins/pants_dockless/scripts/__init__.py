"""Programs that run in processes of Pants. The library does the work."""
