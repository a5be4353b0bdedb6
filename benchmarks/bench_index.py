"""Indexes of vectors: what they find among features of CIFAR-10, how fast, and how large they are.

For the choice of the index in `ricsk.search`. Takes those that are installed of usearch, hnswlib,
faiss-cpu and lancedb, each with a graph of 16 links and its other defaults, one thread, and cosine
distance. Times are ratios to usearch's. Recall@10 is by an exact search; sizes are with all that a
package needs but NumPy. Prints one table.

    python benchmarks/bench_index.py --data-dir DIR --classifier FILE
"""

from __future__ import annotations

import argparse
import re
import tempfile
import time
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd

from ricsk import CNNClassifier
from ricsk.datasets import load_packed

K = 10
Search = Callable[[np.ndarray], np.ndarray]


def usearch(vectors: np.ndarray) -> Search:
    from usearch.index import Index

    index = Index(ndim=vectors.shape[1], metric="cos", dtype="f32")
    index.add(np.arange(len(vectors)), vectors, threads=1)
    return lambda asked: index.search(asked, K, threads=1).keys


def hnswlib(vectors: np.ndarray) -> Search:
    import hnswlib

    index = hnswlib.Index(space="cosine", dim=vectors.shape[1])
    index.init_index(len(vectors), M=16)
    index.add_items(vectors, num_threads=1)
    index.set_ef(64)
    return lambda asked: index.knn_query(asked, K, num_threads=1)[0]


def faiss(vectors: np.ndarray) -> Search:
    import faiss

    faiss.omp_set_num_threads(1)
    index = faiss.IndexHNSWFlat(vectors.shape[1], 16, faiss.METRIC_INNER_PRODUCT)
    index.hnsw.efSearch = 64
    index.add(vectors)
    return lambda asked: index.search(asked, K)[1]


def lancedb(vectors: np.ndarray) -> Search:
    import lancedb
    import pyarrow as pa
    from lancedb.index import HnswSq

    folder = tempfile.mkdtemp()
    flat = pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), vectors.shape[1])
    data = pa.table({"vector": flat, "key": np.arange(len(vectors))})
    table = lancedb.connect(folder).create_table("images", data)
    table.create_index("vector", config=HnswSq(distance_type="cosine"))

    def search(asked: np.ndarray) -> np.ndarray:
        rows = [table.search(one).distance_type("cosine").limit(K).to_arrow() for one in asked]
        return np.stack([row["key"].to_numpy() for row in rows])

    return search


INDEXES = {"usearch": usearch, "hnswlib": hnswlib, "faiss-cpu": faiss, "lancedb": lancedb}


def find_needed(name: str) -> set[str]:
    """Find a package and all that it needs but NumPy, which is there anyway."""
    found, new = set(), {name}
    while new:
        found |= new
        lines = [line for one in new for line in distribution(one).requires or []]
        names = {re.split(r"[^\w.-]", line)[0] for line in lines if ";" not in line}
        new = names - found - {"numpy"}
    return found


def find_size(name: str) -> float:
    """Find how much a package, and what it needs, takes on the disk: MiB."""
    paths = [f.locate() for one in find_needed(name) for f in distribution(one).files or []]
    return sum(path.stat().st_size for path in paths if path.exists()) / 2**20


def measure(name: str, stored: np.ndarray, asked: np.ndarray, exact: np.ndarray) -> dict[str, Any]:
    start = time.perf_counter()
    search = INDEXES[name](stored)
    built = time.perf_counter()
    found = search(asked)
    done = time.perf_counter()
    shares = [len(set(a.tolist()) & set(b.tolist())) / K for a, b in zip(exact, found, strict=True)]
    return {
        "index": name,
        "version": distribution(name).version,
        "recall@10": np.mean(shares),
        "build": built - start,
        "query": done - built,
        "MiB": find_size(name),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data-dir", type=Path, required=True, help="folder of packed data sets")
    parser.add_argument("--classifier", type=Path, help="joblib file of a fitted CNNClassifier")
    parser.add_argument("--stored", type=int, default=20_000, help="images in the index")
    parser.add_argument("--asked", type=int, default=500, help="images that are asked about")
    args = parser.parse_args()
    X, y, _ = load_packed(args.data_dir, "cifar10", "train", limit=args.stored)
    asked, _, _ = load_packed(args.data_dir, "cifar10", "test", limit=args.asked)
    if args.classifier and args.classifier.exists():
        classifier = joblib.load(args.classifier)
    else:
        classifier = CNNClassifier(epochs=4, random_state=0).fit(X, y)
    sets = []
    for images in (X, asked):
        features = classifier.features(images).astype(np.float32)
        sets.append(features / np.linalg.norm(features, axis=1, keepdims=True))
    exact = np.argsort(-sets[1] @ sets[0].T, axis=1)[:, :K]
    rows = []
    for name in INDEXES:
        try:
            rows.append(measure(name, *sets, exact))
        except (ImportError, PackageNotFoundError) as error:
            print(f"{name}: {error}")
    table = pd.DataFrame(rows)
    table[["build", "query"]] /= table.loc[table["index"] == "usearch", ["build", "query"]].values
    print(f"{len(X)} vectors of {sets[0].shape[1]} features, {len(asked)} queries")
    print(table.round(3).to_string(index=False))


if __name__ == "__main__":
    main()
