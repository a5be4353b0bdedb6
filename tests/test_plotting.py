import sys

import numpy as np
import pytest
from matplotlib import pyplot
from matplotlib.figure import Figure
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression

from ricsk import (
    CNNClassifier,
    ConvMixerClassifier,
    EtCEncryptor,
    PixelEncryptor,
    PrivateClassifier,
    SealedEncryptor,
    SecretKey,
    TransformationNetworkEncryptor,
    ViTClassifier,
    datasets,
)
from ricsk.plotting import plot_patch_embeddings, plot_round_trip

rng = np.random.default_rng(0)
X = rng.integers(0, 256, (8, 8, 8, 3), np.uint8)
Y = np.arange(8) % 2
MIXER = ConvMixerClassifier(dim=5, depth=1, kernel_size=3, patch_size=4, epochs=1, random_state=0)
VIT = ViTClassifier(dim=6, depth=1, n_heads=1, patch_size=4, epochs=1)
KEY, WRONG = SecretKey(bytes(32)), SecretKey(bytes([1] * 32))


@pytest.fixture(autouse=True)
def _figures_are_closed():
    yield
    pyplot.close("all")


def shown(ax):
    return np.asarray(ax.images[0].get_array())


def written(ax):
    return [text.get_text() for text in ax.texts]


def test_round_trip_shows_each_image_four_times():
    encryptor = EtCEncryptor(KEY, block_size=4).fit(X)
    wrong = EtCEncryptor(WRONG, block_size=4).fit(X)
    C = encryptor.transform(X[:3])
    axes = plot_round_trip(encryptor, X[:3], wrong_key=WRONG)
    assert axes.shape == (3, 4)
    titles = ["plain", "encrypted", "decrypted", "wrong key"]
    assert [ax.get_title() for ax in axes[0]] == titles
    for column, images in enumerate([X[:3], C, X[:3], wrong.inverse_transform(C)]):
        for row in range(3):
            np.testing.assert_array_equal(shown(axes[row, column]), images[row])


@pytest.mark.parametrize("flat", [False, True])
def test_round_trip_shows_floats_and_grey_images_as_their_levels(flat):
    grey = X[..., 0]
    scaled = grey / 255.0 * 4 - 1
    floats = scaled.reshape(8, -1) if flat else scaled
    encryptor = PixelEncryptor(KEY, image_shape=(8, 8), value_range=(-1, 3)).fit(floats)
    axes = plot_round_trip(encryptor, floats[:1])
    expected = PixelEncryptor(KEY).fit_transform(grey[:1])[0]
    for ax, levels in zip(axes[0], [grey[0], expected, grey[0]], strict=False):
        np.testing.assert_array_equal(shown(ax), np.stack([levels] * 3, axis=-1))


def test_round_trip_by_default_fails_with_a_new_key():
    encryptor = PixelEncryptor(KEY).fit(X)
    first, second = (shown(plot_round_trip(encryptor, X[:1])[0, 3]) for _ in range(2))
    assert not np.array_equal(first, second)
    assert not np.array_equal(first, X[0])


def test_round_trip_of_a_refused_key_and_of_a_scheme_without_way_back():
    digits, y = datasets.load_digits(size=32)
    flat = digits[:200].reshape(200, -1)
    classifier = FrozenEstimator(LogisticRegression(max_iter=20, tol=1).fit(flat, y[:200]))
    sealed = SealedEncryptor(KEY, classifier, image_shape=(32, 32)).fit(flat)
    network = TransformationNetworkEncryptor(
        classifier, width=1, epochs=1, image_shape=(32, 32), random_state=0
    ).fit(flat[:20], y[:20])
    axes = plot_round_trip({"sealed": sealed, "network": network}, flat[:2])
    assert axes.shape == (4, 4)
    assert [line[0].get_ylabel() for line in axes] == ["sealed"] * 2 + ["network"] * 2
    np.testing.assert_array_equal(shown(axes[1, 2])[..., 0], digits[1, ..., 0])
    assert [written(ax) for ax in axes[0]] == [[], [], [], ["refused"]]
    assert [written(ax) for ax in axes[2]] == [[], [], ["no way back"], ["no way back"]]


def test_round_trip_draws_into_the_figure_that_it_is_given():
    encryptor = PixelEncryptor(KEY).fit(X)
    figure = Figure()
    left, right = figure.subfigures(1, 2)
    plot_round_trip(encryptor, X[:1], figure=left)
    assert len(left.axes) == 4
    assert not right.axes
    assert not pyplot.get_fignums()


def test_round_trip_refuses_what_is_not_a_fitted_encryptor():
    with pytest.raises(NotFittedError):
        plot_round_trip(PixelEncryptor(KEY), X)
    private = PrivateClassifier(EtCEncryptor(KEY, block_size=4), MIXER)
    with pytest.raises(TypeError, match="of a PrivateClassifier, its encryptor_"):
        plot_round_trip(private, X)


@pytest.mark.parametrize("classifier", [MIXER, VIT])
def test_grid_holds_the_filters_sorted_and_scaled_around_mid_grey(classifier):
    fitted = classifier.fit(X, Y)
    embedding = fitted.module_.network.patch_embed
    layer = embedding[0] if classifier is MIXER else embedding.proj
    weights = layer.weight.detach().numpy().transpose(0, 2, 3, 1)
    largest = weights[np.argmax(np.square(weights).sum(axis=(1, 2, 3)))]
    grid = shown(plot_patch_embeddings(fitted))
    assert grid.shape == (2 * 4 + 1, 3 * 4 + 2, 3)
    np.testing.assert_allclose(grid[:4, :4], 0.5 + largest / (2 * np.abs(weights).max()))
    assert (grid[4] == 1).all()  # a line between
    if classifier is MIXER:
        assert (grid[5:, 10:] == 1).all()  # the sixth place of five filters


def test_few_filters_of_grey_images_are_grey():
    fitted = MIXER.fit(X[..., :1], Y)
    ax = plot_patch_embeddings(fitted, n_filters=1)
    grid = shown(ax)
    assert grid.shape == (4, 4, 3)
    np.testing.assert_array_equal(grid[..., 0], grid[..., 2])
    assert ax.get_title() == "What it looks for in a patch: 1 filter of 4×4 pixels"


def test_draws_where_it_is_told_and_looks_into_wrappers():
    ax = Figure().subplots()
    private = PrivateClassifier(EtCEncryptor(KEY, block_size=4), MIXER).fit(X, Y)
    assert plot_patch_embeddings(FrozenEstimator(private), ax=ax) is ax
    direct = plot_patch_embeddings(private.classifier_)
    np.testing.assert_array_equal(shown(ax), shown(direct))


def test_what_embeds_no_patches_is_refused():
    with pytest.raises(TypeError, match="CNNClassifier does not embed patches"):
        plot_patch_embeddings(CNNClassifier(width=4, depth=1, epochs=1).fit(X, Y))
    with pytest.raises(NotFittedError):
        plot_patch_embeddings(ConvMixerClassifier())


def test_without_matplotlib_it_says_what_to_install(monkeypatch):
    fitted, encryptor = MIXER.fit(X, Y), PixelEncryptor(KEY).fit(X)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ImportError, match=r'pip install "ricsk\[plot\]"'):
        plot_patch_embeddings(fitted)
    with pytest.raises(ImportError, match=r'pip install "ricsk\[plot\]"'):
        plot_round_trip(encryptor, X)
