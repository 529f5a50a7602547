"""Tags in pages, from correct and hostile registries."""

import json
import time

import pytest

from dockless.errors import DocklessError, InvalidValueError
from dockless.registry.errors import ProtocolError, ResponseError
from dockless.testing import PROFILES, Fault, Registry


@pytest.fixture
def tagged(image, keep):
    """`tagged(registry, n)` creates n tags of one image."""

    def tagged(registry, n):
        keep(registry, "app", image, "t0000")
        for k in range(1, n):
            registry.put_manifest("app", image.root.raw, image.root.media_type, f"t{k:04}")

    return tagged


@pytest.mark.parametrize("profile", PROFILES)
def test_all_of_250(profile, connect, tagged):
    with Registry(
        profile=PROFILES[profile]._replace(tag_page_maximum=100 if PROFILES[profile].tag_pages else 0),
        repositories=["app"],
    ) as registry:
        tagged(registry, 250)
        assert sorted(connect(registry.host).tags("app")) == [f"t{n:04}" for n in range(250)]
        pages = [request for request in registry.requests if request.operation == "tags get"]
        assert len(pages) in (1, 3)


def test_pages_are_requested_on_demand(connect, tagged):
    with Registry(profile=PROFILES["strict"]._replace(tag_page_maximum=10)) as registry:
        tagged(registry, 50)
        tags = connect(registry.host).tags("app")
        next(tags)
        assert len([request for request in registry.requests if request.operation == "tags get"]) == 1


@pytest.mark.parametrize("body", [{"name": "app", "tags": None}, {"name": "app", "tags": []}, {"name": "app"}])
def test_no_tags(body, connect):
    """docker-registry sends null for a repository whose tags were deleted."""
    with Registry() as registry:
        registry.faults = [Fault("tags get", status=200, body=json.dumps(body))]
        assert list(connect(registry.host).tags("app")) == []


@pytest.mark.parametrize(
    "body", ["", "[]", '{"tags": "v1"}', '{"tags": [1]}', '{"tags": ["a b"]}', '{"tags": ["\\u001b[31m"]}', "<html>"]
)
def test_a_response_without_a_list_of_tags(body, connect):
    with Registry() as registry:
        registry.faults = [Fault("tags get", status=200, body=body)]
        with pytest.raises(DocklessError) as caught:
            list(connect(registry.host).tags("app"))
        assert str(caught.value).isprintable()


def test_an_error_status_is_an_error(connect):
    with Registry() as registry, pytest.raises(ResponseError, match="404: NAME_UNKNOWN .*check the repository name"):
        list(connect(registry.host).tags("app"))


@pytest.mark.parametrize(
    ("link", "message"),
    [
        ("<{path}>; rel=next", "in a loop"),
        ("<http://127.0.0.2/v2/app/tags/list>; rel=next", "names another host for its next page"),
        ("<//example.com/v2/app/tags/list>; rel=next", "names another host"),
        ("<file:///etc/passwd>; rel=next", "is not an HTTP URL"),
        ("<http://127.0.0.1:99999/x>; rel=next", "has an invalid port"),
        ("<http://[x>; rel=next", "is not a valid URL"),
    ],
)
def test_invalid_links(link, message, connect, tagged):
    with Registry() as registry:
        tagged(registry, 1)
        registry.faults = [Fault("tags get", headers={"Link": link})]
        with pytest.raises(ProtocolError, match=message):
            list(connect(registry.host).tags("app"))


@pytest.mark.parametrize("url", ["http://127.0.0.2/v2/app/tags/list?sig=S1GNATURE", "http://[x?S1GNATURE"])
def test_an_error_about_a_link_shows_no_query(url, connect, tagged):
    with Registry() as registry:
        tagged(registry, 1)
        registry.faults = [Fault("tags get", headers={"Link": f"<{url}>; rel=next"})]
        with pytest.raises(ProtocolError, match="another host|not a valid URL") as caught:
            list(connect(registry.host).tags("app"))
        assert "S1GNATURE" not in str(caught.value)


@pytest.mark.parametrize("link", ["<{path}?last=t>; rel=prev", "nonsense", "<>", ""])
def test_links_that_are_not_next_links(link, connect, tagged):
    with Registry() as registry:
        tagged(registry, 1)
        registry.faults = [Fault("tags get", headers={"Link": link})]
        assert list(connect(registry.host).tags("app")) == ["t0000"]


def test_pages_without_end_are_bounded(connect, tagged, monkeypatch):
    monkeypatch.setattr("dockless.registry.listing._MAX_PAGES", 5)
    with Registry(profile=PROFILES["strict"]._replace(tag_page_maximum=1)) as registry:
        tagged(registry, 9)
        with pytest.raises(ProtocolError, match="lists the tags of app without end: there are more than 5 pages"):
            list(connect(registry.host).tags("app"))


def test_lists_without_end_are_bounded_in_memory(connect, tagged, monkeypatch):
    monkeypatch.setattr("dockless.registry.listing._MAX_TOTAL", 200)
    with Registry(profile=PROFILES["strict"]._replace(tag_page_maximum=1)) as registry:
        tagged(registry, 30)
        with pytest.raises(ProtocolError, match="lists the tags of app in more than 200 bytes"):
            list(connect(registry.host).tags("app"))


@pytest.mark.parametrize("link", ["<a>;" * 16_000, "<" * 60_000, "<a" * 30_000, "<a>; rel=" * 7000])
def test_a_hostile_link_header(link, connect, tagged):
    with Registry() as registry:
        tagged(registry, 1)
        registry.faults = [Fault("tags get", headers={"Link": link})]
        began = time.process_time()
        assert list(connect(registry.host).tags("app")) == ["t0000"]
        assert time.process_time() - began < 5


def test_a_failed_page_is_retried(connect, tagged):
    with Registry(profile=PROFILES["strict"]._replace(tag_page_maximum=10)) as registry:
        tagged(registry, 30)
        registry.faults = [Fault("tags get", nth=(2, 4), status=503)]
        assert len(list(connect(registry.host).tags("app"))) == 30


@pytest.mark.parametrize("repository", ["", "App", "../x", "a//b"])
def test_invalid_repositories_are_refused_before_a_request(repository, connect):
    with Registry() as registry:
        with pytest.raises(InvalidValueError):
            list(connect(registry.host).tags(repository))
        assert registry.requests == []
