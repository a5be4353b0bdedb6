"""InstaHide falls: private images come back from their encodings and mixed labels."""

import numpy as np
import pytest
import torch
from scipy.optimize import linear_sum_assignment
from sklearn.metrics import roc_auc_score

from ricsk import SecretKey
from ricsk.attacks import recover_instahide
from ricsk.attacks.instahide._clusters import Cluster, find_clusters, weigh
from ricsk.attacks.instahide._pairs import Mixing
from ricsk.attacks.instahide._phases import join_signs, retrieve
from ricsk.baselines import InstaHideEncryptor
from ricsk.datasets import make_street_numbers

KEY = SecretKey(bytes(range(32)))
X, Y = make_street_numbers(800, size=12, random_state=0)
N, EACH = 14, 16
PRIVATE, LABELS = X[:N], Y[:N]
ENCRYPTOR = InstaHideEncryptor(KEY, k=2).fit(PRIVATE, LABELS)
C, SHARES = ENCRYPTOR.encode(PRIVATE, LABELS, n_encodings=EACH)


def find_weights():
    """Read how much of each image is in each encoding, which only their owner knows."""
    mixtures = ENCRYPTOR._mix(PRIVATE, range(EACH))
    weights = np.zeros((len(C), N))
    rows = np.arange(len(C))
    np.add.at(weights, (rows, np.arange(N).repeat(EACH)), mixtures.weights[:, 0])
    np.add.at(weights, (rows, mixtures.partners[:, 0]), mixtures.weights[:, 1])
    return weights


WEIGHTS = find_weights()


def correlate(found, images):
    """Match images one to one, and return the correlations of pairs."""
    found, images = (each.reshape(len(each), -1) for each in (found, images))
    table = np.corrcoef(found, images)[: len(found), len(found) :]
    return table[linear_sum_assignment(-table)]


def test_images_come_back_where_weights_are_known():
    found = recover_instahide(C, SHARES, N, ENCRYPTOR, weights=WEIGHTS, random_state=0)
    errors = np.abs(found.images.astype(int) - PRIVATE)
    assert np.median(errors) <= 4
    assert correlate(found.images, PRIVATE).min() > 0.9
    assert found.residual < 0.05
    np.testing.assert_array_equal(found.weights, WEIGHTS)


def test_images_come_back_from_encodings_and_labels_alone():
    found = recover_instahide(
        C, SHARES, N, ENCRYPTOR, public_images=X[N:], budget=220, random_state=0
    )
    assert correlate(found.images, PRIVATE).mean() > 0.6
    mean = np.broadcast_to(PRIVATE.mean(axis=0), PRIVATE.shape)
    assert np.mean([correlate(mean[:1], PRIVATE[[i]])[0] for i in range(N)]) < 0.3
    present = (WEIGHTS > 0).astype(float)
    pairs = np.triu_indices(len(C), 1)
    assert roc_auc_score((present @ present.T > 0)[pairs], found.likely[pairs]) > 0.9
    overlap = (found.weights > 0).T @ present
    rows, matched = linear_sum_assignment(-overlap)
    assert overlap[rows, matched].sum() > 0.8 * present.sum()
    assert np.mean(ENCRYPTOR.classes_[found.labels[rows]] == LABELS[matched]) > 0.8


def test_nothing_secret_is_looked_at():
    """An encryptor with other images, but the same statistics, serves as well."""
    other = InstaHideEncryptor(SecretKey(bytes(32)), k=2).fit(PRIVATE[::-1, ::-1], LABELS)
    assert not np.array_equal(other.pool_, ENCRYPTOR.pool_)
    first, second = (
        recover_instahide(C, SHARES, N, each, weights=WEIGHTS, random_state=0)
        for each in (ENCRYPTOR, other)
    )
    np.testing.assert_array_equal(first.images, second.images)


