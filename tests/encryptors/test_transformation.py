import pickle
import subprocess
import sys
import textwrap

import joblib
import numpy as np
import pytest
import skops.io
import torch
from sklearn.ensemble import RandomForestClassifier
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline
from torch.utils.data import TensorDataset

from ricsk import CNNClassifier, PrivateClassifier, TransformationNetworkEncryptor
from ricsk.datasets import load_digits
from ricsk.encryptors.transformation import _training as training
from ricsk.metrics import encryption_scores
from ricsk.nae import view_classifier
from ricsk.nn.transformation import TransformationUNet
from ricsk.nn.vgg_features import VGGFeatures, load_features
from ricsk.training import OwnRandomness
from tests.classifiers.test_fitted import FORMS

X, Y = load_digits(size=16)
X_TRAIN, Y_TRAIN, X, Y = X[:600], Y[:600], X[600:630], Y[600:630]


def flat(images):
    return images.reshape(len(images), -1) / 255


LINEAR = FrozenEstimator(LogisticRegression(max_iter=500).fit(flat(X_TRAIN), Y_TRAIN))
CNN = FrozenEstimator(
    CNNClassifier(width=4, depth=1, epochs=1, random_state=0).fit(X_TRAIN[:60], Y_TRAIN[:60])
)


def encryptor(**parameters):
    defaults = {
        "classifier": LINEAR,
        "width": 2,
        "epochs": 1,
        "batch_size": 16,
        "random_state": 0,
        "image_shape": (16, 16),
    }
    return TransformationNetworkEncryptor(**{**defaults, **parameters})


def fit(**parameters):
    """Fit just enough that there is a network."""
    return encryptor(**parameters).fit(flat(X_TRAIN[:60]), Y_TRAIN[:60])


@pytest.fixture(scope="module")
def fitted():
    return fit()


@pytest.fixture(scope="module")
def protected(fitted):
    return fitted.transform(flat(X))


def distance(images, others):
    """Mean squared distance of the shipped features, what alpha weighs."""
    network = load_features("small")
    tensors = (torch.tensor(a).float().reshape(-1, 1, 16, 16) for a in (images, others))
    first, second = (network(tensor) for tensor in tensors)
    return float((first - second).square().mean())


def test_the_classifier_still_reads_and_alpha_moves_the_features_away():
    distances = []
    for alpha in (0.0, 0.3):
        protect = encryptor(alpha=alpha, margin=None, epochs=4).fit(
            flat(X_TRAIN[:400]), Y_TRAIN[:400]
        )
        C = protect.transform(flat(X))
        assert LINEAR.score(C, Y) > 0.6
        distances.append(distance(C, flat(X)))
    assert distances[1] > 1.1 * distances[0]


def test_beyond_the_margin_nothing_is_gained():
    """At each place of an image: one that is far off does not make up for another."""
    scores, labels = torch.zeros(1, 10), torch.tensor([0])
    distances = torch.tensor([[[0.2, 5.0]]])
    without = float(training._Loss(0.0, None)((scores, distances), labels))
    for margin, counted in ((None, 2.6), (1.0, 0.6)):
        loss = float(training._Loss(0.5, margin)((scores, distances), labels))
        assert loss == pytest.approx(without - 0.5 * counted)


def test_distances_are_those_of_each_place():
    features, network = load_features("small"), TransformationUNet(1, width=2).eval()
    view = view_classifier(LINEAR, value_range=(0, 1)).float()
    images = torch.from_numpy(X[:3])
    with torch.inference_mode():
        _, distances = training._ProtectAndRead(network, view, features, None)(images)
        x = images.permute(0, 3, 1, 2) / 255
        apart = (features(network(x)) - features(x)).square()
    assert distances.shape == (3, 8, 8)
    torch.testing.assert_close(distances, apart.mean(dim=1))


def test_the_margin_is_that_of_the_training():
    """With one that every image exceeds, the features count for nothing."""
    C = fit(alpha=5.0, margin=1e-9).transform(flat(X))
    np.testing.assert_array_equal(C, fit(alpha=0.0).transform(flat(X)))
    assert not np.array_equal(C, fit(alpha=5.0, margin=None).transform(flat(X)))


def test_the_published_training_is_gradient_descent_in_steps(monkeypatch):
    rates, step = [], torch.optim.SGD.step

    def recorded(self, *args, **kwargs):
        rates.append(self.param_groups[0]["lr"])
        return step(self, *args, **kwargs)

    monkeypatch.setattr(torch.optim.SGD, "step", recorded)
    fit(optimizer="sgd", learning_rate=0.1, epochs=5)
    assert rates[::4] == pytest.approx([0.1, 0.1, 0.02, 0.004, 0.0008])


