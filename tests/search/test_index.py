"""`ImageIndex`: what it finds, what it refuses, and what is left of it in a file."""

import sqlite3
import sys
import threading

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from ricsk.exceptions import NewerFormatError
from ricsk.search import ImageIndex
from ricsk.search._store import Store
from tests.search.readers import OtherReader, Reader, X, normalized


@pytest.fixture
def index():
    with ImageIndex(Reader()) as index:
        yield index


def test_the_nearest_are_found(index):
    index.add(X)
    found = index.query(X[:5], k=7)
    vectors = normalized(Reader().transform(X))
    distances = 1 - vectors[:5] @ vectors.T
    np.testing.assert_array_equal(found.ids, np.argsort(distances, axis=1)[:, :7])
    np.testing.assert_allclose(found.distances, np.sort(distances, axis=1)[:, :7], atol=1e-6)
    for ids, images in zip(found.ids, found.images, strict=True):
        np.testing.assert_array_equal(np.stack(images), X[ids])
    again = index.query_features(Reader().transform(X[:5]), k=7)
    np.testing.assert_array_equal(again.ids, found.ids)
    assert len(found) == 5


def test_an_empty_index_finds_nothing(index):
    found = index.query(X[:3])
    assert found.ids.shape == found.distances.shape == (3, 0)
    assert found.images == [[], [], []]
    assert (len(index), index.n_features, index.ids.tolist()) == (0, None, [])
    assert index.remove([1]) == 0


def test_a_small_index_finds_what_there_is(index):
    index.add(X[:3])
    assert sorted(index.query(X[:1], k=10).ids[0].tolist()) == [0, 1, 2]
    assert index.query(X[:1], k=10).ids.shape == (1, 3)


def test_ids_go_on(index):
    assert index.add(X[:2]).tolist() == [0, 1]
    assert index.add(X[2:4], [7, 5]).tolist() == [7, 5]
    assert index.add(X[4:5]).tolist() == [8]
    assert index.ids.tolist() == [0, 1, 7, 5, 8]
    assert 7 in index
    assert 6 not in index


def test_texts_are_ids(index):
    index.add(X[:2], ["a.png", "ö.png"])
    assert index.query(X[1:2], k=1).ids.tolist() == [["ö.png"]]
    for ids in (None, [1, 2], ["c", 3]):
        with pytest.raises(TypeError, match="texts"):
            index.add(X[2:4], ids)
    assert len(index) == 2


def test_what_is_there_already_is_passed_over(index):
    index.add(X[:3], ["a", "b", "c"])
    index.add(X[:4], ["a", "b", "c", "d"])
    assert index.ids.tolist() == ["a", "b", "c", "d"]
    with pytest.raises(ValueError, match="'b' is there with another image"):
        index.add(X[5:7], ["e", "b"])
    assert "e" not in index
    with pytest.raises(ValueError, match="comes twice"):
        index.add(X[5:7], ["e", "e"])
    with pytest.raises(ValueError, match="2 images and 1 ids"):
        index.add(X[5:7], ["e"])
    assert len(index) == 4


def test_what_was_removed_is_not_found(index):
    index.add(X)
    assert index.remove([0, 3, 3, 99]) == 2
    found = index.query(X[[0, 3]], k=58)
    assert not np.isin(found.ids, [0, 3]).any()
    assert found.ids.shape == (2, 58)
    index.add(X[10:11], [3])
    assert index.query(X[10:11], k=2).ids.tolist() in ([[3, 10]], [[10, 3]])
    index.remove(index.ids)
    assert len(index) == 0
    assert index.query(X[:1]).ids.shape == (1, 0)
    index.add(X[:1])
    assert index.query(X[:1]).ids.shape == (1, 1)


def test_few_that_are_left_of_many_are_found(index):
    index.add(X)
    index.remove(range(2, 60))
    assert sorted(index.query(X[5:6], k=2).ids[0].tolist()) == [0, 1]


