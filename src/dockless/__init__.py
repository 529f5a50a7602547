r"""Dockless: build and publish container images without Docker, byte for byte the same on every machine.

    from dockless import Image, Layer, InlineFile

    image = Image.from_registry("docker.io/library/python:3.12-slim", platform="linux/amd64")
    image = image.add_layer(Layer.from_files({"/app": "./src", "/etc/motd": InlineFile("hi\n", mode=0o600)}))
    image = image.with_config(working_dir="/app", cmd=["python", "main.py"], env={"PORT": "8080"})
    pushed = image.save("ghcr.io/acme/app", tags=["1.2.3", "latest"])
    print(pushed.digest, pushed.references)

Images and layers are immutable: every edit returns a new one, and the digest is known before anything is sent. The
names of this module are the public API; other modules may change in any release. Sizes are in bytes, times of layers in
seconds since 1970. All errors are a DocklessError: its `problem`, `cause` and `hint` are one line as text.

Formats: OCI image spec 1.1, OCI distribution spec 1.1, Docker's image manifest version 2, schema 2, and the archives of
`docker save`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dockless.blobs import BlobSource
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
    from dockless.image.index import ImageIndex
    from dockless.image.layer_building import Buildable
    from dockless.layer import BuiltLayer, InlineFile, Layer, LayerSpec, Source
    from dockless.layer.layer import PathLike
    from dockless.layer.spec import Listing
    from dockless.oci.descriptor import Descriptor, UnsupportedEntry
    from dockless.oci.digest import Digest
    from dockless.oci.image_documents import ImageLayer
    from dockless.oci.manifest import Index, Manifest
    from dockless.oci.platform import Platform
    from dockless.oci.reference import Reference
    from dockless.registry import (
        BlobResult,
        Clock,
        Credentials,
        Progress,
        ProgressEvent,
        PushResult,
        RegistryBlobSource,
        RegistryClient,
        RemoteManifest,
        RetryPolicy,
        UploadSession,
        find_credentials,
    )
    from dockless.registry.auth.credentials import CredentialProvider, ResolvedCredentials
    from dockless.registry.auth.keychain import GivenCredentials
    from dockless.registry.http.response import HttpResponse
    from dockless.registry.upload_session import Body
    from dockless.transfer.copy import copy_image
    from dockless.transfer.locations import Location
    from dockless.transfer.prefetch import PrefetchResult
    from dockless.transfer.registry_access import RegistryAccess
    from dockless.transfer.verify import VerifyResult, verify_image

__version__ = "0.1.0"

# The module of each name, imported when the name is first used (PEP 562): a command loads only what it needs.
_MODULES = {
    "BlobResult": "dockless.registry",
    "BlobSource": "dockless.blobs",
    "Body": "dockless.registry.upload_session",
    "Buildable": "dockless.image.layer_building",
    "BuiltLayer": "dockless.layer",
    "Clock": "dockless.registry",
    "CredentialProvider": "dockless.registry.auth.credentials",
    "Credentials": "dockless.registry",
    "CredentialsError": "dockless.errors",
    "Descriptor": "dockless.oci.descriptor",
    "Digest": "dockless.oci.digest",
    "DocklessError": "dockless.errors",
    "GivenCredentials": "dockless.registry.auth.keychain",
    "HttpResponse": "dockless.registry.http.response",
    "Image": "dockless.image.image",
    "ImageIndex": "dockless.image.index",
    "ImageLayer": "dockless.oci.image_documents",
    "Index": "dockless.oci.manifest",
    "InlineFile": "dockless.layer",
    "InvalidDocumentError": "dockless.errors",
    "InvalidValueError": "dockless.errors",
    "Layer": "dockless.layer",
    "LayerError": "dockless.errors",
    "LayerSpec": "dockless.layer",
    "LayoutError": "dockless.errors",
    "Listing": "dockless.layer.spec",
    "Location": "dockless.transfer.locations",
    "Manifest": "dockless.oci.manifest",
    "PathLike": "dockless.layer.layer",
    "Platform": "dockless.oci.platform",
    "PrefetchResult": "dockless.transfer.prefetch",
    "Progress": "dockless.registry",
    "ProgressEvent": "dockless.registry",
    "PushResult": "dockless.registry",
    "Reference": "dockless.oci.reference",
    "RegistryAccess": "dockless.transfer.registry_access",
    "RegistryBlobSource": "dockless.registry",
    "RegistryClient": "dockless.registry",
    "RegistryError": "dockless.errors",
    "RemoteManifest": "dockless.registry",
    "ResolvedCredentials": "dockless.registry.auth.credentials",
    "RetryPolicy": "dockless.registry",
    "Source": "dockless.layer",
    "UnsupportedEntry": "dockless.oci.descriptor",
    "UploadSession": "dockless.registry",
    "VerifyResult": "dockless.transfer.verify",
    "copy_image": "dockless.transfer.copy",
    "find_credentials": "dockless.registry",
    "verify_image": "dockless.transfer.verify",
}

__all__ = [
    "BlobResult",
    "BlobSource",
    "Body",
    "Buildable",
    "BuiltLayer",
    "Clock",
    "CredentialProvider",
    "Credentials",
    "CredentialsError",
    "Descriptor",
    "Digest",
    "DocklessError",
    "GivenCredentials",
    "HttpResponse",
    "Image",
    "ImageIndex",
    "ImageLayer",
    "Index",
    "InlineFile",
    "InvalidDocumentError",
    "InvalidValueError",
    "Layer",
    "LayerError",
    "LayerSpec",
    "LayoutError",
    "Listing",
    "Location",
    "Manifest",
    "PathLike",
    "Platform",
    "PrefetchResult",
    "Progress",
    "ProgressEvent",
    "PushResult",
    "Reference",
    "RegistryAccess",
    "RegistryBlobSource",
    "RegistryClient",
    "RegistryError",
    "RemoteManifest",
    "ResolvedCredentials",
    "RetryPolicy",
    "Source",
    "UnsupportedEntry",
    "UploadSession",
    "VerifyResult",
    "copy_image",
    "find_credentials",
    "verify_image",
]


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module 'dockless' has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(_MODULES[name]), name)
    return value


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
