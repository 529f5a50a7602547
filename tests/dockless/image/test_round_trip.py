"""An edit keeps all other keys of configs and manifests of real tools.

Each document has the format of its tool, with keys that the specifications do not define.
"""

import copy
import json

import pytest

from dockless.mutate.assemble import assemble_image
from dockless.mutate.config_edit import ConfigEdit
from dockless.oci import media_types
from dockless.oci.descriptor import Descriptor
from dockless.oci.digest import Digest
from dockless.oci.image_documents import ImageDocuments, ImageLayer
from dockless.oci.manifest import Manifest
from dockless.oci.platform import Platform

D = str(Digest.of(b"layer"))
D2 = str(Digest.of(b"layer2"))
ROOTFS = {"type": "layers", "diff_ids": [D]}
RUN = {"created": "2023-05-01T10:00:00.123456789Z", "created_by": "/bin/sh -c #(nop) ADD file:1 in / "}
NOP = {"created": "2023-05-01T10:00:00Z", "created_by": 'CMD ["sh"]', "empty_layer": True}


def config(**keys):
    return {"architecture": "amd64", "os": "linux", "rootfs": ROOTFS, **keys}


CONFIGS = {
    "docker 1.10, with the container it was committed from": config(
        container="4f5a",
        container_config={"Hostname": "4f5a", "Image": D, "Cmd": ["/bin/sh", "-c", "#(nop)"], "AttachStdin": False},
        docker_version="1.10.3",
        config={"Hostname": "4f5a", "Domainname": "", "Image": D, "OnBuild": None, "Env": ["PATH=/bin"], "Labels": {}},
        created="2016-03-18T18:22:48.810791943Z",
        history=[RUN],
    ),
    "docker 20, classic builder": config(
        docker_version="20.10.24",
        author="Someone <a@example.com>",
        config={"ArgsEscaped": True, "Entrypoint": None, "Cmd": ["sh"], "Volumes": None, "Tty": False},
        history=[RUN, NOP],
    ),
    "docker with a healthcheck and a shell": config(
        config={
            "Healthcheck": {"Test": ["CMD-SHELL", "true"], "Interval": 30000000000, "StartInterval": 1},
            "Shell": ["/bin/bash", "-c"],
            "StopTimeout": 10,
        },
        history=[RUN],
    ),
    "docker for Windows": config(
        os="windows",
        **{"os.version": "10.0.20348.2322", "os.features": ["win32k"]},
        config={"User": "ContainerUser", "Entrypoint": ["c:\\app.exe"]},
        history=[{"created": "2024-01-01T00:00:00Z", "created_by": "Apply image 10.0.20348.2322"}],
    ),
    "docker's onbuild triggers": config(config={"OnBuild": ["COPY . /app", "RUN make"]}, history=[RUN]),
    "docker commit with a comment and an author": config(
        history=[{**RUN, "author": "A", "comment": "by hand"}], comment="by hand", parent=D
    ),
    "docker with memory limits of 2014": config(config={"Memory": 0, "MemorySwap": 0, "CpuShares": 0}, Size=1234),
    "docker's mac address and network": config(
        config={"MacAddress": "", "NetworkDisabled": False, "ExposedPorts": None}
    ),
    "buildkit, inline cache": config(
        **{"moby.buildkit.cache.v0": "eyJsYXllcnMiOm51bGx9", "moby.buildkit.buildinfo.v1": "e30="},
        config={"Env": ["PATH=/usr/bin"], "WorkingDir": "/"},
        history=[{**RUN, "comment": "buildkit.dockerfile.v0"}],
    ),
    "buildkit, variant": config(architecture="arm64", variant="v8", history=[NOP, RUN]),
    "buildkit, reproducible": config(created="1970-01-01T00:00:00Z", history=[RUN, NOP, NOP]),
    "buildkit, arm v6": config(architecture="arm", variant="v6", config={}),
    "umoci, no config object": config(created="2024-01-01T00:00:00.5+02:00", history=[]),
    "umoci, history of an edit": config(history=[RUN, {"created_by": "umoci config", "empty_layer": True}]),
    "buildah": config(
        created="2024-02-03T04:05:06.7Z",
        config={"Env": ["PATH=/bin"], "Labels": {"io.buildah.version": "1.28.2"}},
        history=[{**RUN, "comment": "FROM docker.io/library/alpine:latest"}],
    ),
    "jib": config(
        created="1970-01-01T00:00:00Z",
        config={"Entrypoint": ["java", "-cp", "@/app/jib-classpath-file", "Main"], "Memory": 0, "ExposedPorts": {}},
        history=[
            {"created": "1970-01-01T00:00:00Z", "author": "Jib", "created_by": "jib-core:0", "comment": "classes"}
        ],
    ),
    "ko": config(
        author="github.com/ko-build/ko",
        created="0001-01-01T00:00:00Z",
        config={"Entrypoint": ["/ko-app/app"], "Env": ["KO_DATA_PATH=/var/run/ko"]},
        history=[{"author": "ko", "created": "0001-01-01T00:00:00Z", "created_by": "ko build ko://x", "comment": "go"}],
    ),
    "kaniko": config(
        container="", docker_version="", config={"Hostname": "", "AttachStdout": False, "Image": ""}, history=[RUN]
    ),
    "bazel rules_docker, no history": config(created="0001-01-01T00:00:00Z", author="Bazel", config={"Cmd": ["/app"]}),
    "bazel rules_oci": config(config={"Env": [], "Labels": None}, history=None, created=None),
    "apko": config(author="github.com/chainguard-dev/apko", history=[{"comment": "This is an apko layer"}]),
    "nix2container": config(created="0001-01-01T00:00:00Z", config={"Cmd": ["/nix/store/x/bin/hello"]}, history=[]),
    "crane append, history too short": config(
        rootfs={"type": "layers", "diff_ids": [D, D2]}, history=[RUN], config={"Env": None}
    ),
    "podman commit": config(config={"Labels": {"a": "ü", "b": ""}, "Annotations": {"x": "y"}}, history=[RUN, NOP]),
    "squashed, history too long": config(history=[RUN, RUN, NOP, RUN]),
    "a lone surrogate, which UTF-8 cannot write": config(config={"Labels": {"broken": "\ud800"}}),
    "numbers beyond a double": config(x={"big": 2**63, "exp": 1e300, "neg": -0.0}),
    "deep and mixed unknown values": config(**{"com.example": {"a": [{"b": [None, True, 1.5, "ü"]}], "": {}}}),
    "env without values and twice": config(config={"Env": ["A", "B=", "A=2", "=x"]}),
}


