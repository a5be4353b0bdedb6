import io
import pickle
import zipfile

import joblib
import numpy as np
import pandas as pd
import pytest
import skops.io
from sklearn import config_context
from sklearn.base import clone
from sklearn.ensemble import BaggingClassifier
from sklearn.exceptions import NotFittedError, UnsetMetadataPassedError
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_val_score, cross_validate
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC, LinearSVC

from ricsk import (
    CNNClassifier,
    ConvMixerClassifier,
    EtCEncryptor,
    LearnableEncryptor,
    PixelEncryptor,
    PrivateClassifier,
    RICEncryptor,
    SealedEncryptor,
    SecretKey,
    TransformationNetworkEncryptor,
    ViTClassifier,
)
from ricsk.datasets import load_digits
from ricsk.exceptions import CloudHalfError, NotAdaptableError

KEY = SecretKey(bytes(range(32)))
X, numbers = load_digits(size=8)
X, numbers = X[:600], numbers[:600]
Y = np.array([f"digit {number}" for number in numbers])
TINY = ConvMixerClassifier(
    dim=16, depth=1, kernel_size=3, patch_size=1, epochs=2, batch_size=64, random_state=0
)


@pytest.fixture(scope="module")
def fitted():
    encryptor = EtCEncryptor(KEY, block_size=1)
    return PrivateClassifier(encryptor, LogisticRegression(max_iter=2000)).fit(
        X[:400] / 255, Y[:400]
    )


def test_learns_to_read_ciphertexts(fitted):
    plain = LogisticRegression(max_iter=2000).fit(X[:400].reshape(400, -1) / 255, Y[:400])
    # Permuting and negating pixels is nothing to a linear model.
    drop = plain.score(X[400:].reshape(200, -1) / 255, Y[400:]) - fitted.score(
        X[400:] / 255, Y[400:]
    )
    assert abs(drop) < 0.03
    assert fitted.classes_.tolist() == sorted(set(Y))


def test_the_classifier_sees_ciphertexts_and_nothing_else():
    seen = []

    class Spy(LogisticRegression):
        def fit(self, X, y):
            seen.append(X)
            return super().fit(X, y)

        def predict(self, X):
            seen.append(X)
            return super().predict(X)

    private = PrivateClassifier(EtCEncryptor(KEY, block_size=2), Spy(max_iter=2000))
    private.fit(X / 255, Y).predict(X / 255)
    C = private.encrypt(X / 255).reshape(len(X), -1)
    assert len(seen) == 2
    for given in seen:
        np.testing.assert_array_equal(given, C)


def test_the_halves_do_together_what_the_whole_does(fitted):
    client, cloud = fitted.client_half(), fitted.cloud_half()
    C = client.transform(X / 255)
    np.testing.assert_array_equal(C, fitted.encrypt(X / 255))
    np.testing.assert_array_equal(cloud.predict(C), fitted.predict(X / 255))
    np.testing.assert_array_equal(cloud.predict(C), fitted.predict_encrypted(C))
    np.testing.assert_array_equal(cloud.predict_proba(C), fitted.predict_proba(X / 255))
    np.testing.assert_allclose(client.inverse_transform(C), X / 255, atol=1e-15)
    np.testing.assert_array_equal(fitted.decrypt(C), client.inverse_transform(C))
    assert cloud.score(C, Y) == fitted.score(X / 255, Y)


def test_the_client_decrypts_uint8_bit_for_bit():
    private = PrivateClassifier(EtCEncryptor(KEY, block_size=2), TINY).fit(X, Y)
    np.testing.assert_array_equal(private.decrypt(private.encrypt(X)), X)


def dumps_with_joblib(value, path):
    joblib.dump(value, path / "dumped")
    return (path / "dumped").read_bytes()


