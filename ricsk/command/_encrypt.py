"""``ricsk encrypt``."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from ricsk.command import _options as options
from ricsk.command._errors import ExitCode
from ricsk.command._models import load_classifier
from ricsk.command._options import check_key, check_there, is_stream
from ricsk.command._terminal import print_line, print_note, report, show_progress
from ricsk.exceptions import CommandError

if TYPE_CHECKING:
    from ricsk.encryptors import SealedEncryptor

__all__ = ["encrypt"]

# So many pictures tell which margins the classifier has.
_N_SAMPLE = 16


@click.command()
@options.src
@options.dst
@options.key
@click.option(
    "--recipient",
    "recipients",
    type=options.FILE,
    metavar="FILE",
    multiple=True,
    help="In place of --key: the public key of somebody who may open; several times for more.",
)
@options.model
@options.weights
@options.trust_model
@click.option(
    "--match",
    type=click.Choice(["label", "proba", "features"]),
    default="label",
    show_default=True,
    help="What the model reads in the sealed picture as in the photograph.",
)
@options.jobs
@options.resume
@options.force
@options.dry_run
@options.as_json
@options.quiet
def encrypt(
    src: Path,
    dst: Path,
    key: Path | None,
    recipients: tuple[Path, ...],
    model: str | None,
    weights: Path | None,
    trust_model: bool,
    match: Literal["label", "proba", "features"],
    jobs: int,
    resume: bool,
    force: bool,
    dry_run: bool,
    as_json: bool,
    quiet: bool,
) -> int:
    """Seal files: a PNG file each, which carries the whole file, encrypted.

    With --model, that classifier reads the picture in the PNG file as it reads the photograph;
    without, the picture is noise that no classifier was asked about. The names of files and folders
    stay readable, and so does what the classifier says.
    """
    check_there(src)
    from ricsk.files import encrypt_folder, list_folder, seal_photograph
    from ricsk.keys import PublicKey, SecretKey

    sealing: dict[str, Any] = {}
    if recipients:
        sealing["recipients"] = [PublicKey.from_file(path) for path in recipients]
    else:
        sealing["key"] = SecretKey.from_file(check_key(key))
    if dry_run:
        found = list_folder(src) if src.is_dir() else [src]
        for one in found:
            print_line(str(one if isinstance(one, Path) else one.source))
        return ExitCode.DONE
    if model is None:
        note = "No --model: the pictures are noise that no classifier was asked about."
        print_note(note, quiet=quiet or as_json)
    elif is_stream(src):
        raise CommandError(
            "--model needs a file or folder, whose pictures it is shown first.", ExitCode.USAGE
        )
    else:
        files = list_folder(src) if src.is_dir() else [src]
        pictures = (path for path in files if isinstance(path, Path))
        classifier = load_classifier(model, weights, trust_model, to_seal=True)
        sealing = {"encryptor": _make_encryptor(sealing, classifier, match, pictures)}
    if src.is_dir():
        results = encrypt_folder(src, dst, resume=resume, overwrite=force, n_jobs=jobs, **sealing)
        total = sum(1 for _ in list_folder(src))
        shown = show_progress(results, total, quiet=quiet or as_json)
        return report(shown, as_json=as_json, quiet=quiet)
    source: Any = sys.stdin.buffer if is_stream(src) else src
    target: Any = sys.stdout.buffer if is_stream(dst) else dst
    if dst.is_dir():
        target = dst / f"{src.name}.png"
    seal_photograph(source, target, overwrite=force, **sealing)
    return ExitCode.DONE


def _make_encryptor(
    sealing: dict[str, Any],
    classifier: Any,
    match: Literal["label", "proba", "features"],
    pictures: Iterable[Path],
) -> SealedEncryptor:
    """Fit an encryptor on some of the pictures, for the classifier's own size."""
    import numpy as np
    from sklearn.frozen import FrozenEstimator

    from ricsk.codecs import fit_to_shape, read_image
    from ricsk.encryptors import SealedEncryptor

    shape = getattr(classifier, "image_shape_in_", None)
    if shape is None and getattr(classifier, "size", None) is not None:
        height, width = classifier.size
        shape = height, width, 3
    if shape is None:
        raise CommandError(
            f"{type(classifier).__name__} does not say what size of images it reads. Seal for it "
            "in Python, by SealedEncryptor.",
            ExitCode.MODEL,
        )
    sample = []
    for path in pictures:
        try:
            sample.append(fit_to_shape(read_image(path), shape))
        except (OSError, ValueError):  # it is reported when it is sealed
            continue
        if len(sample) == _N_SAMPLE:
            break
    if not sample:
        raise CommandError(
            "none of the files is a picture that can be read, and a model reads pictures alone. "
            "Leave --model out to seal other files.",
            ExitCode.FAILED,
        )
    encryptor = SealedEncryptor(
        classifier=FrozenEstimator(classifier),
        match=match,
        appearance="compact",
        bit_planes=1,
        nonce="random",
        **sealing,
    )
    return encryptor.fit(np.stack(sample))
