"""`python -m ricsk.cloud.serve`, and the files that it reads."""

import json
import logging
import pickle
import re
import signal
import subprocess
import sys

import httpx
import joblib
import numpy as np
import onnx
import pytest
import skops.io
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from ricsk import EtCEncryptor, PrivateClassifier, SecretKey, export_onnx
from ricsk._onnx import CLASSES
from ricsk.cloud import CloudHalf, RemoteClassifier, RemoteIndex
from ricsk.cloud.serve import JSONFormatter, load_model, main
from ricsk.search import ImageIndex
from tests.cloud.serving import NETWORK, TEXTS, X


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "digits.skops"
    skops.io.dump(CloudHalf(NETWORK), path)
    return path


def test_skops_files_are_read(path):
    np.testing.assert_array_equal(load_model(path).predict(X), NETWORK.predict(X))


def test_skops_files_with_other_types_are_read_if_they_are_trusted(tmp_path):
    path = tmp_path / "encryptor.skops"
    skops.io.dump(EtCEncryptor(SecretKey(bytes(range(32)))), path)
    with pytest.raises(ValueError, match=r"not trusted: ricsk\.encryptors\.EtCEncryptor, ricsk\.k"):
        load_model(path)
    trusted = ["ricsk.encryptors.EtCEncryptor"]
    with pytest.raises(ValueError, match=r"not trusted: ricsk\.keys\.SecretKey\."):
        load_model(path, trusted=trusted)
    loaded = load_model(path, trusted=[*trusted, "ricsk.keys.SecretKey"])
    assert isinstance(loaded, EtCEncryptor)


@pytest.mark.parametrize("suffix", ["joblib", "pickle", "pkl", "PKL"])
def test_pickles_are_read_if_they_are_allowed(tmp_path, suffix):
    path = tmp_path / f"digits.{suffix}"
    joblib.dump(CloudHalf(NETWORK), path)
    with pytest.raises(ValueError, match=r"can run any code .* --allow-pickle"):
        load_model(path)
    np.testing.assert_array_equal(
        load_model(path, allow_pickle=True).predict(X), NETWORK.predict(X)
    )


def test_other_files_are_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no file '.*nothing\.skops'"):
        load_model(tmp_path / "nothing.skops")
    (tmp_path / "model.txt").write_text("")
    with pytest.raises(ValueError, match=r"model\.txt is not a model file"):
        load_model(tmp_path / "model.txt")
    (tmp_path / "model.onnx").write_bytes(b"no")
    with pytest.raises(ValueError, match=r"model\.onnx cannot be read as an ONNX file"):
        load_model(tmp_path / "model.onnx")


def test_damaged_files_are_refused(tmp_path, path):
    damaged = tmp_path / "damaged.skops"
    for data in (b"", path.read_bytes()[:-30], path.read_bytes().replace(b"skops", b"skips")):
        damaged.write_bytes(data)
        with pytest.raises(ValueError, match=r"damaged\.skops cannot be read as a file of skops"):
            load_model(damaged)


def test_files_of_something_else_are_refused(tmp_path):
    skops.io.dump([1], path := tmp_path / "list.skops")
    with pytest.raises(ValueError, match=r"list\.skops cannot be read"):
        load_model(path)


@pytest.mark.parametrize("classes", ["[", "{}", "[]", '[["a"]]', '["a", 1]'])
def test_onnx_files_with_other_classes_are_refused(tmp_path, classes):
    export_onnx(NETWORK, path := tmp_path / "model.onnx")
    model = onnx.load(path)
    onnx.helper.set_model_props(model, {CLASSES: classes})
    onnx.save(model, path)
    with pytest.raises(ValueError, match=r"model\.onnx (cannot be read|was not written)"):
        load_model(path)


def test_onnx_models_refuse_other_images_in_words(tmp_path):
    export_onnx(NETWORK, path := tmp_path / "model.onnx")
    with pytest.raises(ValueError, match=r"cannot compute labels of images of shape \(2, 2, 3\)"):
        load_model(path).predict(X[:3, :2, :2])


def start(*arguments):
    """Start the command in a process of its own; gives it, and its address."""
    process = subprocess.Popen(
        [sys.executable, "-m", "ricsk.cloud.serve", *map(str, arguments), "--port", "0"],
        stderr=subprocess.PIPE,
        text=True,
    )
    lines = []
    for line in process.stderr:
        lines.append(line)
        found = re.search(r"http://127\.0\.0\.1:\d+", line)
        if found:
            return process, found[0]
    raise AssertionError("".join(lines))


