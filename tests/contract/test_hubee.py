"""HubEE's queue is read so that a crash at any step loses nothing and doubles nothing."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from connectors.sources.civil_registry.hubee.simulator import Simulator
from hub import catalogue
from hub.config import Credential
from hub.delivery.driver import Provider
from hub.delivery.driver import drive as deliver
from hub.intake.driver import Vendor, drive
from hub.model.decision import Deliver
from hub.model.errors import Transient
from hub.model.intake import Emit
from hub.model.sink import Message, Sent
from hub.pipeline.process import process
from hub.roles.intake import credentials
from hub.testing.samples import record
from hub.testing.town.host import Server
from hub.testing.town.journal import Journal
from hub.testing.town.people import Town

CONNECTOR = catalogue.connectors()["hubee"]
NOW = datetime(2026, 3, 10, 7, 40, tzinfo=UTC)


class Crash(Exception):
    """The process ends here."""


class Box:
    """HubEE over real HTTP, and a hub that can crash after any number of steps."""

    def __init__(self, folder: Path) -> None:
        self.town = Town.build(1, 10)
        self.journal = Journal(folder / "journal.jsonl")
        self.simulator = Simulator(
            self.town,
            self.journal,
            lambda: NOW,
            {"secrets_dir": str(folder), "hook_secret_file": "none", "hooks_url": "http://127.0.0.1:9"},
        )
        self.server = Server(self.simulator.app)
        self.raw: list[Emit] = []
        self.steps = 10**6

    def vendor(self) -> Vendor:
        settings_ = self.simulator.city_settings(self.server.url)
        made = {name: Credential.model_validate(value) for name, value in settings_["credentials"].items()}
        auth = credentials(type("Source", (), {"credentials": made})())
        vendor = Vendor(self.server.url + "/", "municipal-hub/0 (test)", 10_000, auth)
        ask = vendor.ask

        def counted(request: Any) -> Any:
            self.step()
            answer = ask(request)
            self.step()
            return answer

        vendor.ask = counted  # type: ignore[method-assign]
        return vendor

    def step(self) -> None:
        self.steps -= 1
        if self.steps < 0:
            raise Crash

    def emit(self, _product: str, wish: Emit) -> None:
        self.step()
        self.raw.append(wish)
        self.step()

    def subjects(self, _product: str) -> list[str]:
        return []

    def checkpoint(self, _product: str, _cursor: Mapping[str, Any]) -> None:
        return

    def poll(self, steps: int = 10**6) -> None:
        self.steps = steps
        assert CONNECTOR.poll is not None
        source = CONNECTOR.poll({}, self.simulator.city_settings(self.server.url)["settings"])
        vendor = self.vendor()
        try:
            drive(CONNECTOR, source, vendor, self)
        finally:
            vendor.close()

    def facts(self) -> set[tuple[str, str]]:
        """Decide everything that was written, by event id and type."""
        found = set()
        for wish in self.raw:
            outcome = process(record(CONNECTOR, "case", wish.value, key=wish.key), CONNECTOR, catalogue.schemas())
            found |= {(d.event.id, d.event.type) for d in outcome.decisions if isinstance(d, Deliver)}
        return found


@pytest.fixture
def box(tmp_path: Path) -> Iterator[Box]:
    """Run a HubEE."""
    made = Box(tmp_path)
    with made.server:
        yield made


def test_a_case_is_taken_acknowledged_and_deleted(box: Box) -> None:
    """The record is written, the status set, the event told once, the queue empty."""
    case = box.simulator.demand(box.town.persons[0])
    box.poll()
    assert [f"hubee:{case}"] == [wish.key for wish in box.raw]
    assert box.simulator.queue == {}
    assert box.simulator.cases[case]["status"] == "SI_RECEIVED"
    assert [event["caseNewStatus"] for event in box.simulator.cases[case]["events"]] == ["SI_RECEIVED"]
    box.simulator.duplicate_notification(case)
    box.poll()
    assert len(box.simulator.cases[case]["events"]) == 1


def test_a_notification_without_a_case_blocks_nobody(box: Box) -> None:
    """The head of the queue is recorded and deleted like any other."""
    box.simulator.caseless_notification()
    case = box.simulator.demand(box.town.persons[0])
    box.poll()
    assert box.simulator.queue == {}
    assert {f"hubee:{case}"} == {wish.key for wish in box.raw if "notification" not in wish.key}
    assert len(box.raw) == 2


@pytest.mark.parametrize("kind", ["503", "429", "html200", "truncate"])
@pytest.mark.parametrize("path", ["/notifications", "/cases"])
def test_a_bad_answer_deletes_nothing(box: Box, kind: str, path: str) -> None:
    """Whatever spoils an answer, the notification stays until a good one came."""
    case = box.simulator.demand(box.town.persons[0])
    box.simulator.faults.add(path, kind)
    with pytest.raises(Transient):
        box.poll()
    assert len(box.simulator.queue) == 1
    box.poll()
    assert box.simulator.queue == {}
    assert {f"hubee:{case}"} == {wish.key for wish in box.raw}


def test_an_attachment_without_its_digest_is_not_recorded(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that was changed on its way is asked for again; nothing is deleted meanwhile."""
    box.simulator.demand(box.town.persons[0])
    with monkeypatch.context() as patched:
        patched.setattr("connectors.sources.civil_registry.hubee.source._same", lambda _header, _digest: False)
        with pytest.raises(Transient, match="digest"):
            box.poll()
    assert (box.raw, len(box.simulator.queue)) == ([], 1)
    box.poll()
    assert (len(box.raw), len(box.simulator.queue)) == (1, 0)


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(crashes=st.lists(st.integers(0, 25), max_size=4))
def test_a_crash_at_any_step_loses_and_doubles_nothing(
    tmp_path_factory: pytest.TempPathFactory, crashes: list[int]
) -> None:
    """However often the hub dies in the middle, the same facts come out, and one receipt is told per case."""
    box = Box(tmp_path_factory.mktemp("hubee"))
    with box.server:
        cases = [box.simulator.demand(box.town.persons[0]), box.simulator.declare_death()]
        moved_on = box.simulator.demand(box.town.persons[1])
        box.simulator.set_status(moved_on, "IN_PROGRESS")
        for steps in crashes:
            try:
                box.poll(steps)
            except Crash:
                pass
        box.poll()
        for case in (*cases, moved_on):
            box.simulator.duplicate_notification(case)
        box.poll()
        assert box.simulator.queue == {}
        receipts = [
            (case, e["caseNewStatus"])
            for case in (*cases, moved_on)
            for e in box.simulator.cases[case]["events"]
            if e["author"] == "municipal-hub"
        ]
        assert receipts == [(case, "SI_RECEIVED") for case in cases]
        assert box.simulator.cases[moved_on]["status"] == "IN_PROGRESS"
        said = box.journal.entries("said")
        assert len(said) == len(box.facts())


