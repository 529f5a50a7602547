"""All that belongs to an image: from its root down to its blobs."""

from __future__ import annotations

import io
from typing import NamedTuple

from dockless.blobs import BlobSource
from dockless.errors import InvalidDocumentError
from dockless.layout.blob_copy import copy_blob
from dockless.oci.canonical_json import DEFAULT_LIMIT
from dockless.oci.descriptor import Descriptor
from dockless.oci.digest import Digest
from dockless.oci.manifest import Index, Manifest, parse_manifest

_MAX_DEPTH = 4
# The largest list of platforms seen has a few dozen; buildkit doubles it with attestations.
_MAX_MANIFESTS = 10_000


class Tree(NamedTuple):
    """`documents` are the root and all that it lists, by digest; `blobs` are configs and layers, each once."""

    root: Manifest | Index
    documents: dict[Digest, Manifest | Index]
    blobs: dict[Digest, Descriptor]

    @property
    def all_blobs(self) -> list[Descriptor]:
        """What a layout holds: blobs first, then what names them."""
        return [*self.blobs.values(), *(document.descriptor for document in reversed(list(self.documents.values())))]


def read_tree(root: Manifest | Index, content: BlobSource, what: str) -> Tree:
    """Reads the manifests below `root`, each verified. Raises InvalidDocumentError: too deep, too many, a cycle."""
    documents: dict[Digest, Manifest | Index] = {root.digest: root}
    blobs: dict[Digest, Descriptor] = {}
    level: list[Manifest | Index] = [root]
    for depth in range(_MAX_DEPTH + 1):
        below: list[Manifest | Index] = []
        for document in level:
            if isinstance(document, Manifest):
                for blob in (document.config, *document.layers):
                    blobs.setdefault(blob.digest, blob)
                continue
            for child in document.manifests:
                if child.digest in documents:
                    continue
                if depth == _MAX_DEPTH or len(documents) == _MAX_MANIFESTS:
                    raise InvalidDocumentError(
                        f"{what} has too many manifests",
                        cause=f"indexes more than {_MAX_DEPTH} deep, or more than {_MAX_MANIFESTS}",
                    )
                found = _read(child, content, f"{what}: {child.digest}")
                documents[child.digest] = found
                below.append(found)
        level = below
    return Tree(root, documents, blobs)


def _read(child: Descriptor, content: BlobSource, what: str) -> Manifest | Index:
    if child.size > DEFAULT_LIMIT:
        raise InvalidDocumentError(f"{what} has {child.size} bytes", cause=f"more than {DEFAULT_LIMIT}")
    data = io.BytesIO()
    copy_blob(content, child, data)
    return parse_manifest(data.getvalue(), what, media_type=child.media_type)
