"""Which target of a run publishes to which reference: two of them cannot, unless it is the same image."""

from collections.abc import Iterable

from pants.engine.addresses import Address
from pants.engine.internals.session import RunId

from pants_dockless.errors import TargetError

# By run: reference -> who was first, and the digest. Of past runs a few are kept: their rules may still be at work.
_CLAIMS: dict[RunId, dict[str, tuple[Address, str]]] = {}
_KEPT = 8


def claim(run: RunId, references: Iterable[str], address: Address, digest: str) -> None:
    """Notes that a target pushes an image there. Raises TargetError, naming both, where another pushes another image.

    All that a run publishes is known before the first push begins: then nothing has been pushed.
    """
    claims = _CLAIMS.setdefault(run, {})
    for old in list(_CLAIMS)[:-_KEPT]:
        _CLAIMS.pop(old, None)
    for reference in references:
        other, there = claims.setdefault(reference, (address, digest))
        if other != address and there != digest:
            first, second = sorted((str(other), str(address)))
            raise TargetError(
                address,
                "image_tags",
                f"{reference} would be two images",
                cause=f"{first} and {second} both publish to it",
                hint="give one of them another tag or repository",
            )
