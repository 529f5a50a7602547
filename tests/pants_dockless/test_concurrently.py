import gc
import warnings
from contextlib import contextmanager

import pytest

# Of one image, so that the rules of its layers run side by side.
BUILD = """
file(name="f", source="f.txt")
file(name="missing", source="missing.txt")
image_layer(name="good", dependencies=[":f"])
image_layer(name="wrong", dependencies=[":f"], directory="relative")
image_layer(name="without", dependencies=[":missing"])
image_layer(name="refused", dependencies=[":f"], modes={"/nothing": "0755"})
container_image(name="image", layers=LAYERS, dependencies=[":f"])
"""


@contextmanager
def warnings_are_errors(monkeypatch):
    """Warnings about coroutines are raised where nobody catches them, in a finalizer: they are errors all the same."""
    raised = []
    monkeypatch.setattr("sys.unraisablehook", raised.append)
    # Those of tests before this one.
    gc.collect()
    raised.clear()
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        yield
        gc.collect()
    assert not raised, [str(one.exc_value) for one in raised]


@pytest.mark.parametrize(
    "layers, said",
    [
        # Before any other has begun, while others wait for the engine, and in a process.
        ([":f", ":good", ":wrong"], "the target app:f has the type `file`, not `image_layer`"),
        ([":good", ":f", ":wrong"], "the target app:f has the type `file`, not `image_layer`"),
        ([":good", ":wrong", ":refused"], "the path 'relative' is not absolute"),
        ([":good", ":without", ":refused"], "app:missing"),
        ([":good", ":refused"], "/nothing"),
    ],
)
def test_when_one_of_several_fails_the_others_are_closed(backend, monkeypatch, layers, said):
    backend.write_files({"app/f.txt": "f", "app/BUILD": BUILD.replace("LAYERS", repr(layers))})
    with warnings_are_errors(monkeypatch):
        assert said in backend.refusal(lambda: backend.package("app:image"))


def test_the_check_sees_a_coroutine_that_is_never_awaited(monkeypatch):
    async def forgotten():
        pass

    with pytest.raises(AssertionError, match="was never awaited"), warnings_are_errors(monkeypatch):
        forgotten()
