import numpy as np
import pandas as pd
import pytest
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import NearestCentroid
from sklearn.utils import check_array

from ricsk import (
    EtCEncryptor,
    PixelEncryptor,
    RICEncryptor,
    SealedEncryptor,
    SecretKey,
    TransformationNetworkEncryptor,
)
from ricsk.attacks import (
    Adversary,
    BaseAttack,
    BruteForceAttack,
    DisclosureBaseline,
    DistinguishingGame,
    FRAttack,
    IdentificationAttack,
    ITNAttack,
    KeyReuseAttack,
    KnownPlaintextAttack,
    LinearAttack,
)
from ricsk.audit import audit, default_attacks
from ricsk.datasets import make_street_numbers
from ricsk.exceptions import TargetNotReachedError
from tests.attacks.doubles import OneTimePad, ScrambledRIC
from tests.audit.noise import NoiseEncryptor

KEY = SecretKey(bytes(range(32)))
X, Y = make_street_numbers(240, size=16, random_state=0)
FLAT = X.reshape(240, -1) / 255
LINEAR = FrozenEstimator(LogisticRegression(max_iter=2000, C=0.001).fit(FLAT, Y))
# What asks for a judge gets one that is quick.
QUICK = {"classifier": NearestCentroid(), "random_state": 0}
TRIALS = [DistinguishingGame(n_ciphertexts=40), IdentificationAttack(n_references=2)]


def findings(result):
    table = result.table
    return dict(zip(table["attack"], table["finding"], strict=True))


class Spy(BaseAttack):
    """Keep what an attack is given; reconstruct mid-grey."""

    # Shared on purpose: the audit clones attacks, so an instance's own list would not be seen.
    seen: list = []  # noqa: RUF012
    adversary = Adversary(pairs=True, public_images=True, labels=True)

    def _fit(self, **given):
        self.given_ = given
        Spy.seen.append(given)

    def _reconstruct(self, ciphertexts, labels):
        Spy.seen.append({"targets": ciphertexts, "labels": labels})
        return np.full((len(ciphertexts), *self.image_shape_), 128, np.uint8)


class Turned(LinearAttack):
    """Find the images, and turn them around in some way."""

    way = staticmethod(lambda found: found)

    def _reconstruct(self, ciphertexts, *rest):
        return self.way(super()._reconstruct(ciphertexts, *rest))


class Mirrored(Turned):
    way = staticmethod(lambda found: found[:, :, ::-1])


class Negative(Turned):
    way = staticmethod(lambda found: 255 - found)


class MirroredNegative(Turned):
    way = staticmethod(lambda found: 255 - found[:, :, ::-1])


class UpsideDown(Turned):
    way = staticmethod(lambda found: found[:, ::-1])


def test_mirror_images_and_negatives_are_as_good_as_images():
    encryptor = EtCEncryptor(KEY, block_size=4)
    attacks = [Mirrored(), Negative(), MirroredNegative(), UpsideDown()]
    table = audit(encryptor, X, Y, attacks, **QUICK).table.set_index("attack")
    for name in ("Mirrored", "Negative", "MirroredNegative"):
        assert table.loc[name, "ssim"] == 1
        assert table.loc[name, "reidentified"] == 1
    assert table.loc["UpsideDown", "ssim"] < 0.9


@pytest.mark.parametrize(
    "encryptor", [PixelEncryptor(KEY), EtCEncryptor(KEY, block_size=4)], ids=["PE", "EtC"]
)
def test_a_linear_scheme_is_broken(encryptor):
    result = audit(encryptor, X, Y, [LinearAttack(), FRAttack("chosen")], **QUICK)
    assert set(findings(result).values()) == {"baseline", "broken"}
    exact = result.table.iloc[1:]
    assert (exact["ssim"] == 1).all()
    assert (exact["psnr_worst"] == 100).all()
    assert (exact["reidentified"] == 1).all()
    assert "broken by LinearAttack" in result.verdict
    assert "held" not in result.verdict


