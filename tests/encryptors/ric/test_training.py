import numpy as np
import pytest
import torch

from ricsk.encryptors.ric._training import train
from ricsk.nae import view_classifier
from ricsk.nn.ric import LightRIC
from ricsk.training import OwnRandomness
from tests.classifiers.test_fitted import FORMS
from tests.training.test_randomness import LINEAR, X, y


def losses(images=X, labels=y, view=None, **settings):
    with OwnRandomness(0):
        network = LightRIC()
    defaults = {
        "masks": lambda labels: torch.randint(256, (len(labels), 8, 8, 3)).float(),
        "alpha": 0.5,
        "scramble": True,
        "beta": 10.0,
        "kappa": 5.0,
        "epochs": 2,
        "batch_size": 16,
        "learning_rate": 1e-3,
        "device": "auto",
        "seed": 0,
        "verbose": 0,
    }
    found = train(network, images, labels, view=view, **{**defaults, **settings})
    assert {parameter.device.type for parameter in network.parameters()} == {"cpu"}
    return found


def test_a_seed_decides():
    assert len(losses()) == 2
    assert losses() == losses() != losses(seed=1)


def test_the_classifier_counts_and_stays_what_it_was():
    view = view_classifier(LINEAR, value_range=(0.0, 1.0)).float()
    before = [parameter.clone() for parameter in view.parameters()]
    assert losses(view=view) != losses()
    assert all(torch.equal(*pair) for pair in zip(before, view.parameters(), strict=True))


@pytest.mark.parametrize("form", [name for name in FORMS if "float" not in name])
def test_images_may_be_in_memory_as_they_like(form, tmp_path):
    images = FORMS[form](X, tmp_path)
    if images.dtype != np.uint8:  # as RICEncryptor reads them
        images = images.astype(np.uint8)
    assert losses(images) == losses(np.array(images, order="C"))


def test_a_training_that_diverges_is_refused():
    with pytest.raises(ValueError, match=r"diverged.*learning_rate=1e\+30"):
        losses(learning_rate=1e30)


def test_verbose_shows_progress(capsys):
    losses()
    assert capsys.readouterr() == ("", "")
    losses(verbose=1)
    assert "/10 [" in capsys.readouterr().err