def test_the_classifier_stays_what_it_was():
    before = [LINEAR.coef_.copy(), LINEAR.intercept_.copy()]
    fit()
    np.testing.assert_array_equal(LINEAR.coef_, before[0])
    np.testing.assert_array_equal(LINEAR.intercept_, before[1])


def test_there_is_no_key_and_no_way_back(fitted):
    assert "key" not in fitted.get_params()
    assert not hasattr(fitted, "key_")
    assert not hasattr(fitted, "inverse_transform")
    with pytest.raises(AttributeError) as caught:
        fitted.inverse_transform  # noqa: B018 (asking for it is what must fail)
    assert "RICEncryptor" in str(caught.value.__cause__)


def test_protected_images_have_256_levels(protected):
    levels = protected * 255
    np.testing.assert_allclose(levels, np.rint(levels), atol=1e-9)
    assert levels.min() >= 0
    assert levels.max() <= 255


def test_floats_and_uint8_agree():
    images = encryptor(classifier=CNNClassifier(width=4, depth=1, epochs=1), image_shape=None)
    C = images.fit(X_TRAIN[:60], Y_TRAIN[:60]).transform(X)
    assert C.dtype == np.uint8
    assert C.shape == X.shape
    np.testing.assert_allclose(images.transform(X / 255), C / 255, atol=1e-12)


def test_other_images_of_the_batch_change_nothing(fitted, protected):
    for i in (0, 7, 29):
        np.testing.assert_array_equal(fitted.transform(flat(X[[i]])), protected[[i]])
    np.testing.assert_array_equal(fitted.transform(flat(X[::-1])), protected[::-1])


