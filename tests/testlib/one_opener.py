"""A source of blobs that opens the same thing, whatever blob is asked for."""


class Opens:
    """A BlobSource of one opener."""

    def __init__(self, opener):
        self.opener = opener

    def open(self, descriptor):
        return self.opener()
