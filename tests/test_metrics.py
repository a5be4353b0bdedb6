import importlib.abc
import pickle
import sys
import types
from functools import partial

import numpy as np
import pytest
import torch
from skimage.metrics import peak_signal_noise_ratio, structural_similarity
from sklearn.ensemble import RandomForestClassifier
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer

from ricsk import EtCEncryptor, JPEGCodec, PixelEncryptor, RICEncryptor, SecretKey
from ricsk.datasets import load_digits
from ricsk.metrics import (
    AgreementAfter,
    accuracy_drop,
    cast_to_bfloat16,
    correlation,
    encryption_scores,
    least_margin,
    lpips,
    noise_likeness_score,
    perceptual_distance,
    prediction_agreement,
    psnr,
    recovery_psnr,
    resize_and_back,
    ssim,
)
from ricsk.nn.vgg_features import load_features

rng = np.random.default_rng(0)
KEY = SecretKey(bytes(range(32)))
SCORERS = {
    "psnr": recovery_psnr,
    "agreement": prediction_agreement,
    "noise": noise_likeness_score,
}


@pytest.fixture(scope="module")
def digits():
    X, y = load_digits(size=16)
    return X.reshape(len(X), -1) / 255, y


@pytest.fixture(scope="module")
def trained_on_plain(digits):
    return FrozenEstimator(LogisticRegression(max_iter=200).fit(*digits))


@pytest.mark.parametrize("shape", [(3, 8, 9, 3), (3, 8, 9), (3, 72)])
def test_psnr_is_that_of_scikit_image(shape):
    X, Y = rng.integers(0, 256, (2, *shape), dtype=np.uint8)
    expected = [peak_signal_noise_ratio(x, y) for x, y in zip(X, Y, strict=True)]
    np.testing.assert_allclose(psnr(X, Y), expected)
    np.testing.assert_allclose(psnr(X / 255, Y / 255), expected)


def test_psnr_of_equal_images_is_infinite():
    assert psnr(np.ones((2, 4, 4, 1)), np.ones((2, 4, 4, 1))).tolist() == [np.inf, np.inf]


@pytest.mark.parametrize("metric", [psnr, ssim, perceptual_distance])
def test_what_cannot_be_compared_is_refused(metric):
    with pytest.raises(ValueError, match="cannot be compared"):
        metric(np.zeros((2, 14, 14)), np.zeros((2, 14, 15)))
    for images in (
        (np.zeros((2, 14, 14)), np.full((2, 14, 14), 255.0)),
        2 * (np.full((1, 14, 14), 2.0),),
    ):
        with pytest.raises(ValueError, match="outside of the range 0 to 1"):
            metric(*images)


@pytest.mark.parametrize("shape", [(11, 11, 3), (17, 30, 3), (40, 23, 1)])
def test_ssim_is_that_of_scikit_image(shape):
    X = rng.integers(0, 256, (4, *shape), dtype=np.uint8)
    Y = np.clip(X + rng.normal(0, [[[[3]]], [[[30]]], [[[90]]], [[[0]]]], X.shape), 0, 255)
    Y = Y.astype(np.uint8)
    X[3] = Y[3] = 0  # equal and black, where an epsilon in the denominator would show
    expected = [
        structural_similarity(
            x,
            y,
            win_size=11,
            gaussian_weights=True,
            sigma=1.5,
            use_sample_covariance=False,
            channel_axis=-1,
            data_range=255,
        )
        for x, y in zip(X, Y, strict=True)
    ]
    np.testing.assert_allclose(ssim(X, Y), expected, rtol=0, atol=1e-9)
    np.testing.assert_allclose(ssim(X / 255, Y / 255), expected, rtol=0, atol=1e-9)
    if shape[-1] == 1:
        np.testing.assert_allclose(ssim(X[..., 0], Y[..., 0]), expected, rtol=0, atol=1e-9)


