import numpy as np
import pytest
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression

from ricsk import EtCEncryptor, LearnableEncryptor, RICEncryptor, SecretKey
from ricsk.attacks import ITNAttack, LabelOnlyBaseline
from ricsk.attacks._base import encrypt_levels
from ricsk.datasets import make_street_numbers
from ricsk.exceptions import AttackNotApplicableError
from ricsk.metrics import ssim
from tests.encryptors.ric.identity import fit_published

KEY = SecretKey(bytes(range(32)))
X, Y = make_street_numbers(560, size=16, random_state=0)
TRUE = X[500:]
CLASSIFIER = FrozenEstimator(
    LogisticRegression(max_iter=2000, C=0.001).fit(X.reshape(560, -1) / 255, Y)
)
SEEN = CLASSIFIER.predict(X.reshape(560, -1) / 255)
PUBLIC = {"public_images": X[:500], "public_labels": SEEN[:500]}


def gain(encryptor, **parameters):
    """Return by how much the attack exceeds the mean images of the classes; it sees no pair."""
    C = encrypt_levels(encryptor, TRUE)
    attack = ITNAttack(random_state=0, **parameters).fit(C, encryptor=encryptor, **PUBLIC)
    baseline = LabelOnlyBaseline().fit(C, **PUBLIC).reconstruct(C, labels=SEEN[500:])
    return ssim(TRUE, attack.reconstruct(C)).mean() - ssim(TRUE, baseline).mean()


def test_no_pair_is_needed_against_ric_as_published():
    ric = fit_published(KEY, CLASSIFIER, X / 255)
    assert gain(ric, n_keys=5, budget=60) > 0.07


def test_pairs_of_other_keys_give_nothing_against_ric():
    assert gain(RICEncryptor(KEY, CLASSIFIER).fit(X / 255), n_keys=5, budget=60) < 0.02


def test_a_key_for_each_image_of_ele_gives_nothing():
    ele = LearnableEncryptor(KEY, per_block_keys=True, scramble_blocks=True).fit(X)
    assert gain(ele, n_keys=500, budget=60) < 0.02


def test_keys_are_the_adversarys_own():
    seen = []
    ele = LearnableEncryptor(KEY).fit(X)

    class Spy(ITNAttack):
        def _train(self, ciphertexts, images):
            seen.append(ciphertexts)

    for seed in (0, 0, 1):
        Spy(n_keys=7, random_state=seed).fit(X, encryptor=ele, public_images=X[:20])
    np.testing.assert_array_equal(seen[0], seen[1])
    assert (seen[0] != seen[2]).mean() > 0.5
    assert (seen[0] != ele.transform(X[:20])).mean() > 0.5
    # Images of one key differ in the same places where the images do, and 20 images fill 7 hands.
    Spy(n_keys=1, random_state=0).fit(X, encryptor=ele, public_images=X[[0, 0, 1]])
    assert (seen[3][0] == seen[3][1]).all()
    Spy(n_keys=9, random_state=0).fit(X, encryptor=ele, public_images=X[[0, 0, 1]])
    assert (seen[4][0] != seen[4][1]).mean() > 0.5


def test_the_published_network_cannot_show_dark_images():
    identity = EtCEncryptor(
        KEY, block_size=4, permute=False, rotate=False, negate=False, shuffle_channels=False
    ).fit(X)
    attack = ITNAttack("ito", budget=30, random_state=0)
    attack.fit(X, encryptor=identity, public_images=X // 4)
    assert 161 <= attack.reconstruct(X).min() < 175


def test_refuses_images_without_whole_blocks_for_the_published_network():
    odd = X[:, :15]
    le = LearnableEncryptor(KEY, block_size=5, pad=True).fit(odd)
    with pytest.raises(AttackNotApplicableError, match="4×4 blocks"):
        ITNAttack("ito").check(le)
    ITNAttack().check(le)
