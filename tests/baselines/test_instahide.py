"""InstaHide's encodings, by hand; a classifier that learns on them, and what its halves hold."""

import pickle

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV

from ricsk import CNNClassifier, SecretKey
from ricsk.audit import compare
from ricsk.base import get_encryptor_tags
from ricsk.baselines import InstaHideClassifier, InstaHideEncryptor
from ricsk.datasets import load_digits, make_street_numbers
from ricsk.exceptions import StateError

KEY = SecretKey(bytes(range(32)))
X, Y = load_digits(size=8)
TRAIN, TEST = slice(0, 300), slice(300, 400)
PUBLIC = make_street_numbers(30, size=8, random_state=0)[0][..., :1]
NETWORK = CNNClassifier(
    width=8, depth=2, epochs=12, batch_size=32, learning_rate=0.02, random_state=0
)


def fit(X=X[TRAIN], y=Y[TRAIN], public_images=None, **parameters):
    return InstaHideEncryptor(KEY, **parameters).fit(X, y, public_images=public_images)


def read(encryptor, encodings):
    """Read levels as the signed values that they stand for."""
    return (encodings / 127.5 - 1) * encryptor.bound_


def normalize(encryptor, levels):
    return (levels / 255 - encryptor.mean_) / encryptor.std_


def mix(encryptor, n=50):
    return encryptor._mix(X[TEST][:n], [0, 1])


@pytest.mark.parametrize("k", [2, 3, 4, 6])
def test_weights_are_random_and_obey(k):
    weights = mix(fit(k=k)).weights
    np.testing.assert_allclose(weights.sum(axis=1), 1)
    assert weights.min() >= 0
    assert weights.max() <= 0.65
    assert len(np.unique(weights[:, 0])) == 100


def test_private_images_weigh_enough_beside_public_ones():
    plain, strict = (
        mix(fit(k=6, public_images=PUBLIC, private_weight=least)).weights for least in (0, 0.5)
    )
    assert plain[:, :2].sum(axis=1).min() < 0.3
    assert strict[:, :2].sum(axis=1).min() >= 0.5


def test_encodings_are_what_the_weights_say_but_for_signs():
    encryptor = fit(k=3)
    own = X[TEST][:5]
    mixtures = encryptor._mix(own, [0])
    images = np.stack([own, *(encryptor.pool_[column] for column in mixtures.partners.T)])
    expected = np.einsum("nk,knhwc->nhwc", mixtures.weights, normalize(encryptor, images))
    found = read(encryptor, mixtures.encodings.astype(float))
    np.testing.assert_allclose(np.abs(found), np.abs(expected), atol=encryptor.bound_ / 250)


def test_one_image_is_hidden_by_signs_alone():
    encryptor = fit(k=1)
    found = read(encryptor, encryptor.transform(X[TEST]).astype(float))
    expected = normalize(encryptor, X[TEST])
    np.testing.assert_allclose(np.abs(found), np.abs(expected), atol=encryptor.bound_ / 250)


def test_signs_are_unbiased_and_differ():
    encodings = mix(fit(), 100).encodings.reshape(200, -1)
    positive = encodings > 127
    assert abs(positive.mean() - 0.5) < 0.02
    assert np.abs(positive.mean(axis=0) - 0.5).max() < 0.2


def test_labels_are_mixed_by_the_same_weights():
    encryptor = fit(k=3)
    encodings, shares = encryptor.encode(X[TEST], Y[TEST], n_encodings=2)
    mixtures = encryptor._mix(X[TEST], [0, 1])
    np.testing.assert_array_equal(encodings, mixtures.encodings)
    labels = np.c_[Y[TEST].repeat(2), Y[TRAIN][mixtures.partners]]
    for row, own, weights in zip(shares, labels, mixtures.weights, strict=True):
        by_hand = [weights[own == label].sum() for label in range(10)]
        np.testing.assert_allclose(row, by_hand, atol=1e-12)


def test_public_images_have_no_label():
    encryptor = fit(k=6, public_images=PUBLIC)
    _, shares = encryptor.encode(X[TEST], Y[TEST])
    weights = encryptor._mix(X[TEST], [0]).weights
    np.testing.assert_allclose(shares.sum(axis=1), weights[:, :2].sum(axis=1))
    assert shares.sum(axis=1).max() < 0.99


