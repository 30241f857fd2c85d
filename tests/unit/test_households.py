"""Accounts are merged and split, every change of links can be undone, and the resident's page shows it at once."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from strength import examples
from web_town import ANNE, NOW, Town, seal_of

from hub import catalogue
from hub.config import Settings
from hub.kafka.project import as_json
from hub.model.decision import Deliver
from hub.model.event import StoredEvent
from hub.model.record import Origin, Record, Seq
from hub.pipeline.process import process
from hub.roles.policy import CityPolicy
from hub.store import Store
from hub.store.disclosures import Disclosures
from hub.store.households import Households
from hub.web.tokens import hash_of
from schemas.models.citizen_portal import LinkRequested, MoveRequested, Role, UndoRequested, UnlinkRequested
from schemas.models.library import LoanStarted

MARC = "9c2a6d10-7b1e-4f6c-8a0e-2d5b7c9e1f22"
SUBJECTS = ("ils_di:7", "chrono:E1", "chrono:E2")


@pytest.fixture
def town(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Town]:
    """Make a town whose clerk does not wait to see what they did."""
    monkeypatch.setattr("hub.web.orders.SHOWN_SECONDS", 0.0)
    made = Town(tmp_path)
    for subject in SUBJECTS[:2]:
        made.happens(LinkRequested(citizen=ANNE, subject=subject, role=Role.PARENT), f"publik:{ANNE}", "publik")
    made.happens(LoanStarted(item_id="i", due_date=date(2026, 3, 20)), "ils_di:7", "ils_di")
    yield made
    made.store.close()


def clerk_of(town: Town) -> TestClient:
    """Return a clerk's browser."""
    with (town.folder / "tokens.toml").open("a", encoding="utf-8") as tokens:
        tokens.write(f'[centre]\nsha256 = "{hash_of("clerk")}"\nscopes = ["households:change"]\n')
    clerk = town.comes_from("127.0.0.1")
    clerk.auth = ("anybody", "clerk")
    return clerk


def arrives(town: Town) -> None:
    """Let what the desk wrote go its whole way: decided, mapped, stored."""
    for product, wish in town.written:
        origin = Origin("raw.publik", 1, 0, 1)
        record = Record(product, wish.feed, wish.key.encode(), wish.value, wish.raw_id or "", 1, origin)
        for decision in process(record, catalogue.connectors()[product], catalogue.schemas()).decisions:
            assert isinstance(decision, Deliver)
            event = decision.event
            town.store.project([stored(event.id, event.payload, event.subject)], CityPolicy(Settings()), NOW)
    town.written.clear()


def stored(name: str, payload: Any, subject: str, number: int = 99) -> StoredEvent:
    """Make what project hands to the store."""
    at = int(NOW.timestamp() * 1000)
    return StoredEvent(
        name, payload.TYPE, subject, "publik", payload.AUDIENCE, at, at, Seq(1, number, 0), 1, payload, as_json(payload)
    )


def subjects(town: Town, citizen: str) -> list[str]:
    """Return what an account is linked to."""
    return [link.subject for link in town.store.links_of(citizen, NOW.date())]


def page_of(town: Town, citizen: str) -> str:
    """Return the resident's page."""
    client = town.comes_from("127.0.0.1")
    token = town.store.make_login(citizen, NOW)
    seal = seal_of(client.get(f"/connexion/{token}").text)
    client.post("/connexion", data={"token": token, "seal": seal})
    return str(client.get("/compte").text)


def test_two_accounts_are_merged_and_it_is_undone(town: Town) -> None:
    """Every link moves, with its role; the page shows it at once, and the undo brings back what was."""
    clerk = clerk_of(town)
    shown = clerk.get("/foyers", params={"citizen": ANNE}).text
    order = {"citizen": ANNE, "seal": seal_of(shown), "to": MARC, "everything": "true"}
    assert clerk.post("/foyers", data=order).status_code == 303
    arrives(town)
    assert (subjects(town, ANNE), subjects(town, MARC)) == ([], ["chrono:E1", "ils_di:7"])
    assert {link.role for link in town.store.links_of(MARC, NOW.date())} == {"PARENT"}
    assert "Document emprunté" in page_of(town, MARC)
    assert "Rien n'est encore relié" in page_of(town, ANNE)
    shown = clerk.get("/foyers", params={"citizen": ANNE}).text
    move = re.findall(r'name="command" value="([0-9a-f-]{36})"', shown)[0]
    assert clerk.post("/foyers", data={"citizen": ANNE, "seal": seal_of(shown), "command": move}).status_code == 303
    arrives(town)
    assert (subjects(town, ANNE), subjects(town, MARC)) == (["chrono:E1", "ils_di:7"], [])
    assert "Document emprunté" in page_of(town, ANNE)
    told = [row.payload for row in town.store.due("identity", 2**53, 99) if row.subject == "ils_di:7"]
    assert [[one["citizen"] for one in said["links"]] for said in told] == [[ANNE], [MARC], [ANNE]]


