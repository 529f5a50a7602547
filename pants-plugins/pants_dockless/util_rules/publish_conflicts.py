"""Detects targets that publish different images to the same reference in one run."""

from collections.abc import Iterable

from pants.engine.addresses import Address

from pants_dockless._compat import RunId
from pants_dockless.errors import TargetError

# By run and reference: the first target that publishes to the reference, and the digest of the image.
_PUBLISHED: dict[RunId, dict[str, tuple[Address, str]]] = {}


def check_conflicts(run: RunId, references: Iterable[str], address: Address, digest: str) -> None:
    """Record that a target publishes an image to `references`.

    Raises TargetError if another target publishes another image to one of them. Pants calls the rules of all targets
    before the first push, so that nothing has been pushed when the error occurs.
    """
    # pantsd performs one run at a time.
    for old_run in [key for key in _PUBLISHED if key != run]:
        _PUBLISHED.pop(old_run, None)
    published = _PUBLISHED.setdefault(run, {})
    for reference in references:
        other_address, other_digest = published.setdefault(reference, (address, digest))
        if other_address != address and other_digest != digest:
            first, second = sorted((str(other_address), str(address)))
            raise TargetError(
                address,
                "image_tags",
                f"two different images would be published to {reference}",
                cause=f"both {first} and {second} publish to this reference",
                hint="change the tags or the repository of one of the targets",
            )
