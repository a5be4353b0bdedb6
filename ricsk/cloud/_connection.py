"""Requests to a service: a pool of connections, retries, and an answer that is not trusted."""

from __future__ import annotations

import os
import random
import weakref
from collections.abc import Sequence
from time import monotonic, sleep
from typing import Any
from urllib.parse import quote, urlsplit

import numpy as np
from numpy.typing import NDArray

from ricsk.cloud._protocol import (
    HEADER_LENGTH,
    Tensor,
    decode_json,
    decode_message,
    encode_message,
)
from ricsk.exceptions import ProtocolError, ServiceError, ServiceUnreachableError

__all__ = ["Connection"]

MAX_ANSWER_BYTES = 2**22
"""Bytes of an answer that are read at most, and as many for each image."""

MAX_PAUSE = 30.0
"""Seconds between two attempts at most, whatever the service asks for."""

_MAX_SHOWN = 300
_BUSY = (429, 503)


class Connection:
    """A pool of connections to a service.

    Parameters
    ----------
    url : str
    n_connections : int
    timeout : float
        In seconds.
    retries : int
    """

    def __init__(self, url: str, *, n_connections: int, timeout: float, retries: int) -> None:
        self._httpx = httpx = _import_httpx()
        self._url = _check_url(url)
        self._timeout = timeout
        self._retries = retries
        self._process = os.getpid()
        client = httpx.Client(
            timeout=timeout,
            limits=httpx.Limits(max_connections=n_connections),
            headers={"Accept-Encoding": "identity"},
            follow_redirects=False,
        )
        self._client = client
        self.close = weakref.finalize(self, client.close)

    @property
    def is_ours(self) -> bool:
        """Whether this process made it: sockets are not to be shared with a forked one."""
        return self._process == os.getpid()

    def describe(self, name: str) -> dict[str, Any]:
        """Ask for the metadata of a model."""
        body, _ = self._send("GET", f"/v2/models/{quote(name, safe='')}", MAX_ANSWER_BYTES)
        try:
            return decode_json(body)
        except ProtocolError as error:
            raise self._misunderstood(error) from None

    def infer(self, name: str, output: str, images: Tensor) -> NDArray[Any]:
        """Ask for one output of a model; it has a row for each image, and finite numbers."""
        n = len(images.values)
        tensors = self.ask(name, {}, images, (output,), (n + 1) * MAX_ANSWER_BYTES)
        values = tensors[output].values
        if len(values) != n:
            raise ServiceError(f"the service answered {len(values)} {output} for {n} images.")
        is_number = values.dtype.kind == "f"
        if output != "labels" and not (is_number and np.isfinite(values).all()):
            raise ServiceError(f"the service answered {output} that are not finite numbers.")
        return values

    def ask(
        self, name: str, head: dict[str, Any], given: Tensor, outputs: Sequence[str], limit: int
    ) -> dict[str, Tensor]:
        """Ask a model for outputs; those are answered, and no others.

        Parameters
        ----------
        name : str
            Of the model.
        head : dict
            What the JSON is to have beside tensors.
        given : Tensor
        outputs : sequence of str
        limit : int
            Bytes of an answer that are read at most.

        Returns
        -------
        dict of Tensor
            By name.
        """
        asked = [{"name": output, "parameters": {"binary_data": True}} for output in outputs]
        answer, header_length = self._post(name, "infer", head | {"outputs": asked}, [given], limit)
        try:
            _, tensors = decode_message(answer, header_length, "outputs")
        except ProtocolError as error:
            raise self._misunderstood(error) from None
        found = {tensor.name: tensor for tensor in tensors}
        if len(found) != len(tensors) or found.keys() != set(outputs):
            raise ServiceError(
                f"the service did not answer with {', '.join(outputs)}, which it was asked for."
            )
        return found

    def change(self, name: str, verb: str, tensors: Sequence[Tensor]) -> dict[str, Any]:
        """Have an index changed: what is answered."""
        answer, _ = self._post(name, verb, {}, tensors, MAX_ANSWER_BYTES)
        try:
            return decode_json(answer)
        except ProtocolError as error:
            raise self._misunderstood(error) from None

    def _post(
        self, name: str, verb: str, head: dict[str, Any], tensors: Sequence[Tensor], limit: int
    ) -> tuple[bytes, str | None]:
        body, header_length = encode_message(head, "inputs", tensors, lambda _: True)
        return self._send(
            "POST",
            f"/v2/models/{quote(name, safe='')}/{verb}",
            limit,
            content=body,
            headers={
                "Content-Type": "application/octet-stream",
                HEADER_LENGTH: str(header_length),
            },
        )

    def _send(self, method: str, path: str, limit: int, **request: Any) -> tuple[bytes, str | None]:
        """Send a request, and again if nobody is there or the service is busy."""
        attempt = 0
        while True:
            wait = None
            try:
                status, headers, body = self._send_once(method, path, limit, **request)
                if status == 200:
                    return body, headers.get(HEADER_LENGTH)
                if status not in _BUSY:
                    raise ServiceError(self._explain(status, body))
                reason, wait = self._explain(status, body), headers.get("Retry-After")
            except self._httpx.TimeoutException as error:
                if not isinstance(error, self._httpx.ConnectTimeout):
                    raise ServiceUnreachableError(
                        f"{self._url} did not answer in time ({type(error).__name__}). Give a "
                        "longer timeout, or fewer images at a time by batch_size."
                    ) from None
                reason = f"{self._url} cannot be reached in time"
            except self._httpx.TransportError as error:
                reason = f"{self._url} cannot be reached: {error or type(error).__name__}"
            if attempt == self._retries:
                raise ServiceUnreachableError(f"{reason.rstrip('.')}. Tried {attempt + 1} times.")
            sleep(_find_pause(attempt, wait))
            attempt += 1

    def _send_once(
        self, method: str, path: str, limit: int, **request: Any
    ) -> tuple[int, Any, bytes]:
        parts, n_bytes, deadline = [], 0, monotonic() + self._timeout
        with self._client.stream(method, self._url + path, **request) as response:
            if response.headers.get("Content-Encoding", "identity") != "identity":
                raise ServiceError(f"{self._url} answered compressed, which was not asked for.")
            for part in response.iter_raw():
                n_bytes += len(part)
                if n_bytes > limit:
                    raise ServiceError(
                        f"the answer of {self._url} is larger than {limit} bytes, which is more "
                        "than was asked for."
                    )
                if monotonic() > deadline:  # each part may come in time, and the whole never
                    raise self._httpx.ReadTimeout("the answer takes too long")
                parts.append(part)
        return response.status_code, response.headers, b"".join(parts)

    def _explain(self, status: int, body: bytes) -> str:
        """Say what the service said, as far as it can be shown."""
        try:
            said = decode_json(body).get("error")
        except ProtocolError:
            said = None
        if not isinstance(said, str):
            return (
                f"{self._url} answered with the status {status}, and not as the Open Inference "
                "Protocol says. Is it such a service, and is this all of its address?"
            )
        shown = "".join(char if char.isprintable() else " " for char in said)[:_MAX_SHOWN]
        return f"{self._url} answered with the status {status}: {shown}"

    def _misunderstood(self, error: ProtocolError) -> ServiceError:
        return ServiceError(
            f"{self._url} did not answer as the Open Inference Protocol says: {error}"
        )


def _find_pause(attempt: int, asked: str | None) -> float:
    """Find how long to wait: as asked, or twice as long each time; and not as others do."""
    pause = 0.1 * 2**attempt
    if asked is not None and asked.isdigit():
        pause = max(pause, float(asked))
    return min(pause, MAX_PAUSE) * random.uniform(1, 1.5)


def _check_url(url: str) -> str:
    if any(sign in url for sign in "@?#"):
        raise ValueError(
            "url has a user, a query or a fragment, which would be shown with it; expected "
            "http://host:port, and a path before /v2 if there is one."
        )
    try:
        parts = urlsplit(url)
        is_address = parts.scheme in ("http", "https") and bool(parts.hostname and parts.port != 0)
    except ValueError:
        is_address = False
    if not is_address:
        raise ValueError(f"url={url!r} is not an address; expected one as http://host:port.")
    return url.rstrip("/")


def _import_httpx() -> Any:
    try:
        import httpx
    except ImportError as error:
        raise ImportError(
            "httpx, which asks services, is not installed. Install it, as pip install "
            "'ricsk[remote]' does."
        ) from error
    return httpx
