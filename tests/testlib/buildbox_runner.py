"""Runs buildbox-run for a client of an older protocol: `buildbox_runner.py BUILDBOX_RUN LOSE_OUTPUTS ARGUMENT...`.

Pants 2.17 names outputs in `output_files` and `output_directories`, as Remote Execution API 2.0 does. buildbox-run
reads `output_paths` (2.1) alone. A Command without `output_paths` is replaced by one that names the same outputs there.
Where the file LOSE_OUTPUTS exists, the Command names no output at all, so that the result has none.
BuildGrid's interpreter runs this: it has the messages of the protocol.
"""

import hashlib
import os
import sys

import grpc
from buildgrid._protos.build.bazel.remote.execution.v2 import remote_execution_pb2 as reapi
from buildgrid._protos.build.bazel.remote.execution.v2 import remote_execution_pb2_grpc as reapi_grpc


def replace_outputs(command: reapi.Command, lose: bool) -> None:
    paths = sorted({*command.output_paths, *command.output_files, *command.output_directories})
    del command.output_paths[:], command.output_files[:], command.output_directories[:]
    if not lose:
        command.output_paths.extend(paths)


def add_path(command: reapi.Command) -> None:
    variables = {variable.name: variable.value for variable in command.environment_variables}
    if not variables.get("PATH"):
        variables["PATH"] = "/usr/local/bin:/usr/bin:/bin"
        del command.environment_variables[:]
        # The API requires this order.
        for name in sorted(variables):
            command.environment_variables.add(name=name, value=variables[name])


def rewrite_action(path: str, address: str, instance: str, lose: bool) -> str:
    """Stores the new Command, and returns the path of an Action that names the new Command."""
    with open(path, "rb") as file:
        action = reapi.Action.FromString(file.read())
    with grpc.insecure_channel(address) as channel:
        storage = reapi_grpc.ContentAddressableStorageStub(channel)
        request = reapi.BatchReadBlobsRequest(instance_name=instance, digests=[action.command_digest])
        (response,) = storage.BatchReadBlobs(request).responses
        command = reapi.Command.FromString(response.data)
        replace_outputs(command, lose)
        add_path(command)
        data = command.SerializeToString(deterministic=True)
        digest = reapi.Digest(hash=hashlib.sha256(data).hexdigest(), size_bytes=len(data))
        update = reapi.BatchUpdateBlobsRequest(instance_name=instance)
        update.requests.add(digest=digest, data=data)
        (stored,) = storage.BatchUpdateBlobs(update).responses
    if response.status.code or stored.status.code:
        sys.exit(f"error: cannot replace the Command: {response.status}{stored.status}")
    action.command_digest.CopyFrom(digest)
    with open(f"{path}.rewritten", "wb") as file:
        file.write(action.SerializeToString(deterministic=True))
    return file.name


def main(runner: str, lose_outputs: str, arguments: list) -> None:
    options = dict(argument[2:].split("=", 1) for argument in arguments if "=" in argument)
    # Without an Action, the command queries the capabilities of buildbox-run.
    if "action" in options:
        address = options["remote"].removeprefix("http://")
        path = rewrite_action(options["action"], address, options.get("instance", ""), os.path.exists(lose_outputs))
        arguments = [f"--action={path}" if argument.startswith("--action=") else argument for argument in arguments]
    os.execv(runner, [runner, *arguments])


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3:])
