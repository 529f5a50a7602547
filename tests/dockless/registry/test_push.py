"""Pushes: the order of requests, requests that are avoided, and the state after a failure."""

import threading
import time

import pytest

from dockless.errors import DocklessError, InvalidDocumentError, InvalidValueError, LayoutError, RegistryError
from dockless.oci import media_types
from dockless.oci.digest import Digest
from dockless.oci.manifest import make_index, make_manifest
from dockless.registry import RetryPolicy, plan_push, push
from dockless.registry.errors import ResponseError
from dockless.testing import PROFILES, Fault, Registry, TokenAuth, User


def operations(registry):
    return [request.operation for request in registry.requests]


def test_order(connect, multi_platform, holds):
    """First blobs, then manifests by digest, then one request for each tag."""
    with Registry() as registry:
        push(multi_platform.root, multi_platform.source, connect(registry.host, jobs=8), "app", ["a", "b"])
        holds(registry, "app", multi_platform, "a", "b")
        log = [(request.operation, request.reference) for request in registry.requests]
        puts = [position for position, (operation, _) in enumerate(log) if operation == "upload put"]
        manifests = [position for position, (operation, _) in enumerate(log) if operation == "manifest put"]
        assert max(puts) < min(manifests)
        put = [log[position][1] for position in manifests]
        assert {str(child.digest) for child in multi_platform.root.manifests} == set(put[:2])
        assert put[2:] == ["a", "b"]


def test_shared_layers_are_sent_once(connect, multi_platform):
    with Registry() as registry:
        pushed = push(multi_platform.root, multi_platform.source, connect(registry.host), "app", ["a"])
        blobs = registry.blobs("app")
        assert pushed.blobs_sent == len(blobs) == 6
        assert pushed.bytes_sent == sum(blobs.values())


def test_without_a_tag(connect, image):
    with Registry() as registry:
        pushed = push(image.root, image.source, connect(registry.host), "app", [])
        assert registry.tags("app") == {}
        assert pushed.references == (f"{registry.host}/app@{image.digest}",)
        assert registry.manifest("app", image.digest).raw == image.root.raw


@pytest.mark.parametrize("profile", PROFILES)
def test_unchanged_costs_two_requests(profile, connect, image):
    with Registry(profile=profile, repositories=["app"]) as registry:
        push(image.root, image.source, connect(registry.host), "app", ["v1"])
        registry.reset_requests()
        again = push(image.root, image.source, connect(registry.host), "app", ["v1"])
        assert (again.blobs_sent, again.references) == (0, (f"{registry.host}/app:v1",))
        requested = [operation for operation in operations(registry) if operation != "token get"]
        assert requested == ["ping get", "manifest get"]


def test_one_token_serves_the_whole_push(connect, image):
    auth = TokenAuth(anonymous="pull,push")
    with Registry(auth=auth) as registry:
        push(image.root, image.source, connect(registry.host), "app", ["v1"])
        assert operations(registry).count("token get") == 1


def test_force_sends_all(connect, image):
    with Registry() as registry:
        push(image.root, image.source, connect(registry.host), "app", ["v1"])
        forced = push(image.root, image.source, connect(registry.host), "app", ["v1"], force=True)
        assert forced.blobs_sent == 4


def test_foreign_layers_are_not_pushed(connect, image):
    kind = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"
    layer = image.root.layers[0]._replace(media_type=kind, urls=("https://example.com/x",))
    root = make_manifest(image.root.config, [layer, *image.root.layers[1:]])
    with Registry(profile=PROFILES["strict"]._replace(name="lax")) as registry:
        try:
            push(root, image.source, connect(registry.host), "app", ["v1"])
        except ResponseError as error:
            assert error.codes == ("MANIFEST_BLOB_UNKNOWN",)
        assert layer.digest not in registry.blobs("app")


