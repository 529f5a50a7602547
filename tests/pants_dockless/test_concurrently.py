import gc
import warnings
from contextlib import contextmanager

import pytest

# The layers of one image, so that their rules run concurrently.
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
    """Fail on warnings about coroutines, which are raised in finalizers and therefore cannot be caught."""
    raised = []
    monkeypatch.setattr("sys.unraisablehook", raised.append)
    # Objects of earlier tests are not collected, which would take long and raise their warnings.
    gc.freeze()
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        yield
        gc.collect()
    assert not raised, [str(one.exc_value) for one in raised]


@pytest.mark.parametrize(
    "layers, message",
    [
        # One fails before the others have started, while they wait for the engine, or in a process.
        ([":f", ":good", ":wrong"], "the target app:f has the type `file`, not `image_layer`"),
        ([":good", ":f", ":wrong"], "the target app:f has the type `file`, not `image_layer`"),
        ([":good", ":wrong", ":refused"], "the path 'relative' is not absolute"),
        ([":good", ":without", ":refused"], "app:missing"),
        ([":good", ":refused"], "/nothing"),
    ],
)
def test_other_coroutines_are_closed_when_one_fails(backend, monkeypatch, layers, message):
    backend.write_files({"app/f.txt": "f", "app/BUILD": BUILD.replace("LAYERS", repr(layers))})
    with warnings_are_errors(monkeypatch):
        assert message in backend.error_line(lambda: backend.package("app:image"))


def test_warnings_about_coroutines_are_detected(monkeypatch):
    async def forgotten():
        pass

    with pytest.raises(AssertionError, match="was never awaited"), warnings_are_errors(monkeypatch):
        forgotten()