def test_images_of_several_sizes(index):
    images = [X[0], X[1, :4], X[2, :, :, 0], X[3]]
    index.add(images)
    found = index.query(images, k=1)
    assert found.ids[:, 0].tolist() == [0, 1, 2, 3]
    assert [row[0].shape for row in found.images] == [(8, 8, 3), (4, 8, 3), (8, 8, 1), (8, 8, 3)]
    np.testing.assert_array_equal(found.images[2][0][..., 0], images[2])


@pytest.mark.parametrize(
    ("images", "words"),
    [
        (X[:2] / 255, "dtype float64; expected 8-bit"),
        (X[:2, :, :, :2], r"shape \(8, 8, 2\)"),
        (X[:0], "there is no image"),
        (X[:2].reshape(2, -1), r"shape \(192,\)"),
    ],
)
def test_other_images_are_refused(index, images, words):
    for method in (index.add, index.query):
        with pytest.raises(ValueError, match=words):
            method(images)
    assert len(index) == 0


@pytest.mark.parametrize("ids", [[None], [1.5], [True], [2**63], ["a\n"], [b"a"]])
def test_other_ids_are_refused(index, ids):
    with pytest.raises(TypeError, match="cannot be an id"):
        index.add(X[:1], ids)


def test_one_text_is_no_list_of_ids(index):
    with pytest.raises(TypeError, match="expected a list"):
        index.add(X[:3], "abc")


def test_other_vectors_are_refused(index):
    index.add(X[:3])
    for features, words in [
        (np.ones((2, 3)), "3 features; the index has 4"),
        (np.ones(4), r"shape \(4,\)"),
        (np.full((1, 4), np.nan), "not finite"),
        (np.full((1, 4), 1e300), "not finite"),
    ]:
        with pytest.raises(ValueError, match=words):
            index.query_features(features)
    for k in (0, 1.5, None):
        with pytest.raises(ValueError, match="expected a whole number"):
            index.query(X[:1], k)


def test_a_classifier_without_features_is_refused():
    with pytest.raises(TypeError, match="LogisticRegression has no features"):
        ImageIndex(LogisticRegression())


def test_a_file_keeps_all(tmp_path):
    path = tmp_path / "photos.index"
    with ImageIndex(Reader(), path) as index:
        index.add(X[:20], [f"{i}.png" for i in range(20)])
        index.remove(["3.png"])
        expected = index.query(X[:5])
    with ImageIndex(Reader(), path) as index:
        assert len(index) == 19
        found = index.query(X[:5])
        np.testing.assert_array_equal(found.ids, expected.ids)
        np.testing.assert_array_equal(found.images, expected.images)
        index.add(X[20:21], ["20.png"])
    with ImageIndex(Reader(), str(path)) as index:
        assert "20.png" in index


def test_numbers_and_texts_stay_apart_in_a_file(tmp_path):
    for ids in ([1, 2], ["1", "2"]):
        path = tmp_path / f"{ids[0]!r}"
        with ImageIndex(Reader(), path) as index:
            index.add(X[:2], ids)
        with ImageIndex(Reader(), path) as index:
            assert index.ids.tolist() == ids


def test_another_classifier_is_noticed(tmp_path):
    path = tmp_path / "photos.index"
    with ImageIndex(Reader(), path) as index:
        index.add(X[:3])
    with pytest.raises(ValueError, match="filled by another classifier"):
        ImageIndex(OtherReader(), path)
    ImageIndex(Reader(), path).close()


def test_one_process_has_a_file_to_itself(tmp_path):
    path = tmp_path / "photos.index"
    with ImageIndex(Reader(), path), pytest.raises(OSError, match="another process has it open"):
        ImageIndex(Reader(), path)