def test_noise_holds():
    attacks = [LinearAttack(), KeyReuseAttack(), KnownPlaintextAttack(5, random_state=0)]
    result = audit(NoiseEncryptor(KEY), X, Y, attacks, **QUICK)
    assert list(findings(result).values()) == ["baseline", "held", "held", "held"]
    assert result.table["gain"].max() < 0.05
    assert result.table["reidentified"].max() < 0.2
    assert "held against" in result.verdict
    assert "does not prove" in result.verdict
    assert "secure" not in result.verdict


def test_no_attack_learns_from_the_targets():
    Spy.seen.clear()
    result = audit(PixelEncryptor(KEY), X, Y, [Spy()], n_targets=40, **QUICK)
    given, asked = Spy.seen
    parts = result.images, given["plaintexts"], given["public_images"]
    assert [len(part) for part in parts] == [40, 100, 100]
    every = [image.tobytes() for part in parts for image in part]
    assert len(set(every)) == 240
    assert set(every) == {image.tobytes() for image in X}
    C = PixelEncryptor(KEY).fit(X)
    assert (given["ciphertexts"] == C.transform(given["plaintexts"])).all()
    assert (asked["targets"] == C.transform(result.images)).all()


def test_labels_are_what_a_classifier_of_plain_images_says():
    Spy.seen.clear()
    result = audit(RICEncryptor(KEY, LINEAR), FLAT.reshape(X.shape), Y, [Spy()], **QUICK)
    given, asked = Spy.seen
    for images, labels in (
        (given["plaintexts"], given["labels"]),
        (given["public_images"], given["public_labels"]),
        (result.images, asked["labels"]),
    ):
        assert (labels == LINEAR.predict(images.reshape(len(images), -1) / 255)).all()


def test_labels_are_the_classes_where_the_classifier_reads_ciphertexts():
    Spy.seen.clear()
    audit(PixelEncryptor(KEY), X, Y, [Spy()], **QUICK)
    given, _ = Spy.seen
    class_of = {image.tobytes(): label for image, label in zip(X, Y, strict=True)}
    expected = [class_of[image.tobytes()] for image in given["public_images"]]
    assert given["public_labels"].tolist() == expected


def test_what_cannot_be_run_is_left_out_with_the_reason():
    result = audit(EtCEncryptor(KEY, block_size=4), X, Y, [FRAttack(), LinearAttack()], **QUICK)
    scheme = result.schemes[0]
    assert [run.attack for run in scheme.runs][1:] == ["LinearAttack"]
    assert "moves values to other pixels" in scheme.refused["FRAttack"]


def test_attacks_on_keys_are_left_out_where_there_is_none():
    encryptor = TransformationNetworkEncryptor(LINEAR, width=1, epochs=1, random_state=0)
    attacks = [BruteForceAttack(keys=2), ITNAttack(n_keys=2, budget=1), LinearAttack()]
    images = FLAT.reshape(X.shape)
    scheme = audit(encryptor, images[:120], Y[:120], attacks, **QUICK).schemes[0]
    assert [run.attack for run in scheme.runs][1:] == ["LinearAttack"]
    assert len(scheme.refused) == 2
    assert all("it has no key." in reason for reason in scheme.refused.values())


def test_a_data_frame_and_flat_ciphertexts():
    frame = pd.DataFrame(FLAT)
    encryptor = PixelEncryptor(KEY, image_shape=(16, 16, 3), flatten=True)
    result = audit(encryptor, frame, pd.Series(Y), [LinearAttack()], **QUICK)
    assert list(findings(result).values()) == ["baseline", "broken"]
    result = audit(encryptor, X, Y, [LinearAttack()], **QUICK)
    assert list(findings(result).values()) == ["baseline", "broken"]


def test_nothing_run_is_said():
    result = audit(EtCEncryptor(KEY, block_size=4), X, Y, [FRAttack()], **QUICK)
    assert result.verdict == (
        "EtCEncryptor(block_size=4): no attack could be run, which says nothing about it."
    )


