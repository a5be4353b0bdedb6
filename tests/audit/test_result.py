import numpy as np
import pytest

from ricsk.attacks import Adversary, GameResult, IdentificationResult
from ricsk.audit import AttackRun, AuditResult, SchemeRun, Scores, TrialRun

GREY = np.full((4, 16, 16, 3), 128, np.uint8)


def run(attack="Some", gain=0.0, reidentified=0.01, p_value=0.5, **changes):
    ssim = np.array([0.1, 0.2, 0.3, 0.4]) + gain
    scores = Scores(ssim, 10 * ssim, reidentified, p_value)
    given = {"adversary": Adversary(), "reconstructions": GREY, "reclassified": 0.5, "seconds": 1.0}
    return AttackRun(attack=attack, scores=scores, gain=gain, **{**given, **changes})


BASELINE = run("Free", adversary=Adversary(ciphertexts=False, public_images=True))


def result(*runs, trials=(), untried=None):
    scheme = SchemeRun("Scheme", GREY, (BASELINE, *runs), {}, tuple(trials), untried or {})
    return AuditResult(GREY, (scheme,), {"seed": 0})


def game(advantage, low, high):
    played = GameResult(advantage, (low, high), (1 + advantage) / 2, 50, "size", {}, (0, 1))
    return TrialRun("Game", Adversary(keys="own"), played, 2.0)


def identification(share, low, high, chance=0.1):
    found = IdentificationResult(share, (low, high), chance, 50, np.ones(50, np.int64))
    return TrialRun("Naming", Adversary(keys="own"), found, 3.0)


@pytest.mark.parametrize(
    ("figures", "finding"),
    [
        ({}, "held"),
        ({"gain": 0.09}, "held"),
        ({"gain": 0.11}, "broken"),
        ({"p_value": 0.0001}, "leaks"),
        ({"p_value": 0.0001, "reidentified": 0.6}, "broken"),
        ({"reidentified": 0.6}, "held"),
        ({"gain": 0.5, "on_purpose": True}, "disclosed"),
        ({"gain": 0.5, "adversary": Adversary(ciphertexts=False)}, "baseline"),
    ],
)
def test_findings(figures, finding):
    assert run(**figures).finding == finding


@pytest.mark.parametrize(
    ("trial", "finding"),
    [
        (game(1, 0.9, 1), "broken"),
        (game(0.5, 0.1, 0.8), "broken"),
        (game(0.49, 0.1, 0.8), "leaks"),
        (game(0.6, 0, 0.8), "held"),
        (game(0.04, 0, 0.3), "held"),
        (identification(0.5, 0.3, 0.7), "broken"),
        (identification(0.3, 0.2, 0.4), "leaks"),
        (identification(0.6, 0.09, 0.9), "held"),
        (identification(0.6, 0.4, 0.8, chance=0.5), "held"),
    ],
)
def test_findings_without_pictures(trial, finding):
    assert trial.finding == finding


def test_figures_without_pictures():
    trials = [game(0.04, 0, 0.3), identification(0.5, 0.3, 0.7)]
    table = result(run("Some"), trials=trials).table
    assert table["attack"].tolist() == ["Game", "Naming", "Free", "Some"]
    figures = table[["advantage", "named", "chance", "low", "high", "ssim", "seconds"]]
    expected = [
        [0.04, np.nan, 0, 0, 0.3, np.nan, 2],
        [np.nan, 0.5, 0.1, 0.3, 0.7, np.nan, 3],
        [*5 * [np.nan], 0.25, 1],
        [*5 * [np.nan], 0.25, 1],
    ]
    np.testing.assert_allclose(figures.to_numpy(), expected)


def test_the_verdict_names_those_first_that_tell_images_apart():
    trials = [game(0.04, 0, 0.3), identification(0.5, 0.3, 0.7)]
    lines = result(run("A", gain=0.3), run("B"), trials=trials).verdict.splitlines()
    assert lines[0] == (
        "Scheme: hides pictures from eyes, not content from an adversary, as shown by Naming "
        "(keys of its own: names 50% of 50 images, by chance 10%, confidence interval 30% to 70%)."
    )
    assert lines[1].startswith("Scheme: broken by A (")
    assert lines[2].startswith(
        "Scheme: held against Game (keys of its own: advantage 0.04, confidence interval 0.00 to "
        "0.30); B ("
    )
    assert len(lines) == 3


