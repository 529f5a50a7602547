"""The goals `package`, `publish` and `generate-lockfiles` for container images, one module for each goal."""
