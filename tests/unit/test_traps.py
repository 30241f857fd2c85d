"""Traps that more than one format has, each where no connector's own test names it; see docs/formats/traps.md."""

from __future__ import annotations

import json
from datetime import date
from typing import Any

import pytest
from frictionless import Resource, Schema

from hub import catalogue
from hub.model.decision import Deliver, Quarantine
from hub.pipeline.process import process
from hub.testing.samples import record


def told(product: str, feed: str, value: bytes, key: str = "") -> list[Any]:
    """Return the payloads that a record gives as the first of its key."""
    connector = catalogue.connectors()[product]
    decisions = process(record(connector, feed, value, key=key), connector, catalogue.schemas()).decisions
    assert not [decision for decision in decisions if isinstance(decision, Quarantine)]
    return [decision.event.payload for decision in decisions if isinstance(decision, Deliver)]


def patron(loan: str = "", hold: str = "", more: str = "") -> list[Any]:
    """Return what a library's answer in Nanook's words gives."""
    inner = f"<loans>{loan}</loans><holds>{hold}</holds>{more}"
    return told("ils_di", "patron", f"<GetPatronInfo><patronId>sample</patronId>{inner}</GetPatronInfo>".encode())


@pytest.mark.parametrize(
    ("written", "day"), [("2026-04-01", date(2026, 4, 1)), ("01/04/2026", date(2026, 4, 1)), ("null", None), ("", None)]
)
def test_nanook_writes_a_day_as_it_pleases(written: str, day: date | None) -> None:
    """DD/MM/YYYY is never read as a month and a day exchanged."""
    loan = f"<loan><bibId>47</bibId><itemId>12</itemId><dueDate>{written}</dueDate></loan>"
    started = next(payload for payload in patron(loan) if type(payload).__name__ == "LoanStarted")
    assert started.due_date == day


def test_nanook_writes_null_for_nothing() -> None:
    """The text is no branch, no work and no number of anything."""
    hold = "<hold><bibId>47</bibId><itemId>null</itemId><priority>null</priority><branch>null</branch></hold>"
    assert patron(hold=hold)
    assert "null" not in repr(patron(hold=hold))


def test_a_label_that_was_encoded_twice_is_not_read() -> None:
    """Koha's holds say `BibliothÃ¨que` beside a code that is right: the code is told."""
    hold = (
        "<hold><reservenumber>7</reservenumber><biblionumber>47</biblionumber><priority>1</priority>"
        "<branchcode>CTRE</branchcode><branchname>BibliothÃ¨que</branchname></hold>"
    )
    value = (
        f"<GetPatronInfo><borrowernumber>sample</borrowernumber><loans> </loans><holds>{hold}</holds></GetPatronInfo>"
    )
    (placed,) = told("ils_di", "patron", value.encode())
    assert placed.branch == "CTRE"
    assert "Biblioth" not in repr(placed)


def test_what_a_patron_owes_is_not_read() -> None:
    """`6.00` is euros here, and cents elsewhere: no output needs it."""
    owes = "<charges>6.00</charges><amountoutstanding>6,00</amountoutstanding>"
    assert patron(more=owes) == []


def test_an_id_of_evttc_is_a_text_or_a_number() -> None:
    """Neither is the key, and the key is what counts."""
    about = {"type": "chantier", "dateDebut": "10/03/2026 08:00", "dateFin": "31/12/2050 23:59", "texte": "Essai"}
    events = [
        told("metromobilite", "evtTC", json.dumps({"SEM_1": {**about, "id": number, "listeLigne": "SEM_C5"}}).encode())
        for number in (40112, "40112", "40 112")
    ]
    assert events[0]
    assert events[0] == events[1] == events[2]


def test_a_bill_is_what_its_head_says() -> None:
    """Its lines do not add up: 2.5 × 2300 is not 4600, and nobody reckons."""
    bill = (
        '<bill bill-id="1" value="4600" label="Mars" date="2026-03-02" date-expiration="2026-03-31" date-payment=""'
        ' payed="0"><line quantity="2.5" value="2300"/></bill>'
    )
    value = f"<family><accounts/><bills>{bill}</bills><contracts/></family>".encode()
    (issued,) = told("horanet", "accounts", value, "horanet:family-1")
    assert issued.amount_cents == 4600


def test_no_country_and_no_birth_date_of_an_absence_is_read() -> None:
    """OTV says 99160 for France, where INSEE says 99100, and a birth date as midnight in UTC: both end at the edge."""
    form = {
        "PERSONNE_FORM": {"DATE_NAISSANCE": "1992-12-11T23:00:00.000Z", "PAYS_NAISSANCE_ID": 99160, "NOM": "Essai"},
        "PERIODE_FORM": {"DATE_DEBUT": "2026-04-01T22:00:00.000Z", "DATE_FIN": "2026-04-08T22:00:00.000Z"},
        "ADRESSE_FORM": {"PAYS_ID": 99160, "COMMUNE": "Grenoble", "COORD_X": ""},
        "CONTACT_FORM": {},
    }
    dress = catalogue.connectors()["hubee"].dress
    assert dress is not None
    (asked,) = told("hubee", "case", dress("otv.json", json.dumps(form).encode()))
    assert type(asked).__name__ == "HolidayWatchRequested"
    assert not [word for word in ("1992", "9916", "Essai", "Grenoble") if word in repr(asked)]


@pytest.mark.parametrize(("written", "valid"), [("sans porc ", True), ("sans porc", False)])
def test_a_value_keeps_the_space_that_its_schema_gives_it(written: str, valid: bool) -> None:
    """SCDL's « sans porc  » ends with a space: what checks the city's files before they go out takes it at its word."""
    field = {"name": "menuPlatRegime", "type": "string", "constraints": {"enum": ["végétarien", "sans porc "]}}
    schema = Schema.from_descriptor({"fields": [field]})
    table = Resource(data=[["menuPlatRegime"], [written]], schema=schema)
    assert table.validate().valid is valid
