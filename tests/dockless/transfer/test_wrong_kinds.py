"""Arguments of wrong kinds to the public API: an error of the library, not a TypeError or AttributeError."""

import inspect

import pytest

from dockless import (
    Credentials,
    Descriptor,
    Digest,
    DocklessError,
    Image,
    ImageIndex,
    Index,
    InlineFile,
    Layer,
    Location,
    Manifest,
    Platform,
    Reference,
    RegistryAccess,
    RegistryClient,
    copy_image,
    find_credentials,
    verify_image,
)

WRONG = [
    *(None, 3, -1, 1.5, True, b"x", "", [], [3], [None], {}, {"a": 3}, {3: "a"}, {"a": None}, ["\0"]),
    *("\0", "\ud800", object(), (), [["a"]]),
]
SHA = Digest("sha256:" + "1" * 64)
IMAGE = Image.scratch()
FILE = {"/a": InlineFile(b"x")}
SOURCE = "oci:good:x"
CALLS = {
    "scratch": Image.scratch,
    "scratch(image_format)": lambda value: Image.scratch(image_format=value),
    "from_registry": Image.from_registry,
    "from_layout": Image.from_layout,
    "from_layout(name)": lambda value: Image.from_layout("good", value),
    "from_archive": Image.from_archive,
    "load": Image.load,
    "load(platform)": lambda value: Image.load(SOURCE, platform=value),
    "load(access)": lambda value: Image.load(SOURCE, access=value),
    "add_layer": IMAGE.add_layer,
    "add_layer(created_by)": lambda value: IMAGE.add_layer(Layer.from_files(FILE), created_by=value),
    "remove_layer": IMAGE.remove_layer,
    "replace_layer": lambda value: IMAGE.replace_layer(value, Layer.from_files(FILE)),
    "with_annotations": IMAGE.with_annotations,
    "with_format": IMAGE.with_format,
    "rebase": lambda value: IMAGE.rebase(value, IMAGE),
    "rebase(new)": lambda value: IMAGE.rebase(IMAGE, value),
    "save": IMAGE.save,
    "save(tags)": lambda value: IMAGE.save("oci:a", tags=value),
    "save(access)": lambda value: IMAGE.save("oci:a", access=value),
    "save(progress)": lambda value: IMAGE.save("oci:a", progress=value),
    "prefetch": IMAGE.prefetch,
    "ImageIndex": ImageIndex,
    "ImageIndex(annotations)": lambda value: ImageIndex([IMAGE], annotations=value),
    "ImageIndex.platform": ImageIndex([IMAGE]).platform,
    "Platform.parse": Platform.parse,
    "Platform.from_json": lambda value: Platform.from_json(value, "x"),
    "Descriptor.from_json": lambda value: Descriptor.from_json(value, "x"),
    "Digest": Digest,
    "Digest.of": Digest.of,
    "Reference.parse": Reference.parse,
    "Reference.parse(default)": lambda value: Reference.parse("a", default_registry=value),
    "Location.parse": Location.parse,
    "copy_image": lambda value: copy_image(value, "oci:c"),
    "copy_image(destination)": lambda value: copy_image(SOURCE, value),
    "copy_image(tags)": lambda value: copy_image(SOURCE, "oci:c", tags=value),
    "copy_image(platform)": lambda value: copy_image(SOURCE, "oci:c", platform=value),
    "copy_image(access)": lambda value: copy_image(SOURCE, "oci:c", access=value),
    "verify_image": verify_image,
    "verify_image(platform)": lambda value: verify_image(SOURCE, platform=value),
    "verify_image(access)": lambda value: verify_image(SOURCE, access=value),
    "verify_image(progress)": lambda value: verify_image(SOURCE, progress=value),
    **{
        f"RegistryAccess({name})": lambda value, name=name: RegistryAccess(**{name: value}).client(
            Reference.parse("localhost:1/a")
        )
        for name in ("credentials", "insecure", "ca_file", "auth_file", "jobs")
    },
    "RegistryAccess.client": lambda value: RegistryAccess().client(value),
    "RegistryClient": RegistryClient,
    **{
        f"RegistryClient({name})": lambda value, name=name: RegistryClient("localhost:1", **{name: value})
        for name in ("ca_file", "auth_file", "jobs")
    },
    "find_credentials": find_credentials,
    "Credentials": lambda value: Credentials("a", value).checked(),
    "Manifest.from_bytes": lambda value: Manifest.from_bytes(value, "x"),
    "Manifest.from_bytes(media_type)": lambda value: Manifest.from_bytes(b"{}", "x", media_type=value),
    "Index.from_bytes": lambda value: Index.from_bytes(value, "x"),
    "from_files": Layer.from_files,
    "from_files(path)": lambda value: Layer.from_files({"/a": value}).build("."),
    "from_files(name)": lambda value: Layer.from_files({_hashable(value): InlineFile(b"x")}).build("."),
    "from_tarball": lambda value: Layer.from_tarball(value).build("."),
    **{
        f"with_config({name})": lambda value, name=name: IMAGE.with_config(**{name: value})
        for name in inspect.signature(Image.with_config).parameters
        if name != "self"
    },
    **{
        f"add_remote_layer({name})": lambda value, name=name: IMAGE.add_remote_layer(
            **{"digest": SHA, "diff_id": SHA, "size": 5, name: value}
        )
        for name in ("digest", "diff_id", "size", "urls", "media_type", "created_by")
    },
}
CLIENT_CALLS = {
    "get_manifest": ("a", "1"),
    "put_manifest": ("a", "1", b"{}", "x"),
    "delete_manifest": ("a", "1"),
    "referrers": ("a", SHA),
    "blob_size": ("a", SHA),
    "delete_blob": ("a", SHA),
    "mount_candidates": ("a", SHA),
    "find_blob": ("a", Descriptor("x", SHA, 1)),
}


