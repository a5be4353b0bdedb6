"""``ricsk encrypt``."""

from __future__ import annotations

import io
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
@click.option(
    "--scheme",
    type=click.Choice(["sealed", "etc", "pe", "le"]),
    default="sealed",
    show_default=True,
    help="sealed keeps the whole file. The others encrypt its pixels alone.",
)
@click.option(
    "--block-size",
    type=click.IntRange(min=1),
    metavar="PIXELS",
    help="For etc and le: the side of the blocks; by default 16, and 4.",
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
    scheme: Literal["sealed", "etc", "pe", "le"],
    block_size: int | None,
    jobs: int,
    resume: bool,
    force: bool,
    dry_run: bool,
    as_json: bool,
    quiet: bool,
) -> int:
    """Encrypt files: a PNG file each, which carries the whole file.

    With --model, that classifier reads the picture in the PNG file as it reads the photograph;
    without, the picture is noise that no classifier was asked about. The names of files and folders
    stay readable, and so does what the classifier says.

    With another --scheme the pixels of pictures are encrypted in their own size, or in that of
    --model, which has learnt on such ciphertexts. Nothing else of the file is kept.
    """
    check_there(src)
    if scheme != "sealed" and recipients:
        raise CommandError(
            f"the scheme {scheme} has no recipients. Give --key, or leave --scheme out.",
            ExitCode.USAGE,
        )
    if block_size is not None and scheme not in ("etc", "le"):
        raise CommandError(
            f"the scheme {scheme} has no blocks. Leave --block-size out.", ExitCode.USAGE
        )
    from ricsk.files import encrypt_folder, encrypt_picture, list_folder, seal_photograph
    from ricsk.keys import PublicKey, SecretKey

    how: dict[str, Any] = {}
    if recipients:
        how["recipients"] = [PublicKey.from_file(path) for path in recipients]
    else:
        how["key"] = SecretKey.from_file(check_key(key))
    if dry_run:
        found = list_folder(src) if src.is_dir() else [src]
        for one in found:
            print_line(str(one if isinstance(one, Path) else one.source))
        return ExitCode.DONE
    note = "No --model: the pictures are noise that no classifier was asked about."
    if scheme != "sealed":
        note = "Pixels alone are kept: pictures come back as PNG files, without EXIF data."
        classifier = (
            None if model is None else load_classifier(model, weights, trust_model, to_seal=False)
        )
        how = {"encryptor": _make_pixel_encryptor(scheme, how["key"], block_size, classifier)}
    elif model is not None:
        note = ""
        if is_stream(src):
            raise CommandError(
                "--model needs a file or folder, whose pictures it is shown first.", ExitCode.USAGE
            )
        files = list_folder(src) if src.is_dir() else [src]
        pictures = (path for path in files if isinstance(path, Path))
        classifier = load_classifier(model, weights, trust_model, to_seal=True)
        how = {"encryptor": _make_encryptor(how, classifier, match, pictures)}
    if note:
        print_note(note, quiet=quiet or as_json)
    if src.is_dir():
        results = encrypt_folder(src, dst, resume=resume, overwrite=force, n_jobs=jobs, **how)
        total = sum(1 for _ in list_folder(src))
        shown = show_progress(results, total, quiet=quiet or as_json)
        return report(shown, as_json=as_json, quiet=quiet)
    source: Any = io.BytesIO(sys.stdin.buffer.read()) if is_stream(src) else src
    target: Any = sys.stdout.buffer if is_stream(dst) else dst
    if dst.is_dir():
        target = dst / f"{src.name}.png"
    write: Any = seal_photograph if scheme == "sealed" else encrypt_picture
    write(source, target, overwrite=force, **how)
    return ExitCode.DONE


def _make_pixel_encryptor(
    scheme: Literal["etc", "pe", "le"], key: Any, block_size: int | None, classifier: Any | None
) -> Any:
    """Make an encryptor of pixels: unfitted, or fitted on the size of the classifier's images."""
    import numpy as np

    from ricsk.encryptors import EtCEncryptor, LearnableEncryptor, PixelEncryptor

    blocks: dict[str, Any] = {"pad": True}
    if block_size is not None:
        blocks["block_size"] = block_size
    encryptor: Any = {
        "etc": lambda: EtCEncryptor(key, **blocks),
        "pe": lambda: PixelEncryptor(key),
        "le": lambda: LearnableEncryptor(key, **blocks),
    }[scheme]()
    if classifier is None:
        return encryptor
    return encryptor.fit(np.zeros((1, *_find_shape(classifier)), np.uint8))


def _find_shape(classifier: Any) -> tuple[int, int, int]:
    shape: tuple[int, int, int] | None = getattr(classifier, "image_shape_in_", None)
    if shape is None and getattr(classifier, "size", None) is not None:
        height, width = classifier.size
        shape = height, width, 3
    if shape is None:
        raise CommandError(
            f"{type(classifier).__name__} does not say what size of images it reads. Encrypt for "
            "it in Python, by an encryptor.",
            ExitCode.MODEL,
        )
    return shape


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

    shape = _find_shape(classifier)
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