@pytest.mark.parametrize("chunk", [1, 2 * 12 * 13])
def test_ssim_does_not_depend_on_chunks(monkeypatch, chunk):
    X, Y = rng.random((2, 5, 12, 13))
    expected = ssim(X, Y)
    monkeypatch.setattr("ricsk.metrics._similarity._CHUNK_VALUES", chunk)
    np.testing.assert_allclose(ssim(X, Y), expected, rtol=1e-12)


@pytest.mark.parametrize("shape", [(2, 10, 20, 3), (2, 20, 10), (2, 400)])
def test_ssim_refuses_images_smaller_than_its_window(shape):
    with pytest.raises(ValueError, match="smaller than the window of 11×11"):
        ssim(np.zeros(shape), np.zeros(shape))


def small_digits(n=20):
    X, _ = load_digits(size=16)
    return X[:n]


@pytest.mark.parametrize("channels", [(), (1,), (3,)])
def test_perceptual_distance_grows_with_the_noise(channels):
    shape = (20, 16, 16)
    X = np.broadcast_to(small_digits().reshape(*shape, *(1 for _ in channels)), shape + channels)
    noise = rng.normal(0, 1, X.shape)
    noisy = [np.clip(X + strength * noise, 0, 255).astype(np.uint8) for strength in (2, 20, 100)]
    distances = [perceptual_distance(X, other).mean() for other in noisy]
    assert 0 < distances[0] < distances[1] < distances[2] <= 1


def test_perceptual_distance_of_equal_images_is_0():
    """Black ones, too, in which the network may see nothing at all."""
    X = np.concatenate([small_digits(), np.zeros((1, 16, 16, 1), np.uint8)])
    np.testing.assert_array_equal(perceptual_distance(X, X), 0)


def test_perceptual_distance_is_what_its_formula_says():
    X, Y = rng.random((2, 3, 8, 10, 3))
    network = load_features("small")
    distances = []
    for depth in (4, 9):
        a, b = (
            network.layers[:depth](
                (torch.tensor(x.transpose(0, 3, 1, 2)).float() - network.mean) / network.std
            ).numpy()
            for x in (X, Y)
        )
        a, b = (f / np.linalg.norm(f, axis=1, keepdims=True).clip(1e-12) for f in (a, b))
        distances.append(((a - b) ** 2).sum(axis=1).mean(axis=(1, 2)) / 2)
    np.testing.assert_allclose(perceptual_distance(X, Y), np.mean(distances, axis=0), rtol=1e-4)


def test_perceptual_distance_sees_uint8_and_floats_alike():
    X, Y = rng.integers(0, 256, (2, 3, 8, 8, 3), dtype=np.uint8)
    np.testing.assert_allclose(perceptual_distance(X, Y), perceptual_distance(X / 255, Y / 255))


def test_perceptual_distance_does_not_depend_on_chunks(monkeypatch):
    X, Y = rng.integers(0, 256, (2, 5, 8, 8, 3), dtype=np.uint8)
    whole = perceptual_distance(X, Y)
    monkeypatch.setattr("ricsk.metrics._perceptual._CHUNK_VALUES", 400)
    np.testing.assert_allclose(perceptual_distance(X, Y), whole, rtol=1e-5)


class FakeLPIPS(torch.nn.Module):
    """In the place of the real one, which needs torchvision and weights of its own."""

    def __init__(self, net, verbose):
        super().__init__()
        assert not verbose

    def forward(self, x, y):
        assert x.shape[1:] == y.shape[1:] == (3, 40, 32)
        assert x.min() >= -1
        assert x.max() <= 1
        return (x - y).mean(dim=(1, 2, 3), keepdim=True)


@pytest.fixture
def fake_lpips(monkeypatch, tmp_path):
    fake = types.ModuleType("lpips")
    fake.LPIPS = FakeLPIPS
    monkeypatch.setitem(sys.modules, "lpips", fake)
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "alexnet-owt-7be5be79.pth").touch()


def test_lpips_is_given_what_it_wants(fake_lpips):
    """Three channels on [-1, 1]: white is 1, and black, which is -1, is two away from it."""
    white = np.full((3, 40, 32), 255, np.uint8)
    np.testing.assert_allclose(lpips(white, 0 * white), 2)
    np.testing.assert_allclose(lpips(white / 255, white / 510), 1, rtol=1e-6)