def test_a_merge_leaves_the_link_that_the_other_account_has(town: Town) -> None:
    """It keeps its own scope, and keeps it when the merge is undone."""
    wish = LinkRequested(citizen=MARC, subject="chrono:E1", role=Role.PARENT, scope=("canteen",))
    town.store.project([stored("own", wish, f"publik:{MARC}")], CityPolicy(Settings()), NOW)
    move = MoveRequested(citizen=ANNE, to=MARC, clerk="c")
    town.store.project([stored("merge", move, f"publik:{ANNE}")], CityPolicy(Settings()), NOW)
    assert [list(link.scope) for link in town.store.links_of(MARC, NOW.date())] == [["canteen"], []]
    undo = UndoRequested(citizen=ANNE, command="merge", clerk="c")
    town.store.project([stored("undo", undo, f"publik:{ANNE}")], CityPolicy(Settings()), NOW)
    assert (subjects(town, ANNE), subjects(town, MARC)) == (["chrono:E1", "ils_di:7"], ["chrono:E1"])


def test_an_account_is_split(town: Town) -> None:
    """What is ticked moves, the rest stays."""
    clerk = clerk_of(town)
    order = {"citizen": ANNE, "seal": seal_of(clerk.get("/foyers", params={"citizen": ANNE}).text), "to": MARC}
    assert clerk.post("/foyers", data={**order, "subject": ["chrono:E1"]}).status_code == 303
    arrives(town)
    assert (subjects(town, ANNE), subjects(town, MARC)) == (["ils_di:7"], ["chrono:E1"])
    assert "Document emprunté" not in page_of(town, MARC)
    assert [(told.recipient, told.purpose) for told in Disclosures(town.store).of(ANNE)] == [("centre", "desk")]


def test_a_household_change_is_undone_to_what_it_was(town: Town) -> None:
    """A link that was narrowed is as wide again, since when it always was."""
    before = town.store.links_of(ANNE, NOW.date())
    wish = LinkRequested(citizen=ANNE, subject="chrono:E1", role=Role.PARENT, scope=("canteen",))
    town.store.project([stored("narrower", wish, f"publik:{ANNE}")], CityPolicy(Settings()), NOW)
    (narrow,) = (link for link in town.store.links_of(ANNE, NOW.date()) if link.subject == "chrono:E1")
    assert (list(narrow.scope), narrow.since) == (["canteen"], before[0].since)
    undo = UndoRequested(citizen=ANNE, command="narrower", clerk="c")
    town.store.project([stored("undo", undo, f"publik:{ANNE}")], CityPolicy(Settings()), NOW)
    assert town.store.links_of(ANNE, NOW.date()) == before


def test_a_clerk_makes_a_link_changes_it_and_ends_it(town: Town) -> None:
    """The page shows each at once, says which desk it was, and the last can be undone."""
    clerk = clerk_of(town)

    def order(**told: Any) -> None:
        seal = seal_of(clerk.get("/foyers", params={"citizen": MARC}).text)
        assert clerk.post("/foyers", data={"citizen": MARC, "seal": seal, **told}).status_code == 303
        arrives(town)

    def links() -> list[tuple[str, str, list[str], str | None]]:
        found = town.store.links_of(MARC, NOW.date())
        return [(link.subject, link.role, list(link.scope), link.until) for link in found]

    order(link="ils_di:7", role="parent", until="2026-07-04")
    assert links() == [("ils_di:7", "PARENT", [], "2026-07-04")]
    assert "Document emprunté" in page_of(town, MARC)
    order(link="ils_di:7", role="mandate", scope=["canteen", "bills"], until="")
    assert links() == [("ils_di:7", "MANDATE", ["canteen", "bills"], None)]
    assert "Document emprunté" not in page_of(town, MARC)
    order(unlink="ils_di:7")
    assert links() == []
    history = Households(town.store).history(MARC)
    (ended,) = (one for one in history if one.kind == "UnlinkRequested")
    assert [one.clerk for one in history] == ["centre"] * 3
    assert "au guichet (centre)" in clerk.get("/foyers", params={"citizen": MARC}).text
    order(command=ended.id)
    assert links() == [("ils_di:7", "MANDATE", ["canteen", "bills"], None)]


@pytest.mark.parametrize(
    ("told", "field"),
    [
        ({"link": "nobody:1"}, "link"),
        ({"link": f"publik:{MARC}"}, "link.subject"),
        ({"link": "chrono:é"}, "link.subject"),
        ({"link": "chrono:E1", "scope": ["everything"]}, "scope"),
        ({"link": "chrono:E1", "until": "2026-03-09"}, "until"),
        ({"link": "chrono:E1", "role": "owner"}, "role"),
        ({"unlink": "chrono:E9"}, "unlink"),
    ],
)
def test_a_link_that_cannot_be_is_refused_before_it_is_written(town: Town, told: dict[str, Any], field: str) -> None:
    """What would be set aside would make the citizen's next messages wait; the answer names the field."""
    clerk = clerk_of(town)
    seal = seal_of(clerk.get("/foyers", params={"citizen": ANNE}).text)
    answer = clerk.post("/foyers", data={"citizen": ANNE, "seal": seal, **told})
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid")
    assert field in answer.json()["detail"]
    assert town.written == []