@pytest.mark.parametrize(
    "encryptor",
    [
        EtCEncryptor(KEY, block_size=2),
        PixelEncryptor(KEY),
        LearnableEncryptor(KEY, per_block_keys=True, scramble_blocks=True),
    ],
    ids=str,
)
@pytest.mark.parametrize("classifier", [LogisticRegression(max_iter=5000, C=0.1), TINY], ids=str)
def test_the_cloud_half_has_no_key_and_nothing_made_of_it(encryptor, classifier, tmp_path):
    private = PrivateClassifier(encryptor, classifier).fit(X / 255, Y)
    pixel_map = private.encryptor_.pixel_map_
    steps = ["etc/permute", "etc/rotate", "etc/negate", "etc/channels", "pe/negate", "pe/channels"]
    steps += ["le/permute", "le/reverse", "le/scramble"]
    context = b"".join(side.to_bytes(4, "little") for side in (8, 8, 1))
    secrets = [bytes(range(32)), KEY.reveal().encode(), KEY.key_id.encode()]
    secrets += [KEY.derive(step, context) for step in steps]
    secrets += [pixel_map.index.astype(t).tobytes() for t in ("u1", "i4", "i8")]
    secrets += [pixel_map.mask.tobytes()]
    for dump in (pickle.dumps, skops.io.dumps, lambda value: dumps_with_joblib(value, tmp_path)):
        cloud_bytes = dump(private.cloud_half())
        for secret in secrets:
            assert secret not in cloud_bytes
            assert secret.hex().encode() not in cloud_bytes
    # The search would find a key if there were one.
    assert bytes(range(32)) in pickle.dumps(private.client_half())


def test_the_client_half_has_no_weights(fitted):
    weights = fitted.classifier_.intercept_.tobytes()
    assert weights[:64] in pickle.dumps(fitted.cloud_half())
    assert weights[:64] not in pickle.dumps(fitted.client_half())


@pytest.mark.parametrize("copy", ["pickle", "joblib", "skops"])
def test_both_halves_can_be_saved(fitted, copy, tmp_path):
    C = fitted.encrypt(X / 255)
    for half, method in ((fitted.client_half(), "transform"), (fitted.cloud_half(), "predict")):
        if copy == "pickle":
            other = pickle.loads(pickle.dumps(half))
        elif copy == "joblib":
            joblib.dump(half, tmp_path / "half")
            other = joblib.load(tmp_path / "half")
        else:
            dumped = skops.io.dumps(half)
            untrusted = skops.io.get_untrusted_types(data=dumped)
            assert all(name.startswith("ricsk.") for name in untrusted)
            other = skops.io.loads(dumped, trusted=untrusted)
        given = X / 255 if method == "transform" else C
        np.testing.assert_array_equal(getattr(other, method)(given), getattr(half, method)(given))


def test_the_whole_can_be_saved(fitted):
    other = pickle.loads(pickle.dumps(fitted))
    np.testing.assert_array_equal(other.predict(X / 255), fitted.predict(X / 255))


def test_neither_cloning_nor_fitting_changes_the_cloud_half(fitted):
    cloud = clone(fitted.cloud_half()).fit(X[:9] / 255, Y[:9])
    C = fitted.encrypt(X / 255)
    np.testing.assert_array_equal(cloud.predict(C), fitted.predict(X / 255))


def test_a_frozen_classifier_is_not_trained_again(fitted):
    frozen = FrozenEstimator(fitted.classifier_)
    private = PrivateClassifier(EtCEncryptor(KEY, block_size=1), frozen).fit(X[:9] / 255, Y[:9])
    np.testing.assert_array_equal(private.predict(X / 255), fitted.predict(X / 255))


SHARED = {"block_size": 2, "per_block_keys": False, "sub_block_size": 1}


@pytest.fixture(scope="module")
def vit():
    classifier = ViTClassifier(
        dim=32, depth=1, patch_size=2, epochs=20, learning_rate=0.01, random_state=0
    )
    return classifier.fit(X[:400], Y[:400])


def test_a_frozen_vit_reads_ciphertexts_of_shared_keys_without_training(vit):
    expected = vit.predict(X)
    assert np.mean(expected == Y) > 0.5
    for key in (KEY, SecretKey(bytes(32))):
        private = PrivateClassifier(EtCEncryptor(key, **SHARED), FrozenEstimator(vit))
        # Neither labels nor further images count.
        private.fit(X[:3], np.full(3, "digit 0"))
        np.testing.assert_array_equal(private.classes_, vit.classes_)
        client, cloud = private.client_half(), private.cloud_half()
        np.testing.assert_array_equal(cloud.predict(client.transform(X)), expected)
        np.testing.assert_allclose(private.predict_proba(X), vit.predict_proba(X), atol=1e-5)
        np.testing.assert_array_equal(private.decrypt(private.encrypt(X)), X)
    np.testing.assert_array_equal(vit.predict(X), expected)
    assert np.mean(cloud.predict(EtCEncryptor(KEY, **SHARED).fit_transform(X)) == Y) < 0.3


