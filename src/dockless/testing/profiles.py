"""The behavior of real registries, as data, where the distribution spec leaves a choice or is violated.

The comment of each profile names the source. Tests compare "measured" profiles with the real program; those of hosted
registries follow documentation and reports of users, and may change without notice.
"""

from __future__ import annotations

from typing import NamedTuple

from dockless.errors import InvalidValueError

MIB = 1024 * 1024


class Profile(NamedTuple):
    """The behavior of a registry. The defaults follow the spec and use its freedoms against the client."""

    name: str = "strict"

    # --- upload sessions
    # Location of a session, which the client must use unchanged.
    session_path: str = "/v2/{repository}/blobs/uploads/{id}"
    absolute_locations: bool = False
    # Location has a query that must be sent back unchanged.
    query_in_location: bool = True
    # The query of Location has the session's offset; another offset is 404 BLOB_UPLOAD_INVALID.
    offset_in_location: bool = False
    # Whether Content-Range of a chunk is compared with the session's offset (416) and with the body's length.
    content_range_checked: bool = True
    # The status of an accepted chunk.
    chunk_status: int = 202
    # `Range` of an empty session, which an inclusive range cannot express. None: the header is omitted.
    empty_range: str | None = None
    # `Range` of a session stays at the end of its first chunk.
    stale_range: bool = False
    # A second chunk is rejected: a blob must be sent in one part.
    one_chunk_only: bool = False
    # The maximum size of a PATCH with Content-Range (0: any).
    chunk_maximum: int = 0
    # The minimum size of a chunk other than the last (0: any), in OCI-Chunk-Min-Length if `..._told`.
    chunk_minimum: int = 0
    chunk_minimum_told: bool = True
    # The status of an upload with a Content-Type other than application/octet-stream (0: accepted).
    wrong_type_status: int = 415
    # Whether POST with `digest` stores the blob (201); otherwise its body is ignored and a session starts.
    single_post: bool = True
    # POST with `mount` and `from`.
    mount: bool = True
    # POST with `mount` alone: "discover" looks in every repository, "upload" starts a session, "refuse" is an error.
    mount_without_from: str = "discover"
    creates_repositories: bool = True

    # --- blobs
    # The status of a redirect of blobs to a signed URL of another host (0: no redirect).
    blob_redirect: int = 0
    # The response to an invalid range has the length of the whole blob, but no body.
    bad_range_lies: bool = False
    delete_blobs: bool = True

    # --- manifests
    # Types that Accept does not contain: "named" rejects them if there is an Accept header, "oci-named" rejects OCI
    # types, "ignored" serves all.
    accept: str = "named"
    sizes_checked: bool = True
    too_large_status: int = 413
    delete_manifests: bool = True
    delete_tags: bool = True
    # An existing tag is rejected, whatever it names.
    immutable_tags: bool = False

    # --- tags and referrers
    tag_pages: bool = True
    # The maximum number of tags in a response (0: any).
    tag_page_maximum: int = 0
    # A repository without tags does not exist.
    untagged_unknown: bool = False
    # 200: the referrers API is supported; else the status of a request to it.
    referrers: int = 200

    # --- authentication
    # A registry without users requires a token, too.
    token_always: bool = False
    token_path: str = "/token"
    # The `service` of the challenge ("": the registry's host and port).
    token_service: str = ""
    # Whether the OAuth2 POST form is supported; otherwise its status is 405.
    token_post: bool = True
    # A scope in the challenge of GET /v2/, although the request has no repository.
    ping_scope: str = ""
    # The challenge for Basic authentication.
    basic_challenge: str = 'Basic realm="{host}"'


STRICT = Profile()

# Measured: Debian's docker-registry 2.8.2.
DOCKER_REGISTRY = Profile(
    name="docker-registry",
    absolute_locations=True,
    offset_in_location=True,
    content_range_checked=False,
    empty_range="0-0",
    wrong_type_status=500,
    single_post=False,
    mount_without_from="upload",
    bad_range_lies=True,
    accept="oci-named",
    sizes_checked=False,
    too_large_status=400,
    delete_tags=False,
    tag_pages=False,
    untagged_unknown=True,
    referrers=404,
)