def test_a_change_that_fails_changes_nothing(tmp_path, monkeypatch):
    path = tmp_path / "photos.index"
    with ImageIndex(Reader(), path) as index:
        index.add(X[:3])

        def fail(*_):
            raise MemoryError

        with monkeypatch.context() as patch:
            patch.setattr(type(index._graph), "add", fail)
            with pytest.raises(MemoryError):
                index.add(X[3:6])
        with monkeypatch.context() as patch:
            patch.setattr(index._store, "put", fail)
            with pytest.raises(MemoryError):
                index.add(X[3:6])
        assert len(index) == 3
        assert index.query(X[4:5]).ids.shape == (1, 3)
        assert index.add(X[3:6]).tolist() == [3, 4, 5]
    with ImageIndex(Reader(), path) as index:
        assert len(index) == 6


def test_other_files_are_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="there is no folder"):
        ImageIndex(Reader(), tmp_path / "nothing" / "photos.index")
    with pytest.raises(OSError, match="cannot be used"):
        ImageIndex(Reader(), tmp_path)
    path = tmp_path / "notes.txt"
    path.write_bytes(b"notes" * 300)
    with pytest.raises(ValueError, match=r"notes\.txt' is not an index of images"):
        ImageIndex(Reader(), path)
    assert path.read_bytes() == b"notes" * 300


def change(path, statement, *values):
    connection = sqlite3.connect(path)
    with connection:
        connection.execute(statement, values)
    connection.close()


@pytest.mark.parametrize(
    ("statement", "error", "words"),
    [
        ("PRAGMA user_version=2", NewerFormatError, "has the format 2"),
        ("PRAGMA application_id=1", ValueError, "another database"),
        ("UPDATE image SET vector='text' WHERE key=1", ValueError, "damaged"),
        ("UPDATE image SET vector=x'0000' WHERE key=2", ValueError, "damaged"),
        ("UPDATE image SET vector=x'0000c07f0000c07f0000c07f0000c07f'", ValueError, "damaged"),
        ("UPDATE image SET id=1.5 WHERE key=1", ValueError, "damaged"),
        ("UPDATE image SET id='a' WHERE key=1", ValueError, "damaged"),
        ("UPDATE image SET file='text'", ValueError, "damaged"),
        ("UPDATE image SET file=x'00'", ValueError, "cannot read the image"),
        ("DROP TABLE image", ValueError, "no such table"),
        ("UPDATE image SET id=CAST(x'ff' AS TEXT) WHERE key=1", ValueError, "damaged"),
    ],
)
def test_a_file_is_not_trusted(tmp_path, statement, error, words):
    path = tmp_path / "photos.index"
    with ImageIndex(Reader(), path) as index:
        index.add(X[:3])
    change(path, statement)
    with pytest.raises(error, match=words):
        ImageIndex(Reader(), path)


def test_a_row_that_its_key_does_not_find():
    with pytest.raises(ValueError, match="damaged"):
        Store(None).read_files([7])


def test_an_id_that_comes_twice(tmp_path):
    path = tmp_path / "photos.index"
    with ImageIndex(Reader(), path) as index:
        index.add(X[:2])
    connection = sqlite3.connect(path)
    connection.executescript(
        "ALTER TABLE image RENAME TO old; CREATE TABLE image (key INTEGER PRIMARY KEY, id, vector, "
        "file); INSERT INTO image SELECT key, 7, vector, file FROM old"
    )
    connection.close()
    with pytest.raises(ValueError, match="damaged"):
        ImageIndex(Reader(), path)


def test_threads_share_an_index(index):
    def work(start):
        for i in range(start, start + 10):
            index.add(X[i : i + 1], [i])
            assert index.query(X[i : i + 1], k=1).ids[0, 0] == i

    threads = [threading.Thread(target=work, args=[start]) for start in range(0, 40, 10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(index.ids.tolist()) == list(range(40))


def test_it_says_what_it_is(index):
    index.add(X[:3])
    assert repr(index) == "<ImageIndex of 3 images>"
    assert index.n_features == 4


def test_usearch_is_asked_for_where_it_is_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "usearch.index", None)
    with pytest.raises(ImportError, match=r"ricsk\[search\]"):
        ImageIndex(Reader())