def test_labels_may_be_shares():
    encryptor = fit()
    halves = np.zeros((100, 10))
    halves[:, 0] = halves[:, 1] = 0.5
    mixed, zero, one = (
        encryptor.encode(X[TEST], y)[1] for y in (halves, np.zeros(100, int), np.ones(100, int))
    )
    np.testing.assert_allclose(mixed, (zero + one) / 2)


def test_each_number_is_another_encoding_and_the_first_is_that_of_transform():
    encryptor = fit()
    encodings, _ = encryptor.encode(X[TEST][:3], Y[TEST][:3], n_encodings=4)
    assert len(np.unique(encodings.reshape(12, -1), axis=0)) == 12
    np.testing.assert_array_equal(encodings[::4], encryptor.transform(X[TEST][:3]))
    later, _ = encryptor.encode(X[TEST][:3], Y[TEST][:3], n_encodings=2, first=2)
    expected = encodings.reshape(3, 4, 8, 8, 1)[:, 2:].reshape(6, 8, 8, 1)
    np.testing.assert_array_equal(later, expected)


def test_a_fit_after_another_forgets_it():
    again = fit(k=2)
    again.transform(X[TEST])
    again.set_params(k=3).fit(X[TEST], Y[TEST])
    fresh = fit(X[TEST], Y[TEST], k=3)
    np.testing.assert_array_equal(again.transform(X[TRAIN]), fresh.transform(X[TRAIN]))
    np.testing.assert_array_equal(again.mean_, fresh.mean_)


def test_other_images_to_mix_with_draw_other_streams():
    fits = [
        fit(k=3),
        fit(X[TEST], Y[TEST], k=3),
        fit(k=3, public_images=PUBLIC),
        fit(k=3, public_images=PUBLIC[::-1]),
    ]
    weights = [mix(each).weights[:, 0] for each in fits]
    assert len(np.unique(np.stack(weights).round(9), axis=0)) == 4
    assert len(np.unique(np.stack(weights).round(9))) == 400


def test_public_images_reach_the_training():
    network = clone(NETWORK).set_params(epochs=1)
    trained = InstaHideClassifier(InstaHideEncryptor(KEY), network)
    trained.fit(X[:100], Y[:100], public_images=PUBLIC)
    np.testing.assert_array_equal(trained.encryptor_.public_pool_, PUBLIC)


def test_images_of_one_value_are_encoded():
    black = fit(np.zeros((4, 8, 8, 1), np.uint8), None)
    assert np.isfinite(black.bound_)
    assert black.transform(X[TEST]).shape == X[TEST].shape


def test_what_the_scheme_is():
    tags = get_encryptor_tags(InstaHideEncryptor())
    assert tags.mixes_labels
    assert tags.deterministic
    assert not tags.recoverable
    assert not hasattr(fit(), "inverse_transform")


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"largest_weight": 0.25}, "largest_weight further above 1/k = 0.25"),
        ({"k": 6, "public_images": PUBLIC, "private_weight": 0.99}, "smaller private_weight"),
        ({"k": 2, "public_images": PUBLIC}, "k=3 or more"),
        ({"public_images": PUBLIC[:, :4]}, "Resize them"),
    ],
)
def test_what_is_refused(parameters, message):
    with pytest.raises(ValueError, match=message):
        fit(**parameters)


def test_labels_that_are_not_known_are_refused():
    with pytest.raises(ValueError, match="fit was given none"):
        fit(y=None).encode(X[TEST], Y[TEST])
    with pytest.raises(ValueError, match="not given: \\[11\\]"):
        fit().encode(X[TEST][:1], [11])
    with pytest.raises(ValueError, match="2 entries for 100"):
        fit().encode(X[TEST], [1, 2])


@pytest.mark.parametrize(
    "change",
    [
        {"pool_": X[:10].astype(float)},
        {"pool_": X[:10, :4]},
        {"pool_labels_": Y[:10]},
        {"pool_labels_": np.full(300, 10)},
        {"public_pool_": PUBLIC},
        {"largest_weight_": 0.5},
        {"k_": 0},
    ],
    ids=lambda change: next(iter(change)),
)
def test_states_that_no_fit_made(change):
    fitted = fit(k=2)
    with pytest.raises(StateError):
        InstaHideEncryptor().__setstate__({**fitted.__getstate__(), **change})


