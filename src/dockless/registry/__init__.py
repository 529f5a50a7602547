"""A fault-tolerant client for the OCI Distribution API."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dockless.registry.auth.credentials import Credentials
    from dockless.registry.auth.keychain import find_credentials
    from dockless.registry.blob_reader import RegistryBlobSource
    from dockless.registry.client import RegistryClient
    from dockless.registry.clock import Clock
    from dockless.registry.progress import Progress, ProgressEvent
    from dockless.registry.push_plan import PushPlan, plan_push
    from dockless.registry.push_result import BlobResult, PushResult
    from dockless.registry.pusher import push
    from dockless.registry.remote_manifest import RemoteManifest
    from dockless.registry.retry import RetryPolicy
    from dockless.registry.upload_session import UploadSession

# The module of a name is imported when the name is first used (PEP 562): the HTTP and TLS modules take 16 MB and 80 ms.
# A build to disk never imports them, and a build to a registry imports them after its layers exist.
_HOMES = {
    "BlobResult": "push_result",
    "Clock": "clock",
    "Credentials": "auth.credentials",
    "Progress": "progress",
    "ProgressEvent": "progress",
    "PushPlan": "push_plan",
    "PushResult": "push_result",
    "RegistryClient": "client",
    "RegistryBlobSource": "blob_reader",
    "RemoteManifest": "remote_manifest",
    "RetryPolicy": "retry",
    "UploadSession": "upload_session",
    "find_credentials": "auth.keychain",
    "plan_push": "push_plan",
    "push": "pusher",
}

__all__ = [
    "BlobResult",
    "Clock",
    "Credentials",
    "Progress",
    "ProgressEvent",
    "PushPlan",
    "PushResult",
    "RegistryBlobSource",
    "RegistryClient",
    "RemoteManifest",
    "RetryPolicy",
    "UploadSession",
    "find_credentials",
    "plan_push",
    "push",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'dockless.registry' has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(f"dockless.registry.{_HOMES[name]}"), name)
    return value
