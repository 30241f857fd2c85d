"""A hub with one database and its pages, for tests without Kafka."""

from __future__ import annotations

import json
import re
import sqlite3
from datetime import UTC, date, datetime
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from databases import copied, restore, store_in
from fastapi import FastAPI
from fastapi.testclient import TestClient

from hub import catalogue
from hub.config import Settings, Source
from hub.delivery import seals
from hub.kafka.project import as_json
from hub.model.disclosure import Disclosure
from hub.model.errors import TooLarge, Transient
from hub.model.event import StoredEvent
from hub.model.intake import Emit
from hub.model.record import Seq
from hub.roles.policy import CityPolicy
from hub.store.disclosures import Disclosures
from hub.web.app import create_app
from hub.web.tokens import hash_of
from schemas.models.citizen_portal import (
    Agreement,
    Claim,
    Compared,
    LinkProposed,
    LinkRequested,
    PreferencesChanged,
    Role,
)
from schemas.models.civil_registry import RecordKind, RecordRequested, RequestStatusChanged, Status
from schemas.models.library import HoldReady, LoanStarted
from schemas.models.school_catering import Activity, MealBooked, MealCancelled
from schemas.models.transport import DisruptionPublished

NOW = datetime(2026, 3, 10, 7, 40, tzinfo=UTC)
ANNE = "3f0c8a52-3f0e-4c2e-9a55-6c1f6f0f7c11"
SECRET = b"shared"


class Town:
    """A hub with one database, whose broker can be away."""

    def __init__(self, folder: Path, public_url: str = "http://127.0.0.1:8080", **more: Any) -> None:
        self.folder = folder
        self.store = store_in(folder)
        (folder / "hook").write_bytes(SECRET + b"\n")
        (folder / "tokens.toml").write_text(
            f'[portal]\nsha256 = "{hash_of("good")}"\nscopes = ["account:read"]\n'
            f'[other]\nsha256 = "{hash_of("poor")}"\nscopes = []\n',
            "utf-8",
        )
        configured = Settings.model_validate(
            {
                "web": {"tokens_file": folder / "tokens.toml", "public_url": public_url},
                "telemetry": {"discovery_file": folder / "none.json"},
                "open_data": {"folder": folder / "opendata"},
                "connectors": {
                    "publik": Source(hook_secret_file=folder / "hook"),
                    "oai_pmh": Source(settings={"titles_of": "ils_di"}),
                },
                **more,
            }
        )
        self.now = NOW
        self.away = False
        self.takes = 10**6
        self.written: list[tuple[str, Emit]] = []
        self.calls: list[tuple[str, str]] = []
        self.came: list[tuple[str, str, str]] = []
        self.configured = configured
        self.app = self._process()
        self.client = self.comes_from("127.0.0.1")
        self._number = 0

    def _process(self) -> FastAPI:
        return create_app(
            self.configured,
            self.store,
            catalogue.schemas(),
            catalogue.connectors(),
            self.publish,
            lambda product, result: self.calls.append((product, result)),
            lambda: self.now,
            lambda *told: self.came.append(told),
        )

    def again(self) -> TestClient:
        """Return a client of another process of the web role."""
        return TestClient(self._process(), follow_redirects=False, client=("127.0.0.1", 5000))

    def comes_from(self, host: str, **options: Any) -> TestClient:
        """Return a client at an address."""
        return TestClient(self.app, follow_redirects=False, client=(host, 5000), **options)

    async def publish(self, product: str, wish: Emit) -> str:
        """Write, unless the broker is away or takes less."""
        if self.away:
            raise Transient("Kafka: away")
        if len(wish.value) > self.takes:
            raise TooLarge("more bytes than the topic takes")
        self.written.append((product, wish))
        return wish.raw_id or ""

    def happens(self, payload: Any, subject: str, product: str) -> None:
        """Let an event reach SQL."""
        self._number += 1
        event = StoredEvent(
            f"e{self._number}",
            payload.TYPE,
            subject,
            product,
            payload.AUDIENCE,
            int(NOW.timestamp() * 1000),
            int(NOW.timestamp() * 1000),
            Seq(1, self._number, 0),
            1,
            payload,
            as_json(payload),
        )
        self.store.project([event], CityPolicy(self.configured), NOW)

    def login(self) -> None:
        """Open the page with a one-time link."""
        assert self.uses(self.store.make_login(ANNE, NOW)).status_code == 303

    def uses(self, token: str) -> Any:
        """Press the button of a one-time link."""
        page = self.client.get(f"/connexion/{token}").text
        return self.client.post("/connexion", data={"token": token, "seal": seal_of(page)})


