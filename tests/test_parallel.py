"""Work on a cluster of Dask: the same bytes, keys that stay, and workers that die."""

import os
import signal

import joblib
import numpy as np
import pytest
from dask import config
from distributed import Client, LocalCluster
from distributed.comm import tcp
from PIL import Image
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression

from ricsk import RICEncryptor, SealedEncryptor, SecretKey
from ricsk.datasets import load_digits
from ricsk.exceptions import KeyReferenceError
from ricsk.files import decrypt_folder, encrypt_folder

RAW = bytes(range(32))
X, Y = load_digits(size=32)
X, Y = X[:300].reshape(300, -1), Y[:300]


class Arriving(LogisticRegression):
    """A classifier that writes down in which processes it has arrived."""

    def __setstate__(self, state):
        super().__setstate__(state)
        with open(os.environ["ARRIVED"], "a") as file:
            file.write(f"{os.getpid()}\n")


@pytest.fixture(scope="module")
def arrived(tmp_path_factory):
    path = tmp_path_factory.mktemp("arrived") / "pids"
    os.environ["ARRIVED"] = str(path)
    yield path
    del os.environ["ARRIVED"]


@pytest.fixture(scope="module")
def client(arrived):
    """A cluster of two processes, which hear of nothing but what is sent to them."""
    options = {"n_workers": 2, "threads_per_worker": 1, "dashboard_address": ":0"}
    settings = config.set({"distributed.worker.memory.spill": False})
    with settings, LocalCluster(**options) as cluster, Client(cluster) as client:
        yield client


@pytest.fixture(scope="module")
def key(tmp_path_factory):
    return SecretKey(RAW).save(tmp_path_factory.mktemp("keys") / "images.key")


@pytest.fixture(scope="module")
def classifier(arrived):
    return FrozenEstimator(Arriving(max_iter=50, tol=1e-2).fit(X, Y))


@pytest.fixture
def sent(monkeypatch):
    """What this process sends to the cluster, as bytes."""
    found, write = [], tcp.TCP.write

    async def look(self, msg, *args, **kwargs):
        frames = await tcp.to_frames(msg, *args, **{**kwargs, "allow_offload": False})
        found.extend(bytes(frame) for frame in frames)
        return await write(self, msg, *args, **kwargs)

    monkeypatch.setattr(tcp.TCP, "write", look)
    return found


def make(scheme, key, classifier):
    return scheme(key, classifier, image_shape=(32, 32), kappa=0).fit(X[:50])


@pytest.mark.parametrize("scheme", [SealedEncryptor, RICEncryptor])
def test_the_cluster_makes_the_bytes_that_one_process_makes(scheme, client, key, classifier):
    encryptor = make(scheme, key, classifier)
    C = encryptor.transform(X[100:120])
    with joblib.parallel_config(backend="dask"):
        np.testing.assert_array_equal(encryptor.transform(X[100:120]), C)
        found = encryptor.inverse_transform(C)
    np.testing.assert_array_equal(found, encryptor.inverse_transform(C))


def test_no_key_travels_and_the_classifier_goes_once_to_each(
    client, key, classifier, arrived, sent
):
    encryptor = make(SealedEncryptor, key, classifier)
    encryptor.transform(X[100:104])  # templates
    arrived.write_text("")
    with joblib.parallel_config(backend="dask"):
        encryptor.transform(X[100:120])
    workers = set(map(str, client.run(os.getpid).values()))
    pids = [pid for pid in arrived.read_text().split() if pid != str(os.getpid())]
    assert {*pids} == workers
    assert len(pids) == len(workers)
    assert any(b"coef_" in frame for frame in sent)
    assert any(X[100].tobytes()[300:400] in frame for frame in sent)  # which have to travel
    assert not any(RAW in frame or RAW.hex().encode() in frame for frame in sent)
    client.submit(len, [SecretKey(RAW)]).result()  # or it would not have been seen
    assert any(RAW in frame for frame in sent)


def test_a_key_that_is_in_memory_alone_does_not_travel(client, classifier, tmp_path):
    encryptor = make(SealedEncryptor, SecretKey(RAW), classifier)
    (tmp_path / "plain").mkdir()
    with joblib.parallel_config(backend="dask"):
        with pytest.raises(KeyReferenceError, match=r"^SecretKey\(key_id=.* Save it, put the file"):
            encryptor.transform(X[100:120])
        with pytest.raises(KeyReferenceError, match="in memory alone"):
            list(encrypt_folder(tmp_path / "plain", tmp_path / "sealed", key=SecretKey(RAW)))


def test_a_killed_worker_loses_no_file(client, key, tmp_path):
    plain, sealed, back = (tmp_path / name for name in ("plain", "sealed", "back"))
    plain.mkdir()
    rng = np.random.default_rng(0)
    for i in range(70):  # five lots
        pixels = rng.integers(0, 256, (12, 12, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(plain / f"{i:02}.png")
    with joblib.parallel_config(backend="dask"):
        results = encrypt_folder(plain, sealed, key=key, resume=True)
        found = [next(results)]
        os.kill(min(client.run(os.getpid).values()), signal.SIGKILL)
        found += list(results)
        client.wait_for_workers(2)
        opened = list(decrypt_folder(sealed, back, key))
    assert {result.status for result in found} <= {"done", "skipped"}
    assert len(found) == 70
    assert {result.status for result in opened} == {"done"}
    for path in plain.iterdir():
        assert (back / path.name).read_bytes() == path.read_bytes()
