"""The desk's page about households: links are made, changed, ended and moved, and any change is undone.

A change is a record of the portal's, as a decision about a link is: it goes through Kafka, counts once,
and is told to whoever follows links.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from datetime import date, datetime
from typing import Annotated, Any, Literal
from uuid import UUID, uuid4

from fastapi import FastAPI, Form, Query, Request
from fastapi.responses import RedirectResponse, Response

from hub.model.connector import Connector
from hub.model.disclosure import Disclosure
from hub.model.intake import Emit
from hub.store import Store
from hub.store.disclosures import Disclosures
from hub.store.households import Households
from hub.web.desk import ROLES
from hub.web.forms import check_seal, seal_of
from hub.web.orders import Orders
from hub.web.problems import Problem
from hub.web.resident import BLOCKS
from hub.web.tokens import Token
from streams.account import CITY

MOVES = "MoveRequested"
"""The event of the feed that takes changes; the portal's connector says which that is."""
WORDS = {
    "LinkRequested": "Lien demandé ou modifié",
    "UnlinkRequested": "Lien retiré",
    "MoveRequested": "Liens déplacés entre deux comptes",
    "UndoRequested": "Changement annulé",
}


def add_households(
    app: FastAPI,
    store: Store,
    connectors: Mapping[str, Connector],
    page: Callable[..., Response],
    clerk_of: Callable[[Request], tuple[Token, str]],
    publish: Callable[[str, Emit], Awaitable[str]],
    clock: Callable[[], datetime],
) -> None:
    """Add the page; `clerk_of` finds who asks, with the secret that was shown, or refuses."""
    orders = Orders(connectors, MOVES, publish)
    households, disclosures = Households(store), Disclosures(store)

    @app.get("/foyers", include_in_schema=False)
    def household(request: Request, citizen: Annotated[UUID | None, Query()] = None) -> Response:
        clerk, secret = clerk_of(request)
        now = clock()
        shown: dict[str, Any] = {}
        if citizen is not None:
            disclosures.tell(Disclosure(str(citizen), int(now.timestamp() * 1000), clerk.name, "desk", ()))
            shown = {
                "links": store.links_of(str(citizen), now.astimezone(CITY).date()),
                "history": [
                    (one, datetime.fromtimestamp(one.at / 1000, CITY)) for one in households.history(str(citizen))
                ],
                "seal": seal_of(secret, f"household:{citizen}"),
            }
        return page(
            request,
            "foyers.html",
            citizen=str(citizen or ""),
            roles=ROLES,
            today=now.astimezone(CITY).date().isoformat(),
            blocks=BLOCKS,
            words=WORDS,
            now=now.astimezone(CITY),
            **shown,
        )

    @app.post("/foyers", include_in_schema=False)
    async def change(
        request: Request,
        citizen: Annotated[UUID, Form()],
        seal: Annotated[str, Form(max_length=100)],
        to: Annotated[UUID | None, Form()] = None,
        subject: Annotated[list[str], Form(max_length=100)] = [],  # noqa: B006 - FastAPI copies it
        everything: Annotated[bool, Form()] = False,
        command: Annotated[UUID | None, Form()] = None,
        link: Annotated[str, Form(max_length=200)] = "",
        unlink: Annotated[str, Form(max_length=200)] = "",
        role: Annotated[Literal["self", "parent", "mandate"], Form()] = "self",
        scope: Annotated[list[str], Form(max_length=20)] = [],  # noqa: B006 - FastAPI copies it
        until: Annotated[date | None, Form()] = None,
    ) -> Response:
        clerk, secret = clerk_of(request)
        check_seal(secret, f"household:{citizen}", seal)
        told: dict[str, Any] = {"clerk": clerk.name, "citizen": str(citizen)}
        today = clock().astimezone(CITY).date()

        async def linked() -> set[str]:
            return {one.subject for one in await asyncio.to_thread(store.links_of, str(citizen), today)}

        if command is not None:
            told |= {"type": "undo", "undo": {"command": str(command)}}
        elif unlink:
            if unlink not in await linked():
                raise Problem(422, "invalid", "Not well formed", "unlink: a subject that the account is linked to.")
            told |= {"type": "unlink", "unlink": {"subject": unlink}}
        elif link:
            if link.partition(":")[0] not in connectors or not BLOCKS.keys() >= set(scope) or (until and until < today):
                detail = "link: <product>:<id> of a connected product; scope: blocks; until: today or later."
                raise Problem(422, "invalid", "Not well formed", detail)
            last = until.isoformat() if until is not None else None
            told |= {"type": "link", "link": {"subject": link, "role": role, "scope": scope, "until": last}}
        else:
            if to is None or to == citizen or everything == bool(subject) or not set(subject) <= await linked():
                # All of it, or what is ticked, and to another account: neither more nor less is an order.
                raise Problem(422, "invalid", "Not well formed", "to: another account; subject: some, or everything.")
            told |= {"type": "move", "move": {"to": str(to), "subjects": None if everything else subject}}
        now = clock()
        told |= {"id": str(uuid4()), "at": now.isoformat(timespec="milliseconds")}
        before = await asyncio.to_thread(households.history, str(citizen))
        await orders.give(told, now, lambda: households.history(str(citizen)) != before)
        return RedirectResponse(f"/foyers?citizen={citizen}", 303)