def test_lpips_downloads_nothing(fake_lpips):
    X = np.zeros((1, 40, 32, 3), np.uint8)
    with pytest.raises(FileNotFoundError, match=r"vgg16-\*\.pth .* torchvision\.models\.vgg16"):
        lpips(X, X, net="vgg")


@pytest.mark.parametrize(("net", "side"), [("alex", 30), ("vgg", 15)])
def test_lpips_refuses_images_that_its_backbone_cannot_see(fake_lpips, net, side):
    X = np.zeros((1, 64, side, 3), np.uint8)
    with pytest.raises(ValueError, match=f"{side + 1}×{side + 1}"):
        lpips(X, X, net=net)


def test_lpips_has_two_backbones(fake_lpips):
    X = np.zeros((1, 64, 64, 3), np.uint8)
    with pytest.raises(ValueError, match="net='squeeze'"):
        lpips(X, X, net="squeeze")


@pytest.mark.parametrize(
    "error", [ImportError("no lpips"), RuntimeError("operator torchvision::nms does not exist")]
)
def test_without_lpips_another_way_is_named(monkeypatch, error):
    class Finder(importlib.abc.MetaPathFinder):
        def find_spec(self, name, path=None, target=None):
            if name == "lpips":
                raise error

    monkeypatch.delitem(sys.modules, "lpips", raising=False)
    monkeypatch.setattr(sys, "meta_path", [Finder(), *sys.meta_path])
    X = np.zeros((1, 64, 64, 3), np.uint8)
    with pytest.raises(ImportError, match=r"ricsk\[lpips\].*perceptual_distance") as caught:
        lpips(X, X)
    assert str(error) in str(caught.value)


@pytest.mark.parametrize("shape", [(3, 8, 9, 3), (3, 8, 9), (3, 72)])
def test_correlation_is_that_of_numpy(shape):
    X, Y = rng.normal(5, 100, (2, *shape))
    expected = [np.corrcoef(x.ravel(), y.ravel())[0, 1] for x, y in zip(X, Y, strict=True)]
    np.testing.assert_allclose(correlation(X, Y), expected)


@pytest.mark.parametrize("level", [7 / 255, 0.1, 0])
def test_correlation_without_contrast_is_0(level):
    X = rng.random((2, 16, 16, 3))
    assert correlation(X, np.full_like(X, level)).tolist() == [0, 0]
    assert correlation(np.full_like(X, level), X).tolist() == [0, 0]


# Table 1 of the paper on RIC: its accuracies on plain and encrypted images, and the drop.
@pytest.mark.parametrize(
    ("plain", "encrypted", "drop"),
    [
        (77.80, 77.80, 0.00),
        (77.80, 72.90, 6.30),
        (97.09, 91.46, 5.80),
        (77.80, 23.19, 70.19),
        (99.75, 85.42, 14.37),
    ],
)
def test_accuracy_drop_is_that_of_the_paper(plain, encrypted, drop):
    def predictions(accuracy):
        return np.arange(10_000) < round(100 * accuracy)

    found = accuracy_drop(np.ones(10_000), predictions(plain), predictions(encrypted))
    assert round(100 * found, 2) == drop


def test_accuracy_may_rise():
    assert accuracy_drop(list("abcd"), list("abxx"), list("abcx")) == -0.5


def test_no_accuracy_cannot_drop():
    with pytest.raises(ValueError, match="no accuracy to lose"):
        accuracy_drop([0, 1], [1, 0], [0, 1])