def way_out(town: Town) -> str:
    """Return the link for ending messages that a mail to the parent bears; the town needs a secret that seals it."""
    (mail, *_) = town.store.due("mail", 2**53, 1)
    seal = seals.of(town.configured.notifications.unsubscribe_secret_file, mail.id)
    return f"/desinscription/{mail.id}/{seal}"


def seal_of(page: str) -> str:
    """Find what makes a form of the page this page's."""
    return re.findall('name="seal" value="([0-9a-f]+)"', page)[0]


@cache
def _lived() -> tuple[sqlite3.Connection, int]:
    """Return what stands in the database after a morning, and the number of its last event."""
    with TemporaryDirectory() as folder:
        town = Town(Path(folder))
        _live(town)
        town.store.close()
        return copied(town.store), town._number


def live(town: Town) -> None:
    """Let a family live through a morning; a town of which nothing is known yet gets a copy of one."""
    if town._number:
        _live(town)
    else:
        after, town._number = _lived()
        restore(town.store, after)


def _live(town: Town) -> None:
    for subject in ("chrono:E1", "ils_di:7", "hubee:c1"):
        town.happens(LinkRequested(citizen=ANNE, subject=subject, role=Role.PARENT), f"publik:{ANNE}", "publik")
    wish = PreferencesChanged(citizen=ANNE, email="anne@example.org", topics=("canteen",), lines=("SEM:48",))
    town.happens(wish, f"publik:{ANNE}", "publik")
    for number, day in (("b1", 10), ("b2", 12)):
        booked = MealBooked(booking_id=number, meal_date=date(2026, 3, day), activity=Activity.LUNCH, label="Cantine")
        town.happens(booked, "chrono:E1", "chrono")
    cancelled = MealCancelled(booking_id="b2", meal_date=date(2026, 3, 12), activity=Activity.LUNCH, label="Cantine")
    town.happens(cancelled, "chrono:E1", "chrono")
    loan = LoanStarted(item_id="i", record_id="42", branch="BMA", document_kind="LIV", due_date=date(2026, 3, 2))
    town.happens(loan, "ils_di:7", "ils_di")
    town.happens(HoldReady(hold_id="h", record_id="43", branch="BMA", until=date(2026, 3, 20)), "ils_di:7", "ils_di")
    town.happens(
        RecordRequested(case_id="c1", external_id="X-1", record_kind=RecordKind.BIRTH, copies=2), "hubee:c1", "hubee"
    )
    town.happens(RequestStatusChanged(case_id="c1", status=Status.DONE), "hubee:c1", "hubee")
    said = DisruptionPublished(disruption_id="d", lines=("SEM:48",), title="Travaux <b>Claix</b>")
    town.happens(said, "metromobilite:d", "metromobilite")


def furnish(town: Town) -> None:
    """Let every page have something on it; `agent` decides about households and mandates, and may see the flow."""
    live(town)
    with (town.folder / "tokens.toml").open("a", encoding="utf-8") as tokens:
        scopes = ["households:change", "accounts:assist", "requests:decide", "operations:read"]
        tokens.write(f'[agent]\nsha256 = "{hash_of("agent")}"\nscopes = {json.dumps(scopes)}\n')
    town.happens(RecordRequested(case_id="c2", record_kind=RecordKind.MARRIAGE), "hubee:c2", "hubee")
    Disclosures(town.store).tell(Disclosure(ANNE, 1, "portal", "api", ("canteen",)))


CARD = "ils_di:100412"
PROPOSAL = "5b0e2a7c-0000-4000-8000-000000000034"


def waits(town: Town) -> TestClient:
    """Let a link to a card that nobody has yet wait for a clerk; return the clerk's browser."""
    different = Compared(what=Claim.FAMILY_NAME, agreement=Agreement.DIFFERENT, account="•••••D", record="•••••T")
    alike = (Claim.GIVEN_NAMES, Claim.BIRTH_DATE, Claim.SEX)
    same = [Compared(what=what, agreement=Agreement.SAME, account="•", record="•") for what in alike]
    unsure = Compared(what=Claim.BIRTH_PLACE, agreement=Agreement.UNKNOWN, account="3•", record="")
    link = LinkProposed(
        citizen=ANNE,
        subject=CARD,
        role=Role.SELF,
        scope=("library",),
        proposal=PROPOSAL,
        evidence=(different, *same, unsure),
    )
    town.happens(link, f"publik:{ANNE}", "publik")
    with (town.folder / "tokens.toml").open("a", encoding="utf-8") as tokens:
        tokens.write(f'[mediatheque]\nsha256 = "{hash_of("clerk")}"\nscopes = ["links:decide"]\n')
    clerk = town.comes_from("127.0.0.1")
    clerk.auth = ("anybody", "clerk")
    return clerk
