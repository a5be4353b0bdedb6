"""The application: the routes of the protocol, and what keeps it standing."""

from __future__ import annotations

import asyncio
import logging
import time
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, MutableMapping
from contextlib import asynccontextmanager
from typing import Any

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from ricsk._version import __version__
from ricsk.cloud._limits import Limits
from ricsk.cloud._metrics import Metrics
from ricsk.cloud._page import make_routes
from ricsk.cloud._protocol import HEADER_LENGTH, encode_json
from ricsk.cloud._served import VERSION, ServedModel
from ricsk.cloud._served_index import ServedIndex
from ricsk.cloud._worker import Worker
from ricsk.exceptions import ProtocolError

__all__ = ["Service"]

LOG = logging.getLogger("ricsk.cloud")
RETRY_AFTER = {"Retry-After": "1"}
# How long a thread may compute on once the service is to end.
_PATIENCE = 10.0


class Service:
    """All models of a service, each with its thread, and the application in front of them.

    Parameters
    ----------
    models : dict of ServedModel or ServedIndex
        By name.
    limits : Limits
    writable : bool
        Whether indexes may be changed.
    page : bool
        Whether there is a page to look at the service.
    """

    def __init__(
        self,
        models: Mapping[str, ServedModel | ServedIndex],
        limits: Limits,
        *,
        writable: bool,
        page: bool,
    ) -> None:
        self.models = models
        self.limits = limits
        self.metrics = Metrics()
        self._workers: dict[str, Worker] = {}
        self._pending = dict.fromkeys(models, 0)
        routes = [
            Route("/v2", self.describe),
            Route("/v2/health/live", self.live),
            Route("/v2/health/ready", self.ready),
            Route("/v2/repository/index", self.list_models, methods=["POST"]),
            Route("/metrics", self.show_metrics),
        ]
        if page:
            routes += make_routes()
        for path in ("/v2/models/{name}", "/v2/models/{name}/versions/{version}"):
            routes += [
                Route(path, self.describe_model),
                Route(f"{path}/ready", self.model_ready),
                Route(f"{path}/infer", self.infer, methods=["POST"]),
            ]
            if writable:
                routes += [
                    Route(f"{path}/add", self.add, methods=["POST"]),
                    Route(f"{path}/remove", self.remove, methods=["POST"]),
                ]
        app = Starlette(
            routes=routes,
            lifespan=self._work,
            exception_handlers={ProtocolError: _refuse, HTTPException: _refuse},
        )
        self.app = app
        app.add_middleware(Observer, service=self)

    @asynccontextmanager
    async def _work(self, app: Starlette) -> AsyncIterator[None]:
        self._workers = {
            name: Worker(model, self.metrics.count_batch(name))
            for name, model in self.models.items()
        }
        LOG.info("ready", extra={"fields": {"models": list(self.models)}})
        try:
            yield
        finally:
            workers, self._workers = self._workers, {}
            for worker in workers.values():
                await asyncio.to_thread(worker.close, _PATIENCE)
            LOG.info("stopped")

    async def describe(self, request: Request) -> Response:
        """Tell what server this is."""
        return _answer(
            {
                "name": "ricsk",
                "version": __version__,
                "extensions": ["binary_tensor_data", "model_repository"],
            }
        )

    async def live(self, request: Request) -> Response:
        """Tell that the process answers."""
        return _answer({"live": True})

    async def ready(self, request: Request) -> Response:
        """Tell whether requests for inference are answered."""
        ready = all(map(self._is_ready, self.models))
        return _answer({"ready": ready}, 200 if ready else 503)

    async def list_models(self, request: Request) -> Response:
        """Name the models, as Triton's extension of the protocol for repositories does."""
        return _answer(
            [{"name": name, "version": VERSION, "state": "READY"} for name in self.models]
        )

    async def show_metrics(self, request: Request) -> Response:
        """Show the metrics as Prometheus reads them."""
        return Response(generate_latest(self.metrics.registry), media_type=CONTENT_TYPE_LATEST)

    async def describe_model(self, request: Request) -> Response:
        """Tell what a model takes and gives."""
        return _answer(self._find(request).metadata)

    async def model_ready(self, request: Request) -> Response:
        """Tell whether a model answers."""
        model = self._find(request)
        ready = self._is_ready(model.name)
        return _answer({"name": model.name, "ready": ready}, 200 if ready else 503)

    async def infer(self, request: Request) -> Response:
        """Classify images."""
        model = self._find(request)
        async with self._admitted(model):
            body = await self._read(request)
            future = self._workers[model.name].submit(body, request.headers.get(HEADER_LENGTH))
            del body
            try:
                async with asyncio.timeout(self.limits.timeout):
                    answer = await asyncio.wrap_future(future)
            except TimeoutError:
                raise HTTPException(
                    503, f"not answered within {self.limits.timeout:g} seconds.", RETRY_AFTER
                ) from None
        self.metrics.images.labels(model.name).inc(answer.n_images)
        request.scope["n_images"] = answer.n_images
        if answer.header_length is None:
            return Response(answer.body, media_type="application/json")
        headers = {HEADER_LENGTH: answer.header_length}
        return Response(answer.body, headers=headers, media_type="application/octet-stream")

    async def add(self, request: Request) -> Response:
        """Add images to an index."""
        return await self._change(request, ServedIndex.add)

    async def remove(self, request: Request) -> Response:
        """Remove images from an index."""
        return await self._change(request, ServedIndex.remove)

    async def _change(self, request: Request, change: Callable[..., dict[str, Any]]) -> Response:
        index = self._find(request)
        if not isinstance(index, ServedIndex):
            raise ProtocolError(f"{index.name} is not an index.", 404)
        async with self._admitted(index):
            body = await self._read(request)
            # What has begun is done to its end: its client may repeat it.
            found = await asyncio.to_thread(change, index, body, request.headers.get(HEADER_LENGTH))
        return _answer(found)

    @asynccontextmanager
    async def _admitted(self, model: ServedModel | ServedIndex) -> AsyncIterator[None]:
        """Take a request, if there are not too many already."""
        name = model.name
        if name not in self._workers or self._pending[name] >= self.limits.max_pending:
            raise HTTPException(503, "the service is busy; come again.", RETRY_AFTER)
        self._pending[name] += 1
        self.metrics.pending.labels(name).inc()
        try:
            yield
        finally:
            self._pending[name] -= 1
            self.metrics.pending.labels(name).dec()

    def _is_ready(self, name: str) -> bool:
        return name in self._workers and self._workers[name].is_alive

    async def _read(self, request: Request) -> bytes:
        """Read the body, but no more of it than is allowed."""
        coding = request.headers.get("Content-Encoding", "identity")
        if coding != "identity":
            raise ProtocolError(
                "this service reads no compressed requests: ciphertexts do not get smaller.", 415
            )
        limit = self.limits.max_bytes
        too_large = ProtocolError(
            f"the request is larger than {limit} bytes. Send fewer images at a time.", 413
        )
        length = request.headers.get("Content-Length", "0")
        if length.isdigit() and int(length) > limit:
            raise too_large
        parts, n_bytes = [], 0
        try:
            async with asyncio.timeout(self.limits.read_timeout):
                async for part in request.stream():
                    n_bytes += len(part)
                    if n_bytes > limit:
                        raise too_large
                    parts.append(part)
        except TimeoutError:
            raise ProtocolError(
                f"the request did not arrive within {self.limits.read_timeout:g} seconds.", 408
            ) from None
        except ClientDisconnect:
            raise ProtocolError("the client went away.") from None
        request.scope["n_bytes"] = n_bytes
        return b"".join(parts)

    def _find(self, request: Request) -> ServedModel | ServedIndex:
        name, version = request.path_params["name"], request.path_params.get("version", VERSION)
        model = self.models.get(name)
        if model is None:
            raise ProtocolError(
                f"there is no model of this name. This service has {', '.join(self.models)}.", 404
            )
        if version != VERSION:
            raise ProtocolError(f"{name} has the version {VERSION} alone.", 404)
        return model


