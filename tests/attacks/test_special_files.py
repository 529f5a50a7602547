"""FIFOs, devices, sockets and directories in the place of files are an error at once; waiting for a lock has an end."""

import errno
import fcntl
import json
import os
import shutil
import socket
import ssl
import tempfile
import time

import pytest
from made_images import layout_of, make_image

from dockless import _atomic
from dockless._files import open_regular
from dockless.blobs import DirectoryBlobs
from dockless.errors import CredentialsError, DocklessError, LayerError, LayoutError, RegistryError
from dockless.layer import LayerSpec, Source
from dockless.layer.ignore import Ignores
from dockless.layer.prebuilt import add_tarball
from dockless.layer.walk import collect_entries
from dockless.layout.docker_archive_reader import DockerArchive
from dockless.layout.oci_layout import OciLayout, named
from dockless.layout.oci_layout_writer import write_layout
from dockless.oci.descriptor import Descriptor
from dockless.oci.digest import Digest
from dockless.registry.auth.docker_config import read_config_file
from dockless.registry.auth.google import GoogleCredentialProvider
from dockless.registry.http.tls import Trust
from dockless.transfer.verify import verify_image


@pytest.fixture
def short():
    """A directory with a short path, also where TMPDIR is long: the path of a socket has at most 108 bytes."""
    directory = tempfile.mkdtemp(prefix="dockless-", dir="/tmp")
    yield directory
    shutil.rmtree(directory)


def fifo(path):
    os.mkfifo(path)


def listening_socket(path):
    # The socket is closed, the file stays.
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)


def terminal(path):
    os.symlink("/dev/ptmx", path)


def endless(path):
    os.symlink("/dev/zero", path)


KINDS = {"fifo": fifo, "socket": listening_socket, "terminal": terminal, "endless": endless, "directory": os.mkdir}
BLOB = Descriptor("a/b", Digest.of(b""), 0)


def collect(path, **fields):
    # As a source of its own; inside of a directory, links are packed as links.
    collect_entries(LayerSpec((Source(path, "/x"),), follow_symlinks=True, **fields))


def read_blob(path):
    name = os.path.join(os.path.dirname(path), BLOB.digest.hex)
    os.rename(path, name)
    DirectoryBlobs(os.path.dirname(path)).open(BLOB)


def load_certificate(path):
    home = os.path.join(os.path.dirname(path), "home")
    certificates = os.path.join(home, ".config/containers/certs.d/reg.example")
    os.makedirs(certificates)
    os.rename(path, os.path.join(certificates, "client.cert"))
    with open(os.path.join(certificates, "client.key"), "w"):
        pass
    Trust("reg.example", False, None, {"HOME": home}).context("reg.example", 443)


def load_key(path):
    home = os.path.join(os.path.dirname(path), "home")
    certificates = os.path.join(home, ".config/containers/certs.d/reg.example")
    os.makedirs(certificates)
    os.rename(path, os.path.join(certificates, "client.key"))
    with open(os.path.join(certificates, "client.cert"), "w"):
        pass
    Trust("reg.example", False, None, {"HOME": home}).context("reg.example", 443)


def load_registry_ca(path):
    home = os.path.join(os.path.dirname(path), "home")
    certificates = os.path.join(home, ".config/containers/certs.d/reg.example")
    os.makedirs(certificates)
    os.rename(path, os.path.join(certificates, "ca.crt"))
    Trust("reg.example", False, None, {"HOME": home})


def ca_directory(path):
    os.mkdir(path + ".d")
    os.rename(path, os.path.join(path + ".d", "0a1b2c3d.0"))
    Trust("reg.example", False, path + ".d", {})


def read_old_lockfile(path):
    from pants_dockless.scripts import lock_bases

    lock_bases.read_old_lockfile(path)


READERS = {
    "regular file": open_regular,
    "oci-archive": OciLayout.in_archive,
    "docker-archive": DockerArchive,
    "oci-archive to verify": lambda path: verify_image(f"oci-archive:{path}"),
    "tarball": lambda path: add_tarball(path, os.path.dirname(path)),
    "source": collect,
    "ignore file": lambda path: Ignores((os.path.basename(path),), (), "test").within(
        os.fsencode(os.path.dirname(path)), b"", {os.fsencode(os.path.basename(path))}
    ),
    "blob": read_blob,
    "lockfile": read_old_lockfile,
    "config.json": read_config_file,
    "auth file": lambda path: read_config_file(path, "--auth-file"),
    "CA file": lambda path: Trust("reg.example", False, path, {}),
    "CA file of the environment": lambda path: Trust("reg.example", False, None, {"SSL_CERT_FILE": path}),
    "file of a CA directory": ca_directory,
    "CA file of a registry": load_registry_ca,
    "client certificate": load_certificate,
    "client key": load_key,
    "key of a service account": GoogleCredentialProvider.from_key_file,
}
# An empty directory is a source and a directory of CAs, and one in certs.d is not a file of that name.
DIRECTORIES = ("source", "CA file", "CA file of the environment", "file of a CA directory", "CA file of a registry")


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("kind", KINDS)
def test_special_files(short, kind, reader):
    if kind == "directory" and reader in (*DIRECTORIES, "client certificate"):
        return
    path = os.path.join(short, "x")
    KINDS[kind](path)
    begun = time.monotonic()
    with pytest.raises((DocklessError, OSError)) as caught:
        READERS[reader](path)
    # An open that waits for a writer, or a read without end, would take until the end of the test.
    assert time.monotonic() - begun < 20
    assert "\n" not in str(caught.value)


