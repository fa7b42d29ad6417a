"""The web application: what it answers, and one line of JSON for what it refuses."""

import asyncio
import contextlib
import importlib.resources
import os
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import msgspec
from absl import logging
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from fdbpl_jax import __version__
from fdbpl_jax.data.images import all_broken
from fdbpl_jax.errors import UserError, one_line
from fdbpl_jax.serve.page import page
from fdbpl_jax.serve.predictor import Predictor
from fdbpl_jax.serve.regions import Regions
from fdbpl_jax.serve.upload import Limits, Question, Upload, decode, read_question
from fdbpl_jax.serve.worker import Worker

_DECODERS = min(4, os.cpu_count() or 1)  # images decoded at once: each takes memory


class Service:
    """What the answers need: the models, their thread, and those that decode."""

    def __init__(
        self, predictor: Predictor, regions: Regions | None, limits: Limits
    ) -> None:
        self.predictor, self.regions, self.limits = predictor, regions, limits
        self.worker = Worker(predictor)
        self._decoders = ThreadPoolExecutor(_DECODERS)
        self.waiting = 0  # requests that are not answered yet
        self.answered = 0  # requests for predictions or regions

    @contextlib.asynccontextmanager
    async def admitted(self, request: Request) -> AsyncIterator[Question]:
        """Read a request and limit the time of the block, which answers it.

        Raises:
          HTTPException: there are too many, the request or the answer took too long, or
            there is no thread to answer.
        """
        _refuse_other_sites(request)
        self.refuse_if_ended()
        if self.waiting >= self.limits.waiting:
            text = f"{self.waiting} requests are waiting; ask again in a second"
            raise HTTPException(429, text, {"Retry-After": "1"})
        seconds = self.limits.seconds
        status, text = 408, f"the request has not arrived within {seconds:g} s"
        self.waiting += 1
        try:
            async with asyncio.timeout(seconds):
                question = await read_question(request, self.limits)
                status, text = 504, f"there is no answer within {seconds:g} s"
                yield question
            self.answered += 1
        except TimeoutError as error:
            raise HTTPException(status, text) from error
        finally:
            self.waiting -= 1

    def refuse_if_ended(self) -> None:
        """Raise HTTPException if nothing runs the models."""
        if not self.worker.is_alive:
            raise HTTPException(503, "the thread that runs the models has ended")

    async def predict(self, question: Question) -> list[dict[str, Any]]:
        """The predictions of all images of a request, in order."""

        def prepare(upload: Upload) -> Any:
            return self.predictor.prepare(decode(upload, self.limits))

        pixels = await self._decoded(prepare, question.uploads)
        answers = [
            asyncio.wrap_future(
                self.worker.predict(image, question.classes, question.top)
            )
            for image in pixels
        ]
        return [answer._asdict() for answer in await asyncio.gather(*answers)]

    async def weigh(self, question: Question) -> dict[str, Any]:
        """The regions of the only image of a request, with its size in pixels."""
        regions = self.regions
        if regions is None:
            raise HTTPException(404, "there is no teacher: `fdbpl serve --teacher=…`")
        if len(question.uploads) != 1:
            raise HTTPException(422, "regions are those of a single image")

        def cut(upload: Upload) -> Any:
            picture = decode(upload, self.limits)
            return picture.size, regions.cut(picture, upload.content)

        ((size, parts),) = await self._decoded(cut, question.uploads)
        names = question.classes or self.predictor.classifier.class_names
        job = self.worker.call(lambda: regions.weigh(parts, names))
        weighed = [region._asdict() for region in await asyncio.wrap_future(job)]
        return {"width": size[0], "height": size[1], "regions": weighed}

    async def _decoded(self, function: Any, uploads: tuple[Upload, ...]) -> list[Any]:
        loop = asyncio.get_running_loop()
        jobs = [loop.run_in_executor(self._decoders, function, up) for up in uploads]
        results = await asyncio.gather(*jobs, return_exceptions=True)
        broken = [result for result in results if isinstance(result, UserError)]
        if broken:
            raise all_broken(broken)
        if bug := next((x for x in results if isinstance(x, BaseException)), None):
            raise bug
        return results

    def close(self) -> None:
        """End the threads."""
        self._decoders.shutdown(cancel_futures=True)
        self.worker.close()


def create_app(
    predictor: Predictor, regions: Regions | None, limits: Limits
) -> Starlette:
    """The application, without a server; `regions` where there is a teacher."""

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        app.state.service = Service(predictor, regions, limits)
        yield
        app.state.service.close()

    return Starlette(
        routes=[
            Route("/", page),
            Route("/predict", _predict, methods=["POST"]),
            Route("/regions", _regions, methods=["POST"]),
            Route("/classes", _classes),
            Route("/healthz", _health),
            Route("/openapi.json", _openapi),
        ],
        exception_handlers={
            HTTPException: _refusal,
            UserError: _wrong_content,
            ClientDisconnect: _gone,
            Exception: _failure,
        },
        lifespan=lifespan,
    )


async def _predict(request: Request) -> Response:
    service: Service = request.app.state.service
    async with service.admitted(request) as question:
        return JSONResponse({"predictions": await service.predict(question)})


async def _regions(request: Request) -> Response:
    service: Service = request.app.state.service
    async with service.admitted(request) as question:
        return JSONResponse(await service.weigh(question))


async def _classes(request: Request) -> Response:
    return JSONResponse(facts(request.app.state.service))


def facts(service: Service) -> dict[str, Any]:
    """What a client may want to know before it asks."""
    classifier, regions = service.predictor.classifier, service.regions
    return {
        "classes": classifier.class_names,
        "takes_other_classes": classifier.takes_other_names,
        "rejects": classifier.method.measures_rejection,
        "reject_below": classifier.reject_below,
        "regions": regions.count if regions else 0,
        "limits": msgspec.to_builtins(service.limits),
    }


async def _health(request: Request) -> Response:
    service: Service = request.app.state.service
    counts = {"waiting": service.waiting, "answered": service.answered}
    service.refuse_if_ended()
    return JSONResponse({"status": "ok", "version": __version__, **counts})


async def _openapi(request: Request) -> Response:
    text = importlib.resources.files("fdbpl_jax.serve").joinpath("openapi.json")
    description = msgspec.json.decode(text.read_bytes())
    description["info"]["version"] = __version__
    return JSONResponse(description)


def _refuse_other_sites(request: Request) -> None:
    """Refuse what the page of another site lets a browser send."""
    if request.headers.get("sec-fetch-site", "none") not in ("none", "same-origin"):
        raise HTTPException(403, "a page of another site may not ask")


def _error(status: int, text: object, headers: Any = None) -> Response:
    return JSONResponse({"error": one_line(text)}, status, headers)


async def _refusal(request: Request, error: Any) -> Response:
    return _error(error.status_code, error.detail, error.headers)


async def _wrong_content(request: Request, error: Any) -> Response:
    # What to do is written for those who own the files and settings.
    return _error(422, error.what)


async def _gone(request: Request, error: Exception) -> Response:
    return _error(400, "the request ended too early")


async def _failure(request: Request, error: Exception) -> Response:
    logging.exception("%s %s failed", request.method, request.url.path)
    return _error(500, "internal error, which the log of the service explains")