def test_it_stands_in_a_comparison():
    table = compare(
        InstaHideEncryptor(KEY, k=2), X[:400], Y[:400], classifier=NETWORK, random_state=0
    )
    assert table.recoverable[0] == "no"
    assert table.told_apart[0] in ("yes", "not found")


@pytest.fixture(scope="module")
def trained():
    return InstaHideClassifier(InstaHideEncryptor(KEY, k=2), NETWORK).fit(X[:1200], Y[:1200])


def test_a_network_learns_on_mixtures(trained):
    assert trained.score(X[1200:], Y[1200:]) > 0.7


def test_more_encodings_answer_better_and_plain_images_need_none(trained):
    one, ten, plain = (set_fitted(trained, test_encodings_=n) for n in (1, 10, 0))
    scores = [each.score(X[1200:], Y[1200:]) for each in (one, ten, plain)]
    assert min(scores[1:]) > scores[0] + 0.1
    images = trained.encryptor_.normalize(X[1200:])
    np.testing.assert_array_equal(plain.predict(X[1200:]), trained.classifier_.predict(images))
    found = read(trained.encryptor_, images.astype(float))
    expected = normalize(trained.encryptor_, X[1200:])
    np.testing.assert_allclose(found, expected, atol=trained.encryptor_.bound_ / 250)


def set_fitted(trained, **changes):
    other = pickle.loads(pickle.dumps(trained))
    vars(other).update(changes)
    return other


def test_shares_of_partners_are_subtracted(trained):
    plain, less = (set_fitted(trained, test_encodings_=1, subtract_partners_=s) for s in (0, 1))
    _, partners = trained.encryptor_.encode_queries(X[1200:1250], 1)
    expected = np.maximum(plain.predict_proba(X[1200:1250]) - partners, 0)
    expected /= expected.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(less.predict_proba(X[1200:1250]), expected, atol=1e-6)


def test_training_sees_new_encodings_each_epoch(monkeypatch):
    numbers = []
    encode = InstaHideEncryptor.encode

    def record(self, X, y, *, n_encodings=1, first=0):
        numbers.append(first)
        return encode(self, X, y, n_encodings=n_encodings, first=first)

    monkeypatch.setattr(InstaHideEncryptor, "encode", record)
    network = clone(NETWORK).set_params(epochs=3, batch_size=50)
    InstaHideClassifier(InstaHideEncryptor(KEY), network).fit(X[:100], Y[:100])
    assert numbers == list(range(6))


def test_labels_of_another_training_are_refused():
    with pytest.raises(ValueError, match="mixes images of the classes"):
        clone(NETWORK).fit_encrypted(X[TRAIN], Y[TRAIN] + 1, fit())


def test_the_cloud_half_holds_no_image_and_no_key(trained):
    cloud = pickle.dumps(trained.cloud_half())
    assert bytes(range(32)) not in cloud
    pool = trained.encryptor_.pool_
    assert not any(image.tobytes()[16:40] in cloud for image in pool if len(np.unique(image)) > 8)
    client = trained.client_half()
    C = client.transform(X[1200:1210])
    assert trained.cloud_half().predict(C).shape == (10,)
    assert pool[3].tobytes() in pickle.dumps(client)


def test_searches_choose_parameters_of_both():
    network = clone(NETWORK).set_params(epochs=1)
    search = GridSearchCV(
        InstaHideClassifier(InstaHideEncryptor(KEY), network), {"encryptor__k": [1, 2]}, cv=2
    ).fit(X[:100], Y[:100])
    assert search.best_params_["encryptor__k"] in (1, 2)


def test_it_needs_an_encryptor():
    with pytest.raises(ValueError, match="needs an encryptor"):
        InstaHideClassifier().fit(X[TRAIN], Y[TRAIN])


def test_images_of_another_size_are_refused():
    with pytest.raises(ValueError, match="Resize the images to that"):
        fit().transform([X[0], X[1, :8, :4]])
