"""``ricsk classify``: the cloud's side, which has no key."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from ricsk.command import _options as options
from ricsk.command._errors import ExitCode
from ricsk.command._options import check_there
from ricsk.command._terminal import print_error, print_line, show_progress

__all__ = ["classify"]


@click.command()
@options.src
@click.option(
    "--model",
    metavar="MODEL",
    required=True,
    help="A .skops, .onnx or .joblib file, or timm:NAME.",
)
@options.weights
@options.trust_model
@options.as_json
@options.quiet
def classify(
    src: Path, model: str, weights: Path | None, trust_model: bool, as_json: bool, quiet: bool
) -> int:
    """Print what a classifier says of pictures, plain or sealed. It takes no key."""
    check_there(src)
    from ricsk.command._models import load_classifier
    from ricsk.files import list_folder

    classifier = load_classifier(model, weights, trust_model, to_seal=False)
    found = [src] if not src.is_dir() else [p for p in list_folder(src) if isinstance(p, Path)]
    failed = False
    answers = show_progress(_ask(classifier, found), len(found), quiet=quiet or as_json)
    for path, label, probability, message in answers:
        failed |= message is not None
        if as_json:
            line = {"source": str(path), "label": label, "probability": probability}
            print_line(json.dumps(line | {"message": message}))
        elif message is not None:
            print_error(f"{path}: {message}")
        else:
            print_line(f"{path}\t{label}" + (f"\t{probability:.3f}" if probability else ""))
    return ExitCode.FAILED if failed else ExitCode.DONE


def _ask(
    classifier: Any, paths: list[Path]
) -> Iterator[tuple[Path, Any, float | None, str | None]]:
    """Ask about images one by one, as they may be of any size."""
    from ricsk.codecs import read_image

    for path in paths:
        try:
            pixels = read_image(path)[None]
            label = classifier.predict(pixels)[0]
            probability = None
            if hasattr(classifier, "predict_proba"):
                probability = float(classifier.predict_proba(pixels).max())
        except (OSError, ValueError, TypeError) as error:
            yield path, None, None, str(error)
        else:
            yield path, getattr(label, "item", lambda label=label: label)(), probability, None