@pytest.mark.parametrize("named", [True, False])
def test_a_missing_blob_that_head_reported_is_sent(named, connect, image, holds):
    """HEAD reports the blob, and PUT of the manifest reports that the blob is missing."""
    missing = image.root.layers[1].digest
    with Registry() as registry:
        body = f'{{"errors":[{{"code":"MANIFEST_BLOB_UNKNOWN","detail":"{missing if named else ""}"}}]}}'
        registry.faults = [
            Fault(on="blob head", reference=str(missing), status=200),
            Fault(on="manifest put", nth=1, status=400, body=body),
        ]
        push(image.root, image.source, connect(registry.host), "app", ["v1"])
        holds(registry, "app", image, "v1")


def test_a_blob_deleted_while_it_is_pushed(connect, image, holds):
    """A race with a garbage collection."""
    with Registry() as registry:
        client = connect(registry.host)
        push(image.root, image.source, client, "app", ["v1"])
        registry.storage.delete_blob("app", image.root.layers[0].digest)
        registry.storage.delete_manifest("app", image.digest)
        push(image.root, image.source, client, "app", ["v2"])
        holds(registry, "app", image, "v2")


def test_immutable_tag(connect, image, make):
    profile = PROFILES["ecr"]._replace(immutable_tags=True)
    with Registry(profile=profile, repositories=["app"]) as registry:
        push(image.root, image.source, connect(registry.host), "app", ["v1"])
        push(image.root, image.source, connect(registry.host), "app", ["v1"], force=True)
        with pytest.raises(ResponseError, match="the tag v1 of .*/app was refused: PUT .*: 4"):
            other = make(12, 5)
            push(other.root, other.source, connect(registry.host), "app", ["v1"])
        assert registry.tags("app") == {"v1": image.digest}


def test_a_repository_that_a_push_does_not_create(connect, image):
    with Registry(profile="ecr") as registry:
        with pytest.raises(ResponseError, match="404: NAME_UNKNOWN .* is created first"):
            push(image.root, image.source, connect(registry.host), "app", ["v1"])
        assert sum(request.received for request in registry.requests) == 0


def test_a_user_with_pull_rights_only(connect, image):
    from dockless.registry import Credentials

    auth = TokenAuth([User("ann", "pw", "pull")])
    with Registry(auth=auth) as registry:
        client = connect(registry.host, credentials=Credentials("ann", "pw", source="the test"))
        with pytest.raises(ResponseError, match="401.* used the test as user ann.* as a user who is allowed"):
            push(image.root, image.source, client, "app", ["v1"])
        assert sum(request.received for request in registry.requests) == 0


@pytest.mark.parametrize("tag", ["", "latest ", ".x", "-x", "x" * 129, "a/b", "ä", "a:b", "a\n"])
def test_bad_tag(tag, connect, image):
    with pytest.raises(InvalidValueError, match="invalid tag .*; write 1 to 128 characters of"):
        push(image.root, image.source, connect("registry.invalid"), "app", ["good", tag])


@pytest.mark.parametrize(
    "repository", ["Acme/App", "", "/", "a//b", "/a", "a/", "x" * 256, "a..b", ".a", "a-", "a\r\nb"]
)
def test_bad_repository(repository, connect, image):
    with pytest.raises(InvalidValueError, match="invalid repository"):
        push(image.root, image.source, connect("registry.invalid"), repository, ["v1"])


@pytest.mark.parametrize("jobs", [0, -1, 10_000, "abc", True, 1.5])
def test_bad_jobs(jobs, connect):
    with pytest.raises(InvalidValueError, match="jobs is .*; write a number from 1 to 64"):
        connect("registry.invalid", jobs=jobs)


def test_manifest_too_large(connect, image):
    root = make_manifest(image.root.config, image.root.layers, annotations={"a": "x" * (5 << 20)})
    with pytest.raises(InvalidValueError, match=r"has 5\d+ bytes: registries accept at most 4194304; shorten"):
        push(root, image.source, connect("registry.invalid"), "app", ["v1"])


