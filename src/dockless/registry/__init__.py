"""The wire: a client for registries that survives what they and the network do."""

from dockless.registry.auth.chain import find_credentials
from dockless.registry.auth.credentials import Credentials
from dockless.registry.client import RegistryClient
from dockless.registry.clock import Clock
from dockless.registry.download import RegistryContent
from dockless.registry.progress import Progress, ProgressEvent
from dockless.registry.push import Pushed, push
from dockless.registry.remote_manifest import RemoteManifest
from dockless.registry.retry import RetryPolicy
from dockless.registry.upload import BlobResult
from dockless.registry.upload_session import UploadSession

__all__ = [
    "BlobResult",
    "Clock",
    "Credentials",
    "Progress",
    "ProgressEvent",
    "Pushed",
    "RegistryClient",
    "RegistryContent",
    "RemoteManifest",
    "RetryPolicy",
    "UploadSession",
    "find_credentials",
    "push",
]
