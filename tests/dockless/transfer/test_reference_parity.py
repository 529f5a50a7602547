"""The rows of docs/reference-table.md about registries and authentication, tested end to end."""

import base64
import hashlib
import io
import json
import os
import time

import pytest
from credential_files import install_helper
from made_images import make_image
from one_opener import Opens

from dockless import (
    Credentials,
    CredentialsError,
    Descriptor,
    Digest,
    Image,
    InlineFile,
    Layer,
    RegistryAccess,
    RegistryBlobSource,
    RegistryClient,
    RegistryError,
    copy_image,
    find_credentials,
)
from dockless.testing import PROFILES, BasicAuth, Fault, Registry, TokenAuth, User

HELLO = Layer.from_files({"/hello": InlineFile("hello world")})
USERS = [User("alice", "alice's secret")]


@pytest.fixture
def login(tmp_path, monkeypatch):
    """`login(config, **helpers)` writes Docker's config and installs credential helpers: name -> shell script."""

    def write(config, **helpers):
        (tmp_path / "docker").mkdir(exist_ok=True)
        (tmp_path / "docker/config.json").write_text(json.dumps(config))
        monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "docker"))
        for name, script in helpers.items():
            install_helper(tmp_path / "docker", name, script)
        monkeypatch.setenv("PATH", f"{tmp_path / 'docker'}:{os.environ['PATH']}")

    return write


def built():
    return Image.scratch().add_layer(HELLO)


class TestRegistryClient:
    def test_an_uploaded_blob_has_its_own_digest(self, registry):
        data = b"hello world"
        descriptor = Descriptor("application/octet-stream", Digest.of(data), len(data))
        source = Opens(lambda: io.BytesIO(data))

        with RegistryClient(registry.host) as client:
            assert client.ensure_blob("app", descriptor, source).how == "sent"
            assert client.ensure_blob("app", descriptor, source).how == "present"
            assert client.blob_exists("app", descriptor.digest)
            with RegistryBlobSource(client, "app").open(descriptor) as blob:
                assert hashlib.sha256(blob.read()).hexdigest() == descriptor.digest.hex
        assert descriptor.digest == "sha256:b94d27b9934d3e08a52e52d7da7dabfac484efe37a5380ee9088f7ace2efcde9"

    def test_an_empty_blob(self, registry):
        empty = Descriptor("application/octet-stream", Digest.of(b""), 0)
        source = Opens(io.BytesIO)

        with RegistryClient(registry.host) as client:
            assert client.ensure_blob("app", empty, source).how == "sent"

    def test_binary_blobs_come_as_bytes(self, registry):
        data = bytes(range(256)) * 10
        digest = registry.put_blob("app", data)
        with RegistryClient(registry.host) as client:
            found = RegistryBlobSource(client, "app").open(Descriptor("x/y", digest, len(data))).read()
        assert found == data

    def test_only_404_means_that_a_blob_does_not_exist(self, registry):
        with RegistryClient(registry.host) as client:
            registry.put_blob("app", b"x")
            assert not client.blob_exists("app", Digest.of(b"other"))
            registry.faults = [Fault(on="blob head", status=403)]
            with pytest.raises(RegistryError, match=r"403|denied|refused"):
                client.blob_exists("app", Digest.of(b"x"))

    def test_a_dead_registry_is_an_error_that_names_it(self):
        with Registry() as gone:
            host = gone.host
        with pytest.raises(RegistryError, match=host):
            built().save(f"{host}/app")

    @pytest.mark.parametrize("status", [202, 204, 201])
    def test_any_success_status_of_a_chunk_is_accepted(self, status):
        profile = PROFILES["strict"]._replace(chunk_status=status, single_post=False)
        with Registry(profile=profile) as registry:
            assert built().save(f"{registry.host}/app").blobs_sent == 2

    @pytest.mark.parametrize("absolute", [True, False])
    def test_locations_relative_and_absolute(self, absolute):
        with Registry(profile=PROFILES["strict"]._replace(absolute_locations=absolute)) as registry:
            assert built().save(f"{registry.host}/app").blobs_sent == 2

    @pytest.mark.parametrize(
        "fault",
        [
            Fault(on="upload *", nth=1, status=503),
            Fault(on="upload *", nth=1, status=429, headers={"Retry-After": "0"}),
            Fault(on="upload put", nth=1, request_bytes=10, reset=True),
            Fault(on="manifest put", nth=1, drop=True, after=True),
        ],
        ids=["503", "429", "reset", "lost answer"],
    )
    def test_temporary_errors_are_retried(self, registry, fault):
        registry.faults = [fault]
        pushed = built().save(f"{registry.host}/app:1")
        assert registry.manifest("app", "1").digest == pushed.digest

    def test_the_message_of_a_registry_is_in_the_error(self, registry):
        body = json.dumps({"errors": [{"code": "DENIED", "message": "quota exceeded for team"}]})
        registry.faults = [Fault(on="upload post", status=403, body=body)]
        with pytest.raises(RegistryError, match=r"DENIED.*quota exceeded for team"):
            built().save(f"{registry.host}/app")

    def test_a_blob_that_was_tampered_with_is_refused(self, registry, push):
        image = make_image(b"x" * 1000)
        push(registry, "app", "1", image)
        registry.faults = [Fault(on="blob get", reference=image.manifest.config.digest, corrupt=3)]
        with pytest.raises(RegistryError, match=r"damaged|digest"):
            Image.from_registry(f"{registry.host}/app:1")

    def test_a_manifest_of_another_digest_is_refused(self, registry, push):
        image, other = make_image(b"x"), make_image(b"y")
        push(registry, "app", "1", image)
        registry.faults = [
            Fault(
                on="manifest get",
                status=200,
                body=other.manifest.raw,
                headers={"Content-Type": other.manifest.media_type, "Docker-Content-Digest": image.manifest.digest},
            )
        ]
        with pytest.raises(RegistryError, match=str(other.manifest.digest)):
            Image.from_registry(f"{registry.host}/app@{image.manifest.digest}")

    def test_docker_and_oci_manifests_keep_their_media_types(self, registry):
        for image_format, media_type in (
            ("oci", "application/vnd.oci.image.manifest.v1+json"),
            ("docker", "application/vnd.docker.distribution.manifest.v2+json"),
        ):
            Image.scratch(image_format=image_format).add_layer(HELLO).save(f"{registry.host}/app:{image_format}")
            stored = registry.manifest("app", image_format)
            assert (stored.media_type, json.loads(stored.raw)["mediaType"]) == (media_type, media_type)

    def test_delete(self, registry):
        digest = built().save(f"{registry.host}/app:1").digest
        with RegistryClient(registry.host) as client:
            client.ping()
            client.delete_manifest("app", digest)
            assert client.head_manifest("app", "1") is None


