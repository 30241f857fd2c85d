"""The desk's page of requests: a clerk accepts, refuses, or asks for documents, and the State hears of it."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Literal

from fastapi import FastAPI, Form, Request
from fastapi.responses import RedirectResponse, Response

from hub.store import Store
from hub.web.problems import Problem
from hub.web.tokens import Token
from streams.account import CITY

PRODUCT = "hubee"
"""Product of the requests, and channel of the outbox that takes decisions about them back."""
CHANGED = "hub.civil_registry.RequestStatusChanged"
ANSWERS = {"accepted": "DONE", "refused": "REFUSED", "documents": "ADD_AWAITING"}
"""What a clerk decides, as the State's exchange hub says it."""
CLOSED = frozenset({"DONE", "REFUSED"})
KINDS = {
    "RecordRequested": "Acte d'état civil",
    "CensusDeclared": "Recensement citoyen",
    "PartnershipFiled": "Dossier de PACS",
    "HolidayWatchRequested": "Surveillance pendant une absence",
    "DeathDeclared": "Déclaration de décès",
}
STATUSES = {
    "": "Nouvelle",
    "RECEIVED": "Reçue",
    "IN_PROGRESS": "En cours",
    "AWAITING_DOCUMENTS": "Pièces attendues",
    "INTEGRATION_ERROR": "À vérifier",
}
DECIDED = {"DONE": "acceptée", "REFUSED": "refusée", "ADD_AWAITING": "pièces demandées"}
STATES = {"pending": "en cours d'envoi", "sent": "transmis", "refused": "refusé par HubEE"}


def add_requests(
    app: FastAPI,
    store: Store,
    page: Callable[..., Response],
    clerk_of: Callable[[Request], tuple[Token, str]],
    clock: Callable[[], datetime],
) -> None:
    """Add the page; `clerk_of` finds who asks, with the secret that was shown, or refuses."""

    @app.get("/demandes", include_in_schema=False)
    def requests(request: Request) -> Response:
        _, secret = clerk_of(request)
        return page(
            request,
            "demandes.html",
            requests=[
                (
                    asked,
                    _seal(secret, asked.subject),
                    KINDS.get(asked.type.rpartition(".")[2], "Demande"),
                    datetime.fromtimestamp(asked.asked_at / 1000, CITY),
                )
                for asked in store.open_requests(PRODUCT, CHANGED, CLOSED)
            ],
            statuses=STATUSES,
            decided=DECIDED,
            states=STATES,
            now=clock().astimezone(CITY),
        )

    @app.post("/demandes", include_in_schema=False)
    def decide(
        request: Request,
        subject: Annotated[str, Form(max_length=200)],
        answer: Annotated[Literal["accepted", "refused", "documents"], Form()],
        seal: Annotated[str, Form(max_length=100)],
        message: Annotated[str, Form(max_length=1000)] = "",
    ) -> Response:
        clerk, secret = clerk_of(request)
        # A browser sends the password along with whatever another site makes it send.
        if not hmac.compare_digest(_seal(secret, subject).encode(), seal.encode()):
            raise Problem(403, "no_seal", "The form is not this page's", "Open /demandes and decide there.")
        if answer == "documents" and not message.strip():
            raise Problem(
                422, "no_message", "Nothing is asked for", "Write into `message` which documents are missing."
            )
        payload = {
            "case": subject.partition(":")[2],
            "status": ANSWERS[answer],
            "message": message.strip(),
            "clerk": clerk.name,
        }
        if not store.decide_request(PRODUCT, subject, payload, clock()):
            raise Problem(409, "decided", "A decision is on its way already", "Open /demandes and look again.")
        return RedirectResponse("/demandes", 303)


def _seal(secret: str, subject: str) -> str:
    return hmac.new(secret.encode(), f"request\x1f{subject}".encode(), hashlib.sha256).hexdigest()
