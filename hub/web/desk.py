"""The desk's page: links that wait for a clerk, and what nobody has linked yet.

A decision is a record like the portal's: it goes through Kafka, counts once, and is told to whoever follows links.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID, uuid5

from fastapi import FastAPI, Form, Request
from fastapi.responses import RedirectResponse, Response

from hub.model.connector import Connector
from hub.model.intake import Call, Emit
from hub.store import Store
from hub.store.store import Proposal
from hub.web.problems import Problem
from hub.web.tokens import Token
from streams.account import CITY

DECIDES = "LinkDecided"
"""The event of the feed that takes decisions; the portal's connector says which that is."""
SHOWN_SECONDS, LOOK_SECONDS = 3.0, 0.1
"""How long a decision may take to the database before the page is shown without it, and how often is looked."""
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
    connector, feed = next(
        (connector, name)
        for connector in connectors.values()
        for name, feed in connector.feeds.items()
        if DECIDES in feed.manifest.emits
    )

    @app.get("/liens", include_in_schema=False)
    def proposals(request: Request) -> Response:
        _, secret = clerk_of(request)
        now = clock()
        return page(
            request,
            "liens.html",
            proposals=[(one, _seal(secret, one.id), _age(one.asked_at, now)) for one in store.proposals()],
            unmatched=[(one, _age(one.oldest, now)) for one in store.unmatched()],
            claims=CLAIMS,
            agreements=AGREEMENTS,
            roles=ROLES,
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
        # A browser sends the password along with whatever another site makes it send.
        if not hmac.compare_digest(_seal(secret, str(proposal)).encode(), seal.encode()):
            raise Problem(403, "no_seal", "The form is not this page's", "Open /liens and decide there.")
        waiting = await asyncio.to_thread(_find, store, str(proposal))
        if waiting is None:
            raise Problem(409, "decided", "Somebody has decided already", "Open /liens: it is not there any more.")
        body = _decision(waiting, clerk.name, reason, clock())
        moment = int(clock().timestamp() * 1000)
        wish = connector.receive(Call(feed=feed, body=body, headers={}, received_at=moment))  # type: ignore[misc] # the portal's takes calls
        if not isinstance(wish, Emit):
            raise RuntimeError("the desk's own decision is refused")
        # Nobody outside answered with it.
        await publish(connector.product, replace(wish, answer=None))
        for _ in range(int(SHOWN_SECONDS / LOOK_SECONDS)):
            if await asyncio.to_thread(_find, store, str(proposal)) is None:
                break
            await asyncio.sleep(LOOK_SECONDS)
        return RedirectResponse("/liens", 303)


def _find(store: Store, proposal: str) -> Proposal | None:
    return next((one for one in store.proposals() if one.id == proposal), None)


def _seal(secret: str, proposal: str) -> str:
    return hmac.new(secret.encode(), proposal.encode(), hashlib.sha256).hexdigest()


def _decision(waiting: Proposal, clerk: str, reason: str, now: datetime) -> bytes:
    told: dict[str, Any] = {
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
    return json.dumps(told).encode()


def _age(moment: int, now: datetime) -> str:
    days = (now.astimezone(CITY).date() - datetime.fromtimestamp(moment / 1000, CITY).date()).days
    return "aujourd'hui" if days <= 0 else "hier" if days == 1 else f"depuis {days} jours"
