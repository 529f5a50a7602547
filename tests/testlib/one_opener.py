"""A blob source that opens the same file for every blob."""


class Opens:
    """A BlobSource that calls `opener` for every blob."""

    def __init__(self, opener):
        self.opener = opener

    def open(self, descriptor):
        return self.opener()