def test_an_order_that_says_too_much_or_too_little_is_none(town: Town) -> None:
    """And neither is one of another site, or of a clerk without the scope."""
    clerk = clerk_of(town)
    seal = seal_of(clerk.get("/foyers", params={"citizen": ANNE}).text)
    order = {"citizen": ANNE, "seal": seal, "to": MARC}
    for more in ({}, {"subject": ["chrono:E1"], "everything": "true"}, {"subject": ["chrono:E9"]}):
        assert clerk.post("/foyers", data={**order, **more}).status_code == 422
    assert clerk.post("/foyers", data={**order, "to": ANNE, "everything": "true"}).status_code == 422
    assert clerk.post("/foyers", data={**order, "seal": "0" * 64, "everything": "true"}).status_code == 403
    clerk.auth = ("anybody", "good")
    assert clerk.get("/foyers").status_code == 403
    assert town.written == []


def test_the_resident_reads_that_links_were_changed_at_the_desk(town: Town) -> None:
    """Without the name of the other account."""
    move = MoveRequested(citizen=ANNE, to=MARC, subjects=("chrono:E1",), clerk="c")
    town.store.project([stored("move", move, f"publik:{ANNE}")], CityPolicy(Settings()), NOW)
    town.login()
    page = town.client.get("/compte/acces").text
    assert "Liens modifiés au guichet" in page
    assert MARC not in page
    assert [one.kind for one in Households(town.store).history(MARC)] == ["MoveRequested"]
    town.store.erase(MARC, NOW)
    assert [one.about for one in Households(town.store).history(ANNE) if one.kind == "MoveRequested"] == [""]


ORDERS = st.one_of(
    st.builds(
        lambda citizen, subject, scope: LinkRequested(citizen=citizen, subject=subject, role=Role.PARENT, scope=scope),
        st.sampled_from([ANNE, MARC]),
        st.sampled_from(SUBJECTS),
        st.sampled_from([(), ("canteen",)]),
    ),
    st.builds(
        lambda citizen, subject: UnlinkRequested(citizen=citizen, subject=subject),
        st.sampled_from([ANNE, MARC]),
        st.sampled_from(SUBJECTS),
    ),
    st.builds(
        lambda turn, some: MoveRequested(citizen=turn[0], to=turn[1], subjects=some, clerk="c"),
        st.sampled_from([(ANNE, MARC), (MARC, ANNE)]),
        st.sampled_from([(), SUBJECTS[:1], SUBJECTS[1:]]),
    ),
)


@settings(max_examples=examples(12), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(orders=st.lists(ORDERS, min_size=1, max_size=6))
def test_the_last_order_can_always_be_undone_and_done_again(database: Callable[[], str], orders: list[Any]) -> None:
    """Undo gives what stood before it, undoing the undo what stood after; a redelivery changes nothing."""
    store = Store(database())

    def stands() -> list[Any]:
        day = datetime(2026, 3, 10, tzinfo=UTC).date()
        return [
            [(link.subject, link.role, list(link.scope)) for link in store.links_of(citizen, day)]
            for citizen in (ANNE, MARC)
        ]

    log = [stored(f"o{number}", order, f"publik:{order.citizen}", number) for number, order in enumerate(orders)]
    store.project(log[:-1], CityPolicy(Settings()), NOW)
    before = stands()
    store.project(log[-1:], CityPolicy(Settings()), NOW)
    after = stands()
    undo = stored("undo", UndoRequested(citizen=ANNE, command=log[-1].id, clerk="c"), f"publik:{ANNE}", 98)
    store.project([undo], CityPolicy(Settings()), NOW)
    assert stands() == before
    redo = stored("redo", UndoRequested(citizen=ANNE, command="undo", clerk="c"), f"publik:{ANNE}", 99)
    store.project([redo], CityPolicy(Settings()), NOW)
    assert stands() == after
    store.project([*log, undo, redo], CityPolicy(Settings()), NOW)
    assert stands() == after
    store.close()


def test_a_city_without_a_portal_says_so_to_its_clerk(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    """The pages are served, and an order that no connector takes names what is missing."""
    chosen = {"chrono": catalogue.connectors()["chrono"]}
    monkeypatch.setattr(catalogue, "connectors", lambda: chosen)
    clerk = town.again()
    clerk.auth = clerk_of(town).auth
    seal = seal_of(clerk.get("/foyers", params={"citizen": ANNE}).text)
    answer = clerk.post("/foyers", data={"citizen": ANNE, "seal": seal, "to": MARC, "everything": "true"})
    assert (answer.status_code, answer.json()["code"]) == (501, "no_portal")
    assert "publik" in answer.json()["detail"]
    assert town.written == []
