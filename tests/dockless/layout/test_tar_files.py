import gzip
import io
import tarfile

import pytest
from made_images import tar_of

from dockless.errors import LayoutError
from dockless.tar.index import TarFiles


def test_files_are_read_at_their_offset(tmp_path):
    (tmp_path / "t").write_bytes(tar_of({"./a": b"1" * 1000, "b/c": b"2"}))
    with TarFiles(str(tmp_path / "t")) as files:
        assert list(files) == ["a", "b/c"]
        with files.open("a") as first, files.open("./b/c") as second:
            assert (first.read(10), second.read(), first.read()) == (b"1" * 10, b"2", b"1" * 990)
            first.seek(998)
            assert first.read() == b"11"
        assert (files.size("a"), files.size("no")) == (1000, None)


@pytest.mark.parametrize("compress", [gzip.compress, lambda data: pytest.importorskip("zstandard").compress(data)])
def test_a_compressed_tar(tmp_path, compress):
    (tmp_path / "t").write_bytes(compress(tar_of({"a": b"x" * 5000})))
    with TarFiles(str(tmp_path / "t")) as files, files.open("a") as file:
        assert file.read() == b"x" * 5000


def linked(tmp_path, *links):
    buffer = io.BytesIO(tar_of({"real/f": b"x"}))
    with tarfile.open(fileobj=buffer, mode="a") as tar:
        for name, kind, target in links:
            member = tarfile.TarInfo(name)
            member.type, member.linkname = kind, target
            tar.addfile(member)
    (tmp_path / "t").write_bytes(buffer.getvalue())
    return TarFiles(str(tmp_path / "t"))


def test_links_within_the_tar_are_followed(tmp_path):
    with linked(tmp_path, ("l/s", tarfile.SYMTYPE, "../real/f"), ("h", tarfile.LNKTYPE, "real/f")) as files:
        assert files.open("l/s").read() == files.open("h").read() == b"x"
        assert files.resolved("l/s") == "real/f"


def test_dangling_links(tmp_path):
    links = [("a", tarfile.SYMTYPE, "b"), ("b", tarfile.SYMTYPE, "a"), ("out", tarfile.SYMTYPE, "../../etc/passwd")]
    with linked(tmp_path, *links) as files:
        with pytest.raises(LayoutError, match="is a link that leads to itself"):
            files.open("a")
        with pytest.raises(LayoutError, match="has no file"):
            files.open("out")


def test_a_duplicate_name_is_an_error(tmp_path):
    first = tar_of({"a": b"1"})[:1024]
    (tmp_path / "t").write_bytes(first + tar_of({"a": b"2", "b": b"3"}))
    with TarFiles(str(tmp_path / "t")) as files:
        assert files.open("b").read() == b"3"
        with pytest.raises(LayoutError, match="has a twice"):
            files.open("a")


def test_names_with_parent_directories_are_not_files(tmp_path):
    (tmp_path / "t").write_bytes(tar_of({"../x": b"1"}))
    with TarFiles(str(tmp_path / "t")) as files, pytest.raises(LayoutError, match="has no file x"):
        files.open("x")


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (tar_of({"a": b"x" * 5000})[:3000], "is truncated"),
        (b"PK\3\4" + b"x" * 600, "wrong checksum"),
        (gzip.compress(tar_of({"a": b""}), mtime=0)[:-10], "is truncated"),
        (b"BZh91AY" + b"x" * 600, "bzip2"),
    ],
)
def test_files_that_are_not_tar_archives(tmp_path, data, reason):
    (tmp_path / "t").write_bytes(data)
    with pytest.raises(LayoutError, match=reason):
        TarFiles(str(tmp_path / "t"))


def test_a_missing_file(tmp_path):
    with pytest.raises(LayoutError, match="No such file"):
        TarFiles(str(tmp_path / "no"))
    with pytest.raises(LayoutError, match="directory"):
        TarFiles(str(tmp_path))