def test_a_case_that_is_gone_blocks_nobody(box: Box) -> None:
    """Its notification is recorded without a case, with the reason, and deleted."""
    box.simulator.gone(box.simulator.demand(box.town.persons[0]))
    case = box.simulator.demand(box.town.persons[1])
    box.poll()
    assert box.simulator.queue == {}
    assert [json.loads(wish.value)["reason"] for wish in box.raw] == ["the case is gone", None]
    assert box.raw[1].key == f"hubee:{case}"


def test_a_token_that_ended_early_is_renewed(box: Box) -> None:
    """The vendor forgets its tokens between two requests of one poll."""
    box.simulator.demand(box.town.persons[0])
    vendor = box.vendor()
    assert CONNECTOR.poll is not None
    source = CONNECTOR.poll({}, box.simulator.city_settings(box.server.url)["settings"])
    answer = vendor.ask(next(source))
    box.simulator.expire_tokens()
    assert vendor.ask(source.send(answer)).ok
    vendor.close()


def test_a_wrong_secret_is_waited_for_and_the_other_procedures_are_polled(box: Box, tmp_path: Path) -> None:
    """Nothing is lost, and procedure and remedy are told."""
    box.simulator.demand(box.town.persons[0])
    death = box.simulator.declare_death()
    wrong = tmp_path / "wrong"
    wrong.write_text("no", "utf-8")
    city = box.simulator.city_settings(box.server.url)
    made = {name: Credential.model_validate(value) for name, value in city["credentials"].items()}
    made["EtatCivil"] = made["EtatCivil"].model_copy(update={"secret_file": wrong})
    assert city["settings"]["procedures"].startswith("EtatCivil")
    vendor = Vendor(box.server.url + "/", "hub", 1000, credentials(type("Source", (), {"credentials": made})()))
    assert CONNECTOR.poll is not None
    with pytest.raises(Transient, match=r"^EtatCivil: .*check the credentials$"):
        drive(CONNECTOR, CONNECTOR.poll({}, city["settings"]), vendor, box)
    vendor.close()
    assert [wish.key for wish in box.raw] == [f"hubee:{death}"]
    assert len(box.simulator.queue) == 1


@pytest.mark.parametrize("steps", range(1, 12))
def test_a_decision_that_is_broken_off_anywhere_is_told_once(box: Box, steps: int) -> None:
    """Status and event stand there once, whichever step the process ended at; nothing else is touched."""
    case = box.simulator.demand(box.town.readers[0])
    sink, chosen = catalogue.sinks()["hubee"], box.simulator.city_settings(box.server.url)
    made = {name: Credential.model_validate(value) for name, value in chosen["credentials"].items()}
    auth = credentials(type("Sink", (), {"credentials": made})())
    provider = Provider(box.server.url + "/", "municipal-hub/0 (test)", None, auth)
    told = {"case": case, "status": "ADD_AWAITING", "message": "Il manque une pièce."}
    message = Message("row", "hubee", "requests", "", "", "", payload=told)
    ask, left = provider.ask, steps

    def counted(request: Any) -> Any:
        nonlocal left
        answer = ask(request)
        left -= 1
        if left == 0:
            raise Crash
        return answer

    provider.ask = counted  # type: ignore[method-assign]
    outcome = None
    while outcome is None:
        with suppress(Crash):
            outcome = deliver(sink, message, chosen["settings"], provider, lambda: None)
    provider.close()
    assert outcome == Sent()
    found = box.simulator.cases[case]
    assert found["status"] == "ADD_AWAITING"
    (event,) = found["events"]
    assert (event["caseCurrentStatus"], event["caseNewStatus"]) in (
        ("HUBEE_NOTIFIED", "ADD_AWAITING"),
        # The status was set, and what it had been is in no event.
        ("ADD_AWAITING", "ADD_AWAITING"),
    )
    assert event["message"] == "Il manque une pièce."
