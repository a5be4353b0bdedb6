"""Tables of the guide say what the files of results say."""

from pathlib import Path

import pandas as pd
import pytest

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def encrypted_inference():
    table = pd.read_csv(ROOT / "benchmarks" / "results" / "encrypted_inference.csv")
    page = (ROOT / "docs" / "guide" / "encrypted_inference.rst").read_text("utf8")
    return table[table["system"] != "nothing"], page


def test_encrypted_inference_is_what_was_measured(encrypted_inference):
    table, page = encrypted_inference
    rows = [line for line in page.splitlines() if " of " in line and " %  " in line]
    assert len(rows) == len(table)
    for line, (_, row) in zip(rows, table.iterrows(), strict=True):
        assert f"{100 * row['accuracy']:.1f} %" in line
        n = int(row["images"])
        assert f"{round(n * row['agreement'])} of {n}" in line
        seconds = row["server_s"]
        assert f"{seconds:.3f} s" in line or f"{seconds:.1f} s" in line
        sent = row["up"]
        assert f"{sent / 1e6:.1f} MB" in line or f"{sent / 1e3:.1f} kB" in line