class TestSigningIn:
    def test_anonymous_access_needs_no_options(self, registry):
        built().save(f"{registry.host}/app")
        assert not any(request.headers["Authorization"] for request in registry.requests)

    @pytest.mark.parametrize("auth", [BasicAuth(USERS), TokenAuth(USERS)], ids=["basic", "token"])
    def test_basic_and_token_challenges_are_answered(self, auth, login):
        with Registry(auth=auth) as registry:
            secret = base64.b64encode(b"alice:alice's secret").decode()
            login({"auths": {registry.host: {"auth": secret}}})
            built().save(f"{registry.host}/app")
            assert Image.from_registry(f"{registry.host}/app") == built()

    def test_an_expired_token_is_renewed(self):
        with Registry(auth=TokenAuth(USERS, lifetime=300)) as registry:
            access = RegistryAccess(credentials={registry.host: Credentials("alice", "alice's secret")})
            image = Image.scratch()
            with access:
                for n in range(3):
                    registry.expire_tokens()
                    image = image.add_layer(Layer.from_files({"/n": InlineFile(str(n))}))
                    image.save(f"{registry.host}/app:{n}", access=access)
            assert set(registry.tags("app")) == {"0", "1", "2"}

    def test_a_mount_requests_scopes_of_both_repositories(self):
        with Registry(auth=TokenAuth(USERS)) as registry:
            access = RegistryAccess(credentials={registry.host: Credentials("alice", "alice's secret")})
            built().save(f"{registry.host}/one", access=access)
            pushed = copy_image(f"{registry.host}/one", f"{registry.host}/two", access=access)
            assert (pushed.blobs_mounted, pushed.bytes_sent) == (2, 0)

    def test_a_wrong_password_error_names_registry_and_source_but_not_the_password(self, login):
        with Registry(auth=BasicAuth(USERS)) as registry:
            login({"auths": {registry.host: {"username": "alice", "password": "not-that-one"}}})
            with pytest.raises(RegistryError) as caught:
                built().save(f"{registry.host}/app")
            assert registry.host in str(caught.value) and "config.json" in str(caught.value)
            assert "not-that-one" not in str(caught.value)

    def test_a_helper_gets_the_host_with_its_port(self, login, tmp_path):
        with Registry(auth=BasicAuth(USERS)) as registry:
            answer = json.dumps({"Username": "alice", "Secret": "alice's secret"}).replace("'", "'\\''")
            login(
                {"credHelpers": {registry.host: "fake"}},
                fake=f"[ $1 = get ] && cat > '{tmp_path}/asked' && echo '{answer}'",
            )
            built().save(f"{registry.host}/app")
            assert (tmp_path / "asked").read_text().strip() == registry.host

    def test_a_credential_store_without_an_entry_means_anonymous_access(self, login, registry):
        login({"credsStore": "store"}, store="echo 'credentials not found in native keychain'; exit 1")
        assert built().save(f"{registry.host}/app").blobs_sent == 2

    def test_a_helper_that_fails_or_is_absent_is_an_error_of_one_line(self, login, registry):
        login({"credHelpers": {registry.host: "broken"}}, broken="echo 'no keyring'; exit 2")
        with Registry(auth=BasicAuth(USERS)) as locked:
            login({"credHelpers": {locked.host: "broken"}}, broken="echo 'no keyring'; exit 2")
            with pytest.raises(CredentialsError, match=r"docker-credential-broken .*no keyring"):
                built().save(f"{locked.host}/app")
            login({"credHelpers": {locked.host: "absent"}})
            with pytest.raises(CredentialsError, match=r"docker-credential-absent .*not on PATH"):
                built().save(f"{locked.host}/app")

    def test_a_config_file_that_is_broken_is_named(self, login, tmp_path):
        with Registry(auth=BasicAuth(USERS)) as locked:
            login({})
            (tmp_path / "docker/config.json").write_text("{")
            with pytest.raises(CredentialsError, match=r"docker/config\.json"):
                built().save(f"{locked.host}/app")

    def test_docker_hub_is_known_by_all_its_names(self, tmp_path):
        for key in ("https://index.docker.io/v1/", "docker.io", "registry-1.docker.io"):
            (tmp_path / "auth.json").write_text(json.dumps({"auths": {key: {"username": "u", "password": "p"}}}))
            found = find_credentials("docker.io", auth_file=str(tmp_path / "auth.json")).credentials
            assert found is not None and found.username == "u"

    def test_credentials_are_for_whole_components(self):
        given = {"a.example": Credentials("u", "p"), "b.example/team": Credentials("t", "p")}
        for host, repository, user in (
            ("a.example", "x", "u"),
            ("a.example.evil", "x", ""),
            ("xa.example", "x", ""),
            ("b.example", "team/app", "t"),
            ("b.example", "teammate/app", ""),
            ("b.example", "app", ""),
        ):
            found = find_credentials(host, repository, given=given, environ={"HOME": "/nonexistent"}).credentials
            assert (found.username if found else "") == user

    def test_authorization_does_not_follow_a_redirect_to_another_host(self):
        with Registry(profile=PROFILES["strict"]._replace(blob_redirect=307), auth=BasicAuth(USERS)) as registry:
            access = RegistryAccess(credentials={registry.host: Credentials("alice", "alice's secret")})
            built().save(f"{registry.host}/app", access=access)
            registry.reset_requests()
            Image.from_registry(f"{registry.host}/app", access=access)
            elsewhere = [r for r in registry.requests if r.operation == "storage get"]
            own = int(registry.host.rpartition(":")[2])
            assert elsewhere and all(r.listener != own for r in elsewhere)
            assert not any(r.headers["Authorization"] for r in elsewhere)

    def test_a_given_access_token_is_sent(self):
        with Registry(auth=TokenAuth()) as locked:
            access = RegistryAccess(credentials={locked.host: Credentials(registry_token="abc")})
            with pytest.raises(RegistryError):
                built().save(f"{locked.host}/app", access=access)
            assert "Bearer abc" in {request.headers["Authorization"] for request in locked.requests}


def test_a_silent_registry_times_out(registry, monkeypatch):
    registry.faults = [Fault(on="manifest get", delay=3)]
    monkeypatch.setattr("dockless.registry.http.session.READ_TIMEOUT", 0.2)
    began = time.monotonic()
    with pytest.raises(RegistryError, match="the response timed out"):
        Image.from_registry(f"{registry.host}/app:1")
    assert time.monotonic() - began < 30


def test_google_credentials_are_used_only_for_google_registries(monkeypatch):
    class Found:
        valid, token = True, "ya29.token"

    monkeypatch.setattr("google.auth.default", lambda scopes, request: (Found(), "project"))
    home = {"HOME": "/nonexistent"}
    for host in ("gcr.io", "eu.gcr.io", "europe-docker.pkg.dev"):
        found = find_credentials(host, "project/app", environ=home).credentials
        assert found is not None and (found.username, found.password) == ("oauth2accesstoken", "ya29.token")
    for host in ("evilgcr.io", "gcr.io.evil.example", "pkg.dev.example"):
        assert find_credentials(host, "project/app", environ=home).credentials is None