def test_the_error_says_what_is_wrong(short):
    path = os.path.join(short, "x")
    os.mkfifo(path)
    for read in (OciLayout.in_archive, DockerArchive):
        with pytest.raises(LayoutError, match=f"cannot read {path}: it is not a regular file"):
            read(path)
    with pytest.raises(LayerError, match="it is not a regular file"):
        add_tarball(path, short)
    with pytest.raises(CredentialsError, match="it is not a regular file"):
        read_config_file(path)
    with pytest.raises(RegistryError, match="cannot use the CA file .*: it is not a regular file"):
        Trust("reg.example", False, path, {})


def test_credentials_of_google_in_the_environment(short, monkeypatch):
    path = os.path.join(short, "x")
    os.mkfifo(path)
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", path)
    with pytest.raises(CredentialsError, match="it is not a regular file"):
        GoogleCredentialProvider.default()


def test_an_auth_file_may_be_empty():
    assert read_config_file("/dev/null", "--auth-file").auths == {}


def test_a_ca_file_without_end(tmp_path):
    with open(tmp_path / "ca.pem", "wb") as file:
        file.truncate(1 << 32)
    with pytest.raises(RegistryError, match="larger than 16777216 bytes"):
        Trust("reg.example", False, str(tmp_path / "ca.pem"), {})
    assert issubclass(ssl.SSLError, OSError)


@pytest.fixture
def image():
    return make_image(b"one")


def write(path, image, name="v1"):
    write_layout(str(path), named(image.manifest.descriptor, [name]), image.all_blobs, image.blobs)


def test_a_lock_that_another_process_holds(tmp_path, image, monkeypatch):
    write(tmp_path / "l", image)
    before = sorted(os.listdir(tmp_path / "l"))
    assert 30 <= _atomic.LOCK_TIMEOUT <= 120
    monkeypatch.setattr(_atomic, "LOCK_TIMEOUT", 0.2)
    held = os.open(tmp_path / "l", os.O_RDONLY)
    try:
        fcntl.flock(held, fcntl.LOCK_SH)
        with pytest.raises(LayoutError, match="cannot lock .*: another process has held its lock"):
            write(tmp_path / "l", make_image(b"two"), "v2")
    finally:
        os.close(held)
    assert sorted(os.listdir(tmp_path / "l")) == before
    assert OciLayout(str(tmp_path / "l")).names() == ["v1"]
    write(tmp_path / "l", make_image(b"two"), "v2")
    assert OciLayout(str(tmp_path / "l")).names() == ["v1", "v2"]


def test_a_lock_on_a_temporary_file(tmp_path, monkeypatch):
    """Another user may lock a file of a shared directory as soon as the file exists."""
    monkeypatch.setattr(_atomic, "LOCK_TIMEOUT", 0.2)
    make, held = _atomic._make_file, []

    def make_locked(path):
        descriptor = make(path)
        held.append(os.open(path, os.O_RDONLY))
        fcntl.flock(held[0], fcntl.LOCK_SH)
        return descriptor

    monkeypatch.setattr(_atomic, "_make_file", make_locked)
    with pytest.raises(LayoutError, match="cannot lock"), _atomic.atomic_file(str(tmp_path / "f")):
        pass
    os.close(held[0])
    assert os.listdir(tmp_path) == []


def test_a_file_system_without_locks(tmp_path, image, monkeypatch):
    def flock(descriptor, operation):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", flock)
    with _atomic.atomic_file(str(tmp_path / "f")) as file:
        file.write(b"x")
    assert (tmp_path / "f").read_bytes() == b"x"


@pytest.mark.parametrize("name", ["oci-layout", "index.json", "blob"])
@pytest.mark.parametrize("kind", ["fifo", "socket", "endless", "directory"])
def test_special_files_in_a_layout(short, image, kind, name):
    directory = layout_of(os.path.join(short, "l"), image.manifest.descriptor, blobs=image.blobs)
    path = directory / name if name != "blob" else directory / "blobs/sha256" / image.manifest.digest.hex
    path.unlink()
    KINDS[kind](str(path))
    try:
        problems = verify_image(f"oci:{directory}").problems
    except LayoutError as error:
        problems = (str(error),)
    assert problems
    assert (
        json.dumps(problems).count("not a regular file")
        or json.dumps(problems).count("symlink")
        or kind in ("directory")
    )
