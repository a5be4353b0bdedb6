"""Keys as text: what is read, and what is said of the rest."""

import codecs

import pytest

from ricsk.exceptions import KeyFileError
from ricsk.keys import SecretKey
from tests.keys.leaks import SECRET, SECRET_TEXT, assert_no_secret
from tests.keys.reference import RAW

TEXT = SecretKey(RAW).reveal()


def in_file(content, tmp_path):
    path = tmp_path / "k"
    path.touch(0o600)
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    "content",
    [
        TEXT,
        f"\r\n# note\r\n  {TEXT}  \r\n",
        f"# old\r{TEXT}\r",
        f"\ufeff# saved by an editor\n{TEXT}\n",
        f"# clé, 鍵\n{TEXT}\n",
    ],
)
def test_readable_texts(content, tmp_path, monkeypatch):
    assert SecretKey.from_file(in_file(content.encode(), tmp_path)) == SecretKey(RAW)
    monkeypatch.setenv("RICSK_TEST_KEY", content)
    assert SecretKey.from_env("RICSK_TEST_KEY") == SecretKey(RAW)
    assert SecretKey.from_text(content) == SecretKey(RAW)


@pytest.mark.parametrize("content", [TEXT, f"# clé, 鍵\r\n{TEXT}\r\n", f"\n{TEXT}"])
@pytest.mark.parametrize("order", ["le", "be"])
@pytest.mark.parametrize("width", ["16", "32"])
@pytest.mark.parametrize("marked", [True, False])
def test_files_that_an_editor_saved_in_wide_characters(content, order, width, marked, tmp_path):
    mark = getattr(codecs, f"BOM_UTF{width}_{order.upper()}") if marked else b""
    path = in_file(mark + content.encode(f"utf-{width}-{order}"), tmp_path)
    assert SecretKey.from_file(path) == SecretKey(RAW)


@pytest.mark.parametrize("encoding", ["latin-1", "cp1252", "shift-jis", "mac-roman"])
def test_comments_in_other_encodings_do_no_harm(encoding, tmp_path):
    comment = "# 鍵" if encoding == "shift-jis" else "# clé"
    path = in_file(f"{comment}\n{TEXT}\n".encode(encoding), tmp_path)
    assert SecretKey.from_file(path) == SecretKey(RAW)


FAULTS = {
    "": "is empty",
    " \r\n\n": "is empty",
    "\ufeff": "is empty",
    "# only a comment": "comments, but no key",
    f"{TEXT}\n{TEXT}": "one line with a key, but holds 2 lines",
    f"{TEXT[:30]}\n{TEXT[30:]}": "holds 2 lines",
    RAW.hex(): "does not hold a ricsk key",
    f'"{TEXT}"': "does not hold a ricsk key",
    TEXT.lower(): "does not hold a ricsk key",
    TEXT.replace("KEY-1", "KEY-2"): "newer version",
    TEXT.replace("KEY-1", "KEY-12"): "newer version",
    TEXT[:-1]: "damaged",
    TEXT + "A": "damaged",
    TEXT[:-1] + ("A" if TEXT[-1] != "A" else "B"): "damaged",
    TEXT[:20] + ("A" if TEXT[20] != "A" else "B") + TEXT[21:]: "damaged",
    TEXT + "." + "0" * 32: "damaged",
    TEXT + ".0": "damaged",
    TEXT + "é": "damaged",
    TEXT[:20] + "\x01" + TEXT[20:]: "damaged",
    "\x01\x02": "UTF-8, UTF-16 or UTF-32",
}


@pytest.mark.parametrize(("content", "message"), FAULTS.items())
def test_faults_of_texts(content, message, tmp_path, monkeypatch):
    with pytest.raises(KeyFileError, match=f"the key file '.*k' .*{message}"):
        SecretKey.from_file(in_file(content.encode(), tmp_path))
    monkeypatch.setenv("RICSK_TEST_KEY", content)
    with pytest.raises(KeyFileError, match=f"the environment variable RICSK_TEST_KEY .*{message}"):
        SecretKey.from_env("RICSK_TEST_KEY")
    with pytest.raises(KeyFileError, match=f"the text given .*{message}"):
        SecretKey.from_text(content)


FAULTS_OF_FILES = {
    "raw": (RAW, "UTF-8, UTF-16 or UTF-32"),
    "other raw": (SECRET, r"SecretKey\(raw\)"),
    "zeros": (bytes(200), "UTF-8"),
    "picture": (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "UTF-8"),
    "EBCDIC": (f"# note\n{TEXT}\n".encode("cp037"), "encoding"),
    "damaged UTF-16": (codecs.BOM_UTF16_LE + TEXT.encode("utf-16-le")[:-1], "damaged"),
    "latin-1 in the key": (TEXT.encode() + b"\xe9", "damaged"),
}


@pytest.mark.parametrize(("content", "message"), FAULTS_OF_FILES.values(), ids=FAULTS_OF_FILES)
def test_faults_of_files(content, message, tmp_path):
    with pytest.raises(KeyFileError, match=message):
        SecretKey.from_file(in_file(content, tmp_path))


@pytest.mark.parametrize(
    "content",
    [
        SECRET,
        SECRET.hex().encode(),
        SECRET_TEXT.encode("utf-16")[:-1],
        SECRET_TEXT.replace("-1-", "-2-").encode(),
        SECRET_TEXT.encode() + b"\xff",
        SECRET_TEXT[:-1].encode(),
        SECRET_TEXT.encode() * 2,
        SECRET_TEXT.encode() + b"\n" + SECRET_TEXT.encode(),
        b"# " + SECRET_TEXT.encode(),
    ],
)
def test_errors_hold_the_text_nowhere(content, tmp_path, monkeypatch):
    """Not in messages, nor in the local variables of their tracebacks."""
    path = in_file(content, tmp_path)
    monkeypatch.setenv("RICSK_TEST_KEY", content.decode("latin-1").replace("\0", ""))
    for read, given in [
        (SecretKey.from_file, path),
        (SecretKey.coerce, path),
        (SecretKey.from_env, "RICSK_TEST_KEY"),
        (SecretKey.from_text, content.decode("latin-1")),
    ]:
        with pytest.raises(KeyFileError) as caught:
            read(given)
        assert_no_secret(caught.value)
