"""Interim responses (RFC 9110, section 15.2), also on reused connections."""

import pytest
from raw_server import head_of, raw_server

from dockless.errors import RegistryError
from dockless.oci.digest import Digest
from dockless.registry import RetryPolicy

ONE, OTHER = Digest.of(b"one"), Digest.of(b"other")
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n"


def registry(interim):
    """A registry with the blob ONE that sends `interim` before each response except that of the ping."""

    def answer(connection):
        while head := head_of(connection):
            if "/blobs/" not in head:
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
                continue
            connection.sendall(interim)
            if b" 101 " in interim:
                return
            found = str(ONE) in head
            connection.sendall(OK if found else b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")

    return raw_server(answer)


@pytest.mark.parametrize("status", ["100 Continue", "102 Processing", "103 Early Hints", "199 Odd"])
@pytest.mark.parametrize("times", [1, 5])
def test_interim_responses_are_skipped(status, times, connect):
    """The interim response to one blob request is not the response to the next."""
    interim = f"HTTP/1.1 {status}\r\nLink: </x>; rel=preload\r\n\r\n".encode() * times
    with registry(interim) as host:
        client = connect(host)
        assert [client.blob_exists("a/b", digest) for digest in (ONE, OTHER, ONE, OTHER)] == [True, False] * 2
        client.close()


def test_endless_interim_responses_are_an_error(connect):
    with registry(b"HTTP/1.1 100 Continue\r\n\r\n" * 1000) as host:
        client = connect(host, retry=RetryPolicy(attempts=2))
        with pytest.raises(RegistryError, match="more than 20 informational responses"):
            client.blob_exists("a/b", ONE)
        client.close()


def test_status_101_is_an_error(connect):
    with registry(b"HTTP/1.1 101 Switching Protocols\r\n\r\n") as host:
        client = connect(host, retry=RetryPolicy(attempts=1))
        with pytest.raises(RegistryError, match="101"):
            client.blob_exists("a/b", ONE)
        client.close()
