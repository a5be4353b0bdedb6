"""Several processes do what one does."""

import multiprocessing
import pickle

import joblib
import numpy as np
import pytest

from ricsk import RICEncryptor, SealedEncryptor, SecretKey
from ricsk.base import Part
from ricsk.encryptors import _parallel
from ricsk.exceptions import TooLargeError
from ricsk.images import check_images
from tests.encryptors.test_sizes import CLASSIFIER, IMAGES, KEY, OTHER, make_image, same

pytestmark = pytest.mark.usefixtures("workers_end")

BATCH = np.stack([make_image(16, 16) for _ in range(5)])
ENCRYPTORS = [
    SealedEncryptor(KEY, CLASSIFIER, kappa=0, bit_planes=5),
    RICEncryptor(KEY, CLASSIFIER, kappa=0),
]
every_encryptor = pytest.mark.parametrize("encryptor", ENCRYPTORS, ids=lambda e: type(e).__name__)


@every_encryptor
def test_two_processes_give_the_bytes_of_one(encryptor, capfd):
    encryptor.set_params(n_jobs=None, verbose=0).fit(IMAGES)
    C, mixed = encryptor.transform(IMAGES[1:3]), encryptor.transform(IMAGES)
    plain = encryptor.inverse_transform(mixed)
    encryptor.set_params(n_jobs=2, verbose=1)
    np.testing.assert_array_equal(encryptor.transform(IMAGES[1:3]), C)
    assert same(encryptor.transform(IMAGES), mixed)
    assert same(encryptor.inverse_transform(mixed), plain)
    shown = capfd.readouterr().err
    assert "6/6" in shown
    assert "image/s" in shown
    encryptor.set_params(n_jobs=None, verbose=0)


@every_encryptor
@pytest.mark.parametrize("backend", ["multiprocessing", "threading"])
def test_joblib_says_how_many_where_the_encryptor_does_not(encryptor, backend, monkeypatch):
    C = encryptor.fit(BATCH).transform(BATCH)
    asked = []

    def spy(*args, **kwargs):
        asked.append(kwargs["n_workers"])
        return _parallel.compute_in_parallel(*args, **kwargs)

    monkeypatch.setattr("ricsk.encryptors._guided.compute_in_parallel", spy)
    encryptor.transform(BATCH)
    assert asked == []
    with joblib.parallel_config(backend=backend, n_jobs=2):
        np.testing.assert_array_equal(encryptor.transform(BATCH), C)
    assert asked == [2]


@every_encryptor
def test_a_fitted_encryptor_goes_to_a_process_that_is_spawned(encryptor):
    C = encryptor.fit(BATCH).transform(BATCH[:2])
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        found = pool.apply(encryptor.transform, (BATCH[:2],))
    np.testing.assert_array_equal(found, C)


def test_templates_are_made_once_before_the_work_is_dealt_out(monkeypatch):
    encryptor = RICEncryptor(KEY, CLASSIFIER, kappa=0, n_jobs=2).fit(BATCH)
    sent = []

    def look(compute, task, parts, **kwargs):
        sent.append(pickle.loads(pickle.dumps(compute.__self__)).templates_.levels.keys())
        return compute(task, parts)

    monkeypatch.setattr("ricsk.encryptors._guided.compute_in_parallel", look)
    C = encryptor.transform(BATCH)
    labels = {CLASSIFIER.predict(image[np.newaxis])[0] for image in BATCH}
    assert {encryptor.classes_[label] for label, *_ in sent[0]} == labels
    encryptor.templates_.levels.clear()
    encryptor.inverse_transform(C)
    assert sent[1] == sent[0]


def test_a_key_from_a_file_is_sent_as_its_path(tmp_path):
    path = tmp_path / "key"
    key = SecretKey.generate()
    key.save(path)
    raw = key.derive("test")  # what a process can do with the key that it finds there
    encryptor = SealedEncryptor(path, CLASSIFIER, kappa=0).fit(BATCH)
    sent = pickle.dumps(encryptor._compute_here)
    assert str(path).encode() in sent
    assert pickle.loads(sent).__self__.key_.derive("test") == raw
    path.unlink()
    with pytest.raises(FileNotFoundError):
        pickle.loads(sent).__self__.key_.derive("test")


def test_errors_and_warnings_name_the_places_in_what_was_given():
    encryptor = SealedEncryptor(KEY, CLASSIFIER, kappa=0, bit_planes=5, n_jobs=2).fit(BATCH)
    noise = np.random.default_rng(0).integers(0, 256, BATCH[0].shape, np.uint8)
    with pytest.raises(TooLargeError, match=r"do not fit.*: X\[4\], "):
        encryptor.transform(np.stack([*BATCH[:4], noise]))
    other = RICEncryptor(KEY, CLASSIFIER, kappa=0, n_jobs=2).fit(BATCH)
    C = other.transform(BATCH)
    with pytest.warns(UserWarning, match=r"X\[.\] was not encrypted") as caught:
        other.with_key(OTHER).inverse_transform(C)
    assert {warning.filename for warning in caught} == {__file__}
    assert any("X[4]" in str(warning.message) for warning in caught)


def test_lots_hold_all_images_in_order():
    sizes = (3, 1, 4)
    parts = [
        Part(
            (i + 4, 4, 3),
            check_images(np.full((n, i + 4, 4, 3), i, np.uint8)),
            np.arange(10 * i, 10 * i + n),
        )
        for i, n in enumerate(sizes)
    ]
    for n_lots in (1, 3, 8, 20):
        lots = _parallel._deal(parts, n_lots)
        assert len(lots) == min(n_lots, 8)
        positions = np.concatenate([part.positions for _, lot in lots for part in lot])
        assert positions.tolist() == [0, 1, 2, 10, 20, 21, 22, 23]
        for owners, lot in lots:
            for owner, part in zip(owners, lot, strict=True):
                assert part.batch.pixels.shape == (len(part.positions), owner + 4, 4, 3)
                assert (part.batch.pixels == owner).all()
