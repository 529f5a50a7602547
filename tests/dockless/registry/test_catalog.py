"""The list of repositories, from correct, refusing and hostile registries."""

import json

import pytest

from dockless.errors import DocklessError
from dockless.registry.errors import ProtocolError, ResponseError, UnauthorizedError
from dockless.testing import PROFILES, BasicAuth, Fault, Registry, TokenAuth, User


@pytest.mark.parametrize("profile", PROFILES)
def test_all_of_250(profile, connect):
    names = sorted(f"team-{n % 2}/app{n}" for n in range(250))
    with Registry(profile=profile) as registry:
        for name in names:
            registry.put_blob(name, b"x")
        assert list(connect(registry.host).repositories()) == names
        assert len([request for request in registry.requests if request.operation == "catalog get"]) >= 3


def test_debians_docker_registry(connect, tmp_path):
    from real_tools import DockerRegistry

    from dockless import Image

    real = DockerRegistry(tmp_path)
    try:
        names = [f"app{n:03}" for n in range(3)]
        for name in names:
            Image.scratch().save(f"{real.host}/{name}:1")
        assert list(connect(real.host).repositories()) == names
    finally:
        real.stop()


@pytest.mark.parametrize("body", [{"repositories": None}, {"repositories": []}, {}])
def test_none(body, connect):
    with Registry(faults=[Fault("catalog get", status=200, body=json.dumps(body))]) as registry:
        assert list(connect(registry.host).repositories()) == []


@pytest.mark.parametrize(
    "body", ["[]", '{"repositories": "a"}', '{"repositories": [1]}', '{"repositories": ["A"]}', "<html>", '["\\u001b"]']
)
def test_a_response_without_a_list(body, connect):
    with Registry(faults=[Fault("catalog get", status=200, body=body)]) as registry:
        with pytest.raises(DocklessError) as caught:
            list(connect(registry.host).repositories())
        assert str(caught.value).isprintable()


@pytest.mark.parametrize("status", [404, 405, 501])
def test_a_registry_without_the_list(status, connect):
    with Registry(faults=[Fault("catalog get", status=status)]) as registry, pytest.raises(ResponseError) as caught:
        list(connect(registry.host).repositories())
    assert str(caught.value).startswith(
        f"{registry.host} does not list its repositories: GET {registry.url}/v2/_catalog"
    )
    assert str(caught.value).endswith("use the web page or the API of the registry, or name a repository")


def test_a_code_says_that_the_list_is_not_supported(connect):
    body = json.dumps({"errors": [{"code": "UNSUPPORTED", "message": "no"}]})
    with (
        Registry(faults=[Fault("catalog get", status=400, body=body)]) as registry,
        pytest.raises(ResponseError, match="does not list its repositories: .*: 400: UNSUPPORTED no"),
    ):
        list(connect(registry.host).repositories())


def test_another_error_is_that_of_the_registry(connect):
    with (
        Registry(faults=[Fault("catalog get", status=400)]) as registry,
        pytest.raises(ResponseError, match="^GET .*/v2/_catalog: 400"),
    ):
        list(connect(registry.host).repositories())


@pytest.mark.parametrize("auth", [BasicAuth, TokenAuth])
def test_users(auth, connect):
    """A token for the list has the scope `registry:catalog:*`. Credentials are sent to /v2/_catalog only if needed."""
    with Registry(auth=auth([User("all", "p"), User("one", "p", repositories="one/*")])) as registry:
        registry.put_blob("one/app", b"x")
        for name, password in (("one", "p"), ("all", "wrong")):
            with pytest.raises(UnauthorizedError, match="only for administrators|wrong user or password"):
                list(connect(registry.host, credentials=credentials(name, password)).repositories())
        client = connect(registry.host, credentials=credentials("all", "p"))
        assert list(client.repositories()) == ["one/app"]
        # The token for the list is not used for a repository.
        assert list(client.tags("one/app")) == []


def credentials(name, password):
    from dockless import Credentials

    return Credentials(name, password)


@pytest.mark.parametrize(("anonymous", "allowed"), [("pull", True), ("", False)])
@pytest.mark.parametrize("auth", [BasicAuth, TokenAuth])
def test_anonymous(auth, anonymous, allowed, connect):
    with Registry(auth=auth([], anonymous=anonymous)) as registry:
        registry.put_blob("app", b"x")
        if allowed:
            assert list(connect(registry.host).repositories()) == ["app"]
        else:
            with pytest.raises(UnauthorizedError):
                list(connect(registry.host).repositories())


@pytest.mark.parametrize(
    ("link", "message"),
    [
        ("<{path}>; rel=next", "lists the repositories in a loop"),
        ("<http://127.0.0.2/v2/_catalog?last=a>; rel=next", "names another host for its next page"),
    ],
)
def test_invalid_links(link, message, connect):
    with (
        Registry(faults=[Fault("catalog get", headers={"Link": link})]) as registry,
        pytest.raises(ProtocolError, match=message),
    ):
        list(connect(registry.host).repositories())
