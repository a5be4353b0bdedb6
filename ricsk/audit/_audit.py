"""`audit`: run attacks against encryptors, on images of one's own."""

from __future__ import annotations

import platform
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal, NamedTuple

import numpy as np
import sklearn
import torch
from numpy.typing import ArrayLike, NDArray
from sklearn.base import clone
from sklearn.utils import check_random_state
from sklearn.utils.validation import column_or_1d

from ricsk._secrets import show_object, show_value
from ricsk._version import __version__
from ricsk.attacks import BaseAttack, DisclosureBaseline, LabelOnlyBaseline
from ricsk.audit._default_attacks import default_attacks
from ricsk.audit._findings import AttackRun, SchemeRun
from ricsk.audit._names import describe_estimator, encryptors_by_name, unique_names
from ricsk.audit._result import AuditResult
from ricsk.audit._score import score, undo_mirroring
from ricsk.audit._trials import Labelled, Trial, find_disclosed, run_trials
from ricsk.base import BaseImageEncryptor
from ricsk.classifiers import CNNClassifier
from ricsk.exceptions import AttackNotApplicableError
from ricsk.images import (
    ImageBatch,
    ImageForm,
    ValueRange,
    as_table,
    check_images,
    describe,
    flattened_for,
    with_image_shape,
)

__all__ = ["audit"]

_MAX_TARGETS = 100
# With fewer, hardly anything can be told from chance.
_MIN_TARGETS = 20
_SSIM_WINDOW = 11


class _Part(NamedTuple):
    """Images, as the user gave them and as a batch of 8-bit levels, and their classes."""

    X: NDArray[Any]
    images: ImageBatch
    y: NDArray[Any]


class _Recognizer(NamedTuple):
    """A classifier of plain images, and the form in which it takes them."""

    classifier: Any
    form: ImageForm
    values: ValueRange

    def predict(self, images: NDArray[np.uint8]) -> NDArray[Any]:
        X = self.form.restore(self.values.from_uint8(images, self.form.dtype))
        return self.classifier.predict(flattened_for(self.classifier, X))