def layer(kind, digest=D, **keys):
    return {"mediaType": kind, "digest": digest, "size": 5, **keys}


DOCKER = {"mediaType": media_types.DOCKER_MANIFEST, "layers": [layer(media_types.DOCKER_LAYER_GZIP)]}
OCI = {"mediaType": media_types.OCI_MANIFEST, "layers": [layer(media_types.OCI_LAYER + "+gzip")]}
SUBJECT = {"mediaType": media_types.OCI_MANIFEST, "digest": D2, "size": 7}
MANIFESTS = {
    "docker": DOCKER,
    "docker, uncompressed": {**DOCKER, "layers": [layer(media_types.DOCKER_LAYER)]},
    "docker, foreign layer": {
        **DOCKER,
        "layers": [layer("application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", urls=["https://example.com/l"])],
    },
    "docker with OCI layers, as some registries' converters write": {**DOCKER, "layers": OCI["layers"]},
    "docker with annotations": {**DOCKER, "annotations": {"a": "b"}},
    "umoci, no mediaType": {"layers": OCI["layers"]},
    "oci": OCI,
    "oci, annotations": {**OCI, "annotations": {"org.opencontainers.image.created": "2024-01-01T00:00:00Z", "ü": ""}},
    "oci, null annotations": {**OCI, "annotations": None},
    "oci, subject": {**OCI, "subject": SUBJECT},
    "oci, artifact type beside a config": {**OCI, "artifactType": "application/vnd.example+type"},
    "oci, zstd": {**OCI, "layers": [layer(media_types.OCI_LAYER + "+zstd")]},
    "oci, zstd:chunked": {
        **OCI,
        "layers": [
            layer(
                media_types.OCI_LAYER + "+zstd",
                annotations={"io.github.containers.zstd-chunked.manifest-checksum": D2, "x": "1:2:3"},
            )
        ],
    },
    "oci, estargz": {
        **OCI,
        "layers": [layer(OCI["layers"][0]["mediaType"], annotations={"containerd.io/snapshot/stargz/toc.digest": D2})],
    },
    "oci, nondistributable": {
        **OCI,
        "layers": [layer("application/vnd.oci.image.layer.nondistributable.v1.tar+gzip", urls=["https://x.example/"])],
    },
    "oci, encrypted": {**OCI, "layers": [layer(media_types.OCI_LAYER + "+gzip+encrypted", annotations={"k": "v"})]},
    "oci, unknown keys everywhere": {**OCI, "x": {"y": [1]}, "layers": [layer(media_types.OCI_LAYER, z=None)]},
    "oci, data inside of a descriptor": {**OCI, "layers": [layer(media_types.OCI_LAYER, data="bGF5ZXI=")]},
}