def test_scorers_in_a_search(digits, trained_on_plain):
    X, y = digits
    encryptor = EtCEncryptor(
        KEY, block_size=2, rotate=False, shuffle_channels=False, image_shape=(16, 16)
    )
    nothing, all_steps = {"permute": False, "negate": False}, {"permute": True, "negate": True}
    grid = [{f"enc__{k}": [v] for k, v in steps.items()} for steps in (nothing, all_steps)]
    pipeline = Pipeline([("enc", encryptor), ("clf", trained_on_plain)])
    search = GridSearchCV(pipeline, grid, scoring=SCORERS, refit="agreement", cv=2)
    results = search.fit(X[:200], y[:200]).cv_results_
    assert results["mean_test_psnr"].tolist() == [100, 100]
    assert results["mean_test_agreement"][0] == 1
    assert results["mean_test_agreement"][1] < 0.5
    assert results["mean_test_noise"][0] == pytest.approx(0, abs=1e-9)
    assert results["mean_test_noise"][1] > 0.8
    assert search.best_params_["enc__permute"] is False


def test_scorers_are_what_they_say(digits, trained_on_plain):
    X = digits[0][:50]
    pipeline = make_pipeline(
        EtCEncryptor(KEY, block_size=4, permute=False, image_shape=(16, 16)), trained_on_plain
    ).fit(X)
    C = pipeline[0].transform(X)
    agreement = prediction_agreement(pipeline, X)
    assert agreement == np.mean(trained_on_plain.predict(X) == trained_on_plain.predict(C))
    assert 0 < agreement < 1
    expected = 1 - np.mean([abs(np.corrcoef(x, c)[0, 1]) for x, c in zip(X, C, strict=True)])
    assert noise_likeness_score(pipeline, X) == pytest.approx(expected)


def test_all_scores_are_those_of_the_scorers(digits, trained_on_plain, monkeypatch):
    X, _ = digits
    encryptor = EtCEncryptor(SecretKey.generate(), block_size=2, image_shape=(16, 16))
    pipeline = make_pipeline(encryptor, trained_on_plain).fit(X)
    scorers = (recovery_psnr, prediction_agreement, least_margin, noise_likeness_score)
    expected = {scorer.__name__: scorer(pipeline, X[:50]) for scorer in scorers}
    transforms = []
    transform = EtCEncryptor.transform
    monkeypatch.setattr(
        EtCEncryptor, "transform", lambda *args: transforms.append(1) or transform(*args)
    )
    assert encryption_scores(pipeline, X[:50]) == expected
    assert len(transforms) == 1
    del expected["prediction_agreement"], expected["least_margin"]
    assert encryption_scores(pipeline[0], X[:50]) == expected


def test_recovery_psnr_of_images_that_come_back_with_losses():
    X = rng.integers(0, 256, (4, 16, 16, 3), dtype=np.uint8)
    X[0] = 128  # grey, which the rounded colour transform brings back exactly
    encryptor = EtCEncryptor(KEY, grayscale="ycbcr", block_size=2).fit(X)
    each = psnr(X, encryptor.inverse_transform(encryptor.transform(X)))
    assert each[0] == np.inf
    assert each[1:].max() < 60
    assert recovery_psnr(encryptor, X) == pytest.approx((100 + each[1:].sum()) / 4)


def test_recovery_psnr_is_on_the_range_of_the_encryptor():
    X = rng.integers(0, 256, (4, 16, 16, 3), dtype=np.uint8)
    encryptor = EtCEncryptor(KEY, grayscale="ycbcr", block_size=2)
    expected = recovery_psnr(encryptor.fit(X), X)
    X = X / 255 * 16 - 3
    assert recovery_psnr(encryptor.fit(X), X) == pytest.approx(expected)


@pytest.mark.parametrize("scorer", [recovery_psnr, noise_likeness_score])
@pytest.mark.parametrize("wrap", [lambda enc: enc, FrozenEstimator, make_pipeline])
def test_scorers_take_an_encryptor(scorer, wrap):
    X = rng.integers(0, 256, (4, 16, 16, 3), dtype=np.uint8)
    encryptor = PixelEncryptor(KEY).fit(X)
    assert scorer(wrap(encryptor), X) == scorer(make_pipeline(encryptor, "passthrough"), X) > 0.8


