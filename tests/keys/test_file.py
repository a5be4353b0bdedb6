"""Key files on disk."""

import builtins
import os
import stat
import warnings

import pytest

from ricsk.exceptions import KeyFileError, KeyFileNotFoundError
from ricsk.keys import SecretKey
from tests.keys.leaks import SECRET, SECRET_TEXT, assert_no_secret

POSIX = pytest.mark.skipif(os.name != "posix", reason="owners, modes and pipes are POSIX's")


# Writing


def test_saved_key_is_read_back(tmp_path, passphrase_key):
    for name, key in [("a", SecretKey.generate()), ("b", passphrase_key)]:
        saved = key.save(tmp_path / name)
        assert repr(saved) == f"SecretKey(key_id='{key.key_id}', source='file')"
        assert saved == SecretKey.from_file(tmp_path / name) == key
        content = (tmp_path / name).read_text("ascii").splitlines()
        assert [line for line in content if not line.startswith("#")] == [key.reveal()]
        assert f"# Key id: {key.key_id}" in content


@POSIX
def test_saved_key_is_for_its_owner_only(tmp_path):
    path = tmp_path / "k"
    before = os.umask(0)
    try:
        SecretKey.generate().save(path)
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_save_never_overwrites(tmp_path):
    path = tmp_path / "k"
    path.write_text("mine")
    with pytest.raises(FileExistsError, match="never overwritten"):
        SecretKey.generate().save(path)
    assert path.read_text() == "mine"


def test_save_never_overwrites_a_file_that_comes_between(tmp_path, monkeypatch):
    path = tmp_path / "k"
    sync = os.fsync

    def sync_and_write(descriptor):
        path.write_text("mine")
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", sync_and_write)
    with pytest.raises(FileExistsError, match="never overwritten"):
        SecretKey.generate().save(path)
    assert path.read_text() == "mine"
    assert list(tmp_path.iterdir()) == [path]


def test_saved_file_is_whole_when_it_appears(tmp_path, monkeypatch):
    path = tmp_path / "k"
    sync, replace, seen = os.fsync, os.replace, []

    def look_and_sync(descriptor):
        seen.append(path.exists())
        sync(descriptor)

    def look_and_replace(part, target):
        with open(part, encoding="ascii") as file:
            seen.append(file.read())
        replace(part, target)

    monkeypatch.setattr(os, "fsync", look_and_sync)
    monkeypatch.setattr(os, "replace", look_and_replace)
    SecretKey.generate().save(path)
    assert seen == [False, path.read_text("ascii")]
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("step", ["write", "fsync", "claim", "replace"])
@pytest.mark.parametrize("error", [OSError("no space left"), KeyboardInterrupt()])
def test_failed_save_leaves_nothing(step, error, tmp_path, monkeypatch):
    path = tmp_path / "k"
    opened = os.open

    def fail(*args, **kwargs):
        raise error

    def fail_at_path(target, *args, **kwargs):
        return fail() if target == str(path) else opened(target, *args, **kwargs)

    places = {
        "write": (builtins, "open", fail),
        "fsync": (os, "fsync", fail),
        "claim": (os, "open", fail_at_path),
        "replace": (os, "replace", fail),
    }
    monkeypatch.setattr(*places[step])
    with pytest.raises(type(error)) as caught:
        SecretKey(SECRET).save(path)
    monkeypatch.undo()
    assert list(tmp_path.iterdir()) == []
    assert_no_secret(caught.value)


def test_errors_of_saving_hold_the_text_nowhere(tmp_path):
    (tmp_path / "k").touch()
    for path in (tmp_path / "k", tmp_path, tmp_path / "none" / "k", "", 3, None, b"k"):
        with pytest.raises((OSError, TypeError, ValueError)) as caught:
            SecretKey(SECRET).save(path)
        assert_no_secret(caught.value)


def test_folder_to_save_in_must_be_there(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no folder '.*none'.*make it first"):
        SecretKey.generate().save(tmp_path / "none" / "k")
    assert list(tmp_path.iterdir()) == []


def test_save_in_the_current_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    key = SecretKey.generate()
    assert key.save("k") == SecretKey.from_file(tmp_path / "k") == key


# What is no path


@pytest.mark.parametrize(
    ("path", "error", "message"),
    [
        (None, TypeError, "path must be .* got NoneType"),
        (3, TypeError, "path must be .* got int"),  # would be an open file's number
        (True, TypeError, "path must be .* got bool"),
        (b"k", TypeError, "path must be .* got bytes"),
        (["k"], TypeError, "path must be .* got list"),
        ("", ValueError, "path is empty"),
        ("a\0b", ValueError, "path contains a NUL"),
    ],
)
def test_paths_that_are_none(path, error, message):
    for use in (SecretKey.from_file, SecretKey.generate().save):
        with pytest.raises(error, match=message):
            use(path)


# Reading


def test_files_that_are_not_there(tmp_path):
    for path in (tmp_path / "none", str(tmp_path / "none"), "x" * 5000, "\udc80", "\ud800"):
        with pytest.raises(KeyFileNotFoundError, match="there is no key file") as caught:
            SecretKey.from_file(path)
        assert_no_secret(caught.value)
    with pytest.raises(KeyFileNotFoundError, match=r"not the path.*SecretKey\.from_text"):
        SecretKey.from_file(SECRET_TEXT)


def test_missing_file_is_an_os_error_and_a_value_error():
    assert issubclass(KeyFileNotFoundError, FileNotFoundError)
    assert issubclass(KeyFileNotFoundError, ValueError)


@POSIX
def test_what_is_not_a_file_is_not_opened(tmp_path, monkeypatch):
    """Opening a pipe would wait for a writer."""
    os.mkfifo(tmp_path / "pipe")
    monkeypatch.setattr(builtins, "open", lambda *args, **kwargs: pytest.fail("opened"))
    for path, kind in [(tmp_path / "pipe", "pipe"), ("/dev/null", "device"), (tmp_path, "folder")]:
        with pytest.raises(KeyFileError, match=kind):
            SecretKey.from_file(path)


def test_huge_file_is_not_read(tmp_path):
    path = tmp_path / "k"
    with open(path, "wb") as file:
        file.truncate(2**40)
    with pytest.raises(KeyFileError, match=f"has {2**40} bytes"):
        SecretKey.from_file(path)


@POSIX
@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o602, 0o644, 0o666])
def test_file_that_is_open_to_others_draws_a_warning(mode, tmp_path):
    path = tmp_path / "k"
    SecretKey.generate().save(path)
    path.chmod(mode)
    with pytest.warns(UserWarning, match=r"may read or change .* chmod 600") as warned:
        SecretKey.from_file(path)
    assert [warning.filename for warning in warned] == [__file__]


def owned_by(uid):
    real = os.fstat

    def fstat(descriptor):
        info = list(real(descriptor)[:10])
        info[stat.ST_UID] = uid
        return os.stat_result(info)

    return fstat


@POSIX
def test_file_of_another_user_draws_a_warning(tmp_path, monkeypatch):
    path = tmp_path / "k"
    SecretKey.generate().save(path)
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(os, "fstat", owned_by(1001))
    with pytest.warns(UserWarning, match="belongs to another user") as warned:
        SecretKey.from_file(path)
    assert [warning.filename for warning in warned] == [__file__]
    for uid in (1000, 0):
        monkeypatch.setattr(os, "fstat", owned_by(uid))
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            SecretKey.from_file(path)
