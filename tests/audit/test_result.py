import numpy as np
import pytest

from ricsk.attacks import Adversary
from ricsk.audit import AttackRun, AuditResult, SchemeRun, Scores

GREY = np.full((4, 16, 16, 3), 128, np.uint8)


def run(attack="Some", gain=0.0, reidentified=0.01, p_value=0.5, **changes):
    ssim = np.array([0.1, 0.2, 0.3, 0.4]) + gain
    scores = Scores(ssim, 10 * ssim, reidentified, p_value)
    given = {"adversary": Adversary(), "reconstructions": GREY, "reclassified": 0.5, "seconds": 1.0}
    return AttackRun(attack=attack, scores=scores, gain=gain, **{**given, **changes})


BASELINE = run("Free", adversary=Adversary(ciphertexts=False, public_images=True))


def result(*runs):
    scheme = SchemeRun("Scheme", GREY, (BASELINE, *runs), {})
    return AuditResult(GREY, (scheme,), {"seed": 0})


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