def test_steps_before_the_encryptor_make_the_images():
    X = rng.integers(0, 256, (60, 20, 20), dtype=np.uint8)
    y = X.mean(axis=(1, 2)) > 127
    crop = FunctionTransformer(lambda X: X[:, 2:-2, 2:-2])
    to_rows = FunctionTransformer(lambda X: X.reshape(len(X), -1))
    classifier = make_pipeline(crop, to_rows, RandomForestClassifier(10, random_state=0)).fit(X, y)
    same = EtCEncryptor(KEY, block_size=2, permute=False, rotate=False, negate=False)
    pipeline = make_pipeline(crop, same, to_rows, FrozenEstimator(classifier[-1])).fit(X, y)
    assert [scorer(pipeline, X) for scorer in SCORERS.values()] == pytest.approx([100, 1, 0])


@pytest.mark.parametrize("scorer", SCORERS.values())
def test_scorers_need_one_encryptor(scorer, digits, trained_on_plain):
    X, y = (values[:20] for values in digits)
    encryptor = EtCEncryptor(KEY, block_size=2, image_shape=(16, 16))
    for estimator, number in [
        (trained_on_plain, 0),
        (make_pipeline("passthrough", trained_on_plain), 0),
        (make_pipeline(encryptor, encryptor, trained_on_plain), 2),
    ]:
        with pytest.raises(ValueError, match=f"has {number} encryptors; expected an encryptor, or"):
            scorer(estimator.fit(X, y), X)


def test_a_classifier_with_a_key_is_no_encryptor(digits):
    class Locked(LogisticRegression):
        key = KEY

    X, y = (values[:200] for values in digits)
    encryptor = EtCEncryptor(KEY, block_size=2, image_shape=(16, 16))
    assert recovery_psnr(make_pipeline(encryptor, Locked(max_iter=200)).fit(X, y), X) == 100


def test_agreement_needs_a_classifier(digits):
    X = digits[0][:20]
    encryptor = EtCEncryptor(KEY, block_size=2, image_shape=(16, 16)).fit(X)
    for estimator in (encryptor, make_pipeline(encryptor), make_pipeline(encryptor, "passthrough")):
        with pytest.raises(ValueError, match="needs a classifier behind the encryptor"):
            prediction_agreement(estimator, X)
        with pytest.raises(ValueError, match="needs a classifier with decision_function"):
            least_margin(estimator, X)
        with pytest.raises(ValueError, match="needs a classifier behind the encryptor"):
            AgreementAfter(cast_to_bfloat16)(estimator, X)


class Prepared(LogisticRegression):
    """Has the scores of plain images at first, then those of ciphertexts."""

    def decision_function(self, X):
        return np.asarray(self.of_plain if X.mean() < 0.5 else self.of_ciphertexts)


class Halves(PixelEncryptor):
    """Changes nothing but the brightness."""

    def transform(self, X):
        return X / 2 + 0.5


@pytest.mark.parametrize(
    ("of_plain", "of_ciphertexts", "expected"),
    [
        ([[2, 1, 0], [0, 3, 1]], [[5, 1, 4], [0, 2, 1]], 1),
        ([[2, 1, 0], [0, 3, 1]], [[5, 1, 0], [4, 2, 1]], -2),
        ([-1, 2], [-3, 0.5], 0.5),
        ([-1, 2], [0.25, 5], -0.25),
    ],
)
def test_the_least_margin_by_hand(of_plain, of_ciphertexts, expected):
    X = np.zeros((2, 16, 16, 1))
    X[:, 0, 0] = 1
    classifier = Prepared()
    classifier.classes_ = np.arange(max(np.shape(of_plain)[1:], default=2))
    classifier.of_plain, classifier.of_ciphertexts = of_plain, of_ciphertexts
    pipeline = Pipeline([("enc", Halves(KEY).fit(X)), ("clf", FrozenEstimator(classifier))])
    assert least_margin(pipeline, X) == expected
    scores = encryption_scores(pipeline, X)
    assert scores["least_margin"] == expected
    assert scores["prediction_agreement"] == (1 if expected > 0 else 0.5)