def test_a_frozen_vit_reads_flattened_ciphertexts():
    flat = X.reshape(len(X), -1) / 255
    classifier = ViTClassifier(dim=16, depth=1, patch_size=2, epochs=1, image_shape=(8, 8))
    frozen = FrozenEstimator(classifier.fit(flat[:100], Y[:100]))
    encryptor = EtCEncryptor(KEY, image_shape=(8, 8), **SHARED)
    private = PrivateClassifier(encryptor, frozen).fit(flat[:3], Y[:3])
    np.testing.assert_array_equal(private.predict(flat), classifier.predict(flat))


@pytest.mark.parametrize("dump", [pickle.dumps, skops.io.dumps])
def test_the_cloud_half_of_a_frozen_vit_has_neither_key_nor_plain_tensors(vit, dump):
    private = PrivateClassifier(EtCEncryptor(KEY, **SHARED), FrozenEstimator(vit)).fit(X, Y)
    network, pixel_map = vit.module_.network, private.encryptor_.pixel_map_
    plain = [network.patch_embed.proj.weight, network.pos_embed[:, 1:]]
    plain = [tensor.detach().numpy().tobytes() for tensor in plain]
    secrets = [bytes(range(32)), KEY.reveal().encode(), KEY.key_id.encode(), *plain]
    secrets += [pixel_map.index.astype(t).tobytes() for t in ("u1", "i4", "i8")]
    secrets += [pixel_map.mask.tobytes()]
    with io.BytesIO(dump(private.cloud_half())) as file:
        zipped = zipfile.is_zipfile(file)
        if zipped:
            with zipfile.ZipFile(file) as archive:
                stored = b"".join(archive.read(name) for name in archive.namelist())
        else:
            stored = file.getvalue()
    for secret in secrets:
        assert secret not in stored
    # What both networks share is there.
    assert network.head.weight.detach().numpy().tobytes() in stored


def test_a_frozen_network_that_cannot_follow_the_key_is_refused(vit):
    cnn = CNNClassifier(width=4, depth=1, epochs=1).fit(X[:100], Y[:100])
    mixer = ConvMixerClassifier(dim=8, depth=1, epochs=1).fit(X[:100], Y[:100])
    for classifier, message in ((cnn, "CNN does not begin"), (mixer, "ConvMixer has no position")):
        private = PrivateClassifier(EtCEncryptor(KEY, **SHARED), FrozenEstimator(classifier))
        with pytest.raises(NotAdaptableError, match=message):
            private.fit(X, Y)
    in_place = EtCEncryptor(KEY, permute=False, **SHARED)
    private = PrivateClassifier(in_place, FrozenEstimator(mixer)).fit(X, Y)
    np.testing.assert_array_equal(private.predict(X), mixer.predict(X))
    with pytest.raises(NotFittedError):
        PrivateClassifier(in_place, FrozenEstimator(ViTClassifier())).fit(X, Y)


def test_frozen_classifiers_that_read_ciphertexts_already_are_left_alone():
    encryptor = EtCEncryptor(KEY, block_size=2, per_block_keys=False)
    trained = PrivateClassifier(encryptor, LogisticRegression(max_iter=2000)).fit(X / 255, Y)
    frozen = FrozenEstimator(trained.classifier_)
    private = PrivateClassifier(encryptor, frozen).fit(X[:9] / 255, Y[:9])
    np.testing.assert_array_equal(private.predict(X / 255), trained.predict(X / 255))
    trained = PrivateClassifier(EtCEncryptor(KEY, block_size=2), TINY).fit(X, Y)
    frozen = FrozenEstimator(trained.classifier_)
    private = PrivateClassifier(EtCEncryptor(KEY, block_size=2), frozen).fit(X[:9], Y[:9])
    np.testing.assert_array_equal(private.predict(X), trained.predict(X))


def test_another_key_reads_nothing(fitted):
    other = EtCEncryptor(SecretKey(bytes(32)), block_size=1).fit(X / 255)
    assert np.mean(fitted.predict_encrypted(other.transform(X / 255)) == Y) < 0.5


@pytest.mark.usefixtures("workers_end")
def test_in_searches_and_cross_validation():
    private = PrivateClassifier(EtCEncryptor(KEY, block_size=2), LogisticRegression(max_iter=2000))
    grid = {"encryptor__block_size": [1, 4], "classifier__C": [0.1]}
    search = GridSearchCV(private, grid, cv=2, n_jobs=2).fit(X / 255, Y)
    assert search.best_score_ > 0.7
    assert search.best_estimator_.encryptor_.block_size in (1, 4)
    assert cross_val_score(private, X / 255, Y, cv=2).min() > 0.7


