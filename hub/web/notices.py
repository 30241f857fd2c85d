"""What comes back about messages: what became of them, and that somebody wants no more.

Whoever receives a message can end its like by one click (RFC 8058), without a login: the link is sealed.
"""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Annotated
from uuid import UUID

from fastapi import Depends, FastAPI, Request
from fastapi.responses import Response
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from hub.config import Settings
from hub.delivery import seals
from hub.model.sink import OptOut, Sink
from hub.store import Store
from hub.web.problems import Problem, documented

BEARER = HTTPBearer(
    scheme_name="Receipts",
    auto_error=False,
    description="The token of `sinks.<product>.receipts_secret_file`; for `mail` that of `mail.receipts_secret_file`.",
)
RECEIPT = {
    "required": True,
    "description": "What the provider says, by docs/reference/connectors.md; the example is the message gateway's.",
    "content": {
        "application/json": {
            "schema": {
                "type": "object",
                "anyOf": [{"required": ["reference", "status"]}, {"required": ["from", "text"]}],
            },
            "example": {"reference": "0b7f3a0e-5f0e-5f57-9a6a-6a6f2d0b1c11", "status": "delivered"},
        }
    },
}


def add_notices(
    app: FastAPI,
    store: Store,
    settings: Settings,
    sinks: Mapping[str, Sink],
    page: Callable[..., Response],
    clock: Callable[[], datetime],
) -> None:
    """Add the pages and the calls."""

    def sealed(row: UUID, seal: str) -> None:
        expected = seals.of(settings.notifications.unsubscribe_secret_file, str(row))
        if expected is None or not hmac.compare_digest(expected.encode(), seal.encode()):
            raise Problem(404, "no_seal", "No such link", "Change what you wish to be told on the portal.")

    def now() -> int:
        return int(clock().timestamp() * 1000)

    @app.get("/desinscription/{row}/{seal}", include_in_schema=False)
    def ask(request: Request, row: UUID, seal: str) -> Response:
        # A button ends it, not the link itself: mail scanners follow links.
        sealed(row, seal)
        return page(request, "desinscription.html", done=None)

    @app.post("/desinscription/{row}/{seal}", include_in_schema=False)
    def unsubscribe(request: Request, row: UUID, seal: str) -> Response:
        sealed(row, seal)
        return page(request, "desinscription.html", done=store.unsubscribe(str(row), now()))

    @app.post(
        "/receipts/{product}",
        status_code=204,
        responses=documented(400, 401, 404, 413, 422, 503),
        openapi_extra={"requestBody": RECEIPT},
        tags=["calls"],
    )
    async def receipt(
        product: str,
        request: Request,
        credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(BEARER)],
    ) -> Response:
        """Take a provider's word about a message that it took, or about an answer to one: 204 once it is noted."""
        receive = sinks[product].receive if product in sinks else None
        section = "mail" if product == "mail" else f"sinks.{product}"
        chosen = settings.mail if product == "mail" else settings.sinks.get(product)
        if receive is None or chosen is None or chosen.receipts_secret_file is None:
            raise Problem(404, "no_sink", "Nothing listens here", f"Set {section}.receipts_secret_file.")
        secret = await asyncio.to_thread(_secret, chosen.receipts_secret_file)
        said = credentials.credentials.encode() if credentials is not None else b""
        if not secret or not hmac.compare_digest(secret, said):
            raise Problem(401, "no_token", "A token is needed", "Send `Authorization: Bearer …`.")
        try:
            told = receive(await request.body())
        except (ValueError, KeyError, TypeError, RecursionError):
            raise Problem(400, "no_receipt", "This is no receipt", "See docs/reference/connectors.md.") from None
        if isinstance(told, OptOut):
            await asyncio.to_thread(store.opt_out, told.number, now())
            return Response(status_code=204)
        # Rows are named by UUIDs; any other text is not ours, and no database takes all that JSON can say.
        if told is not None and _is_uuid(told.reference):
            row = await asyncio.to_thread(store.receipt, told.reference, now(), told.arrived, told.code)
            if row is not None and row.citizen and told.bounced and settings.notifications.stop_bounced:
                address = row.payload.get("address", "")
                await asyncio.to_thread(
                    lambda: store.stop(str(row.citizen), "bounced", now(), channel=row.channel, address=address)
                )
        return Response(status_code=204)


def _is_uuid(text: str) -> bool:
    try:
        UUID(text)
    except ValueError:
        return False
    return True


def _secret(path: Path) -> bytes:
    try:
        return path.read_bytes().strip()
    except OSError:
        return b""
