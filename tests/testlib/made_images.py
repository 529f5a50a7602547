"""Images for tests that are made with the standard library, independent of the code under test."""

import gzip
import hashlib
import io
import json
import tarfile
from pathlib import Path
from typing import NamedTuple

from dockless.errors import LayoutError
from dockless.oci import media_types
from dockless.oci.descriptor import Descriptor
from dockless.oci.digest import Digest
from dockless.oci.image_documents import ImageDocuments
from dockless.oci.manifest import Manifest


def tar_of(files):
    """Returns a tar of `files`: name -> bytes."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return buffer.getvalue()


class Blobs(dict):
    """Blobs by digest. A BlobSource that records the opened blobs."""

    def __init__(self):
        super().__init__()
        self.opened = []

    def put(self, data):
        digest = Digest.of(data)
        self[digest] = data
        return digest

    def open(self, descriptor):
        self.opened.append(descriptor.digest)
        if descriptor.digest not in self:
            raise LayoutError(f"no blob {descriptor.digest}")
        return io.BytesIO(self[descriptor.digest])


class MadeImage(NamedTuple):
    documents: ImageDocuments
    blobs: Blobs

    @property
    def manifest(self):
        return self.documents.manifest

    @property
    def all_blobs(self):
        return [self.manifest.config, *self.manifest.layers, self.manifest.descriptor]


def make_image(
    *contents, docker=False, compress=True, architecture="amd64", blobs=None, config=None, manifest=None, urls=None
):
    """Returns an image with a layer for each of `contents`, which are the bytes of a file `f<n>`."""
    blobs = Blobs() if blobs is None else blobs
    layers, diff_ids = [], []
    for n, content in enumerate(contents):
        tar = tar_of({f"f{n}": content})
        blob = gzip.compress(tar, 1, mtime=0) if compress else tar
        suffix = (".gzip" if docker else "+gzip") if compress else ""
        kind = (media_types.DOCKER_LAYER if docker else media_types.OCI_LAYER) + suffix
        layers.append({"mediaType": kind, "digest": str(blobs.put(blob)), "size": len(blob)})
        diff_ids.append("sha256:" + hashlib.sha256(tar).hexdigest())
    if urls:
        layers[0]["mediaType"] = "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip"
        layers[0]["urls"] = urls
    config_bytes = json.dumps(
        {
            "architecture": architecture,
            "os": "linux",
            "config": {"Env": ["PATH=/bin"]},
            "rootfs": {"type": "layers", "diff_ids": diff_ids},
            **(config or {}),
        }
    ).encode()
    blobs.put(config_bytes)
    raw = json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": media_types.DOCKER_MANIFEST if docker else media_types.OCI_MANIFEST,
            "config": {
                "mediaType": media_types.DOCKER_CONFIG if docker else media_types.OCI_CONFIG,
                "digest": str(Digest.of(config_bytes)),
                "size": len(config_bytes),
            },
            "layers": layers,
            **(manifest or {}),
        }
    ).encode()
    blobs.put(raw)
    return MadeImage(ImageDocuments.read(Manifest.from_bytes(raw, "made"), config_bytes, "made"), blobs)


def image_with_layer(tar, blob=None, kind=media_types.OCI_LAYER + "+gzip", **config):
    """Returns an image whose only layer has this tar and this blob (default: the compressed tar)."""
    blob = gzip.compress(tar, 1, mtime=0) if blob is None else blob
    blobs = Blobs()
    layer = {"mediaType": kind, "digest": str(blobs.put(blob)), "size": len(blob)}
    rootfs = {"type": "layers", "diff_ids": [str(Digest.of(tar))]}
    return make_image(blobs=blobs, config={"rootfs": rootfs, **config}, manifest={"layers": [layer]})


def layout_of(directory, *roots, blobs, names=None):
    """Writes an OCI layout. `roots` are descriptors, `names` their names."""
    directory = Path(directory)
    (directory / "blobs/sha256").mkdir(parents=True)
    (directory / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    for digest, data in blobs.items():
        (directory / "blobs/sha256" / digest.hex).write_bytes(data)
    listed = [Descriptor.to_json(root) for root in roots]
    for item, name in zip(listed, names or []):
        item["annotations"] = {"org.opencontainers.image.ref.name": name}
    (directory / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": listed}))
    return directory
