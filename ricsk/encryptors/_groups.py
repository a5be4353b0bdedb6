"""Images of several owners, each encrypted as their owner does it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import ClassNamePrefixFeaturesOutMixin, _fit_context, clone
from sklearn.utils import _safe_indexing, check_consistent_length, get_tags
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import _num_samples, check_is_fitted

from ricsk._estimator import Estimator, ImageTransformerMixin
from ricsk._secrets import show_object, show_value
from ricsk.base import BaseImageEncryptor, Tags, get_encryptor_tags

__all__ = ["GroupEncryptor"]


def _take(X: ArrayLike, rows: NDArray[np.int64]) -> Any:
    return X if len(rows) == _num_samples(X) else _safe_indexing(X, rows)


def _is_recoverable(encryptor: GroupEncryptor) -> bool:
    fitted = vars(encryptor).get("encryptors_", encryptor.encryptors)
    return all(hasattr(one, "inverse_transform") for one in (fitted or {}).values())


class GroupEncryptor(ClassNamePrefixFeaturesOutMixin, ImageTransformerMixin, Estimator):
    """Several owners' encryptors as one, so that one classifier learns on all their ciphertexts.

    Which owner an image has is said by ``groups``, an array with a name for each image. In
    pipelines and searches scikit-learn's metadata routing hands it on
    (``sklearn.set_config(enable_metadata_routing=True)``): `fit` and `transform` ask for it.

    In practice each owner encrypts by themselves, and nobody has all keys. This is to find out
    beforehand what a classifier of the union loses. What each scheme protects, and from whom, its
    own page says. A ciphertext does not say whose it is, but the cloud may be able to tell.

    Read more in the :ref:`User Guide <guide-etc>`.

    Parameters
    ----------
    encryptors : dict
        The encryptor of each group, by the name of the group. All have ciphertexts of one shape.

    Attributes
    ----------
    encryptors_ : dict
        The fitted encryptors.
    n_features_in_ : int
        Number of values in an image.

    See Also
    --------
    EtCEncryptor : A scheme whose classifiers learn on ciphertexts; also with a key for each image.

    References
    ----------
    Named as future work by A. P. MaungMaung and H. Kiya, "Privacy-preserving image classification
    using isotropic network", arXiv:2204.07707, 2022, section V.

    Examples
    --------
    >>> import numpy as np
    >>> from ricsk import EtCEncryptor, SecretKey
    >>> from ricsk.encryptors import GroupEncryptor
    >>> X = np.arange(4 * 64 * 64, dtype=np.uint8).reshape(4, 64, 64, 1)
    >>> owners = ["ann", "bob", "bob", "ann"]
    >>> ann, bob = (EtCEncryptor(SecretKey.generate(), block_size=8) for _ in range(2))
    >>> encryptor = GroupEncryptor({"ann": ann, "bob": bob}).fit(X, groups=owners)
    >>> C = encryptor.transform(X, groups=owners)
    >>> bool((encryptor.inverse_transform(C, groups=owners) == X).all())
    True
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = {"encryptors": [dict]}
    _state_constraints: ClassVar[dict[str, list[Any]]] = {"encryptors_": [dict]}

    # Whoever puts it into a pipeline wants its groups routed.
    __metadata_request__fit: ClassVar[dict[str, Any]] = {"groups": True}
    __metadata_request__transform: ClassVar[dict[str, Any]] = {"groups": True}
    __metadata_request__inverse_transform: ClassVar[dict[str, Any]] = {"groups": True}

    encryptors_: dict[Any, BaseImageEncryptor]

    def __init__(self, encryptors: Mapping[Any, BaseImageEncryptor]) -> None:
        self.encryptors = encryptors

    @_fit_context(prefer_skip_nested_validation=False)
    def fit(
        self, X: ArrayLike, y: ArrayLike | None = None, groups: ArrayLike | None = None
    ) -> Self:
        """Fit each group's encryptor on its images.

        Parameters
        ----------
        X : array-like
            Images of one shape, as each encryptor takes them.
        y : array-like, optional
            Labels, for encryptors that need some.
        groups : array-like of shape (n_samples,)
            The group of each image. It may be left out where there is one encryptor.

        Returns
        -------
        self

        Raises
        ------
        ValueError, TypeError
            If a group has no encryptor or an encryptor no images, the encryptors differ in what
            classifiers learn on or in the shape of their ciphertexts, or one refuses its images.
        """
        with self._all_or_nothing() as twin:
            twin._learn(X, y, groups)
        return self

    def _learn(self, X: ArrayLike, y: ArrayLike | None, groups: ArrayLike | None) -> None:
        if not self.encryptors:
            raise ValueError("encryptors is empty; expected at least one, by the name of a group.")
        learnt_on = {get_encryptor_tags(one).learns_on for one in self.encryptors.values()}
        if len(learnt_on) > 1:
            raise ValueError(
                "classifiers learn on plain images for some of the encryptors, and on ciphertexts "
                "for others; expected encryptors of one kind."
            )
        if y is not None:
            check_consistent_length(X, y)
        self.encryptors_ = {}
        for name, rows in self._split(X, groups, self.encryptors):
            if not len(rows):
                raise ValueError(
                    f"groups has no image of {show_value(name)}, to fit its encryptor."
                )
            labels = None if y is None else _take(y, rows)
            fitted = clone(self.encryptors[name]).fit(_take(X, rows), labels)
            self.encryptors_[name] = fitted
        shapes = {name: one.ciphertext_shape_ for name, one in self.encryptors_.items()}
        if len(set(shapes.values())) > 1:
            raise ValueError(
                f"the ciphertexts of the groups have different shapes, {shapes}; expected "
                "encryptors whose ciphertexts one classifier can read."
            )

    @property
    def n_features_in_(self) -> int:
        """Number of values in an image."""
        check_is_fitted(self, "encryptors_")
        return next(iter(self.encryptors_.values())).n_features_in_

    def fit_transform(
        self, X: ArrayLike, y: ArrayLike | None = None, groups: ArrayLike | None = None
    ) -> NDArray[Any]:
        """Fit each group's encryptor on its images, and encrypt them.

        Parameters
        ----------
        X, y, groups
            As for `fit`.

        Returns
        -------
        ndarray
            Ciphertexts, in the order of the images.
        """
        return self.fit(X, y, groups).transform(X, groups)

    def transform(self, X: ArrayLike, groups: ArrayLike | None = None) -> NDArray[Any]:
        """Encrypt each image as its group does.

        Parameters
        ----------
        X : array-like
            Images of the fitted shape.
        groups : array-like of shape (n_samples,)
            The group of each image. It may be left out where there is one encryptor.

        Returns
        -------
        ndarray
            Ciphertexts, in the order of the images.

        Raises
        ------
        ValueError, TypeError
            If a group has no encryptor, or an encryptor refuses its images.
        sklearn.exceptions.NotFittedError
            Before `fit`.
        """
        return self._apply("transform", X, groups)

    @available_if(_is_recoverable)
    def inverse_transform(self, X: ArrayLike, groups: ArrayLike | None = None) -> NDArray[Any]:
        """Decrypt each ciphertext as its group does.

        Parameters
        ----------
        X : array-like
            Ciphertexts as `transform` returned them.
        groups : array-like of shape (n_samples,)
            The group of each one. It may be left out where there is one encryptor.

        Returns
        -------
        ndarray
            Images, in the order of the ciphertexts.

        Raises
        ------
        ValueError, TypeError
            If a group has no encryptor, or an encryptor refuses its ciphertexts.
        sklearn.exceptions.NotFittedError
            Before `fit`.
        """
        return self._apply("inverse_transform", X, groups)

    def _apply(self, method: str, X: ArrayLike, groups: ArrayLike | None) -> NDArray[Any]:
        check_is_fitted(self)
        result: NDArray[Any] | None = None
        for name, rows in self._split(X, groups, self.encryptors_):
            if not len(rows) and len(self.encryptors_) > 1:
                continue
            part = getattr(self.encryptors_[name], method)(_take(X, rows))
            if result is None:
                result = np.empty((_num_samples(X), *part.shape[1:]), part.dtype)
            result[rows] = part
        if result is None:
            raise ValueError("X holds no images; expected at least one.")
        return result

    @staticmethod
    def _split(
        X: ArrayLike, groups: ArrayLike | None, encryptors: Mapping[Any, Any]
    ) -> Iterator[tuple[Any, NDArray[np.int64]]]:
        """Say which images belong to each group."""
        if groups is None:
            if len(encryptors) > 1:
                raise ValueError(
                    f"there are {len(encryptors)} encryptors, and groups=None does not say which "
                    "image is whose. Give groups, with a name for each image; in a pipeline call "
                    "sklearn.set_config(enable_metadata_routing=True) first."
                )
            yield next(iter(encryptors)), np.arange(_num_samples(X))
            return
        check_consistent_length(X, groups)
        names = np.asarray(groups)
        unknown = [name for name in np.unique(names).tolist() if name not in encryptors]
        if unknown:
            raise ValueError(
                f"groups has {show_value(unknown[0])}, for which there is no encryptor; expected "
                f"some of {', '.join(map(show_value, encryptors))}."
            )
        for name in encryptors:
            yield name, np.flatnonzero(names == name)

    def _check_state(self) -> None:
        super()._check_state()
        for one in vars(self).get("encryptors_", {}).values():
            if not isinstance(one, BaseImageEncryptor):
                raise ValueError(f"{show_object(one)} is no encryptor of images")

    @property
    def _n_features_out(self) -> int:
        return next(iter(self.encryptors_.values()))._n_features_out

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        first = next(iter(self.encryptors.values()), None) if self.encryptors else None
        if first is None:
            return tags
        theirs = get_tags(first)
        theirs.encryptor_tags = get_encryptor_tags(first)
        return theirs