def test_a_classifier_without_scores_has_no_margin(digits):
    class Silent(LogisticRegression):
        decision_function = predict_proba = None

        def predict(self, X):
            return np.zeros(len(X), int)

        def __getattribute__(self, name):
            if name in ("decision_function", "predict_proba"):
                raise AttributeError(name)
            return super().__getattribute__(name)

    X, y = (values[:50] for values in digits)
    encryptor = PixelEncryptor(KEY, image_shape=(16, 16)).fit(X)
    pipeline = make_pipeline(encryptor, FrozenEstimator(Silent(max_iter=200).fit(X, y)))
    assert encryption_scores(pipeline, X)["prediction_agreement"] == 1
    assert "least_margin" not in encryption_scores(pipeline, X)
    with pytest.raises(ValueError, match="needs a classifier with decision_function"):
        least_margin(pipeline, X)


@pytest.fixture(scope="module")
def ric_pipeline(digits, trained_on_plain):
    encryptor = RICEncryptor(KEY, trained_on_plain, image_shape=(16, 16))
    return make_pipeline(encryptor, trained_on_plain).fit(digits[0][:300])


def test_what_does_nothing_leaves_agreement_as_it_is(ric_pipeline, digits):
    X = digits[0][:100]
    seen = []

    def watch(images):
        seen.append(images)
        return images

    assert AgreementAfter(watch)(ric_pipeline, X) == prediction_agreement(ric_pipeline, X) == 1
    (images,) = seen
    assert images.shape == (100, 16, 16, 1)
    assert images.dtype == np.float32
    np.testing.assert_allclose(images.reshape(100, -1), ric_pipeline[0].transform(X), atol=1e-6)


def test_a_transport_that_destroys_leaves_what_chance_does(ric_pipeline, digits):
    X = digits[0][:100]
    constant = ric_pipeline[1].predict(np.full((1, 256), 0.5))
    expected = np.mean(ric_pipeline[1].predict(X) == constant)
    assert AgreementAfter(lambda images: images * 0 + 0.5)(ric_pipeline, X) == expected < 0.5


def test_worse_transports_leave_less(ric_pipeline, digits):
    X = digits[0][:200]
    scores = [
        AgreementAfter(partial(resize_and_back, scale=scale))(ric_pipeline, X)
        for scale in (1, 0.4, 0.1)
    ]
    assert scores[0] == 1
    assert scores[0] >= scores[1] > scores[2]
    assert AgreementAfter(JPEGCodec(95))(ric_pipeline, X) == 1
    assert AgreementAfter(cast_to_bfloat16)(ric_pipeline, X) == 1


def test_a_transport_is_the_same_for_bytes_and_rows():
    X = rng.integers(0, 256, (60, 16, 16, 3), dtype=np.uint8)
    y = np.arange(60) % 2
    X[y == 1, :, :8] //= 3
    scores = []
    for images in (X, X.reshape(60, -1) / 255 * 7 - 2):
        flat = images.reshape(60, -1)
        frozen = FrozenEstimator(RandomForestClassifier(10, random_state=0).fit(flat, y))
        encryptor = PixelEncryptor(
            KEY, flatten=True, image_shape=(16, 16, 3), shuffle_channels=False
        )
        pipeline = make_pipeline(encryptor, frozen).fit(images, y)
        scores.append(
            [AgreementAfter(t)(pipeline, images) for t in (JPEGCodec(50), resize_and_back)]
        )
    np.testing.assert_allclose(scores[0], scores[1], atol=0.1)


def test_transports_are_cloned_and_need_to_keep_the_shape(ric_pipeline, digits):
    codec = JPEGCodec(80)
    AgreementAfter(codec)(ric_pipeline, digits[0][:10])
    assert not hasattr(codec, "quality_")
    with pytest.raises(ValueError, match=r"shape \(10, 8, 16, 1\) for images of shape \(10, 16,"):
        AgreementAfter(lambda images: images[:, ::2])(ric_pipeline, digits[0][:10])
    with pytest.raises(TypeError, match="is neither callable nor a transformer"):
        AgreementAfter("jpeg")(ric_pipeline, digits[0][:10])


