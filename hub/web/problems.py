"""Errors as `application/problem+json` (RFC 9457): a stable code, a text without values, a remedy."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from starlette.exceptions import HTTPException

from hub.model.errors import Transient


class ProblemBody(BaseModel):
    """What an error says."""

    type: str = "about:blank"
    title: str
    status: int
    code: str
    detail: str = ""


class Problem(Exception):
    """An answer that is an error."""

    def __init__(self, status: int, code: str, title: str, detail: str = "", **headers: str) -> None:
        super().__init__(code)
        self.body = ProblemBody(title=title, status=status, code=code, detail=detail)
        self.headers = headers


def response(body: ProblemBody, headers: dict[str, str] | None = None) -> JSONResponse:
    """Write a problem."""
    return JSONResponse(
        body.model_dump(), status_code=body.status, headers=headers, media_type="application/problem+json"
    )


DOCUMENTED: dict[int | str, dict[str, Any]] = {
    status: {"model": ProblemBody, "description": text, "content": {"application/problem+json": {}}}
    for status, text in {
        401: "No token, or one that is not known",
        403: "The token lacks the scope",
        404: "No such account",
        422: "The request is not well formed",
        503: "Something behind the API is away; try again",
    }.items()
}


def install(app: FastAPI) -> None:
    """Answer every error as a problem."""

    @app.exception_handler(Problem)
    async def _problem(_request: Request, error: Problem) -> JSONResponse:
        return response(error.body, {name.replace("_", "-"): value for name, value in error.headers.items()})

    @app.exception_handler(RequestValidationError)
    async def _invalid(_request: Request, error: RequestValidationError) -> JSONResponse:
        fields = sorted({".".join(str(part) for part in problem["loc"]) for problem in error.errors()})
        return response(
            ProblemBody(title="Not well formed", status=422, code="invalid", detail=", ".join(fields)[:300])
        )

    @app.exception_handler(Transient)
    async def _away(_request: Request, _error: Transient) -> JSONResponse:
        body = ProblemBody(title="Away for now", status=503, code="away", detail="Try again in a few seconds.")
        return response(body, {"Retry-After": "5"})

    @app.exception_handler(HTTPException)
    async def _http(_request: Request, error: HTTPException) -> JSONResponse:
        code = {404: "not_found", 405: "method_not_allowed"}.get(error.status_code, f"http_{error.status_code}")
        headers = dict(error.headers) if error.headers else None
        return response(ProblemBody(title=str(error.detail), status=error.status_code, code=code), headers)