def audit(
    encryptor: BaseImageEncryptor | Sequence[BaseImageEncryptor] | Mapping[str, BaseImageEncryptor],
    X: ArrayLike,
    y: ArrayLike,
    attacks: Literal["default"] | Sequence[BaseAttack | Trial] = "default",
    *,
    classifier: Any | None = None,
    n_targets: int | None = None,
    budget: Literal["quick", "thorough"] | int = "quick",
    random_state: int | np.random.RandomState | None = None,
    verbose: int = 0,
) -> AuditResult:
    """Attack an encryptor, and measure what comes back and what can be told apart.

    `X` is dealt out at random into three parts, the same for all schemes and attacks. The *targets*
    are encrypted and attacked, and no attack learns from them. The rest is the adversary's: half of
    it is *known*, and an adversary with ciphertexts has those of these, with the images behind them
    if it has pairs; the other half is *public*, images of the same kind. The encryptor is cloned
    and fitted on what is not a target, and so is its classifier unless it is frozen. An attack
    whose adversary knows labels is given what the classifier says, or `y` where the classifier
    reads ciphertexts alone, as if it made no errors. Where all reconstructions of an attack are
    mirror images or negatives, that is undone before they are measured: people see what is in them.

    Attacks that draw no picture are run first, under fresh keys: `DistinguishingGame` on two of the
    public images, and `IdentificationAttack` on targets, 50 at most. The label counts for nothing
    in either.

    Parameters
    ----------
    encryptor : encryptor, or sequence or dict of encryptors
        Under attack, fitted or not. A dict gives names to them.
    X : array-like
        Images of the kind that are to be protected: ``(n_samples, height, width, channels)``,
        ``(n_samples, height, width)`` or, if the encryptors know the shape, flattened. At least
        80, of at least 11 × 11 pixels; a thousand or more for attacks that train a network.
    y : array-like of shape (n_samples,)
        Their classes.
    attacks : "default" or sequence of attacks, default="default"
        What to run; "default" is `default_attacks`. Those that cannot be run against a scheme are
        left out there, with the reason. `LabelOnlyBaseline`, with the strategy that does best, is
        always run.
    classifier : classifier, optional
        Says what is to be seen in reconstructions: it reads plain images in the form of `X`. It is
        cloned and fitted on what is not a target, unless frozen. By default a small
        `CNNClassifier`.
    n_targets : int, optional
        How many images are attacked, at least 20. By default a quarter of `X`, 100 at most.
    budget : {"quick", "thorough"} or int, default="quick"
        Of the default attacks: steps of training. Attacks that you pass have their own.
    random_state : int, RandomState or None
        Of the parts, the default attacks and the default classifier, and of the keys under which
        images are told apart.
    verbose : int, default=0
        Whether to name each attack on the standard error stream before it is run.

    Returns
    -------
    AuditResult

    Raises
    ------
    TypeError
        If something is not an encryptor, or not an attack.
    ValueError
        If there are too few images, or they are too small, or do not fit `y` or the encryptor.

    Examples
    --------
    >>> from ricsk import EtCEncryptor, SecretKey
    >>> from ricsk.attacks import FRAttack, LinearAttack
    >>> from ricsk.audit import audit
    >>> from ricsk.datasets import make_street_numbers
    >>> X, y = make_street_numbers(120, size=16, random_state=0)
    >>> encryptor = EtCEncryptor(SecretKey.generate(), block_size=4)
    >>> result = audit(encryptor, X, y, [LinearAttack(), FRAttack()], random_state=0)
    >>> print(result.verdict)
    EtCEncryptor(block_size=4): broken by LinearAttack (known plaintexts, same key: SSIM 1.00,
    +0.9... over the baseline, 100% re-identified).
    >>> list(result.schemes[0].refused)
    ['FRAttack']
    """
    schemes = encryptors_by_name(encryptor)
    batch = check_images(X, image_shape=_image_shape(schemes), caller="audit")
    labels: NDArray[Any] = column_or_1d(y)
    n_samples = len(batch.pixels)
    if len(labels) != n_samples:
        raise ValueError(f"y has {len(labels)} entries for {n_samples} images.")
    if min(batch.shape[:2]) < _SSIM_WINDOW:
        raise ValueError(
            f"images of {describe(batch.shape)} are too small to be compared: expected at least "
            f"{_SSIM_WINDOW}×{_SSIM_WINDOW} pixels."
        )
    n_targets = min(n_samples // 4, _MAX_TARGETS) if n_targets is None else n_targets
    if not _MIN_TARGETS <= n_targets <= n_samples - 2 * _MIN_TARGETS:
        raise ValueError(
            f"{n_targets} targets of {n_samples} images: expected at least {_MIN_TARGETS}, and "
            f"{2 * _MIN_TARGETS} more images for the adversary. Pass more images or n_targets."
        )
    rng = check_random_state(random_state)
    _check_attacks(attacks)
    seed = rng.randint(2**31 - 1)
    parts, rest = _deal_out(np.asarray(as_table(X)), batch, labels, n_targets, rng)
    recognizer = _fit_recognizer(
        _small_classifier(rng) if classifier is None else classifier, batch, rest
    )
    runs = []
    for name, scheme in schemes.items():
        fitted = clone(scheme).fit(rest.X, rest.y)
        chosen = default_attacks(fitted, budget, seed) if isinstance(attacks, str) else attacks
        _tell(verbose, f"{name}:")
        runs.append(_attack_scheme(name, fitted, parts, chosen, recognizer, seed, verbose))
    settings = {
        "images": f"{n_samples} of {describe(batch.shape)}",
        "targets": n_targets,
        "known": len(parts["known"].y),
        "public": len(parts["public"].y),
        "budget": budget if isinstance(attacks, str) else "of each attack",
        "random_state": random_state if isinstance(random_state, int) else "none",
        "ricsk": __version__,
        "NumPy": np.__version__,
        "PyTorch": torch.__version__,
        "scikit-learn": sklearn.__version__,
        "Python": platform.python_version(),
    }
    return AuditResult(parts["target"].images.pixels, tuple(runs), settings)


def _deal_out(
    X: NDArray[Any],
    batch: ImageBatch,
    labels: NDArray[Any],
    n_targets: int,
    rng: np.random.RandomState,
) -> tuple[dict[str, _Part], _Part]:
    """Deal images out at random: the parts, and all that is not a target."""
    levels = ValueRange.of(batch.pixels, None).to_uint8(batch.pixels)
    order = rng.permutation(len(labels))
    rest = order[n_targets:]
    known, public = np.array_split(rest, 2)
    places = {"target": order[:n_targets], "known": known, "public": public}

    def take(place: NDArray[np.int64]) -> _Part:
        return _Part(X[place], _as_batch(levels[place]), labels[place])

    return {name: take(place) for name, place in places.items()}, take(rest)


def _fit_recognizer(classifier: Any, batch: ImageBatch, part: _Part) -> _Recognizer:
    recognizer = clone(classifier)
    if batch.ndim == 2:
        with_image_shape(recognizer, batch.shape)
    recognizer.fit(flattened_for(recognizer, part.X), part.y)
    return _Recognizer(recognizer, batch.form, ValueRange.of(batch.pixels, None))


def _attack_scheme(
    name: str,
    encryptor: BaseImageEncryptor,
    parts: dict[str, _Part],
    attacks: Sequence[BaseAttack | Trial],
    recognizer: _Recognizer,
    seed: int,
    verbose: int,
) -> SchemeRun:
    """Run attacks against one fitted encryptor."""
    target, known, public = (parts[part] for part in ("target", "known", "public"))
    C_target, C_known = (_encrypt(encryptor, part) for part in (target, known))
    disclosed = {role: find_disclosed(encryptor, part.X, part.y) for role, part in parts.items()}
    named = dict(zip(unique_names(attacks), attacks, strict=True))
    trials, untried = run_trials(
        encryptor,
        {name: attack for name, attack in named.items() if isinstance(attack, Trial)},
        Labelled(public.X, disclosed["public"]),
        Labelled(target.X, disclosed["target"]),
        seed,
        verbose,
    )

    def run(attack_name: str, attack: BaseAttack, baseline: float) -> AttackRun:
        _tell(verbose, f"  {attack_name}")
        start = time.perf_counter()
        learnt = clone(attack).fit(
            _as_given(C_known, known.X),
            known.images,
            public_images=public.images,
            public_labels=disclosed["public"],
            labels=disclosed["known"],
            encryptor=encryptor,
        )
        drawn = learnt.reconstruct(_as_given(C_target, target.X), labels=disclosed["target"])
        seconds = time.perf_counter() - start
        found = undo_mirroring(target.images, _as_batch(drawn))
        scores = score(target.images, found, disclosed["target"])
        return AttackRun(
            attack=attack_name,
            adversary=learnt.adversary,
            reconstructions=found.pixels,
            scores=scores,
            gain=float(scores.ssim.mean() - baseline),
            reclassified=float(np.mean(recognizer.predict(found.pixels) == target.y)),
            seconds=seconds,
            on_purpose=isinstance(attack, DisclosureBaseline),
        )

    baselines = [LabelOnlyBaseline(kind) for kind in ("class_mean", "mean", "medoid")]
    free = [run(describe_estimator(baseline), baseline, 0.0) for baseline in baselines]
    best = max(free, key=lambda done: done.gain)
    runs, refused = [replace(best, gain=0.0)], {}
    for attack_name, attack in named.items():
        if isinstance(attack, BaseAttack):
            try:
                runs.append(run(attack_name, attack, best.gain))
            except AttackNotApplicableError as error:
                refused[attack_name] = str(error)
    return SchemeRun(name, C_target.pixels, tuple(runs), refused, trials, untried)


def _as_batch(pixels: NDArray[Any]) -> ImageBatch:
    """Mark images as read, so that neither attacks nor metrics check them again."""
    return ImageBatch(pixels, pixels.ndim, pixels.dtype)


def _encrypt(encryptor: BaseImageEncryptor, part: _Part) -> ImageBatch:
    """Encrypt images in the form that the user gave; ciphertexts as 8-bit levels."""
    C = encryptor.transform(part.X)
    batch = check_images(C, image_shape=encryptor.ciphertext_shape_, caller="audit")
    return _as_batch(encryptor.value_range_.to_uint8(batch.pixels))


def _as_given(levels: ImageBatch, X: NDArray[Any]) -> ImageBatch:
    """Make floats of ciphertexts where the images were, for attacks that ask a classifier."""
    return _as_batch(levels.pixels / 255.0) if X.dtype.kind == "f" else levels


def _check_attacks(attacks: Any) -> None:
    if isinstance(attacks, str):
        if attacks != "default":
            raise ValueError(
                f"attacks={show_value(attacks)}: expected 'default' or a list of attacks."
            )
        return
    for attack in attacks:
        if not isinstance(attack, BaseAttack | Trial):
            raise TypeError(
                f"{show_object(attack)} is not an attack. Pass instances, such as [LinearAttack()]."
            )


def _small_classifier(rng: np.random.RandomState) -> CNNClassifier:
    return CNNClassifier(width=16, epochs=8, random_state=rng.randint(2**31 - 1))


def _image_shape(schemes: Mapping[str, Any]) -> tuple[int, ...] | None:
    shapes = (scheme.get_params(deep=False).get("image_shape") for scheme in schemes.values())
    return next((shape for shape in shapes if shape is not None), None)


def _tell(verbose: int, text: str) -> None:
    if verbose:
        print(text, file=sys.stderr, flush=True)
