"""`create_app`: classifiers behind the Open Inference Protocol."""

from __future__ import annotations

import re
from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any

from ricsk.cloud._limits import Limits
from ricsk.cloud._served import ServedModel
from ricsk.search import ImageIndex

if TYPE_CHECKING:
    from starlette.applications import Starlette

__all__ = ["create_app"]

_NAME = re.compile(r"[\w.-]{1,128}")


def create_app(
    models: Mapping[str, Any],
    *,
    limits: Limits | None = None,
    writable: bool = False,
    page: bool = False,
) -> Starlette:
    """Make an ASGI application that answers with classifiers, by the Open Inference Protocol.

    That protocol [1]_, in its second version and over HTTP, is what KServe, Triton, OpenVINO and
    MLServer speak, so their clients ask this one as well. Tensors come as JSON or as bytes [2]_,
    and images also as PNG files, of the datatype BYTES. The input is called ``images``. Outputs are
    ``labels`` and, where the classifier has them, ``probabilities`` and ``features``; those of an
    index are ``ids``, ``distances`` and ``images``, and it takes ``features`` as well.

    The service has no key, and refuses classifiers with one. What it sees is what clients send:
    give them ciphertexts to send. It does not ask who they are: put what does that, and TLS, in
    front.

    Read more in the :ref:`User Guide <guide-service>`.

    Parameters
    ----------
    models : dict
        Fitted classifiers, such as those that `PrivateClassifier.cloud_half` returns, and indexes
        (`ricsk.search.ImageIndex`), by the names under which they are asked for.
    limits : Limits, optional
        What a request may be at most, and how many at a time.
    writable : bool
        Whether whoever can ask may also add images to indexes, and remove them.
    page : bool
        Whether ``/`` is a page that asks the service and shows what it answers.

    Returns
    -------
    starlette.applications.Starlette
        To be run by uvicorn or another server of ASGI.

    Raises
    ------
    ImportError
        If the packages of ``pip install 'ricsk[serve]'`` are not installed.
    ValueError
        If there is no model, or a name that cannot be a part of a path.
    TypeError
        If one is not a classifier.
    sklearn.exceptions.NotFittedError
        If a classifier is not fitted.
    CloudHalfError
        If there is a key or an encryptor in one.

    References
    ----------
    .. [1] https://kserve.github.io/website/docs/concepts/architecture/data-plane/v2-protocol
    .. [2] https://docs.nvidia.com/deeplearning/triton-inference-server/user-guide/docs/protocol/extension_binary_data.html

    Examples
    --------
    >>> from sklearn.linear_model import LogisticRegression
    >>> from ricsk import EtCEncryptor, PrivateClassifier, SecretKey
    >>> from ricsk.cloud import create_app
    >>> from ricsk.datasets import load_digits
    >>> X, y = load_digits(size=16)
    >>> encryptor = EtCEncryptor(SecretKey.generate(), block_size=2)
    >>> private = PrivateClassifier(encryptor, LogisticRegression(max_iter=1000))
    >>> cloud = private.fit(X[:500] / 255, y[:500]).cloud_half()
    >>> app = create_app({"digits": cloud})  # then uvicorn.run(app)
    """
    for package in ("starlette", "prometheus_client"):
        try:
            import_module(package)
        except ImportError as error:
            raise ImportError(
                f"{package} is not installed. Install what the service needs, as pip install "
                "'ricsk[serve]' does."
            ) from error
    from ricsk.cloud._app import Service
    from ricsk.cloud._served_index import ServedIndex

    limits = Limits() if limits is None else limits
    if not models:
        raise ValueError("models is empty; expected a dict of fitted classifiers by name.")
    for name in models:
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise ValueError(
                f"{name!r} cannot be the name of a model; expected letters, digits, -, _ and dots."
            )
    served: dict[str, Any] = {
        name: (ServedIndex if isinstance(model, ImageIndex) else ServedModel)(name, model, limits)
        for name, model in models.items()
    }
    return Service(served, limits, writable=writable, page=page).app