def test_damaged_child(connect, multi_platform):
    child = multi_platform.root.manifests[0].digest
    multi_platform.source.blobs[child] = multi_platform.source.blobs[child][:-1] + b" "
    with Registry() as registry:
        with pytest.raises(LayoutError, match="is damaged: its digest is"):
            push(multi_platform.root, multi_platform.source, connect(registry.host), "app", ["v1"])
        assert sum(request.received for request in registry.requests) == 0


def test_indexes_of_indexes(connect, image):
    root = image.root
    for _ in range(5):
        root = make_index([root.descriptor])
        image.source.blobs[root.digest] = root.raw
    with Registry() as registry, pytest.raises(InvalidDocumentError, match="is nested in more than 4 indexes"):
        push(root, image.source, connect(registry.host), "app", ["v1"])
    root = make_index([make_index([image.root.descriptor]).descriptor])
    image.source.blobs[root.manifests[0].digest] = make_index([image.root.descriptor]).raw
    with Registry() as registry:
        push(root, image.source, connect(registry.host), "app", ["v1"])
        assert registry.tags("app") == {"v1": root.digest}


@pytest.mark.parametrize("on", ["ping get", "token get", "manifest *", "blob *", "upload post", "upload put", "* *"])
@pytest.mark.parametrize(
    "fault",
    [
        {"reset": True},
        {"drop": True, "after": True},
        {"status": 503},
        {"status": 429, "headers": {"Retry-After": "1"}},
        {"status": 401},
        {"status": 404},
        {"status": 200, "body": "<html>"},
        {"status": 307, "headers": {"Location": "{path}"}},
        {"headers": {"Location": None}},
        {"lose_sessions": True},
        {"expire_tokens": True},
    ],
    ids=str,
)
def test_permanent_faults_end_in_an_error(on, fault, connect, make, keep, holds, manual):
    """The number of requests is bounded, and the tag is unchanged."""
    before, image = make(20, 10), make(21, 30_000, 10)
    with Registry(auth=TokenAuth(anonymous="pull,push")) as registry:
        keep(registry, "app", before, "v1")
        registry.faults = [Fault(on=on, **fault)]
        try:
            push(image.root, image.source, connect(registry.host, jobs=2), "app", ["v1"])
        except DocklessError as error:
            assert str(error).isprintable() and str(error)
            if registry.tags("app")["v1"] != image.digest:
                assert registry.tags("app")["v1"] == before.digest
        else:
            holds(registry, "app", image, "v1")
        assert len(registry.requests) < 150
        assert sum(manual.sleeps) < 400


def test_a_failure_stops_the_other_uploads(connect, make):
    """A large upload is stopped if another upload fails."""
    image = make(22, 30 << 20, 10)
    small = image.root.layers[1].digest
    started = threading.Event()
    read = []
    others = set(threading.enumerate())

    class Slow:
        def open(self, descriptor):
            if descriptor.digest != small:
                started.set()
                return Trickle(image.source.open(descriptor))
            started.wait(60)
            raise InvalidDocumentError("no such layer")

    class Trickle:
        def __init__(self, file):
            self.file = file

        def read(self, n):
            time.sleep(0.01)
            data = self.file.read(n)
            read.append(len(data))
            return data

        def seekable(self):
            return False

        def close(self):
            pass

    with Registry() as registry:
        with pytest.raises(InvalidDocumentError, match="no such layer"):
            push(image.root, Slow(), connect(registry.host), "app", ["v1"])
        assert sum(read) < image.root.layers[0].size
    assert set(threading.enumerate()) <= others


def test_the_budget_is_for_time_without_progress(connect, make, manual, monkeypatch):
    monkeypatch.setattr("dockless.registry.uploader.CHUNK_SIZE", 100_000)
    image = make(23, 1_000_000)
    with Registry() as registry:
        registry.faults = [
            Fault(on="upload p[ua]*", nth=tuple(range(1, 40, 2)), status=503, headers={"Retry-After": "50"})
        ]
        policy = RetryPolicy(budget=120)
        push(image.root, image.source, connect(registry.host, retry=policy, jobs=1), "app", ["v1"])
        assert sum(manual.sleeps) > 300
        registry.faults = [Fault(on="upload put", status=503, headers={"Retry-After": "50"})]
        manual.sleeps.clear()
        with pytest.raises(ResponseError, match="503"):
            push(image.root, image.source, connect(registry.host, retry=policy, jobs=1), "other", ["v1"])
        # One pause after the first request, then the budget of the request without progress.
        assert sum(manual.sleeps) <= 50 + 120


