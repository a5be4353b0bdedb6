"""How long new processes take to import parts of the package, and to encrypt, taken in turn.

``python benchmarks/bench_imports.py --against DIR`` compares with another checkout in ``DIR``.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time
from pathlib import Path

STATEMENTS = {
    "import ricsk.keys": "import ricsk.keys",
    "from ricsk import unseal": "from ricsk import unseal",
    "from ricsk import EtCEncryptor": "from ricsk import EtCEncryptor",
    "import ricsk.audit": "import ricsk.audit",
    "the first ciphertext of RIC": """
from sklearn.linear_model import LogisticRegression
from ricsk import RICEncryptor, SecretKey
from ricsk.datasets import load_digits
X, y = load_digits(size=16)
X = X / 255
encryptor = RICEncryptor(SecretKey.generate(), LogisticRegression()).fit(X[:300], y[:300])
encryptor.transform(X[:1])
""",
}
HERE = Path(__file__).resolve().parent.parent


def seconds(statement: str, folder: Path) -> float:
    code = f"import sys; sys.path.insert(0, {str(folder)!r})\n{statement}"
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True)
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--against", type=Path, help="another checkout of the project")
    parser.add_argument("--repeats", type=int, default=5)
    args = parser.parse_args()

    folders = [HERE] if args.against is None else [HERE, args.against.resolve()]
    for name, statement in STATEMENTS.items():
        times = [[seconds(statement, folder) for folder in folders] for _ in range(args.repeats)]
        medians = [statistics.median(column) for column in zip(*times, strict=True)]
        ratio = f", {medians[1] / medians[0]:.1f} times as long there" if len(medians) > 1 else ""
        print(f"{name:32} {medians[0]:6.2f} s{ratio}", flush=True)


if __name__ == "__main__":
    main()