LARGE, large_numbers = load_digits(size=24)
LARGE, large_numbers = (LARGE[:200] & 0xE0) / 255, large_numbers[:200]  # they fit into a seal
LINEAR = LogisticRegression(max_iter=500)
ON_PLAIN = [
    SealedEncryptor(KEY),
    RICEncryptor(KEY),
    TransformationNetworkEncryptor(width=1, epochs=1),
]


@pytest.mark.parametrize("encryptor", ON_PLAIN, ids=str)
def test_training_images_do_not_go_to_the_cloud(encryptor):
    private = PrivateClassifier(encryptor, LINEAR).fit(LARGE, large_numbers)
    assert private.kept_images_ is None
    assert private.cloud_half().predict(private.encrypt(LARGE[:5])).shape == (5,)


@pytest.mark.parametrize(
    ("classifier", "where"),
    [
        (KNeighborsClassifier(), "KNeighborsClassifier._fit_X"),
        (make_pipeline(StandardScaler(), SVC()), "SVC.support_vectors_"),
        (BaggingClassifier(KNeighborsClassifier(), 2), "KNeighborsClassifier._fit_X"),
        (FrozenEstimator(SVC().fit(LARGE.reshape(200, -1), large_numbers)), "SVC.support_vectors_"),
    ],
    ids=str,
)
def test_a_classifier_that_keeps_plain_images_has_no_cloud_half(classifier, where):
    private = PrivateClassifier(SealedEncryptor(KEY), classifier).fit(LARGE, large_numbers)
    with pytest.raises(CloudHalfError, match=f"as {where}, and they would go to the cloud"):
        private.cloud_half()


# Classifiers of a few iterations will do here; they need not be good ones.
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_what_an_optimizer_remembers_stays_behind():
    network = MLPClassifier((100,), max_iter=20, random_state=0)
    private = PrivateClassifier(SealedEncryptor(KEY), network).fit(LARGE[:30], large_numbers[:30])
    assert hasattr(private.classifier_, "_optimizer")
    cloud = private.cloud_half()
    assert not hasattr(cloud.classifier, "_optimizer")
    np.testing.assert_array_equal(cloud.predict(LARGE), private.predict_encrypted(LARGE))


def test_enlarged_training_images_do_not_go_to_the_cloud():
    """Images too small for a seal are enlarged, also those that the classifier learns on."""
    private = PrivateClassifier(SealedEncryptor(KEY), KNeighborsClassifier()).fit(X / 255, Y)
    assert private.encryptor_.ciphertext_shape_ != (8, 8, 1)
    with pytest.raises(CloudHalfError):
        private.cloud_half()


@pytest.mark.parametrize(
    "encryptor", [EtCEncryptor(KEY, block_size=2), PixelEncryptor(KEY)], ids=str
)
def test_a_classifier_may_keep_ciphertexts(encryptor):
    private = PrivateClassifier(encryptor, KNeighborsClassifier()).fit(X / 255, Y)
    assert private.cloud_half().score(private.encrypt(X / 255), Y) > 0.9


def test_a_frozen_classifier_of_plain_images_does_not_go_to_the_cloud_either():
    frozen = FrozenEstimator(KNeighborsClassifier().fit(X.reshape(len(X), -1) / 255, Y))
    private = PrivateClassifier(EtCEncryptor(KEY, block_size=2), frozen).fit(X / 255, Y)
    with pytest.raises(CloudHalfError):
        private.cloud_half()


def test_an_encryptor_in_the_classifier_does_not_go_to_the_cloud():
    inner = make_pipeline(PixelEncryptor(KEY, image_shape=(8, 8)), LINEAR)
    private = PrivateClassifier(EtCEncryptor(KEY, block_size=2), inner).fit(X / 255, Y)
    with pytest.raises(CloudHalfError, match="there is a PixelEncryptor in this Pipeline"):
        private.cloud_half()


def test_the_path_of_a_checkpoint_does_not_go_to_the_cloud(tmp_path):
    classifier = clone(TINY).set_params(checkpoint=str(tmp_path / "checkpoint"))
    private = PrivateClassifier(EtCEncryptor(KEY, block_size=2), classifier).fit(X, Y)
    assert str(tmp_path).encode() in pickle.dumps(private.classifier_)
    assert str(tmp_path).encode() not in pickle.dumps(private.cloud_half())


