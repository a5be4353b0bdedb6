import os
import stat

import pytest

from ricsk._atomic import open_whole, write_whole


@pytest.fixture(params=[0o022, 0o077])
def umask(request):
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def mode_of(path):
    return stat.S_IMODE(path.stat().st_mode)


def test_a_file_is_written_and_replaced(tmp_path):
    path = tmp_path / "file"
    for data in (b"first", b"", b"third" * 100_000):
        write_whole(path, data)
        assert path.read_bytes() == data
    write_whole(str(path), b"text path")
    assert path.read_bytes() == b"text path"
    assert os.listdir(tmp_path) == ["file"]


@pytest.mark.parametrize("name", ["x" * 255, "ä" * 127, " "])
def test_any_name_that_a_file_may_have(name, tmp_path):
    write_whole(tmp_path / name, b"content")
    assert os.listdir(tmp_path) == [name]


@pytest.mark.parametrize("step", ["fsync", "replace"])
@pytest.mark.parametrize("error", [OSError("no space left on device"), KeyboardInterrupt()])
def test_an_interrupted_write_leaves_the_old_file(step, error, tmp_path, monkeypatch):
    path = tmp_path / "file"
    write_whole(path, b"old")

    def fail(*_):
        raise error

    monkeypatch.setattr(os, step, fail)
    with pytest.raises(type(error)):
        write_whole(path, b"new")
    assert path.read_bytes() == b"old"
    with pytest.raises(type(error)):
        write_whole(tmp_path / "another", b"new")
    assert os.listdir(tmp_path) == ["file"]


def test_the_mode_is_never_wider_than_asked(umask, tmp_path):
    path = tmp_path / "file"
    write_whole(path, b"content")
    assert mode_of(path) == 0o666 & ~umask
    for mode in (0o600, 0o640):
        path = tmp_path / oct(mode)
        write_whole(path, b"content", mode=mode)
        assert mode_of(path) == mode & ~umask


def test_what_was_closed_to_others_stays_closed(tmp_path):
    path = tmp_path / "file"
    write_whole(path, b"content")
    path.chmod(0o600)
    write_whole(path, b"changed")
    assert mode_of(path) == 0o600


def test_a_link_stays_a_link(tmp_path):
    (tmp_path / "folder").mkdir()
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "folder" / "file")
    for data in (b"first", b"second"):
        write_whole(link, data)
        assert (tmp_path / "folder" / "file").read_bytes() == data
    assert link.is_symlink()
    assert sorted(os.listdir(tmp_path)) == ["folder", "link"]


def test_what_is_no_place_for_a_file_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"there is no folder '.*none'.*'file'"):
        write_whole(tmp_path / "none" / "file", b"content")
    with pytest.raises(IsADirectoryError, match="is a folder"):
        write_whole(tmp_path, b"content")
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(FileExistsError, match="is not a file"):
        write_whole(tmp_path / "pipe", b"content")
    assert os.listdir(tmp_path) == ["pipe"]


@pytest.fixture(params=[True, False], ids=["links", "no links"])
def links(request, monkeypatch):
    """Whether the file system has links."""

    def fail(*_):
        raise OSError("operation not supported")

    if not request.param:
        monkeypatch.setattr(os, "link", fail)


def test_a_file_appears_at_the_end(links, tmp_path):
    path = tmp_path / "file"
    with open_whole(path) as file:
        file.write(b"content")
        assert not path.exists()
    assert path.read_bytes() == b"content"
    assert os.listdir(tmp_path) == ["file"]


def test_nothing_is_overwritten_unless_asked(links, tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"old")
    with pytest.raises(FileExistsError, match="overwrite=True"), open_whole(path):
        pytest.fail("opened")
    with pytest.raises(FileExistsError, match="overwrite=True"):
        write_whole(path, b"new", overwrite=False)
    assert path.read_bytes() == b"old"
    with open_whole(path, overwrite=True) as file:
        file.write(b"new")
    assert path.read_bytes() == b"new"


def test_a_file_that_comes_meanwhile_is_not_overwritten(links, tmp_path):
    path = tmp_path / "file"

    def write():
        with open_whole(path) as file:
            file.write(b"late")
            path.write_bytes(b"early")

    with pytest.raises(FileExistsError, match="overwrite=True"):
        write()
    assert path.read_bytes() == b"early"
    assert os.listdir(tmp_path) == ["file"]


@pytest.mark.parametrize("overwrite", [True, False])
def test_an_error_while_writing_leaves_nothing(overwrite, tmp_path):
    def write():
        with open_whole(tmp_path / "file", overwrite=overwrite) as file:
            file.write(b"half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write()
    assert os.listdir(tmp_path) == []
