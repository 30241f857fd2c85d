"""Clerks decide about requests on a page, once, and the outbox takes it from there."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from httpx import Response

from hub import catalogue
from hub.config import Settings
from hub.kafka.project import as_json
from hub.model.event import Payload, StoredEvent
from hub.model.notice import Urgency
from hub.model.record import Seq
from hub.roles.policy import CityPolicy
from hub.store import Store
from hub.store.disclosures import Disclosures
from hub.web.app import create_app
from hub.web.tokens import hash_of
from schemas.models.citizen_portal import LinkRequested, Role, UnlinkRequested
from schemas.models.civil_registry import RecordRequested, RequestStatusChanged, Status

NOW = datetime(2026, 3, 10, 7, 40, tzinfo=UTC)
CASE = "9a1d0000-0000-4000-8000-000000000001"


class Desk:
    """A web role, and a clerk in front of it."""

    def __init__(self, folder: Path, store: Store) -> None:
        self.store = store
        tokens = folder / "tokens.toml"
        tokens.write_text(
            f'[mairie]\nsha256 = "{hash_of("clerk")}"\nscopes = ["requests:decide"]\n'
            f'[liens]\nsha256 = "{hash_of("other")}"\nscopes = ["links:decide"]\n',
            "utf-8",
        )
        settings = Settings.model_validate({"web": {"tokens_file": tokens}})
        connectors = {name: catalogue.connectors()[name] for name in ("publik", "hubee")}
        app = create_app(settings, self.store, catalogue.schemas(), connectors, publish, lambda *_: None, lambda: NOW)
        self.client = TestClient(app, follow_redirects=False)
        self.number = 0
        self.seal = ""

    def happens(self, payload: Payload) -> None:
        self.number += 1
        moment = int(NOW.timestamp() * 1000)
        seq = Seq(1, self.number, 0)
        event = StoredEvent(
            f"e{self.number}", payload.TYPE, f"hubee:{CASE}", "hubee", payload.AUDIENCE, moment, moment, seq, 1,
            payload, as_json(payload),
        )  # fmt: skip
        self.store.project([event], CityPolicy(Settings()), NOW)

    def look(self, said: str = "clerk") -> Response:
        return self.client.get("/demandes", auth=("anybody", said))

    def decide(self, answer: str, message: str = "", seal: str | None = None) -> int:
        found = re.search('name="seal" value="([^"]+)"', self.look().text)
        if found is not None:
            self.seal = found[1]
        form = {"subject": f"hubee:{CASE}", "answer": answer, "message": message, "seal": seal or self.seal}
        return self.client.post("/demandes", data=form, auth=("anybody", "clerk")).status_code


async def publish(_product: str, _wish: object) -> str:
    return ""


@pytest.fixture
def desk(tmp_path: Path, store: Store) -> Desk:
    made = Desk(tmp_path, store)
    made.happens(RecordRequested(case_id=CASE))
    return made


def test_a_decision_is_one_row_however_often_it_is_sent(desk: Desk) -> None:
    """Until it has gone out, nobody decides again."""
    assert "Acte d&#39;état civil" in desk.look().text
    assert desk.decide("documents", "Il manque une pièce.") == 303
    assert desk.decide("accepted") == 409
    assert "en cours d&#39;envoi" in desk.look().text
    (row,) = desk.store.parcels("hubee", Urgency.NORMAL, 2**53, 10)
    assert row.payload == {"case": CASE, "status": "ADD_AWAITING", "message": "Il manque une pièce.", "clerk": "mairie"}
    desk.store.sent(row.id, 1)
    assert desk.decide("accepted") == 303
    (row,) = desk.store.parcels("hubee", Urgency.NORMAL, 2**53, 10)
    desk.store.sent(row.id, 1)
    assert "Aucune demande" in desk.look().text


def test_whoever_is_linked_to_a_request_sees_which_desk_decided(desk: Desk) -> None:
    """Each of them, once per decision that was taken; a link that has ended tells nobody."""
    anne, marc, gone = (f"5b0e2a7c-0000-4000-8000-00000000000{number}" for number in range(3))
    for citizen in (anne, marc, gone):
        desk.happens(LinkRequested(citizen=citizen, subject=f"hubee:{CASE}", role=Role.SELF))
    desk.happens(UnlinkRequested(citizen=gone, subject=f"hubee:{CASE}"))
    assert [desk.decide("accepted"), desk.decide("accepted")] == [303, 409]
    told = [
        [(one.recipient, one.purpose, one.what) for one in Disclosures(desk.store).of(citizen)]
        for citizen in (anne, marc, gone)
    ]
    assert told == [[("mairie", "decision", ("requests",))]] * 2 + [[]]


def test_a_request_that_is_closed_waits_for_nobody(desk: Desk) -> None:
    """Whoever closed it."""
    desk.happens(RequestStatusChanged(case_id=CASE, status=Status.DONE))
    assert "Aucune demande" in desk.look().text


def test_documents_are_asked_for_in_words(desk: Desk) -> None:
    """Nobody can send what is not named."""
    assert desk.decide("documents", "  ") == 422
    assert desk.store.outbox_rows("hubee") == []


def test_only_the_scope_and_the_page_s_own_form_decide(desk: Desk) -> None:
    """A clerk of links is none of requests, and another site's form is none."""
    assert desk.look("other").status_code == 403
    assert desk.client.get("/demandes").status_code == 401
    assert desk.decide("refused", seal="0" * 64) == 403
    assert desk.store.outbox_rows("hubee") == []
