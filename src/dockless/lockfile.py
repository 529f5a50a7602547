"""The lockfile of base images. It contains their indexes, manifests and configs, so that a build downloads nothing.

The lockfile is a JSON document, sorted and indented, with each document as a list of lines: a changed base is one block
of lines in a diff, and line endings that a checkout converts do not matter.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from dockless.errors import DocklessError, InvalidDocumentError
from dockless.oci.canonical_json import DEFAULT_LIMIT, parse_document
from dockless.oci.descriptor import Descriptor
from dockless.oci.digest import Digest
from dockless.oci.image_documents import ImageDocuments, NotAnImageError
from dockless.oci.manifest import Index, Manifest, parse_manifest
from dockless.oci.platform import Platform, choose
from dockless.oci.reference import Reference
from dockless.oci.selection import Candidate, find_images, select_image

VERSION = 1
# Bytes. A base takes about ten kilobytes for each platform, and every run of Pants parses the lockfile.
MAX_BYTES = 8 * 1024 * 1024
_HEADER = "Pinned base images, written by `pants generate-lockfiles --resolve=base-images`. Do not edit."


class LockedImage(NamedTuple):
    """The image of a base for one platform."""

    platform: Platform
    manifest: Manifest
    config_bytes: bytes

    @property
    def documents(self) -> ImageDocuments:
        """The manifest and config. Raises InvalidDocumentError if they are not those of an image."""
        return ImageDocuments.read(self.manifest, self.config_bytes, str(self.manifest.digest))


class LockedBase(NamedTuple):
    """A base when it was locked. `platform_index` is None if the reference is that of a single image."""

    reference: Reference
    digest: Digest
    platform_index: Index | None
    images: tuple[LockedImage, ...]

    def image(self, platform: Platform) -> LockedImage:
        """Return the image for a platform. Raises InvalidDocumentError, which lists the locked platforms."""
        image = choose(self.images, lambda image: image.platform, platform)
        if image is not None and not self._has_better(image, platform):
            return image
        locked = ", ".join(sorted(str(image.platform) for image in self.images))
        raise InvalidDocumentError(
            f"{self.reference} is not locked for {platform}",
            cause=f"only {locked} is locked",
            hint="add the platform to `platforms` and regenerate the lockfile",
        )

    def _has_better(self, image: LockedImage, platform: Platform) -> bool:
        """Return whether the index has an image, which is not locked, that suits `platform` better."""
        listed = [child.platform for child in self.platform_index.manifests] if self.platform_index else []
        best = choose([x for x in listed if x is not None and x.is_complete], lambda x: x, platform)
        preferred = best.preference(platform) if best is not None else None
        own = image.platform.preference(platform)
        return preferred is not None and own is not None and preferred > own


class Lockfile(NamedTuple):
    """All locked bases, by their reference as `str(Reference)` writes it."""

    bases: Mapping[str, LockedBase]

    @classmethod
    def of(cls, bases: Iterable[LockedBase]) -> Lockfile:
        """Return the lockfile with these entries."""
        return cls({str(base.reference): base for base in bases})

    @classmethod
    def from_bytes(cls, raw: bytes, path: str) -> Lockfile:
        """Parse a lockfile and verify each document by its digest. Raises InvalidDocumentError, which names `path`."""
        try:
            document = parse_document(raw, path, limit=MAX_BYTES)
        except InvalidDocumentError as error:
            raise InvalidDocumentError(error.problem, cause=error.cause, hint="regenerate the lockfile") from None
        if document.get("version") != VERSION:
            raise InvalidDocumentError(
                f"{path} has the version {document.get('version')!r:.20}",
                cause=f"this Dockless reads version {VERSION}",
                hint="regenerate the lockfile",
            )
        bases = document.get("bases")
        if not isinstance(bases, dict):
            raise InvalidDocumentError(f"{path} has no `bases`", hint="regenerate the lockfile")
        return cls({name: _base_from_json(name, found, path) for name, found in bases.items()})

    def to_bytes(self) -> bytes:
        """Return the content of the file: UTF-8 with a final newline.

        Raises InvalidDocumentError for a lockfile that `from_bytes` would refuse because of its size.
        """
        document = {
            "//": _HEADER,
            "version": VERSION,
            "bases": {name: _base_to_json(base) for name, base in self.bases.items()},
        }
        text = json.dumps(document, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
        raw = text.encode("utf-8", "surrogatepass")
        _check_size(len(raw), "the lockfile")
        return raw

    def base(self, reference: Reference, path: str, command: str) -> LockedBase:
        """Return the entry of a reference. Raises InvalidDocumentError, which names the command to run."""
        base = self.bases.get(str(reference))
        if base is None:
            raise InvalidDocumentError(f"{path} has no entry for {reference}", hint=f"run `{command}`")
        return base


def _check_size(size: int, label: str) -> None:
    if size > MAX_BYTES:
        raise InvalidDocumentError(
            f"{label} would have {size} bytes or more",
            cause=f"the limit is {MAX_BYTES}",
            hint="lock fewer base images, or fewer platforms with `platforms`",
        )


def _base_to_json(base: LockedBase) -> dict[str, Any]:
    index = base.platform_index
    return {
        "registry": base.reference.registry,
        "repository": base.reference.repository,
        "tag": base.reference.tag,
        "digest": base.digest,
        "index": _document_to_json(index.media_type, index.raw) if index else None,
        "platforms": {
            str(image.platform): {
                "manifest": _document_to_json(image.manifest.media_type, image.manifest.raw),
                "config": _document_to_json(image.manifest.config.media_type, image.config_bytes),
            }
            for image in base.images
        },
    }


def _document_to_json(media_type: str, raw: bytes) -> dict[str, Any]:
    return {"media_type": media_type, "digest": Digest.of(raw), "content": raw.decode("utf-8").split("\n")}


def _base_from_json(name: str, found: Any, path: str) -> LockedBase:
    where = f"{path}: {name}"
    try:
        reference = Reference.parse(name)
        digest = Digest(found["digest"])
        index = None
        if found["index"] is not None:
            raw, media_type = _document_from_json(found["index"], f"{where}: index")
            index = Index.from_bytes(raw, f"{where}: index", media_type=media_type)
        images = tuple(
            _image_from_json(Platform.parse(platform), image, f"{where}: {platform}")
            for platform, image in sorted(found["platforms"].items())
        )
    except DocklessError as error:
        if error.problem.startswith(path):
            raise
        raise InvalidDocumentError(f"{where}: {error.problem}", cause=error.cause, hint=error.hint) from None
    except (KeyError, TypeError, AttributeError, UnicodeEncodeError) as error:
        raise InvalidDocumentError(
            f"{where} is not a valid entry",
            cause=f"{type(error).__name__} {error}",
            hint="regenerate the lockfile",
        ) from None
    base = LockedBase(reference, digest, index, images)
    _check_links(base, where)
    return base


def _image_from_json(platform: Platform, found: Any, where: str) -> LockedImage:
    raw, media_type = _document_from_json(found["manifest"], f"{where}: manifest")
    config, _ = _document_from_json(found["config"], f"{where}: config")
    return LockedImage(platform, Manifest.from_bytes(raw, f"{where}: manifest", media_type=media_type), config)


def _document_from_json(found: Any, where: str) -> tuple[bytes, str]:
    raw = "\n".join(found["content"]).encode("utf-8")
    digest = Digest.of(raw)
    if digest != found["digest"]:
        raise InvalidDocumentError(
            f"{where} does not match its digest",
            cause=f"its digest is {digest}, and the lockfile has {found['digest']}",
            hint="regenerate the lockfile",
        )
    return raw, found["media_type"]


def _check_links(base: LockedBase, where: str) -> None:
    """Raise InvalidDocumentError unless each document is the one that the document above it names."""

    def fail(label: str, actual: str, expected: str) -> None:
        raise InvalidDocumentError(
            f"{where}: {label} does not match the lockfile",
            cause=f"{actual} is not {expected}",
            hint="regenerate the lockfile",
        )

    if base.reference.digest and base.digest != base.reference.digest:
        fail("the digest", base.digest, base.reference.digest)
    index = base.platform_index
    if index is not None and index.digest != base.digest:
        fail("the index", index.digest, base.digest)
    listed = {child.digest for child in index.manifests} if index else {base.digest}
    for image in base.images:
        if image.manifest.digest not in listed:
            fail(
                f"the manifest for {image.platform}",
                image.manifest.digest,
                "in the index" if base.platform_index else base.digest,
            )
        if Digest.of(image.config_bytes) != image.manifest.config.digest:
            fail(f"the config for {image.platform}", Digest.of(image.config_bytes), image.manifest.config.digest)


def lock_base(
    reference: Reference,
    platforms: Iterable[Platform],
    root: Manifest | Index,
    fetch: Any,
) -> LockedBase:
    """Return the locked form of a base whose manifest or index is `root`, for `platforms` (none: all of the base).

    `fetch(descriptor)` returns the verified bytes of a manifest or config. Raises InvalidDocumentError for a base that
    no image can use: nested indexes, artifacts, Docker schema 1, and different numbers of layers and diff IDs; also for
    documents that do not fit in a lockfile.
    """
    requested = list(platforms)
    images = []
    fetch = _fetch_once(fetch)
    if isinstance(root, Index):
        unique: dict[Digest, Candidate] = {}
        for child in _select(root, requested, str(reference), fetch):
            unique.setdefault(child.descriptor.digest, child)
        total = 0
        for child in unique.values():
            image = _lock_image(reference, child, fetch)
            total += len(image.manifest.raw) + len(image.config_bytes)
            _check_size(total, f"the lockfile with {reference}")
            images.append(image)
        index: Index | None = root
    else:
        images.append(_locked(reference, root, fetch, requested[0] if len(requested) == 1 else None))
        index = None
        for platform in requested:
            if not images[0].platform.runs_on(platform):
                raise InvalidDocumentError(
                    f"{reference} has no image for {platform}",
                    cause=f"the reference is a single image for {images[0].platform}",
                )
    return LockedBase(reference, root.digest, index, tuple(images))


def _fetch_once(fetch: Any) -> Any:
    """Return a function that fetches a document once, although it is read to select an image, and then to lock it.

    At most as many bytes as a lockfile may have are kept. Documents beyond are fetched again.
    """
    known: dict[Digest, bytes] = {}
    size = 0

    def fetch_once(descriptor: Descriptor) -> bytes:
        nonlocal size
        if descriptor.digest in known:
            return known[descriptor.digest]
        data: bytes = fetch(descriptor)
        if size + len(data) <= MAX_BYTES:
            known[descriptor.digest] = data
            size += len(data)
        return data

    return fetch_once


def _select(index: Index, requested: list[Platform], label: str, fetch: Any) -> list[Candidate]:
    """Return the images of an index for `requested`, or all of its images."""

    def read(child: Descriptor) -> Manifest | Index:
        found = parse_manifest(fetch(child), f"{label}: {child.digest}", media_type=child.media_type)
        if isinstance(found, Index):
            raise InvalidDocumentError(f"{label} is an index of indexes", hint="name one of its images")
        return found

    def read_platform(manifest: Manifest) -> Platform | None:
        try:
            return ImageDocuments.read(manifest, fetch(_checked(manifest.config, label)), label).platform
        except NotAnImageError:
            return None

    if not requested:
        return find_images(index, label, read, read_platform)
    return [Candidate(select_image(index, each, label, read, read_platform), each) for each in requested]


def _lock_image(reference: Reference, child: Candidate, fetch: Any) -> LockedImage:
    descriptor = child.descriptor
    found = parse_manifest(fetch(descriptor), f"{reference}: {descriptor.digest}", media_type=descriptor.media_type)
    if isinstance(found, Index):
        raise InvalidDocumentError(f"{reference} is an index of indexes", hint="name one of its images")
    return _locked(reference, found, fetch, child.platform)


def _checked(config: Descriptor, label: str) -> Descriptor:
    if config.size > DEFAULT_LIMIT:
        raise InvalidDocumentError(
            f"the config {config.digest} of {label} is too large",
            cause=f"the manifest gives {config.size} bytes; the limit is {DEFAULT_LIMIT}",
        )
    return config


def _locked(reference: Reference, manifest: Manifest, fetch: Any, default: Platform | None) -> LockedImage:
    """Return the locked image. `default` is its platform as far as its config has none."""
    raw = fetch(_checked(manifest.config, str(reference)))
    config = ImageDocuments.read(manifest, raw, str(reference)).config
    try:
        raw.decode("utf-8")
        manifest.raw.decode("utf-8")
    except UnicodeDecodeError:
        raise InvalidDocumentError(f"{reference} has a document that is not UTF-8") from None
    platform = config.platform.filled(default) if default else config.platform
    if not (platform.os and platform.architecture):
        raise InvalidDocumentError(
            f"{reference} names no platform",
            cause="its config has no os and architecture",
            hint="list one platform in `platforms`",
        )
    return LockedImage(platform.normalized(), manifest, raw)
