"""How much mask? A search over RIC's alpha, and the trade-off as a picture.

Every alpha uses the same weights, classifier and class patterns, so the search trains nothing. It
prints what it costs against a search over a single value.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline

from ricsk import CNNClassifier, RICEncryptor, SecretKey, datasets
from ricsk.metrics import encryption_scores

SCORES = {
    "recovery_psnr": "recovery, dB",
    "prediction_agreement": "agreement",
    "noise_likeness_score": "noise likeness",
}
ALPHAS = [0.4, 0.5, 0.6, 0.8, 0.9]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, default=Path("demo-output/alpha.svg"))
    parser.add_argument("--n-train", type=int, default=3000)
    args = parser.parse_args()

    X, y = datasets.make_street_numbers(args.n_train + 200, random_state=0)
    classifier = CNNClassifier(epochs=8, random_state=0).fit(X[:-200], y[:-200])
    X, y = X[-200:], y[-200:]

    def search(alphas: list[float], random_state: int) -> tuple[pd.DataFrame, float]:
        # A classifier of its own, so that no pattern is known from an earlier search.
        frozen = FrozenEstimator(classifier.set_params(random_state=random_state))
        encryptor = RICEncryptor(SecretKey.generate(), frozen)
        pipeline = Pipeline([("enc", encryptor), ("clf", frozen)])
        start = time.perf_counter()
        grid = GridSearchCV(
            pipeline, {"enc__alpha": alphas}, scoring=encryption_scores, refit=False, cv=2
        ).fit(X, y)
        return pd.DataFrame(grid.cv_results_), time.perf_counter() - start

    _, one = search([0.8], random_state=1)
    results, five = search(ALPHAS, random_state=2)
    table = results[["param_enc__alpha"] + [f"mean_test_{name}" for name in SCORES]]
    table.columns = ["alpha", *SCORES.values()]
    print(table.to_string(index=False, float_format="%.3f"))
    print(f"five values took {five / one:.2f} times as long as one")

    figure = Figure(figsize=(9, 3), layout="constrained")
    for axis, name in zip(figure.subplots(1, 3), SCORES.values(), strict=True):
        axis.plot(table["alpha"], table[name], marker="o")
        axis.set(title=name, xlabel="alpha")
    args.output.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(args.output)
    print(f"The picture is {args.output}.")


if __name__ == "__main__":
    main()
