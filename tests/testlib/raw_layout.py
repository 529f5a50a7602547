"""OCI layouts whose documents are written as given, with null, missing values and other digests."""

import gzip
import hashlib
import json

from made_images import tar_of

from dockless.oci import media_types


def platform(text):
    """Returns the `platform` object of an index entry."""
    return dict(zip(("os", "architecture", "variant"), text.split("/")))


def named(entry, name):
    return {**entry, "annotations": {"org.opencontainers.image.ref.name": name}}


class RawLayout:
    """A layout in `directory`. Its methods store a document, and return the descriptor as JSON."""

    def __init__(self, directory):
        self.directory = directory
        self.blobs = {}
        (directory / "blobs/sha256").mkdir(parents=True)
        (directory / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')

    def __str__(self):
        return f"oci:{self.directory}"

    def blob(self, data, media_type="application/octet-stream", algorithm="sha256"):
        raw = data if isinstance(data, bytes) else json.dumps(data).encode()
        encoded = hashlib.new(algorithm, raw).hexdigest()
        directory = self.directory / "blobs" / algorithm
        directory.mkdir(exist_ok=True)
        (directory / encoded).write_bytes(raw)
        self.blobs[f"{algorithm}:{encoded}"] = raw
        return {"mediaType": media_type, "digest": f"{algorithm}:{encoded}", "size": len(raw)}

    def layer(self, content):
        """Stores a layer with the file `f`, and returns the descriptor and the diff ID."""
        tar = tar_of({"f": content})
        blob = self.blob(gzip.compress(tar, 1, mtime=0), media_types.OCI_LAYER + "+gzip")
        return blob, "sha256:" + hashlib.sha256(tar).hexdigest()

    def image(self, target="linux/amd64", *, config=None, manifest=None, content=None):
        """Stores an image with one layer. `config` and `manifest` replace keys of these documents."""
        layer, diff_id = self.layer((content or target).encode())
        described = self.blob(
            {**platform(target), "rootfs": {"type": "layers", "diff_ids": [diff_id]}, **(config or {})},
            media_types.OCI_CONFIG,
        )
        return self.manifest(described, **{"layers": [layer], **(manifest or {})})

    def manifest(self, config, layers, **keys):
        document = {"schemaVersion": 2, "mediaType": media_types.OCI_MANIFEST, "config": config, "layers": layers}
        return self.blob({**document, **keys}, media_types.OCI_MANIFEST)

    def index(self, *entries):
        document = {"schemaVersion": 2, "mediaType": media_types.OCI_INDEX, "manifests": list(entries)}
        return self.blob(document, media_types.OCI_INDEX)

    def write(self, *roots, **keys):
        """Writes index.json, and returns the location of the layout."""
        document = {"schemaVersion": 2, "manifests": list(roots), **keys}
        (self.directory / "index.json").write_text(json.dumps(document))
        return str(self)

    def roots(self):
        return json.loads((self.directory / "index.json").read_text())["manifests"]
