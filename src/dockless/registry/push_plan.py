"""Determines what a push has to do, without the content of the image's layers."""

from __future__ import annotations

import threading
from collections.abc import Collection, Mapping, Sequence
from functools import partial
from typing import NamedTuple

from dockless._concurrency import WorkerPool
from dockless.blobs import BlobSource
from dockless.errors import InvalidDocumentError
from dockless.image_tree import ImageTree
from dockless.oci.descriptor import Descriptor
from dockless.oci.digest import Digest
from dockless.oci.manifest import Index, Manifest
from dockless.oci.reference import check_repository, check_tag
from dockless.registry.auth.scopes import PUSH
from dockless.registry.client import RegistryClient
from dockless.registry.errors import ProtocolError, ResponseError, TokenDeniedError
from dockless.registry.retry import RETRY, classify

# Reasons of ProtocolError. Whatever the tag refers to, the push replaces it.
_NO_MANIFEST = ("damaged manifest", "invalid document", "web page")


class PushPlan(NamedTuple):
    """What a push of an image to one repository has to do.

    digest        of the image
    tags          the digest that each tag refers to before the push; None if the tag does not exist or cannot be read
    missing       the blobs that the repository lacks
    mounts        the blobs of other repositories of the registry that were mounted; in a dry run, those to mount
    present       the blobs that the repository has
    is_forbidden  whether the registry forbids to read a tag; it is not asked for blobs then, and `missing` has all
    """

    digest: Digest
    tags: Mapping[str, Digest | None]
    missing: tuple[Descriptor, ...] = ()
    mounts: tuple[Descriptor, ...] = ()
    present: tuple[Descriptor, ...] = ()
    is_forbidden: bool = False

    @property
    def is_complete(self) -> bool:
        """Whether all tags refer to the image, so that a push has nothing to do."""
        return bool(self.tags) and all(digest == self.digest for digest in self.tags.values())

    @property
    def known(self) -> dict[Digest, bool]:
        """Whether the repository has each blob, as far as known. Not for a dry run, in which nothing was mounted."""
        if self.is_forbidden:
            return {}
        has = {blob.digest: True for blob in (*self.present, *self.mounts)}
        return {**has, **{blob.digest: False for blob in self.missing}}


def plan_push(
    root: Manifest | Index,
    source: BlobSource,
    client: RegistryClient,
    repository: str,
    tags: Sequence[str],
    *,
    mount_from: Mapping[Digest, Collection[str]] | None = None,
    keep_foreign_layers: bool = True,
    dry_run: bool = False,
) -> PushPlan:
    """Compare the image `root` with `repository`. See `push` for the arguments; `source` needs the documents only.

    If a tag does not refer to the image, the registry is asked for each blob, and blobs that the repository lacks are
    mounted from repositories that may have them. In a dry run nothing is changed. Raises RegistryError.
    """
    check_repository(repository)
    tree = ImageTree.read(root, source, str(root.digest))
    blobs = pushed_blobs(tree, keep_foreign_layers=keep_foreign_layers)
    digests: dict[str, Digest | None] = dict.fromkeys(check_tag(tag) for tag in tags)
    found = PushPlan(root.digest, digests)
    for tag in digests:
        digests[tag], is_forbidden = read_tag(client, repository, tag)
        if is_forbidden:
            # If the password is wrong, more requests might lock the account.
            return found._replace(missing=tuple(blobs.values()), is_forbidden=True)
    if found.is_complete and not any(blob.is_foreign for blob in blobs.values()):
        return found
    how: dict[Digest, str] = {}
    lock = threading.Lock()
    workers = WorkerPool(client.jobs)

    def find(blob: Descriptor) -> None:
        candidates = (mount_from or {}).get(blob.digest, ())
        if not dry_run:
            result = client.find_blob(repository, blob, mount_from=candidates, stop=workers.stop)
        elif client.blob_exists(repository, blob.digest):
            result = "present"
        else:
            result = "mounted" if client.mount_candidates(repository, blob.digest, candidates) else ""
        with lock:
            how[blob.digest] = result

    workers.run([partial(find, blob) for blob in blobs.values()])

    def those(result: str) -> tuple[Descriptor, ...]:
        return tuple(blob for digest, blob in blobs.items() if how[digest] == result)

    return found._replace(missing=those(""), mounts=those("mounted"), present=those("present"))


def pushed_blobs(tree: ImageTree, *, keep_foreign_layers: bool) -> dict[Digest, Descriptor]:
    """Return the blobs of an image that a push makes exist, by digest."""
    return {digest: blob for digest, blob in tree.blobs.items() if not (keep_foreign_layers and blob.is_foreign)}


def read_tag(client: RegistryClient, repository: str, tag: str) -> tuple[Digest | None, bool]:
    """Return the digest that a tag refers to, or None, and whether the registry forbids the request.

    The digest is that of the manifest itself: if a wrong response to HEAD were trusted, nothing would be pushed.
    Artifactory forbids the request if the password is wrong, ECR without a permission that a push does not need. Raises
    RegistryError.
    """
    try:
        return client.get_manifest(repository, tag, actions=PUSH).digest, False
    except InvalidDocumentError:
        return None, False
    except ProtocolError as error:
        if error.reason not in _NO_MANIFEST:
            raise
        return None, False
    except ResponseError as error:
        if error.status == 404 and not isinstance(error, TokenDeniedError):
            return None, False
        # Without a token, no other request would succeed.
        if classify(error) == RETRY or error.status == 401 or isinstance(error, TokenDeniedError):
            raise
        return None, error.status == 403
