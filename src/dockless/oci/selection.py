"""Selects the image for a platform from an index, whose entries need not name a platform and may be indexes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple, Union

from dockless.errors import DocklessError, InvalidDocumentError, LayoutError
from dockless.oci import media_types
from dockless.oci.descriptor import Descriptor
from dockless.oci.digest import Digest
from dockless.oci.manifest import Index, Manifest
from dockless.oci.platform import DEFAULT_PLATFORM, Platform, choose

_MAX_DEPTH = 4
# Entries whose config has to be read, because they name no platform. Each takes two requests.
_MAX_READ = 100


class Candidate(NamedTuple):
    """An entry of an index and the platform of its image."""

    descriptor: Descriptor
    platform: Platform


# Returns the manifest or index that a descriptor names.
Reader = Callable[[Descriptor], Union[Manifest, Index]]
# Returns the platform in the config of a manifest; None if the manifest is not that of an image.
PlatformReader = Callable[[Manifest], Union[Platform, None]]


def select_image(
    index: Index, requested: Platform | None, label: str, read: Reader, read_platform: PlatformReader
) -> Descriptor:
    """Return the entry of the image for `requested`; None selects the only image, else that for linux/amd64.

    Configs are read only of entries without a platform, and only if no other entry has exactly the platform. `label`
    names the index in errors. Raises InvalidDocumentError, with the platforms that the index has, and what the
    functions raise.
    """
    selection = _Selection(requested, label, read, read_platform)
    listed = list(selection.entries(index, 0))
    if requested is None and len(listed) == 1:
        return listed[0]
    named = [Candidate(entry, entry.platform) for entry in listed if entry.platform and entry.platform.is_complete]
    unnamed = [entry for entry in listed if not (entry.platform and entry.platform.is_complete)]
    platform = requested or DEFAULT_PLATFORM
    chosen = choose(named, lambda candidate: candidate.platform, platform)
    if unnamed and (requested is None or chosen is None or not chosen.platform.matches(requested)):
        named += selection.resolved(unnamed)
        if requested is None and len(named) == 1:
            return named[0].descriptor
        chosen = choose(named, lambda candidate: candidate.platform, platform)
    if chosen is not None:
        return chosen.descriptor
    if selection.error is not None:
        raise selection.error
    available = sorted({str(candidate.platform) for candidate in named} - {""})
    cause = f"it has {', '.join(available) or 'no platform'}"
    if index.unsupported:
        cause += f", and manifests with digests that are not supported, such as {index.unsupported[0].digest}"
    raise InvalidDocumentError(f"{label} has no image for {platform}", cause=cause)


def find_images(index: Index, label: str, read: Reader, read_platform: PlatformReader) -> list[Candidate]:
    """Return all images of an index, in its order. Raises as `select_image`."""
    selection = _Selection(None, label, read, read_platform)
    found: list[Candidate] = []
    for entry in selection.entries(index, 0):
        if entry.platform is not None and entry.platform.is_complete:
            found.append(Candidate(entry, entry.platform))
        else:
            found += selection.resolved([entry])
    if selection.error is not None:
        raise selection.error
    return found


class _Selection:
    def __init__(self, requested: Platform | None, label: str, read: Reader, read_platform: PlatformReader) -> None:
        self._requested = requested
        self._label = label
        self._read = read
        self._read_platform = read_platform
        self._seen: set[Digest] = set()
        self._count = 0
        # The first error of an entry that cannot be read. Another entry may be the one to select.
        self.error: DocklessError | None = None

    def entries(self, index: Index, depth: int) -> Iterator[Descriptor]:
        """Yield the entries for image manifests, also those of indexes that the index lists."""
        for entry in index.manifests:
            if entry.media_type in media_types.INDEXES:
                yield from self._nested(entry, depth + 1)
            elif entry.media_type in media_types.MANIFESTS and not _is_attestation(entry):
                yield entry

    def resolved(self, entries: list[Descriptor]) -> list[Candidate]:
        """Return those of the entries that are images, with the platforms in their configs."""
        found = []
        for entry in entries:
            self._count += 1
            if self._count > _MAX_READ:
                raise InvalidDocumentError(
                    f"{self._label} names no platform for more than {_MAX_READ} manifests",
                    hint="name an image by its digest",
                )
            try:
                manifest = self._read(entry)
                platform = self._read_platform(manifest) if isinstance(manifest, Manifest) else None
            except DocklessError as error:
                self._note(error)
                continue
            if platform is not None and "unknown" not in platform:
                found.append(Candidate(entry, platform))
        return found

    def _nested(self, entry: Descriptor, depth: int) -> Iterator[Descriptor]:
        declared = entry.platform
        if declared is not None and declared.is_complete and not declared.runs_on(self._requested):
            return
        if entry.digest in self._seen:
            return
        self._seen.add(entry.digest)
        if depth > _MAX_DEPTH:
            raise InvalidDocumentError(f"{self._label} is nested in more than {_MAX_DEPTH} indexes")
        if len(self._seen) > _MAX_READ:
            raise InvalidDocumentError(f"{self._label} lists more than {_MAX_READ} indexes")
        try:
            index = self._read(entry)
        except DocklessError as error:
            self._note(error)
            return
        if isinstance(index, Index):
            yield from self.entries(index, depth)

    def _note(self, error: DocklessError) -> None:
        """Keep the error of an entry that is missing or invalid; raise another error."""
        if not isinstance(error, (InvalidDocumentError, LayoutError)) and getattr(error, "status", None) != 404:
            raise error
        self.error = self.error or error


def _is_attestation(entry: Descriptor) -> bool:
    """Return whether BuildKit wrote the entry for an attestation, whose platform is `unknown/unknown`."""
    return (entry.annotations or {}).get("vnd.docker.reference.type") == "attestation-manifest"
