"""Errors in OpenAI's form, each with the status that says whose fault it is."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI, HTTPException, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException as StarletteHTTPException

from mas_fast.serve.jobs import Busy
from mas_fast.serve.schemas import Failed, Failure

KINDS = {401: "authentication_error", 404: "not_found_error", 429: "rate_limit_error"}


class Unfit(ValueError):
    """A field of a request is not what the server takes.

    Args:
        message: what was found and what is allowed.
        param: the field.
        status: of the answer.
        code: what programs know the failure by.
    """

    def __init__(
        self, message: str, param: str | None = None, status: int = 400, code: str | None = None
    ) -> None:
        super().__init__(message)
        self.param, self.status, self.code = param, status, code


NO_JSON = Unfit("the body: found no JSON, expected an object")
UNPARSED = "There was an error parsing the body"  # FastAPI's, of bytes, nesting and long numbers


def body_of(status: int, message: str, param: str | None = None, code: str | None = None) -> dict:
    """The JSON of a failure."""
    kind = KINDS.get(status, "server_error" if status >= 500 else "invalid_request_error")
    failure = Failure(message=message, type=kind, param=param, code=code)
    return Failed(error=failure).model_dump()


def failed(error: Exception) -> tuple[int, dict, dict[str, str]]:
    """What an error is answered with.

    Args:
        error: what a request came to.

    Returns:
        The status, the JSON and the headers of the answer.
    """
    if isinstance(error, Unfit):
        return error.status, body_of(error.status, str(error), error.param, error.code), {}
    if isinstance(error, Busy):
        body = body_of(429, str(error), code="too_many_requests")
        return 429, body, {"Retry-After": str(error.seconds)}
    if isinstance(error, TimeoutError):
        return 503, body_of(503, str(error), code="timeout"), {"Retry-After": "1"}
    if isinstance(error, MemoryError):
        message = "found too little memory, expected fewer pictures at a time"
        return 503, body_of(503, message, code="out_of_memory"), {"Retry-After": "5"}
    if isinstance(error, ValueError | TypeError):
        name = str(error).partition(":")[0]
        param = name if name.isidentifier() else None
        return 400, body_of(400, str(error), param), {}
    return 500, body_of(500, f"found an error of the server: {type(error).__name__}"), {}


def answer(error: Exception) -> JSONResponse:
    """The answer that an error is."""
    status, body, headers = failed(error)
    return JSONResponse(body, status, headers)


def answer_all(app: FastAPI) -> None:
    """Have all failures of an app answered in this form."""

    @app.exception_handler(RequestValidationError)
    async def unfit(_: Request, error: RequestValidationError) -> JSONResponse:
        first = error.errors()[0]
        place = [str(part) for part in first["loc"] if part != "body"]
        if first["type"] == "json_invalid":
            return answer(NO_JSON)
        if first["type"] == "extra_forbidden":
            problem = f"{place[-1]}: found an unknown field"
            return answer(Unfit(problem, place[-1], code="unknown_parameter"))
        param = place[0] if place else None
        return answer(Unfit(f"{'.'.join(place) or 'the body'}: {_said(first)}", param))

    @app.exception_handler(StarletteHTTPException)
    async def no_route(_: Request, error: HTTPException) -> JSONResponse:
        status = error.status_code
        if error.detail == UNPARSED:
            return answer(NO_JSON)
        return JSONResponse(body_of(status, str(error.detail)), status, error.headers)

    @app.exception_handler(Exception)
    async def other(_: Request, error: Exception) -> JSONResponse:
        return answer(error)

    for kind in (ValueError, Busy, TimeoutError, MemoryError):
        app.add_exception_handler(kind, lambda _, error: answer(error))


def _said(error: dict[str, Any]) -> str:
    found = error.get("input")
    shown = f"found {found!r:.80}, " if isinstance(found, str | int | float | None) else ""
    return f"{shown}{error['msg'][:1].lower()}{error['msg'][1:]}"