def test_several_schemes_have_the_same_targets():
    schemes = {"a": PixelEncryptor(KEY), "b": NoiseEncryptor(KEY)}
    result = audit(schemes, X, Y, [LinearAttack()], **QUICK)
    assert result.table["scheme"].tolist() == ["a", "a", "b", "b"]
    assert [line.split(":")[0] for line in result.verdict.splitlines()] == ["a", "b"]
    assert result.table["ssim"][0] == result.table["ssim"][2]


def test_flattened_images_and_what_is_disclosed_on_purpose():
    encryptor = RICEncryptor(KEY, LINEAR, image_shape=(16, 16, 3))
    attacks = [DisclosureBaseline(LINEAR, budget=2, random_state=0)]
    result = audit(encryptor, FLAT, Y, attacks, **QUICK)
    assert result.images.shape == (60, 16, 16, 3)
    assert list(findings(result).values()) == ["baseline", "disclosed"]
    assert "discloses on purpose, as measured by DisclosureBaseline" in result.verdict


def test_grey_images():
    result = audit(PixelEncryptor(KEY), X[..., 0], Y, [LinearAttack()], **QUICK)
    assert list(findings(result).values()) == ["baseline", "broken"]


def test_a_seed_gives_the_same_figures():
    first, second = (
        audit(OneTimePad(KEY), X, Y, [LinearAttack(), *TRIALS], **QUICK).table for _ in range(2)
    )
    columns = [name for name in first.columns if name != "seconds"]
    assert first[columns].equals(second[columns])


def test_the_encryptor_stays_as_it_was():
    encryptor = PixelEncryptor(KEY)
    audit(encryptor, X, Y, [LinearAttack()], **QUICK)
    assert not hasattr(encryptor, "key_")


@pytest.mark.parametrize("budget", [2])
def test_the_default_attacks(budget):
    result = audit(NoiseEncryptor(KEY), X[:120], Y[:120], budget=budget, **QUICK)
    names = [run.attack for run in result.schemes[0].runs]
    assert {"LinearAttack", f"KnownPlaintextAttack(budget={budget})"} <= set(names)
    told = {trial.attack: trial.finding for trial in result.schemes[0].trials}
    assert told == {
        "DistinguishingGame(n_ciphertexts=100)": "held",
        "IdentificationAttack(n_references=5)": "held",
    }
    assert "FRAttack(variant='chosen')" in result.schemes[0].refused


def test_verbose_names_the_attacks(capsys):
    audit(PixelEncryptor(KEY), X, Y, [LinearAttack(), *TRIALS[1:]], verbose=1, **QUICK)
    lines = capsys.readouterr().err.splitlines()
    assert "  LinearAttack" in lines
    assert "  IdentificationAttack(n_references=2)" in lines


def test_a_thorough_budget_plays_longer():
    encryptor = PixelEncryptor(KEY).fit(X)
    kinds = [DistinguishingGame, IdentificationAttack]
    for budget in ("quick", 3):
        assert [type(attack) for attack in default_attacks(encryptor, budget)][:2] == kinds
    assert default_attacks(encryptor, "thorough")[:2] == [kind() for kind in kinds]


@pytest.mark.parametrize(
    "encryptor",
    [PixelEncryptor(KEY), EtCEncryptor(KEY, block_size=4), ScrambledRIC(KEY)],
    ids=["PE", "EtC", "scrambled RIC"],
)
def test_what_is_told_apart_is_said_first(encryptor):
    result = audit({"it": encryptor}, X, Y, [LinearAttack(), *TRIALS], **QUICK)
    first = result.verdict.splitlines()[0]
    assert first.startswith(
        "it: hides pictures from eyes, not content from an adversary, as shown by "
        "DistinguishingGame(n_ciphertexts=40) (public images, labels, keys of its own: advantage 1."
    )
    assert "IdentificationAttack(n_references=2)" in first
    assert result.table["finding"][:2].tolist() == ["broken", "broken"]
    assert result.table["attack"].tolist()[3:] == ["LinearAttack"]


