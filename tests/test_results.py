"""Tables of the guide say what the files of results say."""

import csv
from pathlib import Path

import pandas as pd
import pytest

from benchmarks.survives import TRANSPORTS, show

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
        assert row["seconds"] > seconds
        sent = row["up"]
        assert f"{sent / 1e6:.1f} MB" in line or f"{sent / 1e3:.1f} kB" in line


@pytest.fixture(scope="module")
def baselines():
    return (ROOT / "docs" / "guide" / "baselines.rst").read_text("utf8").splitlines()


def find_row(page, name):
    (row,) = [line for line in page if line.startswith(f"{name}  ")]
    return row.split("  ")[1:]


def test_images_come_back_as_was_measured(baselines):
    table = pd.read_csv(ROOT / "benchmarks" / "results" / "comparison.csv")
    names = {"ddh": "DDH", "hinet": "HiNet", "iicnet": "IICNet"}
    end = next(i for i, line in enumerate(baselines) if line.startswith("How often"))
    shown = table[~table["system"].str.contains("floor|scaled")]
    assert {*names, "AVIH", "RIC", "sealed"} < {*shown["system"]}
    for _, row in shown.iterrows():
        cells = [
            cell.strip() for cell in find_row(baselines[:end], names.get(row.system, row.system))
        ]
        cells = [cell for cell in cells if cell]
        assert cells[0] == ("exact" if row.psnr == 100 else f"{row.psnr:.1f} dB")
        assert cells[1] == f"{row.ssim:.3f}"
        assert cells[3] == f"{100 * row.agreement:.0f} %"
        assert cells[-1] == f"{row['read']:.3f}"


def test_accuracy_is_what_was_measured(baselines):
    table = pd.read_csv(ROOT / "benchmarks" / "results" / "comparison_accuracy.csv")
    assert {*table["images_of"]} == {"digits", "cifar10"}
    start = next(i for i, line in enumerate(baselines) if line.startswith("How often"))
    for name, rows in table.groupby("system"):
        line = "  ".join(find_row(baselines[start:], name))
        for _, row in rows.iterrows():
            assert f"{100 * row.encrypted:.1f} %" in line


def read_cells(page, start, n):
    """Read n rows of words and figures, below a line that begins so."""
    lines = (ROOT / "docs" / "guide" / page).read_text("utf8").splitlines()
    first = next(i for i, line in enumerate(lines) if line.strip().startswith(start))
    rows = [line.strip() for line in lines[first:] if line.strip()][:n]
    separator = ";" if ";" in rows[0] else "  "
    return [[cell.strip() for cell in row.split(separator) if cell.strip()] for row in rows]


def test_what_services_leave_is_what_was_measured():
    table = pd.read_csv(ROOT / "benchmarks" / "results" / "survives.csv")
    (_, *schemes), *rows = read_cells("survives.rst", "transport;", 1 + len(TRANSPORTS))
    assert schemes == list(dict.fromkeys(table["scheme"]))
    assert [row[0] for row in rows] == list(TRANSPORTS)
    for transport, *cells in rows:
        found = table[table["transport"] == transport].to_dict("records")
        assert cells == [show(row) for row in found]


def test_what_keys_of_their_own_cost_is_what_was_measured():
    table = pd.read_csv(ROOT / "benchmarks" / "results" / "many_keys.csv")
    table = table[table["accuracy"].notna()]
    names = {"none": "none (plain images)", "one key": "one for all"}
    rows = read_cells("etc.rst", "none (plain images)", table["keys"].nunique())
    assert [row[0] for row in rows] == [names.get(name, name) for name in table["keys"].unique()]
    for (_, *cells), (keys, found) in zip(rows, table.groupby("keys", sort=False), strict=True):
        schemes = ["plain", "plain"] if keys == "none" else ["EtC", "PE"]
        for scheme in schemes:
            for accuracy in found[found["scheme"] == scheme]["accuracy"]:
                assert abs(float(cells.pop(0)) - accuracy) < 0.051


def show_finding(row):
    """Say what an attack got, as the guide to security does."""
    if row.attack == "DistinguishingGame":
        figures = f"{row.advantage:.2f}"
    elif row.attack == "IdentificationAttack":
        figures = f"{100 * row.named:.0f} %"
    else:
        figures = f"{row.ssim:.2f}, {100 * row.reidentified:.0f} %"
    mark = {"broken": "**", "leaks": "*"}.get(row.finding, "")
    return f"{mark}{figures}{mark}"


def test_what_attacks_get_with_a_key_for_each_image_is_what_was_measured():
    table = pd.read_csv(ROOT / "benchmarks" / "results" / "security.csv")
    table = table[table["finding"] != "not run"]
    lines = (ROOT / "docs" / "guide" / "security.rst").read_text("utf8").splitlines()
    start = lines.index('   :header: "attack", "the adversary has", "PE", "LE", "ELE", "EtC 4"') + 2
    rows = list(csv.reader(map(str.strip, lines[start:]), skipinitialspace=True))
    for attack, _, *cells in rows[: rows.index([])]:
        name = attack.strip("`").replace("('basic')", "(variant='basic')")
        for scheme, cell in zip(("PE", "LE", "ELE", "EtC 4"), cells, strict=True):
            found = table[table["scheme"] == f"{scheme} each"]
            kind = found["attack"].str.replace(r"\((budget|block_size).*", "", regex=True)
            assert [*map(show_finding, found[kind == name].itertuples())] == [cell] * (
                cell != "n/a"
            )
    assert len(rows[: rows.index([])]) == 13
