"""A resident's pages: the account, who received what of it, and the way in and out."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import FastAPI, Form, Request
from fastapi.responses import RedirectResponse, Response

from hub.store import Store
from hub.store.disclosures import Disclosures
from hub.store.households import Households
from hub.store.mandates import Mandates
from hub.web.accounts import Accounts
from hub.web.forms import Seals, Tries
from streams.account import CITY

SESSION = "hub_session"
SESSION_HOURS = 8
TOKEN, OUT = "hub_provider", "/deconnexion"
"""The cookie of who signed in by a provider, and the way out, which alone sees it."""
ROLES = {"SELF": "vous-même", "PARENT": "comme parent", "MANDATE": "comme mandataire"}
BLOCKS = {
    "canteen": "cantine",
    "library": "bibliothèque",
    "requests": "démarches",
    "disruptions": "transports",
    "bills": "factures",
    "permits": "stationnement",
}
PURPOSES = {
    "api": "consultation par un service de la ville",
    "notice": "message que vous avez demandé",
    "assistance": "aide d'un agent, sous votre mandat",
    "desk": "consultation de vos liens au guichet",
    "decision": "décision au guichet sur votre demande",
}
ADDRESSES = {"mail": "Votre adresse électronique", "sms": "Votre téléphone", "app": "Votre application"}
REASONS = {
    "DIGITAL_HELP": "aide à l'usage du numérique",
    "GUARDIAN": "tutelle ou curatelle",
    "PROXY": "procuration écrite",
}


def add_pages(
    app: FastAPI,
    store: Store,
    accounts: Accounts,
    page: Callable[..., Response],
    seals: Seals,
    tries: Tries,
    clock: Callable[[], datetime],
    *,
    secure: bool,
) -> None:
    """Add them; `page` shows a template, `secure` keeps the session within TLS."""
    disclosures, mandates, households = Disclosures(store), Mandates(store), Households(store)

    def closed(request: Request) -> Response:
        return page(request, "ferme.html", 401)

    def citizen_of(request: Request) -> str | None:
        return store.session(request.cookies.get(SESSION, ""), clock())

    @app.get("/", include_in_schema=False)
    def home() -> RedirectResponse:
        return RedirectResponse("/compte", 303)

    @app.get("/compte", include_in_schema=False)
    def my_account(request: Request) -> Response:
        citizen = citizen_of(request)
        if citizen is None:
            return closed(request)
        now = clock()
        return page(
            request,
            "compte.html",
            account=accounts.read(citizen, now),
            helpers=mandates.open_of(citizen, now.astimezone(CITY).date()),
            roles=ROLES,
            now=now.astimezone(CITY),
        )

    @app.get("/compte/acces", include_in_schema=False)
    def who_sees(request: Request) -> Response:
        citizen = citizen_of(request)
        if citizen is None:
            return closed(request)
        now = clock()
        return page(
            request,
            "acces.html",
            links=store.links_of(citizen, now.astimezone(CITY).date()),
            mandates=mandates.of(citizen),
            disclosures=[
                (told, datetime.fromtimestamp(told.at / 1000, CITY), [BLOCKS.get(name, name) for name in told.what])
                for told in disclosures.of(citizen)
            ],
            moves=[datetime.fromtimestamp(one.at / 1000, CITY) for one in households.history(citizen) if one.clerk],
            roles=ROLES,
            blocks=BLOCKS,
            purposes=PURPOSES,
            addresses=ADDRESSES,
            reasons=REASONS,
            today=now.astimezone(CITY).date().isoformat(),
            now=now.astimezone(CITY),
        )

    @app.post("/compte/mandats/fin", include_in_schema=False)
    def end_mandate(
        request: Request, mandate: Annotated[UUID, Form()], seal: Annotated[str, Form(max_length=100)]
    ) -> Response:
        citizen = citizen_of(request)
        if citizen is None:
            return closed(request)
        seals.check(request, seal)
        mandates.end(str(mandate), citizen, "citizen", clock())
        return RedirectResponse("/compte/acces", 303)

    @app.get("/connexion/{token}", include_in_schema=False)
    def login_page(request: Request, token: str) -> Response:
        # A button, not the link itself, uses the token: mail scanners follow links.
        return page(request, "lien.html", token=token)

    @app.post("/connexion", include_in_schema=False)
    def login(
        request: Request, token: Annotated[str, Form(max_length=200)], seal: Annotated[str, Form(max_length=100)]
    ) -> Response:
        tries.count(request)
        seals.check(request, seal)
        session = store.use_login(token, clock())
        if session is None:
            return page(request, "ferme.html", 410, used=True)
        return signed_in(session, secure=secure)


def signed_in(session: str, *, secure: bool) -> Response:
    """Send a browser to its account, with its session."""
    response = RedirectResponse("/compte", 303)
    response.set_cookie(SESSION, session, httponly=True, samesite="lax", secure=secure, max_age=SESSION_HOURS * 3600)
    # Whoever was here before has signed in by a provider perhaps.
    response.delete_cookie(TOKEN, path=OUT)
    return response