def test_the_verdict_says_why_images_were_not_told_apart():
    untried = {"Game": "it mixes.", "Naming": "it mixes.", "Other": "it is too slow."}
    assert result(run("A", gain=0.3), untried=untried).verdict.splitlines()[:2] == [
        "Scheme: cannot be tried by Game and Naming: it mixes.",
        "Scheme: cannot be tried by Other: it is too slow.",
    ]


def test_limits_on_what_is_told_apart():
    found = result(run("A"), trials=[game(0.9, 0.8, 1), identification(0.1, 0, 0.2)])
    found.assert_no_worse_than(advantage=0.9, named=0.1, gain=0.1)
    with pytest.raises(AssertionError) as caught:
        found.assert_no_worse_than(advantage=0.3, named=0.05, gain=0.1)
    assert str(caught.value).splitlines() == [
        "Scheme leaks more than allowed:",
        "Game (keys of its own): advantage 0.900, limit 0.3",
        "Naming (keys of its own): named 0.100, limit 0.05",
    ]


def test_what_no_attack_measured_keeps_no_limit():
    with pytest.raises(AssertionError, match="no attack on Scheme measured advantage"):
        result(run("A")).assert_no_worse_than(advantage=1)
    with pytest.raises(AssertionError, match="no attack on Scheme measured gain"):
        result(trials=[game(0, 0, 0.2)]).assert_no_worse_than(advantage=1, gain=1)


def test_the_table():
    table = result(run("Some", gain=0.3)).table
    assert table["ssim"].tolist() == pytest.approx([0.25, 0.55])
    # The best decile for the adversary.
    assert table["ssim_worst"].tolist() == pytest.approx([0.37, 0.67])
    assert table["psnr_worst"].tolist() == pytest.approx([3.7, 6.7])
    assert table["knows"].tolist() == ["public images, no ciphertexts", "ciphertexts only"]


def test_the_verdict_names_the_adversary():
    verdict = result(run("A", gain=0.3), run("B", p_value=0.0001), run("C")).verdict.splitlines()
    assert verdict == [
        "Scheme: broken by A (ciphertexts only: SSIM 0.55, +0.30 over the baseline, 1% "
        "re-identified).",
        "Scheme: leaks to B (ciphertexts only: SSIM 0.25, +0.00 over the baseline, 1% "
        "re-identified).",
        "Scheme: held against C (ciphertexts only: SSIM 0.25, +0.00 over the baseline, 1% "
        "re-identified), which does not prove that it holds against others.",
    ]


def test_limits_that_are_kept():
    result(run("A", gain=0.3)).assert_no_worse_than(gain=0.3, ssim=0.56, reidentified=0.02)


def test_limits_that_are_not():
    with pytest.raises(AssertionError) as caught:
        result(run("A", gain=0.3), run("B")).assert_no_worse_than(gain=0.05, ssim_worst=0.5)
    assert str(caught.value).splitlines() == [
        "Scheme leaks more than allowed:",
        "A (ciphertexts only): gain 0.300, limit 0.05",
        "A (ciphertexts only): ssim_worst 0.670, limit 0.5",
    ]


def test_figures_that_are_no_numbers_keep_no_limit():
    with pytest.raises(AssertionError, match="reclassified nan"):
        result(run(reclassified=np.nan)).assert_no_worse_than(reclassified=1)


def test_the_baseline_is_not_limited():
    result(run("A")).assert_no_worse_than(ssim=0.26)
    with pytest.raises(AssertionError, match="no attack could be run against Scheme"):
        result().assert_no_worse_than(ssim=0.26)


@pytest.mark.parametrize("limits", [{}, {"lpips": 1}, {"ssim": 1, "secure": True}])
def test_limits_must_be_known(limits):
    with pytest.raises(ValueError, match="expected some of ssim"):
        result(run()).assert_no_worse_than(**limits)


def test_repr_is_the_verdict():
    assert repr(result(run("A"))).startswith("AuditResult:\nScheme: held against A")
