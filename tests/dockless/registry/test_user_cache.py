"""Files in the user's cache: repositories that have a blob, and documents that are not trusted."""

import os
import time

import pytest

from dockless._concurrency import KeyedLocks
from dockless.oci.digest import Digest
from dockless.registry.blob_locations import MAX_AGE, BlobLocations
from dockless.registry.user_cache import UserCache

BLOB = Digest.of(b"blob")
URL = "https://registry.example"


def only_file(environ):
    [entry] = os.scandir(os.path.join(environ["HOME"], ".cache/dockless/blobs"))
    return entry.path


def test_the_last_two_repositories_are_kept(environ):
    for name in ("a", "b", "b", "c"):
        BlobLocations(environ).add(URL, BLOB, name)
    assert BlobLocations(environ).repositories(URL, BLOB) == ("c", "b")
    assert BlobLocations(environ).repositories("https://other.example", BLOB) == ()
    assert BlobLocations(environ).repositories(URL, Digest.of(b"other")) == ()


@pytest.mark.parametrize(
    "content", ["", "[]", "{", '{"repositories": 1}', '{"repositories": ["../x"]}', '{"repositories": [""]}', "[" * 999]
)
def test_an_invalid_file_is_ignored(content, environ):
    BlobLocations(environ).add(URL, BLOB, "a")
    with open(only_file(environ), "w") as file:
        file.write(content)
    assert BlobLocations(environ).repositories(URL, BLOB) == ()
    BlobLocations(environ).add(URL, BLOB, "b")
    assert BlobLocations(environ).repositories(URL, BLOB)[0] == "b"


@pytest.mark.parametrize("change", ["writable by others", "old", "symlink", "fifo"])
def test_a_file_that_is_not_only_the_users_is_ignored(change, environ, tmp_path):
    BlobLocations(environ).add(URL, BLOB, "a")
    path = only_file(environ)
    if change == "writable by others":
        os.chmod(path, 0o666)
    elif change == "old":
        os.utime(path, (0, time.time() - MAX_AGE - 10))
    elif change == "symlink":
        os.rename(path, tmp_path / "elsewhere")
        os.symlink(tmp_path / "elsewhere", path)
    else:
        os.unlink(path)
        os.mkfifo(path)
    assert BlobLocations(environ).repositories(URL, BLOB) == ()


@pytest.mark.parametrize("environ", [{}, {"HOME": "relative"}, {"XDG_CACHE_HOME": "/proc/none"}])
def test_without_a_cache_directory_nothing_is_kept(environ):
    cache = UserCache(environ, "blobs", 10)
    cache.put("key", {})
    assert cache.get("key") is None
    assert cache.take("key") is None
    cache.remove("key")


def test_a_wait_for_a_lock_can_be_canceled():
    locks = KeyedLocks()

    def check():
        raise InterruptedError

    with locks.hold("a", check), locks.hold("b", check), pytest.raises(InterruptedError), locks.hold("a", check):
        pass
    with locks.hold("a", check):
        pass
