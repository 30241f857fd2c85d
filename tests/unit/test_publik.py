"""The portal's messages are taken as they come, kept in order, and counted once."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.sources.citizen_portal.publik.simulator import Simulator
from connectors.sources.citizen_portal.publik.source import receive
from hub import catalogue
from hub.model.decision import Deliver, Quarantine
from hub.model.errors import Code
from hub.model.intake import Call, Emit, Refusal
from hub.model.record import Origin, Record
from hub.pipeline.process import process
from hub.testing.town.journal import Account, Journal
from hub.testing.town.people import Town
from schemas.models.citizen_portal import Channel, LinkRequested, PreferencesChanged, Role, UnlinkRequested

CITIZEN = "5b0c2f1e-8d57-4a39-9c7e-1f6a2d4b8e03"
MESSAGE = {
    "id": "0e7d4c1a-3b52-4f6e-8a90-000000000001",
    "type": "unlink_requested",
    "at": "2026-03-10T08:12:30+01:00",
    "citizen": CITIZEN,
    "unlink": {"subject": "chrono:E0001"},
}


def call(body: bytes, **headers: str) -> Call:
    return Call("request", body, {name.replace("_", "-"): value for name, value in headers.items()}, 1_000)


def taken(message: dict[str, Any]) -> Emit:
    emit = receive(call(json.dumps(message).encode()))
    assert isinstance(emit, Emit)
    return emit


def decided(emit: Emit, offset: int = 1) -> Any:
    connector = catalogue.connectors()["publik"]
    record = Record(
        "publik",
        emit.feed,
        emit.key.encode(),
        emit.value,
        emit.raw_id or "",
        emit.read_at,
        Origin("raw.publik", 1, 0, offset),
    )
    (decision,) = process(record, connector, catalogue.schemas()).decisions
    return decision


def test_message_is_kept_as_it_came_under_its_citizen_and_its_id() -> None:
    body = json.dumps(MESSAGE, indent=3).encode()
    assert receive(call(body, X_Request_Id="answer-1")) == Emit(
        feed="request",
        key=f"publik:{CITIZEN}",
        value=body,
        read_at=1_000,
        content_type="application/json",
        raw_id=MESSAGE["id"],  # type: ignore[arg-type]
        answer="answer-1",
    )


def test_answer_is_the_message_where_the_sender_names_none() -> None:
    assert taken(MESSAGE).answer == MESSAGE["id"]


@pytest.mark.parametrize(
    ("body", "status", "named"),
    [
        (b"", 400, "body"),
        (b'{"id": ', 400, "body"),
        (b"<!DOCTYPE html><html></html>", 400, "body"),
        (b"\xff\xfe\x00", 400, "body"),
        (b"[]", 422, "body"),
        (b'"text"', 422, "body"),
        (json.dumps({"citizen": CITIZEN}).encode(), 422, "id"),
        (json.dumps({"id": 7, "citizen": CITIZEN}).encode(), 422, "id"),
        (json.dumps({"id": "", "citizen": CITIZEN}).encode(), 422, "id"),
        (json.dumps({"id": "x" * 200, "citizen": CITIZEN}).encode(), 422, "id"),
        (json.dumps({"id": "m"}).encode(), 422, "citizen"),
        (json.dumps({"id": "m", "citizen": None}).encode(), 422, "citizen"),
        (json.dumps({"id": "m", "citizen": "a b"}).encode(), 422, "citizen"),
        (b" " * (4 * 1024 * 1024 + 1), 413, "body"),
    ],
)
def test_what_names_no_record_is_refused_by_the_field(body: bytes, status: int, named: str) -> None:
    refusal = receive(call(body))
    assert isinstance(refusal, Refusal)
    assert refusal.status == status
    assert refusal.detail.partition(":")[0] == named


def test_other_feeds_are_unknown() -> None:
    assert receive(Call("callback", b"{}", {}, 1)) == Refusal(404, "no such feed")


@given(st.binary() | st.dictionaries(st.sampled_from(["id", "citizen", "type"]), st.text()).map(json.dumps))
def test_any_call_is_taken_or_refused(body: bytes | str) -> None:
    answer = receive(call(body.encode() if isinstance(body, str) else body))
    if isinstance(answer, Emit):
        assert decided(answer)
    else:
        assert 400 <= answer.status < 500


def test_capitals_do_not_make_another_citizen() -> None:
    small, capital = taken(MESSAGE), taken({**MESSAGE, "citizen": CITIZEN.upper(), "id": MESSAGE["id"].upper()})  # type: ignore[attr-defined]
    assert (small.key, small.raw_id) == (capital.key, capital.raw_id)
    assert decided(small).event.id == decided(capital).event.id
    assert decided(capital).event.subject == capital.key


def test_message_sent_twice_is_one_event_wherever_it_stands() -> None:
    assert decided(taken(MESSAGE), 1).event.id == decided(taken(MESSAGE), 99).event.id
    other = {**MESSAGE, "id": "0e7d4c1a-3b52-4f6e-8a90-000000000002"}
    assert decided(taken(MESSAGE)).event.id != decided(taken(other)).event.id


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"citizen": "somebody"}, "citizen"),
        ({"at": "2026-03-10T08:12:30"}, "at"),
        ({"at": "2026-02-30T08:12:30Z"}, "at"),
        ({"at": 1_773_126_750}, "at"),
        ({"type": "link_requested"}, "link"),
        ({"link": {"subject": "chrono:E1", "role": "self"}}, "link"),
        ({"unlink": {"subject": "E0001"}}, "unlink.subject"),
        ({"unlink": {"subject": "chrono:E 1"}}, "unlink.subject"),
        ({"unlink": {"subject": "chrono:E1", "why": "secret"}}, "unlink.*"),
        ({"unlink": None}, "unlink"),
    ],
)
def test_what_is_not_as_documented_is_set_aside_by_field(change: dict[str, Any], field: str) -> None:
    quarantine = decided(taken({**MESSAGE, **change}))
    assert isinstance(quarantine, Quarantine)
    assert (quarantine.code, quarantine.fields[0]) == (Code.INVALID, field)


@pytest.mark.parametrize(
    "part",
    [
        {"email": "a@b", "topics": [], "lines": []},
        {"email": "two@addresses.fr, evil@exemple.invalid", "topics": [], "lines": []},
        {"email": "a@exemple.invalid\r\nBcc: b@exemple.invalid", "topics": [], "lines": []},
        {"email": None, "topics": ["weather"], "lines": []},
        {"email": None, "topics": [], "lines": ["48"]},
        {"email": None, "topics": [], "lines": [], "language": "french"},
    ],
)
def test_preferences_are_checked(part: dict[str, Any]) -> None:
    message = {key: value for key, value in MESSAGE.items() if key != "unlink"}
    quarantine = decided(taken({**message, "type": "preferences_changed", "preferences": part}))
    assert isinstance(quarantine, Quarantine)
    assert quarantine.code is Code.INVALID


@pytest.fixture
def portal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Simulator:
    # Nothing is posted: what the sender would take is read from its queue.
    monkeypatch.setattr(Simulator, "_deliver", lambda _self: None)
    return Simulator(Town.build(1, 10), Journal(tmp_path / "j"), lambda: datetime(2026, 3, 10, 7, tzinfo=UTC), {})


def sent(portal: Simulator) -> list[Any]:
    decisions = []
    while not portal._calls.empty():
        callback = portal._calls.get_nowait()
        assert callback is not None
        emit = receive(call(callback.body, x_request_id=callback.answer))
        assert isinstance(emit, Emit)
        assert emit.answer == callback.answer
        decisions.append(decided(emit))
    return decisions


def test_simulator_speaks_the_documented_format(portal: Simulator) -> None:
    reader = portal.town.cast.reader
    portal.link(reader, "ils_di:20001", until=date(2027, 7, 4), scope=["loans"])
    portal.unlink(reader.citizen, "ils_di:20001")
    portal.preferences(reader, reader.email, lines=reader.lines)
    payloads = [decision.event.payload for decision in sent(portal)]
    assert payloads == [
        LinkRequested(
            citizen=reader.citizen,
            subject="ils_di:20001",
            role=Role.SELF,
            scope=("loans",),
            until=date(2027, 7, 4),
        ),
        UnlinkRequested(citizen=reader.citizen, subject="ils_di:20001"),
        PreferencesChanged(
            citizen=reader.citizen,
            email=reader.email,
            topics=("canteen", "library", "requests", "disruptions"),
            lines=reader.lines,
            channel=Channel.MAIL,
        ),
    ]


def test_every_wish_is_one_fact_that_only_its_own_message_shows(portal: Simulator) -> None:
    portal.seed()
    portal.link(portal.town.cast.late, "ils_di:20099", twice=True)
    decisions = sent(portal)
    assert all(isinstance(decision, Deliver) for decision in decisions)
    account = Account.of(portal.journal.entries())
    seen = account.seen(account.served.keys())
    assert not seen.hidden
    assert len(seen.observable) == len({decision.event.id for decision in decisions}) == len(decisions) - 1
    late = [answer for answer, entry in account.served.items() if entry["key"].endswith(portal.town.cast.late.citizen)]
    assert len(account.seen(account.served.keys() - set(late)).hidden) == 1


def test_seed_links_neither_the_one_who_never_does_nor_the_late_one(portal: Simulator) -> None:
    portal.seed()
    cast = portal.town.cast
    keys = {entry["key"] for entry in portal.journal.entries("served")}
    assert f"publik:{cast.reader.citizen}" in keys
    assert not {f"publik:{cast.never_links.citizen}", f"publik:{cast.late.citizen}"} & keys


def test_nonsense_is_set_aside(portal: Simulator) -> None:
    portal.babble(portal.town.cast.late)
    (decision,) = sent(portal)
    assert decision.code is Code.INVALID
