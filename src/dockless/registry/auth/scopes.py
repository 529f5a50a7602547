"""Scopes of tokens: `repository:NAME:ACTIONS` (distribution's "Token Scope" page)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

PULL = "pull"
PUSH = "pull,push"
DELETE = "pull,push,delete"


def scope(repository: str, actions: str) -> str:
    """A scope of one repository and what is to be done there."""
    return f"repository:{repository}:{actions}"


def merge(scopes: Iterable[str]) -> tuple[str, ...]:
    """The same rights, each resource once, in the order in which they came: some servers read only the first."""
    return tuple(f"{resource}:{','.join(actions)}" for resource, actions in _rights(scopes).items())


def covers(token: Iterable[str], wanted: Iterable[str]) -> bool:
    """Whether a token for the scopes `token` serves for `wanted`."""
    have = _rights(token)
    return all(set(actions) <= set(have.get(resource, ())) for resource, actions in _rights(wanted).items())


def repository_of(scopes: Iterable[str]) -> str:
    """The repository of the first scope; empty where there is none."""
    first = next(iter(scopes), "")
    return first.split(":", 1)[1].rpartition(":")[0] if first else ""


def _rights(scopes: Iterable[str]) -> Mapping[str, list[str]]:
    found: dict[str, list[str]] = {}
    for text in scopes:
        resource, _, actions = text.rpartition(":")
        rights = found.setdefault(resource, [])
        rights += [action for action in actions.split(",") if action not in rights]
    return found