class Observer:
    """Count and log each request, and turn what nobody expected into an answer.

    Nothing that came from outside is logged but the names of what exists here: no path, no header,
    no image, and of errors no text.
    """

    def __init__(self, app: Callable[..., Awaitable[None]], service: Service) -> None:
        self.app = app
        self.service = service

    async def __call__(
        self,
        scope: MutableMapping[str, Any],
        receive: Callable[[], Awaitable[Any]],
        send: Callable[[Any], Awaitable[None]],
    ) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        start, status = time.perf_counter(), 0

        async def watch(message: MutableMapping[str, Any]) -> None:
            nonlocal status
            status = message.get("status", status)
            await send(message)

        try:
            await self.app(scope, receive, watch)
        except Exception as error:
            LOG.error("failed", extra={"fields": _describe(error)})
            if not status:
                await _answer({"error": "an error of the service."}, 500)(scope, receive, watch)
        seconds = time.perf_counter() - start
        endpoint = getattr(scope.get("endpoint"), "__name__", "none")
        name = scope.get("path_params", {}).get("name")
        model = name if name in self.service.models else ""
        self.service.metrics.requests.labels(endpoint, model, str(status)).inc()
        self.service.metrics.seconds.labels(endpoint, model).observe(seconds)
        fields = {"endpoint": endpoint, "model": model, "status": status}
        fields |= {name: scope[name] for name in ("n_images", "n_bytes") if name in scope}
        LOG.info("request", extra={"fields": {**fields, "seconds": round(seconds, 6)}})


def _describe(error: Exception) -> dict[str, Any]:
    """Say where an error comes from, without its text, which may hold values."""
    frames = traceback.extract_tb(error.__traceback__)
    places = [f"{frame.filename}:{frame.lineno}" for frame in frames[-8:]]
    return {"error": type(error).__name__, "places": places}


def _answer(content: Any, status: int = 200) -> Response:
    return Response(encode_json(content), status, media_type="application/json")


async def _refuse(_: Request, error: Exception) -> Response:
    if isinstance(error, HTTPException):
        text, status, headers = error.detail, error.status_code, error.headers
    else:
        assert isinstance(error, ProtocolError)
        text, status, headers = str(error), error.status, None
    response = _answer({"error": text}, status)
    response.headers.update(headers or {})
    return response
