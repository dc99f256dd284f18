"""The routes of the server.

    app = create_app(Pipeline("my-bundle"))
    uvicorn.run(app)

OpenAI's image API, so that its clients work; `/` is a page to paint on.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar

from fastapi import APIRouter, Body, FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.middleware.cors import CORSMiddleware
from fastapi.responses import JSONResponse, PlainTextResponse
from fastapi_swagger import patch_fastapi
from pydantic import ValidationError
from sse_starlette import EventSourceResponse
from starlette.datastructures import UploadFile
from starlette.requests import ClientDisconnect

from mas_fast.pipelines.base import Painter
from mas_fast.serve.drawing import Drawing
from mas_fast.serve.facts import facts_of
from mas_fast.serve.failures import Unfit, answer_all, failed
from mas_fast.serve.gate import Gate
from mas_fast.serve.jobs import Jobs
from mas_fast.serve.metrics import Metrics
from mas_fast.serve.schemas import Edits, Failed, Generations, Pictures, Preview, Settings
from mas_fast.serve.shared import SharedEngine
from mas_fast.serve.static import PageFiles
from mas_fast.version import __version__

T = TypeVar("T")
FILES = ("image", "mask")  # of an edit
ERRORS: dict[int | str, dict[str, Any]] = {
    status: {"model": Failed} for status in ("4XX", 429, 503)
}
# With "stream" the answer is of another type.
DRAWN = ERRORS | {200: {"content": {"text/event-stream": {"schema": {}}}}}
EXAMPLES = {
    "caption": {"value": {"prompt": "a red house beside a lake at dusk", "seed": 7}},
    "scene in words": {
        "value": {"prompt": "an elephant on the grass", "scene": "elephant: 66,48,116,108"}
    },
    "stream": {"value": {"prompt": "two dogs on a beach", "stream": True, "partial_images": 3}},
}


@dataclass(frozen=True)
class Limits:
    """What a server takes.

    Attributes:
        workers: requests that are drawn at once.
        waiting: requests that may wait; more are answered with 429.
        seconds: that a request may take.
        body: bytes of a request.
    """

    workers: int = 16
    waiting: int = 64
    seconds: float = 120.0
    body: int = 2**23


def create_app(
    painter: Painter,
    *,
    key: str | None = None,
    origins: Sequence[str] = (),
    limits: Limits | None = None,
) -> FastAPI:
    """Make the server of a bundle.

    Args:
        painter: the bundle made ready, on the C++ engine. It draws in this server alone.
        key: what clients must say; None: nothing.
        origins: of pages elsewhere that may use it (CORS); "*": any.
        limits: None: the defaults.

    Returns:
        The ASGI application.
    """
    limits = limits or Limits()
    server = Server(painter, limits)

    @contextlib.asynccontextmanager
    async def life(_: FastAPI) -> AsyncIterator[None]:
        yield
        server.close()

    app = FastAPI(
        title="mas_fast",
        version=__version__,
        lifespan=life,
        docs_url=None,  # FastAPI's own page of the API takes its script from elsewhere
        swagger_ui_oauth2_redirect_url=None,
        redoc_url=None,
        description="OpenAI's image API over a bundle of mas_fast.",
    )
    app.state.server = server
    patch_fastapi(app, docs_url="/docs", redirect_from_root_to_docs=False)
    app.include_router(server.routes())
    app.mount("/page", server.files, name="page")
    answer_all(app)
    if origins:
        app.add_middleware(
            CORSMiddleware, allow_origins=list(origins), allow_methods=["*"], allow_headers=["*"]
        )
    app.add_middleware(Gate, metrics=server.metrics, key=key, largest=limits.body)
    return app


class Server:
    """A painter, the threads that draw with it, and the routes that ask them."""

    def __init__(self, painter: Painter, limits: Limits) -> None:
        self.name, self.limits = painter.name, limits
        self.created = int(time.time())
        self.facts, self.files = facts_of(painter), PageFiles()
        self.engine = SharedEngine(painter.engine)  # type: ignore[arg-type]  # create_app's promise
        painter.engine = self.engine
        self.painter = painter
        self.jobs = Jobs(self.engine, workers=limits.workers, waiting=limits.waiting)
        self.metrics = Metrics(self.jobs)

    def close(self) -> None:
        """End what draws, once it is done."""
        self.jobs.close()
        self.engine.close()

    def routes(self) -> APIRouter:
        router = APIRouter()
        router.add_api_route("/", self.page, methods=["GET", "HEAD"], include_in_schema=False)
        router.add_api_route(
            "/v1/images/generations", self.generations, methods=["POST"], response_model=Pictures,
            responses=DRAWN,
        )  # fmt: skip
        router.add_api_route(
            "/v1/images/edits", self.edits, methods=["POST"], response_model=Pictures,
            responses=DRAWN, openapi_extra={"requestBody": _form()},
        )  # fmt: skip
        router.add_api_route("/v1/models", self.models, methods=["GET"])
        router.add_api_route("/v1/models/{name}", self.model, methods=["GET"], responses=ERRORS)
        router.add_api_route("/v1/bundle", self.bundle, methods=["GET"])
        router.add_api_route("/health", self.health, methods=["GET"])
        router.add_api_route("/ready", self.ready, methods=["GET"], responses={503: {}})
        router.add_api_route(
            "/metrics", self.figures, methods=["GET"], response_class=PlainTextResponse
        )
        return router

    async def generations(
        self,
        asked: Annotated[Generations, Body(openapi_examples=EXAMPLES)],
        request: Request,
    ) -> Response:
        """Draw pictures of a caption, each with its scene."""
        return await self._draw(asked, {}, request)

    async def edits(self, request: Request) -> Response:
        """Draw a region of a picture anew: that of `mask` (as OpenAI's, what is transparent; or a
        mask that is not 0 there), or `region`."""
        fields, files = await _read_form(request)
        if "image" not in files:
            raise Unfit("image: found none, expected a picture", "image")
        try:
            asked = Edits.model_validate(fields)
        except ValidationError as error:
            raise RequestValidationError(error.errors()) from error
        return await self._draw(asked, files, request)

    async def models(self) -> dict:
        """The one model that there is."""
        return {"object": "list", "data": [self._model()]}

    async def model(self, name: str) -> dict:
        """A model by its name."""
        self._check_model(name)
        return self._model()

    async def bundle(self) -> dict:
        """What the model knows: sizes, classes with their colours, words, settings."""
        return self.facts

    async def health(self) -> dict:
        """Whether the process is there."""
        return {"status": "ok"}

    async def ready(self) -> Response:
        """Whether it takes requests: 503 where as many wait as may."""
        full = self.jobs.waiting >= self.limits.waiting
        return JSONResponse({"status": "full" if full else "ready"}, 503 if full else 200)

    async def page(self, request: Request) -> Response:
        """The page to paint on."""
        return await self.files.get_response("index.html", request.scope)

    async def figures(self) -> Response:
        """Figures for Prometheus."""
        return Response(self.metrics.text(), media_type="text/plain; version=0.0.4")

    def _model(self) -> dict:
        return {
            "id": self.name, "object": "model", "created": self.created, "owned_by": "mas_fast",
        }  # fmt: skip

    def _check_model(self, name: str | None) -> None:
        if name not in (None, self.name):
            message = f"model: found {name!r}, expected {self.name!r}"
            raise Unfit(message, "model", status=404, code="model_not_found")

    async def _draw(self, asked: Settings, files: dict[str, bytes], request: Request) -> Response:
        self._check_model(asked.model)
        begin, drawing = time.perf_counter(), Drawing(self.painter, asked, files)
        seconds = self.limits.seconds
        if asked.stream:
            previews = aiter(self.jobs.start(drawing.previews, seconds))
            # What is wrong shows before the first one, and has a status of its own.
            first = await _unless_gone(request, anext(previews))
            return EventSourceResponse(self._events(first, previews, begin), ping=15)
        whole = aiter(self.jobs.start(drawing.whole, seconds))
        pictures = await _unless_gone(request, anext(whole))
        self.metrics.whole.observe(time.perf_counter() - begin)
        self.metrics.pictures.inc(asked.n)
        return JSONResponse(pictures.model_dump())

    async def _events(
        self, first: Preview, rest: AsyncIterator[Preview], begin: float
    ) -> AsyncIterator[dict[str, str]]:
        """The server-sent events of a stream."""
        self.metrics.first.observe(time.perf_counter() - begin)
        whole = False
        async with contextlib.aclosing(_chained(first, rest)) as previews:
            try:
                async for preview in previews:
                    if preview.type.endswith("completed"):
                        self.metrics.pictures.inc()
                        if not whole:
                            self.metrics.whole.observe(time.perf_counter() - begin)
                        whole = True
                    data = preview.model_dump_json(exclude_none=True)
                    yield {"event": preview.type, "data": data}
            except Exception as error:  # too late for a status
                yield {"event": "error", "data": json.dumps(failed(error)[1])}


async def _chained(first: T, rest: AsyncIterator[T]) -> AsyncGenerator[T, None]:
    yield first
    async for item in rest:
        yield item


async def _unless_gone(request: Request, coming: Awaitable[T]) -> T:
    """What is awaited, unless the client leaves before.

    Raises:
        ClientDisconnect: it has left.
    """
    task, gone = asyncio.ensure_future(coming), asyncio.ensure_future(_gone(request))
    try:
        await asyncio.wait({task, gone}, return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise ClientDisconnect
        return await task
    finally:
        gone.cancel()
        task.cancel()


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def _read_form(request: Request) -> tuple[dict[str, Any], dict[str, bytes]]:
    """The fields and the files of a multipart body."""
    kind = request.headers.get("content-type", "").partition(";")[0]
    if kind != "multipart/form-data":
        raise Unfit(f"the body: found {kind!r:.80}, expected multipart/form-data")
    fields: dict[str, Any] = {}
    files: dict[str, bytes] = {}
    async with request.form(max_files=2, max_fields=64) as form:
        for name, value in form.multi_items():
            name = name.removesuffix("[]")  # OpenAI's clients send several images so
            if name in fields or name in files:
                raise Unfit(f"{name}: found it twice, expected it once", name)
            if not isinstance(value, UploadFile):
                fields[name] = value
            elif name in FILES:
                files[name] = await value.read()
            else:
                raise Unfit(f"{name}: found a file, expected {' or '.join(FILES)}", name)
    return fields, files


def _form() -> dict[str, Any]:
    """The body of an edit, for the OpenAPI page."""
    schema = Edits.model_json_schema()
    file = {"type": "string", "format": "binary"}
    schema["properties"] |= dict.fromkeys(FILES, file)
    schema["required"] = ["image"]
    return {"required": True, "content": {"multipart/form-data": {"schema": schema}}}
