"""Every reader returns what was put in, or refuses in words: a few files each, made by chance.

``python benchmarks/fuzz.py`` tries thousands.
"""

import csv
from pathlib import Path
from random import Random

import pytest
from hypothesis import HealthCheck, Phase, given, settings

from tests.fuzz.target import CRASHED, FAILURES, FORGED, READ, REFUSED, SAME, Target
from tests.fuzz.targets import TARGETS
from tests.strategies import files

RESULTS = Path(__file__).parents[2] / "benchmarks" / "results" / "fuzz.csv"
FEW = settings(
    max_examples=25,
    derandomize=True,
    database=None,
    deadline=None,
    phases=[Phase.generate, Phase.shrink],
    suppress_health_check=list(HealthCheck),  # readers are slow, and corpora large, on purpose
)


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_target(target):
    assert [target.judge(data)[0] for data in target.corpus] == [SAME] * len(target.corpus)

    @FEW
    @given(files(target))
    def judge(data):
        outcome, error = target.judge(data)
        assert outcome not in FAILURES, error

    judge()


def test_every_target_was_tried_thousands_of_times():
    """The table of the docs is that of these targets, and has no failure in it."""
    with RESULTS.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["target"] for row in rows] == [target.name for target in TARGETS]
    for row in rows:
        assert int(row["files"]) >= 5000
        assert [row[outcome] for outcome in FAILURES] == ["0", "0"]


def test_changes_are_noticed():
    """A target that is left as it was, or is always read, would show nothing."""
    for target in TARGETS:
        chance = Random(0)
        found = [target.judge(target.change(chance))[0] for _ in range(20)]
        assert REFUSED in found


def read_carelessly(data):
    if data[:1] != b"a":
        raise ValueError("no words of this package")
    return data


def test_a_careless_reader_fails():
    target = Target("a", read_carelessly, lambda: [b"abc"], ())
    strict = Target("a", read_carelessly, lambda: [b"abc"], (), authentic=True)
    assert [target.judge(data)[0] for data in (b"abc", b"ab", b"b")] == [SAME, READ, CRASHED]
    assert [strict.judge(data)[0] for data in (b"abc", b"ab", b"b")] == [SAME, FORGED, CRASHED]
