"""Images of layers with any tar entries, made with the standard library."""

import io
import tarfile
from typing import NamedTuple, Optional

from made_images import Blobs

from dockless.oci.descriptor import Descriptor
from dockless.oci.image_config import ImageConfig
from dockless.oci.image_documents import ImageDocuments
from dockless.oci.manifest import Manifest, make_manifest
from dockless.oci.platform import Platform

LAYER = "application/vnd.oci.image.layer.v1.tar"
CONFIG = "application/vnd.oci.image.config.v1+json"


class Item(NamedTuple):
    """An entry of a tar: a file with `data`, unless `kind` says otherwise."""

    name: str
    data: bytes = b""
    mode: int = 0o644
    uid: int = 0
    gid: int = 0
    kind: bytes = tarfile.REGTYPE
    link: str = ""


def directory(name: str, mode: int = 0o755) -> Item:
    return Item(name, mode=mode, kind=tarfile.DIRTYPE)


def symlink(name: str, target: str) -> Item:
    return Item(name, mode=0o777, kind=tarfile.SYMTYPE, link=target)


def hard_link(name: str, target: str) -> Item:
    return Item(name, kind=tarfile.LNKTYPE, link=target)


def tar_of_items(*items: Item) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for item in items:
            member = tarfile.TarInfo(item.name)
            member.size, member.mode, member.type, member.linkname = len(item.data), item.mode, item.kind, item.link
            member.uid, member.gid = item.uid, item.gid
            tar.addfile(member, io.BytesIO(item.data))
    return buffer.getvalue()


def image_of(*layers: bytes, config: Optional[dict] = None, blobs: Optional[Blobs] = None) -> ImageDocuments:
    """Returns an image of uncompressed layers; `blobs` receives its blobs."""
    blobs = Blobs() if blobs is None else blobs
    digests = [blobs.put(layer) for layer in layers]
    scratch = ImageConfig.scratch(Platform.parse("linux/amd64"))
    document = {**scratch.document, "config": config or {}}
    config_bytes = ImageConfig(document).with_rootfs(digests, []).to_bytes()
    manifest: Manifest = make_manifest(
        Descriptor(CONFIG, blobs.put(config_bytes), len(config_bytes)),
        tuple(Descriptor(LAYER, digest, len(layer)) for digest, layer in zip(digests, layers)),
    )
    blobs.put(manifest.raw)
    return ImageDocuments.read(manifest, config_bytes, "the image")
