"""Runs the programs in `pants_dockless.scripts`.

The output of a builder depends only on its inputs, so that Pants caches the result locally and remotely. The result of
a registry client is never cached. A registry client receives its environment, which may contain secrets, in a private
file, because Pants writes the environment of processes to its store.
"""

import json
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from typing import Any, Optional

from pants.engine.addresses import Address
from pants.engine.env_vars import EnvironmentVarsRequest
from pants.engine.fs import EMPTY_DIGEST, CreateDigest, Digest, FileContent, FileEntry, MergeDigests
from pants.engine.process import FallibleProcessResult, Process, ProcessCacheScope
from pants.util.frozendict import FrozenDict
from pants.util.logging import LogLevel

from dockless.errors import DocklessError, printable
from pants_dockless import _compat
from pants_dockless.errors import TargetError
from pants_dockless.subsystem import Dockless
from pants_dockless.util_rules.interpreter import TOOLS, SharedPython
from pants_dockless.util_rules.private_environment import private_environment
from pants_dockless.util_rules.tools import script

# The variables that registry clients use: credential stores and helpers, proxies, CA bundles.
ENV_VARS = (
    *("PATH", "HOME", "LANG", "USER", "DBUS_SESSION_BUS_ADDRESS", "GNUPGHOME", "PASSWORD_STORE_DIR"),
    *("DOCKER_CONFIG", "REGISTRY_AUTH_FILE", "XDG_CONFIG_HOME", "XDG_RUNTIME_DIR", "XDG_CACHE_HOME"),
    *("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"),
    *("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "all_proxy", "no_proxy"),
    *("GOOGLE_APPLICATION_CREDENTIALS", "CLOUDSDK_CONFIG", "CLOUDSDK_CORE_PROJECT", "GOOGLE_CLOUD_PROJECT"),
    *("AWS_PROFILE", "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"),
    *("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_ROLE_ARN", "AWS_WEB_IDENTITY_TOKEN_FILE"),
)

# The time that a builder waits for a remote cache before it starts. With 0, a layer that takes less time than a request
# to the cache would always be built and uploaded again.
_SPECULATION_DELAY_MILLIS = 2000
_RUNNER = "registry_program.py"
_PLAN = "plan.json"
_ERROR = "error: "
_WITHOUT_INTERRUPTS = """
if env --block-signal=INT true 2>/dev/null; then exec env --block-signal=INT "$@"; fi
trap "" INT
exec "$@"
"""


@dataclass(frozen=True)
class Output:
    """The standard output of a program and the digest of the tree that the program wrote."""

    stdout: bytes
    digest: Digest


async def run_builder(
    address: Address,
    description: str,
    python: SharedPython,
    tools: Digest,
    argv: tuple[str, ...],
    inputs: Digest,
    *,
    cache_scope: ProcessCacheScope = ProcessCacheScope.SUCCESSFUL,
    output_files: tuple[str, ...] = (),
    output_directories: tuple[str, ...] = (),
) -> Output:
    """Run a program in the tree `tools`. `argv` begins with the name of the program.

    Raises TargetError if the program fails.
    """
    outputs: Any = {"output_files": output_files, "output_directories": output_directories}
    process = builder_process(description, python, tools, argv, inputs, cache_scope=cache_scope, **outputs)
    return _checked(address, await _compat.run_process_in(python.environment, process))


def builder_process(
    description: str,
    python: SharedPython,
    tools: Digest,
    argv: tuple[str, ...],
    inputs: Digest,
    *,
    cache_scope: ProcessCacheScope = ProcessCacheScope.SUCCESSFUL,
    **outputs: Any,
) -> Process:
    """Return the process that runs a program in the tree `tools`. `outputs` are arguments of Process."""
    return Process(
        argv=(*python.argv, "-I", "-S", f"{TOOLS}/{argv[0]}", *argv[1:]),
        input_digest=inputs,
        immutable_input_digests={TOOLS: tools},
        append_only_caches=python.append_only_caches,
        description=description,
        level=LogLevel.INFO,
        cache_scope=cache_scope,
        **outputs,
        remote_cache_speculation_delay_millis=_SPECULATION_DELAY_MILLIS,
    )


async def run_registry_client(
    address: Optional[Address],
    description: str,
    program: str,
    plan: dict[str, Any],
    options: Dockless,
    *,
    inputs: tuple[FileContent, ...] = (),
    input_digest: Digest = EMPTY_DIGEST,
    modules: tuple[str, ...] = (),
    append_only_caches: FrozenDict[str, str] = FrozenDict(),  # noqa: B008
    output_files: tuple[str, ...] = (),
    output_directories: tuple[str, ...] = (),
) -> Output:
    """Run a program that connects to registries, on this machine, with the files `inputs` and the tree `input_digest`.

    Also with --remote-execution or in a remote environment the program runs on this machine, because the program uses
    the network and the credentials of the user. Raises TargetError, or DocklessError without an address, if the program
    fails.
    """
    environment = await _compat.environment_vars(EnvironmentVarsRequest((*ENV_VARS, *options.env_vars)))
    with private_environment(environment) as path:
        files = await _compat.create_digest(CreateDigest((*registry_program(program, plan, path, modules), *inputs)))
        result = await _compat.run_local_process(
            Process(
                argv=(sys.executable, "-I", "-S", program, _PLAN),
                input_digest=await _compat.merge_digests(MergeDigests((files, input_digest))),
                append_only_caches=append_only_caches,
                output_files=output_files,
                output_directories=output_directories,
                description=description,
                cache_scope=ProcessCacheScope.PER_SESSION,
                level=LogLevel.INFO,
            )
        )
    return _checked(address, result)


def registry_program(
    program: str, plan: dict[str, Any], environment: Optional[str], modules: tuple[str, ...] = ()
) -> tuple[FileContent, ...]:
    """Return the files of a program that connects to registries: the program, its modules, its runner and its plan.

    `environment` is the path of the private file with the environment, or None if Pants gives the program that of the
    user. The program imports packages from the same directories as Pants, because it runs on the same machine and is
    never cached.
    """
    private = {} if environment is None else {"environment": environment}
    document = json.dumps({**plan, **private, "import_from": import_roots()}).encode()
    return (*map(script, (program, _RUNNER, *modules)), FileContent(_PLAN, document))


def interactive_argv(program: str) -> tuple[str, ...]:
    """Return the arguments of an InteractiveProcess that runs a registry program.

    CPython prints a traceback if SIGINT arrives before the program has installed a handler. Therefore SIGINT is blocked
    until then, or ignored if `env` does not support `--block-signal`.
    """
    command = (sys.executable, "-I", "-S", f"{{chroot}}/{program}", f"{{chroot}}/{_PLAN}")
    return ("/bin/sh", "-c", _WITHOUT_INTERRUPTS, "sh", *command)


# The library and the packages that it imports to connect to registries.
_PACKAGES = ("dockless", "certifi", "charset_normalizer", "google.auth", "idna", "requests", "urllib3")
# Packages that google-auth, depending on its version, and SOCKS proxies require.
_OPTIONAL_PACKAGES = ("cachetools", "cffi", "cryptography", "pyasn1", "pyasn1_modules", "rsa", "socks")


def import_roots() -> list[str]:
    """Return the directories that contain the library and the packages that it imports, in the order of sys.path."""
    roots = set()
    for package in (*_PACKAGES, *_OPTIONAL_PACKAGES):
        spec = _find_spec(package)
        if spec is None and package in _PACKAGES:
            raise ModuleNotFoundError(f"the package `{package}` is not installed with {sys.executable}")
        if spec is not None:
            for location in spec.submodule_search_locations or (spec.origin or "",):
                roots.add(_ancestor(os.path.abspath(location), package.count(".") + 1))
    return [path for path in map(os.path.abspath, sys.path) if path in roots]


def _find_spec(package: str) -> Optional[ModuleSpec]:
    try:
        return find_spec(package)
    except ModuleNotFoundError:
        # For `google.auth`, if there is no package `google`.
        return None


def _ancestor(path: str, levels: int) -> str:
    return path if not levels else _ancestor(os.path.dirname(path), levels - 1)


async def check_blobs(address: Address, digest: Digest, sizes: Mapping[str, int], origin: str) -> None:
    """Raise TargetError unless a tree contains a file `blobs/sha256/<hex>` for each item of `sizes`.

    `sizes` maps digests to sizes in bytes. `origin` names the process that wrote the tree. No blob is read: Pants
    identifies the content of files by SHA-256, as OCI does.
    """
    entries = await _compat.digest_entries(digest)
    actual_sizes = {
        f"sha256:{entry.file_digest.fingerprint}": entry.file_digest.serialized_bytes_length
        for entry in entries
        if isinstance(entry, FileEntry) and entry.path == f"blobs/sha256/{entry.file_digest.fingerprint}"
    }
    for blob, size in sizes.items():
        if actual_sizes.get(blob) != size:
            raise output_missing(address, f"the blob {blob} of {size} bytes", origin)


def output_missing(address: Address, output: str, origin: str) -> TargetError:
    """Return the error for the result of a process that lacks `output`.

    Pants has stored the result in the local cache. Pants runs the process again only in another cache namespace.
    """
    return TargetError(
        address,
        None,
        f"{origin} succeeded without its output, {output}",
        cause="a remote cache or worker returned an incomplete result",
        hint="check the remote service and run Pants again with --no-remote-cache-read --no-remote-execution "
        "--process-execution-cache-namespace=NAME, where NAME is a new name, because Pants has cached the result on "
        "this machine",
    )


def _checked(address: Optional[Address], result: FallibleProcessResult) -> Output:
    if result.exit_code == 0:
        return Output(result.stdout, result.output_digest)
    text = result.stderr.decode(errors="replace").strip()
    if text.startswith(_ERROR) and "\n" not in text:
        problem = text[len(_ERROR) :]
        raise TargetError(address, None, problem) if address else DocklessError(problem)
    # A traceback: its messages may contain anything.
    text = "\n".join(printable(line, None) for line in text.split("\n"))
    raise RuntimeError(f"{address or '[dockless]'}: internal error: a Dockless helper process failed:\n{text}")
