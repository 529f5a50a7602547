"""Other clients push to the registry and pull from it."""

import base64
import hashlib
import json

import pytest
from real_tools import need, run

from dockless.testing import PROFILES, BasicAuth, TokenAuth, User, make_certificate, server_context

ALICE = User("alice", "s3cret", identity_token="an-identity")
READER = User("reader", "pw", actions="pull")


def blobs(layout):
    """Return the digests of the blobs of an OCI layout, after a comparison with the files."""
    found = {}
    for path in (layout / "blobs" / "sha256").iterdir():
        assert hashlib.sha256(path.read_bytes()).hexdigest() == path.name
        found["sha256:" + path.name] = path.stat().st_size
    return found


def copy(*args, ok=True):
    need("skopeo")
    return run("skopeo", "copy", "--insecure-policy", *map(str, args), ok=ok)


@pytest.mark.parametrize("profile", sorted(PROFILES))
def test_skopeo_pushes_and_pulls(registry_factory, layout, tmp_path, profile):
    registry = registry_factory(tmp_path / "data", profile, repositories=["team/app"])
    copy("--dest-tls-verify=false", f"oci:{layout}:latest", f"docker://{registry.host}/team/app:v1")
    pushed = {**registry.blobs("team/app"), **{d: len(m.raw) for d, m in registry.manifests("team/app").items()}}
    assert pushed == blobs(layout)
    copy("--src-tls-verify=false", f"docker://{registry.host}/team/app:v1", f"oci:{tmp_path}/pulled:latest")
    assert blobs(tmp_path / "pulled") == blobs(layout)
    # The only errors are responses to checks.
    assert {request.status for request in registry.requests} <= {200, 201, 202, 302, 307, 401, 404}


def test_skopeo_lists_and_deletes_tags(registry, layout):
    for tag in ("v1", "v2"):
        copy("--dest-tls-verify=false", f"oci:{layout}:latest", f"docker://{registry.host}/a:{tag}")
    found = run("skopeo", "list-tags", "--tls-verify=false", f"docker://{registry.host}/a")
    assert json.loads(found.out)["Tags"] == ["v1", "v2"]
    run("skopeo", "delete", "--tls-verify=false", f"docker://{registry.host}/a:v1")
    # skopeo deletes by digest, which removes all tags of the image.
    assert registry.tags("a") == {}


def test_skopeo_mounts(registry, layout):
    for repository in ("a", "b"):
        copy("--dest-tls-verify=false", f"oci:{layout}:latest", f"docker://{registry.host}/{repository}:v1")
    registry.reset_requests()
    address = f"docker://{registry.host}"
    copy("--src-tls-verify=false", "--dest-tls-verify=false", f"{address}/a:v1", f"{address}/c:v1")
    mounts = [r for r in registry.requests if r.operation == "upload post" and r.query.get("mount")]
    assert mounts and all(request.status == 201 for request in mounts)
    assert registry.blobs("c") == registry.blobs("a")


@pytest.mark.parametrize("auth", [BasicAuth([ALICE, READER]), TokenAuth([ALICE, READER])], ids=["basic", "token"])
def test_skopeo_with_users(registry_factory, layout, tmp_path, auth):
    registry = registry_factory(auth=auth)
    target = f"docker://{registry.host}/a/b:v1"
    push = ("--dest-tls-verify=false", f"oci:{layout}:latest", target)
    assert copy("--dest-creds=alice:wrong", *push, ok=False).code != 0
    assert copy("--dest-creds=reader:pw", *push, ok=False).code != 0
    assert copy("--dest-no-creds", *push, ok=False).code != 0
    assert registry.tags("a/b") == {}
    copy("--dest-creds=alice:s3cret", *push)
    copy("--src-creds=reader:pw", "--src-tls-verify=false", target, f"oci:{tmp_path}/pulled:latest")
    assert blobs(tmp_path / "pulled") == blobs(layout)
    if isinstance(auth, TokenAuth):
        copy("--src-no-creds", "--src-tls-verify=false", target, f"oci:{tmp_path}/anonymous:latest")


def test_skopeo_with_an_identity_token(registry_factory, layout, tmp_path):
    registry = registry_factory(auth=TokenAuth([ALICE]))
    pair = base64.b64encode(b"alice:").decode()
    login = {"auths": {registry.host: {"auth": pair, "identitytoken": ALICE.identity_token}}}
    (tmp_path / "auth.json").write_text(json.dumps(login))
    authfile = f"--dest-authfile={tmp_path}/auth.json"
    copy(authfile, "--dest-tls-verify=false", f"oci:{layout}:latest", f"docker://{registry.host}/a:v1")
    assert {r.method for r in registry.requests if r.operation.startswith("token")} == {"POST"}


def test_skopeo_over_tls(registry_factory, layout, tmp_path):
    need("openssl")
    certificates = tmp_path / "certificates"
    certificates.mkdir()
    ca = make_certificate(certificates)
    registry = registry_factory(tls=server_context(certificates), profile="ecr", repositories=["a"])
    assert registry.url.startswith("https://")
    target = f"docker://{registry.host}/a:v1"
    refused = copy(f"oci:{layout}:latest", target, ok=False)
    assert refused.code != 0 and "certificate" in refused.err
    trusted = tmp_path / "trusted"
    trusted.mkdir()
    (trusted / "ca.crt").write_bytes(ca.read_bytes())
    copy(f"--dest-cert-dir={trusted}", f"oci:{layout}:latest", target)
    assert "v1" in registry.tags("a")


def test_tls_checks_the_name(registry_factory, helpers, tmp_path):
    need("openssl")
    ca = make_certificate(tmp_path)
    registry = registry_factory(tls=server_context(tmp_path))
    port = registry.host.split(":")[1]
    for host in (registry.host, f"localhost:{port}"):
        assert helpers.Client(host, str(ca))("GET", "/v2/").status == 200
    challenged = helpers.Client(registry.host, str(ca))("POST", "/v2/a/blobs/uploads/")
    assert challenged.headers["Location"].startswith("/v2/a/")


def test_buildah_pushes_and_pulls(registry, layout, tmp_path):
    need("buildah")
    storage = ("--root", f"{tmp_path}/root", "--runroot", f"{tmp_path}/run", "--storage-driver", "vfs")
    address = f"docker://{registry.host}/a:v1"
    copy("--dest-tls-verify=false", f"oci:{layout}:latest", address)
    run("buildah", *storage, "pull", "-q", "--tls-verify=false", address)
    push = ("buildah", *storage, "push", "-q", "--tls-verify=false", f"{registry.host}/a:v1")
    run(*push, f"docker://{registry.host}/again:v2")
    # At the second push, all blobs exist.
    registry.reset_requests()
    run(*push, f"docker://{registry.host}/again:v3")
    assert not [request for request in registry.requests if request.operation in ("upload patch", "upload put")]
    assert set(registry.tags("again")) == {"v2", "v3"}
