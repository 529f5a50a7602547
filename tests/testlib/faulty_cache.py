"""A remote cache with faults: forwards calls of the Remote Execution API. Runs with BuildGrid's interpreter.

    faulty_cache.py PORT UPSTREAM_PORT FAULT_FILE

The service listens on PORT. For each call it reads the name of a fault from FAULT_FILE; an empty file means no fault.
"""

import sys
import threading
from concurrent import futures
from pathlib import Path

import grpc
from buildgrid._protos.build.bazel.remote.execution.v2 import remote_execution_pb2 as reapi
from buildgrid._protos.google.bytestream import bytestream_pb2

_FIND_RESULT = "GetActionResult"
_READ_SMALL = "BatchReadBlobs"
_READ = "Read"
_WRITE = "Write"
_MAX_DOCUMENT_SIZE = 1_000_000


class FaultyCache(grpc.GenericRpcHandler):
    """Handles every method of every service, with messages as bytes."""

    def __init__(self, upstream: grpc.Channel, fault_file: Path) -> None:
        self._upstream = upstream
        self._fault_file = fault_file

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler:
        """Return the handler of a method."""
        path = details.method
        name = path.rpartition("/")[2]
        if name == _READ:
            forward = self._upstream.unary_stream(path)
            return grpc.unary_stream_rpc_method_handler(lambda request, call: self._read(forward, request, call))
        if name == _WRITE:
            forward = self._upstream.stream_unary(path)
            return grpc.stream_unary_rpc_method_handler(
                lambda requests, call: self._call(name, forward, requests, call)
            )
        forward = self._upstream.unary_unary(path)
        return grpc.unary_unary_rpc_method_handler(lambda request, call: self._call(name, forward, request, call))

    def _begin(self, call: grpc.ServicerContext) -> str:
        fault = self._fault_file.read_text()
        if fault == "unavailable":
            call.abort(grpc.StatusCode.UNAVAILABLE, "the cache is in maintenance")
        if fault == "silent":
            _wait_for_end(call)
        return fault

    def _call(self, name: str, forward, request, call: grpc.ServicerContext) -> bytes:
        fault = self._begin(call)
        if name == _WRITE and fault == "slow uplink":
            _wait_for_end(call)
        if name == _FIND_RESULT and fault == "garbage":
            return b"\x0f"
        try:
            response = forward(request)
        except grpc.RpcError as error:
            call.abort(error.code(), error.details())
        if name == _READ_SMALL and fault in ("flipped", "missing"):
            found = reapi.BatchReadBlobsResponse.FromString(response)
            for blob in found.responses:
                if fault == "missing":
                    blob.status.code, blob.data = grpc.StatusCode.NOT_FOUND.value[0], b""
                elif blob.data:
                    blob.data = _flip(blob.data)
            return found.SerializeToString()
        return response

    def _read(self, forward, request: bytes, call: grpc.ServicerContext):
        fault = self._begin(call)
        size = int(bytestream_pb2.ReadRequest.FromString(request).resource_name.rpartition("/")[2])
        if fault == "missing" or (fault == "missing layers" and size > _MAX_DOCUMENT_SIZE):
            call.abort(grpc.StatusCode.NOT_FOUND, "the blob was deleted")
        try:
            for index, response in enumerate(forward(request)):
                if fault == "interrupted" and index == 1:
                    call.abort(grpc.StatusCode.UNAVAILABLE, "the cache was stopped")
                if fault == "flipped":
                    message = bytestream_pb2.ReadResponse.FromString(response)
                    message.data = _flip(message.data)
                    yield message.SerializeToString()
                else:
                    yield response
        except grpc.RpcError as error:
            call.abort(error.code(), error.details())


def _wait_for_end(call: grpc.ServicerContext) -> None:
    ended = threading.Event()
    call.add_callback(ended.set)
    ended.wait()


def _flip(data: bytes) -> bytes:
    return data[:-1] + bytes((data[-1] ^ 1,))


def main(port: str, upstream: str, fault_file: str) -> None:
    """Serve until the process ends."""
    server = grpc.server(futures.ThreadPoolExecutor(64))
    handler = FaultyCache(grpc.insecure_channel(f"127.0.0.1:{upstream}"), Path(fault_file))
    server.add_generic_rpc_handlers((handler,))
    server.add_insecure_port(f"127.0.0.1:{port}")
    server.start()
    server.wait_for_termination()


if __name__ == "__main__":
    main(*sys.argv[1:])