def _hashable(value):
    try:
        hash(value)
    except TypeError:
        return str(value)
    return value


def _is_error_of_the_library(call, value):
    try:
        call(value)
    except DocklessError as error:
        assert "\n" not in str(error)


@pytest.fixture(autouse=True)
def layout(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    IMAGE.save(SOURCE)


@pytest.mark.parametrize("name", CALLS)
def test_arguments(name):
    for value in WRONG:
        _is_error_of_the_library(CALLS[name], value)


@pytest.mark.parametrize("name", CLIENT_CALLS)
def test_arguments_of_a_client(name, registry):
    arguments = CLIENT_CALLS[name]
    with RegistryClient(registry.host, insecure=True) as client:
        for n in range(min(len(arguments), 3)):
            for value in WRONG:
                changed = [value if m == n else argument for m, argument in enumerate(arguments)]
                _is_error_of_the_library(lambda _, changed=changed: getattr(client, name)(*changed), value)


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: Image.from_layout(None), "the path is None, which is not a path on disk; write a path as text"),
        (lambda: IMAGE.with_config(cmd=3), "cmd is 3, not a list of strings"),
        (lambda: RegistryClient(3), "3 is not a registry but a int; write the registry as a string"),
        (lambda: copy_image(SOURCE, "oci:c", access=3), "access is 3, not a RegistryAccess"),
        (lambda: IMAGE.rebase(None, IMAGE), "None is not an Image; write Image.load(...)"),
        (lambda: Digest.of("text"), "'text' is not bytes; encode the text"),
        (lambda: Credentials("a", 5).checked(), "the password of the credentials given by the caller is not a string"),
        (lambda: Layer.from_files({3: "a"}), "3 is not a path in the image; write the path as a string"),
    ],
)
def test_the_error_says_what_to_do(call, says):
    with pytest.raises(DocklessError) as caught:
        call()
    assert says in str(caught.value)