def documents(config_document, manifest_document):
    config_bytes = json.dumps(config_document).encode()
    docker = manifest_document.get("mediaType") == media_types.DOCKER_MANIFEST
    raw = json.dumps(
        {
            "schemaVersion": 2,
            "config": {
                "mediaType": media_types.DOCKER_CONFIG if docker else media_types.OCI_CONFIG,
                "digest": Digest.of(config_bytes),
                "size": len(config_bytes),
            },
            **manifest_document,
        },
        indent=2,
    ).encode()
    return ImageDocuments.read(Manifest.from_bytes(raw, "base"), config_bytes, "base")


def edited(base):
    own = ImageLayer(Descriptor(media_types.OCI_LAYER, Digest.of(b"own"), 3), Digest.of(b"own!"))
    return assemble_image(None, [own], ConfigEdit(labels={"added": "1"}, env={"ADDED": "1"}), base=base)


@pytest.mark.parametrize("name", CONFIGS)
def test_configs(name):
    document = CONFIGS[name]
    count = len(document["rootfs"]["diff_ids"])
    base = documents(document, {**OCI, "layers": [layer(media_types.OCI_LAYER, x) for x in [D, D2][:count]]})
    assert assemble_image(None, (), ConfigEdit(), base=base) is base
    found = copy.deepcopy(dict(ImageDocuments.read(*edited(base)[::2], "edited").config.document))
    inner = found["config"]
    assert inner["Labels"].pop("added") == "1"
    assert inner["Env"].pop() == "ADDED=1"
    assert found["rootfs"] == {"type": "layers", "diff_ids": [*document["rootfs"]["diff_ids"], Digest.of(b"own!")]}
    assert sum(1 for entry in found["history"] if not entry.get("empty_layer")) == count + 1
    before = document.get("config") or {}
    assert {k: v for k, v in inner.items() if k not in ("Labels", "Env")} == {
        k: v for k, v in before.items() if k not in ("Labels", "Env")
    }
    assert inner["Labels"] == (before.get("Labels") or {})
    assert inner["Env"] == (before.get("Env") or [])
    ours = ("config", "rootfs", "history", "created")
    assert {k: v for k, v in found.items() if k not in ours} == {k: v for k, v in document.items() if k not in ours}
    assert [entry for entry in found["history"] if entry in (document.get("history") or [])][:1] == (
        document.get("history") or []
    )[:1]
    assert base.platform.normalized() == Platform.from_json(found, "edited").normalized()


@pytest.mark.parametrize("name", MANIFESTS)
def test_manifests(name):
    document = MANIFESTS[name]
    base = documents(config(), document)
    assert assemble_image(None, (), ConfigEdit(), base=base) is base
    found = edited(base).manifest.json
    assert found["layers"][:-1] == document["layers"]
    ours = ("config", "layers", "mediaType", "schemaVersion", "subject", "annotations")
    assert {k: v for k, v in found.items() if k not in ours} == {k: v for k, v in document.items() if k not in ours}
    assert (found.get("annotations") or {}) == (document.get("annotations") or {})
    assert found["mediaType"] == document.get("mediaType", media_types.OCI_MANIFEST)
    assert "subject" not in found