@pytest.mark.parametrize("classifier", [LinearSVC(), LogisticRegression(max_iter=2000)], ids=str)
def test_scorers_find_scores(classifier):
    """LinearSVC has a decision function and no probabilities."""
    private = PrivateClassifier(EtCEncryptor(KEY, block_size=2), classifier)
    assert cross_val_score(private, X / 255, numbers > 4, scoring="roc_auc", cv=2).min() > 0.8


def test_scores_are_those_of_the_classifier(fitted):
    C = fitted.encrypt(X / 255)
    for method in ("decision_function", "predict_proba"):
        expected = getattr(fitted.classifier_, method)(C.reshape(len(C), -1))
        np.testing.assert_array_equal(getattr(fitted, method)(X / 255), expected)
        np.testing.assert_array_equal(getattr(fitted.cloud_half(), method)(C), expected)


ONLY_NINES = (numbers == 9).astype(float)


def test_sample_weights_reach_the_classifier():
    encryptor = EtCEncryptor(KEY, block_size=2)
    private = PrivateClassifier(encryptor, LINEAR).fit(X / 255, Y, sample_weight=ONLY_NINES)
    assert set(private.predict(X / 255)) == {"digit 9"}


def test_sample_weights_reach_a_classifier_that_learns_on_plain_images():
    weights = (large_numbers == 9).astype(float)
    private = PrivateClassifier(SealedEncryptor(KEY, kappa=0.0), LINEAR)
    private.fit(LARGE, large_numbers, sample_weight=weights)
    assert set(private.predict(LARGE[:20])) == {9}
    assert private.cloud_half().predict(private.encrypt(LARGE[:5])).shape == (5,)


def test_parameters_of_a_pipelines_step_reach_it():
    pipeline = make_pipeline(StandardScaler(), LINEAR)
    private = PrivateClassifier(EtCEncryptor(KEY, block_size=2), pipeline)
    private.fit(X / 255, Y, logisticregression__sample_weight=ONLY_NINES)
    assert set(private.predict(X / 255)) == {"digit 9"}


@pytest.mark.parametrize("classifier", [TINY, KNeighborsClassifier()], ids=str)
def test_what_a_classifier_does_not_take_is_refused(classifier):
    private = PrivateClassifier(EtCEncryptor(KEY, block_size=2), classifier)
    name = type(classifier).__name__
    with pytest.raises(TypeError, match=f"fit of {name} does not take sample_weight"):
        private.fit(X, Y, sample_weight=ONLY_NINES)


def test_metadata_are_routed():
    encryptor = EtCEncryptor(KEY, block_size=2)
    with config_context(enable_metadata_routing=True):
        with pytest.raises(UnsetMetadataPassedError, match=r"LogisticRegression\.fit"):
            PrivateClassifier(encryptor, LINEAR).fit(X / 255, Y, sample_weight=ONLY_NINES)
        with pytest.raises(TypeError, match="unexpected argument"):
            PrivateClassifier(encryptor, TINY).fit(X, Y, sample_weight=ONLY_NINES)
        asking = clone(LINEAR).set_fit_request(sample_weight=True)
        private = PrivateClassifier(encryptor, asking).set_score_request(sample_weight=True)
        private.fit(X / 255, Y, sample_weight=ONLY_NINES)
        assert set(private.predict(X / 255)) == {"digit 9"}
        params = {"sample_weight": ONLY_NINES}
        scores = cross_validate(private, X / 255, Y, params=params, cv=2)["test_score"]
        # All that weighs anything is a 9, and found to be one.
        assert scores.tolist() == [1, 1]


def test_a_data_frame_gives_names_and_labels():
    names = [f"pixel {i}" for i in range(64)]
    frame = pd.DataFrame(X.reshape(len(X), -1) / 255, columns=names)
    private = PrivateClassifier(EtCEncryptor(KEY, block_size=2), LINEAR).fit(frame, pd.Series(Y))
    assert private.feature_names_in_.tolist() == names
    assert private.n_features_in_ == 64
    assert private.score(frame, pd.Series(Y)) > 0.9
    with pytest.raises(ValueError, match="feature names"):
        private.predict(frame[names[::-1]])
    with config_context(transform_output="pandas"):
        assert clone(private).fit(frame, Y).score(frame, Y) > 0.9


