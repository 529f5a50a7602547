"""docs/reference.md lists the public API, and every type in a public signature belongs to the public API."""

import inspect
import re
import typing

from reference_page import PAGE, field_types, render

import dockless

# Types of the standard library and of typing.
STANDARD = {
    *(
        "Any",
        "BinaryIO",
        "Callable",
        "Collection",
        "Event",
        "Future",
        "Iterable",
        "Iterator",
        "Mapping",
        "None",
        "Sequence",
    ),
    *("True", "False"),
}
# Constructors that only the library calls.
INTERNAL = {"HttpResponse.__init__", "Image.__init__", "UploadSession.__init__"}


def test_the_page_is_up_to_date():
    assert PAGE.read_text() == render(), "run: python tests/testlib/reference_page.py --write"


def signatures():
    for name in dockless.__all__:
        value = getattr(dockless, name)
        if typing.get_origin(value):
            continue
        members = [(name, value)]
        if inspect.isclass(value):
            members = [
                (f"{name}.{key}", getattr(getattr(member, "fget", member), "__func__", getattr(member, "fget", member)))
                for key, member in vars(value).items()
                if key == "__init__" or not key.startswith("_")
            ]
            yield from ((name, annotation) for annotation in field_types(value).values())
        for label, member in members:
            for annotation in getattr(member, "__annotations__", {}).values():
                yield label, getattr(annotation, "__forward_arg__", str(annotation))


def test_every_type_in_a_public_signature_is_public():
    private = set()
    for label, annotation in signatures():
        for word in re.findall(r"(?<![.\w'\"])[A-Z]\w+", annotation):
            if word not in STANDARD and word not in dockless.__all__ and label not in INTERNAL:
                private.add(f"{label}: {word}")
    assert private == set()