def test_the_command_serves_until_it_is_told_to_stop(path):
    encryptor = EtCEncryptor(SecretKey(bytes(range(32))), block_size=4)
    private = PrivateClassifier(encryptor, LogisticRegression()).fit(X / 255, TEXTS)
    skops.io.dump(private.cloud_half(), path.with_name("private.skops"))
    photos = path.with_name("photos.index")
    options = ("--index", photos, "--writable", "--max-images", 3)
    process, url = start(f"a={path}", path, path.with_name("private.skops"), *options)
    try:
        assert httpx.get(f"{url}/v2/health/ready").status_code == 200
        tensor = {"name": "images", "datatype": "UINT8", "shape": [2, 8, 8, 3]}
        tensor["data"] = X[:2].ravel().tolist()
        for name in ("a", "digits"):
            answer = httpx.post(f"{url}/v2/models/{name}/infer", json={"inputs": [tensor]})
            assert answer.json()["outputs"][0]["data"] == NETWORK.predict(X[:2]).tolist()
        tensor |= {"shape": [4, 8, 8, 3], "data": X[:4].ravel().tolist()}
        answer = httpx.post(f"{url}/v2/models/a/infer", json={"inputs": [tensor]})
        assert answer.status_code == 413
        remote = RemoteClassifier(url, "private", batch_size=3)
        client = make_pipeline(private.client_half(), remote)
        np.testing.assert_array_equal(client.predict(X / 255), private.predict(X / 255))
        expected = private.predict_proba(X / 255)
        np.testing.assert_allclose(client.predict_proba(X / 255), expected, rtol=1e-5, atol=1e-6)
        remote.close()
        with RemoteIndex(url, "photos", batch_size=3) as remote:
            remote.add(X, range(12))
        process.send_signal(signal.SIGTERM)
        _, rest = process.communicate(timeout=60)
    finally:
        process.kill()
        process.communicate()
    assert process.returncode in (0, -signal.SIGTERM)
    lines = [json.loads(line) for line in rest.splitlines()]  # no line is anything else
    requests = [line for line in lines if line["message"] == "request"]
    assert {line["model"] for line in requests[4:]} == {"private", "photos"}
    requests = requests[:4]
    assert [line["status"] for line in requests] == [200, 200, 200, 413]
    assert requests[1]["n_images"] == 2
    assert "stopped" in [line["message"] for line in lines]
    with ImageIndex(CloudHalf(NETWORK), photos) as index:
        np.testing.assert_array_equal(index.query(X, k=1).images, X[:, np.newaxis])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nothing.skops"], "there is no file 'nothing.skops'"),
        (["{path}", "{path}"], "two models are called 'digits'"),
        (["a b={path}"], "'a b' cannot be the name of a model"),
        (["{path}", "--max-images", "0"], "max_images=0"),
        (["{path}", "--index", "nothing.index"], "no file 'nothing.index'. Make it by --writable"),
        (["{path}", "--index", "digits={path}"], "two things are called 'digits'"),
        (["{path}", "--index", "a={path}"], "is not an index of images"),
    ],
)
def test_mistakes_end_in_one_line(path, capsys, arguments, words):
    with pytest.raises(SystemExit):
        main([argument.format(path=path) for argument in arguments])
    assert words in capsys.readouterr().err


def test_a_key_is_not_served(tmp_path, capsys):
    path = tmp_path / "whole.joblib"
    encryptor = EtCEncryptor(SecretKey(bytes(range(32))), block_size=4)
    whole = LogisticRegression().fit(X.reshape(12, -1), np.arange(12) % 2)
    whole.encryptor = encryptor
    path.write_bytes(pickle.dumps(whole))
    with pytest.raises(SystemExit):
        main([str(path), "--allow-pickle"])
    assert "there is a EtCEncryptor in this" in capsys.readouterr().err


def test_logged_errors_have_no_text():
    try:
        raise RuntimeError("a pixel of 0.25")
    except RuntimeError:
        record = logging.LogRecord("a", 40, "", 0, "failed", (), sys.exc_info())
    line = json.loads(JSONFormatter().format(record))
    assert line["error"] == "RuntimeError"
    assert "0.25" not in str(line)


def test_the_service_loads_neither_keys_nor_encryptors_nor_torch():
    program = "import sys, ricsk.cloud.serve, ricsk.cloud._app; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True
    ).stdout.split()
    assert "ricsk.cloud.serve" in loaded
    assert [
        name for name in loaded if re.match(r"ricsk\.(keys|encryptors|base)\b|torch$", name)
    ] == []
