"""Reports of pushes: the plan of a dry run, and the data for `--output`."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Optional

from pants.util.frozendict import FrozenDict

from dockless._units import format_count, format_size
from pants_dockless.util_rules.built_image import BuiltImage
from pants_dockless.util_rules.destinations import Destination
from pants_dockless.util_rules.push import Push, PushState, blobs_to_send

# Requests for a blob that is sent: one opens the upload session, one sends the content.
_REQUESTS_TO_SEND = 2


def dry_run_lines(pushes: Sequence[Push], states: Sequence[PushState]) -> Iterator[str]:
    """Yield a line for each tag that would move, for each error, and one with the sums."""
    sent = blobs_to_send(pushes, states)
    mounts = sum(len(state.missing) + len(state.mounts) for state in states) - len(sent)
    requests = len(sent) * _REQUESTS_TO_SEND + mounts
    tags = 0
    for push, state in zip(pushes, states):
        if state.error:
            yield f"error: {push.address}: {state.error}"
            continue
        for reference, old in zip(push.destination.references, state.tags.values()):
            if old != push.image.digest:
                tags += 1
                yield f"{reference}: {old or 'new tag'} -> {push.image.digest}"
        if state.is_complete:
            continue
        requests += len(push.image.images) if push.image.is_index else 0
        requests += len(push.destination.tags)
    yield (
        f"{format_count(tags, 'tag')} to set, {format_count(requests, 'request')}, "
        f"{format_size(sum(sent.values()))} to send, {format_count(mounts, 'blob')} to mount, "
        f"{sum(state.is_complete for state in states)} of {format_count(len(pushes), 'image')} already present"
    )


def planned_transfer(push: Push, state: PushState) -> Mapping[str, int]:
    """Return the numbers of blobs that a push sends, has mounted and finds present, and the bytes that it sends."""
    blobs = {blob.digest for image in push.image.images for blob in (image.parsed.config, *image.parsed.layers)}
    sent, mounted = len(state.missing), len(state.mounts)
    return FrozenDict(
        sent=sent,
        bytes=sum(state.missing.values()),
        mounted=mounted,
        present=max(0, len(blobs) - sent - mounted),
    )


def transfer_summary(transfers: Iterable[Optional[Mapping[str, int]]]) -> str:
    """Return the sums of transfers."""
    known = [transfer for transfer in transfers if transfer]
    sums = {key: sum(transfer[key] for transfer in known) for key in ("sent", "bytes", "mounted", "present")}
    return (
        f"{format_count(sums['sent'], 'blob')} sent ({format_size(sums['bytes'])}), {sums['mounted']} mounted, "
        f"{sums['present']} already present"
    )


def output_data(
    pushes: Sequence[Push],
    states: Sequence[PushState],
    errors: Sequence[Optional[str]],
    transfers: Sequence[Optional[Mapping[str, int]]],
) -> list[dict[str, Any]]:
    """Return the data for `--output`, with the keys that the output of `publish` has.

    `transfers` are what was sent, mounted and present; None for an image that failed.
    """
    return [
        {
            "target": str(push.address),
            "publisher": "dockless",
            "names": push.destination.references,
            **destination_data(push.image, push.destination),
            "transfer": dict(transfer) if transfer else None,
            "published": not error,
            "exit_code": int(bool(error)),
            "status": error or f"{'already present in' if state.is_complete else 'published to'} {push.description}",
        }
        for push, state, error, transfer in zip(pushes, states, errors, transfers)
    ]


def destination_data(image: BuiltImage, destination: Destination) -> dict[str, Any]:
    """Return the data about an image and one of its destinations."""
    return {
        "references": destination.references,
        "registry": destination.registry,
        "repository": destination.repository,
        "tags": destination.tags,
        "digest": str(image.digest),
        "media_type": image.media_type,
        "size": image.size,
    }
