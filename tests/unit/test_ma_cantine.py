"""Purchases and canteens: which files are read, what a row may look like, and that nobody's name gets through."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.testclient import TestClient

from connectors.sources.school_catering.ma_cantine.model import _siret
from connectors.sources.school_catering.ma_cantine.simulator import Simulator
from connectors.sources.school_catering.ma_cantine.source import kind_of, poll
from hub import catalogue
from hub.model.errors import Code
from hub.model.event import Event
from hub.model.intake import Answer, Checkpoint, Emit, Get
from hub.testing.lane import Lane
from hub.testing.town.journal import Account, Journal
from hub.testing.town.people import Town

START = datetime(2026, 3, 10, 7, tzinfo=UTC)
SIRET = "21010034300016"
HEADER = (
    "siret,description,fournisseur,date,prix_ht,famille_produits,categories_egalim,origine,est_circuit_court,est_local"
)
CANTEEN = "siret,nom,siret_cuisine_centrale,nombre_repas_jour,nombre_repas_an,secteurs,type_production,type_gestion"


# What is read.


@pytest.mark.parametrize(
    ("name", "feed"),
    [
        ("achats_2026.csv", "purchases"),
        ("ma-cantine_Achats.CSV", "purchases"),
        ("purchases.tsv", "purchases"),
        ("cantines.csv", "canteens"),
        ("ma_cantine_canteens.csv", "canteens"),
        ("ma-cantine.csv", None),
        ("achats.xlsx", None),
        ("menus.csv", None),
    ],
)
def test_the_name_tells_what_a_file_holds(name: str, feed: str | None) -> None:
    kind = kind_of(name)
    assert (kind.feed if kind else None) == feed


def run(folder: Mapping[str, bytes], cursor: Mapping[str, Any] | None = None) -> tuple[list[Emit], Mapping[str, Any]]:
    source = poll(cursor or {}, {})
    written: list[Emit] = []
    answer: Any = None
    cursor = cursor or {}
    while True:
        try:
            wish = source.send(answer)
        except StopIteration:
            return written, cursor
        answer = None
        if isinstance(wish, Get):
            body = json.dumps(list(folder)).encode() if wish.path == "/" else folder[wish.path[1:]]
            answer = Answer(200, {}, body, int(START.timestamp() * 1000))
        elif isinstance(wish, Emit):
            written.append(wish)
        elif isinstance(wish, Checkpoint):
            cursor = wish.cursor


@pytest.mark.parametrize(
    ("encoding", "separator"), [("utf-8", ","), ("utf-8-sig", ";"), ("utf-16", "\t"), ("iso-8859-1", ";")]
)
def test_each_row_is_a_record_of_its_canteen_whatever_the_encoding(encoding: str, separator: str) -> None:
    """Trap: encoding declared is not the real one, UTF-16, BOM (ma-cantine)."""
    rows = [f"{SIRET},Pêches {n},Le bon traiteur ,2026-03-0{n},90.11, AUTRES ,BIO,,x," for n in (1, 2)]
    text = "\r\n".join([HEADER, *rows, "", ",,,,,,,,,", ""]).replace(",", separator)
    written, cursor = run({"achats.csv": text.encode(encoding)})
    # A row of nothing but separators names nobody; one of nothing but white space is none.
    empty = ["ma_cantine:unknown"] if separator.strip() else []
    assert [wish.key for wish in written] == [f"ma_cantine:{SIRET}", f"ma_cantine:{SIRET}", *empty]
    lane = Lane("ma_cantine")
    for wish in written:
        lane.take(wish)
    assert [event.payload.bought_on.day for event in lane.events] == [1, 2]  # type: ignore[attr-defined]
    assert run({"achats.csv": text.encode(encoding), "achats_copie.csv": text.encode(encoding)}, cursor)[0] == []


def test_a_file_without_a_header_or_with_another_one_gives_records_that_are_set_aside() -> None:
    row = f"{SIRET},Pommes,Le bon traiteur,2026-03-01,90.11,AUTRES,BIO,FRANCE,x,non"
    for body in (
        f"{row}\n{row}\n",
        f"{HEADER.replace('siret', 'canteen siret').replace('prix_ht', 'prix HT')}\n{row}\n",
    ):
        (wish,) = run({"achats.csv": body.encode()})[0]
        assert wish.key == "ma_cantine:unknown"
        lane = Lane("ma_cantine")
        lane.take(wish)
        assert lane.code is Code.INVALID


# What is made of it.


class Hub(Lane):
    def __init__(self, feed: str = "purchases") -> None:
        super().__init__("ma_cantine")
        self.feed = feed

    def read(self, *rows: str, at: datetime = START) -> list[Event]:
        header = HEADER if self.feed == "purchases" else CANTEEN
        value = "\n".join([header, *rows]).encode()
        return self.take(Emit(self.feed, f"ma_cantine:{SIRET}", value, int(at.timestamp() * 1000), "text/csv"))


def purchase(**cells: str) -> str:
    row = {
        "siret": SIRET,
        "description": "Pommes",
        "fournisseur": "Le bon traiteur",
        "date": "2026-03-02",
        "prix_ht": "90.11",
        "famille_produits": "AUTRES",
        "categories_egalim": "",
        "origine": "",
        "est_circuit_court": "",
        "est_local": "",
        **cells,
    }
    return ",".join(f'"{cell}"' for cell in row.values())


@pytest.mark.parametrize(
    ("text", "cents"),
    [
        ("90.11", 9011),
        ("100,1", 10010),
        ("90.11000000002", 9011),
        ("90.10999999999", 9011),
        ("1 234,50", 123450),
        ("1\u202f234", 123400),
        ("-12.5", -1250),
        ("0.005", 1),
        ("0", 0),
    ],
)
def test_prices_have_a_point_or_a_comma_and_become_cents(text: str, cents: int) -> None:
    """Trap: money, decimal comma (ma-cantine)."""
    (event,) = Hub().read(purchase(prix_ht=text))
    assert event.payload.amount_cents == cents  # type: ignore[attr-defined]


@pytest.mark.parametrize("text", ["", "A price", "1.234,50", "12,5,0", "1e3", "NaN", "٣", "9" * 11, "+1"])
def test_what_is_no_price_is_invalid(text: str) -> None:
    hub = Hub()
    assert hub.read(purchase(prix_ht=text)) == []
    assert hub.code is Code.INVALID


@pytest.mark.parametrize("text", ["2022-02-31", "2022/03/01", "01/03/2022", "", "2022-3-1", "0000-00-00"])
def test_days_must_exist_and_be_written_as_the_schema_says(text: str) -> None:
    """Trap: date DD/MM/YYYY beside ISO; impossible dates."""
    hub = Hub()
    assert hub.read(purchase(date=text)) == []
    assert hub.code is Code.INVALID


@pytest.mark.parametrize(
    ("text", "local"), [("x", True), ("X", True), ("oui", True), ("OUI", True), ("non", False), ("", False)]
)
def test_a_cross_is_a_yes(text: str, local: bool) -> None:
    (event,) = Hub().read(purchase(est_local=text))
    assert event.payload.local is local  # type: ignore[attr-defined]


def test_stray_spaces_and_the_order_of_categories_mean_nothing() -> None:
    one = Hub().read(purchase(famille_produits=" BOISSONS ", categories_egalim="IGP , BIO"))
    other = Hub().read(purchase(famille_produits="BOISSONS", categories_egalim="BIO,IGP,"))
    assert one[0].id == other[0].id
    assert [str(c) for c in one[0].payload.categories] == ["BIO", "IGP"]  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "cells",
    [
        {"famille_produits": "NOPE"},
        {"famille_produits": "UNKNOWN"},
        {"categories_egalim": "BIO,NOPE"},
        {"categories_egalim": "UNKNOWN"},
        {"origine": "ITALIE"},
        {"est_local": "peut-être"},
        {"siret": "21010034300017"},
        {"siret": ""},
    ],
)
def test_what_the_schema_does_not_know_is_invalid_and_named_by_its_column(cells: dict[str, str]) -> None:
    hub = Hub()
    assert hub.read(purchase(**cells)) == []
    assert hub.code is Code.INVALID
    assert [d.fields for d in hub.decisions[-1]] == [(f"rows.0.{next(iter(cells))}",)]  # type: ignore[union-attr]


def test_a_torn_row_and_a_row_that_was_cut_are_set_aside() -> None:
    hub = Hub()
    hub.read(purchase() + ",extra")
    assert hub.code is Code.INVALID
    hub.read(",".join(purchase(famille_produits="AUTRES").split(",")[:6]))
    assert hub.code is Code.INVALID


def test_a_purchase_that_comes_again_is_the_same_and_another_one_is_not() -> None:
    hub = Hub()
    first = hub.read(purchase(), purchase(), purchase(description="Poires"))
    assert len(first) == 2
    again = hub.read(purchase(), at=START + timedelta(days=30))
    assert again[0].id == first[0].id
    assert hub.read(purchase(prix_ht="90.12"))[0].id != first[0].id


def test_no_purchase_happened_later_than_it_was_read() -> None:
    (event,) = Hub().read(purchase(date="2031-01-01"))
    assert event.time == START
    (event,) = Hub().read(purchase(date="2025-10-26"))
    assert event.time == datetime(2025, 10, 26, 22, 59, 59, tzinfo=UTC)
    assert event.payload.bought_on == date(2025, 10, 26)  # type: ignore[attr-defined]


def canteen(siret: str = SIRET, name: str = "Bajatière", central: str = "", meals: str = "700") -> str:
    return f'{siret},{name},{central},{meals},,"Primaire, Maternelle",site,direct'


def test_a_canteen_is_told_once_and_again_when_something_changed() -> None:
    hub = Hub("canteens")
    (event,) = hub.read(canteen())
    assert event.payload.sectors == ("Primaire", "Maternelle")  # type: ignore[attr-defined]
    assert event.payload.meals_per_year is None  # type: ignore[attr-defined]
    assert hub.read(canteen(), at=START + timedelta(1)) == []
    assert len(hub.read(canteen(meals="650"), at=START + timedelta(2))) == 1
    assert hub.read(canteen(), at=START) == []
    assert hub.reason == "stale"


def test_a_siret_twice_is_ambiguous_and_no_canteen_cooks_for_itself_as_for_another() -> None:
    """Trap: duplicate SIRET."""
    for rows in ((canteen(), canteen(meals="1")), (canteen(central=SIRET),)):
        hub = Hub("canteens")
        assert hub.read(*rows) == []
        assert hub.code is Code.UNMAPPABLE


@pytest.mark.parametrize("siret", [SIRET, "21380185500015", "35600000009075", "35600000000048", "356 000 000 00048"])
def test_a_siret_has_its_check_sum(siret: str) -> None:
    assert _siret(siret) == siret.replace(" ", "")


@given(st.integers(0, 13), st.integers(1, 9))
def test_one_wrong_digit_is_noticed(place: int, more: int) -> None:
    digit = str((int(SIRET[place]) + more) % 10)
    with pytest.raises(ValueError, match="SIRET"):
        _siret(SIRET[:place] + digit + SIRET[place + 1 :])


def test_public_events_hold_no_supplier_no_description_and_no_address() -> None:
    for name in ("PurchaseDeclared", "CanteenDescribed"):
        (version,) = (v for v in catalogue.schema_files() if v.name == name)
        assert {field["privacy"] for field in version.schema["fields"]} == {"public"}
        assert not {field["name"] for field in version.schema["fields"]} & {"supplier", "description", "managers"}


# The folder in a box.


def test_simulator_says_what_the_mapping_finds(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.jsonl")
    vendor = Simulator(Town.build(1, 10), journal, lambda: START, {})
    vendor.seed()
    vendor.export(3)
    vendor.export(2, again=True, broken=True)
    client = TestClient(vendor.app)
    lanes: dict[str, Lane] = {}
    arrived: list[str] = []
    for _ in range(2):
        source = poll({}, {})
        answer: Any = None
        while True:
            try:
                wish = source.send(answer)
            except StopIteration:
                break
            answer = None
            if isinstance(wish, Get):
                told = client.get(wish.path)
                answer = Answer(told.status_code, dict(told.headers), told.content, int(START.timestamp() * 1000))
            elif isinstance(wish, Emit):
                assert wish.answer is not None
                arrived.append(wish.answer)
                lanes.setdefault(wish.key, Lane("ma_cantine")).take(wish)
    account = Account.of(journal.entries())
    assert set(arrived) == set(account.served)
    found = sorted({(e.type.rpartition(".")[2], e.subject, e.id) for lane in lanes.values() for e in lane.events})
    said = sorted((fact.type, fact.subject) for fact in account.seen(arrived).observable)
    assert [(kind, subject) for kind, subject, _ in found] == said
    assert {kind for kind, _ in said} == {"PurchaseDeclared", "CanteenDescribed"}
