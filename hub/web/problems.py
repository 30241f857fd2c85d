"""Errors as `application/problem+json` (RFC 9457): a stable code, a text without values, a remedy.

A person's browser gets the same as a page in the person's language.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel
from starlette.exceptions import HTTPException

from hub.model.errors import Transient

MEDIA_TYPE = "application/problem+json"


class ProblemBody(BaseModel):
    """What an error says."""

    type: str = "about:blank"
    title: str
    status: int
    code: str
    """Stable; texts are not."""
    detail: str = ""
    """The remedy, or the names of the fields at fault; never a value."""


class Problem(Exception):
    """An answer that is an error."""

    def __init__(self, status: int, code: str, title: str, detail: str = "", **headers: str) -> None:
        super().__init__(code)
        self.body = ProblemBody(title=title, status=status, code=code, detail=detail)
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}


Page = Callable[[Request, int], Response]
"""Show a person that something did not work, by the status."""

_TEXTS = {
    400: "The body cannot be read",
    401: "No token or signature, or one that is not known",
    403: "The token lacks the scope",
    404: "No such thing",
    409: "The place where the page was to begin is lost",
    413: "The body is too large",
    422: "The request is not well formed",
    503: "Something behind the API is away; try again",
}
_CODES = {400: "unreadable", 404: "not_found", 405: "method_not_allowed", 413: "too_large"}


def documented(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return what OpenAPI says of a route's errors."""
    return {status: {"model": ProblemBody, "description": _TEXTS[status]} for status in statuses}


def install(app: FastAPI, page: Page) -> None:
    """Answer every error as a problem, and say so in OpenAPI."""

    def answer(request: Request, body: ProblemBody, headers: dict[str, str] | None = None) -> Response:
        if "text/html" in request.headers.get("accept", "") and not request.url.path.startswith(("/api/", "/hooks/")):
            response = page(request, body.status)
            response.headers.update(headers or {})
            return response
        return JSONResponse(body.model_dump(), status_code=body.status, headers=headers, media_type=MEDIA_TYPE)

    @app.exception_handler(Problem)
    async def _problem(request: Request, error: Problem) -> Response:
        return answer(request, error.body, error.headers)

    @app.exception_handler(RequestValidationError)
    async def _invalid(request: Request, error: RequestValidationError) -> Response:
        fields = sorted({".".join(str(part) for part in problem["loc"]) for problem in error.errors()})
        body = ProblemBody(title="Not well formed", status=422, code="invalid", detail=", ".join(fields)[:300])
        return answer(request, body)

    @app.exception_handler(Transient)
    async def _away(request: Request, _error: Transient) -> Response:
        body = ProblemBody(title="Away for now", status=503, code="away", detail="Try again in a few seconds.")
        return answer(request, body, {"Retry-After": "5"})

    @app.exception_handler(HTTPException)
    async def _http(request: Request, error: HTTPException) -> Response:
        code = _CODES.get(error.status_code, f"http_{error.status_code}")
        body = ProblemBody(title=str(error.detail), status=error.status_code, code=code)
        return answer(request, body, dict(error.headers) if error.headers else None)

    @app.exception_handler(Exception)
    async def _defect(request: Request, _error: Exception) -> Response:
        # The server logs it by kind and place; its text may quote a value.
        body = ProblemBody(title="A defect of the hub", status=500, code="bug", detail="Tell those who run the hub.")
        return answer(request, body)

    written = app.openapi

    def openapi() -> dict[str, Any]:
        document = written()
        for operation in (one for path in document["paths"].values() for one in path.values()):
            for status, response in operation["responses"].items():
                if int(status) >= 400 and "application/json" in response.get("content", {}):
                    response["content"] = {MEDIA_TYPE: response["content"].pop("application/json")}
        return document

    app.openapi = openapi  # type: ignore[method-assign]
