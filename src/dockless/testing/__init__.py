"""An OCI registry in the process of a test, with profiles of real registries, users and injected faults."""

from dockless.testing.access import BasicAuth, TokenAuth, User
from dockless.testing.content import StoredManifest
from dockless.testing.faults import Fault, read_faults
from dockless.testing.profiles import PROFILES, Profile
from dockless.testing.recording import RecordedRequest
from dockless.testing.registry import Registry
from dockless.testing.tls import make_certificate, server_context

__all__ = [
    "PROFILES",
    "BasicAuth",
    "Fault",
    "Profile",
    "RecordedRequest",
    "Registry",
    "StoredManifest",
    "TokenAuth",
    "User",
    "make_certificate",
    "read_faults",
    "server_context",
]
