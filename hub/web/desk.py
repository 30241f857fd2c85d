"""The desk's page: links that wait for a clerk, and what nobody has linked yet.

A decision is a record like the portal's: it goes through Kafka, counts once, and is told to whoever follows links.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID, uuid5

from fastapi import FastAPI, Form, Request
from fastapi.responses import RedirectResponse, Response

from hub.model.connector import Connector
from hub.model.disclosure import Disclosure
from hub.model.intake import Emit
from hub.store import Store
from hub.store.disclosures import Disclosures
from hub.store.store import Proposal
from hub.web.forms import check_seal, seal_of
from hub.web.orders import Orders
from hub.web.problems import Problem
from hub.web.resident import BLOCKS
from hub.web.tokens import Token
from streams.account import CITY

DECIDES = "LinkDecided"
"""The event of the feed that takes decisions; the portal's connector says which that is."""
DECISIONS = uuid5(UUID(int=0), "desk")
"""Names decisions by proposal and answer: a button that is pressed twice counts once."""
CLAIMS = {
    "FAMILY_NAME": "Nom",
    "GIVEN_NAMES": "Premier prénom",
    "BIRTH_DATE": "Date de naissance",
    "SEX": "Sexe",
    "BIRTH_PLACE": "Lieu de naissance",
}
AGREEMENTS = {"SAME": ("identique", "good"), "DIFFERENT": ("différent", "warn"), "UNKNOWN": ("à vérifier", "")}
ROLES = {"SELF": "la personne elle-même", "PARENT": "un parent", "MANDATE": "un mandataire"}


def add_desk(
    app: FastAPI,
    store: Store,
    connectors: Mapping[str, Connector],
    page: Callable[..., Response],
    clerk_of: Callable[[Request], tuple[Token, str]],
    publish: Callable[[str, Emit], Awaitable[str]],
    clock: Callable[[], datetime],
) -> None:
    """Add the page; `clerk_of` finds who asks, with the secret that was shown, or refuses."""
    orders, disclosures = Orders(connectors, DECIDES, publish), Disclosures(store)

    @app.get("/liens", include_in_schema=False)
    def proposals(request: Request) -> Response:
        clerk, secret = clerk_of(request)
        now = clock()
        waiting = store.proposals()
        at = int(now.timestamp() * 1000)
        disclosures.tell_daily(
            now.astimezone(CITY).date(), [Disclosure(one.citizen, at, clerk.name, "desk", ()) for one in waiting]
        )
        return page(
            request,
            "liens.html",
            proposals=[(one, seal_of(secret, one.id), _age(one.asked_at, now)) for one in waiting],
            unmatched=[(one, _age(one.oldest, now)) for one in store.unmatched()],
            claims=CLAIMS,
            agreements=AGREEMENTS,
            roles=ROLES,
            blocks=BLOCKS,
            now=now.astimezone(CITY),
        )

    @app.post("/liens", include_in_schema=False)
    async def decide(
        request: Request,
        proposal: Annotated[UUID, Form()],
        reason: Annotated[Literal["proven", "somebody_else", "not_enough"], Form()],
        seal: Annotated[str, Form(max_length=100)],
    ) -> Response:
        clerk, secret = clerk_of(request)
        check_seal(secret, str(proposal), seal)
        waiting = await asyncio.to_thread(_find, store, str(proposal))
        if waiting is None:
            raise Problem(409, "decided", "Somebody has decided already", "Open /liens: it is not there any more.")
        now = clock()
        await orders.give(_decision(waiting, clerk.name, reason, now), now, lambda: _find(store, str(proposal)) is None)
        return RedirectResponse("/liens", 303)


def _find(store: Store, proposal: str) -> Proposal | None:
    return next((one for one in store.proposals() if one.id == proposal), None)


def _decision(waiting: Proposal, clerk: str, reason: str, now: datetime) -> dict[str, Any]:
    return {
        "id": str(uuid5(DECISIONS, f"{waiting.id}\x1f{reason}")),
        "at": now.isoformat(timespec="milliseconds"),
        "clerk": clerk,
        "citizen": waiting.citizen,
        "proposal": waiting.id,
        "accepted": reason == "proven",
        "reason": reason,
        "link": {
            "subject": waiting.subject,
            "role": waiting.role.lower(),
            "scope": list(waiting.scope),
            "until": waiting.until,
        },
    }


def _age(moment: int, now: datetime) -> str:
    days = (now.astimezone(CITY).date() - datetime.fromtimestamp(moment / 1000, CITY).date()).days
    return "aujourd'hui" if days <= 0 else "hier" if days == 1 else f"depuis {days} jours"
