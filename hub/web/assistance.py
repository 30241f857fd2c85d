"""An agent opens a citizen's account, under a mandate that is recorded first and that the citizen sees and can end."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime, timedelta
from typing import Annotated, Literal
from uuid import UUID

from fastapi import FastAPI, Form, Request
from fastapi.responses import RedirectResponse, Response

from hub.model.disclosure import Disclosure
from hub.store import Store
from hub.store.disclosures import Disclosures
from hub.store.mandates import Mandates
from hub.web.accounts import Accounts
from hub.web.forms import check_seal, seal_of
from hub.web.problems import Problem
from hub.web.resident import REASONS, ROLES
from hub.web.tokens import Token
from streams.account import CITY

LONGEST = timedelta(days=365)
"""No mandate lasts longer; it is made anew, with the citizen there."""


def add_assistance(
    app: FastAPI,
    store: Store,
    accounts: Accounts,
    page: Callable[..., Response],
    agent_of: Callable[[Request], tuple[Token, str]],
    clock: Callable[[], datetime],
) -> None:
    """Add the pages; `agent_of` finds who asks, with the secret that was shown, or refuses."""
    mandates, disclosures = Mandates(store), Disclosures(store)

    @app.get("/mandats", include_in_schema=False)
    def mine(request: Request) -> Response:
        agent, secret = agent_of(request)
        today = clock().astimezone(CITY).date()
        return page(
            request,
            "mandats.html",
            mandates=[(one, one.open_on(today)) for one in mandates.by(agent.name)],
            reasons=REASONS,
            seal=seal_of(secret, "mandates"),
            today=today.isoformat(),
            last=(today + LONGEST).isoformat(),
        )

    @app.post("/mandats", include_in_schema=False)
    def make(
        request: Request,
        citizen: Annotated[UUID, Form()],
        reason: Annotated[Literal["DIGITAL_HELP", "GUARDIAN", "PROXY"], Form()],
        until: Annotated[date, Form()],
        seal: Annotated[str, Form(max_length=100)],
        signed: Annotated[Literal["yes"], Form()],  # noqa: ARG001 - without it the form is refused
    ) -> Response:
        agent, secret = agent_of(request)
        check_seal(secret, "mandates", seal)
        now = clock()
        today = now.astimezone(CITY).date()
        if not today <= until <= today + LONGEST:
            raise Problem(422, "invalid", "Not well formed", "until: from today, and at most a year on.")
        if not store.knows(str(citizen)):
            raise Problem(404, "no_account", "No such account", "citizen: nobody with this id has linked anything.")
        mandates.make(str(citizen), agent.name, reason, until, now)
        return RedirectResponse("/mandats", 303)

    @app.post("/mandats/fin", include_in_schema=False)
    def end(request: Request, mandate: Annotated[UUID, Form()], seal: Annotated[str, Form(max_length=100)]) -> Response:
        agent, secret = agent_of(request)
        check_seal(secret, "mandates", seal)
        mandates.end(str(mandate), agent.name, "agent", clock())
        return RedirectResponse("/mandats", 303)

    @app.get("/mandats/{mandate}", include_in_schema=False)
    def account(request: Request, mandate: UUID) -> Response:
        agent, _ = agent_of(request)
        now = clock()
        found = mandates.find(str(mandate), agent.name)
        if found is None or not found.open_on(now.astimezone(CITY).date()):
            raise Problem(403, "no_mandate", "No open mandate", "Ask the citizen, and record one at /mandats.")
        shown = accounts.read(found.citizen, now)
        what = [part.name for part in shown.blocks if part.lines]
        disclosures.tell(Disclosure(found.citizen, int(now.timestamp() * 1000), agent.name, "assistance", what))
        return page(
            request,
            "assistance.html",
            account=shown,
            mandate=found,
            reasons=REASONS,
            roles=ROLES,
            now=now.astimezone(CITY),
        )
