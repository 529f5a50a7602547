"""RegistryAccess: insecure registries and the retry policy."""

import pytest

from dockless import InvalidValueError, Reference, RegistryAccess
from dockless.registry import RetryPolicy

HUB, LAN, OTHER = (Reference.parse(name) for name in ("docker.io/library/x", "reg.lan:5000/x", "other.lan/x"))


def schemes(access):
    with access:
        return [access.client(reference)._session._schemes for reference in (HUB, LAN, OTHER)]


@pytest.mark.parametrize(
    ("insecure", "expected"),
    [(False, "---"), (True, "-ii"), (["reg.lan:5000"], "-i-"), (["docker.io"], "i--"), ([], "---")],
)
def test_insecure_applies_to_named_registries_only(insecure, expected):
    """The option for one registry must not make connections to other registries insecure."""
    found = schemes(RegistryAccess(insecure=insecure))
    assert "".join("i" if "http" in one else "-" for one in found) == expected


def test_an_insecure_registry_is_a_host():
    with pytest.raises(InvalidValueError):
        RegistryAccess(insecure=["https://reg.lan"])


def test_all_clients_share_the_retry_policy():
    policy = RetryPolicy(budget=5.0)
    with RegistryAccess(retry=policy) as access:
        assert access.client(LAN).retrier.policy == access.client(HUB).retrier.policy == policy
