"""Scopes of tokens: `repository:NAME:ACTIONS` (distribution's "Token Scope" page)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

# The list of the repositories of a registry.
CATALOG = "registry:catalog:*"

PULL = "pull"
PUSH = "pull,push"
DELETE = "pull,push,delete"


def scope(repository: str, actions: str) -> str:
    """Return the scope for actions on one repository."""
    return f"repository:{repository}:{actions}"


def merge(scopes: Iterable[str]) -> tuple[str, ...]:
    """Return the same rights with each resource once, in their order: some servers read only the first scope."""
    return tuple(f"{resource}:{','.join(actions)}" for resource, actions in _rights(scopes).items())


def covers(token: Iterable[str], requested: Iterable[str]) -> bool:
    """Return whether a token for the scopes `token` is valid for `requested`."""
    granted = _rights(token)
    return all(set(actions) <= set(granted.get(resource, ())) for resource, actions in _rights(requested).items())


def of_same_resources(offered: Iterable[str], requested: Iterable[str]) -> tuple[str, ...]:
    """Return the scopes in `offered` whose resource is also in `requested`."""
    resources = _rights(requested)
    return tuple(scope for scope in offered if scope.rpartition(":")[0] in resources)


def repository_of(scopes: Iterable[str]) -> str:
    """Return the repository of the first scope; `_catalog`, its path, for the catalog; empty if there are no scopes."""
    first = next(iter(scopes), "")
    if first == CATALOG:
        return "_catalog"
    return first.split(":", 1)[1].rpartition(":")[0] if first else ""


def _rights(scopes: Iterable[str]) -> Mapping[str, list[str]]:
    by_resource: dict[str, list[str]] = {}
    for text in scopes:
        resource, _, actions = text.rpartition(":")
        rights = by_resource.setdefault(resource, [])
        rights += [action for action in actions.split(",") if action not in rights]
    return by_resource