@pytest.mark.parametrize("seed", range(3))
def test_what_hides_content_loses_nothing(seed):
    settings = {**QUICK, "random_state": seed}
    result = audit({"it": OneTimePad(KEY)}, X, Y, [LinearAttack(), *TRIALS], **settings)
    (line,) = result.verdict.splitlines()
    assert line.startswith("it: held against DistinguishingGame(n_ciphertexts=40) (public images, ")
    assert line.index("IdentificationAttack") < line.index("LinearAttack")
    low, high, chance = (result.table[name][:2] for name in ("low", "high", "chance"))
    assert (low <= chance).all()
    assert (chance < high).all()


def test_a_border_hides_no_attack():
    """With a key for each image a ciphertext has one, and PE is read all the same."""
    each = PixelEncryptor(KEY, per_image_keys=True)
    found = findings(audit(each, X, Y, [FRAttack()], random_state=0))
    assert found["FRAttack"] == "broken"


def test_sealed_images_are_not_told_apart():
    X, Y = make_street_numbers(200, size=32, random_state=0)
    flat = X.reshape(200, -1) / 255
    reader = FrozenEstimator(LogisticRegression(max_iter=500, C=1e-3).fit(flat, Y))
    schemes = {
        "label": SealedEncryptor(KEY, reader, image_shape=(32, 32, 3)),
        "proba": SealedEncryptor(KEY, reader, image_shape=(32, 32, 3), match="proba"),
    }
    result = audit(schemes, flat, Y, TRIALS, **QUICK)
    label, proba = result.schemes
    assert [trial.finding for trial in label.trials] == ["held", "held"]
    assert proba.trials == ()
    assert list(proba.untried) == [trial.attack for trial in label.trials]
    assert result.verdict.splitlines()[1] == (
        "proba: cannot be tried by DistinguishingGame(n_ciphertexts=40) and "
        "IdentificationAttack(n_references=2): ciphertexts of this SealedEncryptor have the "
        "probabilities of their images on purpose, which tell any two images apart. "
        "DisclosureBaseline measures what that gives away."
    )


def test_labels_that_name_the_image_leave_nothing_to_tell():
    settings = {**QUICK, "classifier": LINEAR}
    scheme = audit(PixelEncryptor(KEY), X, np.arange(240), TRIALS, **settings).schemes[0]
    assert scheme.trials == ()
    assert all("have the same label" in reason for reason in scheme.untried.values())


class Fussy(NoiseEncryptor):
    """Finds ciphertexts under one key alone."""

    def _encrypt(self, batch):
        if self.key_ != KEY:
            raise TargetNotReachedError("no ciphertext was found for images 0.")
        return super()._encrypt(batch)


def test_an_image_that_cannot_be_encrypted_under_another_key():
    result = audit(Fussy(KEY), X, Y, [*TRIALS, LinearAttack()], **QUICK)
    assert "under another key: no ciphertext was found for images 0." in result.verdict
    assert "held against LinearAttack" in result.verdict


def test_images_are_read_once_however_many_attacks_there_are(monkeypatch):
    reads = []
    monkeypatch.setattr(
        "ricsk.images._check.check_array",
        lambda *args, once=check_array, **given: reads.append(1) or once(*args, **given),
    )
    counts = []
    for n in (1, 4):
        reads.clear()
        audit(PixelEncryptor(KEY), X, Y, n * [LinearAttack()], **QUICK)
        counts.append(len(reads))
    assert counts[0] == counts[1] > 0


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"X": X[:60], "y": Y[:60]}, ValueError, "15 targets of 60 images"),
        ({"n_targets": 10}, ValueError, "10 targets of 240"),
        ({"n_targets": 230}, ValueError, "230 targets of 240"),
        ({"y": Y[:-1]}, ValueError, "239 entries for 240 images"),
        ({"X": X[:, :8, :8]}, ValueError, "too small to be compared"),
        ({"attacks": "all"}, ValueError, "expected 'default'"),
        ({"attacks": [LinearAttack]}, TypeError, "is not an attack"),
        ({"encryptor": LINEAR}, TypeError, "is not a ricsk encryptor"),
    ],
)
def test_bad_input(change, error, message):
    given = {"encryptor": PixelEncryptor(KEY), "X": X, "y": Y, "attacks": [LinearAttack()], **QUICK}
    with pytest.raises(error, match=message):
        audit(**{**given, **change})