def test_a_search_by_what_ciphertexts_survive(digits, trained_on_plain):
    X, y = digits
    encryptor = RICEncryptor(KEY, trained_on_plain, image_shape=(16, 16))
    scoring = {"jpeg": AgreementAfter(JPEGCodec(30)), "margin": least_margin}
    scoring = pickle.loads(pickle.dumps(scoring))  # as it goes to the workers of a search
    search = GridSearchCV(
        Pipeline([("enc", encryptor), ("clf", trained_on_plain)]),
        {"enc__kappa": [0.1, 2.0]},
        scoring=scoring,
        refit="jpeg",
        cv=2,
    ).fit(X[:100], y[:100])
    assert np.diff(search.cv_results_["mean_test_margin"])[0] > 0
    assert search.cv_results_["mean_test_jpeg"].min() > 0.8


def test_bfloat16_keeps_eight_bits():
    x = np.array([0.0, 1.0, 200 / 255, 1 / 3])
    expected = [0, 1, 201 / 256, 171 / 512]
    np.testing.assert_allclose(cast_to_bfloat16(x), expected, atol=1e-7)
    assert cast_to_bfloat16(x).dtype == np.float32


@pytest.mark.parametrize("scale", [0.5, 2, 0.3, 1.7])
def test_resizing_keeps_the_shape_and_what_is_smooth(scale):
    ramp = np.linspace(0, 1, 15)[:, np.newaxis, np.newaxis] * np.ones((2, 15, 21, 3))
    found = resize_and_back(ramp, scale)
    assert found.shape == ramp.shape
    assert found.dtype == np.float32
    assert np.abs(found - ramp)[:, 4:-4].max() < 0.03
    noise = rng.uniform(0, 1, (2, 15, 21, 3))
    assert resize_and_back(noise, scale).std() < 0.8 * noise.std()
    np.testing.assert_allclose(resize_and_back(noise, 1), noise, atol=1e-6)


def test_recovery_needs_a_way_back():
    X = rng.integers(0, 256, (4, 16, 16, 3), dtype=np.uint8)
    with pytest.raises(AttributeError, match="no attribute 'inverse_transform'"):
        recovery_psnr(EtCEncryptor(KEY, variant="madono2020").fit(X), X)


def test_noise_likeness_needs_ciphertexts_of_the_same_shape():
    X = rng.integers(0, 256, (4, 16, 16, 3), dtype=np.uint8).reshape(4, -1)
    encryptor = EtCEncryptor(KEY, grayscale=True, image_shape=(16, 16, 3)).fit(X)
    with pytest.raises(ValueError, match="cannot be correlated"):
        noise_likeness_score(encryptor, X)


@pytest.mark.parametrize("shape", [(16, 16, 3), (8, 12, 3), (8, 24, 1)])
def test_scorers_read_flat_ciphertexts_and_images(shape):
    X = rng.integers(0, 256, (40, *shape), dtype=np.uint8)
    X[20:] //= 4
    y = np.arange(40) // 20
    flat = X.reshape(40, -1)
    classifier = RandomForestClassifier(10, random_state=0)
    encryptor = EtCEncryptor(KEY, block_size=4)
    expected = {
        "recovery_psnr": recovery_psnr(encryptor.fit(X), X),
        "noise_likeness_score": noise_likeness_score(encryptor, X),
    }
    for given, flattens in ((X, True), (flat, False), (flat, True)):
        encryptor = EtCEncryptor(KEY, block_size=4, flatten=flattens, image_shape=shape)
        pipeline = make_pipeline(encryptor, FrozenEstimator(classifier.fit(flat, y))).fit(given, y)
        agreement = np.mean(classifier.predict(flat) == pipeline.predict(given))
        scores = encryption_scores(pipeline, given)
        assert scores.pop("least_margin") == least_margin(pipeline, given)
        assert scores == pytest.approx({**expected, "prediction_agreement": agreement})
        assert recovery_psnr(encryptor, given) == pytest.approx(expected["recovery_psnr"])
        assert prediction_agreement(pipeline, given) == agreement
        assert noise_likeness_score(encryptor, given) == scores["noise_likeness_score"]
    assert recovery_psnr(EtCEncryptor(KEY, block_size=4, flatten=True).fit(X), flat) == 100
