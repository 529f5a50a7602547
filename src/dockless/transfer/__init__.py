"""Transfer of images between registries, OCI layouts and archives."""
