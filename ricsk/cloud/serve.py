"""Serve classifiers without a key: ``python -m ricsk.cloud.serve MODEL``."""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ricsk.cloud import Limits, create_app
from ricsk.cloud._onnx import OnnxClassifier
from ricsk.exceptions import RicskError
from ricsk.search import ImageIndex

__all__ = ["load_model", "main"]

PICKLES = (".joblib", ".pickle", ".pkl")
# Types that a skops file of a cloud half names. No other type of ours is needed by one.
_TRUSTED = ("ricsk.classifiers.", "ricsk.cloud.CloudHalf", "ricsk.images.ValueRange")
# Connections, and seconds that they may go on once the service is to end.
_MAX_CONNECTIONS = 1024
_PATIENCE = 30


def load_model(
    path: str | os.PathLike[str], *, allow_pickle: bool = False, trusted: Iterable[str] = ()
) -> Any:
    """Load a fitted classifier to serve.

    Parameters
    ----------
    path : path
        A file of skops (``.skops``), of ONNX as `ricsk.export_onnx` writes it (``.onnx``), or of
        joblib or pickle (``.joblib``, ``.pickle``, ``.pkl``).
    allow_pickle : bool
        Whether to read the latter, which run whatever code they hold. For files of your own.
    trusted : iterable of str
        Types that a skops file may hold beside those of scikit-learn, `CloudHalf` and the
        classifiers of ricsk.

    Returns
    -------
    classifier
        With the methods of a `CloudHalf`.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it is of another kind, a pickle that was not allowed, or holds types that are not
        trusted.
    ImportError
        If the package that reads it is not installed.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {os.fspath(path)!r}.")
    suffix = path.suffix.lower()
    if suffix == ".onnx":
        return OnnxClassifier(path)
    if suffix == ".skops":
        return _load_skops(path, trusted)
    if suffix not in PICKLES:
        raise ValueError(
            f"{path.name} is not a model file; expected .skops, .onnx, or {', '.join(PICKLES)}."
        )
    if not allow_pickle:
        raise ValueError(
            f"{path.name} is a pickle, which can run any code when it is read. If it is your own, "
            "allow it by --allow-pickle; otherwise take a file of skops or ONNX."
        )
    import joblib

    return joblib.load(path)


def main(arguments: Sequence[str] | None = None) -> None:
    """Serve models until the process is told to stop.

    Parameters
    ----------
    arguments : sequence of str, optional
        Of the command line. By default those of this process.
    """
    parser = _make_parser()
    args = parser.parse_args(arguments)
    try:
        import uvicorn

        limits = Limits(
            max_bytes=args.max_bytes,
            max_images=args.max_images,
            max_pending=args.max_pending,
            timeout=args.timeout,
        )
        models: dict[str, Any] = {}
        for model in args.models:
            name, path = _split_name(model)
            if name in models:
                raise ValueError(f"two models are called {name!r}; give names, as NAME=FILE.")
            models[name] = load_model(path, allow_pickle=args.allow_pickle, trusted=args.trust)
        for index in args.indexes:
            name, path = _split_name(index)
            if name in models:
                raise ValueError(f"two things are called {name!r}; give names, as NAME=FILE.")
            if not (args.writable or os.path.exists(path)):
                raise FileNotFoundError(f"there is no file {path!r}. Make it by --writable.")
            models[name] = ImageIndex(next(iter(models.values())), path)
        app = create_app(models, limits=limits, writable=args.writable, page=args.page)
    except (ImportError, OSError, ValueError, TypeError) as error:
        parser.error(str(error))
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JSONFormatter())
    for name in ("ricsk.cloud", "uvicorn"):
        logger = logging.getLogger(name)
        logger.handlers, logger.propagate = [handler], False
        logger.setLevel(args.log_level.upper())
    uvicorn.run(
        app,
        host=args.host,
        port=args.port,
        log_config=None,
        access_log=False,  # which would show paths; the application logs what it knows
        server_header=False,
        limit_concurrency=_MAX_CONNECTIONS,
        timeout_graceful_shutdown=_PATIENCE,
    )


class JSONFormatter(logging.Formatter):
    """One line of JSON for each record. Of errors it writes the type, and no text."""

    def format(self, record: logging.LogRecord) -> str:
        """Write a record."""
        line: dict[str, Any] = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(record.created)),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info and record.exc_info[0] is not None:
            line["error"] = record.exc_info[0].__name__
        return json.dumps(line | getattr(record, "fields", {}))


def _load_skops(path: Path, trusted: Iterable[str]) -> Any:
    try:
        import skops.io
    except ImportError as error:
        raise ImportError("skops is not installed: pip install skops.") from error
    data, trusted = path.read_bytes(), set(trusted)
    with _explain_damage(path):
        found = skops.io.get_untrusted_types(data=data)
    refused = [name for name in found if not name.startswith(_TRUSTED) and name not in trusted]
    if refused:
        raise ValueError(
            f"{path.name} holds types that are not trusted: {', '.join(refused)}. If you know "
            "what they do, give each by --trust."
        )
    with _explain_damage(path):
        model = skops.io.loads(data, trusted=found)
        if not getattr(model, "__dict__", None):  # skops makes empty objects of missing states
            raise ValueError("it has no attributes")
        return model


@contextmanager
def _explain_damage(path: Path) -> Iterator[None]:
    try:
        yield
    except RicskError:
        raise
    except Exception as error:  # a damaged archive fails in many ways
        raise ValueError(
            f"{path.name} cannot be read as a file of skops: it is damaged, or of a version that "
            "this one does not read. Write it anew."
        ) from error


def _split_name(model: str) -> tuple[str, str]:
    """Split NAME=FILE; a file alone gives its name."""
    name, equals, path = model.partition("=")
    return (name, path) if equals else (Path(model).stem, model)


def _make_parser() -> argparse.ArgumentParser:
    limits = Limits()
    parser = argparse.ArgumentParser(
        prog="python -m ricsk.cloud.serve",
        description="Serve classifiers by the Open Inference Protocol, version 2.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("models", nargs="+", metavar="MODEL", help="file of a model, or NAME=FILE")
    parser.add_argument(
        "--index",
        action="append",
        default=[],
        dest="indexes",
        metavar="INDEX",
        help="file of an index that the first model reads, or NAME=FILE",
    )
    parser.add_argument(
        "--writable", action="store_true", help="let clients add images to indexes, and remove them"
    )
    parser.add_argument("--page", action="store_true", help="show a page to look at it, at /")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen at")
    parser.add_argument("--port", type=int, default=8080, help="port to listen at; 0 takes any")
    parser.add_argument(
        "--allow-pickle", action="store_true", help="read joblib and pickle files, which run code"
    )
    parser.add_argument(
        "--trust", action="append", default=[], metavar="TYPE", help="a type in a skops file"
    )
    parser.add_argument("--max-bytes", type=int, default=limits.max_bytes, help="of a request")
    parser.add_argument("--max-images", type=int, default=limits.max_images, help="of a request")
    parser.add_argument(
        "--max-pending", type=int, default=limits.max_pending, help="requests at a time"
    )
    parser.add_argument("--timeout", type=float, default=limits.timeout, help="in seconds")
    parser.add_argument(
        "--log-level", default="info", choices=("debug", "info", "warning", "error")
    )
    return parser


if __name__ == "__main__":
    main()
