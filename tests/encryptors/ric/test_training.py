import numpy as np
import pytest
import torch

from ricsk import SecretKey
from ricsk.encryptors.ric import _published_training as published
from ricsk.encryptors.ric._mixing import Mixing
from ricsk.encryptors.ric._training import hide_and_reveal, train
from ricsk.nae import view_classifier
from ricsk.nn.ric import LightRIC, PublishedRIC
from ricsk.training import OwnRandomness
from tests.classifiers.test_fitted import FORMS
from tests.training.test_randomness import LINEAR, X, y


def losses(images=X, **settings):
    with OwnRandomness(0):
        network = LightRIC()
    defaults = {
        "alpha": 0.5,
        "epochs": 2,
        "batch_size": 16,
        "learning_rate": 1e-3,
        "device": "auto",
        "seed": 0,
        "verbose": 0,
    }
    found = train(network, images, **{**defaults, **settings})
    assert {parameter.device.type for parameter in network.parameters()} == {"cpu"}
    return found


def test_a_seed_decides():
    assert len(losses()) == 2
    assert losses() == losses() != losses(seed=1)


def test_training_sees_the_noise_that_encryption_makes():
    """As large, on average, and as large where it is largest."""
    x = torch.from_numpy(X).permute(0, 3, 1, 2) / 255
    for alpha in (0.5, 0.9):
        with OwnRandomness(0):
            seen = hide_and_reveal(None, x, torch.full((len(x),), alpha))
        seen = 255 * (seen - x).permute(0, 2, 3, 1).numpy()
        mixing = Mixing(SecretKey(bytes(32)), b"", None, alpha)
        masks, nonces = np.full_like(X, 77), [bytes([i]) for i in range(len(X))]
        C = np.rint(mixing.hide(16 * X.astype(int), masks, nonces)).astype(np.uint8)
        made = mixing.reveal(C, masks, nonces, np.zeros(len(X), bool)) - X
        np.testing.assert_allclose(seen.std(), made.std(), rtol=0.05)
        np.testing.assert_allclose(np.abs(seen).max(), np.abs(made).max(), rtol=0.05)


def published_losses(view=None, **settings):
    with OwnRandomness(0):
        network = PublishedRIC(4)
    defaults = {
        "masks": lambda labels: torch.full((len(labels), 8, 8, 3), 99.0),
        "alpha": 0.5,
        "beta": 10.0,
        "kappa": 5.0,
        "epochs": 2,
        "batch_size": 16,
        "learning_rate": 1e-3,
        "device": "auto",
        "seed": 0,
        "verbose": 0,
    }
    return published.train(network, X, y, view=view, **{**defaults, **settings})


def test_in_the_papers_training_the_classifier_counts_and_stays_what_it_was():
    view = view_classifier(LINEAR, value_range=(0.0, 1.0)).float()
    before = [parameter.clone() for parameter in view.parameters()]
    first = published_losses(view)
    assert first == published_losses(view) != published_losses()
    assert first != published_losses(view, kappa=0.0)
    assert first != published_losses(view, beta=1.0)
    assert all(torch.equal(*pair) for pair in zip(before, view.parameters(), strict=True))


@pytest.mark.parametrize("form", [name for name in FORMS if "float" not in name])
def test_images_may_be_in_memory_as_they_like(form, tmp_path):
    images = FORMS[form](X, tmp_path)
    if images.dtype != np.uint8:  # as RICEncryptor reads them
        images = images.astype(np.uint8)
    assert losses(images) == losses(np.array(images, order="C"))


@pytest.mark.parametrize("train", [losses, published_losses])
def test_a_training_that_diverges_is_refused(train):
    with pytest.raises(ValueError, match=r"diverged.*learning_rate=1e\+30"):
        train(learning_rate=1e30)


def test_verbose_shows_progress(capsys):
    losses()
    assert capsys.readouterr() == ("", "")
    losses(verbose=1)
    assert "/10 [" in capsys.readouterr().err
