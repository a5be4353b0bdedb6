import sys

import numpy as np
import pytest
from matplotlib.figure import Figure
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator

from ricsk import (
    CNNClassifier,
    ConvMixerClassifier,
    EtCEncryptor,
    PrivateClassifier,
    SecretKey,
    ViTClassifier,
)
from ricsk.plotting import plot_patch_embeddings

rng = np.random.default_rng(0)
X = rng.integers(0, 256, (8, 8, 8, 3), np.uint8)
Y = np.arange(8) % 2
MIXER = ConvMixerClassifier(dim=5, depth=1, kernel_size=3, patch_size=4, epochs=1, random_state=0)
VIT = ViTClassifier(dim=6, depth=1, n_heads=1, patch_size=4, epochs=1)


def shown(ax):
    return np.asarray(ax.images[0].get_array())


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
    assert ax.get_title() == "1 filters of 4×4 pixels"


def test_draws_where_it_is_told_and_looks_into_wrappers():
    ax = Figure().subplots()
    private = PrivateClassifier(EtCEncryptor(SecretKey(bytes(32)), block_size=4), MIXER).fit(X, Y)
    assert plot_patch_embeddings(FrozenEstimator(private), ax=ax) is ax
    direct = plot_patch_embeddings(private.classifier_)
    np.testing.assert_array_equal(shown(ax), shown(direct))


def test_what_embeds_no_patches_is_refused():
    with pytest.raises(TypeError, match="CNNClassifier embeds no patches"):
        plot_patch_embeddings(CNNClassifier(width=4, depth=1, epochs=1).fit(X, Y))
    with pytest.raises(NotFittedError):
        plot_patch_embeddings(ConvMixerClassifier())


def test_without_matplotlib_it_says_what_to_install(monkeypatch):
    fitted = MIXER.fit(X, Y)
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ImportError, match=r'pip install "ricsk\[plot\]"'):
        plot_patch_embeddings(fitted)
