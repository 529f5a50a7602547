"""Dockless: container images built and published with no Docker, byte for byte the same everywhere.

    from dockless import Image, Layer, InlineFile

    image = Image.from_registry("docker.io/library/python:3.12-slim", platform="linux/amd64")
    image = image.add_layer(Layer.from_files({"/app": "./src", "/etc/motd": InlineFile("hi\\n", mode=0o600)}))
    image = image.with_config(working_dir="/app", cmd=["python", "main.py"], env={"PORT": "8080"})
    pushed = image.save("ghcr.io/acme/app", tags=["1.2.3", "latest"])
    print(pushed.digest, pushed.references)

Images and layers are values: every edit returns a new one, and the digest is known before anything is sent. What is
named here is public; everything else may change. Sizes are in bytes, times of layers in seconds since 1970. All errors
are DocklessError: its `problem`, `cause` and `hint` are one line as text.

Formats: OCI image spec 1.1, OCI distribution spec 1.1, Docker's image manifest version 2, schema 2, and the archives of
`docker save`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dockless.errors import (
        CredentialsError,
        DocklessError,
        InvalidDocumentError,
        InvalidValueError,
        LayerError,
        LayoutError,
        RegistryError,
    )
    from dockless.image.image import Image
    from dockless.image.index import Index
    from dockless.layer import InlineFile, Layer, LayerSpec, Source
    from dockless.oci.descriptor import Descriptor
    from dockless.oci.digest import Digest
    from dockless.oci.platform import Platform
    from dockless.oci.reference import Reference
    from dockless.registry import (
        Credentials,
        ProgressEvent,
        PushResult,
        RegistryBlobSource,
        RegistryClient,
        find_credentials,
    )
    from dockless.transfer.copy import copy_image
    from dockless.transfer.registry_access import Access
    from dockless.transfer.verify import Verified, verify_image

__version__ = "0.1.0"

# Each name's module is imported when the name is first used (PEP 562): a command or a sandbox pays for what it uses.
_HOMES = {
    "Access": "dockless.transfer.registry_access",
    "Credentials": "dockless.registry",
    "CredentialsError": "dockless.errors",
    "Descriptor": "dockless.oci.descriptor",
    "Digest": "dockless.oci.digest",
    "DocklessError": "dockless.errors",
    "Image": "dockless.image.image",
    "Index": "dockless.image.index",
    "InlineFile": "dockless.layer",
    "InvalidDocumentError": "dockless.errors",
    "InvalidValueError": "dockless.errors",
    "Layer": "dockless.layer",
    "LayerError": "dockless.errors",
    "LayerSpec": "dockless.layer",
    "LayoutError": "dockless.errors",
    "Platform": "dockless.oci.platform",
    "ProgressEvent": "dockless.registry",
    "PushResult": "dockless.registry",
    "Reference": "dockless.oci.reference",
    "RegistryClient": "dockless.registry",
    "RegistryBlobSource": "dockless.registry",
    "RegistryError": "dockless.errors",
    "Source": "dockless.layer",
    "Verified": "dockless.transfer.verify",
    "copy_image": "dockless.transfer.copy",
    "find_credentials": "dockless.registry",
    "verify_image": "dockless.transfer.verify",
}

__all__ = [
    "Access",
    "Credentials",
    "CredentialsError",
    "Descriptor",
    "Digest",
    "DocklessError",
    "Image",
    "Index",
    "InlineFile",
    "InvalidDocumentError",
    "InvalidValueError",
    "Layer",
    "LayerError",
    "LayerSpec",
    "LayoutError",
    "Platform",
    "ProgressEvent",
    "PushResult",
    "Reference",
    "RegistryBlobSource",
    "RegistryClient",
    "RegistryError",
    "Source",
    "Verified",
    "copy_image",
    "find_credentials",
    "verify_image",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'dockless' has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(_HOMES[name]), name)
    return value


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
