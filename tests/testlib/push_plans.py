"""The plan of the program push_images.py, for tests that run the program without Pants."""

DEFAULTS = {"address": "app:image", "repository": "app", "tags": ["1"], "copy_foreign_layers": False}


def push_plan(server, root, **image):
    """Return the plan to push the image with the descriptor `root`, whose blobs are in `blobs/sha256`, to `server`."""
    document = {
        **DEFAULTS,
        "digest": root.digest,
        "media_type": root.media_type,
        "document_size": root.size,
        "registry": server.host,
        "send": 0,
        "known": {},
        "mounts": {},
        "remote": [],
        **image,
    }
    return {
        "action": "push",
        "jobs": 2,
        "insecure": [],
        "results": "",
        "connection_failures": "",
        "images": [document],
    }