@pytest.mark.parametrize("classifier", [LINEAR, TINY], ids=str)
@pytest.mark.parametrize("augment_first", [False, True])
@pytest.mark.parametrize("images", [X, X[..., 0], X.reshape(len(X), -1)], ids=lambda X: X.ndim)
def test_flat_ciphertexts_are_read_as_well(classifier, augment_first, images):
    if classifier is LINEAR:
        images, augment_first = images / 255, False
    encryptor = EtCEncryptor(KEY, block_size=2, flatten=True)
    private, square = (
        PrivateClassifier(e, classifier, augment_first=augment_first).fit(images, Y)
        for e in (encryptor, clone(encryptor).set_params(flatten=False))
    )
    C = private.encrypt(images)
    assert C.shape == (len(X), 64)
    np.testing.assert_array_equal(private.cloud_half().predict(C), square.predict(images))
    np.testing.assert_allclose(private.decrypt(C), images, atol=1e-15)


def test_parameters_set_after_fit_act_at_the_next_one(fitted):
    private = clone(fitted).fit(X / 255, Y)
    expected = private.predict(X / 255)
    irreversible = EtCEncryptor(KEY, variant="madono2020")
    private.set_params(encryptor=irreversible, classifier=LinearSVC(), augment_first=True)
    np.testing.assert_array_equal(private.predict(X / 255), expected)
    np.testing.assert_allclose(private.decrypt(private.encrypt(X / 255)), X / 255, atol=1e-15)
    assert private.predict_proba(X / 255).shape == (600, 10)
    private.set_params(augment_first=False).fit(X / 255, Y)
    assert not hasattr(private, "decrypt")
    assert not hasattr(private, "predict_proba")


def test_a_fit_that_fails_changes_nothing(fitted):
    private = clone(fitted).fit(X / 255, Y)
    before = pickle.dumps(private)
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        private.fit(LARGE[:50], Y[:40])
    assert pickle.dumps(private) == before


def test_an_encryptors_own_classifier_is_taken_if_no_other_is_given():
    private = PrivateClassifier(SealedEncryptor(KEY, LINEAR)).fit(LARGE, large_numbers)
    assert isinstance(private.classifier_, LogisticRegression)


def test_a_frozen_encryptor_stays_as_it_is():
    sealed = SealedEncryptor(KEY, LINEAR).fit(LARGE, large_numbers)
    private = PrivateClassifier(FrozenEstimator(sealed)).fit(LARGE[:30], large_numbers[:30])
    assert private.classifier_ is sealed.classifier_
    np.testing.assert_array_equal(private.encrypt(LARGE[:3]), sealed.transform(LARGE[:3]))
    with pytest.raises(ValueError, match="a frozen encryptor keeps the classifier"):
        private.set_params(classifier=LINEAR).fit(LARGE, large_numbers)
    etc = EtCEncryptor(KEY, block_size=2).fit(X)
    private = PrivateClassifier(FrozenEstimator(etc), LINEAR).fit(X / 255, Y)
    np.testing.assert_array_equal(private.encrypt(X), etc.transform(X))


def test_the_encryptor_stands_in_a_pipeline_too():
    pipeline = make_pipeline(EtCEncryptor(KEY, block_size=2), TINY)
    assert pipeline.fit(X, Y).predict(X).shape == (600,)


def test_methods_that_a_part_lacks_are_not_there():
    private = PrivateClassifier(EtCEncryptor(KEY, variant="madono2020"), LinearSVC())
    assert not hasattr(private, "decrypt")
    assert not hasattr(private, "predict_proba")
    assert hasattr(PrivateClassifier(PixelEncryptor(KEY), TINY), "predict_proba")


def test_the_default_classifier_is_convmixer():
    private = PrivateClassifier(PixelEncryptor(KEY))
    assert hasattr(private, "predict_proba")
    # Too few images to learn from; what counts is which classifier is made.
    assert isinstance(private.fit(X[:4], Y[:4]).classifier_, ConvMixerClassifier)


def test_without_an_encryptor_fit_says_what_to_give():
    with pytest.raises(ValueError, match=r"PrivateClassifier\(EtCEncryptor\(SecretKey.generate"):
        PrivateClassifier().fit(X, Y)


def test_before_fit_there_are_no_halves():
    private = PrivateClassifier(PixelEncryptor(KEY), TINY)
    for call in (private.client_half, private.cloud_half, lambda: private.predict(X)):
        with pytest.raises(NotFittedError):
            call()
