"""Documents of the OCI and Docker image specifications: digests, descriptors, manifests, configs. No I/O."""
