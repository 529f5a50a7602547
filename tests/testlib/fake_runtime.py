"""A fake of docker and podman, which pulls as they do: without the layers that it has.

The directory of the program contains `calls`, a line for each call, `layers` with the layers, and `image`, the digest
of the config of the last image that was loaded. The variables FAIL and FAIL_TEXT make a command fail.
"""

import json
import os
import sys
from pathlib import Path

HOME = Path(sys.argv[0]).parent


def fetch(url: str, digest: str) -> bytes:
    import hashlib
    import urllib.request

    with urllib.request.urlopen(url, timeout=20) as response:
        data = response.read()
        assert int(response.headers["Content-Length"]) == len(data)
    assert f"sha256:{hashlib.sha256(data).hexdigest()}" == digest
    return data


def pull(reference: str) -> None:
    import urllib.request

    name, digest = reference.split("@")
    host, repository = name.split("/", 1)
    base = f"http://{host}/v2/{repository}"
    urllib.request.urlopen(f"http://{host}/v2/", timeout=20).close()
    request = urllib.request.Request(f"{base}/manifests/{digest}", method="HEAD")
    with urllib.request.urlopen(request, timeout=20) as response:
        assert response.headers["Docker-Content-Digest"] == digest
        assert response.headers["Content-Type"].startswith("application/vnd.")
    manifest = json.loads(fetch(f"{base}/manifests/{digest}", digest))
    fetch(f"{base}/blobs/{manifest['config']['digest']}", manifest["config"]["digest"])
    for layer in manifest["layers"]:
        path = HOME / "layers" / layer["digest"]
        if not path.exists():
            path.write_bytes(fetch(f"{base}/blobs/{layer['digest']}", layer["digest"]))
    (HOME / "image").write_text(manifest["config"]["digest"])


def load(path: str) -> None:
    import tarfile

    with tarfile.open(path) as tar:
        (image,) = json.load(tar.extractfile("manifest.json"))
    (HOME / "image").write_text("sha256:" + image["Config"].split(".")[0])


def main(*arguments: str) -> int:
    with open(HOME / "calls", "a") as calls:
        calls.write(f"{' '.join(arguments)}\n")
    command = arguments[0]
    if command in os.environ.get("FAIL", "").split():
        print(os.environ.get("FAIL_TEXT", "a warning\nthe reason"), file=sys.stderr)
        return 1
    if command == "image":
        present = HOME / "image"
        if not present.exists() or present.read_text() != arguments[-1]:
            return 1
        print(arguments[-1])
    elif command == "pull":
        try:
            pull(arguments[-1])
        except Exception as error:
            print(f"pull: {error}", file=sys.stderr)
            return 1
    elif command == "load":
        load(arguments[-1])
    elif command == "run":
        print(json.dumps(arguments))
        return 7
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
