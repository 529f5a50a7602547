"""Images on disk: OCI layouts, oci-archives, docker-archives."""
