"""`ModelReference`: a network that is stored as the place it comes from."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import nn

from ricsk.exceptions import ModelChangedError

__all__ = ["ModelReference"]

_BY_PICKLE_ALONE = (
    "a ModelReference is stored by pickle and joblib alone, because reading it imports and calls "
    "what it names."
)


class ModelReference:
    """A network as the function that builds it and, where its weights are elsewhere, their file.

    Pickles of what holds it contain these names and a digest in the place of the network, and build
    it again when it is first used. If it is then another one, an error says so.

    Parameters
    ----------
    factory : callable
        Builds the network: a function or class of a module that can be imported. Where you have its
        name, use `from_name`.
    arguments : mapping, optional
        Keyword arguments of `factory`.
    weights : path, optional
        File of the weights: safetensors, or what ``torch.save`` wrote of a ``state_dict``. It is
        read without unpickling. By default `factory` loads them.
    digest : str, optional
        SHA-256 that is expected, in hexadecimal digits: of the file `weights`, as ``sha256sum``
        prints it, or without such a file of the network's tensors. By default it is not checked
        now, only when a copy is read back.

    Attributes
    ----------
    factory : str
        As ``"package.module:name"``.
    arguments, weights
        As given.
    digest : str
        Of what was found.

    Raises
    ------
    ricsk.exceptions.ModelChangedError
        If the digest is another one. A file is compared before it is read.
    TypeError
        If `factory` cannot be imported by its name, or does not build a module.

    Notes
    -----
    Reading a pickle with a reference imports and calls what it names. Files of skops, which are to
    run nothing, refuse it.

    Examples
    --------
    >>> import pickle
    >>> from ricsk.pretrained import ModelReference
    >>> from ricsk.nn import CNN
    >>> import torch
    >>> _ = torch.manual_seed(0)
    >>> arguments = {"image_shape": (16, 16, 3), "n_classes": 10, "width": 8, "depth": 1}
    >>> reference = ModelReference(CNN, arguments)
    >>> reference
    ModelReference('ricsk.nn:CNN')
    >>> len(pickle.dumps(reference)) < 1000
    True

    This network has random weights, and the next one has others:

    >>> pickle.loads(pickle.dumps(reference)).load()
    Traceback (most recent call last):
    ...
    ricsk.exceptions.ModelChangedError: ricsk.nn:CNN builds another network than the one that was
    stored: ...
    """

    def __init__(
        self,
        factory: Callable[..., nn.Module],
        arguments: Mapping[str, Any] | None = None,
        *,
        weights: str | os.PathLike[str] | None = None,
        digest: str | None = None,
    ) -> None:
        # Not a name: what reads files of data alone calls constructors, with text from the file.
        if not callable(factory):
            raise TypeError(
                f"factory must be a function or class that builds the network, got "
                f"{type(factory).__name__}. Give a name to ModelReference.from_name."
            )
        self.factory = _name(factory)
        self.arguments = dict(arguments or {})
        self.weights = None if weights is None else os.fspath(weights)
        self.digest = digest
        self._module: nn.Module | None = None
        self.load()

    @classmethod
    def from_name(
        cls,
        name: str,
        arguments: Mapping[str, Any] | None = None,
        *,
        weights: str | os.PathLike[str] | None = None,
        digest: str | None = None,
    ) -> ModelReference:
        """Make a reference to a function by its name. It is imported and called.

        Parameters
        ----------
        name : str
            As ``"package.module:name"``.
        arguments, weights, digest
            As for the class.

        Returns
        -------
        ModelReference

        Raises
        ------
        TypeError
            If there is no such function, or it does not build a module.

        Examples
        --------
        >>> from ricsk.pretrained import ModelReference
        >>> ModelReference.from_name("torch.nn:Linear", {"in_features": 2, "out_features": 3})
        ModelReference('torch.nn:Linear')
        """
        reference = cls(_find(name), arguments, weights=weights, digest=digest)
        reference.factory = name
        return reference

    def load(self) -> nn.Module:
        """Build the network, or return the one that was built.

        Returns
        -------
        torch.nn.Module

        Raises
        ------
        ricsk.exceptions.ModelChangedError
            If it is not the one that was stored.
        FileNotFoundError
            If the file of the weights is not there.
        """
        if self._module is None:
            if self.weights is not None:
                self._compare(_digest_file(self.weights), f"{self.weights} holds other weights")
            module = _find(self.factory)(**self.arguments)
            if not isinstance(module, nn.Module):
                raise TypeError(
                    f"{self.factory} returned a {type(module).__name__}; expected a function that "
                    "builds a torch.nn.Module."
                )
            if self.weights is None:
                self._compare(_digest(module), f"{self.factory} builds another network")
            else:
                module.load_state_dict(_read_weights(self.weights))
            self._module = module
        return self._module

    def _compare(self, found: str, what: str) -> None:
        if self.digest is None:
            self.digest = found
        if found != self.digest:
            raise ModelChangedError(
                f"{what} than the one that was stored: the digest is {found}, expected "
                f"{self.digest}. Find the version that it was stored with, or make the classifier "
                "anew from this one; ciphertexts that were made for one network need not be read "
                "alike by another."
            )

    def __repr__(self) -> str:
        weights = "" if self.weights is None else f", weights={Path(self.weights).name!r}"
        return f"{type(self).__name__}({self.factory!r}{weights})"

    @classmethod
    def _restore(
        cls, factory: str, arguments: dict[str, Any], weights: str | None, digest: str
    ) -> ModelReference:
        """Make again what was pickled, and build its network when it is asked for."""
        reference = cls.__new__(cls)
        reference.factory, reference.arguments = factory, arguments
        reference.weights, reference.digest = weights, digest
        reference._module = None
        return reference

    def __reduce__(self) -> tuple[Any, ...]:
        return self._restore, (self.factory, self.arguments, self.weights, self.digest)

    def __getstate__(self) -> Any:
        # Pickles come by `__reduce__`. What comes here promises that nothing will be run.
        raise TypeError(_BY_PICKLE_ALONE)

    def __setstate__(self, state: Any) -> None:
        raise TypeError(_BY_PICKLE_ALONE)


def _name(factory: Callable[..., Any]) -> str:
    owner = getattr(factory, "__self__", None)
    if isinstance(owner, type):  # a class method, which a subclass may have inherited
        name = f"{owner.__module__}:{owner.__qualname__}.{factory.__name__}"
    else:
        name = f"{factory.__module__}:{getattr(factory, '__qualname__', '<>')}"
    found = None if "<" in name else _find(name)
    if found != factory:
        raise TypeError(
            f"factory={factory!r} cannot be imported again by its name, {name}. Give a function or "
            "class at the top of a module, and what it takes as arguments; or give the module that "
            "it builds, which is stored by value."
        )
    return name


def _find(name: str) -> Any:
    module, _, path = name.partition(":")
    try:
        found: Any = import_module(module)
        for part in path.split("."):
            found = getattr(found, part)
    except (ImportError, AttributeError, ValueError) as error:
        raise TypeError(
            f"factory={name!r} cannot be imported ({type(error).__name__}: {error}); expected "
            "'package.module:name', of a package that is installed here."
        ) from error
    return found


def _read_weights(path: str) -> dict[str, Any]:
    if path.endswith(".safetensors"):
        return load_file(path)
    return torch.load(path, map_location="cpu", weights_only=True)


def _digest_file(path: str) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _digest(module: nn.Module) -> str:
    """Compute the SHA-256 of the names, types, shapes and bytes of a network's tensors."""
    found = hashlib.sha256()
    for name, tensor in sorted(module.state_dict().items()):
        tensor = torch.as_tensor(tensor).detach().cpu().contiguous()
        found.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        found.update(tensor.reshape(-1).view(torch.uint8).numpy().tobytes())
    return found.hexdigest()
