"""Copies an image from anywhere to anywhere: push, pull and registry to registry are one thing."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack

from dockless.blobs import BlobSource, DirectoryBlobs
from dockless.oci.digest import Digest
from dockless.oci.manifest import Manifest
from dockless.oci.platform import Platform
from dockless.registry.http.url_policy import is_loopback, split_host
from dockless.registry.progress import Progress, silent
from dockless.registry.push_result import PushResult
from dockless.transfer.foreign_layers import ForeignContent
from dockless.transfer.image_tree import Tree, read_tree
from dockless.transfer.locations import DOCKER_ARCHIVE, Location, to_destination, to_location
from dockless.transfer.open import choose, open_source, read_documents
from dockless.transfer.registry_access import Access
from dockless.transfer.save import check_tags, names_at, save


def copy_image(
    source: str | Location,
    destination: str | Location,
    *,
    access: Access | None = None,
    tags: Sequence[str] = (),
    platform: str | Platform | None = None,
    all_platforms: bool = False,
    force_upload: bool = False,
    keep_foreign_layers: bool = False,
    progress: Progress = silent,
) -> PushResult:
    """Copies the image at `source` to `destination` and `tags`, byte for byte, and says what was sent.

    Of an index, the image for `platform` is copied (None: the only one, else linux/amd64), or, with `all_platforms`,
    the index and all of them. Layers that the destination has are not sent, and are mounted where both are in one
    registry. Foreign layers are sent too, from their first url that works, unless they are kept where they are. The
    plain layers of a docker-archive are compressed on the way. Raises DocklessError.
    """
    source, destination = to_location(source), to_destination(destination)
    tags = check_tags(tags)
    names_at(destination, tags)
    wanted = Platform.parse(platform) if isinstance(platform, str) else platform
    with ExitStack() as stack:
        access = stack.enter_context(access or Access())
        found = stack.enter_context(open_source(source, access))
        root = found.root if all_platforms else choose(found, wanted)
        content: BlobSource = found.content
        if source.kind == DOCKER_ARCHIVE and destination.kind != DOCKER_ARCHIVE and isinstance(root, Manifest):
            import tempfile

            from dockless.transfer.recompress import compress_layers

            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="dockless-"))
            root = compress_layers(read_documents(root, content, str(source)), content, folder).manifest
            content = DirectoryBlobs(folder, content)
        if not keep_foreign_layers or destination.kind == DOCKER_ARCHIVE:
            foreign = ForeignContent(content, ca_file=access.ca_file, local=_is_local(source))
            stack.callback(foreign.close)
            content = foreign
        tree = read_tree(root, content, str(source))
        return save(
            tree,
            content,
            destination,
            tags=tags,
            access=access,
            mount_from=_mounts(source, tree, destination),
            force_upload=force_upload,
            keep_foreign_layers=keep_foreign_layers,
            progress=progress,
        )


def _mounts(source: Location, tree: Tree, destination: Location) -> dict[Digest, tuple[str, ...]]:
    """Which repository of the destination's registry has each blob already."""
    if source.reference is None or destination.reference is None:
        return {}
    if source.reference.registry != destination.reference.registry:
        return {}
    return dict.fromkeys(tree.blobs, (source.reference.repository,))


def _is_local(source: Location) -> bool:
    return source.reference is not None and is_loopback(split_host(source.reference.registry))
