"""Tariff bands and school status: who is asked about and when, and that a quotient goes no further than to its band."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from connectors.sources.school_catering.api_particulier.mapping import BANDS, BORDERS
from connectors.sources.school_catering.api_particulier.simulator import SIRET, Simulator
from connectors.sources.school_catering.api_particulier.source import poll
from hub import catalogue
from hub.model.decision import Deliver
from hub.model.errors import Code, Transient
from hub.model.event import Event
from hub.model.intake import Answer, Checkpoint, Emit, Get, Subjects
from hub.pipeline.process import process
from hub.testing.lane import Lane
from hub.testing.samples import samples
from hub.testing.town.journal import Account, Journal
from hub.testing.town.people import Town

START = datetime(2026, 3, 10, 7, tzinfo=UTC)
SETTINGS = {"recipient": SIRET, "identities": "https://register.invalid/families"}
IDENTITY = {"question": "quotient_familial", "params": {"nomNaissance": "X", "prenoms": ["A", "B"], "jour": None}}


def ms(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)


# What is asked.


def register(told: Any = IDENTITY, at: datetime = START, status: int = 200) -> Answer:
    return Answer(status, {}, json.dumps(told).encode(), ms(at))


def asking(*subjects: str, cursor: dict[str, Any] | None = None) -> Any:
    source = poll(cursor or {}, SETTINGS)
    assert next(source) == Subjects("api_particulier")
    return source, source.send(list(subjects))


def test_the_register_says_who_and_the_api_is_asked_once() -> None:
    source, wish = asking("f1", "f2")
    assert wish == Get("https://register.invalid/families/f1", auth="identities")
    wish = source.send(register())
    assert wish.path == "/v3/dss/quotient_familial/identite"
    assert wish.auth == "default"
    assert wish.params == {"nomNaissance": "X", "prenoms[]": ("A", "B"), "recipient": SIRET}
    emit = source.send(Answer(200, {"x-request-id": "a"}, b"{}", ms(START)))
    assert emit == Emit("quotient_familial", "api_particulier:f1", b"{}", ms(START), "application/json", None, "a")
    assert source.send(None) == Checkpoint({"asked": {"f1": "2026-03-10"}})
    assert source.send(None).path.endswith("/f2")


@pytest.mark.parametrize(
    ("asked", "today", "again"),
    [
        ("2026-03-10", "2026-04-08", False),
        ("2026-03-10", "2026-04-09", True),
        ("2026-08-20", "2026-08-31", False),
        ("2026-08-20", "2026-09-01", True),
        ("2026-09-01", "2026-09-02", False),
    ],
)
def test_an_answer_is_good_for_a_month_and_no_longer_than_the_tariff(asked: str, today: str, again: bool) -> None:
    source, _ = asking("f1", cursor={"asked": {"f1": asked, "gone": "2026-01-01"}})
    at = datetime.combine(date.fromisoformat(today), START.timetz())
    if again:
        assert isinstance(source.send(register(at=at)), Get)
        source.send(Answer(200, {}, b"{}", ms(at)))
        assert source.send(None) == Checkpoint({"asked": {"f1": today}})
    else:
        with pytest.raises(StopIteration):
            source.send(register(at=at))


def test_nothing_is_asked_about_whom_the_register_does_not_know() -> None:
    source, _ = asking("f1", "f2")
    assert source.send(register(status=404)).path.endswith("/f2")


@pytest.mark.parametrize("told", [[], {}, {"question": "impots", "params": {}}, {"question": "scolarite"}])
def test_a_register_that_says_something_else_is_away(told: Any) -> None:
    source, _ = asking("f1")
    with pytest.raises(Transient):
        source.send(register(told))
    for status, body in ((500, b""), (200, b"<html>"), (200, b"[" * 100_000)):
        source, _ = asking("f1")
        with pytest.raises(Transient):
            source.send(Answer(status, {}, body, 1))


def test_404_is_final_and_set_aside_once() -> None:
    """What the provider does not know is a record, and is not asked for at each poll."""
    source, _ = asking("f1")
    source.send(register())
    assert source.send(Answer(404, {}, b'{"errors": []}', ms(START))).value == b'{"errors": []}'
    assert source.send(None) == Checkpoint({"asked": {"f1": "2026-03-10"}})


def test_paths_of_other_versions_are_settings() -> None:
    source: Any = poll({}, {**SETTINGS, "scolarite_path": "/v3/men/scolarites/identite"})
    next(source)
    source.send(["E0001"])
    wish = source.send(register({"question": "scolarite", "params": {}}))
    assert wish.path == "/v3/men/scolarites/identite"


def test_a_poll_that_is_cut_off_by_the_quota_goes_on_with_the_next() -> None:
    source, _ = asking("f1", "f2")
    source.send(register())
    source.send(Answer(200, {}, b"{}", ms(START)))
    cursor = dict(source.send(None).cursor)
    source.close()
    source, wish = asking("f1", "f2", cursor=cursor)
    wish = source.send(register())
    assert wish.path.endswith("/f2")


# What is made of it.


class Hub(Lane):
    def __init__(self, feed: str = "quotient_familial") -> None:
        super().__init__("api_particulier")
        self.feed = feed

    def read(self, told: Any, at: datetime = START) -> list[Event]:
        value = told if isinstance(told, bytes) else json.dumps(told).encode()
        return self.take(Emit(self.feed, "api_particulier:f1", value, ms(at), "application/json"))


def quotient(value: Any) -> dict[str, Any]:
    return {"data": {"quotient_familial": {"valeur": value}}}


@pytest.mark.parametrize(
    ("value", "band"),
    [(0, "A"), (300, "A"), (301, "B"), (500, "B"), (1200, "E"), (2000, "G"), (2001, "H"), (99999, "H")],
)
def test_borders_belong_to_the_lower_band(value: int, band: str) -> None:
    (event,) = Hub().read(quotient(value))
    assert event.payload.band == band  # type: ignore[attr-defined]
    assert len(BANDS) == len(BORDERS) + 1


def test_borders_are_those_that_the_manifest_documents() -> None:
    text = catalogue.connectors()["api_particulier"].manifest.documentation
    told = ", ".join(f"{band} {border}" for band, border in zip(BANDS, BORDERS, strict=False))
    assert f"{told}, {BANDS[-1]} above" in text


@pytest.mark.parametrize(
    ("read", "until"),
    [
        ("2026-03-10T07:00:00+00:00", "2026-08-31"),
        ("2026-08-31T21:59:59+00:00", "2026-08-31"),
        ("2026-08-31T22:00:00+00:00", "2027-08-31"),
        ("2026-12-31T12:00:00+00:00", "2027-08-31"),
    ],
)
def test_a_tariff_ends_with_the_school_year_of_grenoble(read: str, until: str) -> None:
    (event,) = Hub().read(quotient(1), datetime.fromisoformat(read))
    assert str(event.payload.valid_until) == until  # type: ignore[attr-defined]


def test_the_same_band_is_told_once_and_again_for_the_next_year() -> None:
    hub = Hub()
    hub.read(quotient(310))
    assert hub.read(quotient(480), START + timedelta(days=30)) == []
    assert len(hub.read(quotient(480), START + timedelta(days=200))) == 1
    assert hub.read(quotient(1), START) == []
    assert hub.reason == "stale"


def test_no_quotient_leaves_the_mapping() -> None:
    """Not in an event, not in the memory, not in a rejection: of any sample."""
    connector = catalogue.connectors()["api_particulier"]
    for sample in samples(connector):
        outcome = process(sample.record, connector, catalogue.schemas(), sample.previous)
        assert sample.record.value is not None
        for secret in (b"1234", b"2550", b"1200", b"699", b"CHARVET", b"GIRAUD"):
            if secret in sample.record.value:
                assert secret not in (outcome.state or b"")
                for decision in outcome.decisions:
                    told = (
                        repr(decision.event) if isinstance(decision, Deliver) else repr(getattr(decision, "detail", ""))
                    )
                    assert secret.decode() not in told
    assert {f for e in ("TariffBandGranted",) for f in _fields(e)} == {"band", "valid_until"}
    assert _fields("SchoolStatusChanged") == {"enrolled", "school_year"}


def _fields(record: str) -> set[str]:
    (version,) = (v for v in catalogue.schema_files() if v.name == record)
    return {field["name"] for field in version.schema["fields"]}


@pytest.mark.parametrize("born", ["2020-00-00", None, "", "00002020", 7])
def test_a_birth_date_of_whatever_shape_stops_nobody(born: Any) -> None:
    """Trap: partial dates 00 / null / "" (API Particulier)."""
    told = quotient(1)
    told["data"]["enfants"] = [{"date_naissance": born, "sexe": "M"}]
    assert len(Hub().read(told)) == 1


@pytest.mark.parametrize("value", ["1234", None, -1, 12.5, True, 10**7])
def test_what_is_no_quotient_is_invalid(value: Any) -> None:
    hub = Hub()
    hub.read(quotient(value))
    assert hub.code is Code.INVALID


@pytest.mark.parametrize("feed", ["quotient_familial", "scolarite"])
@pytest.mark.parametrize(
    "told",
    [{"errors": [{"code": "37003"}]}, {"errors": []}, {"errors": 7}, {"errors": [None]}, {"error": "not_found"}],
)
def test_an_error_is_the_vendors_whatever_its_status(feed: str, told: Any) -> None:
    """Trap: error in a 200 body."""
    hub = Hub(feed)
    hub.read(told)
    assert hub.code is Code.VENDOR_ERROR
    assert hub.state is None


def test_both_questions_about_one_subject_do_not_disturb_each_other() -> None:
    hub = Hub()
    hub.read(quotient(1))
    hub.feed = "scolarite"
    status = {"data": {"annee_scolaire": "2025", "est_scolarise": True}}
    assert len(hub.read(status)) == 1
    hub.feed = "quotient_familial"
    assert hub.read(quotient(1), START + timedelta(1)) == []


# The vendor in a box.


def test_simulator_says_what_the_mapping_finds(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.jsonl")
    vendor = Simulator(Town.build(1, 10), journal, lambda: START, {})
    vendor.seed()
    client = TestClient(vendor.app)
    family = next(family for family in vendor.families() if family.number % 4)
    unknown = next(family for family in vendor.families() if not family.number % 4)
    subjects = [f"family-{family.number}", f"family-{unknown.number}", family.children[0].external_id]
    source = poll({}, {**SETTINGS, "identities": "/register"})
    next(source)
    wish = source.send(subjects)
    lanes: dict[str, Lane] = {}
    arrived: list[str] = []
    while True:
        try:
            if isinstance(wish, Get):
                told = client.get(wish.path, params=dict(wish.params))
                wish = source.send(Answer(told.status_code, dict(told.headers), told.content, ms(START)))
                continue
            if isinstance(wish, Emit):
                assert wish.answer is not None
                arrived.append(wish.answer)
                lanes.setdefault(wish.key, Lane("api_particulier")).take(wish)
            wish = source.send(None)
        except StopIteration:
            break
    found = sorted((e.type.rpartition(".")[2], e.subject) for lane in lanes.values() for e in lane.events)
    seen = Account.of(journal.entries()).seen(arrived)
    assert found == sorted((fact.type, fact.subject) for fact in seen.observable)
    assert {kind for kind, _ in found} == {"TariffBandGranted", "SchoolStatusChanged"}
    assert lanes[f"api_particulier:family-{unknown.number}"].code is Code.VENDOR_ERROR
