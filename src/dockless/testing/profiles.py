"""The habits of real registries, as data: what each does where the distribution spec leaves a choice, or against it.

Each profile's comment says where its habits come from. "Measured" ones are compared with the real program by the tests;
the hosted registries' are what their documentation and their users' reports say, and may change without notice.
"""

from __future__ import annotations

from typing import NamedTuple

from dockless.errors import InvalidValueError

MIB = 1024 * 1024


class Profile(NamedTuple):
    """One registry's habits. The defaults are the spec's own, with every freedom it leaves used against the client."""

    name: str = "strict"

    # --- upload sessions
    # Location of a session; the client must take it as it is and keep its query.
    session_path: str = "/v2/{repository}/blobs/uploads/{id}"
    absolute_locations: bool = False
    # Location has a query that must come back as it is.
    query_in_location: bool = True
    # The session's offset stands in Location's query; one that is not the session's is 404 BLOB_UPLOAD_INVALID.
    offset_in_location: bool = False
    # Whether Content-Range of a chunk is compared with the session's offset (416) and with the body's length.
    content_range_checked: bool = True
    # What a chunk that was taken is answered.
    chunk_status: int = 202
    # What `Range` says of a session that holds no byte: an inclusive range cannot. None: the header is left out.
    empty_range: str | None = None
    # `Range` of a session stays at the end of its first chunk, whatever follows.
    stale_range: bool = False
    # A second chunk is refused: a blob comes in one piece.
    one_chunk_only: bool = False
    # The most bytes of a PATCH that has a Content-Range (0: any number).
    chunk_maximum: int = 0
    # The fewest bytes of a chunk that is not the last (0: any number), told by OCI-Chunk-Min-Length if `..._told`.
    chunk_minimum: int = 0
    chunk_minimum_told: bool = True
    # What an upload of another Content-Type than application/octet-stream is answered (0: it is taken).
    wrong_type_status: int = 415
    # Whether POST with `digest` and the whole blob is a push (201); else its body is thrown away and a session starts.
    single_post: bool = True
    # POST with `mount` and `from`.
    mount: bool = True
    # POST with `mount` alone: "discover" looks in every repository, "upload" starts a session, "refuse" is an error.
    mount_without_from: str = "discover"
    creates_repositories: bool = True

    # --- blobs
    # GET of a blob is answered with this redirect to another host and a signed URL (0: with the blob).
    blob_redirect: int = 0
    # A range that cannot be served is answered with the length of the whole blob and then no body.
    bad_range_lies: bool = False
    delete_blobs: bool = True

    # --- manifests
    # What is answered for a type that Accept does not name: "named" compares if there is an Accept, "oci-named" refuses
    # OCI types that are not named by it, "ignored" serves anything.
    accept: str = "named"
    sizes_checked: bool = True
    too_large_status: int = 413
    delete_manifests: bool = True
    delete_tags: bool = True
    # A tag that exists is refused, whatever it names.
    immutable_tags: bool = False

    # --- tags and referrers
    tag_pages: bool = True
    # The most tags in one answer (0: any number).
    tag_page_maximum: int = 0
    # A repository without tags is one that does not exist.
    untagged_unknown: bool = False
    # 200: the referrers API; else what it is answered.
    referrers: int = 200

    # --- authentication
    # Without users of its own this registry still has everybody fetch a token first.
    token_always: bool = False
    token_path: str = "/token"
    # The `service` of the challenge ("": the registry's host and port).
    token_service: str = ""
    # Whether the OAuth2 POST form is understood, or is answered 405.
    token_post: bool = True
    # A scope that the challenge of GET /v2/ names although no repository was asked for.
    ping_scope: str = ""
    # How Basic is asked for.
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

# Amazon ECR. Repositories are made beforehand; blobs come from S3; a chunk but the last has 5 MiB or more (as the
# service's UploadLayerPart) and is answered 201, with a `Range` that stays at the end of the first chunk
# (aws/containers-roadmap#2831); starting again at byte 0 is 416 BLOB_UPLOAD_INVALID (apple/containerization#790).
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

# GitHub Container Registry. Everybody needs a token, and the ping's challenge names a scope of nobody's
# (cloudflare/serverless-registry#148); Location is a path without a query (hpc/charliecloud#1501); a chunk with a
# Content-Range over 4 MiB is 416 (wasmCloud/wash-archive#268), a stream without one is not; blobs come from another
# host, which takes no HEAD (containerd/stargz-snapshotter#167); no referrers API, no deletion.
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

# Google Artifact Registry. No chunked uploads (its documentation, "Docker API": monolithic ones only); everybody needs
# a token; sessions lie outside /v2/ (gitpod-io/gitpod#10214); blobs come from another host.
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

# Red Hat Quay refuses a mount that names no source (seen by go-containerregistry, which therefore always names one).
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

# An ECR repository whose tags are immutable refuses a tag that exists even for the same image (moby/buildkit#3776).
ECR_IMMUTABLE = ECR._replace(name="ecr-immutable", immutable_tags=True)

PROFILES = {profile.name: profile for profile in (STRICT, DOCKER_REGISTRY, ECR, ECR_IMMUTABLE, GHCR, GAR, QUAY)}


def find_profile(profile: str | Profile) -> Profile:
    """`profile` itself, or the one so named; InvalidValueError lists the names."""
    if isinstance(profile, Profile):
        return profile
    try:
        return PROFILES[profile]
    except KeyError:
        raise InvalidValueError(f"no registry profile {profile!r}", hint=f"there are {', '.join(PROFILES)}") from None