def test_another_process_with_other_threads_makes_the_same(fitted, protected, tmp_path):
    joblib.dump((fitted, flat(X)), tmp_path / "sent")
    script = f"""
        import joblib, numpy as np, torch
        torch.set_num_threads(3)
        encryptor, X = joblib.load({str(tmp_path / "sent")!r})
        parts = [encryptor.transform(X[i : i + 7]) for i in range(0, len(X), 7)]
        np.save({str(tmp_path / "back.npy")!r}, np.concatenate(parts))
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(script)], check=True)
    np.testing.assert_array_equal(np.load(tmp_path / "back.npy"), protected)


@pytest.mark.parametrize("copy", ["pickle", "skops"])
def test_copies_transform_alike(fitted, protected, copy):
    if copy == "pickle":
        other = pickle.loads(pickle.dumps(fitted))
    else:
        dumped = skops.io.dumps(fitted)
        untrusted = skops.io.get_untrusted_types(data=dumped)
        assert all(name.startswith("ricsk.") for name in untrusted)
        other = skops.io.loads(dumped, trusted=untrusted)
    np.testing.assert_array_equal(other.transform(flat(X)), protected)


def test_a_seed_means_the_same_and_leaves_torchs_generator_alone(protected):
    state = torch.get_rng_state()
    again = fit().transform(flat(X))
    assert torch.equal(torch.get_rng_state(), state)
    np.testing.assert_array_equal(again, protected)
    assert not np.array_equal(fit(random_state=1).transform(flat(X)), protected)


def test_the_epoch_with_the_least_validation_loss_is_kept():
    """Held out are images with wrong labels, so that learning makes it worse."""
    torch.manual_seed(0)
    labels = torch.from_numpy(LINEAR.predict(flat(X_TRAIN[:64])))
    images = torch.from_numpy(X_TRAIN[:64])
    data, held_out = TensorDataset(images, labels), TensorDataset(images, (labels + 1) % 10)
    view = view_classifier(LINEAR, value_range=(0, 1)).float()
    features = load_features("small")
    network = TransformationUNet(1, width=2)
    history = training.train(
        network,
        data,
        held_out,
        view=view,
        features=features,
        alpha=0.0,
        margin=None,
        augment=False,
        optimizer="sgd",
        epochs=6,
        batch_size=16,
        learning_rate=0.1,
        device=torch.device("cpu"),
        randomness=OwnRandomness(0),
        verbose=0,
    )
    losses = [epoch["valid_loss"] for epoch in history]
    assert np.argmin(losses) < 5
    module = training._ProtectAndRead(network, view, features, None).eval()
    with torch.inference_mode():
        loss = training._Loss(0.0, None)(module(held_out.tensors[0]), held_out.tensors[1])
    assert float(loss) == pytest.approx(min(losses), rel=1e-4)


def test_without_labels_a_frozen_classifiers_predictions_stand_in():
    predicted = LINEAR.predict(flat(X_TRAIN[:60]))
    unsupervised = encryptor().fit(flat(X_TRAIN[:60]))
    supervised = encryptor().fit(flat(X_TRAIN[:60]), predicted)
    np.testing.assert_array_equal(unsupervised.transform(flat(X)), supervised.transform(flat(X)))


@pytest.mark.parametrize("shape", [(1, 5), (17, 33)])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("augment", [False, True])
def test_images_of_any_size(shape, channels, augment):
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (12, *shape, channels), np.uint8)
    labels = np.arange(12) % 2
    classifier = LogisticRegression()
    protect = TransformationNetworkEncryptor(classifier, width=1, epochs=1, augment=augment)
    assert protect.fit(images, labels).transform(images).shape == images.shape


@pytest.mark.parametrize("form", ["reversed channels", "Fortran order", "big-endian integers"])
def test_images_may_be_in_memory_as_they_like(form, tmp_path):
    images = FORMS[form](X_TRAIN[:40].reshape(-1, 16, 16, 1), tmp_path)
    plain = np.array(images, images.dtype.newbyteorder("="), order="C")
    found, expected = (
        TransformationNetworkEncryptor(CNN, width=1, epochs=1, random_state=0).fit(given)
        for given in (images, plain)
    )
    np.testing.assert_array_equal(found.transform(images), expected.transform(plain))


def test_parameters_set_after_fit_change_nothing(fitted, protected):
    changed = pickle.loads(pickle.dumps(fitted)).set_params(
        classifier=None, width=5, image_shape=(8, 32), value_range=(-3, 3), device="cuda:7"
    )
    for other in (changed, pickle.loads(pickle.dumps(changed))):
        np.testing.assert_array_equal(other.transform(flat(X)), protected)


def test_alpha_is_searched_in_a_pipeline():
    pipeline = Pipeline([("enc", encryptor()), ("clf", LINEAR)])
    search = GridSearchCV(
        pipeline, {"enc__alpha": [0.0, 1.0]}, scoring=encryption_scores, refit=False, cv=2
    ).fit(flat(X_TRAIN[:40]), Y_TRAIN[:40])
    for name in ("prediction_agreement", "noise_likeness_score"):
        assert np.isfinite(search.cv_results_[f"mean_test_{name}"]).all()
    assert "mean_test_recovery_psnr" not in search.cv_results_


def test_private_classifier_keeps_its_classifier_for_both():
    private = PrivateClassifier(encryptor(classifier=None), LINEAR)
    private.fit(flat(X_TRAIN[:60]), Y_TRAIN[:60])
    assert private.classifier_.estimator is LINEAR.estimator
    C = private.client_half().transform(flat(X))
    np.testing.assert_array_equal(private.cloud_half().predict(C), private.predict(flat(X)))
    assert not hasattr(private, "decrypt")


def test_classifiers_without_gradients_are_refused():
    forest = RandomForestClassifier(5)
    with pytest.raises(TypeError, match=r"no differentiable view of RandomForest"):
        encryptor(classifier=forest).fit(flat(X_TRAIN), Y_TRAIN)


def test_labels_that_the_classifier_does_not_know_are_refused():
    with pytest.raises(ValueError, match=r"does not know: \[11\]"):
        encryptor().fit(flat(X_TRAIN), np.where(Y_TRAIN == 1, 11, Y_TRAIN))
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        encryptor().fit(flat(X_TRAIN), Y_TRAIN[:-1])


def test_a_training_that_diverges_says_so():
    with pytest.raises(ValueError, match=r"diverged.*learning_rate=1e\+30"):
        fit(learning_rate=1e30)


def test_vgg16_is_read_from_where_torchvision_keeps_it(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    published = TransformationNetworkEncryptor.as_published(LINEAR)
    published.set_params(image_shape=(16, 16), width=1, epochs=1)
    with pytest.raises(FileNotFoundError, match=r"torchvision\.models\.vgg16"):
        published.fit(flat(X_TRAIN[:20]), Y_TRAIN[:20])
    (tmp_path / "checkpoints").mkdir()
    network = VGGFeatures(64)
    weights = {f"features.{name}": w for name, w in network.layers.state_dict().items()}
    weights["classifier.0.bias"] = torch.zeros(3)
    torch.save(weights, tmp_path / "checkpoints" / "vgg16-397923af.pth")
    x = torch.rand(2, 3, 16, 16)
    torch.testing.assert_close(load_features("vgg16")(x), network(x))
    published.fit(flat(X_TRAIN[:20]), Y_TRAIN[:20])


def test_the_shipped_features_tell_photographs_apart():
    """Two photographs are about 1 apart; the same under faint noise much less."""
    rng = np.random.default_rng(0)
    assert distance(flat(X), np.clip(flat(X) + rng.normal(0, 0.01, flat(X).shape), 0, 1)) < 0.05
    assert 0.2 < distance(flat(X)[::2], flat(X)[1::2]) < 5