def test_concurrent_pushes_to_one_tag(connect, make, holds):
    """Eight pushes of images with common layers to one tag succeed, and the tag names one of the images."""
    images = [make(30, 100_000, 50_000) for _ in range(8)]
    for n, image in enumerate(images):
        own = image.source.add(b"%d" % n)
        image.root = make_manifest(image.root.config, [*image.root.layers, own])
    with Registry() as registry:
        failures = []

        def work(image):
            try:
                push(image.root, image.source, connect(registry.host), "app", ["v1", f"t{images.index(image)}"])
            except Exception as error:
                failures.append(error)

        threads = [threading.Thread(target=work, args=(image,)) for image in images]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert failures == []
        assert registry.tags("app")["v1"] in {Digest.of(image.root.raw) for image in images}
        assert len(registry.tags("app")) == 9
        assert registry.manifest("app", "v1").media_type == media_types.OCI_MANIFEST


@pytest.mark.parametrize("lost", [{"after": True, "reset": True}, {"after": True, "status": 504}])
def test_a_tag_is_checked_if_every_response_is_lost(lost, connect, image):
    with Registry() as registry:
        registry.faults = [Fault("manifest put", **lost)]
        assert push(image.root, image.source, connect(registry.host), "app", ["v1"]).digest == image.digest
        registry.faults = [Fault("manifest put", status=504)]
        with pytest.raises(RegistryError, match="manifests/v2: 504"):
            push(image.root, image.source, connect(registry.host), "app", ["v2"])


def test_a_wrong_password_that_gets_403_is_tried_by_one_thread(connect, make):
    """Artifactory and Nexus lock accounts. ECR sends 403 also for checks that a push does not need."""
    image = make(50, *[1000] * 20)
    with Registry() as registry:
        registry.faults = [Fault(on, status=403) for on in ("manifest get", "blob head", "upload post")]
        with pytest.raises(ResponseError, match="POST .*: 403"):
            push(image.root, image.source, connect(registry.host, jobs=16), "app", ["v1"])
        assert len([request for request in registry.requests if request.path != "/v2/"]) == 3
        registry.faults = [Fault("manifest get", status=403)]
        assert push(image.root, image.source, connect(registry.host, jobs=16), "app", ["v1"]).blobs_sent == 21


def test_a_wrong_password_that_gets_403_is_tried_once_by_a_plan(connect, make):
    image = make(51, *[1000] * 20)
    with Registry() as registry:
        registry.faults = [Fault("manifest get", status=403)]
        plan = plan_push(image.root, image.source, connect(registry.host, jobs=16), "app", ["v1", "v2"])
        assert (len(plan.missing), plan.known, plan.is_complete) == (21, {}, False)
        assert [request.operation for request in registry.requests if request.path != "/v2/"] == ["manifest get"]


def test_the_check_of_a_stored_manifest_is_not_retried_by_itself(connect, image):
    """Storing and checking have one count of attempts together, also for a registry that does not permit HEAD."""
    for operation, head in (("manifest head", 503), ("manifest get", 405)):
        with Registry() as registry:
            faults = {"manifest put": 202, "manifest head": head, "manifest get": 503}
            registry.faults = [Fault(on, after=True, status=status) for on, status in faults.items()]
            client = connect(registry.host, retry=RetryPolicy(attempts=3))
            with pytest.raises(RegistryError, match="503"):
                client.put_manifest("app", "v1", image.root.raw, image.root.media_type)
            checks = [request for request in registry.requests if request.operation == operation]
            assert len(checks) == 3
