"""Concurrent changes in the same repository, and a registry whose storage is full."""

import resource
import shutil

import pytest
from fault_bench import BIG, CONFIG, INDEXED, NEW, SIZES, SMALL, THIRD
from fault_proxy import AFTER, Trouble
from fault_run import Case


def meanwhile(on, hook, nth=1, **more):
    return Trouble(on=on, nth=nth, hook=hook, **more)


def is_there(run):
    """All blobs exist under another tag, so that the command need not send them."""
    run.store.put(run.repository, NEW, "v0")


def other_tags(image):
    return lambda run: run.store.put(run.repository, image, "v1")


def deletes(*digests):
    def hook(run):
        for digest in digests:
            run.store.delete(run.repository, "blobs", digest)

    return hook


def deletes_child(run):
    run.store.delete(run.repository, "manifests", INDEXED.index.manifests[0].digest)


def wipes(run):
    shutil.rmtree(run.store.data / "docker/registry/v2/repositories" / run.repository)


def other_starts(image):
    def hook(run):
        run.other = run.other_push(image)

    return hook


def other_ends(run, result):
    assert run.other.wait(30) == 0


def new_again(run, result):
    run.store.put(run.repository, NEW, "v1")


def only(*digests):
    """Checks that exactly these blobs were sent again."""

    def check(run, result):
        sent = [r.query.get("digest") for r in run.proxy.requests if r.operation == "upload put"]
        assert sorted(sent) == sorted(digests)

    return check


def limit(size):
    def set_limit(run, *_):
        _, hard = resource.prlimit(run.registry.process.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(run.registry.process.pid, resource.RLIMIT_FSIZE, (size, hard))

    return set_limit


def space_again(run, pauses):
    if pauses == 2:
        limit(resource.RLIM_INFINITY)(run)


def waited(run, result):
    assert len(run.sleeps) >= 2


CASES = {
    "another moves the tag before us": Case((meanwhile("manifest put", other_tags(THIRD)),)),
    "another moves the tag while we look": Case((meanwhile("manifest get", other_tags(THIRD), at=AFTER),)),
    "another moves the tag after us": Case(
        (meanwhile("manifest put", other_tags(THIRD), at=AFTER),), last=(THIRD.manifest.digest,)
    ),
    "another moves the tag after us, and our answer is lost": Case(
        (
            meanwhile("manifest put", other_tags(THIRD), at=AFTER),
            Trouble(on="manifest put", nth=1, after=True, drop=True),
        ),
    ),
    "another pushes the same image before our first session": Case((meanwhile("upload post", other_tags(NEW)),)),
    "another pushes the same image before our last blob": Case((meanwhile("upload put", other_tags(NEW), digest=BIG),)),
    "another pushes the same blob when our session is open": Case(
        (meanwhile("upload post", lambda run: run.store.put_blob(run.repository, NEW.blobs[BIG]), at=AFTER),)
    ),
    "two push the same image at once": Case((meanwhile("manifest get", other_starts(NEW)),), check=other_ends),
    "two push two images to one tag at once": Case(
        (meanwhile("manifest get", other_starts(THIRD)),),
        check=other_ends,
        last=(NEW.manifest.digest, THIRD.manifest.digest),
    ),
    "a blob is deleted before the tag": Case(
        (meanwhile("manifest put", deletes(BIG)),), prepare=is_there, check=only(BIG)
    ),
    "a blob of ours is deleted before the tag": Case((meanwhile("manifest put", deletes(SMALL)),)),
    "the config is deleted before the tag": Case(
        (meanwhile("manifest put", deletes(CONFIG)),), prepare=is_there, check=only(CONFIG)
    ),
    "all blobs are deleted before the tag": Case(
        (meanwhile("manifest put", deletes(*SIZES)),), prepare=is_there, check=only(*SIZES)
    ),
    "a blob is deleted before the tag, again and again": Case(
        (meanwhile("manifest put", deletes(BIG), ()),), prepare=is_there, error="PUT .*/manifests/v1: .*BLOB_UNKNOWN"
    ),
    "a manifest is deleted before its index": Case(
        (meanwhile("manifest put", deletes_child, reference="v1"),), index=True
    ),
    "the repository is wiped before the tag": Case((meanwhile("manifest put", wipes),)),
    "pull: the tag moves after the manifest": Case(
        (meanwhile("blob get", other_tags(THIRD)),), pull=True, check=new_again
    ),
    "pull: the manifest is deleted after it came": Case(
        (meanwhile("blob get", lambda run: run.store.delete(run.repository, "manifests", NEW.manifest.digest)),),
        pull=True,
        check=new_again,
    ),
    "pull: a blob is deleted before it comes": Case(
        (meanwhile("manifest get", deletes(BIG), at=AFTER),), pull=True, error="GET .*/blobs/.*: 404", check=new_again
    ),
    "no space for the big blob": Case(
        prepare=limit(100_000),
        own_registry=True,
        error="(PUT|PATCH) .*/blobs/uploads/.*: 500.*the registry has a problem",
        check=limit(resource.RLIM_INFINITY),
    ),
    "no space for a while": Case(prepare=limit(100_000), own_registry=True, on_sleep=space_again, check=waited),
}


@pytest.mark.parametrize("name", CASES)
def test_run(name, judged):
    judged(name, CASES[name])