# Amazon ECR. Repositories must exist; blobs are served by S3; a chunk other than the last has at least 5 MiB (as in
# UploadLayerPart), and its status is 201, with a `Range` that stays at the end of the first chunk
# (aws/containers-roadmap#2831); a restart at byte 0 is 416 BLOB_UPLOAD_INVALID (apple/containerization#790).
ECR = Profile(
    name="ecr",
    absolute_locations=True,
    stale_range=True,
    empty_range="0-0",
    chunk_status=201,
    chunk_minimum=5 * MIB,
    chunk_minimum_told=False,
    single_post=False,
    mount=False,
    mount_without_from="upload",
    creates_repositories=False,
    blob_redirect=307,
    delete_blobs=False,
    accept="ignored",
    sizes_checked=False,
    too_large_status=405,
    tag_page_maximum=1000,
    basic_challenge='Basic realm="http://{host}/",service="ecr.amazonaws.com"',
)

# GitHub Container Registry. Tokens are always required, and the challenge of the ping has an arbitrary scope
# (cloudflare/serverless-registry#148); Location is a path without a query (hpc/charliecloud#1501); a chunk with a
# Content-Range over 4 MiB is 416 (wasmCloud/wash-archive#268), a stream without one is not; blobs are served by another
# host, which rejects HEAD (containerd/stargz-snapshotter#167); no referrers API, no deletion.
GHCR = Profile(
    name="ghcr",
    session_path="/v2/{repository}/blobs/upload/{id}",
    query_in_location=False,
    empty_range="0-0",
    chunk_maximum=4 * MIB,
    single_post=False,
    mount_without_from="upload",
    blob_redirect=307,
    delete_blobs=False,
    accept="ignored",
    sizes_checked=False,
    delete_manifests=False,
    delete_tags=False,
    referrers=404,
    token_always=True,
    token_service="ghcr.io",
    token_post=False,
    ping_scope="repository:user/image:pull",
)

# Google Artifact Registry. No chunked uploads (its documentation, "Docker API": monolithic ones only); tokens
# are always required; sessions are outside of /v2/ (gitpod-io/gitpod#10214); blobs are served by another host.
GAR = Profile(
    name="gar",
    session_path="/artifacts-uploads/namespaces/test/repositories/{repository}/uploads/{id}",
    query_in_location=False,
    one_chunk_only=True,
    empty_range="0-0",
    single_post=False,
    mount_without_from="upload",
    blob_redirect=302,
    accept="ignored",
    sizes_checked=False,
    token_always=True,
    token_path="/v2/token",
)

# Red Hat Quay rejects a mount without a source (observed by go-containerregistry, which therefore always names one).
QUAY = Profile(
    name="quay",
    empty_range="0-0",
    single_post=False,
    mount_without_from="refuse",
    blob_redirect=302,
    accept="ignored",
    sizes_checked=False,
    token_always=True,
    token_path="/v2/auth",
)

# An ECR repository with immutable tags rejects an existing tag even for the same image (moby/buildkit#3776).
ECR_IMMUTABLE = ECR._replace(name="ecr-immutable", immutable_tags=True)

PROFILES = {profile.name: profile for profile in (STRICT, DOCKER_REGISTRY, ECR, ECR_IMMUTABLE, GHCR, GAR, QUAY)}


def find_profile(profile: str | Profile) -> Profile:
    """Return `profile`, or the profile with this name. Raises InvalidValueError, which lists the names."""
    if isinstance(profile, Profile):
        return profile
    try:
        return PROFILES[profile]
    except KeyError:
        raise InvalidValueError(
            f"unknown registry profile {profile!r}", hint=f"the profiles are {', '.join(PROFILES)}"
        ) from None
