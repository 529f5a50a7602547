import pytest

from dockless.errors import InvalidDocumentError, InvalidValueError
from dockless.oci.platform import Platform


@pytest.mark.parametrize(
    "text, normal",
    [
        ("linux/amd64", "linux/amd64"),
        ("linux/x86_64", "linux/amd64"),
        ("linux/x86-64", "linux/amd64"),
        ("Linux/AMD64", "linux/amd64"),
        ("linux/amd64/v1", "linux/amd64"),
        ("linux/amd64/v2", "linux/amd64/v2"),
        ("linux/aarch64", "linux/arm64"),
        ("linux/arm64/v8", "linux/arm64"),
        ("linux/arm64/8", "linux/arm64"),
        ("linux/arm64/v9", "linux/arm64/v9"),
        ("linux/arm", "linux/arm/v7"),
        ("linux/armhf", "linux/arm/v7"),
        ("linux/armel", "linux/arm/v6"),
        ("linux/arm/6", "linux/arm/v6"),
        ("linux/i386", "linux/386"),
        ("macos/arm64", "darwin/arm64"),
        ("windows/amd64", "windows/amd64"),
    ],
)
def test_platforms_have_one_normal_form(text, normal):
    assert str(Platform.parse(text)) == normal


@pytest.mark.parametrize(
    "text", ["", "linux", "amd64", "linux/arm64/v8/x", "linux/", "/amd64", "linux/vax", "os2/amd64", "linux/a b"]
)
def test_invalid_platforms_are_refused(text):
    with pytest.raises(InvalidValueError, match="such as linux/amd64"):
        Platform.parse(text)


def test_matching_is_by_normal_form():
    assert Platform("linux", "arm64", "v8").matches(Platform("linux", "aarch64"))
    assert not Platform("linux", "arm", "v6").matches(Platform("linux", "arm"))
    assert Platform("windows", "amd64", "", "10.0.1").matches(Platform("windows", "amd64"))
    assert not Platform("windows", "amd64", "", "10.0.1").matches(Platform("windows", "amd64", "", "10.0.2"))
    assert Platform("linux", "amd64").matches(None)


def test_platforms_in_documents():
    found = Platform.from_json({"os": "windows", "architecture": "amd64", "os.version": "10.0"}, "x")
    assert found == Platform("windows", "amd64", "", "10.0")
    assert found.to_json() == {"os": "windows", "architecture": "amd64", "os.version": "10.0"}
    for wrong in ("linux/amd64", {"os": 3}, []):
        with pytest.raises(InvalidDocumentError):
            Platform.from_json(wrong, "x")