def test_a_seed_gives_the_same_again():
    first, second = (
        recover_instahide(
            C[:40], SHARES[:40], 4, ENCRYPTOR, public_images=X[N:], budget=2, random_state=3
        )
        for _ in range(2)
    )
    np.testing.assert_array_equal(first.images, second.images)
    np.testing.assert_array_equal(first.likely, second.likely)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"mixed_labels": SHARES[:3]}, "a row of shares for each of 224"),
        ({"encodings": C[:, :4]}, "the encryptor's have"),
        ({"weights": WEIGHTS[:, :3]}, r"weights have the shape \(224, 3\)"),
        ({}, "needs public_images"),
        ({"budget": 0, "weights": WEIGHTS}, "steps from 1"),
        ({"budget": "long", "weights": WEIGHTS}, "steps from 1"),
    ],
)
def test_what_is_refused(changes, message):
    arguments = {"encodings": C, "mixed_labels": SHARES, "n_images": N, "encryptor": ENCRYPTOR}
    with pytest.raises(ValueError, match=message):
        recover_instahide(**{**arguments, **changes})


def test_pixels_are_solved_for_up_to_their_sign():
    rng = np.random.RandomState(0)
    weights, x = rng.rand(60, 5), rng.uniform(-1, 1, (5, 30))
    found, residuals = retrieve(weights, np.abs(weights @ x), rng)
    signs = np.sign((found * x).sum(axis=0))
    np.testing.assert_allclose(found * signs, x, atol=1e-6)
    assert residuals.max() < 1e-12


def test_signs_are_joined_along_likenesses():
    rng = np.random.default_rng(0)
    smooth = rng.normal(size=(40, 1, 1, 1)) + 0.2 * rng.normal(size=(40, 6, 5, 3))
    mixed = smooth * rng.choice([-1, 1], size=(6, 5, 3))
    joined = join_signs(mixed)
    assert np.allclose(joined, smooth) or np.allclose(joined, -smooth)


def test_clusters_are_found_and_shared_out():
    """Ten images of two classes, two in each encoding, and a graph without a mistake."""
    rng = np.random.RandomState(0)
    inside = np.stack([rng.permutation(10)[:2] for _ in range(200)])
    weights = np.zeros((200, 10))
    np.put_along_axis(weights, inside, np.array([[0.6, 0.4]]), axis=1)
    classes = np.arange(10) % 2
    shares = weights @ np.eye(2)[classes]
    likely = ((weights > 0).astype(np.float32) @ (weights > 0).T.astype(np.float32) > 0) * 1.0
    np.fill_diagonal(likely, 0)
    clusters = find_clusters(likely.astype(np.float32), shares, 10, 2, rng)
    assert len(clusters) >= 9
    for cluster in clusters:
        assert (weights[cluster.members] > 0).mean(axis=0).max() == 1
    truth = [
        Cluster(np.flatnonzero(column > 0), label)
        for column, label in zip(weights.T, classes, strict=True)
    ]
    found = weigh(truth, likely.astype(np.float32), shares, 2)
    np.testing.assert_allclose(found.sum(axis=1), 1)
    assert np.mean((found > 0) == (weights > 0)) > 0.95
    mixed = classes[inside[:, 0]] != classes[inside[:, 1]]
    np.testing.assert_allclose(found[mixed] @ np.eye(2)[classes], shares[mixed])


@pytest.mark.parametrize(("n_private", "least"), [(3, 0.0), (2, 0.5)])
def test_pairs_for_learning_are_made_as_encodings_are(n_private, least):
    torch.manual_seed(0)
    images = np.eye(500, dtype=np.float32).reshape(500, 1, 20, 25)
    mixing = Mixing(images, 3, n_private, 0.65, least)
    weights = mixing._draw_weights(400)
    assert float(weights.max()) <= 0.65
    assert float(weights[:, :n_private].sum(dim=1).min()) >= least
    pairs, common = mixing.draw_pairs(400)
    first, second = pairs.flatten(2).unbind(dim=1)
    torch.testing.assert_close(first.sum(dim=1), torch.ones(400))
    shared = ((first > 0) & (second > 0)).any(dim=1)
    assert 0.4 < float(common.mean()) < 0.6
    assert shared[common == 1].all()
    assert float(shared[common == 0].float().mean()) < 0.1
