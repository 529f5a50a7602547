"""Paths of two distributions, and modules of the application that a distribution hides."""

import pytest

from dockless.errors import LayerError
from dockless.python_layers.distribution import Distribution, DistributionFile
from dockless.python_layers.ownership import hidden_modules, omitted_files


def distribution(name: str, **files: str) -> Distribution:
    return Distribution(
        name,
        "1.0",
        tuple(
            DistributionFile(f"site-packages/{path.replace('__py', '.py')}", 1, content)
            for path, content in files.items()
        ),
    )


README = "site-packages/README"
A, B = distribution("a", README="1"), distribution("b", README="2")


def test_the_same_bytes_are_no_conflict():
    assert omitted_files([A, distribution("b", README="1")], {}) == {}


def test_different_bytes_are_an_error_that_names_both():
    with pytest.raises(LayerError) as caught:
        omitted_files([B, A], {})
    assert str(caught.value) == (
        "the distributions a and b have different files at /opt/venv/site-packages/README; "
        'name the distribution that provides the file: {"/opt/venv/site-packages/README": "a"}'
    )


def test_another_executable_bit_is_a_conflict():
    executable = Distribution("b", "1.0", (DistributionFile(README, 1, "1", True),))
    with pytest.raises(LayerError, match="different files"):
        omitted_files([A, executable], {})


@pytest.mark.parametrize(("owner", "loser"), [("a", "b"), ("B", "a")])
@pytest.mark.parametrize("path", [README, "site-packages/"])
def test_the_owner_of_a_path(path, owner, loser):
    assert omitted_files([A, B], {path: owner}) == {loser: (README,)}
    assert omitted_files([B, A], {path: owner}) == {loser: (README,)}


def test_the_owner_must_be_one_of_them():
    with pytest.raises(LayerError, match="different files"):
        omitted_files([A, B], {README: "c"})


def test_three_distributions():
    three = [A, B, distribution("c", README="3")]
    assert omitted_files(three, {README: "c"}) == {"a": (README,), "b": (README,)}
    assert omitted_files([*three, distribution("d", README="2")], {README: "b"}) == {"a": (README,), "c": (README,)}


def test_an_owner_without_effect_is_an_error():
    with pytest.raises(LayerError, match="no two distributions have different files at /opt/venv/bin/x"):
        omitted_files([A], {"bin/x": "a"})


def test_a_file_and_a_directory():
    below = Distribution("b", "1.0", (DistributionFile(f"{README}/x", 1, "1"),))
    with pytest.raises(LayerError, match="is a file of the distribution a and a directory of b"):
        omitted_files([A, below], {})


def top(*paths: str) -> Distribution:
    return Distribution("lib", "1.0", tuple(DistributionFile(f"site-packages/{path}", 1, "") for path in paths))


@pytest.mark.parametrize(
    ("own", "paths", "count"),
    [
        ("utils.py", ["utils/__init__.py"], 1),
        ("utils/__init__.py", ["utils.cpython-311-x86_64-linux-gnu.so"], 1),
        ("utils/a.py", ["utils/__init__.py"], 1),
        ("utils/__init__.py", ["utils/b.py"], 1),
        ("utils/a.py", ["utils/b.py"], 0),
        ("utils/a.py", ["other/__init__.py", "utils.txt"], 0),
        ("docs/a.txt", ["docs/__init__.py"], 0),
    ],
)
def test_hidden_modules(own, paths, count):
    assert len(hidden_modules([own], [top(*paths)])) == count
