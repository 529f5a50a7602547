"""What a process needs that speaks to registries. Such a process is never cached, and what runs it is our own."""

import os
import sys
from importlib.util import find_spec

from pants.engine.fs import FileContent

# What credential stores and helpers, proxies and CA bundles are found by.
ENV_VARS = (
    *("PATH", "HOME", "LANG", "USER", "DBUS_SESSION_BUS_ADDRESS", "GNUPGHOME", "PASSWORD_STORE_DIR"),
    *("DOCKER_CONFIG", "REGISTRY_AUTH_FILE", "XDG_CONFIG_HOME", "XDG_RUNTIME_DIR", "XDG_CACHE_HOME"),
    *("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"),
    *("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "all_proxy", "no_proxy"),
    *("GOOGLE_APPLICATION_CREDENTIALS", "CLOUDSDK_CONFIG", "CLOUDSDK_CORE_PROJECT", "GOOGLE_CLOUD_PROJECT"),
    *("AWS_PROFILE", "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"),
    *("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_ROLE_ARN", "AWS_WEB_IDENTITY_TOKEN_FILE"),
)


# The library and the packages that it imports when it speaks to registries.
_PACKAGES = ("dockless", "certifi", "charset_normalizer", "google.auth", "idna", "requests", "urllib3")
# Those that google-auth or a SOCKS proxy needs; which ones depends on google-auth's version.
_OPTIONAL_PACKAGES = ("cachetools", "cffi", "cryptography", "pyasn1", "pyasn1_modules", "rsa", "socks")


def import_roots() -> list:
    """Return the directories that hold the library and the packages it imports, in the order of sys.path."""
    roots = set()
    for package in (*_PACKAGES, *_OPTIONAL_PACKAGES):
        spec = _spec(package)
        if spec is None and package in _PACKAGES:
            raise ModuleNotFoundError(f"the package `{package}` is not installed with {sys.executable}")
        if spec is not None:
            for place in spec.submodule_search_locations or (spec.origin or "",):
                roots.add(_parent(os.path.abspath(place), package.count(".") + 1))
    return [path for path in map(os.path.abspath, sys.path) if path in roots]


def _spec(package: str):
    try:
        return find_spec(package)
    except ModuleNotFoundError:
        # Of `google.auth`, where there is no `google`.
        return None


def _parent(path: str, levels: int) -> str:
    return path if not levels else _parent(os.path.dirname(path), levels - 1)


def main_file(name: str) -> FileContent:
    """A program of the sandbox room."""
    with open(os.path.join(os.path.dirname(os.path.dirname(__file__)), "scripts", name), "rb") as file:
        return FileContent(name, file.read())
