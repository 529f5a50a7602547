"""Reads the content of a Remote Execution service. Runs with BuildGrid's interpreter, which has the API's messages.

    remote_protocol.py list-actions OBJECTS
    remote_protocol.py drop-outputs OBJECTS HOST:PORT DIGEST

OBJECTS is the directory of the service's blobs. `list-actions` prints the Actions as JSON. `drop-outputs` replaces
the cached result of the Action that wrote the blob DIGEST by one without files and directories.
Source: Remote Execution API 2.3, build/bazel/remote/execution/v2/remote_execution.proto.
"""

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Optional

import grpc
from buildgrid._protos.build.bazel.remote.execution.v2 import remote_execution_pb2 as reapi
from buildgrid._protos.build.bazel.remote.execution.v2 import remote_execution_pb2_grpc as reapi_grpc
from google.protobuf.message import DecodeError

_HEX = re.compile(r"[0-9a-f]{64}")
# No Action is larger: an Action has two digests, a timeout and the properties of the platform.
_MAX_ACTION_SIZE = 4096


def _path(objects: Path, digest: str) -> Path:
    return objects / digest[:2] / digest[2:]


def _is_digest(digest: reapi.Digest) -> bool:
    return _HEX.fullmatch(digest.hash) is not None


def _find_actions(objects: Path) -> Iterator[tuple[str, int, reapi.Action, reapi.Command]]:
    """Yields digest, size, Action and Command of each blob that parses as an Action whose Command is there."""
    for path in sorted(objects.glob("??/*")):
        size = path.stat().st_size
        if size > _MAX_ACTION_SIZE:
            continue
        try:
            action = reapi.Action.FromString(path.read_bytes())
        except DecodeError:
            continue
        if not (_is_digest(action.command_digest) and _is_digest(action.input_root_digest)):
            continue
        command = _path(objects, action.command_digest.hash)
        if command.exists():
            yield path.parent.name + path.name, size, action, reapi.Command.FromString(command.read_bytes())


def _list_inputs(objects: Path, root: str) -> Optional[dict]:
    """Returns path to digest and executable bit of each file under a directory; None where a Directory is not there."""
    inputs, directories = {}, [("", root)]
    while directories:
        prefix, digest = directories.pop()
        if not _path(objects, digest).exists():
            return None
        directory = reapi.Directory.FromString(_path(objects, digest).read_bytes())
        inputs.update({prefix + file.name: (file.digest.hash, file.is_executable) for file in directory.files})
        directories += [(f"{prefix}{child.name}/", child.digest.hash) for child in directory.directories]
    return inputs


def list_actions(objects: Path) -> None:
    actions = [
        {
            "digest": digest,
            "arguments": list(command.arguments),
            "environment": {variable.name: variable.value for variable in command.environment_variables},
            "outputs": sorted([*command.output_files, *command.output_directories, *command.output_paths]),
            "inputs": _list_inputs(objects, action.input_root_digest.hash),
        }
        for digest, _, action, command in _find_actions(objects)
    ]
    json.dump(actions, sys.stdout)


def drop_outputs(objects: Path, address: str, blob: str) -> None:
    with grpc.insecure_channel(address) as channel:
        cache = reapi_grpc.ActionCacheStub(channel)
        for digest, size, _, _ in _find_actions(objects):
            key = reapi.Digest(hash=digest, size_bytes=size)
            try:
                result = cache.GetActionResult(reapi.GetActionResultRequest(action_digest=key))
            except grpc.RpcError as error:
                if error.code() is grpc.StatusCode.NOT_FOUND:
                    continue
                raise
            trees = [
                reapi.Tree.FromString(_path(objects, directory.tree_digest.hash).read_bytes())
                for directory in result.output_directories
            ]
            if blob in {f.digest.hash for tree in trees for d in (tree.root, *tree.children) for f in d.files}:
                del result.output_files[:], result.output_directories[:]
                cache.UpdateActionResult(reapi.UpdateActionResultRequest(action_digest=key, action_result=result))
                return
    sys.exit(f"error: no cached result holds the blob {blob}")


if __name__ == "__main__":
    name, objects, *arguments = sys.argv[1:]
    {"list-actions": list_actions, "drop-outputs": drop_outputs}[name](Path(objects), *arguments)
