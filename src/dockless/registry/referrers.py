"""Referrers of a manifest: signatures, SBOMs, attestations (distribution spec, "Listing Referrers").

Registries without that API (docker-registry, GHCR) store an index under a tag that is derived from the digest, and
which clients write ("Referrers Tag Schema").
"""

from __future__ import annotations

import json
import logging
from typing import NamedTuple
from urllib.parse import urlencode

from dockless.errors import InvalidDocumentError
from dockless.oci import media_types
from dockless.oci.canonical_json import parse_document
from dockless.oci.descriptor import Descriptor, string_map
from dockless.oci.digest import Digest
from dockless.oci.manifest import Index, check_referrer, make_index
from dockless.oci.reference import check_repository
from dockless.registry.errors import ProtocolError, ResponseError
from dockless.registry.listing import pages
from dockless.registry.manifests import ManifestStore

logger = logging.getLogger("dockless.registry")

# Statuses of registries that do not have the API.
_UNSUPPORTED = frozenset((400, 404, 405, 501))
# An index under a tag is read, changed and written. Of several clients that do so at once, the last one wins: each
# reads the index again after pauses of these seconds, and adds its entry again, until the entry was there so many times
# in a row.
_MIN_PAUSE, _MAX_PAUSE = 0.1, 0.5
_CONFIRMATIONS = 3
# Seconds. If requests take longer, the pauses are longer by as much, up to this.
_MAX_DELAY = 10.0
_MAX_ROUNDS = 40


def list_referrers(
    manifests: ManifestStore, repository: str, digest: Digest, artifact_type: str = ""
) -> tuple[Descriptor, ...]:
    """Return the descriptors of the manifests that refer to `digest`. See RegistryClient.referrers."""
    digest = Digest(digest)
    referrers = _from_api(manifests, repository, digest, artifact_type)
    if referrers is None:
        try:
            referrers = _from_tag(manifests, repository, digest)
        except (ProtocolError, InvalidDocumentError) as error:
            if isinstance(error, ProtocolError) and error.reason not in ("", "invalid document"):
                raise
            # "Listing Referrers": without a valid index, there are none.
            logger.warning("%s; it is taken for no referrers", error)
            referrers = ()
    # A registry need not filter; filtering twice changes nothing.
    return tuple(referrer for referrer in referrers if artifact_type in ("", referrer.artifact_type))


class Referrer(NamedTuple):
    """A manifest that has a subject: the digest of the subject, and the entry in an index of its referrers."""

    subject: Digest
    entry: Descriptor

    @classmethod
    def of(cls, raw: bytes, media_type: str) -> Referrer | None:
        """Return what to register for the manifest `raw`; None if it has no subject.

        Raises InvalidDocumentError for properties that would make the index of referrers invalid. It is to be called
        before the manifest is sent.
        """
        if not isinstance(raw, (bytes, bytearray)):
            raise InvalidDocumentError(f"the manifest is {type(raw).__name__}, not bytes")
        if b"subject" not in raw and b"\\u" not in raw:
            return None
        label = f"the manifest {Digest.of(raw)}"
        document = parse_document(raw, label)
        subject = check_referrer(document, label)
        if subject is None:
            return None
        annotations = document.get("annotations")
        config = document.get("config")
        artifact_type = document.get("artifactType") or (config.get("mediaType") if isinstance(config, dict) else "")
        if not isinstance(artifact_type or "", str):
            raise InvalidDocumentError(f"{label}: config has a mediaType that is not a string")
        entry = Descriptor(
            media_type,
            Digest.of(raw),
            len(raw),
            annotations=None if annotations is None else string_map(annotations, label),
            artifact_type=artifact_type or "",
        )
        return cls(subject.digest, entry)


def register_referrer(manifests: ManifestStore, repository: str, referrer: Referrer) -> None:
    """Register a stored manifest as a referrer of its subject, if the registry does not do so.

    Whether it does is asked once for each repository: ECR sent the header OCI-Subject before it had the API. Raises
    InvalidDocumentError if the index of referrers would become too large, ProtocolError if it never keeps the entry.
    """
    subject, entry = referrer
    if manifests.has_referrers_api.get(repository):
        return
    if repository not in manifests.has_referrers_api and _from_api(manifests, repository, subject) is not None:
        return
    with manifests.referrer_locks.hold((repository, subject), lambda: None):
        _add_to_tag(manifests, repository, subject, entry)


def _add_to_tag(manifests: ManifestStore, repository: str, subject: Digest, entry: Descriptor) -> None:
    clock = manifests.retrier.clock
    is_written, seen = False, 0
    # The seconds between reading and writing the index, in which another client's entry can be lost.
    longest = 0.0
    for _ in range(_MAX_ROUNDS):
        begin = clock.monotonic()
        others = _from_tag(manifests, repository, subject)
        if any(other.digest == entry.digest for other in others):
            seen += 1
            if not is_written or seen == _CONFIRMATIONS:
                return
        else:
            index = make_index([*others, entry])
            # An index with too many entries or too many bytes would hide the other referrers.
            Index.from_bytes(index.raw, f"the index of the referrers of {subject}, with {entry.digest} added,")
            manifests.put(repository, _tag(subject), index.raw, media_types.OCI_INDEX)
            is_written, seen = True, 0
        longest = max(longest, clock.monotonic() - begin)
        pause = _MIN_PAUSE + (_MAX_PAUSE - _MIN_PAUSE) * clock.random() + min(longest, _MAX_DELAY)
        clock.pause(pause, None)
    raise ProtocolError(
        f"{manifests.api.registry}/{repository}:{_tag(subject)} does not keep the entry for {entry.digest}",
        cause="other clients write the same index all the time, or the registry loses it",
        hint="try again later",
    )


def _from_api(
    manifests: ManifestStore, repository: str, digest: Digest, artifact_type: str = ""
) -> tuple[Descriptor, ...] | None:
    """Return the referrers; None if the registry does not have the API."""
    query = "?" + urlencode({"artifactType": artifact_type}) if artifact_type else ""
    path = f"/v2/{check_repository(repository)}/referrers/{digest}{query}"
    label = f"the referrers of {digest}"
    try:
        documents = list(pages(manifests.api, manifests.retrier, repository, path, label))
    except ResponseError as error:
        if error.status not in _UNSUPPORTED:
            raise
        documents = []
    except ProtocolError as error:
        # Some registries answer an unknown path with a login page, or with nothing.
        if error.reason not in ("web page", "invalid document"):
            raise
        documents = []
    manifests.has_referrers_api[repository] = bool(documents)
    if not documents:
        return None
    indexes = [Index.from_bytes(json.dumps(document).encode(), label) for document in documents]
    return tuple(referrer for index in indexes for referrer in index.manifests)


def _from_tag(manifests: ManifestStore, repository: str, digest: Digest) -> tuple[Descriptor, ...]:
    tag = _tag(digest)
    manifest = manifests.find(repository, tag)
    if manifest is None:
        return ()
    index = manifest.parse(f"{repository}:{tag}")
    if not isinstance(index, Index):
        raise ProtocolError(f"{manifests.api.registry}/{repository}:{tag} should list referrers, and is not an index")
    return index.manifests


def _tag(digest: Digest) -> str:
    return f"{digest.algorithm}-{digest.hex}"
